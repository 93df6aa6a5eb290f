"""What a vault logs before it removes shards (spec/vault-http.md 8).

Reads and writes the statement; what may be swept is `exclave.vault.mission.sweeping`'s matter.
Unsigned: the log signs for it.
"""

from __future__ import annotations

from datetime import datetime

from exclave.authority.envelope import Envelope, Kind, envelope_for, payload_object
from exclave.authority.fields import FieldInvalid, require_ascending
from exclave.clock import format_time
from exclave.ids import MissionId, ShardRoot, StatementHash
from exclave.values import dataclass

__all__ = ["MAX_SWEPT", "Swept", "parse_swept", "swept_envelope"]

MAX_SWEPT = 4096
"""Shards of one statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Shards that may be gone from here on, ascending; `release` is null for staged ones."""

    mission: MissionId
    release: StatementHash | None
    expiry: datetime
    shards: tuple[ShardRoot, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.shards) <= MAX_SWEPT:
            raise FieldInvalid(
                f"swept.shards: expected 1 to {MAX_SWEPT} items, got {len(self.shards)}"
            )
        require_ascending("swept.shards", [root.hex() for root in self.shards])


def swept_envelope(swept: Swept) -> Envelope:
    """The statement, unsigned."""
    return envelope_for(
        {
            "kind": Kind.SWEPT.value,
            "mission": swept.mission.hex(),
            "release": None if swept.release is None else swept.release.hex(),
            "expiry": format_time(swept.expiry),
            "shards": [root.hex() for root in swept.shards],
        }
    )


def parse_swept(envelope: Envelope) -> Swept:
    """Read the statement in an envelope."""
    fields = payload_object(envelope, Kind.SWEPT).fields("kind", *Swept.__slots__)
    return Swept(
        mission=MissionId(fields["mission"].hex(32)),
        release=fields["release"].optional(lambda node: StatementHash(node.hex(32))),
        expiry=fields["expiry"].time(),
        shards=fields["shards"].each(lambda node: ShardRoot(node.hex(32)), most=MAX_SWEPT),
    )
