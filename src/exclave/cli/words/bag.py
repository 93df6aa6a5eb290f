"""What is said of bags: what was wrong when one was read, and where each is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from exclave.carried.inventory import ItemClass
from exclave.clock import format_time

if TYPE_CHECKING:
    from exclave.carried.gathering import Finding
    from exclave.carried.papers import BagState

__all__ = ["findings_json", "findings_lines", "state_json", "state_lines"]

_SHOWN: Final = 25


def findings_json(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """What is wrong with a bag, for `--json`."""
    return [{"cause": item.cause.value, "what": item.what} for item in findings]


def findings_lines(findings: Sequence[Finding]) -> list[str]:
    """The same in lines: the data before reader and vectors, and no more than one can read."""
    ordered = sorted(findings, key=lambda item: item.what.startswith(f"{ItemClass.KIT} "))
    lines = [f"{item.cause.value.upper()} {item.what}" for item in ordered[:_SHOWN]]
    more = len(findings) - len(lines)
    return [*lines, f"and {more} more (--json names them)"] if more > 0 else lines


def state_json(state: BagState) -> dict[str, object]:
    """Where a bag is, for `--json`."""
    return {
        "bag": state.bag.hex(),
        "seat": state.seat,
        "act": state.newest.custody.act.value,
        "holder": None if state.holder is None else str(state.holder),
        "under_way_to": None if state.under_way_to is None else str(state.under_way_to),
        "sealed": None if state.sealed is None else format_time(state.sealed),
        "read": None if state.read is None else format_time(state.read),
        "troubles": [{"cause": item.cause.value, "what": item.what} for item in state.troubles],
    }


def state_lines(state: BagState) -> list[str]:
    """The same in lines."""
    if state.holder is not None:
        where = f"with {state.holder}"
    elif state.under_way_to is not None:
        where = f"under way to {state.under_way_to}"
    else:
        where = "LOST"
    sealed = "never" if state.sealed is None else format_time(state.sealed)
    read = "never" if state.read is None else format_time(state.read)
    return [
        f"bag {state.bag.hex()} for seat {state.seat}: {where} ({state.newest.custody.act})",
        f"  sealed {sealed}, last read {read}",
        *(f"  {item.cause.value.upper()} {item.what}" for item in state.troubles),
    ]
