"""Enrolments: what pins a mission at a vault (spec/authority.md 5).

Unsigned: the charter inside authenticates itself against the mission id, which the operator
compares out of band. Whether the history of a seat that joined comes into effect is standing's to
say (spec/standing.md 10).
"""

from __future__ import annotations

import hmac
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.charter_parts import SeatEntry
from exclave.authority.envelope import (
    ORDERS,
    Envelope,
    Kind,
    envelope_for,
    parse_envelope,
    payload_object,
)
from exclave.authority.fields import Node
from exclave.authority.keys import TypedKey
from exclave.encoding import JsonObject, b64encode
from exclave.errors import AuthorityError
from exclave.ids import MissionId, Seat
from exclave.values import dataclass

__all__ = [
    "Enrolment",
    "HistoryUnfit",
    "SeatKeysForeign",
    "enrolment_envelope",
    "parse_enrolment",
    "verify_enrolment",
]


_HISTORY: Final = "history"
_FIELDS: Final = ("mission", "seat", "vault", "charter")
_MOST: Final = 1024
"""Statements of a history: what is in effect of a mission that changes a few times a year."""


class SeatKeysForeign(AuthorityError):
    """The enrolment seats other keys than this vault's."""


class HistoryUnfit(AuthorityError):
    """The history of an enrolment does not lead to the charter that has the seat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A mission, the seat that a vault has in it, and its first charter.

    `history` is what led to the seat when the first charter does not have it.
    """

    mission: MissionId
    seat: Seat
    vault: str
    charter: Envelope
    history: tuple[Envelope, ...] = ()


def enrolment_envelope(enrolment: Enrolment) -> Envelope:
    """The enrolment as an unsigned envelope."""
    payload: JsonObject = {
        "kind": Kind.ENROLMENT.value,
        "mission": enrolment.mission.hex(),
        "seat": enrolment.seat,
        "vault": enrolment.vault,
        "charter": b64encode(enrolment.charter.to_bytes()),
    }
    if enrolment.history:
        payload["history"] = [b64encode(item.to_bytes()) for item in enrolment.history]
    return envelope_for(payload)


def parse_enrolment(envelope: Envelope) -> Enrolment:
    """Read the enrolment in an envelope; charters are not verified here."""
    payload = payload_object(envelope, Kind.ENROLMENT)
    joined = isinstance(payload.value, dict) and _HISTORY in payload.value
    fields = payload.fields("kind", *_FIELDS, *([_HISTORY] if joined else []))
    return Enrolment(
        mission=MissionId(fields["mission"].hex(32)),
        seat=Seat(fields["seat"].integer(1, 255)),
        vault=fields["vault"].slug(),
        charter=parse_envelope(fields["charter"].base64(), kinds=[Kind.CHARTER]),
        history=fields[_HISTORY].each(_statement, least=1, most=_MOST) if joined else (),
    )


def verify_enrolment(
    envelope: Envelope, *, log_key: TypedKey, seat_key: TypedKey, identity: bytes
) -> tuple[Enrolment, Charter]:
    """Check the charters from the mission id on, and that the seat's keys are this vault's own.

    Returns the charter that has the seat.
    """
    enrolment = parse_enrolment(envelope)
    charter = _seating(enrolment)
    seat: SeatEntry = charter.seat(enrolment.seat)
    same = [
        seat.vault == enrolment.vault,
        seat.log_key == log_key,
        seat.seat_key == seat_key,
        hmac.compare_digest(seat.identity, identity),
    ]
    if not all(same):
        raise SeatKeysForeign(
            f"enrolment: expected the keys of this vault at seat {seat.seat}, got others",
            hint="the enrolment is for another vault, or made from an older seat request",
        )
    return enrolment, charter


def _seating(enrolment: Enrolment) -> Charter:
    """The charter that has the seat: of the chain the last one, and no earlier one."""
    later = [item for item in enrolment.history if item.kind is Kind.CHARTER]
    *earlier, last = verify_chain([enrolment.charter, *later], enrolment.mission).charters
    if not enrolment.history:
        return last
    ends = enrolment.history[-1].kind is Kind.CHARTER and last.seats_vault(enrolment.seat)
    if not ends or any(charter.seats_vault(enrolment.seat) for charter in earlier):
        raise HistoryUnfit(
            f"enrolment.history: expected it to end with the first charter that has seat "
            f"{enrolment.seat}, got another end",
            hint="make it again from the vaults' logs: exclave charter enrolments",
        )
    return last


def _statement(node: Node) -> Envelope:
    return parse_envelope(node.base64(), kinds={Kind.CHARTER, *ORDERS})
