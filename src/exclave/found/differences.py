"""What differs between a charter and the one before it, and what of it weakens.

What weakens begins in capitals: fewer signatures, shorter delays, persons removed, exile members
replaced, less of what is kept. Rules: every field of a charter in which two can differ is compared,
and what has no words of its own is named at the end, so that no change goes unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from exclave.authority.annex import AnnexEntry
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import (
    Address,
    Depositor,
    Official,
    RecoveryEpoch,
    RoleName,
    SeatEntry,
)
from exclave.clock import format_time
from exclave.ids import PersonId, Seat
from exclave.plain_words import period, size
from exclave.values import fields

__all__ = ["Names", "change_lines"]

_EXILE = (RoleName.EXILE_1, RoleName.EXILE_2)


Names = Mapping[PersonId, AnnexEntry]


def change_lines(
    before: Charter, new: Charter, names: Names = MappingProxyType({})
) -> tuple[str, ...]:
    """Lines, those that weaken first; `names` of officials, where the annex is at hand."""
    lines = [
        *_officials(before, new, names),
        *(line for name in RoleName for line in _role(before, new, name, names)),
        *_delays(before, new),
        *_dispersal(before, new),
        *_seats(before, new),
        *_epochs(before, new),
        *_depositors(before, new),
        *_witness(before, new),
        *_settings(before, new),
        *_texts(before, new),
    ]
    weaker = [line for line in lines if line.startswith("! ")]
    others = [line for line in lines if not line.startswith("! ")]
    if not lines:
        return ("  nothing but its number",)
    head = ["WHAT IS MARKED BY ! WEAKENS THE CHARTER: ASK WHY"] if weaker else []
    return tuple(f"  {line}" for line in [*head, *weaker, *others])


def _officials(before: Charter, new: Charter, names: Names) -> Iterator[str]:
    old = {item.id: item for item in before.officials}
    now = {item.id: item for item in new.officials}
    for name in sorted(old.keys() - now.keys()):
        yield f"! PERSON REMOVED: {_person(old[name], names)}"
    for name in sorted(now.keys() - old.keys()):
        yield f"person added: {_person(now[name], names)}"
    for name in sorted(old.keys() & now.keys()):
        one, other = old[name], now[name]
        if (one.place, one.institution) != (other.place, other.institution):
            yield f"person moved: {_person(one, names)} to {other.institution}, {other.place}"
        if one.key_sets != other.key_sets:
            yield f"! KEYS OF A PERSON REPLACED: {_person(other, names)}"
        if one.name_hash != other.name_hash:
            yield f"! NAME BEHIND A PERSON CHANGED: {_person(other, names)}"


def _role(before: Charter, new: Charter, name: RoleName, names: Names) -> Iterator[str]:
    old, now = before.role(name), new.role(name)
    of_old, of_now = (
        f"{old.threshold} of {len(old.members)}",
        f"{now.threshold} of {len(now.members)}",
    )
    if now.threshold < old.threshold:
        yield f"! FEWER SUFFICE: {name} needs {of_now} instead of {of_old}"
    elif of_old != of_now:
        yield f"{name} needs {of_now} instead of {of_old}"
    out = "! EXILE MEMBER REPLACED OR REMOVED" if name in _EXILE else "! REMOVED FROM A ROSTER"
    for person in sorted(set(old.members) - set(now.members)):
        yield f"{out}: {_name(person, names)} is no longer in {name}"
    for person in sorted(set(now.members) - set(old.members)):
        yield f"{_name(person, names)} is new in {name}"
    yield from _lower(f"delay of {name}", old.delay, now.delay, period, "SHORTER DELAY")
    yield from _lower(
        f"veto window of {name}", old.veto_window, now.veto_window, period, "SHORTER VETO WINDOW"
    )


def _delays(before: Charter, new: Charter) -> Iterator[str]:
    old, now = before.delays, new.delays
    yield from _lower("factor without a quorum of vaults", old.dark_factor, now.dark_factor, str)
    yield from _lower(
        "delay of changes of exile", old.exile_change, now.exile_change, period, "SHORTER DELAY"
    )
    yield from _higher("life of a warrant", old.warrant_life, now.warrant_life, period)


def _dispersal(before: Charter, new: Charter) -> Iterator[str]:
    old, now = before.dispersal, new.dispersal
    yield from _lower("vaults together that could read (k)", old.k, now.k, str)
    yield from _lower("seats (n)", old.n, now.n, str, "FEWER SEATS")
    yield from _lower("states that must hold a deposit (h)", old.h, now.h, str)
    if now.n - now.k < old.n - old.k:
        yield (
            f"! FEWER LOSSES ARE SURVIVED: {now.n - now.k} of {now.n} vaults "
            f"instead of {old.n - old.k} of {old.n}"
        )


def _seats(before: Charter, new: Charter) -> Iterator[str]:
    old = {seat.seat: seat for seat in before.seats}
    for seat in new.seats:
        earlier = old.pop(seat.seat, None)
        if earlier is None:
            yield f"seat added: {_seat(seat)}"
        elif seat.retired and not earlier.retired:
            yield f"! SEAT RETIRED: {_seat(seat)}"
        elif seat != earlier:
            yield f"seat changed ({_differing(earlier, seat)}): {_seat(earlier)}, now {_seat(seat)}"
            if seat.agreement != earlier.agreement:
                key = "none" if seat.agreement is None else seat.agreement.hex()
                yield f"! STATE {seat.state} HAS ANOTHER KEY at seat {seat.seat}: {key}"
    for seat in old.values():
        yield f"! SEAT REMOVED: {_seat(seat)}"
    if _places(before) != _places(new):
        # What is printed cannot follow: if the old vaults are gone, such a card finds nobody.
        yield (
            "cards in hand name the vaults of their own day: once this is in force, give each "
            "holder this charter's file beside the card"
        )


def _places(charter: Charter) -> set[tuple[Seat, tuple[Address, ...]]]:
    return {(seat.seat, seat.addresses) for seat in charter.active_seats}


def _epochs(before: Charter, new: Charter) -> Iterator[str]:
    known = {epoch.epoch: epoch for epoch in before.recovery}
    for epoch in new.recovery:
        earlier = known.get(epoch.epoch)
        if earlier is None:
            yield f"new recovery key: epoch {epoch.epoch}, {_cards(epoch)}"
        elif (earlier.key, earlier.check) != (epoch.key, epoch.check):
            yield f"! RECOVERY KEY REWRITTEN: epoch {epoch.epoch}"
        elif _layout(earlier) != _layout(epoch):
            yield f"! CARDS OF EPOCH {epoch.epoch} LAID OUT ANEW: {_cards(epoch)}"
    for number in sorted(known.keys() - {epoch.epoch for epoch in new.recovery}):
        yield f"! RECOVERY KEY REMOVED: epoch {number}"


def _depositors(before: Charter, new: Charter) -> Iterator[str]:
    old = {item.id: item for item in before.depositors}
    for item in new.depositors:
        earlier = old.pop(item.id, None)
        if earlier is None:
            yield f"depositor added: {item.id}, {size(item.daily_bytes)} a day"
        else:
            yield from _depositor(earlier, item)
    for name in old:
        yield f"! DEPOSITOR REMOVED: {name}"


def _depositor(old: Depositor, now: Depositor) -> Iterator[str]:
    if (old.keys, old.identity) != (now.keys, now.identity):
        yield f"keys of depositor {now.id} replaced"
    yield from _lower(f"daily quota of {now.id}", old.daily_bytes, now.daily_bytes, size)
    yield from _lower(f"quota of {now.id}", old.total_bytes, now.total_bytes, size)
    if old.reserve and not now.reserve:
        yield f"! NO LONGER THE RESERVE DEPOSITOR: {now.id}"
    elif now.reserve and not old.reserve:
        yield f"now the reserve depositor: {now.id}"


def _witness(before: Charter, new: Charter) -> Iterator[str]:
    old, now = before.witness, new.witness
    yield from _lower("witnesses that make a log count (q)", old.q, now.q, str)
    yield from _lower("lying witnesses that are borne (f)", old.f, now.f, str)
    yield from _higher("age of a witness's time", old.freshness, now.freshness, period)
    names = {item.key.key_id: item.name for item in (*old.external, *now.external)}
    before_keys = {item.key.key_id for item in old.external}
    new_keys = {item.key.key_id for item in now.external}
    for key in sorted(before_keys - new_keys):
        yield f"! WITNESS REMOVED: {names[key]}"
    for key in sorted(new_keys - before_keys):
        yield f"witness added: {names[key]}"


def _settings(before: Charter, new: Charter) -> Iterator[str]:
    old, now = before.settings, new.settings
    yield from _lower("days that deposits are kept", old.retention_days, now.retention_days, str)
    yield from _higher("days between drills", old.drill_interval_days, now.drill_interval_days, str)
    yield from _higher(
        "days between looks at cards", old.drill_cards_days, now.drill_cards_days, str
    )
    one, other = before.quotas, new.quotas
    yield from _lower("reserve", one.reserve, other.reserve, size)
    yield from _lower("room for staging", one.staging, other.staging, size)
    yield from _lower("days of staging", one.staging_days, other.staging_days, str)
    if old.whole_deposit_bags != now.whole_deposit_bags:
        yield f"bags carry whole deposits: {_yes(now.whole_deposit_bags)}"
    if old.agreements_required != now.agreements_required:
        yield f"agreements are required: {_yes(now.agreements_required)}"


def _texts(before: Charter, new: Charter) -> Iterator[str]:
    if (before.state_code, before.state_name) != (new.state_code, new.state_name):
        yield f"! STATE RENAMED: {new.state_name} ({new.state_code})"
    if before.notice != new.notice:
        yield f"notice: {new.notice or 'none any more'}"
    if before.annex != new.annex:
        yield "the sealed list of names is another"
    if before.advisory_expiry != new.advisory_expiry:
        yield f"to be renewed by {format_time(new.advisory_expiry)}"


def _lower(
    what: str, old: int, now: int, show: Callable[[int], str], warning: str = "LESS"
) -> Iterator[str]:
    """A number that weakens when it falls."""
    if now < old:
        yield f"! {warning}: {what} is {show(now)} instead of {show(old)}"
    elif now > old:
        yield f"{what} is {show(now)} instead of {show(old)}"


def _higher(what: str, old: int, now: int, show: Callable[[int], str]) -> Iterator[str]:
    """A number that weakens when it rises."""
    if now > old:
        yield f"! LONGER: {what} is {show(now)} instead of {show(old)}"
    elif now < old:
        yield f"{what} is {show(now)} instead of {show(old)}"


def _person(item: Official, names: Names) -> str:
    return f"{_name(item.id, names)} ({item.institution}, {item.place})"


def _name(person: PersonId, names: Names) -> str:
    return person if person not in names else f"{names[person].name}, {person}"


def _seat(item: SeatEntry) -> str:
    return f"{item.seat} ({item.state}, {item.operator})"


def _differing(old: SeatEntry, now: SeatEntry) -> str:
    # Values of every field, by the class's own list of them: none can be forgotten here.
    one, other = old.to_json(), now.to_json()
    return ", ".join(item.name for item in fields(SeatEntry) if one[item.name] != other[item.name])


def _cards(epoch: RecoveryEpoch) -> str:
    groups = ", ".join(f"{item.name} {item.threshold} of {item.members}" for item in epoch.groups)
    return f"{epoch.group_threshold} of {len(epoch.groups)} groups ({groups})"


def _layout(epoch: RecoveryEpoch) -> object:
    return epoch.share_set, epoch.group_threshold, epoch.groups


def _yes(value: bool) -> str:
    return "yes" if value else "no"
