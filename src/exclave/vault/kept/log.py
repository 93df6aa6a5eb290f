"""A mission's append-only log at one vault, on the engine (spec/ledger.md, spec/vault-folder.md).

Order of an append: bodies, entry bundles and tiles, checkpoint last. What the checkpoint does not
cover is not in the log: a crash in between leaves tiles beyond it, which the next append replaces.

Rules
- Every write is durable before the next one starts; the checkpoint is published after all of them.
- After a failed write the log reads itself again before it goes on, and makes the checkpoint that
  it finds durable first, so that nothing published is lost to a power cut.
- It never gets shorter: a checkpoint smaller than one published in this run stops it.
- Callers hold the mission's lock; the log has none.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from exclave.clock import Clock
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat, StatementHash
from exclave.ledger.checkpoint import (
    Checkpoint,
    open_checkpoint,
    origin_for,
    parse_checkpoint,
    sign_checkpoint,
)
from exclave.ledger.entry import EntryType, LogEntry, parse_entry
from exclave.ledger.note import Note, NoteSigner
from exclave.ledger.receipt import Receipt
from exclave.ledger.tiles import TILE_WIDTH, TileReader, TreeEdge, grow, load_edge
from exclave.values import dataclass
from exclave.vault.kept.storage import (
    CHECKPOINT,
    ObjectStore,
    body_key,
    read_optional,
    store_object,
)

__all__ = ["Addition", "Log", "LogBroken"]

_AT_ONCE: Final = 64
"""Bodies of one append; more would only hold the lock longer."""


class LogBroken(IntegrityError):
    """The stored log contradicts its own checkpoint, or what was published before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What is to be logged."""

    type: EntryType
    statement: StatementHash | None
    body: bytes


class Log:
    """Reads itself when made; `append` is the only way it changes."""

    def __init__(
        self, *, store: ObjectStore, mission: MissionId, seat: Seat, signer: NoteSigner
    ) -> None:
        if signer.name != origin_for(mission, seat):
            raise LogBroken(f"log: expected signer {origin_for(mission, seat)}, got {signer.name}")
        self._store = store
        self._mission = mission
        self._signer = signer
        self._edge = TreeEdge()
        self._note = b""
        self._last_service = 0
        self._stale = True
        self.refresh()

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._edge.size

    @property
    def note(self) -> bytes:
        """The newest checkpoint as published; empty before the first entry."""
        return self._note

    @property
    def last_service(self) -> int:
        """Service time of the last entry."""
        return self._last_service

    def refresh(self) -> None:
        """Read the log again if a write failed; at once when nothing did."""
        if not self._stale:
            return
        note = read_optional(self._store, CHECKPOINT)
        if note is None:
            if self._edge.size:
                raise LogBroken("log: expected a checkpoint, got none")
            self._stale = False
            return
        checkpoint = open_checkpoint(note, self._signer.verifier())
        if checkpoint.size < self._edge.size:
            raise LogBroken(
                f"log: expected at least {self._edge.size} entries as published, "
                f"got {checkpoint.size}"
            )
        edge = load_edge(checkpoint.size, self._fetch)
        if not hmac.compare_digest(edge.root(), checkpoint.root):
            raise LogBroken("log: its tiles do not lead to its checkpoint")
        # Its last write may have failed after it became visible.
        self._store.replace_head(CHECKPOINT, note)
        self._edge, self._note = edge, note
        if checkpoint.size:
            self._last_service = self.entry(checkpoint.size - 1).service
        self._stale = False

    def append(
        self,
        additions: Sequence[Addition],
        *,
        clock: Clock,
        service: Callable[[], int],
        accept: Callable[[int, LogEntry, bytes], None] | None = None,
    ) -> list[tuple[int, LogEntry]]:
        """Log bodies in order; durable and published when it returns.

        `accept` sees each entry before anything is written and keeps it out by raising.
        """
        self.refresh()
        entries = [self._entry(item, clock, service) for item in additions[:_AT_ONCE]]
        first = self._edge.size
        if accept is not None:
            for number, (item, entry) in enumerate(zip(additions, entries, strict=False), first):
                accept(number, entry, item.body)
        edge, files = grow(self._edge, [entry.encode() for entry in entries])
        checkpoint = Checkpoint(origin=self._signer.name, size=edge.size, root=edge.root())
        note = sign_checkpoint(checkpoint, self._signer)
        try:
            for item, entry in zip(additions, entries, strict=False):
                store_object(self._store, body_key(entry.hash), item.body)
            for file in files:
                self._store.replace_head(f"log/{file.tile.path()}", file.data)
            self._store.replace_head(CHECKPOINT, note)
        except ExclaveError:
            self._stale = True
            raise
        self._edge, self._note = edge, note
        self._last_service = entries[-1].service if entries else self._last_service
        done = list(enumerate(entries, first))
        if len(additions) > _AT_ONCE:
            done += self.append(additions[_AT_ONCE:], clock=clock, service=service, accept=accept)
        return done

    def body(self, sha256: bytes) -> bytes:
        """A body by its hash, checked; raises `IntegrityError`."""
        data = self._store.get(body_key(sha256))
        if not hmac.compare_digest(hashlib.sha256(data).digest(), sha256):
            raise LogBroken(f"body {sha256.hex()}: its bytes are not what they were")
        return data

    def entry(self, number: int) -> LogEntry:
        """One entry, checked against the tree."""
        return parse_entry(self._reader().entry(number))

    def entries(self, start: int = 0) -> Iterator[tuple[int, LogEntry]]:
        """All entries from `start`, checked against the tree."""
        reader, size = self._reader(), self._edge.size
        for bundle in range(start // TILE_WIDTH, -(-size // TILE_WIDTH)):
            for number, data in enumerate(reader.entries(bundle), bundle * TILE_WIDTH):
                if number >= start:
                    yield number, parse_entry(data)

    def receipt(self, number: int, cosigned: Note | None = None) -> bytes:
        """The receipt of an entry: cosigned where the given note covers it, else provisional."""
        size, note = self._edge.size, self._note
        if cosigned is not None:
            covered = parse_checkpoint(cosigned.text).size
            if number < covered <= size:
                size, note = covered, cosigned.encode()
        reader = TileReader(size, self._fetch)
        return Receipt(
            entry=reader.entry(number),
            index=number,
            path=tuple(reader.inclusion_proof(number)),
            checkpoint=note,
        ).encode()

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Proof that the first `old` entries begin the first `new`, which were published."""
        if old in {0, new}:
            return ()
        return tuple(TileReader(new, self._fetch).consistency_proof(old))

    def _entry(self, item: Addition, clock: Clock, service: Callable[[], int]) -> LogEntry:
        return LogEntry(
            type=item.type,
            mission=self._mission,
            hash=hashlib.sha256(item.body).digest(),
            size=len(item.body),
            statement=item.statement,
            logged=clock(),
            service=max(service(), self._last_service),
        )

    def _reader(self) -> TileReader:
        return TileReader(self._edge.size, self._fetch)

    def _fetch(self, path: str) -> bytes | None:
        return read_optional(self._store, f"log/{path}")
