"""Custody: what became of a bag, said by whoever had it (spec/bag.md 4).

Reads, writes and verifies one statement; what all of a bag's say together is
`exclave.carried.papers`'s matter. Rules: one table says which act has which fields and who may say
it; writing a parsed statement gives the same bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import Envelope, Kind, envelope_for, payload_object
from exclave.authority.fields import FieldInvalid, Node
from exclave.authority.persons import SignatureMissing, require_keys, signed_persons
from exclave.clock import format_time
from exclave.errors import AuthorityError
from exclave.ids import BagId, MissionId, PersonId, Seat, StatementHash
from exclave.values import dataclass

__all__ = [
    "MAX_CUSTODY",
    "Act",
    "Custody",
    "Party",
    "PartyRole",
    "custody_envelope",
    "parse_custody",
    "read_party",
    "verify_custody",
]

MAX_CUSTODY: Final = 65_536
"""Bytes of an envelope."""
_BAG: Final = 16


class Act(enum.StrEnum):
    """What happened."""

    SEALED = "sealed"
    HANDED_OVER = "handed-over"
    RECEIVED = "received"
    VERIFIED = "verified"
    OPENED = "opened"
    LOST = "lost"
    LODGED = "lodged"


_COUNTED: Final = frozenset({Act.VERIFIED, Act.LODGED})
"""Acts that say how many items are good and bad."""


class PartyRole(enum.StrEnum):
    """As what a party is known to a charter."""

    OFFICIAL = "official"
    DEPOSITOR = "depositor"
    SEAT = "seat"


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who can have a bag."""

    role: PartyRole
    id: str

    def __str__(self) -> str:
        return f"{self.role} {self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Custody:
    """One statement about one bag; `time` is the signer's claim."""

    mission: MissionId
    bag: BagId
    inventory: bytes
    seat: Seat
    act: Act
    by: Party
    to: Party | None = None
    previous: StatementHash | None = None
    marks: str = ""
    good: int | None = None
    bad: int | None = None
    time: datetime

    def __post_init__(self) -> None:
        Node(self.marks, "custody.marks").text()
        own = Party(PartyRole.SEAT, str(self.seat))  # seals a copy of what it holds itself
        wanted = {Act.SEALED: PartyRole.DEPOSITOR, Act.LODGED: PartyRole.SEAT}.get(self.act)
        if wanted not in {None, self.by.role} and (self.act, self.by) != (Act.SEALED, own):
            raise FieldInvalid(f"custody.by: expected a {wanted} for {self.act}, got {self.by}")
        counted = self.act in _COUNTED
        for name, there, may in (
            ("previous", self.previous is not None, self.act is not Act.SEALED),
            ("to", self.to is not None, self.act is Act.HANDED_OVER),
            ("good", self.good is not None, counted),
            ("bad", self.bad is not None, counted),
        ):
            if there is not may:
                expected, got = ("one", "none") if may else ("none", "one")
                raise FieldInvalid(f"custody.{name}: expected {expected} for {self.act}, got {got}")


def custody_envelope(custody: Custody) -> Envelope:
    """The statement, unsigned."""
    return envelope_for(
        {
            "kind": Kind.CUSTODY.value,
            "mission": custody.mission.hex(),
            "bag": custody.bag.hex(),
            "inventory": custody.inventory.hex(),
            "seat": custody.seat,
            "act": custody.act.value,
            "by": str(custody.by),
            "to": None if custody.to is None else str(custody.to),
            "previous": None if custody.previous is None else custody.previous.hex(),
            "marks": custody.marks,
            "good": custody.good,
            "bad": custody.bad,
            "time": format_time(custody.time),
        }
    )


def parse_custody(envelope: Envelope) -> Custody:
    """Read the statement in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.CUSTODY).fields("kind", *Custody.__slots__)
    return Custody(
        mission=MissionId(fields["mission"].hex(32)),
        bag=BagId(fields["bag"].hex(_BAG)),
        inventory=fields["inventory"].hex(32),
        seat=Seat(fields["seat"].integer(1, 255)),
        act=Act(fields["act"].literal(*Act)),
        by=read_party(fields["by"]),
        to=fields["to"].optional(read_party),
        previous=fields["previous"].optional(lambda node: StatementHash(node.hex(32))),
        marks=fields["marks"].text(),
        good=fields["good"].optional(Node.integer),
        bad=fields["bad"].optional(Node.integer),
        time=fields["time"].time(),
    )


def read_party(node: Node) -> Party:
    """`official <id>`, `depositor <id>` or `seat <number>`."""
    role, space, name = node.string().partition(" ")
    if not space or role not in set(PartyRole):
        raise node.refuse("official, depositor or seat with its name")
    if role == PartyRole.SEAT:
        if not name.isascii() or not name.isdigit() or not 1 <= int(name) <= 255 or name[0] == "0":
            raise node.refuse("a seat from 1 to 255")
    else:
        Node(name, node.path).slug()
    return Party(PartyRole(role), name)


def verify_custody(envelope: Envelope, charters: Iterable[Charter]) -> Custody:
    """Check mission and the named party's signature by one of the charters, the first that fits."""
    custody = parse_custody(envelope)
    refused: AuthorityError | None = None
    for charter in charters:
        if custody.mission != charter.mission_id:
            raise MissionMismatch(
                f"custody: expected mission {charter.mission_id.hex()}, got {custody.mission.hex()}"
            )
        try:
            _require(envelope, custody.by, charter)
        except AuthorityError as error:
            refused = refused or error
        else:
            return custody
    raise refused or SignatureMissing(f"custody: no charter to know {custody.by} by")


def _require(envelope: Envelope, by: Party, charter: Charter) -> None:
    match by.role:
        case PartyRole.OFFICIAL:
            if PersonId(by.id) not in signed_persons(envelope, charter.officials):
                raise SignatureMissing(f"custody: expected the signature of {by}, got none")
        case PartyRole.DEPOSITOR:
            require_keys(envelope, charter.depositor(by.id).keys, party=str(by))
        case PartyRole.SEAT:
            require_keys(envelope, [charter.seat(Seat(int(by.id))).log_key], party=str(by))
