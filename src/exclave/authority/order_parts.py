"""What all orders share: their head, and how lists of names are bounded (spec/orders.md 1)."""

from __future__ import annotations

from datetime import datetime

from exclave.authority.fields import FieldInvalid, Fields, Node, require_ascending
from exclave.clock import format_time
from exclave.encoding import JsonObject
from exclave.errors import AuthorityError
from exclave.ids import MissionId, StatementHash
from exclave.values import dataclass

__all__ = ["HEAD", "NamesOutOfBounds", "OrderHead", "check_names", "read_hash"]

_NONCE = 16


class NamesOutOfBounds(AuthorityError):
    """An order names nothing, or more than one order may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderHead:
    """What every order has: `charter` is the newest that the signers know."""

    mission: MissionId
    charter: StatementHash
    nonce: bytes
    issued: datetime  # for people; no rule reads it
    reason: str  # as `issued`

    def __post_init__(self) -> None:
        if len(self.nonce) != _NONCE:
            raise FieldInvalid(f"order.nonce: expected {_NONCE} bytes, got {len(self.nonce)}")
        Node(self.reason, "order.reason").text()

    def to_json(self) -> JsonObject:
        """Its fields of the order."""
        return {
            "mission": self.mission.hex(),
            "charter": self.charter.hex(),
            "nonce": self.nonce.hex(),
            "issued": format_time(self.issued),
            "reason": self.reason,
        }

    @classmethod
    def read(cls, fields: Fields) -> OrderHead:
        """Read its fields of an order."""
        return cls(
            mission=MissionId(fields["mission"].hex(32)),
            charter=StatementHash(fields["charter"].hex(32)),
            nonce=fields["nonce"].hex(_NONCE),
            issued=fields["issued"].time(),
            reason=fields["reason"].text(),
        )


HEAD = ("kind", *OrderHead.__slots__)
"""Fields that every order has."""


def check_names(path: str, names: tuple[str, ...], most: int) -> None:
    """Check that `names` are 1 to `most` and ascend."""
    if not 1 <= len(names) <= most:
        raise NamesOutOfBounds(f"{path}: expected 1 to {most}, got {len(names)}")
    require_ascending(path, names)


def read_hash(node: Node) -> StatementHash:
    """Read a statement hash."""
    return StatementHash(node.hex(32))
