"""What counts of keys that were stolen: what f+1 seats logged before it was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from exclave.authority.record_chain import Author
from exclave.ids import KeyId, Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.survey import suspicion
from exclave.vault.survey.survey import SeatView
from exclave.vault.survey.suspicion import Suspicion

T = datetime(2026, 5, 1, tzinfo=UTC)
BEFORE, AFTER = T - timedelta(hours=1), T + timedelta(hours=1)
NAME = StatementHash(b"\x01" * 32)
STOLEN = Author(depositor="home", keys=(KeyId("aa"),))
OTHER = Author(depositor="home", keys=(KeyId("bb"),))


def falls(
    monkeypatch: pytest.MonkeyPatch,
    times: list[datetime],
    *,
    f: int,
    author: Author = STOLEN,
    verified: bool = True,
) -> bool:
    """Whether suspicion falls on a record that seats logged at these moments."""
    views = tuple(
        SeatView(
            seat=Seat(seat),
            log_size=1,
            verified=verified,
            checkpoint=b"",
            entries=(_entry(time),),
            problems=(),
        )
        for seat, time in enumerate(times, start=1)
    )
    charter = SimpleNamespace(witness=SimpleNamespace(f=f))
    chain: Any = SimpleNamespace(find=lambda statement: charter)
    record: Any = SimpleNamespace(charter=NAME)
    monkeypatch.setattr(suspicion, "author_of", lambda record, chain: author)
    return Suspicion(chain=chain, views=views, since={STOLEN: T}).falls_on(record, NAME)


def _entry(time: datetime) -> Any:
    return SimpleNamespace(statement=NAME, type=EntryType.RECORD, logged=time)


def test_log_time_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not falls(monkeypatch, [BEFORE] * 3, f=1)
    assert not falls(monkeypatch, [BEFORE, BEFORE, AFTER], f=1)
    assert falls(monkeypatch, [BEFORE, AFTER, AFTER], f=1), "one liar dates it back"
    assert not falls(monkeypatch, [BEFORE, AFTER, AFTER], f=0)
    assert falls(monkeypatch, [AFTER] * 3, f=0)


def test_other_keys_are_not_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not falls(monkeypatch, [AFTER] * 3, f=1, author=OTHER)


def test_a_log_that_does_not_verify_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert falls(monkeypatch, [BEFORE] * 3, f=0, verified=False)
