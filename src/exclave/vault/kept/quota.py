"""Whose bytes count against whom, as pure functions (spec/records.md 3).

Quotas bound what one key can store, so that nobody's flood costs another's room: a thief's least of
all that of the state whose key he has.

Rules
- What was lodged with keys after they were compromised counts against those keys alone.
- The reserve opens to keys that charter 1 did not know, and to no others: keys that were on a
  machine from the first day on are the ones that are stolen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Depositor
from exclave.authority.record_chain import Author, seated_authors
from exclave.values import dataclass
from exclave.vault.line.problems import refused

__all__ = [
    "Charged",
    "Used",
    "check_quota",
    "is_reserve_open",
    "kept_for_reserve",
    "reserve_authors",
    "used_by_others_than_thieves",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """What one record was charged with."""

    author: str  # its name
    logged: datetime
    size: int  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Bytes that count against an author: on one day, and in all."""

    today: int
    total: int


def used_by_others_than_thieves(
    charged: Iterable[Charged], *, author: str, compromised: Mapping[str, datetime], day: str
) -> Used:
    """Add up what counts against an author; `day` is the first ten characters of a stored time."""
    today = total = 0
    for item in charged:
        since = compromised.get(item.author)
        if item.author != author and since is not None and item.logged >= since:
            continue
        total += item.size
        today += item.size if item.logged.date().isoformat() == day else 0
    return Used(today=today, total=total)


def is_reserve_open(
    author: Author, *, first: Charter, in_force: Charter, compromised: Mapping[str, datetime]
) -> bool:
    """Whether an author may use the reserve; `first` is charter 1."""
    if not author.is_seated(in_force) or not in_force.depositor(author.depositor).reserve:
        return False
    return not author.is_seated(first) and author.name not in compromised


def reserve_authors(
    *, first: Charter, in_force: Charter, compromised: Mapping[str, datetime]
) -> frozenset[Author]:
    """All authors to whom the reserve is open."""
    return frozenset(
        author
        for author in seated_authors(in_force)
        if is_reserve_open(author, first=first, in_force=in_force, compromised=compromised)
    )


def kept_for_reserve(reserve: int, used: int, *, opens: bool) -> int:
    """Bytes of the disk that are kept free of an upload; `used` by those whom the reserve opens."""
    return 0 if opens else max(0, reserve - used)


def check_quota(new: int, *, depositor: Depositor, reserve: int, used: Used) -> None:
    """Refuse a record whose new packs go beyond what the charter grants its depositor.

    `reserve` is what the author may use of it, 0 when it is not open.
    """
    if used.today + new > depositor.daily_bytes:
        raise refused(
            "quota",
            f"quota of {depositor.id}: expected at most {depositor.daily_bytes} bytes a day, "
            f"got {used.today} today and {new} more",
            hint="the charter grants it by the day: deposit again tomorrow",
        )
    granted = depositor.total_bytes + reserve
    if used.total + new > granted:
        raise refused(
            "quota",
            f"quota of {depositor.id}: expected at most {granted} bytes in all, "
            f"got {used.total} so far and {new} more",
        )
