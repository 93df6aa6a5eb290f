"""Enrolments: what pins a mission at a vault (spec/authority.md 5).

Unsigned: the charter inside authenticates itself against the mission id, which the operator
compares out of band.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.charter_parts import SeatEntry
from exclave.authority.envelope import Envelope, Kind, envelope_for, parse_envelope, payload_object
from exclave.authority.keys import TypedKey
from exclave.encoding import b64encode
from exclave.errors import AuthorityError
from exclave.ids import MissionId, Seat

__all__ = [
    "Enrolment",
    "SeatKeysForeign",
    "enrolment_envelope",
    "parse_enrolment",
    "verify_enrolment",
]


class SeatKeysForeign(AuthorityError):
    """The enrolment seats other keys than this vault's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A mission, the seat that a vault has in it, and its first charter."""

    mission: MissionId
    seat: Seat
    vault: str
    charter: Envelope


def enrolment_envelope(enrolment: Enrolment) -> Envelope:
    """The enrolment as an unsigned envelope."""
    return envelope_for(
        {
            "kind": Kind.ENROLMENT.value,
            "mission": enrolment.mission.hex(),
            "seat": enrolment.seat,
            "vault": enrolment.vault,
            "charter": b64encode(enrolment.charter.to_bytes()),
        }
    )


def parse_enrolment(envelope: Envelope) -> Enrolment:
    """Read the enrolment in an envelope; the charter is not verified here."""
    fields = payload_object(envelope, Kind.ENROLMENT).fields("kind", *Enrolment.__slots__)
    return Enrolment(
        mission=MissionId(fields["mission"].hex(32)),
        seat=Seat(fields["seat"].integer(1, 255)),
        vault=fields["vault"].slug(),
        charter=parse_envelope(fields["charter"].base64(), kinds=[Kind.CHARTER]),
    )


def verify_enrolment(
    envelope: Envelope, *, log_key: TypedKey, seat_key: TypedKey, identity: bytes
) -> tuple[Enrolment, Charter]:
    """Check charter 1 against the mission id, and that the seat's keys are this vault's own."""
    enrolment = parse_enrolment(envelope)
    charter = verify_chain([enrolment.charter], enrolment.mission).newest
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
