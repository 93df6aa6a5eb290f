"""A vault at hand: the rules of a vault run in this process, on a folder (spec/vault-folder.md 1).

For a seat on a disk that is plugged in, or in a local folder: nobody serves it. `VaultAtHand` is
its public record and its shard store, with what a server does for every request: who asks is looked
up in the charter in force, a shard is hashed while it is written, room and quota are kept, and what
is logged is durable before the answer. What it cannot do is be somebody else: see `exclave limits`.

Rules
- It is opened at the first question. One that cannot be opened (no such folder, a server has it)
  is a vault that gives no answer: `VaultUnreachable`, and the seat is late.
- Nothing is ever swept here; a shard is read only under a released warrant.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Final, TypeVar

from exclave.dispersal.shard import parse_shard
from exclave.errors import ConfigurationError, VaultUnreachable
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import origin_for
from exclave.ledger.cosignature import WitnessQuorumMissing
from exclave.vault.buffers import ShardBuffers
from exclave.vault.interface import MissionStatus, StatementState
from exclave.vault.kept.rules import PartyKind, check_room, require_kind
from exclave.vault.kept.storage import COSIGNED, read_optional, shard_key
from exclave.vault.line.problems import refused
from exclave.vault.line.wire import MAX_SHARD
from exclave.vault.mission.answering import (
    body_of,
    find_peer,
    is_named,
    missing_of,
    receipt_of,
    require_shard,
    tile_of,
)
from exclave.vault.mission.carried import depositor_of
from exclave.vault.mission.cosigning import newest_cosigned, witness_now
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.reading import ReadingList
from exclave.vault.mission.submission import state_of, submit

__all__ = ["VaultAtHand"]

T = TypeVar("T")
_PIECE: Final = 2**20
"""Bytes hashed, then written: they are still in the processor's cache."""


class VaultAtHand:
    """One mission at one seat; `close` it at the end."""

    def __init__(
        self,
        seat: Seat,
        opening: Callable[[], AbstractContextManager[Mission]],
        *,
        identity: bytes = b"",
    ) -> None:
        """`identity` is the certificate (DER) of who asks; without it: the public record only."""
        self._seat = seat
        self._opening = opening
        self._identity = identity
        self._lock = threading.Lock()
        self._opened: AbstractContextManager[Mission] | None = None
        self._mission: Mission | None = None
        self._reading: ReadingList | None = None

    async def close(self) -> None:
        """Let others have the folder."""
        with self._lock:
            opened, self._opened, self._mission = self._opened, None, None
        if opened is not None:
            await asyncio.to_thread(opened.__exit__, None, None, None)

    @property
    def seat(self) -> Seat:
        return self._seat

    async def checkpoint(self) -> bytes:
        return await self._ask(lambda mission: mission.log.note)

    async def cosigned(self) -> bytes:
        return await self._ask(_cosigned)

    async def witness_head(self, log: Seat) -> bytes:
        def head(mission: Mission) -> bytes:
            name = hashlib.sha256(origin_for(mission.mission, log).encode()).digest()
            return _found(newest_cosigned(mission, name), f"cosignature of seat {log}")

        return await self._ask(head)

    async def tile(self, path: str) -> bytes:
        return await self._ask(lambda mission: tile_of(mission, path))

    async def body(self, sha256: bytes) -> bytes:
        return await self._ask(lambda mission: body_of(mission, sha256))

    async def status(self) -> MissionStatus:
        return await self._ask(lambda mission: mission.status())

    async def receipt(self, entry_type: str, sha256: bytes) -> str:
        return await self._ask(lambda mission: receipt_of(mission, entry_type, sha256).decode())

    async def submit(self, envelope: bytes) -> StatementState:
        return await self._ask(lambda mission: _submit(mission, envelope))

    async def statement(self, statement: StatementHash) -> StatementState:
        return await self._ask(lambda mission: state_of(mission, statement))

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        return await self._ask(lambda mission: self._put(mission, root, parts, sealed=False))

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        return await self._ask(lambda mission: self._put(mission, root, parts, sealed=True))

    async def put_carried_shard(
        self, depositor: str, root: ShardRoot, parts: Sequence[bytes | memoryview]
    ) -> bool:
        """See `CarriedStore`."""

        def put(mission: Mission) -> bool:
            return _store(mission, root, parts, depositor_of(mission, depositor, root), sealed=True)

        return await self._ask(put)

    async def get_shard(self, root: ShardRoot) -> bytes:
        return await self._ask(lambda mission: self._get(mission, root))

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        def read(mission: Mission) -> None:
            self._require_released(mission, root)
            into.require(mission.store.size(shard_key(root)))
            into.require(mission.store.read_into(shard_key(root), [into.prefix, into.body]))

        await self._ask(read)

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        return await self._ask(lambda mission: self._missing(mission, statement))

    async def _ask(self, question: Callable[[Mission], T]) -> T:
        return await asyncio.to_thread(lambda: question(self._open()))

    def _open(self) -> Mission:
        with self._lock:
            if self._mission is None:
                opened = self._opening()
                try:
                    self._mission = opened.__enter__()
                except (ConfigurationError, OSError) as error:
                    said = error.message if isinstance(error, ConfigurationError) else str(error)
                    raise VaultUnreachable(
                        f"seat {self._seat}: {said}", hint="is its disk plugged in?"
                    ) from error
                self._opened = opened
                self._reading = ReadingList(self._mission)
            return self._mission

    def _put(
        self,
        mission: Mission,
        root: ShardRoot,
        parts: Sequence[bytes | memoryview],
        *,
        sealed: bool,
    ) -> bool:
        require_kind(find_peer(mission, self._identity), PartyKind.DEPOSITOR)
        return _store(mission, root, parts, self._identity, sealed=sealed)

    def _get(self, mission: Mission, root: ShardRoot) -> bytes:
        self._require_released(mission, root)
        data = mission.store.get(shard_key(root))
        parse_shard(data, root)
        return data

    def _require_released(self, mission: Mission, root: ShardRoot) -> None:
        """Refuse whoever is no reader with a released warrant that covers this shard."""
        require_kind(find_peer(mission, self._identity), PartyKind.READER)
        assert self._reading is not None
        self._reading.check(self._identity, root)
        require_shard(mission, root)

    def _missing(self, mission: Mission, statement: StatementHash) -> tuple[ShardRoot, ...]:
        require_kind(find_peer(mission, self._identity), PartyKind.DEPOSITOR)
        return missing_of(mission, statement)


def _store(
    mission: Mission,
    root: ShardRoot,
    parts: Sequence[bytes | memoryview],
    identity: bytes,
    *,
    sealed: bool,
) -> bool:
    """Take a shard for which an identity answers."""
    length = sum(len(part) for part in parts)
    if length > MAX_SHARD:
        raise refused("too-large", f"shard: expected a smaller one, got {length} bytes")
    if mission.shard_is_here(root):
        return False
    usage = mission.reserve_room(length, identity)
    try:
        mission.check_agreed(usage)
        limit = mission.staging_limit(identity)
        check_room(length, named=is_named(mission, root), limit=limit, usage=usage)
        return _take(Intake(mission, root, sealed=sealed, uploader=identity), parts)
    finally:
        mission.release_room(length, identity)


def _take(intake: Intake, parts: Sequence[bytes | memoryview]) -> bool:
    try:
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), _PIECE):
                intake.feed([view[start : start + _PIECE]])
        return intake.finish()
    finally:
        intake.abort()


def _submit(mission: Mission, envelope: bytes) -> StatementState:
    state = submit(mission, envelope)
    # Nobody goes round: this seat's own witness signs at once, which is a quorum where n is 1.
    with suppress(WitnessQuorumMissing):
        witness_now(mission)
    return state


def _cosigned(mission: Mission) -> bytes:
    return _found(read_optional(mission.store, COSIGNED), "cosigned checkpoint")


def _found(data: bytes | None, what: str) -> bytes:
    if data is None:
        raise refused("not-found", f"{what}: not here")
    return data
