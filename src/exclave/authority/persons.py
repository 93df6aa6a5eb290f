"""Who signed: persons and parties, not keys (spec/statements.md 4).

A person signed when all keys of one of his sets have a valid signature. Keys that nobody here owns
are ignored; a known key's bad signature refuses the whole statement, even where enough others are
good, since somebody tampered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from exclave.authority.charter_parts import Official, RoleName
from exclave.authority.envelope import Envelope
from exclave.authority.keys import TypedKey, verify_signature
from exclave.errors import AuthorityError, QuorumNotReached
from exclave.ids import PersonId

if TYPE_CHECKING:
    from exclave.authority.charter import Charter

__all__ = ["SignatureMissing", "require_keys", "require_threshold", "signed_by", "signed_persons"]


class SignatureMissing(AuthorityError):
    """A party that signs with all its keys did not."""


def signed_persons(envelope: Envelope, officials: Iterable[Official]) -> frozenset[PersonId]:
    """Officials who signed; raises `SignatureInvalid` for a known key's bad signature."""
    signed: set[PersonId] = set()
    message = envelope.pae
    for official in officials:
        for keys in official.key_sets:
            present = [_verified(envelope, message, key) for key in keys]
            if all(present):
                signed.add(official.id)
    return frozenset(signed)


def require_threshold(envelope: Envelope, charter: Charter, role: RoleName) -> frozenset[PersonId]:
    """The role's members who signed, when they are enough; raises `QuorumNotReached`."""
    roster = charter.role(role)
    persons = signed_persons(envelope, charter.officials) & set(roster.members)
    if len(persons) < roster.threshold:
        raise QuorumNotReached(
            f"quorum not reached: {len(persons)} of {len(roster.members)} officials signed, "
            f"{roster.threshold} required",
            hint=f"{envelope.kind} {envelope.statement_hash.hex()[:16]}, roster {role}",
        )
    return persons


def require_keys(envelope: Envelope, keys: Iterable[TypedKey], *, party: str) -> None:
    """Check that all keys of a depositor, seat or reader signed."""
    message = envelope.pae
    for key in keys:
        if not _verified(envelope, message, key):
            raise SignatureMissing(
                f"{envelope.kind}: expected a signature of {party}'s {key.alg} key, got none"
            )


def signed_by(envelope: Envelope, key: TypedKey) -> bool:
    """Whether a key signed; raises `SignatureInvalid` where its signature is bad."""
    return _verified(envelope, envelope.pae, key)


def _verified(envelope: Envelope, message: bytes, key: TypedKey) -> bool:
    signature = envelope.signature_of(key.key_id)
    if signature is None:
        return False
    verify_signature(key, message, signature)
    return True
