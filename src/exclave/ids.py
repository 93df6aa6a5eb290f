"""Names for things, so that one kind is never passed for another.

All hashes are 32 bytes of SHA-256 unless said otherwise; text forms are lower-case hex.
"""

from __future__ import annotations

from typing import NewType

__all__ = [
    "BagId",
    "ChunkId",
    "DepositId",
    "Epoch",
    "KeyId",
    "MissionId",
    "PackRoot",
    "PersonId",
    "Seat",
    "ShardRoot",
    "StatementHash",
]

MissionId = NewType("MissionId", bytes)
"""SHA-256 of the payload of charter 1 (spec/authority.md 2), 32 bytes."""

DepositId = NewType("DepositId", bytes)
"""Opaque random name of a deposit, 16 bytes."""

PackRoot = NewType("PackRoot", bytes)
"""Ciphertext root of a pack (spec/dispersal.md 2), 32 bytes."""

ShardRoot = NewType("ShardRoot", bytes)
"""Root of a shard's tree and its name in a vault (spec/dispersal.md 4), 32 bytes."""

BagId = NewType("BagId", bytes)
"""Random name of a bag (spec/bag.md 1), 16 bytes."""

ChunkId = NewType("ChunkId", bytes)
"""Keyed BLAKE3 of a chunk's plaintext (spec/archive.md 2), 32 bytes; never in the clear."""

StatementHash = NewType("StatementHash", bytes)
"""SHA-256 of a statement's payload (spec/statements.md 2), 32 bytes."""

KeyId = NewType("KeyId", str)
"""Hex key id derived from algorithm and raw public key (spec/statements.md 3)."""

PersonId = NewType("PersonId", str)
"""Opaque id of an official, as it stands in the charter."""

Seat = NewType("Seat", int)
"""A seat's number, 1..255, never reused; also its Shamir x."""

Epoch = NewType("Epoch", int)
"""Number of a recovery key, 1.. (spec/authority.md 4)."""
