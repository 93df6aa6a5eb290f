"""A shard on its way in: checked while it is written, in bounded memory.

`Intake` is blocking and is fed from worker threads, one at a time; `exclave.vault.server.server`
brings the bytes. Nothing becomes visible before the whole shard has its root and the right address.
"""

from __future__ import annotations

from collections.abc import Sequence

from exclave.dispersal.sealed_shard import SEALED_PREFIX_SIZE
from exclave.dispersal.shard import ShardCorrupt, ShardHasher, ShardHeader
from exclave.errors import ExclaveError
from exclave.ids import ShardRoot
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import SEALED_SECRET_SIZE, unseal_veil_share
from exclave.vault.kept.rules import check_address
from exclave.vault.kept.storage import shard_key
from exclave.vault.line.problems import refused
from exclave.vault.mission.mission import Mission

__all__ = ["Intake"]


class Intake:
    """One upload; `feed` all bytes, then `finish`; `abort` in any case at the end."""

    def __init__(
        self, mission: Mission, root: ShardRoot, *, sealed: bool, uploader: bytes = b""
    ) -> None:
        """`uploader` is the identity that answers for the shard until a record names it."""
        if sealed and mission.keys.seat_private is None:
            raise refused("unavailable", "sealed shard: this vault runs without its seat key")
        self._mission = mission
        self._root = root
        self._uploader = uploader
        self._seat_key: XWingPrivateKey | None = mission.keys.seat_private if sealed else None
        self._prefix = bytearray()
        self._hasher = ShardHasher(root)
        self._addressed = False
        self._writer = mission.store.create_writer(shard_key(root))

    def feed(self, pieces: Sequence[bytes | memoryview]) -> None:
        """The next bytes; refuses a shard for another seat as soon as its header is here."""
        try:
            for piece in pieces:
                self._feed(piece)
        except ShardCorrupt as error:
            raise refused("hash-mismatch", error.message) from error

    def finish(self) -> bool:
        """Make the shard durable and known; False when it was there before."""
        try:
            _, header = self._hasher.finish()
        except ShardCorrupt as error:
            raise refused("hash-mismatch", error.message) from error
        new = self._writer.commit()
        self._mission.shard_stored(self._root, header, self._uploader)
        return new

    def abort(self) -> None:
        """Forget what is not committed."""
        self._writer.abort()

    def _feed(self, piece: bytes | memoryview) -> None:
        if self._seat_key is None:
            self._take(piece)
            return
        need = SEALED_PREFIX_SIZE - len(self._prefix)
        self._prefix += piece[:need]
        if len(self._prefix) < SEALED_PREFIX_SIZE:
            return
        share = self._open_share(self._seat_key)
        self._take(share + self._prefix[SEALED_SECRET_SIZE:])
        self._seat_key = None
        self._take(piece[need:])

    def _open_share(self, key: XWingPrivateKey) -> bytes:
        header = ShardHeader.decode(self._prefix[SEALED_SECRET_SIZE:])
        check_address(header, self._mission.mission, self._mission.seat)
        sealed = bytes(self._prefix[:SEALED_SECRET_SIZE])
        try:
            return unseal_veil_share(key, sealed, header.mission, header.pack_root, header.seat)
        except ExclaveError as error:
            raise refused("hash-mismatch", "sealed shard: does not open for this seat") from error

    def _take(self, piece: bytes | bytearray | memoryview) -> None:
        self._hasher.feed(piece)
        header = self._hasher.header
        if header is not None and not self._addressed:
            check_address(header, self._mission.mission, self._mission.seat)
            self._mission.admit(self._root, header, self._uploader)
            self._addressed = True
        self._writer.write(bytes(piece) if isinstance(piece, bytearray) else piece)
