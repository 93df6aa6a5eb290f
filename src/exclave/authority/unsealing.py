"""What goes to the offline machine and what comes back (spec/authority.md 8).

Requests and answers carry sealed values only; a request carries the records too that say which
deposits its secrets are of. What may be given out is decided where the shares
are, by `exclave.unseal`.
"""

from __future__ import annotations

from exclave.authority.envelope import Envelope, Kind, envelope_for, parse_envelope, payload_object
from exclave.authority.fields import Node, require_ascending
from exclave.authority.keys import X_WING, TypedKey, read_key
from exclave.authority.record import SEALED_SECRET_SIZE, SealedSecret
from exclave.encoding import JsonObject, b64encode
from exclave.ids import Epoch, MissionId
from exclave.values import dataclass

__all__ = [
    "UnsealAnswer",
    "UnsealRequest",
    "UnsealedSecret",
    "answer_envelope",
    "parse_unseal_request",
    "parse_unsealed",
    "request_envelope",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsealRequest:
    """Which secrets are wanted, and to which one-time key; ascending by deposit and secret id."""

    mission: MissionId
    epoch: Epoch
    secrets: tuple[SealedSecret, ...]
    records: tuple[Envelope, ...]  # of the deposits wanted, each from its last full one on
    to: TypedKey
    warrant: Envelope | None

    def __post_init__(self) -> None:
        require_ascending(
            "unseal-request.secrets",
            [(item.deposit.hex(), item.secret_id.hex()) for item in self.secrets],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsealedSecret:
    """A deposit secret sealed again, to the one-time key."""

    secret_id: bytes
    sealed: bytes

    def to_json(self) -> JsonObject:
        """As it stands in an answer."""
        return {"id": self.secret_id.hex(), "sealed": b64encode(self.sealed)}

    @classmethod
    def read(cls, node: Node) -> UnsealedSecret:
        """Read one."""
        fields = node.fields("id", "sealed")
        return cls(
            secret_id=fields["id"].hex(32),
            sealed=fields["sealed"].base64(SEALED_SECRET_SIZE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsealAnswer:
    """What the offline machine gives out."""

    mission: MissionId
    epoch: Epoch
    secrets: tuple[UnsealedSecret, ...]

    def __post_init__(self) -> None:
        require_ascending("unsealed.secrets", [item.secret_id.hex() for item in self.secrets])


def request_envelope(request: UnsealRequest) -> Envelope:
    """The request as an unsigned envelope."""
    warrant = request.warrant
    return envelope_for(
        {
            "kind": Kind.UNSEAL_REQUEST.value,
            "mission": request.mission.hex(),
            "epoch": request.epoch,
            "secrets": [item.to_json() for item in request.secrets],
            "records": [b64encode(item.to_bytes()) for item in request.records],
            "to": request.to.to_json(),
            "warrant": None if warrant is None else b64encode(warrant.to_bytes()),
        }
    )


def parse_unseal_request(envelope: Envelope) -> UnsealRequest:
    """Read the request in an envelope; signatures of warrant and records are not checked."""
    names = UnsealRequest.__slots__
    fields = payload_object(envelope, Kind.UNSEAL_REQUEST).fields("kind", *names)
    return UnsealRequest(
        mission=MissionId(fields["mission"].hex(32)),
        epoch=Epoch(fields["epoch"].integer(1, 2**32 - 1)),
        secrets=fields["secrets"].each(SealedSecret.read, least=1),
        records=fields["records"].each(_read_record, least=1),
        to=read_key(X_WING)(fields["to"]),
        warrant=fields["warrant"].optional(
            lambda node: parse_envelope(node.base64(), kinds=[Kind.WARRANT])
        ),
    )


def _read_record(node: Node) -> Envelope:
    return parse_envelope(node.base64(), kinds=[Kind.RECORD])


def answer_envelope(answer: UnsealAnswer) -> Envelope:
    """The answer as an unsigned envelope."""
    return envelope_for(
        {
            "kind": Kind.UNSEALED.value,
            "mission": answer.mission.hex(),
            "epoch": answer.epoch,
            "secrets": [item.to_json() for item in answer.secrets],
        }
    )


def parse_unsealed(envelope: Envelope) -> UnsealAnswer:
    """Read the answer in an envelope."""
    fields = payload_object(envelope, Kind.UNSEALED).fields("kind", *UnsealAnswer.__slots__)
    return UnsealAnswer(
        mission=MissionId(fields["mission"].hex(32)),
        epoch=Epoch(fields["epoch"].integer(1, 2**32 - 1)),
        secrets=fields["secrets"].each(UnsealedSecret.read, least=1),
    )
