"""Depositor requests: what a machine exports so that a charter can seat its keys.

Format: spec/authority.md 1. Signed by both its keys: nobody has keys seated that he does not have.
"""

from __future__ import annotations

from datetime import datetime

from exclave.authority.charter_parts import read_identity
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.keys import ED25519, ML_DSA_65, TypedKey, read_key
from exclave.authority.persons import require_keys
from exclave.clock import format_time
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.values import dataclass

__all__ = [
    "DepositorRequest",
    "depositor_request_payload",
    "parse_depositor_request",
    "verify_depositor_request",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorRequest:
    """A depositor's public keys and identity certificate."""

    id: str
    keys: tuple[TypedKey, TypedKey]
    identity: bytes
    created: datetime


def depositor_request_payload(request: DepositorRequest) -> bytes:
    """The request as canonical JSON."""
    payload: JsonObject = {
        "kind": Kind.DEPOSITOR_REQUEST.value,
        "id": request.id,
        "keys": [key.to_json() for key in request.keys],
        "identity": b64encode(request.identity),
        "created": format_time(request.created),
    }
    return canonical_json(payload)


def parse_depositor_request(envelope: Envelope) -> DepositorRequest:
    """Read the request in an envelope; signatures are not checked here."""
    node = payload_object(envelope, Kind.DEPOSITOR_REQUEST)
    fields = node.fields("kind", *DepositorRequest.__slots__)
    first, second = fields["keys"].items(least=2, most=2)
    return DepositorRequest(
        id=fields["id"].slug(),
        keys=(read_key(ED25519)(first), read_key(ML_DSA_65)(second)),
        identity=read_identity(fields["identity"]),
        created=fields["created"].time(),
    )


def verify_depositor_request(envelope: Envelope) -> DepositorRequest:
    """Check that both keys signed; raises `SignatureMissing` or `SignatureInvalid`."""
    request = parse_depositor_request(envelope)
    require_keys(envelope, request.keys, party=f"depositor {request.id}")
    return request
