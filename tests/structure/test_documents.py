"""What documents point at exists: relative links, and paths into the repository in backquotes."""

import ast
import re
from pathlib import Path

import pytest

from tests.structure.sources import ROOT, parsed

LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
PATH = re.compile(
    r"`((?:tests|src|spec|vectors|docs|examples|tools|reader|requirements)/[\w./-]*)`"
)


def documents() -> list[Path]:
    """Everything written for people."""
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "spec").glob("*.md")]


def missing(text: str, folder: Path) -> list[str]:
    """Links and paths in `text` that lead nowhere."""
    links = [target for target in LINK.findall(text) if not (folder / target).exists()]
    return links + [path for path in PATH.findall(text) if not (ROOT / path).exists()]


def test_there_are_documents() -> None:
    assert len(documents()) > 20


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_leads_nowhere(path: Path) -> None:
    assert not missing(path.read_text(encoding="utf-8"), path.parent)


def test_every_field_of_the_report_is_explained() -> None:
    document = (ROOT / "spec" / "report.md").read_text(encoding="utf-8")
    keys = {
        key.value
        for node in ast.walk(parsed(ROOT / "src" / "exclave" / "reconstruct" / "report.py"))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert {"mission", "differences", "keys"} <= keys
    assert not [key for key in keys if f"`{key}`" not in document]


@pytest.mark.parametrize("text", ["see [it](gone.md)", "in `tests/gone/test_x.py`"])
def test_a_dead_end_is_noticed(text: str) -> None:
    assert missing(text, ROOT)
