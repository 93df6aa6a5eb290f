"""Who has signed a statement, person by person, and who is still needed (spec/orders.md 2, 3).

For showing; what counts at a vault is decided there. A roster is named with what it needs; where a
statement may be signed by exile as well, its rosters are listed too, since nothing here knows
whether a lockdown stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Official, RoleName
from exclave.authority.envelope import TIGHTENING, Envelope, Kind, KindUnexpected
from exclave.authority.keys import TypedKey
from exclave.authority.persons import signed_persons
from exclave.ids import PersonId

__all__ = ["PersonTally", "RosterTally", "known_keys", "tally_persons", "tally_rosters"]

_EXILE = (RoleName.EXILE_1, RoleName.EXILE_2)
_ROSTERS: Mapping[Kind, tuple[RoleName, ...]] = MappingProxyType(
    {
        **dict.fromkeys(sorted(TIGHTENING), (RoleName.ALARM, *_EXILE)),
        Kind.CHARTER: (RoleName.GOVERN, *_EXILE),
        Kind.WARRANT: (RoleName.READ, *_EXILE),
        Kind.RELEASE: (RoleName.RELEASE,),
        Kind.LIFT: (RoleName.RELEASE,),
        Kind.NARROW: (RoleName.GOVERN,),
        Kind.UNLOCK: _EXILE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonTally:
    """One official: whether he signed, and the most keys of one of his sets that did."""

    official: Official
    signed: bool
    keys_signed: int
    keys_needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterTally:
    """One roster: how many persons it needs, who signed and who may still."""

    role: RoleName
    threshold: int
    signed: tuple[PersonId, ...]
    open: tuple[PersonId, ...]

    @property
    def missing(self) -> int:
        """How many persons are still needed."""
        return max(0, self.threshold - len(self.signed))


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


def tally_rosters(envelope: Envelope, charter: Charter) -> tuple[RosterTally, ...]:
    """The rosters that a statement of this kind may be signed by, the usual one first."""
    if envelope.kind not in _ROSTERS:
        raise KindUnexpected(f"statement: expected one that officials sign, got a {envelope.kind}")
    signed = signed_persons(envelope, charter.officials)
    rosters = []
    for name in _ROSTERS[envelope.kind]:
        role = charter.role(name)
        rosters.append(
            RosterTally(
                role=name,
                threshold=1 if envelope.kind in TIGHTENING else role.threshold,
                signed=tuple(person for person in role.members if person in signed),
                open=tuple(person for person in role.members if person not in signed),
            )
        )
    return tuple(rosters)


def _tally(envelope: Envelope, official: Official, signed: bool) -> PersonTally:
    present = {item.key_id for item in envelope.signatures}
    counts = [(sum(key.key_id in present for key in keys), len(keys)) for keys in official.key_sets]
    best = max(counts, key=lambda count: (count[0] == count[1], count[0]))
    return PersonTally(official=official, signed=signed, keys_signed=best[0], keys_needed=best[1])
