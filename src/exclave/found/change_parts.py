"""Seats, depositors and settings in the next charter.

Rules: a seat's number is never used again and its seat key never changes, since shards of old packs
lie under them; a depositor's request is signed by the keys that it asks to have seated.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from exclave.authority.charter_parts import Depositor, SeatEntry
from exclave.authority.charter_settings import (
    Delays,
    Dispersal,
    ExternalWitness,
    Quotas,
    Settings,
    Witness,
)
from exclave.authority.depositor_request import DepositorRequest, verify_depositor_request
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.keys import TypedKey
from exclave.encoding import b64decode
from exclave.errors import ConfigurationError, ExclaveError
from exclave.found.change_desk import ChangeDesk, Place
from exclave.found.draft import read_seat, unpinned
from exclave.ids import Seat
from exclave.values import fields, replace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "change_depositors",
    "change_dispersal",
    "change_expiry",
    "change_seats",
    "change_settings",
    "change_witness",
    "changed_delays",
    "changed_quotas",
]

T = TypeVar("T")


def change_seats(desk: ChangeDesk) -> tuple[SeatEntry, ...]:
    """The seats of the next charter, retired ones included."""
    seats = {seat.seat: seat for seat in desk.before.seats}
    for index, item in enumerate(desk.changes.seat.retire):
        place: Place = ("seat", "retire", index, "seat")
        if entry := _in_use(desk, place, seats, item.seat):
            seats[entry.seat] = replace(entry, retired=True)
    for index, named in enumerate(desk.changes.seat.update):
        place = ("seat", "update", index)
        old = _in_use(desk, (*place, "seat"), seats, named.seat)
        new = _requested(desk, place, named.request, named.seat, named.type)
        if old is None or new is None:
            continue
        if (new.seat_key, new.vault) != (old.seat_key, old.vault):
            desk.complain(
                (*place, "request"),
                f"expected the seat key of vault {old.vault}, got another: a new vault takes a "
                "new seat",
            )
        seats[old.seat] = replace(new, agreement=new.agreement or old.agreement)
    for index, named in enumerate(desk.changes.seat.add):
        place = ("seat", "add", index)
        new = _requested(desk, place, named.request, named.seat, named.type)
        if Seat(named.seat) in seats:
            desk.complain(
                (*place, "seat"),
                f"expected a number that no seat ever had, got {named.seat}: shards of old packs "
                "lie under it",
            )
        elif new is not None:
            seats[new.seat] = new
    return tuple(seats[number] for number in sorted(seats))


def change_dispersal(desk: ChangeDesk, seats: tuple[SeatEntry, ...]) -> Dispersal:
    """k, h and n, which must be stated when the number of seats changes."""
    active = sum(not seat.retired for seat in seats)
    change = desk.changes.dispersal
    if change is None:
        if desk.changes.seat.add or desk.changes.seat.retire:
            desk.complain(
                ("seat",), f"expected [dispersal] with k, h and n = {active} beside it, got none"
            )
        return replace(desk.before.dispersal, n=active)
    if change.n != active:
        desk.complain(("dispersal", "n"), f"expected {active} seats in use, got {change.n}")
    return Dispersal(k=change.k, n=change.n, h=change.h)


def change_depositors(desk: ChangeDesk) -> tuple[Depositor, ...]:
    """The depositors of the next charter."""
    change = desk.changes.depositor
    known = {item.id: item for item in desk.before.depositors}
    for index, removed in enumerate(change.remove):
        if _known(desk, ("depositor", "remove", index, "id"), known, removed.id):
            del known[removed.id]
    for index, quota in enumerate(change.quota):
        if old := _known(desk, ("depositor", "quota", index, "id"), known, quota.id):
            known[old.id] = replace(old, **_stated(quota))
    for index, rekeyed in enumerate(change.replace_keys):
        place: Place = ("depositor", "replace_keys", index, "request")
        request = _depositor_request(desk, place, rekeyed.request)
        if request and (old := _known(desk, place, known, request.id)):
            if set(request.keys) & set(old.keys) or request.identity == old.identity:
                desk.complain(place, f"expected new keys of {old.id}, got those of the charter")
            known[old.id] = replace(old, keys=request.keys, identity=request.identity)
    for index, added in enumerate(change.add):
        place = ("depositor", "add", index, "request")
        request = _depositor_request(desk, place, added.request)
        if request is None:
            continue
        if request.id in known:
            desk.complain(place, f"expected a new depositor, got {request.id}, which is seated")
            continue
        known[request.id] = Depositor(
            id=request.id,
            keys=request.keys,
            identity=request.identity,
            daily_bytes=added.daily_bytes,
            total_bytes=added.total_bytes,
            reserve=added.reserve,
        )
    return tuple(known[name] for name in sorted(known))


def change_settings(desk: ChangeDesk, seats: tuple[SeatEntry, ...]) -> Settings:
    """Retention, drills, bags and agreements; `seats` are those of the next charter."""
    old, new = desk.before.settings, desk.changes
    required = _or(new.agreements_required, old.agreements_required)
    if required and (without := unpinned(seats)):
        desk.complain(
            ("agreements_required",),
            f"expected seat requests with the receiving state's key, got none of seat {without[0]}",
        )
    return Settings(
        retention_days=_or(new.retention_days, old.retention_days),
        drill_interval_days=_or(new.drill_interval_days, old.drill_interval_days),
        drill_cards_days=_or(new.drill_cards_days, old.drill_cards_days),
        whole_deposit_bags=_or(new.whole_deposit_bags, old.whole_deposit_bags),
        agreements_required=required,
    )


def changed_delays(desk: ChangeDesk) -> Delays:
    """Delays of no role."""
    return replace(desk.before.delays, **_stated(desk.changes.delays))


def changed_quotas(desk: ChangeDesk) -> Quotas:
    """Bytes kept apart."""
    return replace(desk.before.quotas, **_stated(desk.changes.quotas))


def change_witness(desk: ChangeDesk) -> Witness:
    """Witnesses; `external` replaces the whole list."""
    change = desk.changes.witness
    witness = replace(desk.before.witness, **_stated(replace(change, external=None)))
    if change.external is None:
        return witness
    external: list[ExternalWitness] = []
    for index, item in enumerate(change.external):
        try:
            raw = b64decode(item.key, subject=f"witness {item.name}")
            external.append(ExternalWitness(name=item.name, key=TypedKey(item.alg, raw)))
        except ExclaveError as error:
            desk.complain(("witness", "external", index, "key"), error.message)
    return replace(witness, external=tuple(external))


def change_expiry(desk: ChangeDesk, moment: datetime) -> datetime:
    """The day by which the charter advises to be replaced: stated anew, or the one before."""
    days = desk.changes.advisory_expiry_days
    if days is not None:
        return moment + timedelta(days=days)
    if desk.before.advisory_expiry <= moment:
        desk.complain(
            ("advisory_expiry_days",),
            f"expected a value, got none, and {desk.before.advisory_expiry:%Y-%m-%d} of the "
            "charter before is over",
        )
        return moment + timedelta(days=1)
    return desk.before.advisory_expiry


def _or(new: T | None, old: T) -> T:
    return old if new is None else new


def _in_use(
    desk: ChangeDesk, place: Place, seats: dict[Seat, SeatEntry], number: int
) -> SeatEntry | None:
    entry = seats.get(Seat(number))
    if entry is None or entry.retired:
        desk.complain(place, f"expected a seat in use, got {number}")
        return None
    return entry


def _requested(
    desk: ChangeDesk, place: Place, path: str, number: int, type: str
) -> SeatEntry | None:
    try:
        return read_seat(desk.folder / path, number, type)
    except ConfigurationError as error:
        desk.complain((*place, "request"), error.message)
        return None


def _known(
    desk: ChangeDesk, place: Place, known: dict[str, Depositor], name: str
) -> Depositor | None:
    if name not in known:
        desk.complain(place, f"expected a depositor of the charter, got {name!r}")
    return known.get(name)


def _depositor_request(desk: ChangeDesk, place: Place, path: str) -> DepositorRequest | None:
    file = desk.folder / path
    try:
        envelope = parse_envelope(file.read_bytes(), kinds=[Kind.DEPOSITOR_REQUEST])
        return verify_depositor_request(envelope)
    except OSError as error:
        desk.complain(place, f"{file}: cannot be read: {error.strerror}")
    except ExclaveError as error:
        desk.complain(place, f"{file}: {error.message}")
    return None


def _stated(change: DataclassInstance) -> dict[str, Any]:
    """What a change names, by the names that the charter has for it."""
    every = {item.name: getattr(change, item.name) for item in fields(change)}
    return {name: value for name, value in every.items() if value is not None}
