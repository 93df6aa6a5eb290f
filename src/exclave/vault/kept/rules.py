"""Decisions of a vault as pure functions: what is taken, what is lodged, who may read.

They look at values and raise `VaultRefused` with the cause, or answer; they read no clock, no
file and no index.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import SeatType
from exclave.dispersal.shard import ShardHeader
from exclave.ids import MissionId, Seat, ShardRoot
from exclave.values import dataclass, replace
from exclave.vault.line.problems import refused

__all__ = [
    "Ancestry",
    "Candidate",
    "Party",
    "PartyKind",
    "Usage",
    "check_address",
    "check_room",
    "fellow_addresses",
    "find_party",
    "hindrance",
    "require_kind",
]


class PartyKind(enum.Enum):
    """Whom a pinned identity belongs to."""

    DEPOSITOR = "depositor"
    VAULT = "vault"
    READER = "reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A recognised peer of the data listener."""

    kind: PartyKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is stored and on its way; bytes."""

    staged: int
    arriving: int
    free: int
    kept_free: int
    ahead: int = 0  # of everybody, this upload among them: what had room reserved before, and it


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestry:
    """What a vault knows about the records before one."""

    known: bool  # all of them, back to one without `previous`
    forked: bool  # one of them lost to another of the same place
    satisfied: bool  # the one before is lodged, or none before wants a shard of this seat


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pending record and what a vault has for it."""

    full: bool
    alone: bool  # full, each pack right by the record's own charter and with a shard for this seat
    seated: bool  # its author, by the charter in force
    missing: int  # shards for this seat
    contradicted: ShardRoot | None  # a shard that is not what the record says
    ancestry: Ancestry

    def when_alone(self, *, alone: bool) -> Candidate:
        """The same, once it is known whether the record needs those before it."""
        return replace(self, alone=alone)


def find_party(identity: bytes, charter: Charter, readers: Iterable[tuple[bytes, str]]) -> Party:
    """Who a client's identity is under the charter in force.

    `readers` are identities of released warrants with the warrants' names. A depositor's identity
    that a warrant names too stays a depositor, and so can never read.
    """
    for depositor in charter.depositors:
        if depositor.identity == identity:
            return Party(kind=PartyKind.DEPOSITOR, name=depositor.id)
    for seat in charter.active_seats:
        if seat.identity == identity:
            return Party(kind=PartyKind.VAULT, name=seat.vault)
    for reader, name in readers:
        if reader == identity:
            return Party(kind=PartyKind.READER, name=name)
    raise refused("identity", "this identity has no part in the mission as it stands now")


def require_kind(party: Party, *kinds: PartyKind) -> None:
    """Refuse a verb to parties that it is not for (spec/vault-http.md 3)."""
    if party.kind not in kinds:
        raise refused("identity", f"a {party.kind.value} may not do that")


def check_address(header: ShardHeader, mission: MissionId, seat: Seat) -> None:
    """Refuse a shard that was made for another mission or seat."""
    if header.mission != mission:
        raise refused("wrong-seat", f"shard: expected mission {mission.hex()[:16]}, got another")
    if header.seat != seat:
        raise refused("wrong-seat", f"shard: expected seat {seat}, got {header.seat}")


def check_room(size: int, *, named: bool, limit: int, usage: Usage) -> None:
    """Refuse a shard for which there is no room; one that a record names is never staged.

    `limit` is what its uploader may have staged.
    """
    if usage.free - usage.arriving - size < usage.kept_free:
        raise refused(
            "no-space",
            f"shard: expected room for {size} bytes, got none",
            hint=f"{usage.kept_free} bytes are kept free, for the log and the charter's reserve",
        )
    if not named and usage.staged + usage.arriving + size > limit:
        raise refused(
            "quota",
            f"quota for staging: expected at most {limit} bytes, got {usage.staged} stored, "
            f"{usage.arriving} arriving and {size} more",
            hint="lodge the records that name the staged shards first",
        )


def hindrance(candidate: Candidate) -> str | None:
    """Why a pending record is not lodged yet (spec/records.md 3); None when it can be.

    A full record stands on its own shards, and needs the records before it only to tell which of
    its packs are new; others stand also on the shards of the record before.
    """
    ancestry = candidate.ancestry
    if not candidate.seated:
        return "the charter in force does not seat its depositor with these keys"
    if candidate.missing:
        return f"{candidate.missing} of its shards for this seat are not here"
    if candidate.contradicted is not None:
        return (
            f"shard {candidate.contradicted.hex()[:16]}: its header has another pack, length or k "
            "than the record"
        )
    if not ancestry.known and not candidate.alone:
        return "a record before it is not here"
    if ancestry.forked:
        return "a record before it came second to another of the same place"
    if not candidate.full and not ancestry.satisfied:
        return "the record before it is not lodged"
    return None


def fellow_addresses(charter: Charter, seat: Seat) -> dict[Seat, tuple[bytes, tuple[str, ...]]]:
    """Identity and public addresses of the other vaults of a mission."""
    return {
        entry.seat: (entry.identity, tuple(address.public for address in entry.addresses))
        for entry in charter.active_seats
        if entry.seat != seat and entry.type is SeatType.VAULT
    }
