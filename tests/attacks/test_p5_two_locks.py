"""P5: reading needs two locks at once, the vaults' warrant with its delay and the officials' cards.

The attacker's powers, each in its own tests and never both locks whole:
- coerced few: every signing key of a reading quorum, or of all officials, but too few cards;
- stolen shares: cards enough to recombine the recovery key, so every deposit secret, but no warrant
  that stands now; a warrant of the past, of another deposit, mission or reader he may have;
- every TLS identity of the mission: depositor, all vaults, readers of before, his own;
- the library instead of the commands, and what vaults hold in public: logs, bodies, records.
He does not have the disks of k vaults (with those and the cards everything is open, and the threat
model says so). Positive control: with both locks the same calls give out everything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exclave import clock
from exclave.authority.charter_chain import CharterChain, MissionMismatch, verify_chain
from exclave.authority.charter_parts import RoleName
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.keys import X_WING, TypedKey
from exclave.authority.orders import Lockdown, Veto
from exclave.authority.record import DepositRecord, PackKindName
from exclave.authority.unsealing import UnsealRequest, parse_unseal_request
from exclave.authority.warrant import parse_warrant, warrant_payload
from exclave.engine.memory import MemoryEngine
from exclave.errors import AuthorityError, ExclaveError, QuorumNotReached, VaultUnreachable
from exclave.ids import MissionId, ShardRoot, StatementHash
from exclave.reconstruct.fetch import PackUnavailable
from exclave.reconstruct.plans import open_answer
from exclave.sealing.recovery import XWingPrivateKey
from exclave.shares import SharesTooFew
from exclave.unseal import (
    CardDesk,
    DepositNotWarranted,
    SecretNotWarranted,
    UnsealKeyMismatch,
    WarrantMissing,
    unseal,
)
from exclave.vault.client.client import HttpVault
from exclave.vault.interface import State, VaultRefused
from exclave.vault.line.identity import Identity, new_identity
from tests.support.embassy import Embassy, Reading, found_embassy
from tests.support.pressure import head, later_charter, order, rosters
from tests.support.serving import SEAT, Served, passed, serving
from tests.support.vault_world import SEATS, START, World, ed, new_world, witnessed

HOUR = 3600


# The first lock: vaults, with real listeners


class Hands:
    """The vault's wall clock."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return clock.now() + self.ahead


@dataclass(kw_only=True)
class Vault:
    """One served vault with two deposits; `roots` are its shards of each."""

    served: Served
    now: Hands
    records: list[DepositRecord]
    roots: list[list[ShardRoot]]

    @property
    def world(self) -> World:
        return self.served.world

    async def submit(self, data: bytes) -> State:
        return (await self.served.client().submit(data)).state

    async def refused(self, data: bytes) -> str:
        """The cause for which a statement is not taken; the log does not grow."""
        size = self.served.mission.log.size
        with pytest.raises(VaultRefused) as caught:
            await self.submit(data)
        assert self.served.mission.log.size == size
        return caught.value.cause

    async def open(self, line: HttpVault, deposits: Sequence[int] = (0, 1)) -> bool:
        """Whether all shards of these deposits are given out; none of them, else it fails."""
        answers = {await gets(line, root) for d in deposits for root in self.roots[d]}
        assert len(answers) == 1, "some are given out and some are not"
        return answers.pop()

    def pass_time(self, seconds: float) -> None:
        self.now.ahead += timedelta(seconds=seconds)
        with self.served.mission.lock:
            passed(self.served.mission, timedelta(seconds=seconds))


async def gets(line: HttpVault, root: ShardRoot) -> bool:
    """Whether a shard comes, whole or a part of it: both ways must say the same."""
    whole = part = True
    try:
        await line.get_shard(root)
    except (VaultRefused, VaultUnreachable):
        whole = False
    try:
        url = f"{line._line()}/v2/{line._mission.hex()}/shards/{root.hex()}"
        async with line._open().get(
            url, headers={"Range": "bytes=0-99"}, ssl=line._context
        ) as answer:
            part = answer.status == 206
            body = await answer.read()
            assert part or body.startswith(b"{"), "a refusal is a problem document"
    except (aiohttp.ClientError, OSError):  # the handshake was refused
        part = False
    assert whole is part
    return whole


@asynccontextmanager
async def vault(*, read_delay: int = 0) -> AsyncIterator[Vault]:
    world, now = new_world(read_delay=read_delay), Hands()
    async with serving(world, MemoryEngine(), now=now) as served:
        records: list[DepositRecord] = []
        roots: list[list[ShardRoot]] = []
        line = served.depositor
        for _ in range(2):
            packs = [world.pack(), world.pack(5_000, PackKindName.MANIFEST)]
            changes: dict[str, Any] = {}
            if records:
                data, manifest = sorted(records[0].packs_added, key=lambda pack: pack.kind.value)
                changes = {"previous": records[0], "live": [data.root], "dropped": [manifest.root]}
            record = world.record(packs, **changes)
            for pack in packs:
                await line.put_shard(pack.shards[SEAT].root, [pack.shards[SEAT].encode()])
            assert (await line.submit(world.signed(record))).state is State.LODGED
            records.append(record)
            roots.append([pack.shards[SEAT].root for pack in packs])
        yield Vault(served=served, now=now, records=records, roots=roots)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def reader() -> Identity:
    return new_identity("reader", START)


def test_control_the_legitimate_way_opens_what_it_names_and_no_more() -> None:
    async def body() -> None:
        async with vault() as here:
            who, everything = reader(), reader()
            assert await here.submit(here.world.warrant(who, [here.records[0].deposit])) is (
                State.RELEASED
            )
            line = here.served.client(who)
            assert await here.open(line, [0])
            assert not await gets(line, here.roots[1][0]), "warrant of A, deposit B"
            await here.submit(here.world.warrant(everything))
            assert await here.open(here.served.client(everything))

    run(body())


def test_shards_are_given_to_no_other_identity() -> None:
    async def body() -> None:
        async with vault() as here:
            world, stranger = here.world, reader()
            await here.submit(world.warrant(reader()))  # somebody else's, and it stands
            await here.submit(world.warrant(stranger, people=(0,)))  # his, with one signature
            identities = [
                world.depositor.identity,
                *(world.vaults[seat].identity for seat in SEATS),
                new_identity("home", START),  # their names, his keys
                new_identity("vault-2", START),
                stranger,
            ]
            for identity in identities:
                assert not await here.open(here.served.client(identity))
            public = here.served.client()
            for roots in here.roots:
                for root in roots:
                    for top in ("shards", "sealed-shards", "bodies"):
                        with pytest.raises(VaultRefused):
                            await public._get(public._public, f"{top}/{root.hex()}", 2**20)

    run(body())


def test_a_depositor_or_vault_that_a_warrant_names_as_its_reader_reads_nothing() -> None:
    async def body() -> None:
        async with vault() as here:
            world = here.world
            for identity in (world.depositor.identity, world.vaults[SEAT].identity):
                assert await here.submit(world.warrant(identity)) is State.RELEASED
                assert not await here.open(here.served.client(identity))

    run(body())


def test_a_warrant_is_its_readers_and_says_what_was_signed() -> None:
    async def body() -> None:
        async with vault() as here:
            world, his = here.world, reader()
            good = parse_envelope(world.warrant(reader(), [here.records[0].deposit]))
            assert await here.submit(good.to_bytes()) is State.RELEASED
            warrant = parse_warrant(good)
            for changes in (
                {"reader": his.certificate},
                {"deposits": None},
                {"deposits": (here.records[1].deposit,)},
                {"expires": warrant.expires + timedelta(days=9000)},
                {"unseal_key": world.charter.current_epoch.key},
                {"reader_key": ed().public},
            ):
                payload = warrant_payload(replace(warrant, **changes))
                swapped = replace(good, payload=payload)
                assert await here.refused(swapped.to_bytes()) == "signature"
                bare = replace(swapped, signatures=())
                assert await here.refused(bare.to_bytes()) == "quorum"
            assert not await here.open(here.served.client(his))

    run(body())


def test_a_replay_is_refused_under_a_later_charter_and_at_another_mission() -> None:
    async def body() -> None:
        async with vault() as here, vault() as other:
            # The officials of both missions are the same persons with the same keys.
            assert here.world.charter.officials == other.world.charter.officials
            old = here.world.warrant(reader())
            assert await other.refused(old) == "conflict"
            _, changed = later_charter(here.world, here.world.charter, (0, 1), notice="another")
            await here.submit(changed.to_bytes())
            assert here.served.mission.charter().version == 2
            assert await here.refused(old) == "conflict"

    run(body())


def test_a_released_warrant_ends_while_the_reader_is_connected() -> None:
    async def body() -> None:
        async with vault() as here:
            who = reader()
            data = here.world.warrant(who, expires=START + timedelta(days=300))
            await here.submit(data)
            line = here.served.client(who)
            assert await here.open(line)
            here.pass_time(here.world.charter.delays.warrant_life + 1)
            assert not await here.open(line), "its life is over"
            assert await here.submit(data) is State.EXPIRED, "handed in again"
            assert not await here.open(line)

    run(body())


def test_an_expired_warrant_opens_nothing() -> None:
    async def body() -> None:
        async with vault() as here:
            who, mission = reader(), here.served.mission
            data = here.world.warrant(
                who, expires=clock.now().replace(microsecond=0) + timedelta(minutes=9)
            )
            await here.submit(data)
            line = here.served.client(who)
            assert await here.open(line)
            here.pass_time(600)
            moment = here.now
            mission.expiry._times = lambda: {"one": moment(), "two": moment()}
            assert not await here.open(line)
            late = here.world.warrant(who, issued=START, expires=START + timedelta(seconds=1))
            await here.submit(late)
            assert not await here.open(line), "signed with a date that is over"

    run(body())


@pytest.mark.parametrize("person", [0, 3, 6])
def test_a_lockdown_stops_a_running_read_with_its_connection_open(person: int) -> None:
    async def body() -> None:
        async with vault() as here:
            who = reader()
            data = here.world.warrant(who)
            await here.submit(data)
            line = here.served.client(who)
            assert await here.open(line)
            lockdown = order(here.world, Lockdown(head=head(here.world)), person)
            await here.submit(lockdown.to_bytes())
            assert not await here.open(line)
            assert await here.submit(data) is State.STOPPED, "handed in again"
            cause = await here.refused(here.world.warrant(who, people=(0, 1, 2)))
            assert cause == "quorum"
            here.pass_time(10 * HOUR)
            assert not await here.open(line)
            # Control: under a lockdown exile reads, by a warrant of its own.
            await here.submit(here.world.warrant(who, people=(3,)))
            here.pass_time(10)
            assert await here.open(line)

    run(body())


@pytest.mark.parametrize("before", [False, True])
def test_a_veto_by_one_person_while_it_waits(before: bool) -> None:
    async def body() -> None:
        async with vault(read_delay=HOUR) as here:
            who = reader()
            data = here.world.warrant(who)
            target = parse_envelope(data).statement_hash
            veto = order(here.world, Veto(head=head(here.world), target=target), 2)
            first, second = (veto.to_bytes(), data) if before else (data, veto.to_bytes())
            await here.submit(first)
            await here.submit(second)
            here.pass_time(4 * HOUR)
            assert (await here.served.client().statement(target)).state is State.VETOED
            assert await here.submit(data) is State.VETOED, "handed in again"
            assert not await here.open(here.served.client(who))

    run(body())


def test_signatures_of_removed_officials_stop_counting_in_the_middle() -> None:
    async def body() -> None:
        async with vault() as here:
            who, world = reader(), here.world
            await here.submit(world.warrant(who))
            line = here.served.client(who)
            assert await here.open(line)
            read = rosters(
                world.charter, RoleName.READ, members=world.charter.role(RoleName.READ).members[1:]
            )
            second, envelope = later_charter(world, world.charter, (0, 1), rosters=read)
            await here.submit(envelope.to_bytes())
            assert not await here.open(line), "one of the two who signed has gone"
            named = second.statement_hash
            removed = world.warrant(who, people=(0, 1), charter=named)
            assert await here.submit(removed) is State.INCOMPLETE
            assert not await here.open(line)
            await here.submit(world.warrant(who, people=(1, 2), charter=named))
            assert await here.open(line)

    run(body())


def test_one_person_with_two_keys_is_one_person() -> None:
    async def body() -> None:
        async with vault() as here:
            world, who, more = here.world, reader(), ed()
            first, *others = world.charter.officials
            twice = replace(first, key_sets=(*first.key_sets, (more.public,)))
            second, envelope = later_charter(
                world, world.charter, (0, 1), officials=(twice, *others)
            )
            await here.submit(envelope.to_bytes())
            one = parse_envelope(world.warrant(who, people=(0,), charter=second.statement_hash))
            both = one.with_signature(more.public, more.sign(one.pae))
            assert len(both.signatures) == 2
            assert await here.submit(both.to_bytes()) is State.INCOMPLETE
            assert not await here.open(here.served.client(who))
            whole = world.officials_sign(both, (1,))
            assert await here.submit(whole.to_bytes()) is State.RELEASED

    run(body())


def test_with_the_witnesses_silenced_the_delay_is_longer_and_not_shorter() -> None:
    async def body() -> None:
        async with vault(read_delay=HOUR) as dark, vault(read_delay=HOUR) as seen:
            lines = []
            for here in (dark, seen):
                who = reader()
                assert await here.submit(here.world.warrant(who)) is State.WAITING
                lines.append(here.served.client(who))
            with seen.served.mission.lock:
                witnessed(seen.world, seen.served.mission)
            for here in (dark, seen):
                here.pass_time(HOUR - 60)
            assert [
                await here.open(line) for here, line in zip((dark, seen), lines, strict=True)
            ] == [False, False]
            for here in (dark, seen):
                here.pass_time(120)
            assert [
                await here.open(line) for here, line in zip((dark, seen), lines, strict=True)
            ] == [False, True]
            dark.pass_time(2 * HOUR - 180)
            assert not await dark.open(lines[0])
            dark.pass_time(180)
            assert await dark.open(lines[0])

    run(body())


# The second lock: cards, with a founded mission


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A founded mission with two deposits, and a released warrant for the first."""

    embassy: Embassy
    first: Reading
    folder: Path

    @property
    def chain(self) -> CharterChain:
        return verify_chain([self.embassy.envelope], self.embassy.mission)

    def desk(self, groups: Sequence[int] = (2, 3), cards: int | None = None) -> CardDesk:
        charter = self.embassy.charter
        desk = CardDesk(charter=charter, epoch=charter.current_epoch)
        for text in self.embassy.card_files(groups)[:cards]:
            desk.take(text)
        return desk

    def request(self, reading: Reading) -> UnsealRequest:
        file = reading.reader.folder / "unseal-request.json"
        return parse_unseal_request(parse_envelope(file.read_bytes(), kinds=[Kind.UNSEAL_REQUEST]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("two-locks")
    with found_embassy(folder) as embassy:
        embassy.write_registers(mib=0.2)
        embassy.deposit()
        first = embassy.authorise(folder / "first")
        embassy.write_registers(mib=0.2, seed=2)
        embassy.deposit()
        yield Whole(embassy=embassy, first=first, folder=folder)


def test_control_warrant_and_cards_restore_and_prove(whole: Whole, tmp_path: Path) -> None:
    reading = whole.first
    answer = unseal(whole.request(reading), whole.chain, whole.desk())
    one_time = next(key for key in reading.reader.keys.keys if key.alg == X_WING).xwing
    secrets = open_answer(answer, one_time, reading.record, reading.live)
    out, state = tmp_path / "out", tmp_path / "state"
    for folder in (out, state):
        folder.mkdir()
    report = whole.embassy.restore(reading, secrets, out=out, state=state)
    # What was restored is the first deposit as it was, while home has gone on.
    assert report.proven


def test_a_quorums_signatures_open_nothing_without_cards(whole: Whole) -> None:
    embassy, reading = whole.embassy, whole.first
    request = whole.request(reading)
    for groups, cards in (((2,), None), ((2, 3), 3), ((2, 3), 0)):
        with pytest.raises(SharesTooFew):
            unseal(request, whole.chain, whole.desk(groups, cards))
    # All shards are his, from all vaults: without the deposit secret they are noise.
    (root, pack), *_ = reading.live.packs.items()
    for guess in (bytes(32), os.urandom(32), pack.secret, root):
        fetcher = embassy.fetcher(reading, {pack.secret: guess})
        with pytest.raises(PackUnavailable):
            fetcher.plaintext(root)
    with pytest.raises(PackUnavailable):
        embassy.fetcher(reading, {}).plaintext(root)
    # Nor is the recovery key, or a part of it, in any key file of an official.
    key = embassy.charter.current_epoch.key
    assert all(
        official_key.key != key
        for bundle in embassy.officials.values()
        for official_key in bundle.keys
    )


def test_cards_open_nothing_without_a_warrant_at_the_vaults(whole: Whole) -> None:
    embassy = whole.embassy
    newest = embassy.survey().newest
    assert newest.statement_hash != whole.first.record.statement_hash
    live = embassy.survey().live(newest)
    wanted = sorted(live.secrets.values(), key=lambda item: (item.deposit, item.secret_id))
    # He has the recovery key, and with it every secret that stands in the public record.
    request = replace(
        whole.request(whole.first),
        secrets=tuple(wanted),
        records=embassy.survey().path(newest),
        warrant=None,
    )
    assert unseal(request, whole.chain, whole.desk(), unsafe_without_warrant=True).secrets
    named = {root for pack in whole.first.live.packs.values() for _, root in pack.shards}
    own = [new_identity("reader", clock.now()), whole.first.identity]
    identities = [
        embassy.depositor_identity, *(vault.identity for vault in embassy.vaults.values()), *own
    ]  # fmt: skip
    tried = 0
    for pack in live.packs.values():
        for seat, root in pack.shards:
            if root in named:
                continue  # the first deposit's, which its reader may have
            for identity in identities:
                line = embassy.client(seat, identity)
                assert not embassy.loop.run(gets(line, root))
                tried += 1
    assert tried >= 3 * len(identities)


def test_a_request_gets_no_more_than_its_warrant_names(whole: Whole) -> None:
    embassy, request = whole.embassy, whole.request(whole.first)
    survey = embassy.survey()
    newest = survey.newest
    other = [
        item for key, item in survey.live(newest).secrets.items()
        if key not in whole.first.live.secrets
    ]  # fmt: skip
    assert other, "the second deposit has a secret of its own"

    def asks(secrets: Sequence[object], **changes: object) -> UnsealRequest:
        chosen = sorted(secrets, key=lambda s: (s.deposit, s.secret_id))  # type: ignore[attr-defined]
        return replace(request, secrets=tuple(chosen), **changes)  # type: ignore[arg-type]

    path = survey.path(newest)
    both = [*request.secrets, *other]
    foreign = key_of_his()
    assert request.warrant is not None
    to_him = rewritten(request.warrant, unseal_key=foreign)
    for bad, error in (
        (asks(other), SecretNotWarranted),
        (asks(both), SecretNotWarranted),
        (asks(both, records=path), SecretNotWarranted),
        (asks(other, records=path[-1:]), (DepositNotWarranted, SecretNotWarranted)),
        (replace(request, to=foreign), UnsealKeyMismatch),
        (replace(request, warrant=None), WarrantMissing),
        (replace(request, mission=MissionId(bytes(32))), MissionMismatch),
        (replace(request, warrant=rewritten(request.warrant, deposits=None)), AuthorityError),
        (replace(request, warrant=to_him, to=foreign), AuthorityError),
        (replace(request, warrant=unsigned(request.warrant, 1)), QuorumNotReached),
    ):  # fmt: skip
        with pytest.raises(error):
            unseal(bad, whole.chain, whole.desk())


def test_a_warrant_of_another_mission_with_the_same_officials_unseals_nothing(whole: Whole) -> None:
    request = whole.request(whole.first)
    assert request.warrant is not None
    warrant = replace(parse_warrant(request.warrant), mission=MissionId(os.urandom(32)))
    envelope = Envelope(payload=warrant_payload(warrant), kind=Kind.WARRANT)
    for label in ("chancellor", "minister", "registrar", "ambassador-a", "ambassador-b"):
        for signer in whole.embassy.officials[label].signers:
            envelope = envelope.with_signature(signer.key, signer.sign(envelope.pae))
    with pytest.raises(MissionMismatch):
        unseal(replace(request, warrant=envelope), whole.chain, whole.desk())
    elsewhere = replace(warrant, mission=whole.embassy.mission, charter=StatementHash(bytes(32)))
    envelope = Envelope(payload=warrant_payload(elsewhere), kind=Kind.WARRANT)
    with pytest.raises(ExclaveError):
        unseal(replace(request, warrant=envelope), whole.chain, whole.desk())


def test_what_was_unsealed_is_the_one_time_keys_alone(whole: Whole) -> None:
    reading = whole.first
    answer = unseal(whole.request(reading), whole.chain, whole.desk())
    other = whole.embassy.recovery_private()
    with pytest.raises(ExclaveError):
        open_answer(answer, other, reading.record, reading.live)


def key_of_his() -> TypedKey:
    """A sealing key of the attacker's."""
    return TypedKey(X_WING, XWingPrivateKey.from_seed(os.urandom(32)).public.raw)


def rewritten(envelope: Envelope, **changes: object) -> Envelope:
    """The warrant with other words under the old signatures."""
    payload = warrant_payload(replace(parse_warrant(envelope), **changes))  # type: ignore[arg-type]
    return replace(envelope, payload=payload)


def unsigned(envelope: Envelope, left: int) -> Envelope:
    """The warrant with so many signatures left."""
    return replace(envelope, signatures=envelope.signatures[:left])
