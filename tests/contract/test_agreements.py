"""A vault that asks for an agreement: what it refuses without one, and that all else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exclave.authority.envelope import Signature, parse_envelope
from exclave.engine.file import FileEngine
from exclave.ids import MissionId, Seat
from exclave.vault.installation.at_hand import VaultAtHand
from exclave.vault.interface import State
from exclave.vault.kept.storage import ObjectStore
from exclave.vault.mission.submission import submit
from tests.contract.test_vault import file_store, parts, put_all, refusal
from tests.support.agreements import (
    BOTH,
    agreement,
    head,
    next_version,
    signed,
    statement_of,
    terminate,
)
from tests.support.serving import SEAT, open_mission, passed, serving
from tests.support.vault_world import START, World, new_world, next_charter


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def store(tmp_path: Path) -> FileEngine:
    return file_store(tmp_path)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def asking(world: World, store: ObjectStore) -> Any:
    """A served vault whose folder names the receiving state's key."""
    return serving(world, store, agreement_key=world.vaults[SEAT].state.public.key_id)


def test_without_one_nothing_new_is_stored_and_everything_else_goes_on(
    world: World, store: FileEngine
) -> None:
    """The record is logged, for the fellows and for later, and says why it waits."""

    async def body() -> None:
        async with asking(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit()
            async with refusal("no-agreement"):
                await vault.put_shard(*parts(packs[0]))
            assert (await vault.submit(world.signed(record))).state is State.PENDING
            status = await vault.status()
            assert "expected an agreement of both states" in (status.records[0].reason or "")
            assert status.shards == 0
            reader = world.vaults[Seat(2)].identity  # some certificate
            assert (await vault.submit(world.warrant(reader))).state is State.RELEASED
            await vault.submit(signed(world, agreement(world)))
            await put_all(vault, packs)
            assert (await vault.statement(record.statement_hash)).state is State.LODGED

    run(body())


def test_each_cause_has_its_name(world: World, store: FileEngine) -> None:
    """One signature missing, not begun, run out, not kept, full, terminated."""

    async def body() -> None:
        async with asking(world, store) as served:
            vault = served.depositor
            _, packs = world.deposit()
            put = parts(packs[0])
            half = agreement(world)
            for people, hosts in (((), (1,)), ((0,), (1,))):
                await vault.submit(signed(world, half, people, hosts))
                async with refusal("agreement-incomplete"):
                    await vault.put_shard(*put)
            later = START + timedelta(days=900)
            first = agreement(world, since=later, capacity=1, retention=36_500)
            answer = await vault.submit(signed(world, first))
            assert answer.state is State.EFFECTIVE
            async with refusal("agreement-not-begun"):
                await vault.put_shard(*put)
            begun = next_version(world, first, since=START - timedelta(days=9))
            await vault.submit(signed(world, begun))
            async with refusal("agreement-unmet"):
                await vault.put_shard(*put)
            await vault.submit(signed(world, terminate(world, begun)))
            full = agreement(world, capacity=1)
            await vault.submit(signed(world, full))
            async with refusal("agreement-capacity"):
                await vault.put_shard(*put)
            roomy = next_version(world, full, capacity=2**40)
            await vault.submit(signed(world, roomy))
            assert await vault.put_shard(*put)
            await vault.submit(signed(world, terminate(world, roomy)))
            assert await vault.put_shard(*parts(packs[1]))  # its notice runs
            passed(served.mission, timedelta(seconds=60))
            _, more = world.deposit()
            async with refusal("agreement-terminated"):
                await vault.put_shard(*parts(more[0]))

    run(body())


def test_what_has_run_out(world: World, store: FileEngine) -> None:
    """By expiry time, which no clock moves."""

    async def body() -> None:
        async with asking(world, store) as served:
            vault = served.depositor
            _, packs = world.deposit()
            over = agreement(world, until=START - timedelta(hours=1))
            await vault.submit(signed(world, over))
            async with refusal("agreement-expired"):
                await vault.put_shard(*parts(packs[0]))
            await vault.submit(signed(world, next_version(world, over, until=None)))
            assert await vault.put_shard(*parts(packs[0]))

    run(body())


def test_what_is_not_taken(world: World, store: FileEngine) -> None:
    """Of another mission, of another host, by a bad signature, weaker, or too early."""

    async def body() -> None:
        async with asking(world, store) as served:
            vault = served.depositor
            strange = world.vaults[Seat(2)].state.public
            other = replace(head(world), mission=MissionId(bytes(32)))
            foreign = signed(world, agreement(world, head=other))
            async with refusal("conflict"):
                await vault.submit(foreign)
            async with refusal("not-open"):
                await vault.submit(signed(world, agreement(world, key=strange)))
            good = agreement(world)
            key = world.vaults[SEAT].state
            half = parse_envelope(signed(world, good, BOTH, ()))
            bad = Signature(key.public.key_id, key.sign(b"something else"))
            both = sorted([*half.signatures, bad], key=lambda item: item.key_id)
            tampered = replace(half, signatures=tuple(both))
            async with refusal("signature"):
                await vault.submit(tampered.to_bytes())
            async with refusal("not-open"):
                await vault.submit(signed(world, next_version(world, good)))
            await vault.submit(signed(world, good))
            async with refusal("conflict"):
                await vault.submit(signed(world, next_version(world, good, notice=0)))
            async with refusal("quorum"):
                await vault.submit(signed(world, terminate(world, good), (), (2,)))

    run(body())


def test_the_charter_may_ask_too(store: FileEngine) -> None:
    """Then a vault without a folder's mark asks as well; nobody's mark is needed for that."""
    plain = new_world()
    settings = replace(plain.charter.settings, agreements_required=True)

    async def body() -> None:
        async with serving(plain, store) as served:
            vault = served.depositor
            _, packs = plain.deposit()
            assert await vault.put_shard(*parts(packs[0]))
            await vault.submit(next_charter(plain, settings=settings)[1])
            async with refusal("no-agreement"):
                await vault.put_shard(*parts(packs[1]))
            await vault.submit(signed(plain, agreement(plain)))
            assert await vault.put_shard(*parts(packs[1]))

    run(body())


def test_it_holds_across_a_restart_and_an_index_made_again(world: World, store: FileEngine) -> None:
    """It follows from the log; staged shards are not lodged once it has ended."""
    key = world.vaults[SEAT].state.public.key_id
    mission = open_mission(world, store, agreement_key=key)
    vault = VaultAtHand(SEAT, _Opened(mission), identity=world.depositor.identity.certificate)

    async def before() -> None:
        record, packs = world.deposit()
        first = agreement(world, notice=0)
        await vault.submit(signed(world, first))
        await put_all(vault, packs)  # type: ignore[arg-type]
        end = await vault.submit(signed(world, terminate(world, first), (), (1,)))
        assert end.state is State.EFFECTIVE
        assert (await vault.submit(world.signed(record))).state is State.PENDING
        async with refusal("agreement-terminated"):
            await vault.put_shard(*parts(world.deposit()[1][0]))

    run(before())
    dump = mission.index.dump()
    again = open_mission(world, store, agreement_key=key)
    assert again.index.dump() == dump
    assert "terminated" in (again.status().records[0].reason or "")
    new = agreement(world)
    submit(again, signed(world, new))
    assert again.status().records[0].state is State.LODGED
    assert statement_of(new) in again.standing().items


class _Opened:
    def __init__(self, mission: Any) -> None:
        self._mission = mission

    def __call__(self) -> Any:
        return self

    def __enter__(self) -> Any:
        return self._mission

    def __exit__(self, *_: object) -> None:
        pass
