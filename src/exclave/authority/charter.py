"""The charter: a sending state's signed constitution (spec/authority.md 2).

Parsing gives a `Charter` that obeys every rule of the page, or one error that says which rule and
where. Signatures and the chain are `charter_chain`'s. Rules: every field is there, none is
unknown; writing a parsed charter gives the same bytes.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from exclave.authority.charter_parts import (
    Depositor,
    Official,
    RecoveryEpoch,
    Role,
    RoleName,
    SeatEntry,
    SeatType,
)
from exclave.authority.charter_rules import check_charter
from exclave.authority.charter_settings import Delays, Dispersal, Quotas, Settings, Witness
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.fields import Node
from exclave.clock import format_time
from exclave.encoding import JsonObject, JsonValue, canonical_json
from exclave.errors import AuthorityError
from exclave.ids import Epoch, MissionId, PersonId, Seat, StatementHash
from exclave.values import dataclass

__all__ = [
    "Charter",
    "NotInCharter",
    "charter_payload",
    "mission_id",
    "parse_charter",
]

_FIELDS = [
    "kind",
    "format",
    "suite",
    "mission",
    "era",
    "version",
    "previous",
    "state",
    "notice",
    "issued",
    "advisory_expiry",
    "dispersal",
    "seats",
    "recovery",
    "officials",
    "annex",
    "rosters",
    "delays",
    "witness",
    "depositors",
    "quotas",
    "retention",
    "drill",
    "bags",
    "agreements",
]
_SETTINGS = ("retention", "drill", "bags", "agreements")


class NotInCharter(AuthorityError):
    """A seat, official, depositor or epoch that the charter does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """All of a charter; checked on construction."""

    mission: MissionId | None  # None in charter 1 alone; `mission_id` is always there
    era: int
    version: int
    previous: StatementHash | None
    state_code: str
    state_name: str
    notice: str
    issued: datetime
    advisory_expiry: datetime
    dispersal: Dispersal
    seats: tuple[SeatEntry, ...]
    recovery: tuple[RecoveryEpoch, ...]
    officials: tuple[Official, ...]
    annex: bytes
    rosters: tuple[tuple[RoleName, Role], ...]
    delays: Delays
    witness: Witness
    depositors: tuple[Depositor, ...]
    quotas: Quotas
    settings: Settings

    def __post_init__(self) -> None:
        check_charter(self)

    @property
    def order(self) -> tuple[int, int]:
        """(era, version): charters of a mission order by it."""
        return self.era, self.version

    @property
    def statement_hash(self) -> StatementHash:
        """H(payload)."""
        return StatementHash(hashlib.sha256(charter_payload(self)).digest())

    @property
    def mission_id(self) -> MissionId:
        """The mission: of charter 1 its own hash."""
        return MissionId(self.statement_hash) if self.mission is None else self.mission

    @property
    def active_seats(self) -> tuple[SeatEntry, ...]:
        """Seats not retired, by number."""
        return tuple(seat for seat in self.seats if not seat.retired)

    @property
    def safes(self) -> frozenset[Seat]:
        """Seats in use at which a bag stays a bag."""
        return frozenset(seat.seat for seat in self.active_seats if seat.type is SeatType.SAFE)

    @property
    def current_epoch(self) -> RecoveryEpoch:
        """The epoch to which new deposits are sealed."""
        return self.recovery[-1]

    def seat(self, number: Seat) -> SeatEntry:
        """The seat with that number; raises `NotInCharter`."""
        for seat in self.seats:
            if seat.seat == number:
                return seat
        raise NotInCharter(f"charter {self.era}.{self.version}: has no seat {number}")

    def seats_vault(self, number: Seat) -> bool:
        """Whether it has that seat, not retired."""
        return any(seat.seat == number for seat in self.active_seats)

    def epoch(self, number: Epoch) -> RecoveryEpoch:
        """The epoch with that number; raises `NotInCharter`."""
        for epoch in self.recovery:
            if epoch.epoch == number:
                return epoch
        raise NotInCharter(f"charter {self.era}.{self.version}: has no epoch {number}")

    def official(self, person: PersonId) -> Official:
        """The official with that id; raises `NotInCharter`."""
        for official in self.officials:
            if official.id == person:
                return official
        raise NotInCharter(f"charter {self.era}.{self.version}: has no official {person}")

    def depositor(self, name: str) -> Depositor:
        """The depositor with that id; raises `NotInCharter`."""
        for depositor in self.depositors:
            if depositor.id == name:
                return depositor
        raise NotInCharter(f"charter {self.era}.{self.version}: has no depositor {name!r}")

    def role(self, name: RoleName) -> Role:
        """That roster."""
        return dict(self.rosters)[name]


def mission_id(charter_1_payload: bytes) -> MissionId:
    """The mission id that a first charter's payload founds."""
    return MissionId(hashlib.sha256(charter_1_payload).digest())


def charter_payload(charter: Charter) -> bytes:
    """The charter as canonical JSON."""
    rosters: dict[str, JsonValue] = {name.value: role.to_json() for name, role in charter.rosters}
    payload: JsonObject = {
        "kind": Kind.CHARTER.value,
        "format": 1,
        "suite": 1,
        "mission": None if charter.mission is None else charter.mission.hex(),
        "era": charter.era,
        "version": charter.version,
        "previous": None if charter.previous is None else charter.previous.hex(),
        "state": {"code": charter.state_code, "name": charter.state_name},
        "notice": charter.notice,
        "issued": format_time(charter.issued),
        "advisory_expiry": format_time(charter.advisory_expiry),
        "dispersal": charter.dispersal.to_json(),
        "seats": [seat.to_json() for seat in charter.seats],
        "recovery": [epoch.to_json() for epoch in charter.recovery],
        "officials": [official.to_json() for official in charter.officials],
        "annex": charter.annex.hex(),
        "rosters": rosters,
        "delays": charter.delays.to_json(),
        "witness": charter.witness.to_json(),
        "depositors": [depositor.to_json() for depositor in charter.depositors],
        "quotas": charter.quotas.to_json(),
        **charter.settings.to_json(),
    }
    return canonical_json(payload)


def parse_charter(envelope: Envelope) -> Charter:
    """Read the charter in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.CHARTER).fields(*_FIELDS)
    fields["format"].integer(1, 1)
    fields["suite"].integer(1, 1)
    state = fields["state"].fields("code", "name")
    return Charter(
        mission=fields["mission"].optional(lambda node: MissionId(node.hex(32))),
        era=fields["era"].integer(1),
        version=fields["version"].integer(1),
        previous=fields["previous"].optional(lambda node: StatementHash(node.hex(32))),
        state_code=state["code"].state(),
        state_name=state["name"].text(),
        notice=fields["notice"].text(),
        issued=fields["issued"].time(),
        advisory_expiry=fields["advisory_expiry"].time(),
        dispersal=Dispersal.read(fields["dispersal"]),
        seats=fields["seats"].each(SeatEntry.read, least=1, most=255),
        recovery=fields["recovery"].each(RecoveryEpoch.read, least=1, most=255),
        officials=fields["officials"].each(Official.read, least=1, most=255),
        annex=fields["annex"].hex(32),
        rosters=_read_rosters(fields["rosters"]),
        delays=Delays.read(fields["delays"]),
        witness=Witness.read(fields["witness"]),
        depositors=fields["depositors"].each(Depositor.read, most=255),
        quotas=Quotas.read(fields["quotas"]),
        settings=Settings.read(*(fields[name] for name in _SETTINGS)),
    )


def _read_rosters(node: Node) -> tuple[tuple[RoleName, Role], ...]:
    fields = node.fields(*RoleName)
    return tuple((name, Role.read(fields[name])) for name in RoleName)
