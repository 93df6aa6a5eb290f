"""What counts of a depositor whose keys were stolen: what f+1 seats logged before it was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from exclave.authority.charter_chain import CharterChain
from exclave.deposit import trust
from exclave.deposit.trust import Compromise, trusted_packs, trusted_records
from exclave.ids import KeyId, StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.survey import MissionView

T = datetime(2026, 5, 1, tzinfo=UTC)
OLD, NEW = KeyId("aa"), KeyId("bb")


def _view(
    monkeypatch: pytest.MonkeyPatch, *, f: int, times: dict[int, list[datetime]]
) -> MissionView:
    """Records 1, 2, ... of the old keys, logged at each seat at these moments."""
    names = [StatementHash(bytes([i]) * 32) for i in range(1, len(times) + 1)]
    seats: dict[int, list[Any]] = {}
    for name, moments in zip(names, times.values(), strict=True):
        for seat, moment in enumerate(moments, start=1):
            entry = SimpleNamespace(statement=name, type=EntryType.RECORD, logged=moment)
            seats.setdefault(seat, []).append(entry)
    records = [
        SimpleNamespace(packs_added=[SimpleNamespace(root=bytes([i]))], depositor="home")
        for i in range(1, len(names) + 1)
    ]
    monkeypatch.setattr(trust, "author_of", lambda record, chain: SimpleNamespace(keys=(OLD,)))
    view = SimpleNamespace(
        chain=cast(CharterChain, None),
        charter=SimpleNamespace(witness=SimpleNamespace(f=f)),
        seats=[
            SimpleNamespace(seat=seat, verified=True, entries=entries)
            for seat, entries in seats.items()
        ],
        deposits=[
            SimpleNamespace(statement=name, record=record)
            for name, record in zip(names, records, strict=True)
        ],
    )
    return cast(MissionView, view)


def test_log_time_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = T - timedelta(hours=1), T + timedelta(hours=1)
    times = {1: [before] * 3, 2: [before, before, after], 3: [before, after, after], 4: [after] * 3}
    since = Compromise(keys=frozenset({OLD}), since=T)
    view = _view(monkeypatch, f=1, times=times)
    assert trusted_packs(view, [since]) == {b"\x01", b"\x02"}
    assert trusted_packs(_view(monkeypatch, f=0, times=times), [since]) == {
        b"\x01",
        b"\x02",
        b"\x03",
    }
    assert len(trusted_records(view, [])) == 4
    assert len(trusted_records(view, [Compromise(keys=frozenset({NEW}), since=T)])) == 4


def test_a_log_that_does_not_verify_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    view = _view(monkeypatch, f=0, times={1: [T - timedelta(hours=1)]})
    cast(Any, view.seats[0]).verified = False
    assert not trusted_packs(view, [Compromise(keys=frozenset({OLD}), since=T)])
