"""`log/cosigned`: this log's newest checkpoint that a witness quorum signed (spec/ledger.md 7).

Keeps the note, and what of the log still waits to be logged as `witnessed`. Whether the
signatures are a quorum's is the caller's to know before it keeps a note.
"""

from __future__ import annotations

from typing import Final

from exclave.errors import ExclaveError
from exclave.ledger.checkpoint import Checkpoint, parse_checkpoint
from exclave.ledger.entry import EntryType
from exclave.ledger.note import MAX_COSIGNED_LINES, Note, parse_note
from exclave.vault.kept.log import Log
from exclave.vault.kept.storage import COSIGNED, ObjectStore, read_optional

__all__ = ["WITNESSED_TYPES", "CosignedHead", "covered_size"]

WITNESSED_TYPES: Final = frozenset(
    {EntryType.CHARTER, EntryType.WARRANT, EntryType.ORDER, EntryType.SIGNATURES}
)
"""Entries whose delays run at full rate only once a quorum has seen them."""


class CosignedHead:
    """The kept note; callers hold the mission's lock."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._note = _read(store)
        self._scanned = 0
        self._waiting: list[int] = []  # entries that no `witnessed` entry covers

    @property
    def note(self) -> Note | None:
        """The note; None before the first quorum, or when what is stored is no note."""
        return self._note

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What the note says."""
        return None if self._note is None else parse_checkpoint(self._note.text)

    def keep(self, note: Note) -> None:
        """Make a note durable in place of the last one."""
        self._store.replace_head(COSIGNED, note.encode())
        self._note = note

    def is_due(self, log: Log) -> bool:
        """Whether the note covers an entry that is to be logged as witnessed and is not yet."""
        for number, entry in log.entries(self._scanned):
            if entry.type in WITNESSED_TYPES:
                self._waiting.append(number)
            elif entry.type is EntryType.WITNESSED:
                covered = covered_size(log.body(entry.hash))
                self._waiting = [waiting for waiting in self._waiting if waiting >= covered]
            self._scanned = number + 1
        checkpoint = self.checkpoint
        return checkpoint is not None and any(n < checkpoint.size for n in self._waiting)


def covered_size(witnessed: bytes) -> int:
    """How many entries the body of a `witnessed` entry covers."""
    return parse_checkpoint(parse_note(witnessed, most=MAX_COSIGNED_LINES).text).size


def _read(store: ObjectStore) -> Note | None:
    data = read_optional(store, COSIGNED)
    try:
        note = None if data is None else parse_note(data, most=MAX_COSIGNED_LINES)
        if note is not None:
            parse_checkpoint(note.text)
    except ExclaveError:
        return None  # the next round makes it again; nothing else rests on it
    return note
