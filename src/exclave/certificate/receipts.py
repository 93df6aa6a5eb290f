"""Receipts against charters: which seat's log key signed, and which witnesses did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import SeatEntry
from exclave.authority.witnesses import witnesses_of
from exclave.errors import AuthorityError
from exclave.ids import Seat
from exclave.ledger.checkpoint import log_verifier, origin_for
from exclave.ledger.cosignature import CosignedBy
from exclave.ledger.entry import LogEntry
from exclave.ledger.note import MAX_COSIGNED_LINES, NoteForged, NoteUnsigned, parse_note
from exclave.ledger.receipt import Receipt, parse_receipt, verify_witnessed_receipt
from exclave.values import dataclass

__all__ = ["ReceiptForeign", "SeatReceipt", "verify_seat_receipt"]


class ReceiptForeign(AuthorityError):
    """A receipt of a log that is of none of the charters' seats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatReceipt:
    """What a receipt proves under the charter whose witnesses speak for it most."""

    seat: Seat
    entry: LogEntry
    charter: Charter
    by: tuple[CosignedBy, ...]

    @property
    def cosigned(self) -> bool:
        """Whether the charter's witness quorum signed; else the receipt is provisional."""
        return len(self.by) >= self.charter.witness.q

    def named(self) -> list[str]:
        """The witnesses for people: `seat 2, vault-2 in XB`, or an external witness's name."""
        return [self._name(item) for item in self.by]

    def _name(self, item: CosignedBy) -> str:
        if item.party.seat is None:
            return f"external witness {item.party.name}"
        entry = self.charter.seat(item.party.seat)
        return f"seat {entry.seat}, {entry.vault} in {entry.state}"


def verify_seat_receipt(data: bytes, charters: Sequence[Charter]) -> SeatReceipt:
    """Check a receipt against the log key of the seat whose log it says to be of.

    A mission's keys change with its charters: each given one is tried, the newest first, and the
    first whose witness quorum signed decides, else the newest whose log key did.
    """
    receipt = parse_receipt(data)
    note = parse_note(receipt.checkpoint, most=MAX_COSIGNED_LINES)
    origin = note.text.split(b"\n", 1)[0].decode(errors="replace")
    found: SeatReceipt | None = None
    failure: NoteForged | NoteUnsigned | None = None
    for charter, entry in _seats_of(origin, charters):
        try:
            proven = _verified(receipt, charter, entry)
        except (NoteForged, NoteUnsigned) as error:
            failure = failure or error
            continue
        if proven.cosigned:
            return proven
        found = found or proven
    if found is not None:
        return found
    if failure is not None:
        raise failure
    missions = ", ".join(charter.mission_id.hex()[:16] for charter in charters[:1])
    raise ReceiptForeign(
        f"receipt: expected the log of a seat of mission {missions}, got {origin[:100]!r}"
    )


def _seats_of(origin: str, charters: Iterable[Charter]) -> list[tuple[Charter, SeatEntry]]:
    return [
        (charter, entry)
        for charter in sorted(charters, key=lambda item: item.order, reverse=True)
        for entry in charter.seats
        if origin_for(charter.mission_id, entry.seat) == origin
    ]


def _verified(receipt: Receipt, charter: Charter, entry: SeatEntry) -> SeatReceipt:
    log = log_verifier(charter.mission_id, entry.seat, entry.log_key.raw)
    proven = verify_witnessed_receipt(receipt, log, witnesses_of(charter))
    return SeatReceipt(seat=entry.seat, entry=proven.entry, charter=charter, by=proven.by)
