"""What may be swept, and why the rest may not: a pure function (spec/vault-http.md 8).

The only rule in the program after which stored bytes go. It decides on values and reads nothing;
`exclave.vault.mission.sweeper` gathers them and carries it out.

Rules
- What no rule permits is kept. Time alone never suffices: a release names the packs.
- A lockdown or freeze keeps everything, staged shards too.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from exclave.ids import PackRoot, ShardRoot, StatementHash
from exclave.values import dataclass

__all__ = ["Kept", "ReleasedPack", "Sweep", "SweepInputs", "what_may_go"]


class Kept(enum.Enum):
    """Why a pack that a release names is not swept now."""

    UNKNOWN = "no lodged record names it"
    LOCKED = "a lockdown stands"
    FROZEN = "charters are in conflict"
    HELD = "a hold covers it"
    RETAINED = "its retention has not passed"
    NEWEST = "it is live in the newest lodged deposit of an author"
    BEFORE_COMPROMISE = "it is live in the newest lodged deposit before a compromise"
    DRILLED = "it is live in the newest deposit with a passed drill"
    PENDING = "a pending record names it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedPack:
    """A pack that a release names."""

    root: PackRoot
    release: StatementHash
    shards: tuple[ShardRoot, ...]  # stored here; none when it is swept already
    retain_until: datetime | None  # None: of no lodged record


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepInputs:
    """All that decides on a sweep. Of packs, None stands for all of them."""

    now: datetime  # expiry time
    locked: bool
    frozen: bool
    released: tuple[ReleasedPack, ...]
    held: frozenset[PackRoot] | None
    newest: frozenset[PackRoot]
    before_compromise: frozenset[PackRoot]
    drilled: frozenset[PackRoot]
    pending: frozenset[PackRoot]
    held_all: bool  # a hold on all deposits: it covers staged shards too
    staging_days: int
    staged: Mapping[ShardRoot, datetime]  # of no record, with the moment of its put


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What may go, ascending, and why what a release names may not go yet."""

    released: tuple[tuple[StatementHash, tuple[ShardRoot, ...]], ...]
    staged: tuple[ShardRoot, ...]
    kept: Mapping[PackRoot, Kept]


def what_may_go(inputs: SweepInputs) -> Sweep:
    """Judge every released pack and every staged shard."""
    kept: dict[PackRoot, Kept] = {}
    going: dict[StatementHash, set[ShardRoot]] = {}
    for pack in inputs.released:
        reason = _kept(pack, inputs)
        if reason is not None:
            kept[pack.root] = reason
        elif pack.shards:
            going.setdefault(pack.release, set()).update(pack.shards)
    return Sweep(
        released=tuple((release, tuple(sorted(going[release]))) for release in sorted(going)),
        staged=tuple(sorted(_over_age(inputs))),
        kept=kept,
    )


def _kept(pack: ReleasedPack, inputs: SweepInputs) -> Kept | None:
    """The first reason to keep it, in the order in which they are told."""
    live = {
        Kept.NEWEST: inputs.newest,
        Kept.BEFORE_COMPROMISE: inputs.before_compromise,
        Kept.DRILLED: inputs.drilled,
        Kept.PENDING: inputs.pending,
    }
    if inputs.locked:
        return Kept.LOCKED
    if inputs.frozen:
        return Kept.FROZEN
    if pack.retain_until is None:
        return Kept.UNKNOWN
    if inputs.held is None or pack.root in inputs.held:
        return Kept.HELD
    if inputs.now < pack.retain_until:
        return Kept.RETAINED
    return next((reason for reason, roots in live.items() if pack.root in roots), None)


def _over_age(inputs: SweepInputs) -> Iterable[ShardRoot]:
    if inputs.locked or inputs.frozen or inputs.held_all:
        return ()
    days = timedelta(days=inputs.staging_days)
    return (root for root, put in inputs.staged.items() if inputs.now >= put + days)
