"""Every test vector of ours has the form and an operation that vectors/README.md describes."""

import re
from pathlib import Path

import pytest

from tests.vectors.cases import VECTORS, Loaded, load

# Made by others, whose form is kept.
PUBLISHED = {Path("slip39"), Path("ledger/published")}


def folders() -> list[str]:
    """Folders of vectors/ that hold cases of ours."""
    found = {path.parent.relative_to(VECTORS) for path in VECTORS.rglob("*.json")}
    assert found > PUBLISHED
    return sorted(str(folder) for folder in found - PUBLISHED)


def documented() -> dict[str, tuple[set[str], set[str]]]:
    """The operations in the README's table, with the words that stand for input and result."""
    text = (VECTORS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \| (.*) \|$", text, flags=re.MULTILINE)
    return {name: (_quoted(given), _quoted(result)) for name, given, result in rows}


def _quoted(cell: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", cell))


# Operations whose row refers to another row or to a table of the specification.
BY_REFERENCE = {"open-pack", "parse-shard"}


@pytest.mark.parametrize("folder", folders())
def test_cases_have_the_prescribed_form(folder: str) -> None:
    cases = load(folder)  # checks the fields; refuses a folder without cases
    assert all(_states_its_cause(case) for case in cases)


def _states_its_cause(case: Loaded) -> bool:
    return "refused" not in case.expect or all(
        isinstance(case.expect[field], str) and case.expect[field] for field in ("refused", "why")
    )


@pytest.mark.parametrize("folder", folders())
def test_operations_are_documented(folder: str) -> None:
    operations = documented()
    for case in load(folder):
        given, result = operations[case.operation]
        if case.operation in BY_REFERENCE:
            continue
        assert set(case.given) <= given, f"{case.name}: {set(case.given) - given}"
        if "refused" not in case.expect:
            assert set(case.expect) <= result, f"{case.name}: {set(case.expect) - result}"


def test_documented_operations_have_vectors() -> None:
    used = {case.operation for folder in folders() for case in load(folder)}
    assert used == set(documented()) - {"spec", "case", "operation", "what", "input", "expect"}
