"""P3 and P13 of agreements: an agreement gates what is new, and neither state makes it alone.

The attackers' powers, one at a time:
- the receiving state: its key, the vault's own keys and identity, and every statement ever made; it
  wants what is lodged gone or shut, or the terms weaker;
- the sending state: every official's keys and a quorum of each roster, which may change the charter
  and pin keys of its own there; it wants deposits at a host that agreed to nothing;
- both in another mission, at the same vault, with the same keys.
None may change a stored byte, keep a released reader from reading, weaken what is in force, or get
a shard in without the other state's signature. Positive control: both together do.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from exclave import clock
from exclave.authority.agreement import Agreement
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.authority.orders import order_payload
from exclave.authority.record import DepositRecord
from exclave.engine.file import FileEngine
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.vault.client.client import HttpVault
from exclave.vault.interface import State, VaultRefused
from exclave.vault.line.identity import new_identity
from exclave.vault.mission.sweeper import sweep
from tests.support.agreements import BOTH, agreement, next_version, signed, terminate
from tests.support.serving import SEAT, Served, passed, serving
from tests.support.vault_world import Pack, World, new_world, next_charter

FAR = timedelta(days=3650)


def engine_at(folder: Path) -> FileEngine:
    """A new store."""
    for place in (folder, folder.with_name(f"{folder.name}-tmp")):
        place.mkdir()
    return FileEngine(folder, folder.with_name(f"{folder.name}-tmp"))


def objects(folder: Path) -> dict[str, bytes]:
    """Shards and bodies by name."""
    found = itertools.chain((folder / "shards").rglob("*"), (folder / "bodies").rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if path.is_file()}


async def put(vault: HttpVault, packs: Sequence[Pack]) -> str | None:
    """Store this seat's shards; the cause of the first refusal, None when all were taken."""
    for pack in packs:
        shard = pack.shards[SEAT]
        try:
            await vault.put_shard(shard.root, [shard.prefix(), shard.body])
        except VaultRefused as error:
            return error.cause
    return None


@dataclass(kw_only=True)
class Scene:
    """A deposit under an agreement, at a vault that asks for one."""

    served: Served
    world: World
    first: Agreement
    record: DepositRecord
    packs: list[Pack]

    async def reads(self) -> bool:
        """Whether a reader under a released warrant gets every shard, byte for byte."""
        reader = new_identity("reader", clock.now())
        vault = self.served.client(reader)
        answer = await vault.submit(self.world.warrant(reader))
        assert answer.state is State.RELEASED
        shards = [pack.shards[SEAT] for pack in self.packs]
        return [await vault.get_shard(s.root) for s in shards] == [s.encode() for s in shards]

    def next_deposit(self) -> tuple[DepositRecord, list[Pack]]:
        """One that follows the lodged one."""
        packs, named = [self.world.pack()], self.record.manifest_packs
        live = [pack.root for pack in self.packs]
        record = self.world.record(packs, previous=self.record, live=live, manifest_packs=named)
        return record, packs

    async def new_deposit(self) -> str | None:
        """The cause why a new deposit is refused, None when it is lodged."""
        record, packs = self.next_deposit()
        cause = await put(self.served.depositor, packs)
        state = (await self.served.depositor.submit(self.world.signed(record))).state
        assert state is (State.LODGED if cause is None else State.PENDING)
        if cause is None:
            self.record, self.packs = record, [*self.packs, *packs]
        return cause


async def scene(served: Served, world: World) -> Scene:
    """Positive control: what both states signed lets a deposit in."""
    first = agreement(world)
    await served.depositor.submit(signed(world, first))
    record, packs = world.deposit()
    assert await put(served.depositor, packs) is None
    lodged = await served.depositor.submit(world.signed(record))
    assert lodged.state is State.LODGED
    return Scene(served=served, world=world, first=first, record=record, packs=packs)


def asking(world: World, engine: FileEngine):  # type: ignore[no-untyped-def]
    """A vault whose folder names its state's key."""
    return serving(world, engine, agreement_key=world.vaults[SEAT].state.public.key_id)


def test_what_ends_deletes_nothing_and_blocks_no_reading(tmp_path: Path) -> None:
    """Terminated by either state: stored bytes stay, warranted reads go on."""

    async def body(folder: Path, hosts: tuple[int, ...], people: tuple[int, ...]) -> None:
        world = new_world()
        async with asking(world, engine_at(folder)) as served:
            lodged = await scene(served, world)
            before = objects(folder)
            end = terminate(world, lodged.first)
            await served.depositor.submit(signed(world, end, people, hosts))
            passed(served.mission, FAR)
            assert await lodged.new_deposit() == "agreement-terminated"
            assert sweep(served.mission).released == ()
            served.mission.rebuild()
            served.mission.watch()
            assert sweep(served.mission).released == ()
            after = objects(folder)
            assert {name: after.get(name) for name in before} == before
            assert await lodged.reads()
            assert served.mission.status().shards == len(lodged.packs)

    asyncio.run(body(tmp_path / "host", (1,), ()))
    asyncio.run(body(tmp_path / "home", (), BOTH))


def test_statements_logs_and_witnessing_do_not_ask_for_one(tmp_path: Path) -> None:
    """A vault without any agreement takes every statement, and shows its whole log."""

    async def body() -> None:
        world = new_world()
        async with asking(world, engine_at(tmp_path / "m")) as served:
            vault = served.depositor
            record, _ = world.deposit()
            assert (await vault.submit(world.signed(record))).state is State.PENDING
            charter = next_charter(world, notice="later")[1]
            assert (await vault.submit(charter)).state is State.EFFECTIVE
            status = await vault.status()
            assert status.log_size == 3
            assert await vault.checkpoint()

    asyncio.run(body())


def test_the_host_alone_weakens_nothing(tmp_path: Path) -> None:
    """Nor does it make terms: with every key that it has, and old signatures of the other state."""

    async def body() -> None:
        world = new_world()
        async with asking(world, engine_at(tmp_path / "m")) as served:
            lodged = await scene(served, world)
            vault, first = served.client(world.vaults[SEAT].identity), lodged.first
            for version in (
                next_version(world, first, notice=0),
                next_version(world, first, capacity=1),
                next_version(world, first, capacity=2**50),
                agreement(world, capacity=1),
            ):
                try:
                    answer = await vault.submit(signed(world, version, ()))
                except ExclaveError:
                    continue
                assert answer.state is State.INCOMPLETE
            assert await lodged.new_deposit() is None
            assert await lodged.reads()
            await vault.submit(signed(world, terminate(world, first), (), (1,)))
            assert await lodged.new_deposit() is None, "its notice runs"

    asyncio.run(body())


def test_both_together_weaken_nothing_that_is_in_force(tmp_path: Path) -> None:
    """A new version only strengthens, whoever signs it."""

    async def body() -> None:
        world = new_world()
        async with asking(world, engine_at(tmp_path / "m")) as served:
            lodged = await scene(served, world)
            longer = replace(lodged.first.witness, freshness=3600)
            for changes in ({"notice": 0}, {"capacity": 1}, {"witness": longer}):
                weaker = next_version(world, lodged.first, **changes)
                try:
                    await served.depositor.submit(signed(world, weaker))
                except ExclaveError:
                    continue
                raise AssertionError(changes)
            assert await lodged.new_deposit() is None

    asyncio.run(body())


def test_the_sending_state_alone_gets_nothing_in(tmp_path: Path) -> None:
    """Not with every official, and not by a charter that names itself as the host."""

    async def body() -> None:
        world = new_world()
        async with asking(world, engine_at(tmp_path / "m")) as served:
            vault = served.depositor
            _, packs = world.deposit()
            await vault.submit(signed(world, agreement(world), range(7), ()))
            assert await put(vault, packs) == "agreement-incomplete"
            own = world.vaults[Seat(3)].state.public
            seats = tuple(
                replace(seat, agreement=bytes.fromhex(own.key_id)) for seat in world.charter.seats
            )
            await vault.submit(next_charter(world, seats=seats)[1])
            forged = agreement(world, key=own)
            answer = await vault.submit(signed(world, forged, BOTH, (3,)))
            assert answer.state is State.EFFECTIVE, "by the charter it is one"
            assert await put(vault, packs) == "agreement-unmet"
            assert served.mission.status().shards == 0

    asyncio.run(body())


def test_another_missions_agreement_opens_nothing(tmp_path: Path) -> None:
    """Same vault, same officials, same keys: what both signed for A is nothing in B."""

    async def body() -> None:
        world, other = new_world(), new_world()
        for seat, party in other.vaults.items():
            assert party.state.public != world.vaults[seat].state.public
        async with asking(world, engine_at(tmp_path / "m")) as served:
            vault = served.depositor
            foreign = agreement(other)
            for hosts in ((1,), ()):
                with pytest.raises(VaultRefused) as refused:
                    await vault.submit(signed(other, foreign, BOTH, hosts))
                assert refused.value.cause == "conflict"
            # Its signatures under the same terms of this mission.
            moved = replace(foreign, head=replace(foreign.head, mission=world.mission))
            kept = parse_envelope(signed(other, foreign)).signatures
            payload = order_payload(replace(moved, key=world.vaults[SEAT].state.public))
            with pytest.raises(VaultRefused) as refused:
                await vault.submit(
                    Envelope(payload=payload, kind=moved.kind, signatures=kept).to_bytes()
                )
            assert refused.value.cause == "signature"
            assert await put(vault, world.deposit()[1]) == "no-agreement"

    asyncio.run(body())


def test_staged_shards_are_not_lodged_once_it_has_ended(tmp_path: Path) -> None:
    """Else whoever filled the staging first could lodge for ever."""

    async def body() -> None:
        world = new_world()
        async with asking(world, engine_at(tmp_path / "m")) as served:
            lodged = await scene(served, world)
            record, packs = lodged.next_deposit()
            assert await put(served.depositor, packs) is None
            end = terminate(world, lodged.first)
            await served.depositor.submit(signed(world, end, (), (1,)))
            passed(served.mission, FAR)
            answer = await served.depositor.submit(world.signed(record))
            assert answer.state is State.PENDING

    asyncio.run(body())
