"""A deposit of a made-up world as a bag in memory, and a vault's process that takes it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exclave.authority.envelope import parse_envelope
from exclave.bag.lodging import lodge_bag
from exclave.carried.gathering import Finding
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.dispersal.sealed_shard import seal_shard
from exclave.dispersal.shard import Shard
from exclave.errors import VaultError
from exclave.ids import BagId, Seat, ShardRoot, StatementHash
from exclave.vault.client.local_vault import LocalVault
from exclave.vault.installation.at_hand import VaultAtHand
from exclave.vault.interface import CarriedStore, State, StatementState
from tests.support.serving import SEAT
from tests.support.systrace import Traced
from tests.support.vault_process import RANK, Acknowledged, VaultStage
from tests.support.vault_world import World

__all__ = ["BagInMemory", "LodgingStage", "carried"]


@dataclass(frozen=True, kw_only=True)
class BagInMemory:
    """A `ReadableBag` that is whole."""

    inventory: Inventory
    datas: tuple[bytes, ...]
    findings: tuple[Finding, ...] = ()

    def items(self) -> Iterator[tuple[Item, bytes]]:
        """All of them."""
        yield from zip(self.inventory.items, self.datas, strict=True)


def carried(
    world: World, records: Sequence[bytes], shards: Sequence[Shard], seat: Seat = SEAT
) -> BagInMemory:
    """A bag of these signed records and shards of a seat."""
    key = world.vaults[seat].seat_private
    sealed = {shard.root: seal_shard(shard, key.public) for shard in shards}
    things: list[tuple[ItemClass, bytes, bytes]] = [
        (ItemClass.CHARTER, world.envelope.statement_hash, world.envelope.to_bytes())
    ]
    for data in records:
        things.append((ItemClass.RECORD, parse_envelope(data).statement_hash, data))
    for root, shard in sorted(sealed.items()):
        things.append((ItemClass.SHARD, root, bytes(shard.prefix()) + bytes(shard.body)))
    items = tuple(
        Item(kind=kind, name=name.hex(), size=len(data), hash=hashlib.sha256(data).digest())
        for kind, name, data in things
    )
    inventory = Inventory(
        mission=world.mission,
        bag=BagId(bytes([7]) * 16),
        seat=seat,
        packed=datetime(2026, 3, 1, tzinfo=UTC),
        items=items,
    )
    return BagInMemory(inventory=inventory, datas=tuple(data for _, _, data in things))


@dataclass(frozen=True, kw_only=True)
class _Told:
    """A `CarriedStore` that notes what was acknowledged, and when."""

    vault: CarriedStore
    run: Traced
    acked: Acknowledged

    async def submit(self, envelope: bytes) -> StatementState:
        answer = await self.vault.submit(envelope)
        self._note(answer)
        return answer

    async def statement(self, statement: StatementHash) -> StatementState:
        answer = await self.vault.statement(statement)
        self._note(answer)
        return answer

    async def put_carried_shard(
        self, depositor: str, root: ShardRoot, parts: Sequence[bytes | memoryview]
    ) -> bool:
        new = await self.vault.put_carried_shard(depositor, root, parts)
        self.acked.shards.append((self.run.count, root))
        return new

    def _note(self, answer: StatementState) -> None:
        if answer.state in RANK:  # of a record
            self.acked.states.append((self.run.count, answer.statement, answer.state))


@dataclass(kw_only=True)
class LodgingStage(VaultStage):
    """Both deposits of the stage come in one bag, through the local door."""

    door: Path | None = None

    @property
    def bag(self) -> BagInMemory:
        """Everything that the depositor would send."""
        return carried(self.world, self.envelopes, [s for shards in self.shards for s in shards])

    def more(self, out: Path) -> dict[str, str]:
        """Its door is not in the folder that is watched: a socket is no file."""
        self.door = out / "door"
        self.door.mkdir()
        return {"local": str(self.door)}

    async def send(self, ready: dict[str, str], run: Traced, acked: Acknowledged) -> None:
        """As `exclave bag lodge` does."""
        del ready
        assert self.door is not None
        async with LocalVault(self.door, self.world.mission, SEAT) as vault:
            try:
                lodged = await lodge_bag(self.bag, _Told(vault=vault, run=run, acked=acked))
            except VaultError:
                return  # killed: `run.killed` says so, or the test fails
            acked.done = not lodged.findings

    def complete(self) -> None:
        """The bag is lodged again into the folder, which nobody serves any more."""
        with closing(self.mission()) as mission:
            vault = VaultAtHand(mission.seat, lambda: nullcontext(mission))
            lodged = asyncio.run(lodge_bag(self.bag, vault))
            assert lodged.findings == ()
            assert {state for _, state in lodged.records} == {State.LODGED}
        super().complete()
