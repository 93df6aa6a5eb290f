"""Seal full packs, open them again, disperse them: the stage before the line.

Every pack is decrypted from the very bytes that will be sent and each chunk is decoded and
its id recomputed, so a fault of memory, of a library or of this software is found while
the source still stands. Deposit secret and veils exist in memory only.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from typing import Final, cast

from exclave.archive.pack import chunk_id, decode_chunk, make_decompressor, parse_directory
from exclave.archive.reference import Codec
from exclave.deposit.memory import PackMemory
from exclave.deposit.packing import FullPack
from exclave.dispersal.code import body_length, row_of
from exclave.dispersal.shard import Shard, make_shards
from exclave.errors import IntegrityError
from exclave.ids import DepositId, Epoch, MissionId, PackRoot, Seat
from exclave.sealing.pack import (
    PackHeader,
    generate_salt,
    open_pack,
    seal_pack,
    sealed_length,
)
from exclave.sealing.recovery import XWingPublicKey
from exclave.sealing.secret import DepositContext, seal_deposit_secret, secret_id
from exclave.values import dataclass, field

__all__ = ["PackSealer", "ReopenedDiffers", "SealedPack"]

_ZEROS: Final = bytes(1 << 20)
_KEEP: Final = 3
"""Pieces of memory that may wait for the next pack to seal: as many as go on the line at once."""


class ReopenedDiffers(IntegrityError):
    """A pack did not open to what was put into it: nothing of it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPack:
    """A pack ready for the line."""

    full: FullPack
    root: PackRoot
    length: int
    k: int
    secret: bytes  # secret id
    deposit: DepositId
    sealed_secret: bytes
    shards: tuple[Shard, ...]
    memory: bytearray = field(repr=False)  # of the sealer, lent until the pack is safe


class PackSealer:
    """Seals the packs of one attempt under one deposit secret; thread-safe."""

    def __init__(
        self,
        *,
        mission: MissionId,
        deposit: DepositId,
        epoch: Epoch,
        recovery: XWingPublicKey,
        k: int,
        seats: tuple[Seat, ...],
        dedup_key: bytes,
        memory: PackMemory,
        random: Callable[[int], bytes],
    ) -> None:
        """`memory` is where packs are filled: theirs goes back there."""
        self._mission = mission
        self._deposit = deposit
        self._epoch = epoch
        self._recovery = recovery
        self._k = k
        self._seats = seats
        self._dedup_key = dedup_key
        self._random = random
        self._reopening = _Reopening()
        self._plain = memory
        self._sealed = PackMemory(keep=_KEEP)
        self._secret = bytearray(random(32))
        self.sealed_secret = seal_deposit_secret(
            recovery,
            bytes(self._secret),
            DepositContext(
                mission=mission, deposit=deposit, epoch=epoch, key_hash=recovery.key_hash
            ),
        )
        self.secret_id = secret_id(self.sealed_secret)

    @property
    def secret(self) -> bytearray:
        """The deposit secret itself, lent to who proves the deposit; zeros once it is wiped."""
        return self._secret

    def wipe(self) -> None:
        """Overwrite the deposit secret; sealing is over."""
        self._secret[:] = bytes(len(self._secret))

    def seal(self, full: FullPack) -> SealedPack:
        """Seal, reopen, disperse one pack."""
        veil = self._random(32)
        header = PackHeader(
            kind=full.kind,
            k=self._k,
            epoch=self._epoch,
            mission=self._mission,
            deposit=self._deposit,
            key_hash=self._recovery.key_hash,
            sealed_secret=self.sealed_secret,
            salt=generate_salt(self._random),
        )
        secret = bytes(self._secret)
        plaintext = full.builder.finish()
        memory, padded, parity = self._room(sealed_length(len(plaintext)))
        sealed = seal_pack(header, secret=secret, veil=veil, plaintext=plaintext, out=padded)
        padded[len(sealed) :] = bytes(len(padded) - len(sealed))
        self._reopen(sealed, secret, veil, full, out=plaintext)
        emptied = cast(bytearray, plaintext.obj)
        plaintext.release()  # memory that is looked at cannot grow
        self._plain.give_back(emptied)
        shards = make_shards(
            sealed,
            padded=padded,
            parity=parity,
            mission=self._mission,
            veil=veil,
            k=self._k,
            seats=self._seats,
            random=self._random,
        )
        return SealedPack(
            full=full,
            root=shards[0].header.pack_root,
            length=len(sealed),
            k=self._k,
            secret=self.secret_id,
            deposit=self._deposit,
            sealed_secret=self.sealed_secret,
            shards=shards,
            memory=memory,
        )

    def sent(self, pack: SealedPack) -> None:
        """A pack is safe: its memory may hold another. Nobody reads its shards any more."""
        self._sealed.give_back(pack.memory)

    def _room(self, length: int) -> tuple[bytearray, memoryview, memoryview]:
        """Memory for the bodies of a pack, and its parts for the k rows and for the others."""
        size = body_length(length, self._k)
        rows = self._k * size
        whole = rows + size * sum(row_of(seat, self._k) is None for seat in self._seats)
        memory = self._sealed.take(whole)
        view = memoryview(memory)
        return memory, view[:rows], view[rows:whole]

    def _reopen(
        self, sealed: memoryview, secret: bytes, veil: bytes, full: FullPack, *, out: memoryview
    ) -> None:
        """`out` is the memory of what was sealed: nothing of that may pass for what comes back."""
        _clear(out)
        _, plaintext = open_pack(sealed, secret=secret, veil=veil, out=out)
        decompressor = self._reopening.decompressor
        entries = parse_directory(plaintext, kind=full.kind)
        if len(entries) != full.builder.count:
            raise ReopenedDiffers(
                f"pack {full.number}: expected {full.builder.count} chunks after reopening, "
                f"got {len(entries)}"
            )
        for entry in entries:
            plain: bytes | memoryview = plaintext[entry.offset : entry.offset + entry.stored]
            if entry.codec is not Codec.RAW:  # of raw ones, parsing has compared both lengths
                plain = decode_chunk(entry, plain, decompressor)
            if not hmac.compare_digest(chunk_id(self._dedup_key, plain), entry.chunk_id):
                raise ReopenedDiffers(
                    f"pack {full.number}: a chunk at {entry.offset} reopens to other content",
                    hint="memory or disk of this machine may be faulty; deposit again elsewhere",
                )


def _clear(memory: memoryview) -> None:
    for start in range(0, len(memory), len(_ZEROS)):
        part = memory[start : start + len(_ZEROS)]
        part[:] = _ZEROS[: len(part)]


class _Reopening(threading.local):
    """What each sealing thread uses again: new contexts for each pack cost time."""

    def __init__(self) -> None:
        self.decompressor = make_decompressor()
