"""What attacks of P6 over the line share: a world of long waits, statements, what vaults say.

Three real vaults that mirror (`tests.support.pressure`); each vault's answer is recounted from its
log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import pytest

from exclave.authority.charter import Charter, charter_payload
from exclave.authority.charter_parts import Official, Place, RoleName
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.orders import (
    Lockdown,
    Release,
    Veto,
)
from exclave.engine.memory import MemoryEngine
from exclave.ids import PackRoot, PersonId, Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.interface import State, VaultRefused
from exclave.vault.kept.storage import ObjectStore
from exclave.vault.line.identity import Identity, new_identity
from exclave.vault.mission.mission import Mission
from tests.support.pressure import (
    Post,
    addresses,
    head,
    later_charter,
    order,
)
from tests.support.vault_world import SEATS, START, World, ed, new_world

DELAY = 3600
ONE, TWO, THREE = SEATS
PACK = PackRoot(b"\x07" * 32)


def slow_world(delay: int = DELAY) -> World:
    """Three vaults with addresses; every loosening of home waits an hour."""
    world = new_world(read_delay=delay, addresses=addresses())
    waits = {RoleName.GOVERN: delay, RoleName.READ: delay, RoleName.RELEASE: delay}
    waits |= {RoleName.OVERRIDE: delay, RoleName.EXILE_1: 60, RoleName.EXILE_2: 120}
    slowed = tuple(
        (name, replace(role, delay=waits.get(name, 0))) for name, role in world.charter.rosters
    )
    delays = replace(world.charter.delays, exile_change=max(4 * delay, 240))
    charter = replace(world.charter, rosters=slowed, delays=delays)
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    world = replace(world, charter=charter, envelope=envelope)
    return replace(world, envelope=world.officials_sign(envelope, (0, 1)))


def stores() -> dict[Seat, ObjectStore]:
    return {seat: MemoryEngine() for seat in SEATS}


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def reader() -> Identity:
    return new_identity("reader", START)


def warrant(world: World, *people: int, **changes: object) -> Envelope:
    return parse_envelope(world.warrant(reader(), people=people, **changes))  # type: ignore[arg-type]


def release(world: World, *people: int) -> Envelope:
    return order(world, Release(head=head(world), packs=(PACK,)), *people)


def lockdown(world: World, *people: int) -> Envelope:
    return order(world, Lockdown(head=head(world)), *people)


def veto(world: World, target: Envelope | StatementHash, *people: int) -> Envelope:
    name = target if isinstance(target, bytes) else target.statement_hash
    return order(world, Veto(head=head(world), target=StatementHash(name)), *people)


def person_of(world: World, number: int) -> PersonId:
    return sorted(world.officials)[number]


def knows(envelope: Envelope) -> Callable[[Mission], bool]:
    name = envelope.statement_hash
    return lambda mission: mission.index.statement(name) is not None


def seen(*envelopes: Envelope) -> Callable[[Mission], bool]:
    """Whether all of them are complete and a quorum of witnesses has seen that."""

    def what(mission: Mission) -> bool:
        standing = mission.standing()
        items = [standing.items.get(envelope.statement_hash) for envelope in envelopes]
        return all(
            item is not None
            and item.runs
            and all(any(w.covers > run.number for w in standing.witnessed) for run in item.runs)
            for item in items
        )

    return what


def locked(mission: Mission) -> bool:
    return mission.standing().locked


async def states(posts: Mapping[Seat, Post], envelope: Envelope) -> set[State]:
    return {await post.state(envelope.statement_hash) for post in posts.values()}


async def cause_of(post: Post, data: bytes) -> str:
    """The named cause of a refusal; the log does not grow by it."""
    size = post.here.log.size
    with pytest.raises(VaultRefused) as caught:
        await post.client().submit(data)
    assert len([e for _, e in post.entries()[size:] if e.type not in _OWN]) == 0
    return caught.value.cause


_OWN = {EntryType.WITNESSED, EntryType.REFUSALS, EntryType.ALARM}
"""What a vault logs of itself at any moment."""


def counted_due(post: Post, envelope: Envelope, least: int, wait: int, dark: int = 3) -> int:
    """When a statement of home is due, from the log's entries alone, in milliseconds."""
    complete: tuple[int, int] | None = None
    for number, entry in post.entries():
        if entry.statement == envelope.statement_hash and complete is None:
            signed = parse_envelope(post.here.log.body(entry.hash))
            if len(signed.signatures) >= least:  # one key a person in this world
                complete = number, entry.service
        if complete is not None and entry.type is EntryType.WITNESSED:
            lines = post.here.log.body(entry.hash).decode().splitlines()
            if int(lines[1]) > complete[0]:
                seen = entry.service + 1000 * wait
                return min(seen, complete[1] + 1000 * dark * wait)
    assert complete is not None, "never complete"
    return complete[1] + 1000 * dark * wait


def usurped(world: World) -> tuple[Charter, Envelope]:
    """A charter without delays whose exile rosters are the attacker's own people."""
    keys = [ed() for _ in range(4)]
    mine = tuple(PersonId(f"p-{0xFF00 + number:016x}") for number in range(4))
    people = tuple(
        Official(
            id=person,
            place=Place.ABROAD,
            institution="office",
            key_sets=((key.public,),),
            name_hash=bytes(32),
        )
        for person, key in zip(mine, keys, strict=True)
    )
    home = tuple(o for o in world.charter.officials if o.place is Place.HOME)
    changed = {RoleName.EXILE_1: mine[:2], RoleName.EXILE_2: mine[2:]}
    quick = tuple(
        (
            name,
            replace(
                role,
                delay=1 if name is RoleName.EXILE_2 else 0,
                members=changed.get(name, role.members),
            ),
        )
        for name, role in world.charter.rosters
    )
    delays = replace(world.charter.delays, exile_change=1)
    return later_charter(
        world,
        world.charter,
        (0, 1, 2),
        rosters=quick,
        officials=(*home, *people),
        delays=delays,
    )
