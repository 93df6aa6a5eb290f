"""Orders: what officials say about what stands at the vaults (spec/orders.md).

Reads and writes every kind, agreements and permissions too; who must sign which, and
what each does to what else is logged, is the standing's. Rules: one table says which kind has which
fields and who reads them; an order that is constructed is within its bounds, so that nothing is
signed that no vault would take; writing a parsed order gives the same bytes. A tightening order
takes effect at once, a loosening one waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import ClassVar, TypeAlias

from exclave.authority.agreement import AGREEMENT_FIELDS, Agreement, Terminate, check_fits
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import ORDERS, Envelope, Kind, KindUnexpected, payload_object
from exclave.authority.fields import Fields, Node
from exclave.authority.order_parts import HEAD, NamesOutOfBounds, OrderHead, check_names, read_hash
from exclave.authority.permission import PERMISSION_FIELDS, Declare, Grant
from exclave.clock import format_time
from exclave.encoding import JsonObject, JsonValue, canonical_json
from exclave.errors import AuthorityError
from exclave.ids import DepositId, PackRoot, StatementHash
from exclave.values import dataclass

__all__ = [
    "LAST_UNTIL",
    "MAX_DEPOSITORS",
    "MAX_NAMES",
    "MAX_PACKS",
    "Compromise",
    "Extend",
    "Hold",
    "Lift",
    "Lockdown",
    "NamesOutOfBounds",
    "Narrow",
    "Order",
    "OrderHead",
    "Release",
    "Unlock",
    "UntilTooFar",
    "Veto",
    "check_order",
    "kind_of",
    "order_payload",
    "parse_order",
]

MAX_NAMES = 1024
"""Deposits, holds or lockdowns in one order."""
MAX_PACKS = 8192
"""With 64 digits each they fill half of what an order's envelope may have."""
MAX_DEPOSITORS = 255
LAST_UNTIL = datetime(2106, 1, 1, tzinfo=UTC)
"""Where unsigned seconds of 32 bits end, which is what object stores keep retention in."""


class UntilTooFar(AuthorityError):
    """An extension reaches beyond the last moment that one may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Veto:
    """The loosening statement `target` dies, unless it is overridden."""

    kind: ClassVar[Kind] = Kind.VETO
    head: OrderHead
    target: StatementHash

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"target": self.target.hex()}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Veto:
        """Read one whose head was read."""
        return cls(head=head, target=read_hash(fields["target"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockdown:
    """Home is frozen, only exile acts."""

    kind: ClassVar[Kind] = Kind.LOCKDOWN
    head: OrderHead

    def own(self) -> JsonObject:
        """None."""
        return {}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Lockdown:
        """Read one whose head was read."""
        return cls(head=head)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Nothing of these deposits is swept until the hold is lifted."""

    kind: ClassVar[Kind] = Kind.HOLD
    head: OrderHead
    deposits: tuple[DepositId, ...] | None  # None: all

    def __post_init__(self) -> None:
        _check_deposits("hold", self.deposits)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"deposits": _deposits_json(self.deposits)}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Hold:
        """Read one whose head was read."""
        return cls(head=head, deposits=_read_deposits(fields["deposits"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend:
    """The packs of these deposits are kept at least until then."""

    kind: ClassVar[Kind] = Kind.EXTEND
    head: OrderHead
    deposits: tuple[DepositId, ...] | None  # None: all
    until: datetime

    def __post_init__(self) -> None:
        _check_deposits("extend", self.deposits)
        if self.until >= LAST_UNTIL:
            raise UntilTooFar(
                f"extend.until: expected before {format_time(LAST_UNTIL)}, "
                f"got {format_time(self.until)}"
            )

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"deposits": _deposits_json(self.deposits), "until": format_time(self.until)}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Extend:
        """Read one whose head was read."""
        return cls(
            head=head,
            deposits=_read_deposits(fields["deposits"]),
            until=fields["until"].time(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Compromise:
    """From `since` on, the keys that the named charter gives these depositors were not only theirs.

    `since` is compared with the times of vaults' logs, never with what a record claims.
    """

    kind: ClassVar[Kind] = Kind.COMPROMISE
    head: OrderHead
    depositors: tuple[str, ...]
    since: datetime

    def __post_init__(self) -> None:
        check_names("compromise.depositors", self.depositors, MAX_DEPOSITORS)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"depositors": list(self.depositors), "since": format_time(self.since)}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Compromise:
        """Read one whose head was read."""
        return cls(
            head=head,
            depositors=fields["depositors"].each(Node.slug),
            since=fields["since"].time(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Exactly these packs may be swept once nothing else keeps them."""

    kind: ClassVar[Kind] = Kind.RELEASE
    head: OrderHead
    packs: tuple[PackRoot, ...]

    def __post_init__(self) -> None:
        check_names("release.packs", _hexes(self.packs), MAX_PACKS)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"packs": [*_hexes(self.packs)]}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Release:
        """Read one whose head was read."""
        return cls(head=head, packs=fields["packs"].each(lambda node: PackRoot(node.hex(32))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """These holds end; one that a vault has not seen yet ends as it arrives."""

    kind: ClassVar[Kind] = Kind.LIFT
    head: OrderHead
    holds: tuple[StatementHash, ...]

    def __post_init__(self) -> None:
        check_names("lift.holds", _hexes(self.holds), MAX_NAMES)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"holds": [*_hexes(self.holds)]}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Lift:
        """Read one whose head was read."""
        return cls(head=head, holds=fields["holds"].each(read_hash))


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrow:
    """That compromise began only at `since`, or never was."""

    kind: ClassVar[Kind] = Kind.NARROW
    head: OrderHead
    compromise: StatementHash
    since: datetime | None  # None: it never was

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {
            "compromise": self.compromise.hex(),
            "since": None if self.since is None else format_time(self.since),
        }

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Narrow:
        """Read one whose head was read."""
        return cls(
            head=head,
            compromise=read_hash(fields["compromise"]),
            since=fields["since"].optional(Node.time),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlock:
    """These lockdowns end; one that a vault has not seen yet ends as it arrives."""

    kind: ClassVar[Kind] = Kind.UNLOCK
    head: OrderHead
    lockdowns: tuple[StatementHash, ...]

    def __post_init__(self) -> None:
        check_names("unlock.lockdowns", _hexes(self.lockdowns), MAX_NAMES)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return {"lockdowns": [*_hexes(self.lockdowns)]}

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Unlock:
        """Read one whose head was read."""
        return cls(head=head, lockdowns=fields["lockdowns"].each(read_hash))


Order: TypeAlias = (
    Veto | Lockdown | Hold | Extend | Compromise
    | Release | Lift | Narrow | Unlock
    | Agreement | Terminate | Grant | Declare
)  # fmt: skip

_Reader: TypeAlias = Callable[[OrderHead, Fields], Order]
_FORMS: Mapping[Kind, tuple[tuple[str, ...], _Reader]] = {
    Kind.VETO: (("target",), Veto.read),
    Kind.LOCKDOWN: ((), Lockdown.read),
    Kind.HOLD: (("deposits",), Hold.read),
    Kind.EXTEND: (("deposits", "until"), Extend.read),
    Kind.COMPROMISE: (("depositors", "since"), Compromise.read),
    Kind.RELEASE: (("packs",), Release.read),
    Kind.LIFT: (("holds",), Lift.read),
    Kind.NARROW: (("compromise", "since"), Narrow.read),
    Kind.UNLOCK: (("lockdowns",), Unlock.read),
    Kind.AGREEMENT: (AGREEMENT_FIELDS, Agreement.read),
    Kind.TERMINATE: (("agreement",), Terminate.read),
    Kind.GRANT: (PERMISSION_FIELDS, Grant.read),
    Kind.DECLARE: (PERMISSION_FIELDS, Declare.read),
}


def kind_of(order: Order) -> Kind:
    """Which of the kinds an order is."""
    return order.kind


def order_payload(order: Order) -> bytes:
    """The order as canonical JSON."""
    return canonical_json({"kind": order.kind.value, **order.head.to_json(), **order.own()})


def parse_order(envelope: Envelope) -> Order:
    """Read the order in an envelope; signatures are not checked here."""
    form = _FORMS.get(envelope.kind)
    if form is None:
        expected = " or ".join(sorted(ORDERS))
        raise KindUnexpected(f"statement: expected {expected}, got a {envelope.kind}")
    names, read = form
    fields = payload_object(envelope, envelope.kind).fields(*HEAD, *names)
    return read(OrderHead.read(fields), fields)


def check_order(order: Order, charter: Charter) -> None:
    """Check an order against the charter that it names; raises an `AuthorityError`."""
    if order.head.mission != charter.mission_id:
        raise MissionMismatch(
            f"{order.kind}: expected mission {charter.mission_id.hex()}, "
            f"got {order.head.mission.hex()}"
        )
    if isinstance(order, Compromise):
        for name in order.depositors:
            charter.depositor(name)
    elif isinstance(order, Agreement):
        check_fits(order, charter)


def _check_deposits(kind: str, deposits: tuple[DepositId, ...] | None) -> None:
    if deposits is not None:
        check_names(f"{kind}.deposits", _hexes(deposits), MAX_NAMES)


def _deposits_json(deposits: tuple[DepositId, ...] | None) -> list[JsonValue]:
    return ["all"] if deposits is None else [*_hexes(deposits)]


def _read_deposits(node: Node) -> tuple[DepositId, ...] | None:
    if node.value == ["all"]:
        return None
    return node.each(lambda item: DepositId(item.hex(16)))


def _hexes(values: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(value.hex() for value in values)
