"""P6: what is of the past, of another mission, altered, repeated or too large does not count.

The attacker's powers are those of `test_p6_over_the_line.py`: he holds the whole home roster and
hands in what he likes, at three real vaults that mirror. Positive control: what he alters, repeats
or takes from elsewhere here counts there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exclave.authority.charter import charter_payload
from exclave.authority.envelope import Envelope, Kind, envelope_for, media_type, parse_envelope
from exclave.authority.orders import (
    Hold,
    Lockdown,
    Unlock,
    Veto,
)
from exclave.encoding import canonical_json, parse_canonical_json
from exclave.ids import MissionId, PersonId, StatementHash
from exclave.vault.interface import State
from tests.support.over_the_line import (
    DELAY,
    ONE,
    cause_of,
    lockdown,
    person_of,
    reader,
    release,
    run,
    slow_world,
    stores,
    warrant,
)
from tests.support.pressure import (
    head,
    later_charter,
    order,
    ring,
)
from tests.support.vault_world import World, ed, new_world


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
        gone = person_of(world, 4)
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
