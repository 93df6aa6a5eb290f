"""Permission for the host, and what it declares (spec/permissions.md).

Rules: the lists of acts are closed, so that an order which names reading, unlinking, clocks or keys
cannot be read at all; both orders have an end, and it is near.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import ClassVar, Final

from exclave.authority.agreement import Act
from exclave.authority.envelope import Kind
from exclave.authority.fields import FieldInvalid, Fields
from exclave.authority.order_parts import OrderHead
from exclave.clock import format_time
from exclave.encoding import JsonObject
from exclave.ids import Seat
from exclave.values import dataclass

__all__ = [
    "LONGEST_DECLARE",
    "LONGEST_GRANT",
    "PERMISSION_FIELDS",
    "Declare",
    "DeclaredAct",
    "Grant",
]

PERMISSION_FIELDS: Final = ("seat", "act", "from", "until")
"""Beside an order's head."""
LONGEST_GRANT: Final = timedelta(days=31)
LONGEST_DECLARE: Final = timedelta(days=7)


class DeclaredAct(enum.StrEnum):
    """What keeps disks alive: nobody is asked, but it is said before."""

    MIGRATE_DISKS = "migrate-disks"
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """The sending state permits one act at a seat, for a time."""

    kind: ClassVar[Kind] = Kind.GRANT
    head: OrderHead
    seat: Seat
    act: Act
    since: datetime  # `from`
    until: datetime

    def __post_init__(self) -> None:
        _check_span("grant", self.since, self.until, LONGEST_GRANT)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return _own(self.seat, self.act, self.since, self.until)

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Grant:
        """Read one whose head was read."""
        return cls(
            head=head,
            seat=Seat(fields["seat"].integer(1, 255)),
            act=Act(fields["act"].literal(*Act)),
            since=fields["from"].time(),
            until=fields["until"].time(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Declare:
    """The host says what it will do to keep disks alive."""

    kind: ClassVar[Kind] = Kind.DECLARE
    head: OrderHead
    seat: Seat
    act: DeclaredAct
    since: datetime  # `from`
    until: datetime

    def __post_init__(self) -> None:
        _check_span("declare", self.since, self.until, LONGEST_DECLARE)

    def own(self) -> JsonObject:
        """The fields beside the head's."""
        return _own(self.seat, self.act, self.since, self.until)

    @classmethod
    def read(cls, head: OrderHead, fields: Fields) -> Declare:
        """Read one whose head was read."""
        return cls(
            head=head,
            seat=Seat(fields["seat"].integer(1, 255)),
            act=DeclaredAct(fields["act"].literal(*DeclaredAct)),
            since=fields["from"].time(),
            until=fields["until"].time(),
        )


def _own(seat: Seat, act: Act | DeclaredAct, since: datetime, until: datetime) -> JsonObject:
    return {
        "seat": seat,
        "act": act.value,
        "from": format_time(since),
        "until": format_time(until),
    }


def _check_span(kind: str, since: datetime, until: datetime, longest: timedelta) -> None:
    if not timedelta() < until - since <= longest:
        raise FieldInvalid(
            f"{kind}.until: expected after from by at most {longest.days} days, "
            f"got {format_time(until)}"
        )
