"""The table of bad input names tests and problems that are there."""

import ast
import re

from exclave.vault.line.problems import CAUSES
from tests.structure.sources import ROOT, parsed

TABLE = ROOT / "docs" / "bad-input.md"
TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


def test_every_row_names_what_is_there() -> None:
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [row for row in rows if not row.startswith(("| Input", "|---"))]
    assert len(rows) > 50
    for row in rows:
        assert row.count(" | ") == 3, row
        named = TEST.findall(row.rpartition(" | ")[2])
        assert named, row
        for path, name in named:
            tree = parsed(ROOT / path)
            names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert name in names, row
        said = re.findall(r"`([a-z-]+)`", row.split(" | ")[2])
        assert set(said) <= {*CAUSES, "status", "check"}, row
