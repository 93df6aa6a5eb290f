"""Who is asked to sign, in words."""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.asked import Asked, Asking
from exclave.authority.charter_parts import Official
from exclave.ids import PersonId

__all__ = ["quorum_lines"]


def quorum_lines(asking: Asking, officials: tuple[Official, ...]) -> Iterator[str]:
    """Lines: by whom it is asked, who signed, how many are needed still."""
    people = {person.id: person for person in officials}
    for item in asking.every:
        yield from _asked_lines(item, people)
    for number, item in enumerate(asking.either):
        if number:
            yield "  or"
        yield from _asked_lines(item, people)
    for item in asking.locked:
        yield f"  under a lockdown instead {_needed(item)}"
    if asking.override is not None:
        yield f"  against a veto {_needed(asking.override)}"


def _asked_lines(item: Asked, people: dict[PersonId, Official]) -> Iterator[str]:
    yield f"  {_needed(item)}"
    for person in sorted(item.signed):
        official = people.get(person)
        where = "" if official is None else f" ({official.institution}, {official.place})"
        yield f"    signed: {person}{where}"


def _needed(item: Asked) -> str:
    state = f"{item.missing} more needed" if item.missing else "that is enough"
    return (
        f"{item.name}: {item.threshold} of {len(item.members)} must sign; "
        f"{len(item.signed)} signed, {state}"
    )
