"""Statements: DSSE envelopes over canonical JSON (spec/statements.md 1, 2).

An envelope carries a payload, its kind and signatures. This module reads, writes and joins
envelopes; it does not say whether a signature is good or enough (`persons`), nor what a payload
means (one module a kind). Rules: one encoding; the payload's `kind` is the media type's; the hash
names the payload, so it stays the same as signatures arrive.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Collection, Iterable

from exclave.authority.fields import Node, require_ascending
from exclave.authority.keys import TypedKey, verify_signature
from exclave.encoding import (
    JsonObject,
    JsonValue,
    b64encode,
    canonical_json,
    parse_canonical_json,
)
from exclave.errors import AuthorityError, MalformedData
from exclave.ids import KeyId, StatementHash
from exclave.values import dataclass, replace

__all__ = [
    "AGREED",
    "CERTIFICATES",
    "LOOSENING",
    "MAX_ENVELOPE",
    "MAX_SIGNATURES",
    "MAX_SMALL_ENVELOPE",
    "MAX_UNSEAL_REQUEST",
    "ORDERS",
    "RESULTS",
    "TIGHTENING",
    "Envelope",
    "Kind",
    "KindUnexpected",
    "Signature",
    "StatementMismatch",
    "envelope_for",
    "media_type",
    "pae",
    "parse_envelope",
    "payload_object",
    "read_media_type",
    "read_signatures",
    "signatures_json",
]

MAX_ENVELOPE = 64 * 2**20
MAX_SMALL_ENVELOPE = 2**20
MAX_UNSEAL_REQUEST = 2**30
"""It holds whole records in Base64, and lies in a file that an official was handed."""
MAX_SIGNATURES = 256
_PREFIX = "application/vnd.exclave."
_SUFFIX = ".v1+json"


class Kind(enum.StrEnum):
    """Kinds of statements that this version reads."""

    CHARTER = "charter"
    SEAT_REQUEST = "seat-request"
    DEPOSITOR_REQUEST = "depositor-request"
    ENROLMENT = "enrolment"
    WARRANT = "warrant"
    RECORD = "record"
    SUPPLEMENT = "supplement"
    REFUSALS = "refusals"
    REPORT = "report"
    UNSEAL_REQUEST = "unseal-request"
    UNSEALED = "unsealed"
    EVIDENCE = "evidence"
    ALARM = "alarm"
    SWEPT = "swept"
    CUSTODY = "custody"
    VETO = "veto"
    LOCKDOWN = "lockdown"
    HOLD = "hold"
    EXTEND = "extend"
    COMPROMISE = "compromise"
    RELEASE = "release"
    LIFT = "lift"
    NARROW = "narrow"
    UNLOCK = "unlock"
    AGREEMENT = "agreement"
    TERMINATE = "terminate"
    GRANT = "grant"
    DECLARE = "declare"
    PROOF = "proof"
    DRILL = "drill"
    STANDING = "standing"
    ATTESTATION = "attestation"


TIGHTENING = frozenset({Kind.VETO, Kind.LOCKDOWN, Kind.HOLD, Kind.EXTEND, Kind.COMPROMISE})
"""Orders that one person gives and that take effect at once (spec/orders.md 2)."""
AGREED = frozenset({Kind.AGREEMENT, Kind.TERMINATE, Kind.GRANT, Kind.DECLARE})
"""Orders between the two states, some signed by the host (spec/agreements.md, permissions.md)."""
LOOSENING = frozenset({Kind.RELEASE, Kind.LIFT, Kind.NARROW, Kind.UNLOCK}) | AGREED
"""Orders that need a threshold, or a host's key; most wait in public (spec/orders.md 3)."""
ORDERS = TIGHTENING | LOOSENING
RESULTS = frozenset({Kind.PROOF, Kind.DRILL})
CERTIFICATES = RESULTS | {Kind.STANDING}
"""What a state keeps for itself: they name titles, and no vault takes them."""
_RESERVED = frozenset(["audit"])
_SMALL = (
    frozenset({Kind.CHARTER, Kind.SEAT_REQUEST, Kind.DEPOSITOR_REQUEST, Kind.WARRANT})
    | ORDERS
    | RESULTS
)


class KindUnexpected(MalformedData):
    """A statement of another kind than asked for, or of no kind that is known."""


class StatementMismatch(AuthorityError):
    """Signatures of one statement were offered for another."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One key's signature; says nothing about its validity."""

    key_id: KeyId
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A payload with its kind and signatures, ascending by key id."""

    payload: bytes
    kind: Kind
    signatures: tuple[Signature, ...] = ()

    @property
    def pae(self) -> bytes:
        """What is signed."""
        return pae(self.kind, self.payload)

    @property
    def statement_hash(self) -> StatementHash:
        """H(payload)."""
        return StatementHash(hashlib.sha256(self.payload).digest())

    def signature_of(self, key_id: KeyId) -> bytes | None:
        """The signature under that key id, unverified."""
        for signature in self.signatures:
            if signature.key_id == key_id:
                return signature.value
        return None

    def to_bytes(self) -> bytes:
        """The one encoding of this envelope."""
        return canonical_json(
            {
                "payload": b64encode(self.payload),
                "payloadType": media_type(self.kind),
                "signatures": signatures_json(self.signatures),
            }
        )

    def with_signature(self, key: TypedKey, value: bytes) -> Envelope:
        """Add a signature after checking it; replaces that key's earlier one."""
        verify_signature(key, self.pae, value)
        others = tuple(item for item in self.signatures if item.key_id != key.key_id)
        return self._with((*others, Signature(key.key_id, value)))

    def merge(self, other: Envelope) -> Envelope:
        """Join signatures of the same statement; ours stay where both have one of a key."""
        if (other.kind, other.payload) != (self.kind, self.payload):
            raise StatementMismatch(
                f"signatures: expected of {self.kind} {self.statement_hash.hex()}, "
                f"got of {other.kind} {other.statement_hash.hex()}"
            )
        ours = {item.key_id for item in self.signatures}
        new = tuple(item for item in other.signatures if item.key_id not in ours)
        return self._with((*self.signatures, *new))

    def _with(self, signatures: tuple[Signature, ...]) -> Envelope:
        if len(signatures) > MAX_SIGNATURES:
            raise MalformedData(
                f"envelope: expected at most {MAX_SIGNATURES} signatures, got {len(signatures)}"
            )
        ordered = tuple(sorted(signatures, key=lambda item: item.key_id))
        return replace(self, signatures=ordered)


def media_type(kind: Kind) -> str:
    """`application/vnd.exclave.<kind>.v1+json`."""
    return f"{_PREFIX}{kind.value}{_SUFFIX}"


def pae(kind: Kind, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding of a payload."""
    name = media_type(kind).encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def envelope_for(payload: JsonObject) -> Envelope:
    """An unsigned envelope around a payload whose `kind` is one of ours."""
    return Envelope(payload=canonical_json(payload), kind=Kind(str(payload["kind"])))


def parse_envelope(data: bytes, *, kinds: Collection[Kind] | None = None) -> Envelope:
    """Read an envelope of one of `kinds` (default: any that is known).

    Raises `KindUnexpected`, `MalformedData` or `NonCanonicalData`; signatures are not checked.
    """
    alone = kinds is not None and set(kinds) == {Kind.UNSEAL_REQUEST}
    most = MAX_UNSEAL_REQUEST if alone else MAX_ENVELOPE
    if len(data) > most:
        raise MalformedData(f"envelope: expected at most {most} bytes, got {len(data)}")
    node = Node(parse_canonical_json(data, subject="envelope"), "envelope")
    fields = node.fields("payload", "payloadType", "signatures")
    kind = read_media_type(fields["payloadType"], kinds)
    if kind in _SMALL and len(data) > MAX_SMALL_ENVELOPE:
        raise MalformedData(
            f"{kind} envelope: expected at most {MAX_SMALL_ENVELOPE} bytes, got {len(data)}"
        )
    signatures = read_signatures(fields["signatures"], most=MAX_SIGNATURES)
    envelope = Envelope(payload=fields["payload"].base64(), kind=kind, signatures=signatures)
    payload_object(envelope, kind)
    return envelope


def payload_object(envelope: Envelope, kind: Kind) -> Node:
    """The payload of a statement of that kind, parsed; its paths start with the kind."""
    if envelope.kind is not kind:
        raise KindUnexpected(f"statement: expected a {kind}, got a {envelope.kind}")
    node = Node(parse_canonical_json(envelope.payload, subject=kind.value), kind.value)
    if not isinstance(node.value, dict):
        raise node.refuse("an object")
    named = node.value.get("kind")
    if named != kind.value:
        raise KindUnexpected(
            f"{kind}.kind: expected {kind.value!r} as the media type says, got {named!r:.60}"
        )
    return node


def signatures_json(signatures: Iterable[Signature]) -> JsonValue:
    """Signatures as they stand in an envelope."""
    return [{"keyid": item.key_id, "sig": b64encode(item.value)} for item in signatures]


def read_signatures(node: Node, *, least: int = 0, most: int) -> tuple[Signature, ...]:
    """Read signatures, ascending by key id."""
    signatures = node.each(_signature, least=least, most=most)
    require_ascending(node.path, [item.key_id for item in signatures])
    return signatures


def _signature(node: Node) -> Signature:
    fields = node.fields("keyid", "sig")
    return Signature(KeyId(fields["keyid"].hex(32).hex()), fields["sig"].base64())


def read_media_type(node: Node, kinds: Collection[Kind] | None = None) -> Kind:
    """The kind that a media type names, one of `kinds` (default: any that is known)."""
    text = node.string()
    name = text.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    if text != f"{_PREFIX}{name}{_SUFFIX}" or name not in set(Kind):
        known = "a reserved kind" if name in _RESERVED else "an unknown type"
        raise KindUnexpected(
            f"{node.path}: expected a statement of version 1, got {known}",
            hint="a later version of exclave may know it" if text.startswith(_PREFIX) else None,
        )
    kind = Kind(name)
    if kinds is not None and kind not in kinds:
        expected = " or ".join(sorted(item.value for item in kinds))
        raise KindUnexpected(f"statement: expected {expected}, got {kind}")
    return kind
