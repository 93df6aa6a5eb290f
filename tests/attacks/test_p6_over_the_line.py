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
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exclave.authority.charter_parts import RoleName
from exclave.authority.orders import (
    Compromise,
    Extend,
    Hold,
    Lockdown,
    Order,
    Unlock,
    Veto,
)
from exclave.ids import Seat, StatementHash
from exclave.standing.machine import due
from exclave.vault.interface import State, VaultRefused
from tests.support.over_the_line import (
    DELAY,
    ONE,
    THREE,
    TWO,
    cause_of,
    counted_due,
    knows,
    lockdown,
    locked,
    person_of,
    release,
    run,
    seen,
    slow_world,
    states,
    stores,
    usurped,
    veto,
    warrant,
)
from tests.support.pressure import (
    Post,
    everywhere,
    head,
    later_charter,
    order,
    ring,
    rosters,
)
from tests.support.vault_world import SEATS, START

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
            left = tuple(o for o in world.charter.officials if o.id != person_of(world, 2))
            without = tuple(
                (
                    name,
                    replace(
                        role,
                        members=tuple(m for m in role.members if m != person_of(world, 2)),
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
                        members=tuple(m for m in role.members if m != person_of(world, 2)),
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
