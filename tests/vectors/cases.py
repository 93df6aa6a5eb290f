"""Loads test vectors; a folder without any is an error."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exclave.errors import ExclaveError
from tools.vector_cases import Case

VECTORS = Path(__file__).resolve().parents[2] / "vectors"
FIELDS = ["spec", "case", "operation", "what", "input", "expect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One case, read from its file."""

    name: str
    operation: str
    given: dict[str, Any]
    expect: dict[str, Any]

    def bytes_of(self, name: str) -> bytes:
        """An input that is a byte string."""
        return bytes.fromhex(self.given[name])


def load(folder: str) -> list[Loaded]:
    """All cases of a folder, each checked against the form that vectors/README.md gives."""
    cases = [_read(path) for path in sorted((VECTORS / folder).glob("*.json"))]
    if not cases:
        raise FileNotFoundError(f"vectors/{folder}: expected cases, got none")
    return cases


def require_expected(case: Loaded, run: Callable[[], object]) -> None:
    """Run one case; it gives what is expected, or is refused by the error that is named."""
    if "refused" not in case.expect:
        assert run() == case.expect
        return
    with pytest.raises(ExclaveError) as caught:
        run()
    assert type(caught.value).__name__ == case.expect["refused"], case.expect["why"]


def require_committed(folders: Mapping[str, Sequence[Case]]) -> None:
    """What a generator writes is what lies in `vectors/`, to the letter and no file more."""
    for folder, cases in folders.items():
        texts = {f"{case.case}.json": case.encode() for case in cases}
        files = [path for path in (VECTORS / folder).iterdir() if path.is_file()]
        assert {path.name: path.read_text() for path in files} == texts


def _read(path: Path) -> Loaded:
    fields = json.loads(path.read_text(encoding="utf-8"))
    assert list(fields) == FIELDS, f"{path.name}: {list(fields)}"
    assert fields["case"] == path.stem, path.name
    assert (VECTORS.parent / "spec" / fields["spec"].split()[0]).is_file(), path.name
    if "refused" in fields["expect"]:
        assert set(fields["expect"]) == {"refused", "why"}, path.name
    return Loaded(
        name=path.stem,
        operation=fields["operation"],
        given=fields["input"],
        expect=fields["expect"],
    )
