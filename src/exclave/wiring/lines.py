"""Lines to the vaults of a charter: mutual TLS to pinned keys, with retries; or folders at hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import SeatEntry
from exclave.clock import Clock
from exclave.deposit.seat_line import SeatLine
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import log_verifier
from exclave.lines import LoopThread
from exclave.throttle import Limit
from exclave.vault.client.retrying import RetryingRecord, RetryingStore, RetryPolicy
from exclave.wiring.seat_places import reached, require_known, seat_addresses

if TYPE_CHECKING:
    from exclave.vault.client.client import HttpVault
    from exclave.vault.client.pace import Pace
    from exclave.vault.installation.at_hand import VaultAtHand
    from exclave.vault.line.identity import Identity

__all__ = ["Lines"]


class Lines:
    """Clients to all active seats, or `only` to some; as a context, closes their connections.

    Without an identity they reach the public record only. A seat in `folders` is not called: its
    vault's rules run in this process. A safe that nothing reaches is left out.
    """

    def __init__(
        self,
        charter: Charter,
        *,
        loop: LoopThread,
        clock: Clock,
        identity: Identity | None = None,
        addresses: Mapping[Seat, tuple[str, str]] | None = None,
        folders: Mapping[Seat, Path] | None = None,
        only: Collection[Seat] | None = None,
        policy: RetryPolicy | None = None,
        idle_seconds: float = 60,
        limits: Mapping[Seat, tuple[Limit, ...]] | None = None,
    ) -> None:
        """`limits` hold back what is sent to seats that are called."""
        self._loop = loop
        self._policy = RetryPolicy() if policy is None else policy
        self._mission = charter.mission_id
        self._entries = {
            entry.seat: entry
            for entry in charter.active_seats
            if only is None or entry.seat in only
        }
        addresses, folders, limits = addresses or {}, folders or {}, limits or {}
        require_known(self._entries, {*addresses, *folders, *limits})
        if only is None:
            self._entries = reached(self._entries, {*addresses, *folders})

        def client(entry: SeatEntry) -> HttpVault | VaultAtHand:
            if entry.seat in folders:
                return _at_hand(entry.seat, folders[entry.seat], self._mission, identity)
            from exclave.vault.client.client import HttpVault

            data, public = seat_addresses(entry, addresses)
            return HttpVault(
                mission=self._mission,
                seat=entry.seat,
                anchor=entry.identity,
                data=data,
                public=public,
                identity=identity,
                clock=clock,
                idle_seconds=idle_seconds,
                pace=_pace(limits.get(entry.seat, ())),
            )

        self.clients: Mapping[Seat, HttpVault | VaultAtHand] = {
            seat: client(entry) for seat, entry in self._entries.items()
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


def _pace(limits: tuple[Limit, ...]) -> Pace | None:
    if not limits:
        return None
    from exclave.vault.client.pace import Pace

    return Pace(limits)


def _at_hand(
    seat: Seat, folder: Path, mission: MissionId, identity: Identity | None
) -> VaultAtHand:
    # Each kind of line is imported only where there is one: start-up is what is felt most.
    from exclave.vault.installation.at_hand import VaultAtHand
    from exclave.wiring.host import mission_at_hand

    return VaultAtHand(
        seat,
        lambda: mission_at_hand(folder, mission),
        identity=b"" if identity is None else identity.certificate,
    )
