"""Three vaults in memory that witness and mirror each other, and a monitor that looks at them.

    seats = WatchedSeats()             # freshness 60 s, so that a heartbeat is 15 s
    seats.spread(seats.record())       # a statement at every vault
    seats.meet()                       # a round of cosigning, everybody with everybody
    seats.pass_time(30)
    assert seats.look() == []          # findings; remembers what it saw

`seats.sources[2]` is what a reader gets from seat 2: replace its methods to lie. `snapshot` and
`restore` put a vault's disk back to an earlier state.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import timedelta

from exclave.authority.envelope import Envelope
from exclave.authority.orders import Lockdown, Order, OrderHead, order_payload
from exclave.engine.interface import ObjectKey
from exclave.engine.memory import MemoryEngine
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, origin_for, parse_checkpoint, sign_checkpoint
from exclave.ledger.note import NoteSignature, NoteSigner, parse_note
from exclave.ledger.witness import AddCheckpoint, Answer
from exclave.monitor.judging import Judgement, judge
from exclave.monitor.looking import look
from exclave.monitor.memory import Memory, memory_bytes, parse_memory
from exclave.monitor.values import Finding, Level
from exclave.vault.interface import MissionStatus, VaultRefused
from exclave.vault.kept.storage import COSIGNED, body_key, read_optional
from exclave.vault.line.problems import refused
from exclave.vault.mission.cosigning import (
    head_of,
    keep_cosigned,
    own_lines,
    request_for,
    witness_checkpoint,
)
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.keeping import Hands
from tests.support.serving import open_mission, passed
from tests.support.vault_world import SEATS, START, World, new_world

__all__ = ["SeatSource", "WatchedSeats"]


class SeatSource:
    """What everybody can ask of a mission, answered from its store as the public listener does."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission
        self.seat = mission.seat

    async def checkpoint(self) -> bytes:
        return self.mission.log.note

    async def cosigned(self) -> bytes:
        note = read_optional(self.mission.store, COSIGNED)
        if note is None:
            raise refused("not-found", "no witness quorum cosigned this log yet")
        return note

    async def witness_head(self, log: Seat) -> bytes:
        note = self.mission.witnessing.newest(origin_for(self.mission.mission, log))
        if note is None:
            raise refused("not-found", "cosigned none")
        return note

    async def tile(self, path: str) -> bytes:
        return self.mission.store.get(f"log/{path}")

    async def body(self, sha256: bytes) -> bytes:
        return self.mission.store.get(body_key(sha256))

    async def status(self) -> MissionStatus:
        return self.mission.status()


class WatchedSeats:
    """See the module."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or new_world()
        self.now = Hands()
        self.stores = {seat: MemoryEngine() for seat in SEATS}
        self.missions = {seat: self._open(seat) for seat in SEATS}
        self.sources = {seat: SeatSource(mission) for seat, mission in self.missions.items()}
        self.memory = Memory(mission=self.world.mission)
        self.meet()

    def _open(self, seat: Seat) -> Mission:
        return open_mission(self.world, self.stores[seat], seat=seat, now=self.now)

    # Vaults

    def meet(self, *seats: int) -> None:
        """Every log is cosigned by every seat, or by these alone; logged as witnessed if due."""
        chosen = [Seat(seat) for seat in seats] or list(SEATS)
        for _ in range(2):  # the second covers the `witnessed` entries of the first
            for seat in chosen:
                mission = self.missions[seat]
                head = head_of(mission)
                lines = list(own_lines(mission, head))
                for fellow in chosen:
                    if fellow != seat:
                        lines += self._ask(mission, self.missions[fellow])
                keep_cosigned(mission, head, lines)

    @staticmethod
    def _ask(mission: Mission, fellow: Mission) -> Sequence[NoteSignature]:
        head = head_of(mission)
        kept = fellow.witnessing.newest(head.checkpoint.origin)
        old = 0 if kept is None else parse_checkpoint(parse_note(kept).text).size
        found = witness_checkpoint(fellow, request_for(mission, head, old))
        assert found.decision.answer is Answer.COSIGNED, found.decision
        return found.lines

    def spread(self, statement: bytes, *seats: int) -> None:
        """A statement is handed in at every seat, or at these alone."""
        for seat in seats or SEATS:
            submit(self.missions[Seat(seat)], statement)

    def pass_time(self, seconds: float, *, service: bool = True) -> None:
        """Let the clock run, and the vaults with it."""
        self.now.time += timedelta(seconds=seconds)
        for mission in self.missions.values() if service else ():
            passed(mission, timedelta(seconds=seconds))

    def snapshot(self, seat: int) -> dict[ObjectKey, bytes]:
        """A vault's disk."""
        return dict(self.stores[Seat(seat)]._seen)

    def restore(self, seat: int, disk: dict[ObjectKey, bytes]) -> None:
        """A vault's disk is put back, and the vault started again."""
        number = Seat(seat)
        store = self.stores[number] = MemoryEngine()
        store._seen = dict(disk)
        store._durable = dict(store._seen)
        self.missions[number] = self._open(number)
        self.sources[number] = SeatSource(self.missions[number])

    # Statements

    def record(self) -> bytes:
        """A new deposit's record."""
        return self.world.signed(self.world.deposit()[0])

    def head(self) -> OrderHead:
        """The head of an order."""
        return OrderHead(
            mission=self.world.mission,
            charter=self.world.charter.statement_hash,
            nonce=os.urandom(16),
            issued=START,
            reason="a test",
        )

    def order(self, order: Order, people: Sequence[int] = (0, 1)) -> bytes:
        """An order signed by officials."""
        envelope = Envelope(payload=order_payload(order), kind=order.kind)
        return self.world.officials_sign(envelope, people).to_bytes()

    def lockdown(self) -> bytes:
        """A lockdown by one person."""
        return self.order(Lockdown(head=self.head()), (0,))

    def note(self, seat: int, size: int, root: bytes) -> bytes:
        """A checkpoint that the log key of a seat signs, whatever it says."""
        number = Seat(seat)
        key, name = self.world.vaults[number].log, origin_for(self.world.mission, number)
        signer = NoteSigner(name=name, public_key=key.public.raw, sign=key.sign)
        return sign_checkpoint(Checkpoint(origin=name, size=size, root=root), signer)

    def show_witness(self, witness: int, note: bytes) -> None:
        """Bring a checkpoint to a witness."""
        request = AddCheckpoint(old=0, proof=(), note=note).encode()
        witness_checkpoint(self.missions[Seat(witness)], request)

    # The monitor

    def judge(self) -> Judgement:
        """Look and judge; what was seen is remembered in the stored form."""
        sight = asyncio.run(
            look(
                list(self.sources.values()),  # type: ignore[arg-type]
                self.world.mission,
                memory=self.memory,
                clock=self.now,
            )
        )
        found = judge(sight)
        self.memory = parse_memory(memory_bytes(found.memory), self.world.mission)
        return found

    def look(self) -> list[Finding]:
        """Findings that matter."""
        return [item for item in self.judge().findings if item.level is not Level.INFO]

    def forget(self) -> None:
        """A monitor that has never looked."""
        self.memory = Memory(mission=self.world.mission)

    def causes(self) -> list[tuple[int | None, str]]:
        """What is found, shortly: seat and cause."""
        return sorted((item.seat or 0, item.cause.value) for item in self.look())


def gone(*_: object) -> VaultRefused:
    """What a vault says of what it does not have."""
    return refused("not-found", "not here")
