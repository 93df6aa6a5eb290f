"""Frames between the depositing process and the proving one, over two pipes (docs/proof.md).

A frame is its length (4 bytes, big endian, of the payload), its kind (1 byte) and its payload. The
depositing process sends TASK and SECRET; then it only answers. The proving process asks one thing
at a time (SHARD, CHUNKS, HOLDS) and waits for the ANSWER; it tells (BEGUN, REGISTER, ENDED) without
waiting.

    TASK      JSON (`task.py`)
    SECRET    32 bytes deposit secret, 32 bytes dedup key
    SHARD     32 bytes shard root        -> ANSWER: the shard; empty when it was not kept
    CHUNKS    8 bytes each: pack, offset -> ANSWER: of each, id (32), length (4), bytes; zeros: none
    HOLDS     8 bytes each: pack, offset -> ANSWER: of each, a byte 0 or 1
    BEGUN     register id
    REGISTER  JSON (`values.py`)
    ENDED     JSON: packs, pack_bytes, faults, problem

Rules: nothing is believed beyond its form; a frame that is too long, or of no known kind, ends the
conversation (`WireBroken`).
"""

from __future__ import annotations

import enum
import os
import struct
import threading
from collections.abc import Sequence
from typing import Final

from exclave.errors import IntegrityError

__all__ = ["CHUNK_HEAD", "MAX_FRAME", "PLACE", "SECRET_SIZE", "Channel", "Kind", "WireBroken"]

MAX_FRAME: Final = 96 * 2**20
"""More than a shard or a batch of chunks can have."""
SECRET_SIZE: Final = 64
PLACE: Final = struct.Struct(">II")
CHUNK_HEAD: Final = struct.Struct(">32sI")
_HEAD: Final = struct.Struct(">IB")


class WireBroken(IntegrityError):
    """The other process has ended, or says what is no frame."""


class Kind(enum.IntEnum):
    """See the module."""

    TASK = 1
    SECRET = 2
    SHARD = 3
    CHUNKS = 4
    HOLDS = 5
    ANSWER = 6
    BEGUN = 7
    REGISTER = 8
    ENDED = 9


_KINDS: Final = {int(kind): kind for kind in Kind}


class Channel:
    """One end. `ask` and `tell` from any thread; `receive` from one."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        """Two descriptors of pipes; nothing is buffered here, since one frame is a secret."""
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()

    def tell(self, kind: Kind, *parts: bytes | bytearray | memoryview) -> None:
        """Send a frame."""
        with self._lock:
            self._send(kind, parts)

    def ask(self, kind: Kind, payload: bytes) -> bytearray:
        """Send a question and wait for its answer."""
        with self._lock:
            self._send(kind, (payload,))
            return self.expect(Kind.ANSWER)

    def expect(self, kind: Kind) -> bytearray:
        """The next frame, which must be of that kind."""
        got, payload = self.receive()
        if got is not kind:
            raise WireBroken(f"proof: expected a frame {kind.name}, got {got.name}")
        return payload

    def receive(self) -> tuple[Kind, bytearray]:
        """The next frame; raises `WireBroken` where none comes any more."""
        length, number = _HEAD.unpack(self._read(_HEAD.size))
        kind = _KINDS.get(number)
        if kind is None or length > MAX_FRAME:
            raise WireBroken(f"proof: expected a frame, got kind {number} of {length} bytes")
        return kind, self._read(length)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            count = os.readv(self._incoming, [view[at:]])
            if not count:
                raise WireBroken("proof: expected an answer, but the other process has ended")
            at += count
        return data

    def _send(self, kind: Kind, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        try:
            for part in (_HEAD.pack(sum(map(len, parts)), kind), *parts):
                rest = memoryview(part)
                while rest:
                    rest = rest[os.write(self._outgoing, rest) :]
        except OSError as error:
            raise WireBroken("proof: expected a listener, the other process has ended") from error
