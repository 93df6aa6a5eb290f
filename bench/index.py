"""The dedup index beside what else it could be: `python -m bench index --entries N`.

Packs of made-up chunks are entered into an empty index; at each power of ten of entries from 10^6
on, and at the end, look-ups are measured: of chunks that are nowhere, of chunks in the order in
which they were entered (an unchanged register), and of chunks picked at random, twice: only the
second time is everything in memory. Each contender has a process of its own. Processor time, since
it does not depend on who else works; `VmHWM` and the parts of resident memory from /proc. Chunk ids
are random, as keyed hashes are. `--sampled 64` makes a part of the real one (`bench.sampled`).

Contenders: `journal` (the real one), `rows` (what it was before: a table with a row for each
chunk), and where their wheels are installed `lmdb` and `rocksdb` (rocksdict).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import apsw
import numpy as np

from bench.measuring import memory_now, temporary_place
from bench.sampled import measure_sample
from exclave.ids import ChunkId, DepositId, Epoch, MissionId, PackRoot, Seat, ShardRoot
from exclave.journal.store import Journal, SafePack, ShardRow

__all__ = ["main"]

Chunks: TypeAlias = list[tuple[ChunkId, int, int, int, int]]

_BATCH: Final = 64
_ASKED: Final = 1 << 16
_FIRST: Final = 10**6


class Index(Protocol):
    """A contender."""

    def add(self, pack: int, chunks: Chunks) -> None:
        """Enter the chunks of a pack, durably."""

    def lookup(self, ids: list[ChunkId]) -> list[Any]:
        """A place for each, or None."""


class _Journal:
    def __init__(self, folder: Path) -> None:
        self._journal = Journal.open(
            folder / "journal.db", mission=MissionId(bytes(32)), depositor="bench", epoch=Epoch(1)
        )
        self.lookup = self._journal.lookup

    def add(self, pack: int, chunks: Chunks) -> None:
        root = pack.to_bytes(32, "big")
        self._journal.add_safe_pack(
            SafePack(
                root=PackRoot(root),
                length=1 << 26,
                k=1,
                kind=1,
                secret=bytes(32),
                deposit=DepositId(bytes(16)),
                sealed_secret=bytes(1168),
                shards=(ShardRow(seat=Seat(1), root=ShardRoot(root), held=True),),
                chunks=tuple(chunks),
            )
        )


class _Rows:
    def __init__(self, folder: Path) -> None:
        self._db = apsw.Connection(str(folder / "rows.db"))
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", "full")
        self._db.execute(
            "CREATE TABLE chunks (id BLOB PRIMARY KEY, pack INTEGER, offset INTEGER, "
            "stored INTEGER, plain INTEGER, codec INTEGER) WITHOUT ROWID"
        )
        marks = ",".join("?" * _BATCH)
        self._select = f"SELECT * FROM chunks WHERE id IN ({marks})"

    def add(self, pack: int, chunks: Chunks) -> None:
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
                sorted((chunk[0], pack, *chunk[1:]) for chunk in chunks),
            )

    def lookup(self, ids: list[ChunkId]) -> list[Any]:
        found = {row[0]: row for row in self._db.execute(self._select, ids)}
        return [found.get(chunk_id) for chunk_id in ids]


class _Lmdb:
    def __init__(self, folder: Path) -> None:
        lmdb: Any = import_module("lmdb")
        self._env = lmdb.open(str(folder / "lmdb"), map_size=1 << 38)

    def add(self, pack: int, chunks: Chunks) -> None:
        with self._env.begin(write=True) as transaction:
            transaction.cursor().putmulti(
                [(chunk[0], _value(pack, chunk)) for chunk in sorted(chunks)]
            )

    def lookup(self, ids: list[ChunkId]) -> list[Any]:
        with self._env.begin() as transaction:
            return [transaction.get(chunk_id) for chunk_id in ids]


class _RocksDb:
    def __init__(self, folder: Path) -> None:
        rocksdict: Any = import_module("rocksdict")
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        blocks = rocksdict.BlockBasedOptions()
        blocks.set_bloom_filter(10.0, False)
        blocks.set_cache_index_and_filter_blocks(True)
        blocks.set_block_cache(rocksdict.Cache(256 << 20))
        options.set_block_based_table_factory(blocks)
        self._db = rocksdict.Rdict(str(folder / "rocksdb"), options)
        self._new_batch: Any = rocksdict.WriteBatch
        self._durable = rocksdict.WriteOptions()
        self._durable.sync = True

    def add(self, pack: int, chunks: Chunks) -> None:
        batch = self._new_batch(raw_mode=True)
        for chunk in chunks:
            batch.put(chunk[0], _value(pack, chunk))
        self._db.write(batch, self._durable)

    def lookup(self, ids: list[ChunkId]) -> list[Any]:
        return list(self._db.get(ids))


_CONTENDERS: Final[dict[str, Callable[[Path], Index]]] = {
    "journal": _Journal,
    "rows": _Rows,
    "lmdb": _Lmdb,
    "rocksdb": _RocksDb,
}
_NEEDED: Final = {"lmdb": "lmdb", "rocksdb": "rocksdict"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each contender in a process of its own and print a table."""
    options = _options(arguments)
    if options.sampled:
        with temporary_place(options.place) as place:
            figures = measure_sample(
                place, entries=options.entries, per_pack=options.chunks, sampled=options.sampled
            )
            print(json.dumps(figures), flush=True)
        return 0
    if options.alone:
        with temporary_place(options.place) as place:
            for figures in _measure(options.contender[0], options.entries, options.chunks, place):
                print(json.dumps(figures), flush=True)
        return 0
    for name in options.contender or _CONTENDERS:
        if name in _NEEDED and subprocess.call([sys.executable, "-c", f"import {_NEEDED[name]}"]):
            print(f"{name}: not installed")
            continue
        words = ["index", "--alone", "--contender", name, "--entries", str(options.entries)]
        words += ["--chunks", str(options.chunks)]
        words += ["--place", str(options.place)] if options.place else []
        subprocess.run([sys.executable, "-m", "bench", *words], check=True)
    return 0


def _measure(name: str, entries: int, per_pack: int, place: Path) -> Iterator[dict[str, Any]]:
    index = _CONTENDERS[name](place)
    packs, spent, stop = 0, 0.0, _FIRST
    while packs * per_pack < entries:
        chunks = _chunks(packs, per_pack)
        before = time.process_time()
        index.add(packs + 1, chunks)
        spent += time.process_time() - before
        packs += 1
        if packs * per_pack in (stop, entries):
            stop *= 10
            yield _figures(name, index, packs, per_pack, place) | {
                "add_us": round(spent / packs / per_pack * 1e6, 2)
            }


def _figures(name: str, index: Index, packs: int, per_pack: int, place: Path) -> dict[str, Any]:
    picker = np.random.default_rng(packs)
    nowhere = _ids(-1 - packs, _ASKED)
    some = picker.integers(0, packs, max(1, _ASKED // per_pack))
    in_order = [chunk[0] for pack in some.tolist() for chunk in _chunks(pack, per_pack)]
    scattered = [
        _ids(pack, per_pack)[place]
        for pack, place in picker.integers(0, [packs, per_pack], (4096, 2)).tolist()
    ]
    files = [file for file in place.rglob("*") if file.is_file()]
    return {
        "contender": name,
        "entries": packs * per_pack,
        "bytes": round(sum(f.stat().st_blocks for f in files) * 512 / packs / per_pack, 1),
        "miss_us": _asked(index, nowhere, False),
        "in_order_us": _asked(index, in_order, True),
        "scattered_us": _asked(index, scattered, True),
        "again_us": _asked(index, scattered, True),
        **memory_now(),
    }


def _asked(index: Index, ids: list[ChunkId], there: bool) -> float:
    before = time.process_time()
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        if len(batch) == _BATCH and any((p is not None) != there for p in index.lookup(batch)):
            raise AssertionError("a chunk is not found, or one that is nowhere is")
    return round((time.process_time() - before) / len(ids) * 1e6, 2)


def _ids(seed: int, count: int) -> list[ChunkId]:
    data = np.random.default_rng(abs(seed) * 2 + (seed < 0)).bytes(count * 32)
    return [ChunkId(data[i : i + 32]) for i in range(0, len(data), 32)]


def _chunks(pack: int, count: int) -> Chunks:
    return [(name, i * 8192, 8192, 20000, 1) for i, name in enumerate(_ids(pack, count))]


def _value(pack: int, chunk: tuple[ChunkId, int, int, int, int]) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in (pack, *chunk[1:]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench index", description=__doc__)
    parser.add_argument("--entries", type=lambda text: int(float(text)), default=10**6)
    parser.add_argument("--chunks", type=int, default=2000, help="chunks of a pack")
    parser.add_argument("--sampled", type=int, default=0, help="make only so small a part of ids")
    parser.add_argument("--contender", action="append", choices=_CONTENDERS)
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)
