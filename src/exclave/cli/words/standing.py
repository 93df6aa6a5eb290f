"""What stands at each vault, as its log says: for officials, who need the hashes, and for `--json`.

Pure: lines and values from listings. A statement is shown once, with what each vault says of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from exclave.authority.charter import Charter
from exclave.authority.orders import Compromise, Extend, Hold
from exclave.cli.words.agreement import agreement_lines
from exclave.cli.words.states import seats_words, state_words
from exclave.clock import format_time
from exclave.ids import PersonId, Seat
from exclave.plain_words import after
from exclave.standing.listing import Given, Listing, Open
from exclave.standing.phases import Phase

__all__ = ["agreement_json", "agreements_lines", "listing_json", "standing_lines"]


def standing_lines(
    listings: Mapping[Seat, Listing], differing: tuple[str, ...], now: datetime
) -> Iterator[str]:
    """All vaults whose log could be followed; of permissions those whose time is not over."""
    for seat, one in listings.items():
        yield f"seat {seat}: {_head(one)}"
    yield from _statements(listings)
    yield from _orders(listings)
    yield from agreements_lines(listings)
    yield from _permissions(listings, now)
    for conflict in dict.fromkeys(item for one in listings.values() for item in one.conflicts):
        era, version = conflict.order
        seats = [int(seat) for seat, one in listings.items() if conflict in one.conflicts]
        yield (
            f"CONFLICT of charters {era}.{version}: {conflict.first.hex()} has the place, "
            f"{conflict.second.hex()} contests it ({seats_words(seats)})"
        )
    for line in differing:
        yield f"VAULTS DIFFER: {line}"


def listing_json(one: Listing) -> dict[str, object]:
    """One vault."""
    return {
        "charter": {"order": _order(one.charter), "statement": one.charter.statement_hash.hex()},
        "locked": one.locked,
        "frozen": one.frozen,
        "exile_charter": None if one.exile is None else one.exile.statement_hash.hex(),
        "statements": [
            {
                "statement": item.statement.hex(),
                "kind": item.kind.value,
                "state": _state(item),
                "seconds": item.seconds,
                "signed": list(item.signed),
            }
            for item in one.open
        ],
        "orders": [
            {
                "statement": item.statement.hex(),
                "kind": item.value.kind.value,
                "says": _says(item),
                "signed": list(item.signed),
            }
            for item in one.given
        ],
        "agreements": agreement_json(one),
        "permissions": [
            {
                "statement": item.statement.hex(),
                "kind": item.value.kind.value,
                "seat": item.value.seat,
                "act": item.value.act.value,
                "from": format_time(item.value.since),
                "until": format_time(item.value.until),
            }
            for item in one.permissions
        ],
        "conflicts": [
            {
                "order": f"{item.order[0]}.{item.order[1]}",
                "first": item.first.hex(),
                "second": item.second.hex(),
                "freezes": item.freezes,
            }
            for item in one.conflicts
        ],
    }


def agreement_json(one: Listing) -> list[dict[str, object]]:
    """The agreements in effect by one vault's log."""
    return [
        {
            "statement": item.statement.hex(),
            "version": item.value.version,
            "state": item.value.state,
            "seats": sorted(int(seat) for seat in item.value.numbers),
            "capacity": item.value.capacity,
            "until": None if item.value.until is None else format_time(item.value.until),
            "ends": item.ends,
        }
        for item in one.agreements
    ]


def _head(one: Listing) -> str:
    said = [f"charter {_order(one.charter)} in force"]
    if one.exile is not None:
        said.append(f"LOCKED DOWN: exile of charter {_order(one.exile)} acts")
    if one.frozen:
        said.append("FROZEN: only a charter of a new era ends that")
    return ", ".join(said)


def _statements(listings: Mapping[Seat, Listing]) -> Iterator[str]:
    shown = dict.fromkeys((i.statement, i.kind) for one in listings.values() for i in one.open)
    for statement, kind in shown:
        yield f"{kind} {statement.hex()}"
        said: dict[str, list[int]] = {}
        signed: set[PersonId] = set()
        for seat, one in listings.items():
            for item in one.open:
                if item.statement == statement:
                    said.setdefault(state_words(_state(item), item.seconds), []).append(int(seat))
                    signed.update(item.signed)
        yield f"  signed: {_persons(signed)}"
        hosts = [i.host for one in listings.values() for i in one.open if i.statement == statement]
        if any(host is not None for host in hosts):
            yield f"  the receiving state has {'' if any(hosts) else 'NOT '}signed"
        for words, seats in said.items():
            yield f"  {seats_words(seats)}: {words}"


def _orders(listings: Mapping[Seat, Listing]) -> Iterator[str]:
    for item in dict.fromkeys(item for one in listings.values() for item in one.given):
        seats = [int(seat) for seat, one in listings.items() if item in one.given]
        yield f"{item.value.kind} {item.statement.hex()}"
        yield f"  {_says(item)} ({seats_words(seats)})"
        yield f"  signed: {_persons(set(item.signed))}"


def agreements_lines(listings: Mapping[Seat, Listing]) -> Iterator[str]:
    """The agreements in effect, each with the vaults that have it so."""
    for item in dict.fromkeys(item for one in listings.values() for item in one.agreements):
        seats = [int(seat) for seat, one in listings.items() if item in one.agreements]
        yield f"agreement {item.statement.hex()} in effect ({seats_words(seats)})"
        if item.ends is not None:
            yield f"  TERMINATED: {_left(item.ends)}; what is lodged stays"
        yield from agreement_lines(item.value)


def _permissions(listings: Mapping[Seat, Listing], now: datetime) -> Iterator[str]:
    for item in dict.fromkeys(item for one in listings.values() for item in one.permissions):
        value = item.value
        if value.until < now:
            continue
        seats = [int(seat) for seat, one in listings.items() if item in one.permissions]
        yield f"{value.kind} {item.statement.hex()}"
        yield (
            f"  {value.act.value} at seat {value.seat}, {format_time(value.since)} to "
            f"{format_time(value.until)} ({seats_words(seats)})"
        )


def _left(seconds: int) -> str:
    if not seconds:
        return "no new deposits"
    return f"no new deposits {after(seconds)}"


def _state(item: Open) -> str:
    return "released" if item.phase is Phase.EFFECTIVE else item.phase.value


def _says(item: Given) -> str:
    value = item.value
    if isinstance(value, Compromise):
        return f"keys of {', '.join(value.depositors)} not only theirs: see exclave deposits --card"
    if isinstance(value, Hold | Extend):
        named = value.deposits
        what = "all deposits" if named is None else ", ".join(one.hex() for one in named)
        return what if isinstance(value, Hold) else f"{what}, until {format_time(value.until)}"
    return "home is frozen, only exile acts"


def _persons(signed: set[PersonId]) -> str:
    return ", ".join(sorted(signed)) or "nobody who counts"


def _order(charter: Charter) -> str:
    return f"{charter.era}.{charter.version}"
