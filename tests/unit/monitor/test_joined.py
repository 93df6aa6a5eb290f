"""A seat that joined is not to blame for lacking what was over before it was there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from exclave.ids import Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.monitor.agreement import _statements

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
FIRST, OTHER = StatementHash(b"\x01" * 32), StatementHash(b"\x02" * 32)


def view(seat: int, seating: int, *entries: tuple[EntryType, StatementHash, datetime]) -> Any:
    """One seat's log."""
    return SimpleNamespace(
        seat=Seat(seat),
        standing=SimpleNamespace(seating=seating),
        entries=tuple(
            SimpleNamespace(type=kind, statement=name, logged=moment)
            for kind, name, moment in entries
        ),
    )


@pytest.mark.parametrize(
    ("kind", "hours", "seating", "named"),
    [
        (EntryType.WARRANT, -1, 1, False),
        (EntryType.ORDER, -1, 1, False),
        (EntryType.WARRANT, 1, 1, True),  # since it is there
        (EntryType.RECORD, -1, 1, True),  # records reach every seat
        (EntryType.WARRANT, -1, 0, True),  # one that was there from the beginning
    ],
)
def test_only_what_was_over_is_excused(
    kind: EntryType, hours: int, seating: int, named: bool
) -> None:
    moment = BEGAN + timedelta(hours=hours)
    charter = (EntryType.CHARTER, FIRST)
    old = [view(s, 0, (*charter, BEGAN), (kind, OTHER, moment)) for s in (1, 2)]
    new = view(4, seating, (*charter, BEGAN))
    sight: Any = SimpleNamespace(since=lambda key, latest: latest)
    found = list(_statements(sight, [*old, new]))
    assert [item.named for item in found] == ([(Seat(4),)] if named else [])
