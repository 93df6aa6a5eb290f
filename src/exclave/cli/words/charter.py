"""What a charter says."""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName
from exclave.plain_words import after, grouped, period

__all__ = ["charter_lines"]


def charter_lines(charter: Charter) -> Iterator[str]:
    """Lines."""
    first = charter.mission is None
    yield f"  of {charter.state_name} ({charter.state_code}), {charter.era}.{charter.version}"
    yield f"  mission {grouped(charter.mission_id)}" + (" (founded by this charter)" * first)
    if charter.notice:
        yield f"  notice: {charter.notice}"
    d = charter.dispersal
    yield f"  data: any {d.k} of {d.n} seats rebuild it; a deposit counts once {d.h} states hold it"
    for seat in charter.active_seats:
        yield f"    seat {seat.seat}: {seat.state}, {seat.operator}"
    epoch = charter.current_epoch
    yield f"  recovery key: {epoch.group_threshold} of {len(epoch.groups)} groups of cards"
    for group in epoch.groups:
        yield (
            f"    {group.name} ({group.place.value}, {group.state}): "
            f"{group.threshold} of {group.members}"
        )
    for name in RoleName:
        role = charter.role(name)
        yield (
            f"  {name.value}: {role.threshold} of {len(role.members)} officials, "
            f"{after(role.delay)}"
        )
    yield f"  kept at least {charter.settings.retention_days} days"
    yield f"  a change of the exile rosters counts after {period(charter.delays.exile_change)}"
