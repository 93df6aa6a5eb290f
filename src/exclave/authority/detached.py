"""Signatures that travel without their statement (spec/statements.md 5).

For whoever signs from afar: what comes back fits into a message, and is joined to the statement
where that lies. Rules: nothing is joined before its key is known and its signature verified; a
signature of another statement is refused by name; the one that was there first stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from exclave.authority.envelope import (
    MAX_SIGNATURES,
    MAX_SMALL_ENVELOPE,
    Envelope,
    Kind,
    Signature,
    StatementMismatch,
    media_type,
    read_media_type,
    read_signatures,
    signatures_json,
)
from exclave.authority.fields import Node
from exclave.authority.keys import TypedKey, verify_signature
from exclave.encoding import canonical_json, parse_canonical_json
from exclave.errors import AuthorityError, MalformedData
from exclave.ids import StatementHash
from exclave.values import dataclass

__all__ = ["DetachedSignatures", "SignerUnknown", "detach", "join_signatures", "parse_detached"]

_KIND = "exclave-signatures"


class SignerUnknown(AuthorityError):
    """A detached signature of a key that no official of the charter has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachedSignatures:
    """Signatures of one statement, named by its hash; none of them is verified yet."""

    statement: StatementHash
    kind: Kind
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """The one encoding."""
        return canonical_json(
            {
                "kind": _KIND,
                "version": 1,
                "statement": self.statement.hex(),
                "payloadType": media_type(self.kind),
                "signatures": signatures_json(self.signatures),
            }
        )


def parse_detached(data: bytes) -> DetachedSignatures:
    """Read what `to_bytes` gave; raises `MalformedData` or `NonCanonicalData`."""
    if len(data) > MAX_SMALL_ENVELOPE:
        raise MalformedData(
            f"signatures: expected at most {MAX_SMALL_ENVELOPE} bytes, got {len(data)}"
        )
    node = Node(parse_canonical_json(data, subject="signatures"), "signatures")
    fields = node.versioned(_KIND, 1, "statement", "payloadType", "signatures")
    return DetachedSignatures(
        statement=StatementHash(fields["statement"].hex(32)),
        kind=read_media_type(fields["payloadType"]),
        signatures=read_signatures(fields["signatures"], least=1, most=MAX_SIGNATURES),
    )


def detach(envelope: Envelope, keys: Iterable[TypedKey]) -> DetachedSignatures:
    """The signatures of these keys, apart from their statement."""
    wanted = {key.key_id for key in keys}
    return DetachedSignatures(
        statement=envelope.statement_hash,
        kind=envelope.kind,
        signatures=tuple(item for item in envelope.signatures if item.key_id in wanted),
    )


def join_signatures(
    envelope: Envelope, detached: DetachedSignatures, known: Iterable[TypedKey]
) -> Envelope:
    """Add detached signatures of `known` keys to their statement.

    Raises `StatementMismatch`, `SignerUnknown` or `SignatureInvalid`; then nothing was added.
    """
    if (detached.statement, detached.kind) != (envelope.statement_hash, envelope.kind):
        raise StatementMismatch(
            f"signatures: expected of {envelope.kind} {envelope.statement_hash.hex()}, "
            f"got of {detached.kind} {detached.statement.hex()}"
        )
    keys = {key.key_id: key for key in known}
    message = envelope.pae
    for signature in detached.signatures:
        if signature.key_id not in keys:
            raise SignerUnknown(
                f"signatures: expected keys of officials, got unknown key {signature.key_id}",
                hint="the charter that names this key may be another one",
            )
        verify_signature(keys[signature.key_id], message, signature.value)
    return envelope.merge(
        Envelope(payload=envelope.payload, kind=envelope.kind, signatures=detached.signatures)
    )
