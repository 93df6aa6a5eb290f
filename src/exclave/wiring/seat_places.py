"""Where the seats of a charter are reached: its addresses, or those that a party's file names."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from exclave.authority.charter_parts import SeatEntry, SeatType
from exclave.errors import ConfigurationError
from exclave.ids import Seat
from exclave.vault.line.addresses import Address, parse_address

__all__ = ["SeatUnreachableByDesign", "reached", "require_known", "seat_addresses"]


class SeatUnreachableByDesign(ConfigurationError):
    """A seat that has no address: a safe, which only carried media reach."""


def seat_addresses(
    entry: SeatEntry, named: Mapping[Seat, tuple[str, str]]
) -> tuple[Address, Address]:
    """Data and public address of a seat; raises `SeatUnreachableByDesign`."""
    known = [(item.data, item.public) for item in entry.addresses]
    pair = named.get(entry.seat) or (known[0] if known else None)
    if pair is None:
        raise SeatUnreachableByDesign(
            f"seat {entry.seat}: has no address",
            hint="it is a safe, reached by carried media only: name its folder in deposit.toml",
        )
    return parse_address(pair[0]), parse_address(pair[1])


def reached(entries: Mapping[Seat, SeatEntry], named: Collection[Seat]) -> dict[Seat, SeatEntry]:
    """Those to which there is a line; `named` are given an address or folder by a file."""
    # A safe has no line: bags reach it, and no command has to wait for one.
    return {
        seat: entry
        for seat, entry in entries.items()
        if entry.type is not SeatType.SAFE or entry.addresses or seat in named
    }


def require_known(seats: Collection[Seat], named: Collection[Seat]) -> None:
    """Refuse a file that names a seat which is not in use."""
    unknown = sorted(set(named) - set(seats))
    if unknown:
        raise ConfigurationError(
            f"seat {unknown[0]}: the charter has no such seat in use",
            hint="seats in use: " + ", ".join(map(str, sorted(seats))),
        )
