"""What a new charter changes, who must sign it, and what it does not do, in plain words; pure.

For those who sign it and for those who watch; the changes themselves are
`exclave.found.differences`.
"""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName
from exclave.found.differences import Names, change_lines
from exclave.plain_words import duration

__all__ = ["summary"]


def summary(before: Charter, after: Charter, names: Names) -> tuple[str, ...]:
    """Head, differences, who must sign, and what stays as it was although one might think not."""
    state = f"{after.state_name} ({after.state_code})"
    return (
        f"Charter {_order(after)} of {state}, after {_order(before)}",
        "",
        *change_lines(before, after, names),
        "",
        *_signing(before, after),
        *_warnings(before, after),
    )


def _order(charter: Charter) -> str:
    return f"{charter.era}.{charter.version}"


def _signing(before: Charter, after: Charter) -> Iterator[str]:
    own = after.role(RoleName.GOVERN)
    if after.era == before.era:
        old = before.role(RoleName.GOVERN)
        yield (
            f"signed by {old.threshold} of {len(old.members)} of govern of "
            f"{before.era}.{before.version} and by {own.threshold} of {len(own.members)} of its own"
        )
        yield f"in force {duration(max(old.delay, own.delay))} after the vaults have it"
        return
    first, second = before.role(RoleName.EXILE_1), before.role(RoleName.EXILE_2)
    yield (
        f"a new era: signed by {first.threshold} of {len(first.members)} of exile_1 or "
        f"{second.threshold} of {len(second.members)} of exile_2 of the exile charter, and by "
        f"{own.threshold} of {len(own.members)} of its own govern"
    )
    yield "taken under lockdown only"


def _warnings(before: Charter, after: Charter) -> Iterator[str]:
    left = {item.id for item in before.officials} - {item.id for item in after.officials}
    new_epoch = after.current_epoch.epoch != before.current_epoch.epoch
    epoch = before.current_epoch.epoch
    if left and not new_epoch:
        yield (
            f"note: whoever leaves keeps the cards that he has; those of epoch {epoch} stay good, "
            "also for new deposits, until a new epoch begins"
        )
    if new_epoch:
        yield (
            f"note: cards of epoch {epoch} and before stay with their holders: older deposits "
            "need them, and no charter makes them worthless"
        )
    active = {seat.seat for seat in before.active_seats}
    retired = [seat.seat for seat in after.seats if seat.retired and seat.seat in active]
    if retired:
        yield (
            f"note: shards at seat {', '.join(map(str, retired))} are repaired at no other seat "
            "by themselves: older deposits have one holder fewer there"
        )
