"""Proofs and drills of a made-up mission, and who signs them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.record import DepositRecord
from exclave.certificate.drill import Drill, DrilledRegister, drill_envelope
from exclave.certificate.proof import Proof, ProvenRegister, proof_envelope
from exclave.certificate.results import (
    AssertionOutcome,
    CertificateHead,
    RegisterResult,
    Results,
)
from exclave.certificate.standing import (
    HeldDeposit,
    Standing,
    StandingRegister,
    standing_envelope,
)
from exclave.engine.memory import MemoryEngine
from exclave.ids import DepositId, Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.values import replace
from exclave.vault.kept.log import Addition
from exclave.vault.line.identity import new_identity
from tests.support.serving import open_mission
from tests.support.vault_world import SEATS, START, Ed, World, ed, witnessed

__all__ = [
    "Shown",
    "ascending",
    "lodged_receipts",
    "make_drill",
    "make_proof",
    "result",
    "shown",
    "signed_drill",
    "signed_proof",
    "warrant_for",
]

HOLDS = AssertionOutcome(name="owners", held=True, said="t", seconds=0.012)


def result(id: str = "land", **changes: Any) -> RegisterResult:
    """A register that came back whole."""
    whole = RegisterResult(
        id=id,
        title=f"Register {id}",
        captured=START,
        rows=1000,
        files=0,
        objects=3,
        differences=0,
        assertions=(HOLDS,),
    )
    return replace(whole, **changes)


def results(declared: tuple[str, ...] = ("land",), **changes: Any) -> Results:
    """Results of a run that ended a minute after it began."""
    found = Results(
        plan=bytes(32),
        declared=declared,
        deposit=DepositId(b"\x05" * 16),
        record=StatementHash(b"\x06" * 32),
        started=START,
        ended=START + timedelta(seconds=60),
        failure=None,
    )
    return replace(found, **changes)


def head(world: World) -> CertificateHead:
    """Under the world's charter."""
    return CertificateHead(
        mission=world.mission,
        charter=world.envelope.statement_hash,
        salt=os.urandom(32),
        software="exclave/test",
    )


def make_proof(
    world: World, *registers: RegisterResult, ended: datetime | None = None, **changes: Any
) -> Proof:
    """A proof of these registers, or of one."""
    found = registers or (result(),)
    of = results(tuple(item.id for item in found))
    proof = Proof(
        head=head(world),
        depositor="home",
        results=of if ended is None else replace(of, ended=ended),
        registers=tuple(
            ProvenRegister(result=item, from_packs=10, from_source=20) for item in found
        ),
    )
    return replace(proof, **changes)


def signed_proof(world: World, proof: Proof) -> Envelope:
    """By both keys of the depositor."""
    return world.depositor.sign(proof_envelope(proof))


def warrant_for(world: World, reader: Ed, **changes: Any) -> Envelope:
    """A warrant of two officials that names this reader."""
    data = world.warrant(new_identity("reader", START), reader_key=reader.public, **changes)
    return parse_envelope(data, kinds=[Kind.WARRANT])


def make_drill(
    world: World,
    warrant: Envelope,
    *registers: RegisterResult,
    ended: datetime | None = None,
    **changes: Any,
) -> Drill:
    """A drill of these registers, or of one."""
    found = registers or (result(),)
    of = results(tuple(item.id for item in found))
    drill = Drill(
        head=head(world),
        warrant=warrant.statement_hash,
        prepared=START,
        delay=3600,
        results=of if ended is None else replace(of, ended=ended),
        registers=tuple(
            DrilledRegister(
                result=item,
                rto=3600,
                forecast=None,
                restore_ms=1000,
                compare_ms=500,
                work_ms=1600,
                rto_ms=61_600,
            )
            for item in found
        ),
    )
    return replace(drill, **changes)


def signed_drill(drill: Drill, reader: Ed | None = None) -> Envelope:
    """By the reader."""
    reader = reader or ed()
    envelope = drill_envelope(drill)
    return envelope.with_signature(reader.public, reader.sign(envelope.pae))


def lodged_receipts(world: World, record: DepositRecord) -> tuple[tuple[Seat, bytes], ...]:
    """A cosigned receipt of every seat that lodged a record, by a log made for it."""
    found = []
    for seat in SEATS:
        mission = open_mission(world, MemoryEngine(), seat=seat)
        body = world.signed(record)
        for kind in (EntryType.RECORD, EntryType.LODGED):
            addition = Addition(type=kind, statement=record.statement_hash, body=body)
            number = mission.append([addition])[0][0]
        witnessed(world, mission, fellows=[other for other in SEATS if other != seat][:1])
        head = mission.cosigned_head()
        assert head is not None
        found.append((seat, mission.log.receipt(number, head.note)))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An auditor's certificate and what it was made of."""

    world: World
    reader: Ed
    warrant: Envelope
    standing: Standing

    def signed(self, **changes: Any) -> Envelope:
        """By both keys of the depositor, changed before."""
        return self.world.depositor.sign(standing_envelope(replace(self.standing, **changes)))


def shown(world: World) -> Shown:
    """One register that is held at three seats, was proven and was drilled."""
    record, _ = world.deposit(size=2000)
    reader = ed()
    warrant = warrant_for(world, reader)
    proof = signed_proof(world, make_proof(world))
    drill = signed_drill(make_drill(world, warrant), reader)
    register = StandingRegister(
        id="land",
        title="Land register",
        owner="Ministry of Justice",
        classification="restricted",
        rpo=86_400,
        rto=172_800,
        record=record.statement_hash,
        captured=START,
        proof=proof.statement_hash,
        drill=drill.statement_hash,
    )
    return Shown(
        world=world,
        reader=reader,
        warrant=warrant,
        standing=Standing(
            head=head(world),
            depositor="home",
            time=START + timedelta(hours=1),
            plan=bytes(32),
            registers=(register,),
            deposits=(
                HeldDeposit(
                    deposit=record.deposit,
                    record=record.statement_hash,
                    k=2,
                    n=3,
                    held=lodged_receipts(world, record),
                ),
            ),
            statements=ascending(proof, drill, warrant),
        ),
    )


def ascending(*statements: Envelope) -> tuple[Envelope, ...]:
    """As a certificate carries them."""
    return tuple(sorted(statements, key=lambda item: item.statement_hash))
