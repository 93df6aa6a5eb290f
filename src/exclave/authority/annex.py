"""The annex of names: who the opaque ids of a charter are (spec/authority.md 7).

Kept at home and by the officials; the vaults have it sealed to the recovery key only. The charter
binds each name by a salted hash, so that vaults learn no name and none can be swapped.
"""

from __future__ import annotations

import hashlib
import hmac

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import read_person
from exclave.authority.fields import Node, require_ascending
from exclave.encoding import JsonObject, canonical_json, parse_canonical_json
from exclave.errors import AuthorityError
from exclave.ids import PersonId
from exclave.values import dataclass

__all__ = [
    "AnnexEntry",
    "NameMismatch",
    "annex_bytes",
    "name_hash",
    "parse_annex",
    "verify_annex",
]

_LABEL = b"exclave/1/name\x00"


class NameMismatch(AuthorityError):
    """The annex's officials are not those of the charter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnexEntry:
    """One official's name and how to reach him; `salt` is 32 random bytes."""

    id: PersonId
    name: str
    contact: str
    salt: bytes

    def to_json(self) -> JsonObject:
        """As it stands in the annex."""
        return {
            "id": self.id,
            "name": self.name,
            "contact": self.contact,
            "salt": self.salt.hex(),
        }

    @classmethod
    def read(cls, node: Node) -> AnnexEntry:
        """Read an entry."""
        fields = node.fields(*cls.__slots__)
        return cls(
            id=read_person(fields["id"]),
            name=fields["name"].text(),
            contact=fields["contact"].text(),
            salt=fields["salt"].hex(32),
        )


def name_hash(salt: bytes, name: str) -> bytes:
    """H("exclave/1/name" || 0x00 || salt || name): what the charter states."""
    return hashlib.sha256(_LABEL + salt + name.encode("utf-8")).digest()


def annex_bytes(entries: tuple[AnnexEntry, ...]) -> bytes:
    """The annex as canonical JSON, ascending by id."""
    return canonical_json({"officials": [entry.to_json() for entry in entries]})


def parse_annex(data: bytes) -> tuple[AnnexEntry, ...]:
    """Read an annex."""
    node = Node(parse_canonical_json(data, subject="annex"), "annex")
    entries = node.fields("officials")["officials"].each(AnnexEntry.read, least=1, most=255)
    require_ascending("annex.officials", [entry.id for entry in entries])
    return entries


def verify_annex(entries: tuple[AnnexEntry, ...], charter: Charter) -> None:
    """Check that the annex names exactly the charter's officials."""
    stated = {official.id: official.name_hash for official in charter.officials}
    if [entry.id for entry in entries] != sorted(stated):
        raise NameMismatch("annex: expected exactly the officials of the charter, got others")
    for entry in entries:
        if not hmac.compare_digest(name_hash(entry.salt, entry.name), stated[entry.id]):
            raise NameMismatch(f"annex: expected the name that the charter binds to {entry.id}")
