"""Who has signed a statement, person by person, also with a part of his keys only.

For showing; what counts at a vault is decided there. Which rosters are asked is
`exclave.authority.asked`.
"""

from __future__ import annotations

from collections.abc import Iterable

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Official
from exclave.authority.envelope import Envelope
from exclave.authority.keys import TypedKey
from exclave.authority.persons import signed_persons
from exclave.values import dataclass

__all__ = ["PersonTally", "known_keys", "tally_persons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonTally:
    """One official: whether he signed, and the most keys of one of his sets that did."""

    official: Official
    signed: bool
    keys_signed: int
    keys_needed: int


def known_keys(charters: Iterable[Charter]) -> tuple[TypedKey, ...]:
    """Every key of every official."""
    officials = (official for charter in charters for official in charter.officials)
    return tuple(key for official in officials for keys in official.key_sets for key in keys)


def tally_persons(envelope: Envelope, charter: Charter) -> tuple[PersonTally, ...]:
    """All officials of a charter; raises `SignatureInvalid` for a known key's bad signature."""
    signed = signed_persons(envelope, charter.officials)
    return tuple(
        _tally(envelope, official, official.id in signed) for official in charter.officials
    )


def _tally(envelope: Envelope, official: Official, signed: bool) -> PersonTally:
    present = {item.key_id for item in envelope.signatures}
    counts = [(sum(key.key_id in present for key in keys), len(keys)) for keys in official.key_sets]
    best = max(counts, key=lambda count: (count[0] == count[1], count[0]))
    return PersonTally(official=official, signed=signed, keys_signed=best[0], keys_needed=best[1])
