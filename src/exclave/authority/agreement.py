"""Agreements of a sending and a receiving state, and how one ends (spec/agreements.md).

Values and what can be said of them alone: whether an agreement fits a charter, and whether a new
version weakens the one before it. Who has signed, what is in effect and what a vault then refuses
is the standing's (`exclave.standing.agreed`). Rules: an agreement that is constructed is within its
bounds; a field that could be weakened stands in `weakened`, one that is free is named there too.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar, Final

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Address, RoleName, SeatEntry, SeatType, read_address
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.fields import FieldInvalid, Fields, Node, require_ascending
from exclave.authority.keys import ED25519, ML_DSA_65, TypedKey, read_key
from exclave.authority.order_parts import HEAD, OrderHead, read_hash
from exclave.clock import format_time
from exclave.encoding import MAX_INTEGER, JsonObject, JsonValue
from exclave.errors import AuthorityError
from exclave.ids import Seat, StatementHash
from exclave.values import dataclass

__all__ = [
    "AGREEMENT_FIELDS",
    "AGREEMENT_KEYS",
    "Act",
    "AgreedSeat",
    "Agreement",
    "AgreementNotNext",
    "AgreementUnfit",
    "AgreementWeakened",
    "DelayFloors",
    "StateKeyForeign",
    "Terminate",
    "WitnessDuties",
    "check_amendment",
    "check_fits",
    "check_state_key",
    "unmet",
    "weakened",
]

AGREEMENT_FIELDS: Final = (
    "version", "previous", "state", "key", "seats", "capacity", "retention", "delays", "witness",
    "maintenance", "notice", "treaty", "from", "until",
)  # fmt: skip
"""Beside an order's head."""
AGREEMENT_KEYS: Final = (ED25519, ML_DSA_65)
"""With which a receiving state may sign."""
_MOST_SEATS = 255
_MOST_DAYS = 36_500
_MOST_NOTICE = MAX_INTEGER // 1000  # it is counted in milliseconds
_FOR_EVER = datetime.max.replace(tzinfo=UTC)


class AgreementUnfit(AuthorityError):
    """An agreement does not fit the charter: its seats, their state, or the key pinned for them."""


class StateKeyForeign(AuthorityError):
    """A receiving state's key that has no say in this statement."""


class AgreementNotNext(AuthorityError):
    """An agreement does not follow the one that is in effect."""


class AgreementWeakened(AgreementNotNext):
    """A new version would weaken what has been agreed."""


class Act(enum.StrEnum):
    """Maintenance for which a permission can be given: the closed list (spec/permissions.md 1).

    Reading, unlinking, clocks and keys are on no list.
    """

    ENTER = "enter"
    INSPECT = "inspect"
    MOVE = "move"
    NETWORK = "network"
    POWER = "power"
    REPLACE_HARDWARE = "replace-hardware"
    UPDATE_SOFTWARE = "update-software"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedSeat:
    """A seat, and where the host lets the sending state reach its vault."""

    seat: Seat
    addresses: tuple[Address, ...]

    def to_json(self) -> JsonObject:
        """As it stands in an agreement."""
        return {"seat": self.seat, "addresses": [item.to_json() for item in self.addresses]}

    @classmethod
    def read(cls, node: Node) -> AgreedSeat:
        """Read one."""
        fields = node.fields(*cls.__slots__)
        return cls(
            seat=_seat(fields["seat"]),
            addresses=fields["addresses"].each(read_address, most=16),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayFloors:
    """Seconds that the charter's rosters wait at least."""

    govern: int
    read: int
    release: int
    exile_change: int

    def to_json(self) -> JsonObject:
        """As it stands in an agreement."""
        return {
            "govern": self.govern,
            "read": self.read,
            "release": self.release,
            "exile_change": self.exile_change,
        }

    @classmethod
    def read_from(cls, node: Node) -> DelayFloors:
        """Read them; `read` is a field."""
        fields = node.fields(*cls.__slots__)
        return cls(
            govern=fields["govern"].integer(),
            read=fields["read"].integer(),
            release=fields["release"].integer(),
            exile_change=fields["exile_change"].integer(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessDuties:
    """Whose logs the host's seats cosign, and how old a timestamp may be; seconds."""

    seats: tuple[Seat, ...]
    freshness: int

    def to_json(self) -> JsonObject:
        """As it stands in an agreement."""
        return {"seats": [*self.seats], "freshness": self.freshness}

    @classmethod
    def read(cls, node: Node) -> WitnessDuties:
        """Read them."""
        fields = node.fields(*cls.__slots__)
        return cls(
            seats=fields["seats"].each(_seat, most=_MOST_SEATS),
            freshness=fields["freshness"].integer(1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What both states sign."""

    kind: ClassVar[Kind] = Kind.AGREEMENT
    head: OrderHead
    version: int
    previous: StatementHash | None
    state: str
    key: TypedKey  # of the receiving state
    seats: tuple[AgreedSeat, ...]
    capacity: int  # bytes of shards at each seat
    retention: int  # days
    delays: DelayFloors
    witness: WitnessDuties
    maintenance: tuple[Act, ...]
    notice: int  # seconds
    treaty: bytes
    since: datetime  # `from`
    until: datetime | None

    def __post_init__(self) -> None:
        if (self.version == 1) != (self.previous is None):
            expected = "none" if self.version == 1 else "the hash of the version before"
            raise FieldInvalid(f"agreement.previous: expected {expected}, got otherwise")
        if not 1 <= len(self.seats) <= _MOST_SEATS:
            raise FieldInvalid(
                f"agreement.seats: expected 1 to {_MOST_SEATS} items, got {len(self.seats)}"
            )
        for name, value, least, most in (
            ("capacity", self.capacity, 1, MAX_INTEGER),
            ("retention", self.retention, 1, _MOST_DAYS),
            ("notice", self.notice, 0, _MOST_NOTICE),
        ):
            if not least <= value <= most:
                raise FieldInvalid(
                    f"agreement.{name}: expected an integer from {least} to {most}, got {value}"
                )
        require_ascending("agreement.seats", [item.seat for item in self.seats])
        require_ascending("agreement.witness.seats", self.witness.seats)
        require_ascending("agreement.maintenance", self.maintenance)
        if self.until is not None and self.until <= self.since:
            raise FieldInvalid("agreement.until: expected after from, got not after")

    @property
    def numbers(self) -> frozenset[Seat]:
        """The seats it is about."""
        return frozenset(item.seat for item in self.seats)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        seats: list[JsonValue] = [item.to_json() for item in self.seats]
        return {
            "version": self.version,
            "previous": None if self.previous is None else self.previous.hex(),
            "state": self.state,
            "key": self.key.to_json(),
            "seats": seats,
            "capacity": self.capacity,
            "retention": self.retention,
            "delays": self.delays.to_json(),
            "witness": self.witness.to_json(),
            "maintenance": [act.value for act in self.maintenance],
            "notice": self.notice,
            "treaty": self.treaty.hex(),
            "from": format_time(self.since),
            "until": None if self.until is None else format_time(self.until),
        }

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Agreement:
        """Read one whose head was read."""
        return cls(
            head=head,
            version=fields["version"].integer(1),
            previous=fields["previous"].optional(read_hash),
            state=fields["state"].state(),
            key=read_key(*AGREEMENT_KEYS)(fields["key"]),
            seats=fields["seats"].each(AgreedSeat.read),
            capacity=fields["capacity"].integer(),
            retention=fields["retention"].integer(),
            delays=DelayFloors.read_from(fields["delays"]),
            witness=WitnessDuties.read(fields["witness"]),
            maintenance=fields["maintenance"].each(_act, most=len(Act)),
            notice=fields["notice"].integer(),
            treaty=fields["treaty"].hex(32),
            since=fields["from"].time(),
            until=fields["until"].optional(Node.time),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """That agreement, and what came of it, ends when its notice has run."""

    kind: ClassVar[Kind] = Kind.TERMINATE
    head: OrderHead
    agreement: StatementHash

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"agreement": self.agreement.hex()}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Terminate:
        """Read one whose head was read."""
        return cls(head=head, agreement=read_hash(fields["agreement"]))


def check_fits(agreement: Agreement, charter: Charter) -> None:
    """Check an agreement's seats and key against a charter; raises `AgreementUnfit`."""
    for item in agreement.seats:
        seat = _vault(charter, item.seat, "agreement.seats")
        path = f"agreement: seat {item.seat}"
        if seat.state != agreement.state:
            raise AgreementUnfit(f"{path}: expected state {seat.state}, got {agreement.state}")
        pinned = None if seat.agreement is None else seat.agreement.hex()
        if pinned != agreement.key.key_id:
            expected = "none, since it pins none" if pinned is None else f"key {pinned[:16]}"
            raise AgreementUnfit(
                f"{path}: expected {expected}, got key {agreement.key.key_id[:16]}",
                hint="the charter pins the receiving state's key that its seat request names",
            )
    for number in agreement.witness.seats:
        _vault(charter, number, "agreement.witness.seats")


def check_state_key(keys: Iterable[TypedKey], envelope: Envelope) -> None:
    """Check that a receiving state's keys have a say in a statement; raises `StateKeyForeign`.

    Which agreement a `terminate` ends is not in it: vaults know whose key that one has.
    """
    if envelope.kind not in {Kind.AGREEMENT, Kind.TERMINATE}:
        raise StateKeyForeign(
            f"{envelope.kind}: expected an official's key, got a receiving state's"
        )
    if envelope.kind is Kind.AGREEMENT:
        fields = payload_object(envelope, Kind.AGREEMENT).fields(*HEAD, *AGREEMENT_FIELDS)
        named = read_key(*AGREEMENT_KEYS)(fields["key"])
        if named not in tuple(keys):
            raise StateKeyForeign(
                f"agreement: expected the key {named.key_id[:16]} of the receiving state, "
                "got another"
            )


def weakened(old: Agreement, new: Agreement) -> tuple[str, ...]:
    """Fields in which `new` gives less than `old`; `treaty` and `key` are free."""
    kept = {item.seat: set(item.addresses) for item in new.seats}
    seats = all(set(item.addresses) <= kept.get(item.seat, set()) for item in old.seats)
    floors = zip(_floors(old.delays), _floors(new.delays), strict=True)
    better = {
        "state": new.state == old.state,
        "seats": seats and old.numbers <= new.numbers,
        "capacity": new.capacity >= old.capacity,
        "retention": new.retention >= old.retention,
        "delays": all(after >= before for before, after in floors),
        "witness.seats": set(old.witness.seats) <= set(new.witness.seats),
        "witness.freshness": new.witness.freshness <= old.witness.freshness,
        "maintenance": set(new.maintenance) <= set(old.maintenance),
        "notice": new.notice >= old.notice,
        "from": new.since <= old.since,
        "until": (new.until or _FOR_EVER) >= (old.until or _FOR_EVER),
    }
    return tuple(name for name, holds in better.items() if not holds)


def check_amendment(old: Agreement, name: StatementHash, new: Agreement) -> None:
    """Check that `new` is the version after `old`, called `name`, and weakens nothing in it."""
    if new.previous != name or new.version != old.version + 1:
        raise AgreementNotNext(
            f"agreement: expected version {old.version + 1} of {name.hex()[:16]}, "
            f"got version {new.version}",
            hint="amend the version that is in effect",
        )
    if lost := weakened(old, new):
        raise AgreementWeakened(
            f"agreement version {new.version}: expected nothing weaker, got {', '.join(lost)}",
            hint="a new version only strengthens; what is to end is terminated",
        )


def unmet(agreement: Agreement, charter: Charter) -> tuple[str, ...]:
    """What of the floors a charter does not keep."""
    floors = agreement.delays
    waits = {
        "retention": (charter.settings.retention_days, agreement.retention),
        "govern": (_wait(charter, RoleName.GOVERN), floors.govern),
        "read": (_wait(charter, RoleName.READ), floors.read),
        "release": (_wait(charter, RoleName.RELEASE), floors.release),
        "exile_change": (charter.delays.exile_change, floors.exile_change),
    }
    return tuple(name for name, (kept, floor) in waits.items() if kept < floor)


def _wait(charter: Charter, name: RoleName) -> int:
    role = charter.role(name)
    return max(role.delay, role.veto_window)


def _floors(delays: DelayFloors) -> tuple[int, ...]:
    return delays.govern, delays.read, delays.release, delays.exile_change


def _vault(charter: Charter, number: Seat, path: str) -> SeatEntry:
    for seat in charter.active_seats:
        if seat.seat == number and seat.type is SeatType.VAULT:
            return seat
    raise AgreementUnfit(f"{path}: expected vaults of the charter, got seat {number}")


def _seat(node: Node) -> Seat:
    return Seat(node.integer(1, _MOST_SEATS))


def _act(node: Node) -> Act:
    return Act(node.literal(*Act))
