"""A seat as the depositor sees it: what it is called, its keys, and what reaches it.

Apart from what sends packs over it, since asking a vault how it stands needs nothing of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exclave.values import dataclass

if TYPE_CHECKING:
    from exclave.ids import Seat
    from exclave.ledger.note import NoteVerifier
    from exclave.sealing.recovery import XWingPublicKey
    from exclave.vault.interface import PublicRecord, ShardStore

__all__ = ["SeatLine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatLine:
    """One seat as the depositor sees it."""

    seat: Seat
    state: str
    name: str
    seat_key: XWingPublicKey
    log_verifier: NoteVerifier
    store: ShardStore
    record: PublicRecord
