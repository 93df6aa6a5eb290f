"""Handing a statement to everybody: who is silent, refuses or is a safe keeps nobody back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from exclave.authority.charter import parse_charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.orders import Lockdown, parse_order
from exclave.clock import now
from exclave.errors import ExclaveError, VaultUnreachable
from exclave.ids import MissionId, Seat, StatementHash
from exclave.vault.interface import (
    MissionStatus,
    PublicRecord,
    State,
    StatementState,
    VaultRefused,
)
from exclave.wiring.orders import make_order, send_statement
from exclave.wiring.seats import SeatNotInUse, ask_records, each_seat
from tools import vector_authority
from tools.vector_cases import drawn

LAW = parse_charter(
    vector_authority.sign(Kind.CHARTER, vector_authority.charter(), ["anna", "bela"])
)


@dataclass(slots=True)
class FakeRecord:
    """A vault that takes what is submitted, or fails."""

    seat: Seat
    fails: ExclaveError | None = None
    taken: list[bytes] = field(default_factory=list)

    async def submit(self, envelope: bytes) -> StatementState:
        """Take it."""
        if self.fails is not None:
            raise self.fails
        self.taken.append(envelope)
        statement = parse_envelope(envelope).statement_hash
        return StatementState(state=State.LOGGED, statement=statement, entry=len(self.taken))

    async def checkpoint(self) -> bytes:
        """Not asked for."""
        raise AssertionError

    async def cosigned(self) -> bytes:
        """Not asked for."""
        raise AssertionError

    async def witness_head(self, log: Seat) -> bytes:
        """Not asked for."""
        raise AssertionError(log)

    async def tile(self, path: str) -> bytes:
        """Not asked for."""
        raise AssertionError(path)

    async def body(self, sha256: bytes) -> bytes:
        """Not asked for."""
        raise AssertionError(sha256)

    async def status(self) -> MissionStatus:
        """Not asked for."""
        raise AssertionError

    async def receipt(self, entry_type: str, sha256: bytes) -> str:
        """Not asked for."""
        raise AssertionError(entry_type, sha256)

    async def statement(self, statement: StatementHash) -> StatementState:
        """Not asked for."""
        raise AssertionError(statement)


def lockdown() -> Envelope:
    """A lockdown of the vectors' mission."""
    return make_order(
        LAW,
        lambda head: Lockdown(head=head),
        reason="test",
        issued=now(),
        random=lambda size: drawn("nonce", size),
    )


def test_each_answers_for_itself() -> None:
    """One takes it, one refuses, one is away."""
    records: list[PublicRecord] = [
        taking := FakeRecord(Seat(1)),
        FakeRecord(Seat(2), VaultRefused("seat 2: no", cause="quota", status=429)),
        FakeRecord(Seat(3), VaultUnreachable("seat 3: no answer")),
    ]
    data = lockdown().to_bytes()
    answers = asyncio.run(ask_records(records, lambda record: record.submit(data)))
    first = answers[Seat(1)]
    assert isinstance(first, StatementState)
    assert (first.state, taking.taken) == (State.LOGGED, [data])
    assert (answers[Seat(2)], answers[Seat(3)]) == ("seat 2: no", "seat 3: no answer")


def test_an_order_is_made_under_the_charter() -> None:
    """Its head names mission and charter; its nonce is what was drawn."""
    order = parse_order(lockdown())
    assert order.head.mission == LAW.mission_id
    assert order.head.charter == LAW.statement_hash
    assert order.head.nonce == drawn("nonce", 16)


def test_a_seat_that_is_not_there() -> None:
    """Named, with those that are."""
    with pytest.raises(SeatNotInUse) as caught:
        each_seat(LAW, lambda record: record.submit(b""), seats=[Seat(9)])
    assert caught.value.hint == "seats in use: 1"


def test_a_safe_is_told_and_not_asked() -> None:
    """No line to it: somebody carries the file there."""
    payload = vector_authority.charter()
    payload["seats"][0].update(type="safe", addresses=[])
    law = parse_charter(vector_authority.sign(Kind.CHARTER, payload, ["anna", "bela"]))
    answers = each_seat(law, lambda record: record.submit(b""))
    assert answers == {Seat(1): "has no address: carry the file to it (exclave vault submit)"}


def test_a_statement_of_another_mission_is_not_sent() -> None:
    """Found out here, not at the vaults."""
    payload = vector_authority.warrant(MissionId(bytes(32)).hex(), "11" * 32)
    warrant = vector_authority.sign(Kind.WARRANT, payload, [])
    with pytest.raises(MissionMismatch):
        send_statement(warrant, LAW)
