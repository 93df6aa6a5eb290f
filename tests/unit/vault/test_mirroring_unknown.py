"""Mirroring to a fellow whose program is older: what it does not know waits, and is not lost.

The fellow is this program with a kind of statement taken out: it refuses that one as a vault of the
version before does. Later it is upgraded: the kind is put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.certificate.sealed import attest
from exclave.engine.memory import MemoryEngine
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.ledger.entry import EntryType
from exclave.vault.interface import StatementState
from exclave.vault.line.problems import as_refusal
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.vault.server import mirror
from exclave.vault.server.mirror import position_of
from tests.support.certificates import make_proof, signed_proof
from tests.support.serving import open_mission
from tests.support.vault_world import START, World, new_world

T = TypeVar("T")
ONE, TWO = Seat(1), Seat(2)


class Hosting:
    """Runs what a vault runs in its threads, here and now."""

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """As in `exclave.vault.server.hosting.Hosting`."""
        return function(*arguments)


class Fellow:
    """Seat 2, which does not know attestations until it is upgraded."""

    seat = TWO

    def __init__(self, world: World) -> None:
        self.mission = open_mission(world, MemoryEngine(), seat=TWO)
        self.old = True
        self.refused = 0

    async def submit(self, body: bytes) -> StatementState:
        """As a vault answers: with a refusal of its table."""
        kinds = set(Kind) - ({Kind.ATTESTATION} if self.old else set())
        try:
            parse_envelope(body, kinds=kinds)
            return submit(self.mission, body)
        except ExclaveError as error:
            self.refused += 1
            raise as_refusal(error) from error

    def count(self, kind: EntryType) -> int:
        """Entries of a type in its log."""
        return len(self.mission.index.numbers_of({kind}))


@pytest.fixture
def world() -> World:
    return new_world()


def attested(world: World) -> Envelope:
    proof = signed_proof(world, make_proof(world))
    return world.depositor.sign(attest(proof, world.charter, depositor="home", now=START))


def round_of(source: Mission, fellow: Fellow, course: mirror._Course) -> None:
    """One round of mirroring."""
    asyncio.run(mirror._send_from(Hosting(), source, fellow, course))  # type: ignore[arg-type]


def test_what_a_fellow_does_not_know_yet_waits_and_holds_up_nothing(world: World) -> None:
    source, fellow, course = open_mission(world, MemoryEngine(), seat=ONE), Fellow(world), None
    for _ in range(3):
        submit(source, attested(world).to_bytes())
    record, _ = world.deposit()
    submit(source, world.signed(record))
    course = mirror._Course(0)
    round_of(source, fellow, course)
    assert fellow.count(EntryType.RECORD) == 1, "it went past what has to wait"
    assert (fellow.count(EntryType.ATTESTATION), len(course.late)) == (0, 3)
    # Each was offered; from then on one speaks for all of its kind.
    before = fellow.refused
    round_of(source, fellow, course)
    assert fellow.refused == before + 1
    # A restart begins with the first that waits.
    assert position_of(source, TWO) == min(course.late)
    course = mirror._Course(position_of(source, TWO))
    round_of(source, fellow, course)
    assert (fellow.count(EntryType.ATTESTATION), len(course.late)) == (0, 3)

    fellow.old = False
    round_of(source, fellow, course)
    assert (fellow.count(EntryType.ATTESTATION), len(course.late)) == (3, 0)
    assert position_of(source, TWO) == source.log.size
    round_of(source, fellow, course)
    assert fellow.count(EntryType.ATTESTATION) == 3, "none of them twice"
