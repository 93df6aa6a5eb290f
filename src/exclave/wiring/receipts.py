"""Receipts against a charter: which seat's log key signed."""

from __future__ import annotations

from exclave.authority.charter import Charter
from exclave.errors import AuthorityError
from exclave.ids import Seat
from exclave.ledger.checkpoint import log_verifier, origin_for
from exclave.ledger.entry import LogEntry
from exclave.ledger.note import parse_note
from exclave.ledger.receipt import parse_receipt, verify_receipt

__all__ = ["ReceiptForeign", "verify_seat_receipt"]


class ReceiptForeign(AuthorityError):
    """A receipt of a log that is of none of the charter's seats."""


def verify_seat_receipt(data: bytes, charter: Charter) -> tuple[Seat, LogEntry]:
    """Check a receipt against the log key of the seat whose log it says to be of."""
    receipt = parse_receipt(data)
    origin = parse_note(receipt.checkpoint).text.split(b"\n", 1)[0].decode(errors="replace")
    mission = charter.mission_id
    for seat in charter.seats:
        if origin_for(mission, seat.seat) == origin:
            verifier = log_verifier(mission, seat.seat, seat.log_key.raw)
            return seat.seat, verify_receipt(receipt, verifier)
    raise ReceiptForeign(
        f"receipt: expected the log of a seat of mission {mission.hex()[:16]}, got {origin[:100]!r}"
    )
