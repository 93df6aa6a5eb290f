"""What waits at home for vaults that could not take it yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.errors import ExclaveError
from exclave.ids import Seat, StatementHash
from exclave.values import replace
from exclave.wiring.check_evidence import check_waiting
from exclave.wiring.check_results import Severity
from exclave.wiring.waiting import Waiting, WaitingStore

WAITING = Waiting(
    certificate=StatementHash(b"\x07" * 32),
    of="drill",
    statement=b"{}",
    seats={Seat(3): "no answer", Seat(2): "its vault is older"},
)


def test_it_is_kept_and_forgotten(tmp_path: Path) -> None:
    store = WaitingStore(tmp_path)
    assert store.all() == ()
    store.forget(WAITING.certificate)
    store.keep(WAITING)
    again = replace(WAITING, seats={Seat(2): "its vault is older"})
    store.keep(again)
    assert store.all() == (again,)
    (file,) = (tmp_path / "waiting").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    store.forget(WAITING.certificate)
    assert store.all() == ()


def test_one_encoding(tmp_path: Path) -> None:
    data = WAITING.to_bytes()
    assert Waiting.parse(data).to_bytes() == data
    for wrong in (data[:-9], data.replace(b"drill", b"mayor"), data.replace(b"[[2", b"[[4")):
        with pytest.raises(ExclaveError):
            Waiting.parse(wrong)


def test_check_says_what_waits_and_names_what_cannot_be_read(tmp_path: Path) -> None:
    store = WaitingStore(tmp_path)
    store.keep(WAITING)
    damaged = tmp_path / "waiting" / f"{'00' * 32}.json"
    damaged.write_text("{}")
    (tmp_path / "waiting" / "notes.txt").write_text("not ours")
    bad, waits = check_waiting(tmp_path)
    assert (bad.severity, bad.said.startswith(str(damaged))) == (Severity.BAD, True)
    assert waits.severity == Severity.WARNS
    assert waits.what == f"certificate drill {'07' * 8}"
    assert waits.said == "its attestation waits: seat 2: its vault is older; seat 3: no answer"
