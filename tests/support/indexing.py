"""Packs of made-up chunks for tests of the dedup index, and a process that enters them.

python THIS folder packs      opens the journal in `folder`, enters packs one after the other,
                              drops every fifth, and prints a number for each that is safe
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from exclave.ids import ChunkId, DepositId, Epoch, MissionId, PackRoot, Seat, ShardRoot
from exclave.journal.store import Journal, RecordRow, SafePack, ShardRow

__all__ = ["CHUNKS", "RECENT", "chunk_of", "made_pack", "made_record", "open_journal"]

RECENT = 40
"""Entries that the journals of these tests keep in memory: few, so that runs are written."""
CHUNKS = 12


def open_journal(folder: Path, *, epoch: int = 1) -> Journal:
    """The journal of a folder."""
    return Journal.open(
        folder / "journal.db",
        mission=MissionId(bytes(32)),
        depositor="home",
        epoch=Epoch(epoch),
        recent=RECENT,
    )


def chunk_of(number: int) -> ChunkId:
    """A chunk by its number."""
    return ChunkId(hashlib.sha256(b"chunk %d" % number).digest())


def made_pack(number: int, chunks: Iterable[int] | None = None) -> SafePack:
    """A pack with its own dozen chunks, or with those named; a chunk's offset is its number."""
    own = range(number * CHUNKS, (number + 1) * CHUNKS)
    return SafePack(
        root=PackRoot(number.to_bytes(32, "big")),
        length=1000,
        k=2,
        kind=1,
        secret=b"\x05" * 32,
        deposit=DepositId(b"\x06" * 16),
        sealed_secret=b"\x07" * 1168,
        shards=tuple(
            ShardRow(seat=Seat(s), root=ShardRoot((number * 2 + s).to_bytes(32, "big")), held=True)
            for s in (1, 2)
        ),
        chunks=tuple((chunk_of(c), c, 10, 20, 1) for c in (own if chunks is None else chunks)),
    )


def made_record(sequence: int) -> RecordRow:
    """A record of that number."""
    return RecordRow(
        sequence=sequence,
        statement=sequence.to_bytes(32, "big"),
        deposit=DepositId(sequence.to_bytes(16, "big")),
        envelope=b"envelope",
        lodged=frozenset(),
    )


def main(arguments: list[str]) -> None:
    """Enter packs."""
    journal = open_journal(Path(arguments[0]))
    for number in range(1, int(arguments[1]) + 1):
        journal.add_safe_pack(made_pack(number))
        print(number, flush=True)
        if number % 5 == 0:
            journal.mark_lost(Seat(1), [made_pack(number).shards[0].root])
    journal.close()


if __name__ == "__main__":
    main(sys.argv[1:])
