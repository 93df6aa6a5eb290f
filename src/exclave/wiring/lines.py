"""Lines to the vaults of a charter: mutual TLS to pinned keys, with retries."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import SeatEntry
from exclave.clock import Clock
from exclave.deposit.dispatch import SeatLine
from exclave.errors import ConfigurationError
from exclave.ids import Seat
from exclave.ledger.checkpoint import log_verifier
from exclave.lines import LoopThread
from exclave.vault.addresses import Address, parse_address
from exclave.vault.client import HttpVault
from exclave.vault.identity import Identity
from exclave.vault.retrying import RetryingRecord, RetryingStore, RetryPolicy

__all__ = ["Lines", "SeatUnreachableByDesign"]


class SeatUnreachableByDesign(ConfigurationError):
    """A seat that has no address: a safe, which only carried media reach."""


class Lines:
    """Clients to all active seats, or `only` to some; as a context, closes their connections.

    Without an identity they reach the public record only.
    """

    def __init__(
        self,
        charter: Charter,
        *,
        loop: LoopThread,
        clock: Clock,
        identity: Identity | None = None,
        addresses: Mapping[Seat, tuple[str, str]] | None = None,
        only: Collection[Seat] | None = None,
        policy: RetryPolicy | None = None,
        idle_seconds: float = 60,
    ) -> None:
        self._loop = loop
        self._policy = RetryPolicy() if policy is None else policy
        self._mission = charter.mission_id
        self._entries = {
            entry.seat: entry
            for entry in charter.active_seats
            if only is None or entry.seat in only
        }
        _check_known(self._entries, addresses or {})
        self.clients: Mapping[Seat, HttpVault] = {
            seat: HttpVault(
                mission=self._mission,
                seat=seat,
                anchor=entry.identity,
                data=data,
                public=public,
                identity=identity,
                clock=clock,
                idle_seconds=idle_seconds,
            )
            for seat, entry in self._entries.items()
            for data, public in [_place(entry, addresses or {})]
        }

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients.values():
            self._loop.run(client.close())

    @property
    def seats(self) -> Mapping[Seat, SeatLine]:
        """What a deposit needs of each seat."""
        return {
            seat: SeatLine(
                seat=seat,
                state=entry.state,
                name=entry.vault,
                seat_key=entry.seat_key.xwing,
                log_verifier=log_verifier(self._mission, seat, entry.log_key.raw),
                store=RetryingStore(self.clients[seat], self._policy),
                record=RetryingRecord(self.clients[seat], self._policy),
            )
            for seat, entry in self._entries.items()
        }


def _place(entry: SeatEntry, addresses: Mapping[Seat, tuple[str, str]]) -> tuple[Address, Address]:
    known = [(item.data, item.public) for item in entry.addresses]
    pair = addresses.get(entry.seat) or (known[0] if known else None)
    if pair is None:
        raise SeatUnreachableByDesign(
            f"seat {entry.seat}: has no address",
            hint="it is a safe, reached by carried media only; this version sends over lines",
        )
    return parse_address(pair[0]), parse_address(pair[1])


def _check_known(
    entries: Mapping[Seat, SeatEntry], addresses: Mapping[Seat, tuple[str, str]]
) -> None:
    unknown = sorted(set(addresses) - set(entries))
    if unknown:
        raise ConfigurationError(
            f"deposit.toml: seat {unknown[0]}: the charter has no such seat in use",
            hint="seats in use: " + ", ".join(map(str, sorted(entries))),
        )
