"""What every vault must do, over the line to a real server and, for reading, from its folder."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exclave.authority.charter_settings import Quotas
from exclave.dispersal.sealed_shard import seal_shard
from exclave.dispersal.shard import Shard
from exclave.engine.file import FileEngine
from exclave.engine.memory import MemoryEngine
from exclave.errors import IntegrityError, VaultUnreachable
from exclave.ids import DepositId, MissionId, Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.receipt import parse_receipt, verify_receipt
from exclave.vault.buffers import ShardBuffers
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import Limits
from exclave.vault.interface import State, VaultRefused
from exclave.vault.kept.folder import FolderVault, ObjectCorrupt
from exclave.vault.kept.fsck import check_objects
from exclave.vault.kept.storage import ObjectStore, body_key, shard_key
from exclave.vault.line.identity import new_identity
from exclave.vault.survey.survey import survey
from tests.support.serving import SEAT, Served, serving
from tests.support.vault_world import START, Pack, World, new_world, next_charter

MakeStore = Callable[[], ObjectStore]


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "memory":
        return MemoryEngine()
    return file_store(tmp_path)


def file_store(tmp_path: Path) -> FileEngine:
    folder, tmp = tmp_path / "mission", tmp_path / "tmp"
    folder.mkdir()
    tmp.mkdir()
    return FileEngine(folder, tmp)


@pytest.fixture(scope="module")
def world() -> World:
    return new_world()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def parts(pack: Pack, seat: Seat = SEAT) -> tuple[ShardRoot, list[bytes | memoryview]]:
    shard = pack.shards[seat]
    return shard.root, [shard.prefix(), shard.body]


async def put_all(vault: HttpVault, packs: list[Pack]) -> None:
    for pack in packs:
        assert await vault.put_shard(*parts(pack))


@asynccontextmanager
async def refusal(cause: str) -> AsyncIterator[None]:
    with pytest.raises(VaultRefused) as caught:
        yield
    assert caught.value.cause == cause, caught.value.message


def buffers(size: int) -> ShardBuffers:
    return ShardBuffers(memoryview(bytearray(128)), memoryview(bytearray(size - 128)))


async def reads_unchecked(store: HttpVault | FolderVault, shard: Shard) -> None:
    into = buffers(shard.size)
    await store.read_unchecked(shard.root, into)
    assert bytes(into.prefix) + bytes(into.body) == shard.encode()
    for wrong in (shard.size - 1, shard.size + 1):
        with pytest.raises(IntegrityError, match=f"expected {wrong} bytes"):
            await store.read_unchecked(shard.root, buffers(wrong))


def test_a_deposit_is_lodged_when_its_shards_are_there(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit()
            answer = await vault.submit(world.signed(record))
            assert answer.state is State.PENDING
            wanted = await vault.missing(record.statement_hash)
            assert set(wanted) == {pack.shards[SEAT].root for pack in packs}
            await put_all(vault, packs)
            assert await vault.missing(record.statement_hash) == ()
            assert (await vault.statement(record.statement_hash)).state is State.LODGED
            status = await vault.status()
            assert (status.shards, status.staged_bytes, status.log_size) == (2, 0, 3)

    run(body())


def test_shards_first_lodges_at_once_and_again_is_success(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit()
            await put_all(vault, packs)
            assert (await vault.status()).staged_bytes > 0
            first = await vault.submit(world.signed(record))
            assert first.state is State.LODGED
            before = await vault.checkpoint()
            assert await vault.submit(world.signed(record)) == first
            assert await vault.put_shard(*parts(packs[0])) is False
            assert await vault.checkpoint() == before

    run(body())


def test_a_sealed_shard_is_opened_by_its_seat(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            shard = world.pack().shards[SEAT]
            key = world.vaults[SEAT].seat_private
            sealed = seal_shard(shard, key.public)
            assert await served.depositor.put_sealed_shard(
                shard.root, [sealed.prefix(), sealed.body]
            )
            assert store.get(shard_key(shard.root)) == shard.encode()
            other = seal_shard(world.pack().shards[SEAT], world.vaults[Seat(2)].seat_private.public)
            async with refusal("hash-mismatch"):
                await served.depositor.put_sealed_shard(
                    ShardRoot(os.urandom(32)), [other.prefix(), other.body]
                )

    run(body())


def test_only_a_released_warrants_reader_reads_only_what_it_names(
    world: World, store: ObjectStore
) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit()
            staged = world.pack()
            await put_all(vault, [*packs, staged])
            await vault.submit(world.signed(record))
            root = packs[0].shards[SEAT].root
            async with refusal("identity"):
                await vault.get_shard(root)  # who wrote it does not read it
            reader, other = new_identity("reader", START), new_identity("reader", START)
            with pytest.raises(VaultUnreachable):
                await served.client(reader).get_shard(root)
            answer = await vault.submit(world.warrant(reader, [record.deposit]))
            assert answer.state is State.RELEASED
            await vault.submit(world.warrant(other, [DepositId(bytes(16))]))
            line = served.client(reader)
            assert await line.get_shard(root) == packs[0].shards[SEAT].encode()
            await reads_unchecked(line, packs[0].shards[SEAT])
            async with refusal("not-released"):
                await line.get_shard(staged.shards[SEAT].root)
            async with refusal("not-released"):
                await line.read_unchecked(staged.shards[SEAT].root, buffers(1000))
            async with refusal("not-released"):
                await served.client(other).get_shard(root)
            async with refusal("identity"):
                await line.put_shard(*parts(world.pack()))

    run(body())


def test_a_warrant_waits_for_signatures_and_for_its_delay(store: ObjectStore) -> None:
    async def body() -> None:
        world = new_world(read_delay=3600)
        async with serving(world, store) as served:
            vault, reader = served.depositor, new_identity("reader", START)
            async with refusal("quorum"):
                await vault.submit(world.warrant(reader, people=()))
            whole = world.warrant(reader, people=(0, 1))
            from exclave.authority.envelope import parse_envelope

            envelope = parse_envelope(whole)
            half = replace(envelope, signatures=envelope.signatures[:1]).to_bytes()
            assert (await vault.submit(half)).state is State.INCOMPLETE
            answer = await vault.submit(whole)
            assert answer.state is State.WAITING
            assert answer.seconds is not None
            # No witness has seen it: three times as long (dark).
            assert 3 * 3590 <= answer.seconds <= 3 * 3600
            # Under the delay it opens nothing, though its reader may connect.
            async with refusal("identity"):
                await served.client(reader).get_shard(ShardRoot(bytes(32)))

    run(body())


def test_pending_records_are_lodged_in_order_when_the_late_one_comes(
    world: World, store: ObjectStore
) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            first, packs = world.deposit()
            manifest = world.pack(3000)
            live = sorted([p.root for p in packs])
            second = world.record(
                [manifest], previous=first, live=live, manifest_packs=first.manifest_packs
            )
            await vault.put_shard(*parts(manifest))
            assert (await vault.submit(world.signed(second))).state is State.PENDING
            await put_all(vault, packs)
            assert (await vault.submit(world.signed(first))).state is State.LODGED
            assert (await vault.statement(second.statement_hash)).state is State.LODGED

    run(body())


def test_forks_are_kept_and_named_conflicts_refused(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit()
            await put_all(vault, packs)
            await vault.submit(world.signed(record))
            fork, more = world.deposit()
            await put_all(vault, more)
            assert (await vault.submit(world.signed(fork))).state is State.FORKED
            assert (await vault.status()).forks == (fork.statement_hash,)
            async with refusal("conflict"):
                await vault.submit(world.signed(replace(fork, deposit=record.deposit)))

    run(body())


def test_what_is_not_rightly_signed_or_foreign_is_refused(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            record, _ = world.deposit()
            data = world.signed(record)
            size = (await vault.status()).log_size
            async with refusal("signature"):
                await vault.submit(replace_signature(data))
            async with refusal("conflict"):
                await vault.submit(world.signed(replace(record, mission=MissionId(bytes(32)))))
            async with refusal("charter-gap"):
                await vault.submit(world.signed(replace(record, charter=StatementHash(bytes(32)))))
            async with refusal("non-canonical"):
                await vault.submit(data + b"\n")
            async with refusal("malformed"):
                await vault.submit(b"{")
            assert (await vault.status()).log_size == size

    run(body())


def replace_signature(data: bytes) -> bytes:
    from exclave.authority.envelope import parse_envelope

    envelope = parse_envelope(data)
    first, second = envelope.signatures
    bad = replace(first, value=bytes(len(first.value)))
    return replace(envelope, signatures=(bad, second)).to_bytes()


def test_bad_shards_leave_nothing(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault, pack = served.depositor, world.pack()
            root, (prefix, data) = parts(pack)
            flipped = bytearray(data)
            flipped[-1] ^= 1
            for bad in ([prefix, flipped], [prefix, data[:-1]], [prefix, data, b"x"], [b""]):
                async with refusal("hash-mismatch"):
                    await vault.put_shard(root, [bytes(part) for part in bad])
            async with refusal("wrong-seat"):
                await vault.put_shard(*parts(pack, Seat(2)))
            assert list(store.keys("shards/")) == []
            assert await vault.put_shard(root, [prefix, data])

    run(body())


def test_quotas_hold(store: ObjectStore) -> None:
    async def body() -> None:
        world = new_world(quotas=Quotas(reserve=0, staging=20_000, staging_days=1), daily=30_000)
        async with serving(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit(20_000)
            await put_all(vault, packs)
            late = world.pack(90_000)  # beyond what one may stage: a day's bytes and `staging`
            async with refusal("quota"):
                await vault.put_shard(*parts(late))
            await vault.submit(world.signed(record))
            assert await vault.put_shard(*parts(late))  # the others are staged no more
            big = world.record(
                [world.pack(60_000)],
                previous=record,
                live=[p.root for p in packs],
                manifest_packs=record.manifest_packs,
            )
            async with refusal("quota"):
                await vault.submit(world.signed(big))

    run(body())


def test_no_space_is_said_and_the_vault_goes_on() -> None:
    async def body() -> None:
        world = new_world(quotas=Quotas(reserve=0, staging=2**30, staging_days=1))
        async with serving(world, MemoryEngine(capacity=60_000)) as served:
            vault = served.depositor
            async with refusal("no-space"):
                await vault.put_shard(*parts(world.pack(200_000)))
            assert await vault.put_shard(*parts(world.pack(1000)))

    run(body())


def test_other_missions_verbs_and_identities(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            stranger = replace(world, envelope=replace(world.envelope, payload=b"x"))
            foreign = Served(world=stranger, mission=served.mission, server=served.server)
            async with refusal("unknown-mission"):
                await foreign.client().checkpoint()
            await foreign.clients[0].close()
            false = new_identity("vault-1", START)
            with pytest.raises(VaultUnreachable, match="pinned"):
                await served.client(anchor=false.certificate).checkpoint()
            public = served.client()
            for verb in ("HEAD", "DELETE", "PUT", "PATCH"):
                async with refusal("method-not-allowed" if verb != "HEAD" else "unavailable"):
                    await public._request(verb, public._public, "log/checkpoint", 1000)
            async with refusal("not-found"):
                await public._get(public._public, f"shards/{'00' * 32}", 1000)

    run(body())


def test_slow_bodies_are_given_up(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store, limits=Limits(idle_seconds=1)) as served:
            stuck = served.client()

            async def trickle() -> AsyncIterator[bytes]:
                yield b"{"
                await asyncio.sleep(3600)

            url = f"{stuck._public}/v2/{world.mission.hex()}/statements"
            async with stuck._open().post(url, data=trickle(), ssl=stuck._context) as answer:
                assert answer.status == 429
            assert (await served.client().status()).log_size == 1

    run(body())


def test_statements_are_limited_by_the_minute(world: World) -> None:
    async def body() -> None:
        async with serving(world, MemoryEngine(), limits=Limits(statements_per_minute=1)) as served:
            vault = served.client()
            causes = []
            for _ in range(3):
                with pytest.raises(VaultRefused) as caught:
                    await vault.submit(b"{")
                causes.append(caught.value.cause)
            assert "rate" in causes

    run(body())


def test_the_log_proves_itself(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit()
            data = world.signed(record)
            await put_all(vault, packs)
            await vault.submit(data)
            verifier = log_verifier(world.mission, SEAT, world.vaults[SEAT].log.public.raw)
            assert open_checkpoint(await vault.checkpoint(), verifier).size == 3
            digest = hashlib.sha256(data).digest()
            assert await vault.body(digest) == data
            for kind in ("record", "lodged"):
                receipt = parse_receipt((await vault.receipt(kind, digest)).encode())
                assert verify_receipt(receipt, verifier).statement == record.statement_hash
            view = await survey([vault], world.mission)
            assert view.seats[0].verified
            assert [d.lodged for d in view.deposits] == [(SEAT,)]
            assert view.deposits[0].live is not None
            assert view.charter == world.charter
            assert view.problems == ()

    run(body())


def test_a_second_charter_is_taken_in_order(world: World, store: ObjectStore) -> None:
    async def body() -> None:
        async with serving(world, store) as served:
            vault = served.depositor
            charter, data = next_charter(world, notice="the second")
            assert (await vault.submit(data)).state is State.EFFECTIVE
            status = await vault.status()
            assert (status.charters, status.charter) == (2, charter.statement_hash)
            _, gap = next_charter(world, version=4)
            async with refusal("charter-gap"):
                await vault.submit(gap)
            other, twin = next_charter(world, notice="another second")
            assert (await vault.submit(twin)).state is State.CONFLICT
            status = await vault.status()
            assert (status.frozen, status.conflicts) == (True, (other.statement_hash,))

    run(body())


def test_a_carried_away_folder_says_the_same(world: World, tmp_path: Path) -> None:
    async def body() -> None:
        store = file_store(tmp_path)
        async with serving(world, store) as served:
            vault = served.depositor
            record, packs = world.deposit()
            await put_all(vault, packs)
            await vault.submit(world.signed(record))
            over_line = await survey([vault], world.mission)
        folder = FolderVault(tmp_path / "mission", world.mission)
        assert folder.seat == SEAT
        view = await survey([folder], world.mission)
        assert (view.deposits, view.chain) == (over_line.deposits, over_line.chain)
        root = packs[0].shards[SEAT].root
        assert await folder.get_shard(root) == packs[0].shards[SEAT].encode()
        await reads_unchecked(folder, packs[0].shards[SEAT])
        digest = hashlib.sha256(view.deposits[0].envelope.to_bytes()).digest()
        assert (
            "lodged"
            in parse_receipt((await folder.receipt("lodged", digest)).encode()).entry.decode()
        )
        async with refusal("method-not-allowed"):
            await folder.submit(b"")
        spoil(tmp_path / "mission" / shard_key(root))
        with pytest.raises(IntegrityError):
            await folder.get_shard(root)
        spoil(tmp_path / "mission" / body_key(digest))
        with pytest.raises(ObjectCorrupt):
            await folder.body(digest)
        damaged = await survey([folder], world.mission)
        assert damaged.problems
        assert damaged.deposits == ()
        report = check_objects(
            store, mission=world.mission, seat=SEAT, log_public=world.vaults[SEAT].log.public.raw
        )
        assert {bad.key for bad in report.bad} == {shard_key(root), body_key(digest)}

    run(body())


def spoil(path: Path) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
