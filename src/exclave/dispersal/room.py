"""Room for one pack while its bodies come in: rows of data land where they belong, uncopied.

The quick way to a pack (spec/dispersal.md 5): exactly k shards whose own roots nobody has looked
at. Nothing of them is used before the pack's root is right, which covers every byte of every
body, and what stands before the body is compared with what it must be; the veil shares show by the
key commitment of the pack that they open. Which shard was wrong does not show here: whoever is
refused asks for shards that are checked one by one (`exclave.dispersal.shard`).

Rule: a room is filled once; after a refusal its bytes mean nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from exclave.dispersal.code import body_length, complete_rows
from exclave.dispersal.packroot import pack_root
from exclave.dispersal.shard import PREFIX_SIZE, ShardHeader, ShardsDisagree
from exclave.dispersal.veil import VEIL_SIZE, TooFewShards, VeilShare, join_veil
from exclave.ids import MissionId, PackRoot, Seat

__all__ = ["PackRoom"]


class PackRoom:
    """Buffers for k shards of one pack."""

    def __init__(
        self,
        seats: Sequence[Seat],
        *,
        mission: MissionId,
        root: PackRoot,
        length: int,
        k: int,
        rows: memoryview | None = None,
    ) -> None:
        """`seats`: k distinct ones, whose shards will be written here.

        `rows`: room for k bodies that the caller uses again once the pack is opened.
        """
        if len(set(seats)) != k:
            raise TooFewShards(f"pack: expected {k} shards, got {len(set(seats))}")
        size = body_length(length, k)
        self._headers = {
            seat: ShardHeader(k=k, seat=seat, mission=mission, pack_root=root, length=length)
            for seat in seats
        }
        self._root, self._length, self._k = root, length, k
        self._rows = memoryview(bytearray(k * size)) if rows is None else rows[: k * size]
        self._prefixes = {seat: memoryview(bytearray(PREFIX_SIZE)) for seat in seats}
        self._bodies = {seat: self._place(seat, size) for seat in seats}

    def prefix(self, seat: Seat) -> memoryview:
        """Where the first 128 bytes of a seat's shard are to be written."""
        return self._prefixes[seat]

    def body(self, seat: Seat) -> memoryview:
        """Where the rest is to be written."""
        return self._bodies[seat]

    def rebuild(self) -> tuple[memoryview, bytes]:
        """The sealed pack and its veil, which only opening the pack proves.

        Raises `ShardsDisagree` when any byte of any header or body is not what it must be.
        """
        seats = sorted(self._headers)
        for seat, header in self._headers.items():
            if self._prefixes[seat][VEIL_SIZE:] != header.encode():
                raise ShardsDisagree(f"shard of seat {seat}: another header", seats=[seat])
        complete_rows(self._rows, self._bodies, self._k)
        pack, padding = self._rows[: self._length], self._rows[self._length :]
        if bytes(padding).count(0) != len(padding):
            raise ShardsDisagree("pack: expected zeros after its end", seats=seats)
        root = pack_root(pack, self._k)
        if not hmac.compare_digest(root, self._root):
            raise ShardsDisagree(
                f"pack: expected root {self._root.hex()}, got {root.hex()}", seats=seats
            )
        shares = [
            VeilShare(seat=seat, value=bytes(self._prefixes[seat][:VEIL_SIZE])) for seat in seats
        ]
        return pack.toreadonly(), join_veil(shares, self._k)

    def _place(self, seat: Seat, size: int) -> memoryview:
        if self._k == 1:
            return self._rows
        if seat <= self._k:
            return self._rows[(seat - 1) * size : seat * size]
        return memoryview(bytearray(size))
