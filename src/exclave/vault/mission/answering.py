"""What a mission answers, whoever carries the question: a server's handlers or a vault at hand.

Plain blocking code over one `Mission`, called from threads; every refusal is a `VaultRefused`.
"""

from __future__ import annotations

import hashlib
import hmac

from exclave.ids import ShardRoot, StatementHash
from exclave.ledger.entry import EntryType
from exclave.ledger.tiles import TILE_WIDTH, parse_tile_path
from exclave.vault.kept.log import LogBroken
from exclave.vault.kept.rules import Party, find_party
from exclave.vault.kept.storage import body_key, read_optional
from exclave.vault.line.problems import refused
from exclave.vault.mission.mission import Mission

__all__ = [
    "body_of",
    "find_peer",
    "is_named",
    "missing_of",
    "receipt_of",
    "require_shard",
    "tile_of",
]


def find_peer(mission: Mission, identity: bytes) -> Party:
    """Who an identity is to a mission now; refused with `identity` when nobody."""
    with mission.lock:
        readers = [(warrant.reader, name.hex()) for name, warrant in mission.released(identity)]
        return find_party(identity, mission.charter(), readers)


def tile_of(mission: Mission, path: str) -> bytes:
    """A tile or entry bundle of what the checkpoint covers."""
    tile = parse_tile_path(path)
    # Tiles beyond the checkpoint may be there after a crash: they are not in the log.
    end = ((tile.index * TILE_WIDTH) + tile.width) << (8 * (tile.level or 0))
    data = None
    if end <= mission.log.size:
        data = read_optional(mission.store, f"log/{tile.path()}")
    if data is None:
        raise refused("not-found", f"{tile.path()}: not in this log")
    return data


def body_of(mission: Mission, digest: bytes) -> bytes:
    """A log entry's body, checked against its name."""
    data = read_optional(mission.store, body_key(digest))
    if data is None:
        raise refused("not-found", "body: not here")
    if not hmac.compare_digest(hashlib.sha256(data).digest(), digest):
        raise LogBroken(f"body {digest.hex()}: its bytes are not what they were")
    return data


def receipt_of(mission: Mission, kind: str, digest: bytes) -> bytes:
    """The receipt of an entry, cosigned where a quorum has signed."""
    try:
        entry_type = EntryType(kind)
    except ValueError as error:
        raise refused("malformed", "path: no such type of entry") from error
    with mission.lock:
        number = mission.index.entry_number(entry_type, digest)
        if number is None:
            raise refused("not-found", f"{kind} {digest.hex()[:16]}: not in this log")
        head = mission.cosigned_head()
        return mission.log.receipt(number, None if head is None else head.note)


def missing_of(mission: Mission, statement: StatementHash) -> tuple[ShardRoot, ...]:
    """The shards of a record that this seat lacks."""
    with mission.lock:
        if mission.index.record(statement) is None:
            raise refused("not-found", f"record {statement.hex()[:16]}: not here")
        return mission.index.missing(statement)


def require_shard(mission: Mission, root: ShardRoot) -> None:
    """Refuse a shard that is not stored here."""
    with mission.lock:
        if not mission.index.has_shard(root):
            raise refused("not-found", f"shard {root.hex()[:16]}: not here")


def is_named(mission: Mission, root: ShardRoot) -> bool:
    """Whether a record names a shard."""
    with mission.lock:
        return mission.index.is_named(root)
