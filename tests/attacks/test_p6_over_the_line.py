"""P6: tightening is easy, loosening is slow: over the line, at three real vaults that mirror.

The attacker's powers: he holds the whole home roster (0, 1 and 2 sign whatever he wants, also one
at a time) and one saboteur abroad where it is said. He hands in what he likes, at whichever vault
and whenever, altered, repeated, for another mission or of the past; he cuts the vaults off from
each other and starts them again. He has no exile threshold but where it is said, and no vault.

What each vault did is told from its log, by a recount of its own. `test_p6_tightening.py` plays the
same attacker against the table alone. Positive control: what he tries takes effect in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exclave.authority.charter import Charter, charter_payload
from exclave.authority.charter_parts import Official, Place, RoleName
from exclave.authority.envelope import Envelope, Kind, envelope_for, media_type, parse_envelope
from exclave.authority.orders import (
    Compromise,
    Extend,
    Hold,
    Lockdown,
    Order,
    Release,
    Unlock,
    Veto,
)
from exclave.encoding import canonical_json, parse_canonical_json
from exclave.engine.memory import MemoryEngine
from exclave.ids import MissionId, PackRoot, PersonId, Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.standing.machine import due
from exclave.vault.identity import Identity, new_identity
from exclave.vault.interface import State, VaultRefused
from exclave.vault.mission import Mission
from exclave.vault.storage import ObjectStore
from tests.support.pressure import (
    Post,
    addresses,
    everywhere,
    head,
    later_charter,
    order,
    ring,
    rosters,
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


# Tightening


@pytest.mark.parametrize("seat", SEATS)
def test_one_person_tightens_at_once_through_any_vault(seat: Seat) -> None:
    async def body() -> None:
        world = slow_world()
        async with ring(world, stores()) as posts:
            at = posts[seat]
            target = warrant(world, 0, 1)
            assert await posts[ONE].tell(target) is State.WAITING
            await everywhere(posts, knows(target), "the warrant is mirrored")
            orders: list[tuple[Order, int]] = [
                (Hold(head=head(world), deposits=None), 0),
                (Extend(head=head(world), deposits=None, until=START + timedelta(days=9)), 1),
                (Compromise(head=head(world), depositors=("home",), since=START), 3),
                (Veto(head=head(world), target=target.statement_hash), 5),
                (Lockdown(head=head(world)), 6),
            ]
            for value, person in orders:
                envelope = order(world, value, person)
                assert await at.tell(envelope) is State.LOGGED
                await everywhere(posts, knows(envelope), f"{value.kind} is mirrored")
            assert await states(posts, target) == {State.VETOED}
            for post in posts.values():
                assert (await post.status()).locked
                assert post.here.keeping().holds_all

    run(body())


def test_the_same_person_takes_nothing_back_alone() -> None:
    async def body() -> None:
        from exclave.authority.orders import Lift, Narrow

        world = slow_world()
        async with ring(world, stores()) as posts:
            hold = order(world, Hold(head=head(world), deposits=None), 0)
            wrong = order(world, Compromise(head=head(world), depositors=("home",), since=START), 0)
            for envelope in (hold, wrong):
                await posts[ONE].tell(envelope)
            lift = order(world, Lift(head=head(world), holds=(hold.statement_hash,)), 0)
            narrow = order(
                world, Narrow(head=head(world), compromise=wrong.statement_hash, since=None), 0
            )
            for envelope in (lift, narrow):
                assert await posts[TWO].tell(envelope) is State.INCOMPLETE
            for envelope in (hold, wrong, lift, narrow):
                await everywhere(posts, knows(envelope), "mirrored")
            for post in posts.values():
                post.pass_time(9 * DELAY)
            assert await states(posts, lift) | await states(posts, narrow) == {State.INCOMPLETE}
            assert all(post.here.keeping().holds_all for post in posts.values())

    run(body())


# Loosening


def test_control_and_recount_every_loosening_waits_its_full_delay_at_every_vault() -> None:
    async def body() -> None:
        world = slow_world()
        async with ring(world, stores()) as posts:
            _, charter = later_charter(world, world.charter, (0, 1), notice="another")
            half, whole = warrant(world, 0), release(world, 2)
            await posts[ONE].tell(half)
            await posts[TWO].tell(whole)
            await posts[THREE].tell(charter)
            # The second signature of each comes elsewhere.
            half, whole = world.officials_sign(half, (1,)), world.officials_sign(whole, (0,))
            await posts[THREE].tell(half)
            await posts[ONE].tell(whole)
            made = (half, whole, charter)

            await everywhere(posts, seen(*made), "complete and witnessed")
            for post in posts.values():
                dues = [counted_due(post, envelope, 2, DELAY) for envelope in made]
                with post.here.lock:
                    standing = post.here.standing()
                    assert dues == [due(standing, standing.items[e.statement_hash]) for e in made]
                post.pass_time((min(dues) - post.here.service.now()) / 1000 - 30)
                for envelope in made:
                    assert await post.state(envelope.statement_hash) is State.WAITING
                assert post.here.charter().version == 1
                post.pass_time((max(dues) - min(dues)) / 1000 + 31)
                # Another charter is in force then: the warrant that names the first one counts on.
                assert await post.state(half.statement_hash) is State.RELEASED
                assert await post.state(whole.statement_hash) is State.EFFECTIVE
                assert await post.state(charter.statement_hash) is State.EFFECTIVE

    run(body())


def test_cut_off_from_every_witness_it_waits_three_times_as_long() -> None:
    async def body() -> None:
        world = slow_world()
        async with ring(world, stores(), started=(ONE,)) as posts:
            post, reading = posts[ONE], warrant(world, 0, 1)
            await post.tell(reading)
            at = counted_due(post, reading, 2, DELAY)
            (entry,) = [e for _, e in post.entries() if e.statement == reading.statement_hash]
            assert at == entry.service + 3 * DELAY * 1000
            post.pass_time((at - post.here.service.now()) / 1000 - 30)
            assert await post.state(reading.statement_hash) is State.WAITING
            post.pass_time(31)
            assert await post.state(reading.statement_hash) is State.RELEASED

    run(body())


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


def test_a_charter_that_removes_exile_and_delays_before_a_read_gains_no_time() -> None:
    async def body() -> None:
        world = slow_world()
        async with ring(world, stores()) as posts:
            post = posts[TWO]
            second, change = usurped(world)
            assert await post.tell(change) is State.WAITING
            reading = warrant(world, 0, 1, charter=second.statement_hash)
            assert await cause_of(post, reading.to_bytes()) == "charter-gap"
            await everywhere(posts, seen(change), "complete and witnessed")
            at = counted_due(post, change, 2, DELAY)
            began = min(
                e.service for _, e in post.entries() if e.statement == change.statement_hash
            )
            assert at >= began + DELAY * 1000, "the read has to wait as long as it had to anyway"
            for each in posts.values():
                each.pass_time((at - each.here.service.now()) / 1000 - 60)
                assert each.here.charter().version == 1
                each.pass_time(120)
            await everywhere(posts, lambda m: m.charter().version == 2, "in force")
            # And those abroad whom he removed still lock him out, until the change has settled.
            assert await posts[THREE].tell(lockdown(world, 3)) is State.LOGGED
            await everywhere(posts, locked, "locked down")
            late = warrant(world, 0, 1, 2, charter=second.statement_hash)
            for each in posts.values():
                assert await cause_of(each, late.to_bytes()) == "quorum"
                with each.here.lock:
                    assert each.here.standing().exile == world.charter.statement_hash

    run(body())


# Contradictions


def test_contradictory_orders_at_different_vaults_end_on_the_safe_side() -> None:
    async def body() -> None:
        world = slow_world()
        async with ring(world, stores()) as posts:
            reading, other = warrant(world, 0), release(world, 0)
            await posts[ONE].tell(reading)
            await everywhere(posts, knows(reading), "mirrored")
            whole = world.officials_sign(reading, (1,))
            both = world.officials_sign(other, (1,))
            await asyncio.gather(
                posts[ONE].tell(whole),
                posts[TWO].tell(veto(world, reading, 2)),
                posts[ONE].tell(both),
                posts[THREE].tell(veto(world, other, 4)),
            )
            for envelope in (reading, other):
                await everywhere(
                    posts,
                    lambda m, name=envelope.statement_hash: (  # type: ignore[misc]
                        name in m.standing().vetoes and name in m.standing().items
                    ),
                    "both sides are mirrored",
                )
                assert await states(posts, envelope) == {State.VETOED}

    run(body())


def test_what_a_locked_down_vault_cannot_take_holds_up_nothing_else() -> None:
    """A charter of home at one vault, a lockdown at another: what exile says afterwards arrives."""

    async def body() -> None:
        world, kept = slow_world(), stores()
        # Cut off from each other, one hears the charter, the other the lockdown.
        async with ring(world, kept, mirror=False) as posts:
            _, charter = later_charter(world, world.charter, (0, 1), notice="in the last hour")
            assert await posts[ONE].tell(charter) is State.WAITING
            lock = lockdown(world, 5)
            await posts[TWO].tell(lock)
        async with ring(world, kept) as posts:
            await everywhere(posts, locked, "locked down")
            hold = order(world, Hold(head=head(world), deposits=None), 4)
            unlock = order(world, Unlock(head=head(world), lockdowns=(lock.statement_hash,)), 3)
            for envelope in (hold, unlock):
                await posts[ONE].tell(envelope)
                await everywhere(posts, knows(envelope), "what exile signed is mirrored")
            for post in posts.values():
                post.pass_time(200)
            await everywhere(posts, lambda m: not locked(m), "home is back")
            assert await posts[ONE].state(charter.statement_hash) is State.STOPPED
            # Nor does what the lockdown stopped here come to life there afterwards.
            await posts[ONE].tell(order(world, Hold(head=head(world), deposits=None), 0))
            await asyncio.sleep(2)
            for post in posts.values():
                with post.here.lock:
                    assert not [i for i in post.here.standing().items.values() if i.pending]

    run(body())


def test_a_warrant_that_a_fellow_can_never_take_holds_up_nothing_else() -> None:
    """A charter in force at one vault was vetoed at another, which takes no warrant under it."""

    async def body() -> None:
        world, kept = slow_world(delay=0), stores()
        second, change = later_charter(world, world.charter, (0, 1), notice="second")
        reading = warrant(world, 0, 1, charter=second.statement_hash)
        async with ring(world, kept, mirror=False, started=(ONE, TWO)) as posts:
            assert await posts[ONE].tell(change) is State.EFFECTIVE
            assert await posts[ONE].tell(reading) is State.RELEASED
            await posts[TWO].tell(veto(world, change, 3))
        async with ring(world, kept, started=(ONE, TWO)) as posts:
            await everywhere(posts, knows(change), "mirrored")
            hold = order(world, Hold(head=head(world), deposits=None), 5)
            await posts[ONE].tell(hold)
            await everywhere(posts, knows(hold), "the hold is mirrored")
            assert await posts[TWO].state(change.statement_hash) is State.VETOED
            assert not knows(reading)(posts[TWO].here)

    run(body())


def test_two_charters_of_one_order_are_named_freeze_and_exile_resolves_it() -> None:
    async def body() -> None:
        world, kept = slow_world(), stores()
        _, one = later_charter(world, world.charter, (0, 1), notice="one")
        _, other = later_charter(world, world.charter, (0, 1), notice="other")
        async with ring(world, kept, mirror=False) as posts:
            await posts[ONE].tell(one)
            await posts[TWO].tell(other)
        async with ring(world, kept) as posts:
            await everywhere(posts, lambda m: bool(m.standing().conflicts), "the conflict is known")
            named: set[StatementHash] = set()
            for post in posts.values():
                status = await post.status()
                assert status.frozen
                named |= set(status.conflicts)
                for bad in (warrant(world, 0, 1), release(world, 0, 1)):
                    assert await post.tell(bad) is State.INCOMPLETE, "nothing is complete"
            assert named == {one.statement_hash, other.statement_hash}
            for post in posts.values():
                post.pass_time(9 * DELAY)
                assert post.here.charter().version == 1
            # Exile, without home, from either charter.
            assert await posts[THREE].tell(lockdown(world, 3)) is State.LOGGED
            await everywhere(posts, locked, "locked down")
            govern = rosters(
                world.charter,
                RoleName.GOVERN,
                members=world.charter.role(RoleName.EXILE_1).members,
                threshold=1,
            )
            second, era = later_charter(world, world.charter, (3,), era=2, rosters=govern)
            await posts[ONE].tell(era)
            await everywhere(posts, knows(era), "the era is mirrored")
            for post in posts.values():
                post.pass_time(200)
            await everywhere(
                posts,
                lambda m: m.charter().statement_hash == second.statement_hash,
                "all vaults have one charter again",
            )
            for post in posts.values():
                assert not (await post.status()).frozen

    run(body())


def test_a_saboteur_at_home_is_removed_though_he_vetoes_everything() -> None:
    async def body() -> None:
        world = slow_world()
        async with ring(world, stores(), started=(ONE,)) as posts:
            post = posts[ONE]
            for _ in range(3):
                reading = warrant(world, 0, 1)
                await post.tell(reading)
                await post.tell(veto(world, reading, 2))
                assert await post.state(reading.statement_hash) is State.VETOED
            left = tuple(o for o in world.charter.officials if o.id != _person(world, 2))
            without = tuple(
                (
                    name,
                    replace(
                        role,
                        members=tuple(m for m in role.members if m != _person(world, 2)),
                        threshold=min(role.threshold, 2),
                    ),
                )
                for name, role in world.charter.rosters
            )
            second, change = later_charter(
                world, world.charter, (0, 1), officials=left, rosters=without
            )
            await post.tell(change)
            await post.tell(veto(world, change, 2))  # logged, and counts for nothing
            assert await post.state(change.statement_hash) is State.WAITING
            post.pass_time(3 * DELAY + 1)
            assert post.here.charter().version == 2
            reading = warrant(world, 0, 1, charter=second.statement_hash)
            assert await post.tell(reading) is State.WAITING
            assert await cause_of(post, veto(world, reading, 2).to_bytes()) == "quorum"
            post.pass_time(3 * DELAY + 1)
            assert await post.state(reading.statement_hash) is State.RELEASED

    run(body())


def _person(world: World, number: int) -> PersonId:
    return sorted(world.officials)[number]


def test_a_saboteur_who_locks_down_again_and_again_does_not_hinder_exile() -> None:
    async def body() -> None:
        world = slow_world()
        async with ring(world, stores(), started=(ONE,)) as posts:
            post, causes = posts[ONE], set()
            reading = warrant(world, 5)
            for number in range(40):
                try:
                    await post.tell(lockdown(world, 2))
                except VaultRefused as error:
                    causes.add(error.cause)
                if number == 3:
                    assert await post.tell(reading) is State.WAITING
            assert causes == {"quota"}
            assert await cause_of(post, veto(world, reading, 2).to_bytes()) == "quorum"
            post.pass_time(3 * 120 + 1)
            assert await post.state(reading.statement_hash) is State.RELEASED
            govern = rosters(
                world.charter,
                RoleName.GOVERN,
                members=world.charter.role(RoleName.EXILE_1).members,
                threshold=1,
            )
            left = tuple(
                (
                    name,
                    replace(
                        role,
                        members=tuple(m for m in role.members if m != _person(world, 2)),
                        threshold=min(role.threshold, 2),
                    ),
                )
                for name, role in govern
            )
            _, era = later_charter(world, world.charter, (3,), era=2, rosters=left)
            await post.tell(era)
            post.pass_time(3 * 60 + 1)
            assert post.here.charter().era == 2
            assert await cause_of(post, lockdown(world, 2).to_bytes()) == "quorum"

    run(body())


# After a lockdown


@pytest.mark.parametrize("kept_index", [False, True])
def test_after_a_lockdown_that_only_was_mirrored_home_loosens_nothing_over_restarts(
    kept_index: bool, tmp_path: Path
) -> None:
    async def body() -> None:
        world, kept = slow_world(), stores()
        before = [warrant(world, 0, 1), release(world, 0, 1)]
        _, charter = later_charter(world, world.charter, (0, 1), notice="another")
        before.append(charter)
        lock = lockdown(world, 6)

        async def holds(posts: Mapping[Seat, Post]) -> None:
            await everywhere(posts, locked, "locked down")
            assert await states(posts, before[0]) == {State.STOPPED}
            _, late = later_charter(world, world.charter, (0, 1, 2), notice="late")
            fresh = [warrant(world, 0, 1, 2), release(world, 0, 1, 2)]
            unlock = order(
                world, Unlock(head=head(world), lockdowns=(lock.statement_hash,)), 0, 1, 2
            )
            for post in posts.values():
                for envelope in before:  # again, with one more signature
                    again = world.officials_sign(envelope, (2,)).to_bytes()
                    assert (await post.client().submit(again)).state is State.STOPPED
                for envelope in (*fresh, unlock):
                    assert await cause_of(post, envelope.to_bytes()) == "quorum"
                assert await cause_of(post, late.to_bytes()) == "not-open"
                post.pass_time(9 * DELAY)
                assert post.here.charter().version == 1
                assert not post.here.keeping().released
            for envelope in before:
                assert await states(posts, envelope) == {State.STOPPED}

        async with ring(world, kept) as posts:
            for envelope in before:
                await posts[ONE].tell(envelope)
                await everywhere(posts, knows(envelope), "mirrored")
            await posts[THREE].tell(lock)
            await holds(posts)
            for seat, post in posts.items():
                await post.stop()
                post.index = str(tmp_path / f"index-{seat}.db") if kept_index else ":memory:"
                await post.start()
            await holds(posts)
            for post in posts.values():
                await post.stop()  # closed in order: its index is trusted now, where it is kept
                await post.start()
                if not kept_index:
                    with post.here.lock:
                        rows = post.here.index.dump()
                        post.here.rebuild()
                        assert post.here.index.dump() == rows
            await holds(posts)

    run(body())


# Statements that must not count


@pytest.fixture
def small() -> World:
    return slow_world(delay=0)


def refused_at_one(world: World, data: bytes, *before: Envelope) -> str:
    found: list[str] = []

    async def body() -> None:
        async with ring(world, stores(), started=(ONE,)) as posts:
            for envelope in before:
                await posts[ONE].tell(envelope)
            found.append(await cause_of(posts[ONE], data))

    run(body())
    return found[0]


def test_a_stale_or_skipped_version_or_era_is_refused(small: World) -> None:
    async def body() -> None:
        world = small
        async with ring(world, stores(), started=(ONE,)) as posts:
            post = posts[ONE]
            second, change = later_charter(world, world.charter, (0, 1), notice="second")
            third, next_one = later_charter(world, second, (0, 1), notice="third")
            _, skipped = later_charter(world, third, (0, 1), notice="fourth")
            assert await cause_of(post, skipped.to_bytes()) == "charter-gap"
            payload = charter_payload(replace(second, version=5))
            far = world.officials_sign(Envelope(payload=payload, kind=Kind.CHARTER), (0, 1))
            assert await cause_of(post, far.to_bytes()) == "charter-gap"
            assert await post.tell(change) is State.EFFECTIVE
            assert await post.tell(next_one) is State.EFFECTIVE
            _, stale = later_charter(world, world.charter, (0, 1), notice="stale")
            assert await cause_of(post, stale.to_bytes()) == "conflict"
            for number in (2, 3):
                _, era = later_charter(world, third, (0, 1, 3), era=number)
                assert await cause_of(post, era.to_bytes()) == "not-open"
            old = warrant(world, 0, 1)
            assert await cause_of(post, old.to_bytes()) == "conflict"

    run(body())


def test_statements_of_another_mission_are_refused(small: World) -> None:
    other = new_world()  # the same officials with the same keys
    foreign: list[Envelope] = [
        order(other, Lockdown(head=head(other)), 0),
        order(other, Veto(head=head(other), target=StatementHash(bytes(32))), 3),
        release(other, 0, 1),
        parse_envelope(other.warrant(reader())),
        later_charter(other, other.charter, (0, 1))[1],
        other.envelope,
        order(small, Lockdown(head=head(small, mission=MissionId(bytes(32)))), 0),
    ]
    for envelope in foreign:
        assert refused_at_one(small, envelope.to_bytes()) in {"conflict", "charter-gap"}


def _payload(envelope: Envelope) -> dict[str, Any]:
    value = parse_canonical_json(envelope.payload)
    assert isinstance(value, dict)
    return dict(value)


def test_an_unknown_role_is_refused(small: World) -> None:
    _, change = later_charter(small, small.charter, (0, 1))
    fields = _payload(change)
    fields["rosters"] = {**fields["rosters"], "kings": fields["rosters"]["govern"]}
    forged = small.officials_sign(envelope_for(fields), (0, 1))
    assert refused_at_one(small, forged.to_bytes()) == "malformed"
    del fields["rosters"]["kings"], fields["rosters"]["alarm"]
    forged = small.officials_sign(envelope_for(fields), (0, 1))
    assert refused_at_one(small, forged.to_bytes()) == "malformed"


def test_a_wrong_media_type_is_refused(small: World) -> None:
    async def body() -> None:
        world = small
        good = warrant(world, 0, 1)
        as_veto = replace(good, kind=Kind.VETO)  # one kind's words under another's type
        raw = _json(good) | {"payloadType": "application/json"}
        unknown = _json(good) | {"payloadType": "application/vnd.exclave.decree.v1+json"}
        second = _json(good) | {"payloadType": media_type(Kind.WARRANT).replace("v1", "v2")}
        report = world.officials_sign(replace(good, kind=Kind.REPORT), (0, 1))
        async with ring(world, stores(), started=(ONE,)) as posts:
            for data in (
                as_veto.to_bytes(),
                world.officials_sign(replace(as_veto, signatures=()), (0, 1)).to_bytes(),
                *(canonical_json(item) for item in (raw, unknown, second)),
                report.to_bytes(),
            ):
                assert await cause_of(posts[ONE], data) == "malformed"
            # A signature over one kind does not count for another with the same words.
            unlike = replace(order(world, Lockdown(head=head(world)), 0), payload=good.payload)
            again = replace(unlike, kind=Kind.WARRANT)
            assert await cause_of(posts[ONE], again.to_bytes()) == "signature"

    run(body())


def _json(envelope: Envelope) -> dict[str, Any]:
    value = parse_canonical_json(envelope.to_bytes())
    assert isinstance(value, dict)
    return dict(value)


def test_a_replay_changes_nothing(small: World) -> None:
    async def body() -> None:
        world = small
        async with ring(world, stores(), started=(ONE,)) as posts:
            post, lock = posts[ONE], lockdown(world, 0)
            await post.tell(lock)
            size = post.here.log.size
            assert await post.tell(lock) is State.LOGGED
            assert post.here.log.size == size
            unlock = order(world, Unlock(head=head(world), lockdowns=(lock.statement_hash,)), 3)
            assert await post.tell(unlock) is State.WAITING
            post.pass_time(3 * 60 + 1)
            assert not (await post.status()).locked
            size = post.here.log.size
            for old in (lock, unlock, world.envelope):
                await post.tell(old)
            assert post.here.log.size == size
            assert not (await post.status()).locked
            # The unlock names one lockdown: it lifts no other, however often it comes.
            await post.tell(lockdown(world, 0))
            await post.tell(unlock)
            post.pass_time(9 * DELAY)
            assert (await post.status()).locked

    run(body())


def test_a_signature_by_a_removed_official_counts_for_nothing(small: World) -> None:
    async def body() -> None:
        world = small
        gone = _person(world, 4)
        left = tuple(o for o in world.charter.officials if o.id != gone)
        key = ed()
        new = replace(
            world.charter.officials[4], id=PersonId("p-00000000000000ff"), key_sets=((key.public,),)
        )
        changed = tuple(
            (
                name,
                replace(
                    role, members=tuple(sorted(new.id if m == gone else m for m in role.members))
                ),
            )
            for name, role in world.charter.rosters
        )
        _, change = later_charter(
            world,
            world.charter,
            (0, 1),
            officials=tuple(sorted((*left, new), key=lambda o: o.id)),
            rosters=changed,
        )
        async with ring(world, stores(), started=(ONE,)) as posts:
            post = posts[ONE]
            await post.tell(change)
            assert post.here.charter().version == 2
            hold = order(world, Hold(head=head(world), deposits=None), 4)
            assert await cause_of(post, hold.to_bytes()) == "quorum"
            # The exile rosters change later than the charter: until then he may still lock down.
            post.pass_time(4 * DELAY)
            assert await cause_of(post, lockdown(world, 4).to_bytes()) == "quorum"

    run(body())


def test_a_person_under_two_keys_counts_once(small: World) -> None:
    async def body() -> None:
        world, more = small, ed()
        first, *others = world.charter.officials
        twice = replace(first, key_sets=(*first.key_sets, (more.public,)))
        _, change = later_charter(world, world.charter, (0, 1), officials=(twice, *others))
        async with ring(world, stores(), started=(ONE,)) as posts:
            await posts[ONE].tell(change)
            one = release(world, 0)
            both = one.with_signature(more.public, more.sign(one.pae))
            assert await posts[ONE].tell(both) is State.INCOMPLETE
            # Nor are two persons made of one key: such a charter is none.
            copied = replace(others[0], key_sets=first.key_sets)
            with pytest.raises(Exception, match="key"):
                replace(world.charter, officials=(first, copied, *others[1:]))

    run(body())


def test_a_statement_that_is_too_large_is_refused(small: World) -> None:
    good = lockdown(small, 0)
    fields = _payload(good) | {"reason": "x" * 1025}
    assert refused_at_one(small, small.officials_sign(envelope_for(fields), (0,)).to_bytes()) == (
        "malformed"
    )
    fields = _payload(warrant(small, 0, 1))
    fields["deposits"] = [f"{number:032x}" for number in range(40_000)]
    envelope = small.officials_sign(envelope_for(fields), (0, 1))
    assert len(envelope.to_bytes()) > 2**20
    assert refused_at_one(small, envelope.to_bytes()) == "malformed"
    assert refused_at_one(small, b"{" + b" " * (4 * 2**20)) == "too-large"
