"""`python -m bench changes`: what a second deposit stores after a known change.

Table dumps of one register, in key order and in an order like that of a heap; after each change
every tool backs the folder up again, and the growth of what it keeps is measured. Beside the tools
stands what Exclave would store if the same text came as a table from PostgreSQL: the chunks alone,
cut as tables are (row-aligned, finer), compressed, without packs' padding and manifests.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from bench import peers
from bench.data import copy_rows
from bench.embassy import write_config
from bench.measuring import run_program, temporary_place, tree_size
from exclave.archive.chunker import (
    Chunker,
    ChunkerParams,
    heap_table_params,
    ordered_table_params,
)
from exclave.archive.pack import choose_stored, chunk_id, make_compressor
from tests.support.embassy import PROGRAM, found_embassy

__all__ = ["CHANGES", "Growth", "main", "measure"]

_BYTES: Final = 256 * 1024 * 1024
_PER_ROW: Final = 90
_BLOCK: Final = 256 * 1024
_KEY: Final = bytes(range(32))

_FILE: Final = "register.copy"

Rows: TypeAlias = list[bytes]
Backup: TypeAlias = Callable[[], int]
"""Backs the folder up and says how many bytes are kept in all."""
Opened: TypeAlias = Callable[[Path, Path], AbstractContextManager[Backup]]
"""Makes an empty repository below the first folder, for the second one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One change seen by one tool."""

    change: str
    tool: str
    kept: int  # bytes more than before


def _appended(rows: Rows, chance: random.Random) -> Rows:
    del chance
    return rows + _rows(len(rows), max(1, len(rows) // 100))


def _scattered(rows: Rows, chance: random.Random) -> Rows:
    changed = list(rows)
    for place in chance.sample(range(len(rows)), max(1, len(rows) // 1000)):
        changed[place] = _touched(rows[place], chance)
    return changed


def _recent(rows: Rows, chance: random.Random) -> Rows:
    last = max(1, len(rows) // 100)
    return rows[:-last] + [_touched(row, chance) for row in rows[-last:]]


def _moved(rows: Rows, chance: random.Random) -> Rows:
    """A heap: a changed row leaves its place and stands at the end."""
    gone = set(chance.sample(range(len(rows)), max(1, len(rows) // 1000)))
    stay = [row for place, row in enumerate(rows) if place not in gone]
    return stay + [_touched(rows[place], chance) for place in sorted(gone)]


def _unchanged(rows: Rows, chance: random.Random) -> Rows:
    del chance
    return rows


CHANGES: Final[dict[str, tuple[bool, Callable[[Rows, random.Random], Rows]]]] = {
    "nothing": (True, _unchanged),
    "append 1 %": (True, _appended),
    "update 0.1 % anywhere": (True, _scattered),
    "update the newest 1 %": (True, _recent),
    "heap: append 1 %": (False, _appended),
    "heap: update 0.1 % anywhere": (False, _moved),
}
"""Whether the text is in key order, and what happens to it."""


def _rows(first: int, count: int) -> Rows:
    return copy_rows(5, first, count).encode().splitlines(keepends=True)


def _touched(row: bytes, chance: random.Random) -> bytes:
    fields = row.split(b"\t")
    fields[3] = str(chance.randrange(10**10, 10**11)).encode()
    return b"\t".join(fields)


def measure(
    place: Path, *, size: int, borg: str | None, restic: bool, only: str = ""
) -> Iterator[Growth]:
    """Every change whose name holds `only`, with every tool, each from the same state before."""
    for change, (ordered, act) in CHANGES.items():
        if only not in change:
            continue
        chance = random.Random(change)
        before = _rows(0, max(200, size // _PER_ROW))
        if not ordered:
            chance.shuffle(before)
        after = act(before, chance)
        params = ordered_table_params(size) if ordered else heap_table_params(size)
        yield Growth(change=change, tool="exclave, as a table", kept=_cut(before, after, params))
        folder, kept = place / "data", place / "kept"
        for tool, opened in _tools(borg=borg, restic=restic):
            folder.mkdir()
            kept.mkdir()
            with opened(kept, folder) as backup:
                (folder / _FILE).write_bytes(b"".join(before))
                first = backup()
                (folder / _FILE).write_bytes(b"".join(after))
                yield Growth(change=change, tool=tool, kept=backup() - first)
            shutil.rmtree(kept)
            shutil.rmtree(folder)


def _tools(*, borg: str | None, restic: bool) -> Iterator[tuple[str, Opened]]:
    yield "exclave, as a file", _exclave
    version = None if borg is None else peers.borg_version(borg)
    if restic and peers.restic_version() is not None:
        yield "restic", _opened(peers.Restic)
    if borg is not None and version is not None:
        yield version, _opened(partial(peers.Borg, program=borg, version=version))


def _opened(make: Callable[[Path, Path], peers.Repository]) -> Opened:
    @contextmanager
    def opened(place: Path, folder: Path) -> Iterator[Backup]:
        repository = make(place, folder)

        def backup() -> int:
            repository.backup()
            return repository.kept()

        yield backup

    return opened


@contextmanager
def _exclave(place: Path, folder: Path) -> Iterator[Backup]:
    with found_embassy(place / "embassy", n=1, k=1, processes=True) as embassy:
        config = write_config(embassy, f'kind = "files"\npath = "{folder}"\n')

        def backup() -> int:
            run_program([*PROGRAM, "deposit", "--config", str(config)])
            return tree_size(embassy.folder / "vaults")

        yield backup


def _cut(before: Rows, after: Rows, params: ChunkerParams) -> int:
    known: set[bytes] = set()
    kept = 0
    compressor = make_compressor()
    for text, counted in ((b"".join(before), False), (b"".join(after), True)):
        for chunk in _chunks(text, params):
            name = chunk_id(_KEY, chunk)
            if name not in known:
                known.add(name)
                kept += len(choose_stored(chunk, compressor)[1]) if counted else 0
    return kept


def _chunks(text: bytes, params: ChunkerParams) -> Iterator[bytes | memoryview]:
    chunker = Chunker(params)
    for at in range(0, len(text), _BLOCK):
        yield from chunker.feed(text[at : at + _BLOCK])
    yield from chunker.finish()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench changes", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is 256 MiB of text")
    parser.add_argument("--borg", default="borg", help="the Borg program to measure")
    parser.add_argument("--only", default="", help="only changes whose name holds this")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    options = parser.parse_args(arguments)
    size = int(_BYTES * options.scale)
    print(f"{size / 1e6:.0f} MB of text before the change; bytes kept more after it")
    print("| Change | Tool | MB |\n|---|---|---|")
    with temporary_place(options.place) as place:
        growths = measure(
            place,
            size=size,
            borg=options.borg if options.peers else None,
            restic=options.peers,
            only=options.only,
        )
        for growth in growths:
            print(f"| {growth.change} | {growth.tool} | {growth.kept / 1e6:.3f} |", flush=True)
    return 0
