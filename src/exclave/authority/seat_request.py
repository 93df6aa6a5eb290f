"""Seat requests: what a vault exports so that a mission can seat it (spec/authority.md 1)."""

from __future__ import annotations

from datetime import datetime

from exclave.authority.charter_parts import (
    Address,
    SeatEntry,
    SeatType,
    read_address,
    read_identity,
    read_witness_keys,
)
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.keys import ED25519, ML_DSA_65, X_WING, TypedKey, read_key
from exclave.authority.persons import require_keys
from exclave.clock import format_time
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.ids import Seat
from exclave.values import dataclass

__all__ = ["SeatRequest", "parse_seat_request", "seat_request_payload", "verify_seat_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatRequest:
    """A vault's public keys and addresses, signed by its log key."""

    vault: str
    state: str
    operator: str
    addresses: tuple[Address, ...]
    identity: bytes
    log_key: TypedKey
    seat_key: TypedKey
    witness_keys: tuple[TypedKey, TypedKey]
    receiving_state_key: TypedKey | None
    created: datetime

    @property
    def agreement(self) -> bytes | None:
        """What a charter pins of the receiving state's key: its id."""
        key = self.receiving_state_key
        return None if key is None else bytes.fromhex(key.key_id)

    def seated(self, seat: Seat, type: SeatType = SeatType.VAULT) -> SeatEntry:
        """The vault as a seat of a charter."""
        return SeatEntry(
            seat=seat,
            type=type,
            vault=self.vault,
            state=self.state,
            operator=self.operator,
            addresses=self.addresses,
            identity=self.identity,
            log_key=self.log_key,
            seat_key=self.seat_key,
            witness_keys=self.witness_keys,
            agreement=self.agreement,
            retired=False,
        )


def seat_request_payload(request: SeatRequest) -> bytes:
    """The request as canonical JSON."""
    receiving = request.receiving_state_key
    payload: JsonObject = {
        "kind": Kind.SEAT_REQUEST.value,
        "vault": request.vault,
        "state": request.state,
        "operator": request.operator,
        "addresses": [address.to_json() for address in request.addresses],
        "identity": b64encode(request.identity),
        "log_key": request.log_key.to_json(),
        "seat_key": request.seat_key.to_json(),
        "witness_keys": [key.to_json() for key in request.witness_keys],
        "receiving_state_key": None if receiving is None else receiving.to_json(),
        "created": format_time(request.created),
    }
    return canonical_json(payload)


def parse_seat_request(envelope: Envelope) -> SeatRequest:
    """Read the request in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.SEAT_REQUEST).fields("kind", *SeatRequest.__slots__)
    return SeatRequest(
        vault=fields["vault"].slug(),
        state=fields["state"].state(),
        operator=fields["operator"].text(),
        addresses=fields["addresses"].each(read_address, most=16),
        identity=read_identity(fields["identity"]),
        log_key=read_key(ED25519)(fields["log_key"]),
        seat_key=read_key(X_WING)(fields["seat_key"]),
        witness_keys=read_witness_keys(fields["witness_keys"]),
        receiving_state_key=fields["receiving_state_key"].optional(read_key(ED25519, ML_DSA_65)),
        created=fields["created"].time(),
    )


def verify_seat_request(envelope: Envelope) -> SeatRequest:
    """Check that the vault's log key signed, and the receiving state's key where it is named."""
    request = parse_seat_request(envelope)
    require_keys(envelope, [request.log_key], party=f"vault {request.vault}")
    if request.receiving_state_key is not None:
        require_keys(envelope, [request.receiving_state_key], party=f"state {request.state}")
    return request
