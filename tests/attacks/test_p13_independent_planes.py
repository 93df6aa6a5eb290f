"""P13: what is taken at one place opens nothing at another.

The attacker's powers, one at a time:
- home: the depositor's identity and both its signing keys, and every official's keys, of mission A;
- a vault: its identity, log key, seat key and witness keys;
- a mission: a released reader of A at a vault that holds B too, and every statement of A.
He tries each on every path and verb of `spec/openapi.yaml`, on both listeners, at the other vault
and in the other mission; the hosts of both missions are the same, and so are the officials with
their keys, which is the worst case. Nothing may be authorised and not one stored byte may change;
who is pinned nowhere does not get through the handshake. Positive control: in its own place each
credential does what it is for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from exclave import clock
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.orders import Hold, Lockdown, Release
from exclave.authority.record import DepositRecord, record_payload
from exclave.dispersal.sealed_shard import seal_shard
from exclave.engine.file import FileEngine
from exclave.errors import ExclaveError, VaultUnreachable
from exclave.ids import PackRoot, Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import log_verifier, open_checkpoint, origin_for
from exclave.ledger.entry import EntryType
from exclave.ledger.note import NoteSigner, sign_note
from exclave.sealing.secret import unseal_veil_share
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import VaultConfig
from exclave.vault.interface import State, VaultRefused
from exclave.vault.line.identity import Identity, new_identity
from exclave.vault.mission.cosigning import WitnessFailed, check_lines, head_of, request_for
from exclave.vault.mission.mission import Mission
from exclave.vault.server.server import VaultServer
from tests.structure.sources import ROOT
from tests.support.pressure import head, later_charter, order
from tests.support.serving import open_mission
from tests.support.vault_world import START, Pack, World, fellow_lines, new_world

ONE, TWO = Seat(1), Seat(2)
VERBS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH")
OPERATIONS = yaml.safe_load((ROOT / "spec" / "openapi.yaml").read_text(encoding="utf-8"))["paths"]
PROTECTED = ("shards", "sealed-shards", "missing")
"""What the data listener gives to depositors and readers alone."""
CHANGING = ("status", "log/checkpoint", "log/cosigned")
"""What a vault says of itself at the moment."""


@dataclass(kw_only=True)
class Place:
    """One mission at one vault, with a deposit and a released warrant."""

    world: World
    mission: Mission
    folder: Path
    server: VaultServer
    record: DepositRecord
    packs: list[Pack]
    reader: Identity
    clients: list[HttpVault] = field(default_factory=list)

    def client(self, identity: Identity | None = None, anchor: bytes | None = None) -> HttpVault:
        assert self.server.public is not None
        vault = self.world.vaults[self.mission.seat]
        made = HttpVault(
            mission=self.world.mission,
            seat=self.mission.seat,
            anchor=anchor or vault.identity.certificate,
            public=self.server.public,
            data=None if identity is None else self.server.data,
            identity=identity,
            clock=clock.now,
            idle_seconds=20,
        )
        self.clients.append(made)
        return made

    @property
    def roots(self) -> list[ShardRoot]:
        return [pack.shards[self.mission.seat].root for pack in self.packs]

    def objects(self) -> dict[str, bytes]:
        """Every stored object and logged statement, but for what a vault logs of itself."""
        with self.mission.lock:
            entries = [entry for _, entry in self.mission.log.entries()]
        own = {entry.hash.hex() for entry in entries if entry.type in _OWN}
        found = {
            str(path.relative_to(self.folder)): path.read_bytes()
            for top in ("shards", "bodies")
            for path in sorted((self.folder / top).rglob("*"))
            if path.is_file() and path.name not in own
        }
        log = b"".join(entry.hash for entry in entries if entry.type not in _OWN)
        return {**found, "log": log}


_OWN = {EntryType.REFUSALS, EntryType.ALARM}


@dataclass(frozen=True, kw_only=True)
class Planes:
    """Missions A and B at vaults 1 and 2; a third host holds B alone."""

    places: dict[tuple[str, int], Place]

    def __getitem__(self, key: tuple[str, int]) -> Place:
        return self.places[key]


@asynccontextmanager
async def planes(folder: Path) -> AsyncIterator[Planes]:
    a = new_world()
    b = new_world(vaults=a.vaults)
    places: dict[tuple[str, int], Place] = {}
    servers: list[VaultServer] = []
    try:
        for seat, worlds in ((1, {"A": a, "B": b}), (2, {"A": a, "B": b}), (3, {"B": b})):
            missions = {name: _open(folder, world, Seat(seat)) for name, world in worlds.items()}
            server = VaultServer(
                identity=a.vaults[Seat(seat)].identity,
                missions=[mission for _, mission in missions.values()],
                config=VaultConfig(data="127.0.0.1:0", public="127.0.0.1:0"),
                clock=clock.now,
                mirror=False,
            )
            await server.start()
            servers.append(server)
            for name, (where, mission) in missions.items():
                places[name, seat] = Place(
                    world=worlds[name], mission=mission, folder=where, server=server,
                    record=_RECORDS.setdefault((name, id(worlds[name])), worlds[name].deposit())[0],
                    packs=_RECORDS[name, id(worlds[name])][1],
                    reader=new_identity("reader", START),
                )  # fmt: skip
        for place in places.values():
            await _fill(place)
        yield Planes(places=places)
    finally:
        for place in places.values():
            for client in place.clients:
                await client.close()
        for server in servers:
            await server.stop()


_RECORDS: dict[tuple[str, int], tuple[DepositRecord, list[Pack]]] = {}


def _open(folder: Path, world: World, seat: Seat) -> tuple[Path, Mission]:
    place = folder / f"{world.mission.hex()[:8]}-{seat}"
    for part in (place, place.with_suffix(".tmp")):
        part.mkdir()
    engine = FileEngine(place, place.with_suffix(".tmp"))
    return place, open_mission(world, engine, seat=seat)


async def _fill(place: Place) -> None:
    """Positive control: the own credentials deposit, lodge and read."""
    line = place.client(place.world.depositor.identity)
    for pack in place.packs:
        shard = pack.shards[place.mission.seat]
        assert await line.put_shard(shard.root, [shard.encode()])
    assert (await line.submit(place.world.signed(place.record))).state is State.LODGED
    assert not await line.missing(place.record.statement_hash)
    answer = await line.submit(place.world.warrant(place.reader))
    assert answer.state is State.RELEASED
    reading = place.client(place.reader)
    for root in place.roots:
        assert await reading.get_shard(root)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def paths(place: Place, other: Place) -> Iterator[str]:
    """Every path of the description, filled with what is there and with what is elsewhere."""
    digests = [
        place.roots[0].hex(),
        other.roots[0].hex(),
        place.record.statement_hash.hex(),
    ]
    for path in OPERATIONS:
        short = path.removeprefix("/v2/{mission}/")
        if short == path:
            continue  # /v1/status names no mission
        short = short.format_map(
            {"level": "0", "number": "000", "type": "charter", "hash": "{hash}"}
        )
        if "{hash}" in short:
            yield from (short.replace("{hash}", digest) for digest in digests)
        else:
            yield short


def bodies(place: Place, other: Place) -> list[bytes]:
    """What he sends: a whole shard and a record of the other plane."""
    shard = other.packs[0].shards[other.mission.seat].encode()
    # Its own record, handed in again, would be answered with where it stands: that is public.
    alien = other.world.signed(other.record)
    return [shard, alien if other.world is not place.world else alien[:-1]]


async def sweep_over(place: Place, other: Place, identity: Identity) -> int:
    """Try everything at a place with a foreign identity; returns how many requests were made."""
    foreign, stranger = place.client(identity), place.client()
    tried = 0
    for line in (foreign._public, foreign._line()):
        for path in paths(place, other):
            for verb in VERBS:
                for data in bodies(place, other) if verb in {"PUT", "POST"} else [None]:
                    parts = None if data is None else [data]
                    try:
                        status, got = await foreign._exchange(verb, line, path, 2**22, parts)
                    except VaultUnreachable:
                        status, got = 0, b""  # no handshake
                    tried += 1
                    what = f"{verb} {path}: {status}"
                    if status not in {200, 201, 202, 206}:
                        continue
                    assert verb == "GET", what
                    assert path.split("/")[0] not in PROTECTED, what
                    _, public = await stranger._exchange("GET", stranger._public, path, 2**22)
                    assert path in CHANGING or got == public, f"{what}: more than the public has"
    return tried


def test_no_identity_of_one_plane_has_a_verb_in_another(tmp_path: Path) -> None:
    async def body() -> None:
        async with planes(tmp_path) as here:
            before = {key: place.objects() for key, place in here.places.items()}
            a1 = here["A", 1]
            vault = a1.world.vaults[ONE].identity
            attempts = [
                (here["B", 1], a1, a1.world.depositor.identity),  # home's, in the other mission
                (here["B", 1], a1, a1.reader),  # pinned at this very vault, for A
                (here["A", 2], a1, a1.reader),  # released at vault 1, unknown at vault 2
                (here["A", 2], a1, vault),  # a fellow vault's
                (here["B", 2], a1, vault),
            ]
            for place, other, identity in attempts:
                assert await sweep_over(place, other, identity) > 100
            after = {key: place.objects() for key, place in here.places.items()}
            assert after == before

    run(body())


def test_who_is_pinned_nowhere_does_not_get_through_the_handshake(tmp_path: Path) -> None:
    async def body() -> None:
        async with planes(tmp_path) as here:
            a1, b3 = here["A", 1], here["B", 3]
            strangers = [
                a1.world.depositor.identity,  # A's, at a host that holds B alone
                a1.reader,
                here["B", 1].reader,  # B's own reader, whose warrant is at other vaults
                new_identity("home", START),
                new_identity("vault-1", START),
            ]
            for identity in strangers:
                line = b3.client(identity)
                with pytest.raises(VaultUnreachable):
                    await line.get_shard(b3.roots[0])
                shard = b3.packs[0].shards[Seat(3)]
                with pytest.raises(VaultUnreachable):
                    await line.put_shard(shard.root, [shard.encode()])
            # And nobody takes vault 1 for vault 2, whatever the address says.
            posing = a1.client(
                a1.world.depositor.identity, a1.world.vaults[TWO].identity.certificate
            )
            with pytest.raises(VaultUnreachable, match="pinned"):
                await posing.checkpoint()
            with pytest.raises(VaultUnreachable, match="pinned"):
                await posing.get_shard(a1.roots[0])

    run(body())


def test_statements_of_one_mission_are_none_of_another(tmp_path: Path) -> None:
    async def body() -> None:
        async with planes(tmp_path) as here:
            a, b1 = here["A", 1].world, here["B", 1]
            before = b1.objects()
            made = [
                a.signed(here["A", 1].record),
                a.warrant(new_identity("reader", START)),
                a.envelope.to_bytes(),
                later_charter(a, a.charter, (0, 1))[1].to_bytes(),
                order(a, Lockdown(head=head(a)), 0, 3, 5).to_bytes(),
                order(a, Hold(head=head(a), deposits=None), 0).to_bytes(),
                order(a, Release(head=head(a), packs=(PackRoot(bytes(32)),)), 0, 1).to_bytes(),
            ]
            causes = set()
            for data in made:
                for line in (b1.client(), b1.client(a.vaults[ONE].identity)):
                    with pytest.raises(VaultRefused) as caught:
                        await line.submit(data)
                    causes.add(caught.value.cause)
            assert causes <= {"conflict", "charter-gap"}
            assert b1.objects() == before
            # The same keys, with the mission's own id, are heard: the id alone made the difference.
            own = order(b1.world, Hold(head=head(b1.world), deposits=None), 0)
            assert (await b1.client().submit(own.to_bytes())).state is State.LOGGED

    run(body())


def test_a_depositors_keys_lodge_nothing_elsewhere(tmp_path: Path) -> None:
    async def body() -> None:
        async with planes(tmp_path) as here:
            a1, b1 = here["A", 1], here["B", 1]
            before = b1.objects()
            thief = a1.world.depositor
            record, packs = b1.world.deposit()  # right in all but its keys
            assert record.mission == b1.world.mission
            forged = thief.sign(Envelope(payload=record_payload(record), kind=Kind.RECORD))
            mixed = thief.sign(parse_envelope(b1.world.signed(record)))
            assert len(mixed.signatures) == 4  # strangers' signatures beside the right ones
            with pytest.raises(VaultRefused) as caught:
                await b1.client().submit(forged.to_bytes())
            assert caught.value.cause == "signature"
            shard = packs[0].shards[ONE]
            line = b1.client(thief.identity)
            with pytest.raises(VaultRefused, match="no part in the mission"):
                await line.put_shard(shard.root, [shard.encode()])
            sealed = seal_shard(shard, a1.world.vaults[ONE].seat_private.public)
            with pytest.raises(VaultRefused):
                await line.put_sealed_shard(shard.root, [sealed.prefix(), sealed.body])
            # Nor does B's own depositor bring what was made for A, or for another seat.
            own = b1.client(b1.world.depositor.identity)
            for other in (a1.packs[0].shards[ONE], b1.packs[0].shards[TWO]):
                with pytest.raises(VaultRefused) as caught:
                    await own.put_shard(other.root, [other.encode()])
                assert caught.value.cause == "wrong-seat"
            assert b1.objects() == before

    run(body())


def test_all_keys_of_one_vault_are_worth_nothing_at_another(tmp_path: Path) -> None:
    async def body() -> None:
        async with planes(tmp_path) as here:
            a1, a2 = here["A", 1], here["A", 2]
            world, stolen = a1.world, a1.world.vaults[ONE]
            before = a2.objects()
            # Log key: no checkpoint of seat 2, nor of seat 1 in another mission.
            text = head_of(a2.mission).note.text
            forger = NoteSigner(
                name=origin_for(world.mission, TWO),
                public_key=stolen.log.public.raw,
                sign=stolen.log.sign,
            )
            forged = sign_note(text, [forger])
            verifier = log_verifier(world.mission, TWO, world.vaults[TWO].log.public.raw)
            with pytest.raises(ExclaveError):
                open_checkpoint(forged, verifier)
            for place in (a1, here["B", 2]):
                reply = await place.client().add_checkpoint(b"old 0\n\n" + forged)
                assert reply.status in {403, 404}
            # In B the log of A's seat 1 is unknown, though the key is B's seat 1's as well.
            request = request_for(a1.mission, head_of(a1.mission), 0)
            assert (await here["B", 2].client().add_checkpoint(request)).status == 404
            # Witness keys: they count for seat 1 alone, of one mission alone.
            head_two = head_of(a2.mission)
            other = next(p for p in head_two.witnesses.parties if p.seat == Seat(3))
            posing = [line.encode() for line in fellow_lines(world, a2.mission, [ONE])]
            with pytest.raises(WitnessFailed):
                check_lines(head_two, other, b"".join(posing), clock.now())
            # Seat key: it opens no veil share of seat 2.
            shard = a2.packs[0].shards[TWO]
            sealed = seal_shard(shard, world.vaults[TWO].seat_private.public)
            with pytest.raises(ExclaveError):
                unseal_veil_share(
                    stolen.seat_private, sealed.prefix()[:1168], world.mission,
                    shard.header.pack_root, TWO,
                )  # fmt: skip
            # Identity and log key sign no statement that counts.
            for value in (
                Envelope(payload=record_payload(world.deposit()[0]), kind=Kind.RECORD),
                order(world, Lockdown(head=head(world))),
                parse_envelope(world.warrant(new_identity("reader", START), people=())),
            ):
                signed = value.with_signature(stolen.log.public, stolen.log.sign(value.pae))
                with pytest.raises(VaultRefused) as caught:
                    await a2.client(stolen.identity).submit(signed.to_bytes())
                assert caught.value.cause in {"signature", "quorum"}
            assert a2.objects() == before

    run(body())


def test_missing_lists_and_states_are_each_missions_own(tmp_path: Path) -> None:
    async def body() -> None:
        async with planes(tmp_path) as here:
            a1, b1 = here["A", 1], here["B", 1]
            for statement in (a1.record.statement_hash, StatementHash(os.urandom(32))):
                for identity in (a1.world.depositor.identity, b1.world.depositor.identity):
                    with pytest.raises(VaultRefused) as caught:
                        await b1.client(identity).missing(statement)
                    assert caught.value.cause in {"identity", "not-found"}
                with pytest.raises(VaultRefused, match="not here"):
                    await b1.client().statement(statement)
            listed = await b1.client().status()
            assert [item.statement for item in listed.records] == [b1.record.statement_hash]
            # A reader of A's warrant reads under A's path what A named, under B's path nothing.
            with pytest.raises(VaultRefused) as caught:
                await b1.client(a1.reader).get_shard(a1.roots[0])
            assert caught.value.cause == "identity"
            with pytest.raises(VaultRefused) as caught:
                await a1.client(a1.reader).get_shard(b1.roots[0])
            assert caught.value.cause == "not-released"

    run(body())


def test_a_warrants_reader_in_two_missions_needs_a_warrant_in_each(tmp_path: Path) -> None:
    async def body() -> None:
        async with planes(tmp_path) as here:
            a1, b1 = here["A", 1], here["B", 1]
            both = replace(a1, reader=a1.reader)
            answer = await b1.client().submit(b1.world.warrant(both.reader, people=(0,)))
            assert answer.state is State.INCOMPLETE
            line = b1.client(both.reader)
            with pytest.raises(VaultRefused):
                await line.get_shard(b1.roots[0])
            await b1.client().submit(b1.world.warrant(both.reader))
            assert await line.get_shard(b1.roots[0])

    run(body())
