"""Every decoder of what others wrote has a fuzz target, and every target runs."""

import ast
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from exclave.encoding import canonical_json
from tests.structure.sources import ROOT, parsed, python_files
from tests.structure.test_purity import PURE
from tests.vectors.cases import load

TARGETS = sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.py"))
# Beside the pure folders: key files, the catalogue that a journal is rebuilt from, a monitor's
# memory.
FOLDERS = {*PURE, "deposit", "monitor", "signer"}
PREFIXES = ("parse_", "decode_")
# Reached through others: entries of a stream, chunks of a directory, bodies of parsed shards.
WITHIN_OTHERS = frozenset({"decode_bodies", "decode_chunk", "decode_entry"})


def decoders() -> set[str]:
    """Public functions that read bytes of others."""
    return {
        node.name
        for path in python_files("src")
        if path.relative_to(ROOT).parts[2] in FOLDERS
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith(PREFIXES)
    }


def fuzzed() -> set[str]:
    """Names that the targets import."""
    return {
        alias.name
        for path in TARGETS
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def check_of(path: Path) -> Callable[[bytes], None]:
    """A target's function that holds the invariant."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = [name for name in vars(module) if name == "check" or name.startswith("check_")]
    own = [name for name in names if getattr(vars(module)[name], "__module__", "") == path.stem]
    assert len(own) == 1, f"{path.name}: expected one check function, got {own}"
    check: Callable[[bytes], None] = vars(module)[own[0]]
    return check


def seeds() -> list[bytes]:
    """Short and odd bytes, and whatever the vectors give as JSON."""
    plain = [b"", b"\x00", b"{}", b"[]", b"\xff" * 200, bytes(4096), b"exclave card v1\n"]
    given = [canonical_json(case.given) for case in load("statements")]
    assert given
    return plain + given


def test_every_decoder_has_a_target() -> None:
    assert len(decoders()) > 15
    assert decoders() - fuzzed() - WITHIN_OTHERS == set()


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_a_target_runs(path: Path) -> None:
    check = check_of(path)
    for data in seeds():
        check(data)
