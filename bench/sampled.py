"""A part of an index too large to be made: `python -m bench index --sampled 64 --entries 1e9`.

Ids are random, so those that begin with the same bits see the same part of every run and of every
pack's list. Only this part is made; what it belongs to has its full size. Runs have the buckets of
the whole index (`starts` is as long as it would be) with as many entries in each, and there are as
many packs, with the pieces of their lists that hold the part. `write_run` and `insert_list` make
it; a journal opens it and answers as any other.

What it cannot show: costs of an unchanged register (a list here is less than a piece), and page
faults of the whole: a part has few pages, and the kernel maps several at once. Each chunk is asked
for twice; faults are counted, so that those of a whole index can be added.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import apsw
import numpy as np

from bench.measuring import memory_now
from exclave.ids import ChunkId, Epoch, MissionId
from exclave.journal.database import insert_list
from exclave.journal.index import RATIO, RECENT
from exclave.journal.lists import Prefixes, prefixes_of
from exclave.journal.runs import Packs, Recent, write_run
from exclave.journal.store import Journal

__all__ = ["measure_sample"]

_ASKED: Final = 2048
_BATCH: Final = 64
_AT_ONCE: Final = 2000
"""Packs entered in one transaction."""


class _Part(Recent):
    """The entries of a run that begin with zeros, as a source that counts all of them."""

    __slots__ = ("_whole",)

    def __init__(self, prefixes: Prefixes, packs: Packs, whole: int) -> None:
        order = np.argsort(prefixes, kind="stable")
        super().__init__(prefixes[order], packs[order])
        self._whole = whole

    @property
    def entries(self) -> int:
        """How many the whole would have."""
        return self._whole


def measure_sample(place: Path, *, entries: int, per_pack: int, sampled: int) -> dict[str, Any]:
    """Make the part in a process of its own; ask for chunks that are nowhere, and for others."""
    packs, chunks = entries // per_pack, per_pack // sampled
    maker = get_context("spawn").Process(target=_make, args=(place, packs, per_pack, sampled))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise AssertionError("the part was not made")
    journal = _open(place)
    picker = np.random.default_rng(1)
    nowhere = _ids(packs, _ASKED, sampled)
    scattered = [
        _ids(pack, chunks, sampled)[at]
        for pack, at in picker.integers(0, [packs, chunks], (_ASKED, 2)).tolist()
    ]
    journal.lookup(_ids(packs + 1, _BATCH, sampled))  # opens the runs
    runs = list(
        apsw.Connection(str(place / "journal.db")).execute("SELECT entries, bits FROM runs")
    )
    return {
        "entries": packs * per_pack,
        "sampled": sampled,
        "runs": [[count * sampled, bits] for count, bits in runs],
        **_asked(journal, "miss", nowhere, there=False),
        **_asked(journal, "scattered", scattered, there=True),
        **memory_now(),
    }


def _asked(journal: Journal, name: str, ids: Sequence[ChunkId], *, there: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for again in ("", "_again"):
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        before = time.process_time()
        for start in range(0, len(ids), _BATCH):
            if any((p is not None) != there for p in journal.lookup(ids[start : start + _BATCH])):
                raise AssertionError("a chunk is not found, or one that is nowhere is")
        found[f"{name}{again}_us"] = round((time.process_time() - before) / len(ids) * 1e6, 2)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        found[f"{name}{again}_faults"] = round(faults / len(ids), 1)
    return found


def _make(place: Path, packs: int, per_pack: int, sampled: int) -> None:
    """The lists of all packs and the runs that a growing index has at worst, oldest first."""
    _open(place).close()
    folder = place / "journal.index"
    folder.mkdir(mode=0o700)
    database = apsw.Connection(str(place / "journal.db"))
    database.pragma("synchronous", "off")
    rows: list[tuple[str, int, int]] = []
    first = 0
    while (packs - first) * per_pack > RECENT:
        end = first + (packs - first) * RATIO // (RATIO + 1)
        prefixes = np.concatenate(list(_enter(database, range(first, end), per_pack, sampled)))
        numbers = np.arange(first + 1, end + 1, dtype=np.uint32).repeat(per_pack // sampled)
        part = _Part(prefixes, numbers, (end - first) * per_pack)
        row = write_run(folder, [part], np.ones(packs + 1, dtype=np.bool_))
        rows.insert(0, (row.name, row.entries, row.bits))
        first = end
    with database:
        database.executemany(
            "INSERT INTO runs VALUES (?, ?, ?, ?)", [(age, *row) for age, row in enumerate(rows)]
        )
        database.execute("INSERT INTO meta VALUES ('reach', ?)", (first,))
    for _ in _enter(database, range(first, packs), per_pack, sampled):
        pass  # what is read again at the start
    database.close()


def _enter(
    database: apsw.Connection, packs: range, per_pack: int, sampled: int
) -> Iterator[Prefixes]:
    """Make packs known; the first bits of their ids."""
    for start in range(0, len(packs), _AT_ONCE):
        with database:
            for number in packs[start : start + _AT_ONCE]:
                root = number.to_bytes(32, "big")
                database.execute(
                    "INSERT INTO packs VALUES (?, ?, 1, 1, 1, ?, 1)", (number + 1, root, bytes(32))
                )
                names = _ids(number, per_pack // sampled, sampled)
                chunks = [(name, i * 8192, 8192, 20000, 1) for i, name in enumerate(names)]
                yield prefixes_of(insert_list(database, number + 1, chunks))


def _open(place: Path) -> Journal:
    return Journal.open(
        place / "journal.db", mission=MissionId(bytes(32)), depositor="bench", epoch=Epoch(1)
    )


def _ids(seed: int, count: int, sampled: int) -> list[ChunkId]:
    """Ids of a pack that begin with as many zeros as make one `sampled`-th of all."""
    data = np.frombuffer(np.random.default_rng(seed).bytes(count * 32), np.uint8).reshape(-1, 32)
    data = data.copy()
    data[:, 0] //= sampled
    return [ChunkId(row.tobytes()) for row in data]
