"""What may be swept and what may not: the rule, and the run that carries it out (P3)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exclave.authority.envelope import parse_envelope
from exclave.authority.record_chain import author_of
from exclave.authority.swept import parse_swept
from exclave.engine.memory import Fault, MemoryEngine
from exclave.errors import StorageError
from exclave.ids import PackRoot, ShardRoot, StatementHash
from exclave.ledger.entry import EntryType
from exclave.vault.interface import State
from exclave.vault.kept.fsck import check_objects
from exclave.vault.kept.storage import shard_key
from exclave.vault.mission.keeping import Keeping
from exclave.vault.mission.submission import state_of, submit
from exclave.vault.mission.sweeper import sweep
from exclave.vault.mission.sweeping import Kept as Why
from exclave.vault.mission.sweeping import ReleasedPack, SweepInputs, what_may_go
from tests.support.keeping import RELEASE, Kept, put, roots
from tests.support.serving import SEAT
from tests.support.vault_world import START, new_world

PACK, OTHER = PackRoot(b"\x01" * 32), PackRoot(b"\x02" * 32)
SHARD, STAGED = ShardRoot(b"\x03" * 32), ShardRoot(b"\x04" * 32)
DAY = timedelta(days=1)
NONE: frozenset[PackRoot] = frozenset()
OVER = ReleasedPack(root=PACK, release=RELEASE, shards=(SHARD,), retain_until=START)
GONE = SweepInputs(
    now=START, locked=False, frozen=False, released=(OVER,), held=NONE, newest=NONE,
    before_compromise=NONE, drilled=NONE, pending=NONE, held_all=False, staging_days=90,
    staged={STAGED: START - 90 * DAY},
)  # fmt: skip
ONE = frozenset({PACK})


def test_what_every_condition_permits_goes() -> None:
    found = what_may_go(GONE)
    assert found.released == ((RELEASE, (SHARD,)),)
    assert found.staged == (STAGED,)
    assert found.kept == {}


@pytest.mark.parametrize(
    ("changes", "why", "staged_too"),
    [
        ({"locked": True}, Why.LOCKED, True),
        ({"frozen": True}, Why.FROZEN, True),
        ({"held": None, "held_all": True}, Why.HELD, True),
        ({"held": ONE}, Why.HELD, False),
        ({"now": START - timedelta(seconds=1)}, Why.RETAINED, True),
        ({"released": (replace(OVER, retain_until=None),)}, Why.UNKNOWN, False),
        ({"newest": ONE}, Why.NEWEST, False),
        ({"before_compromise": ONE}, Why.BEFORE_COMPROMISE, False),
        ({"drilled": ONE}, Why.DRILLED, False),
        ({"pending": ONE}, Why.PENDING, False),
    ],
)
def test_each_condition_alone_keeps_it(changes: dict[str, Any], why: Why, staged_too: bool) -> None:
    found = what_may_go(replace(GONE, **changes))
    assert found.released == ()
    assert found.kept == {PACK: why}
    assert (found.staged == ()) is staged_too


def test_every_reason_is_tried() -> None:
    marks = test_each_condition_alone_keeps_it.pytestmark  # type: ignore[attr-defined]
    assert {row[1] for row in marks[0].args[1]} == set(Why)


def test_a_pack_that_is_gone_already_is_no_news() -> None:
    assert what_may_go(replace(GONE, released=(replace(OVER, shards=()),))).released == ()


@given(
    names=st.lists(st.sampled_from([PACK, OTHER]), unique=True),
    released=st.lists(st.sampled_from([PACK, OTHER]), unique=True),
    now=st.timedeltas(-DAY, DAY),
    flags=st.tuples(*[st.booleans()] * 3),
)
def test_nothing_goes_that_no_release_names_or_that_anything_keeps(
    names: list[PackRoot], released: list[PackRoot], now: timedelta, flags: tuple[bool, ...]
) -> None:
    locked, frozen, held = flags
    packs = tuple(replace(OVER, root=root, shards=(ShardRoot(root),)) for root in released)
    inputs = replace(
        GONE, now=START + now, locked=locked, frozen=frozen, held=None if held else NONE,
        released=packs, newest=frozenset(names),
    )  # fmt: skip
    found = what_may_go(inputs)
    going = {root for _, shards in found.released for root in shards}
    assert going.isdisjoint(ShardRoot(name) for name in names)
    assert going <= {ShardRoot(root) for root in released}
    assert not going or (now >= timedelta() and not (locked or frozen or held))
    assert len(going) + len(found.kept) == len(released)


# The run


def test_without_orders_nothing_is_ever_swept() -> None:
    kept = Kept.new()
    before = sorted(kept.store.keys(""))
    kept.later(timedelta(days=36_500))
    assert sweep(kept.mission).released == ()
    assert sorted(kept.store.keys("")) == before


def test_a_released_pack_goes_and_everything_else_stays() -> None:
    kept = Kept.new()
    (own, both, manifest), (second, *_) = kept.packs
    kept.release(own, both, manifest)
    assert sweep(kept.mission).kept[own.root] is Why.RETAINED
    kept.later()
    found = sweep(kept.mission)
    assert found.released == ((RELEASE, roots([own, manifest])),)
    assert found.kept == {both.root: Why.NEWEST}
    assert [kept.has(pack) for pack in (own, both, manifest, second)] == [False, True, False, True]
    entry = kept.mission.log.entry(kept.mission.log.size - 1)
    assert entry.type is EntryType.SWEPT
    said = parse_swept(parse_envelope(kept.mission.log.body(entry.hash)))
    assert (said.release, said.shards) == (RELEASE, roots([own, manifest]))
    assert sweep(kept.mission).released == ()
    assert kept.mission.log.size == entry_count(kept)


def entry_count(kept: Kept) -> int:
    return sum(1 for _ in kept.mission.log.entries())


def test_a_swept_record_is_lodged_still_and_misses_nothing() -> None:
    kept = Kept.new()
    kept.release(kept.packs[0][0])
    kept.later()
    sweep(kept.mission)
    first = kept.records[0].statement_hash
    assert state_of(kept.mission, first).state is State.LODGED
    assert kept.mission.index.missing(first) == ()
    report = check(kept)
    assert (report.bad, report.swept) == ((), 1)
    rows = kept.mission.index.dump()
    kept.mission.rebuild()
    assert kept.mission.index.dump() == rows
    assert kept.reopened().index.dump() == rows


def check(kept: Kept) -> Any:
    public = kept.world.vaults[SEAT].log.public.raw
    return check_objects(kept.store, mission=kept.world.mission, seat=SEAT, log_public=public)


def test_what_was_not_swept_and_is_gone_is_bad() -> None:
    kept = Kept.new()
    root = kept.packs[0][0].shards[SEAT].root
    kept.store.spoil(shard_key(root), None)  # type: ignore[arg-type]
    (bad,) = check(kept).bad
    assert (bad.key, "missing" in bad.what) == (shard_key(root), True)


def test_a_swept_shard_may_come_again_and_is_kept_by_what_keeps_it() -> None:
    kept = Kept.new()
    own = kept.packs[0][0]
    kept.release(own)
    kept.later()
    sweep(kept.mission)
    put(kept.mission, own)
    assert kept.has(own)
    kept.release(own, holds_all=True)
    assert sweep(kept.mission).kept == {own.root: Why.HELD}
    assert kept.has(own)
    rows = kept.mission.index.dump()
    kept.mission.rebuild()
    assert kept.mission.index.dump() == rows
    kept.release(own)
    kept.later(DAY)
    assert sweep(kept.mission).released
    assert not kept.has(own)


def keeping(kept: Kept, case: str) -> dict[str, object]:
    deposit = kept.records[0].deposit
    author = author_of(kept.records[0], kept.mission.fold.chain).name
    far = kept.now.time + timedelta(days=1000)
    return {
        "locked": {"locked": True},
        "frozen": {"frozen": True},
        "held": {"held": frozenset({deposit})},
        "held by all": {"holds_all": True},
        "held, unknown": {"held": frozenset({kept.records[1].deposit, deposit})},
        "extended": {"extended": {deposit: far}},
        "all extended": {"extended_all": far},
        "compromised": {"compromised": {author: START + timedelta(minutes=30)}},
        "drilled": {"drilled": frozenset({deposit})},
    }[case]


@pytest.mark.parametrize(
    "case",
    ["locked", "frozen", "held", "held by all", "held, unknown", "extended", "all extended",
     "compromised", "drilled"],
)  # fmt: skip
def test_what_stands_keeps_a_released_pack(case: str) -> None:
    kept = Kept.new()
    own = kept.packs[0][0]
    kept.later()
    kept.release(own, **keeping(kept, case))
    assert own.root in sweep(kept.mission).kept
    assert kept.has(own)
    kept.release(own)
    sweep(kept.mission)
    assert not kept.has(own)


def test_a_pack_that_a_pending_record_names_stays() -> None:
    kept = Kept.new()
    own = kept.packs[0][0]
    kept.later()
    new = kept.world.pack()
    pending = kept.world.record(
        [own, new], previous=kept.records[1],
        live=[pack.root for pack in kept.packs[1]],
        manifest_packs=kept.records[1].manifest_packs,
    )  # fmt: skip
    assert submit(kept.mission, kept.world.signed(pending)).state is State.PENDING
    kept.release(own)
    assert sweep(kept.mission).kept == {own.root: Why.PENDING}
    put(kept.mission, new)
    assert state_of(kept.mission, pending.statement_hash).state is State.LODGED
    assert sweep(kept.mission).kept == {own.root: Why.RETAINED}, "it was lodged again"
    kept.later()
    assert sweep(kept.mission).kept == {own.root: Why.NEWEST}


# Staged shards


def test_a_staged_shard_goes_when_its_days_are_over() -> None:
    kept = Kept.new()
    pack = kept.world.pack()
    put(kept.mission, pack, b"somebody")
    kept.later(89 * DAY)
    assert sweep(kept.mission).staged == ()
    kept.mission.close()
    kept.reopened()
    kept.later(DAY)
    assert sweep(kept.mission).staged == roots([pack])
    assert not kept.has(pack)
    assert kept.mission.staging.of(b"somebody") == 0


def test_a_staged_shard_put_again_has_its_days_anew() -> None:
    kept = Kept.new()
    pack = kept.world.pack()
    put(kept.mission, pack)
    kept.later(89 * DAY)
    assert kept.mission.shard_is_here(pack.shards[SEAT].root)
    kept.later(2 * DAY)
    assert sweep(kept.mission).staged == ()


def test_when_a_shard_was_put_is_lost_it_stays_longer() -> None:
    kept = Kept.new()
    pack = kept.world.pack()
    put(kept.mission, pack)
    kept.later(80 * DAY)
    kept.mission.expiry.keep()  # and nothing else: killed before `meta/staged` was written
    kept.mission.service.keep()
    kept.reopened()
    kept.later(80 * DAY)
    assert sweep(kept.mission).staged == ()
    kept.later(10 * DAY)
    assert sweep(kept.mission).staged == roots([pack])


def test_a_staged_shard_that_any_record_names_stays() -> None:
    kept = Kept.new()
    pack = kept.world.pack()
    put(kept.mission, pack)
    wrong = replace(pack, length=pack.length + 1)  # named, not as its header describes it
    record = kept.world.record(
        [wrong], previous=kept.records[1], live=[p.root for p in kept.packs[1]],
        manifest_packs=kept.records[1].manifest_packs,
    )  # fmt: skip
    submit(kept.mission, kept.world.signed(record))
    kept.later(200 * DAY)
    assert sweep(kept.mission).staged == ()


@pytest.mark.parametrize("line", ["{root} {who} 9999-01-01T00:00:00Z", "{root} {who}", "{root} -"])
def test_put_times_of_others_clocks_count_from_now(line: str) -> None:
    kept = Kept.new()
    pack = kept.world.pack()
    put(kept.mission, pack)
    kept.mission.close()
    text = line.format(root=pack.shards[SEAT].root.hex(), who="ab" * 32)
    kept.store.replace_head("meta/staged", f"{text}\n".encode())  # type: ignore[arg-type]
    kept.reopened()
    kept.later(89 * DAY)
    assert sweep(kept.mission).staged == ()
    kept.later(DAY)
    assert sweep(kept.mission).staged == roots([pack])


# Faults

FAULTS = (Fault.LOST, Fault.PERSISTED, Fault.UNSYNCED, Fault.NO_SPACE)


def ready_to_sweep() -> Kept:
    kept = Kept.new(MemoryEngine(), WORLD)
    kept.later()
    kept.mission.keep()  # a power cut loses what was not kept of them
    kept.release(kept.packs[0][0], kept.packs[0][2])
    return kept


WORLD = new_world()


def writes_of_a_sweep() -> int:
    kept = ready_to_sweep()
    before = kept.store.writes
    sweep(kept.mission)
    return kept.store.writes - before


COUNT = writes_of_a_sweep()


def test_a_sweep_logs_before_it_removes() -> None:
    assert COUNT >= 8  # three facts, body, bundle, tile, checkpoint, two shards
    kept = ready_to_sweep()
    size, sizes = kept.mission.log.size, []
    removed: Callable[[Any], bool] = kept.store.sweep

    def watched(key: Any) -> bool:
        sizes.append(kept.mission.log.size)
        return removed(key)

    kept.store.sweep = watched  # type: ignore[method-assign]
    sweep(kept.mission)
    assert sizes == [size + 1, size + 1]


@pytest.mark.parametrize("power_cut", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_a_sweep_that_fails_anywhere_is_made_good(
    number: int, fault: Fault, power_cut: bool
) -> None:
    kept = ready_to_sweep()
    going = roots([kept.packs[0][0], kept.packs[0][2]])
    kept.store._faults[kept.store.writes + number] = fault
    with pytest.raises(StorageError):
        sweep(kept.mission)
    gone = [root for root in going if shard_key(root) not in set(kept.store.keys("shards/"))]  # type: ignore[comparison-overlap]
    if power_cut:
        kept.store.crash()
        kept.reopened()
    said = {
        root
        for _, entry in kept.mission.log.entries()
        if entry.type is EntryType.SWEPT
        for root in parse_swept(parse_envelope(kept.mission.log.body(entry.hash))).shards
    }
    assert set(gone) <= said, "nothing goes that the log does not name"
    kept.later(DAY)
    sweep(kept.mission)
    assert [kept.has(pack) for pack in kept.packs[0]] == [False, True, False]
    assert all(kept.has(pack) for pack in kept.packs[1])
    assert check(kept).bad == ()
    rows = kept.mission.index.dump()
    kept.mission.rebuild()
    assert kept.mission.index.dump() == rows
    assert kept.store.conflicts == []


def test_a_hold_between_the_entry_and_the_removal_keeps_what_is_left() -> None:
    kept = ready_to_sweep()
    own, _, manifest = kept.packs[0]
    kept.store._faults[kept.store.writes + COUNT] = Fault.LOST  # the second shard
    with pytest.raises(StorageError):
        sweep(kept.mission)
    kept.release(own, manifest, holds_all=True)
    sweep(kept.reopened())
    assert sorted([kept.has(own), kept.has(manifest)]) == [False, True]


def test_a_default_keeping_releases_nothing() -> None:
    assert Keeping() == Keeping(released={}, holds_all=False)
    assert StatementHash(bytes(32)) not in Keeping().released.values()
