"""What a vault expects of depositors by what they did before (spec/ledger.md 9.1).

A depositor who is made to stop, or to send something else than registers, does not say so: the
vaults notice, by when records come and by the sizes in them. No titles, intervals or registers are
told to them for that. `silence` and `change` are the rules, `expectations` asks them of a mission.

Rules
- Time is service time: neither a clock nor a night in which the vault was down makes a silence.
- Only keys that the charter in force seats end a silence: a thief's records are no sign of life.
- It is noticed and changes nothing; what is noticed wrongly costs a look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Final

from exclave.authority.alarm import AlarmCause
from exclave.authority.record_chain import seated_authors
from exclave.plain_words import size
from exclave.values import dataclass
from exclave.vault.mission.agreed import why_no_deposits

if TYPE_CHECKING:
    from exclave.vault.mission.mission import Mission

__all__ = ["KEPT", "Sign", "Volume", "change", "expectations", "silence"]

KEPT: Final = 16
"""Signs of life, and deposits, that are compared."""
_LEAST: Final = 4
"""With fewer than these nothing is expected."""
_TOGETHER_MS: Final = 600_000
"""Records so soon after another are one sign: a line that was down brings many at once."""
_GRACE_MS: Final = 3_600_000
_SLACK: Final = 2**20
"""Bytes that make no difference: packs are padded."""
_NAMED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A record that was mirrored: when, in service time.

    It counts where the keys that the charter seats signed it, or it was lodged while they were.
    """

    service_ms: int
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A lodged deposit in bytes of sealed packs: all that it refers to, and what was new."""

    live: int
    fresh: int
    first: bool  # of its keys: then everything is new


def silence(signs: Sequence[Sign], now_ms: int) -> str | None:
    """What to say of a depositor who is silent for longer than is usual; `signs` in their order."""
    moments: list[int] = []
    for sign in signs:
        if not moments or sign.service_ms - moments[-1] >= _TOGETHER_MS:
            moments.append(sign.service_ms)
    moments = moments[-KEPT:]
    if len(moments) < _LEAST:
        return None
    gaps = [later - before for before, later in pairwise(moments)]
    usual = median_low(gaps)
    # Of a long gap only so much counts, so that one silence does not excuse a longer one.
    expected = max(2 * usual, 3 * min(max(gaps), 4 * usual) // 2) + _GRACE_MS
    last = max((s.service_ms for s in signs if s.counts), default=moments[0])
    if now_ms - last <= expected:
        return None
    return (
        f"expected a deposit every {_hours(usual)} h or so, got none for {_hours(now_ms - last)} h"
    )


def change(volumes: Sequence[Volume]) -> tuple[AlarmCause, str] | None:
    """What to say of the newest deposit against those before; `volumes` in their order."""
    *before, newest = volumes[-KEPT:]
    if len(before) < _LEAST - 1:
        return None
    least, most = min(v.live for v in before), max(v.live for v in before)
    if 2 * newest.live < least - _SLACK:
        return AlarmCause.DEPOSIT_SHRANK, (
            f"the newest deposit has {size(newest.live)} of packs, "
            f"each of the {len(before)} before at least {size(least)}"
        )
    if newest.live > 2 * most + _SLACK:
        return AlarmCause.DEPOSIT_GREW, (
            f"the newest deposit has {size(newest.live)} of packs, "
            f"each of the {len(before)} before at most {size(most)}"
        )
    fresh = max((v.fresh for v in before if not v.first), default=None)
    rewritten = 2 * newest.fresh > newest.live and not newest.first
    if rewritten and fresh is not None and newest.fresh > 4 * fresh + _SLACK:
        return AlarmCause.DEPOSIT_GREW, (
            f"of the newest deposit {size(newest.fresh)} are new, more than half of it, "
            f"of each before at most {size(fresh)}"
        )
    return None


def expectations(mission: Mission) -> Iterator[tuple[AlarmCause, str]]:
    """What is noticed of all depositors now; the lock is held by the caller."""
    authors = {author.depositor: author.name for author in seated_authors(mission.charter())}
    now_ms = mission.service.now()
    # Where nothing may be deposited silence says nothing; why it may not is in the status.
    expecting = why_no_deposits(mission) is None
    found: dict[AlarmCause, list[str]] = {}
    for depositor, author in sorted(authors.items()):
        signs = [
            Sign(service_ms=moment, counts=name == author or lodged)
            for moment, name, lodged in mission.index.signs(depositor)
        ]
        said = silence(signs, now_ms) if signs and expecting else None
        if said is not None:
            found.setdefault(AlarmCause.DEPOSITS_SILENT, []).append(f"{depositor}: {said}")
        volumes = [
            Volume(live=live, fresh=fresh, first=sequence == 1)
            for live, fresh, sequence in mission.index.volumes(depositor, KEPT)
        ]
        changed = change(volumes) if volumes else None
        if changed is not None:
            found.setdefault(changed[0], []).append(f"{depositor}: {changed[1]}")
    for cause, details in found.items():
        more = f"; and {len(details) - _NAMED} more" if len(details) > _NAMED else ""
        yield cause, "; ".join(details[:_NAMED]) + more


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / 3_600_000:.1f}"
