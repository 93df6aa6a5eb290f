"""A vault's folder without its server: disks that were carried away (spec/vault-folder.md).

`FolderVault` reads one mission's folder as the public record and the shard store of its seat.
It writes nothing and trusts nothing: bodies and shards are checked against their names, and the
log is the reader's to check (`exclave.vault.survey.survey`). What is missing or broken is named.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from exclave.dispersal.shard import parse_shard
from exclave.errors import (
    ConfigurationError,
    IntegrityError,
    MalformedData,
    NonCanonicalData,
)
from exclave.ids import MissionId, Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import parse_checkpoint
from exclave.ledger.entry import EntryType, parse_entry
from exclave.ledger.note import MAX_COSIGNED_LINES, parse_note
from exclave.ledger.receipt import Receipt
from exclave.ledger.tiles import TileReader, parse_tile_path
from exclave.vault.buffers import ShardBuffers
from exclave.vault.interface import MissionStatus, StatementState
from exclave.vault.kept.storage import CHECKPOINT, COSIGNED, body_key, shard_key
from exclave.vault.line.problems import refused
from exclave.vault.line.wire import MAX_BODY, MAX_SHARD

__all__ = ["FolderVault", "ObjectCorrupt", "ObjectUnreadable"]


_SEAT: Final = re.compile(r"[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]")
_LARGEST: Final = max(MAX_BODY, MAX_SHARD)


class ObjectUnreadable(IntegrityError):
    """A file of the folder is missing or cannot be read."""


class ObjectCorrupt(IntegrityError):
    """A file's bytes do not have the hash that names it."""


class FolderVault:
    """One mission's folder; the seat comes from its checkpoint and is verified by the reader."""

    def __init__(self, folder: Path, mission: MissionId) -> None:
        """`folder` is `VAULT/missions/<mission hex>`."""
        self._folder = folder
        self._mission = mission
        if not folder.is_dir():
            raise ConfigurationError(
                f"{folder.name}: no such folder",
                hint="expected a mission's folder below missions/ of a vault",
            )
        origin = parse_checkpoint(parse_note(self._read(CHECKPOINT)).text).origin
        start, _, seat = origin.rpartition("/")
        if start != f"exclave/{mission.hex()}" or not _SEAT.fullmatch(seat):
            raise ObjectCorrupt(
                f"log/checkpoint: expected mission {mission.hex()}, got {origin[:120]}"
            )
        self._seat = Seat(int(seat))

    @property
    def seat(self) -> Seat:
        return self._seat

    async def checkpoint(self) -> bytes:
        return self._read(CHECKPOINT)

    async def cosigned(self) -> bytes:
        return self._read(COSIGNED)

    async def witness_head(self, log: Seat) -> bytes:
        return self._read(f"meta/witness-{log}")

    async def tile(self, path: str) -> bytes:
        parse_tile_path(path)  # nothing else may be read under that name
        return self._read(f"log/{path}")

    async def body(self, sha256: bytes) -> bytes:
        data = await asyncio.to_thread(self._read, body_key(sha256))
        got = hashlib.sha256(data).digest()
        if not hmac.compare_digest(got, sha256):
            raise ObjectCorrupt(f"body {sha256.hex()}: its bytes have hash {got.hex()}")
        return data

    async def status(self) -> MissionStatus:
        raise refused("unavailable", "a folder has no status: its log and bodies say everything")

    async def receipt(self, entry_type: str, sha256: bytes) -> str:
        return await asyncio.to_thread(self._receipt, EntryType(entry_type), sha256)

    async def submit(self, envelope: bytes) -> StatementState:
        raise refused("method-not-allowed", "a folder takes no statements")

    async def statement(self, statement: StatementHash) -> StatementState:
        raise refused("unavailable", "a folder answers no questions: survey its log")

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        raise refused("method-not-allowed", "a folder takes no shards")

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        raise refused("method-not-allowed", "a folder takes no shards")

    async def get_shard(self, root: ShardRoot) -> bytes:
        return await asyncio.to_thread(self._shard, root)

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        await asyncio.to_thread(self._read_into, shard_key(root), into)

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        raise refused("unavailable", "a folder answers no questions: survey its log")

    def _shard(self, root: ShardRoot) -> bytes:
        data = self._read(shard_key(root))
        parse_shard(data, root)
        return data

    def _receipt(self, kind: EntryType, sha256: bytes) -> str:
        note = self._read(CHECKPOINT)
        size = _size(note)
        reader = TileReader(size, self._fetch)
        for number in range(size):
            data = reader.entry(number)
            entry = parse_entry(data)
            if entry.type is kind and entry.hash == sha256:
                # Cosigned where that note covers it: whose signatures it has, its reader checks.
                with suppress(ObjectUnreadable, MalformedData, NonCanonicalData):
                    cosigned = self._read(COSIGNED)
                    if number < _size(cosigned) <= size:
                        note, reader = cosigned, TileReader(_size(cosigned), self._fetch)
                path = tuple(reader.inclusion_proof(number))
                receipt = Receipt(entry=data, index=number, path=path, checkpoint=note)
                return receipt.encode().decode("utf-8")
        raise refused("not-found", f"{kind.value} {sha256.hex()[:16]}: not in this log")

    def _fetch(self, path: str) -> bytes | None:
        try:
            return self._read(f"log/{path}")
        except ObjectUnreadable:
            return None

    def _read(self, key: str) -> bytes:
        with self._opened(key) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(_LARGEST)

    def _read_into(self, key: str, into: ShardBuffers) -> None:
        with self._opened(key) as descriptor:
            into.require(os.fstat(descriptor).st_size)
            done = os.readv(descriptor, [into.prefix, into.body])
            while done < into.size:
                # One call reads at most 2 GiB less a page, and less at the end of a shrunken file.
                piece = os.read(descriptor, into.size - done)
                if not piece:
                    into.require(done)
                into.put(done, piece)
                done += len(piece)

    @contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._folder / key, flags)
            try:
                # Who prepared a disk may have put a pipe, a device or a file without end there.
                state = os.fstat(descriptor)
                if not stat.S_ISREG(state.st_mode) or state.st_size > _LARGEST:
                    raise ObjectUnreadable(f"{key}: expected a file of at most {_LARGEST} bytes")
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            raise ObjectUnreadable(f"{key}: {error.strerror or 'cannot be read'}") from error


def _size(note: bytes) -> int:
    return parse_checkpoint(parse_note(note, most=MAX_COSIGNED_LINES).text).size
