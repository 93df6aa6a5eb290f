"""Peak memory of deposit and reconstruction, whatever the size: `python -m bench memory`.

The register is one file that lies nowhere: its source makes it (hexadecimal digits, so that
compression has something to do and no chunk comes twice), its target takes it and compares. All
else is the real program in a process of its own: configuration, capture, packs, vaults over mutual
TLS (2-of-3), record, warrant, reconstruction. Peak is the kernel's high-water mark (VmHWM) of that
process; it ends with an error when one is above the limit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from unittest.mock import patch

import numpy as np
from blake3 import blake3

from bench.embassy import prepare_reading, rebuild, write_config
from bench.measuring import Cost, run_program, temporary_place
from exclave.archive.filetree import FileEntry, FileType, decode_entries, encode_entries, tree_root
from exclave.archive.manifest import Register
from exclave.archive.objects import FilesTree
from exclave.cli import main as exclave
from exclave.source.interface import (
    ArchiveSink,
    ArchiveSupply,
    Captured,
    Compared,
    Difference,
    Progress,
    StreamPurpose,
)
from exclave.wiring import reader, registers
from tests.support.embassy import found_embassy

__all__ = ["main"]

LIMIT: Final = 400
"""MiB; DESIGN section 11."""
_PIECE: Final = 1 << 20


class MadeSource:
    """A tree with one file of so many bytes."""

    def __init__(self, size: int) -> None:
        self._size = size

    def check(self) -> Sequence[str]:
        """Nothing to check."""
        return ()

    def capture(self, sink: ArchiveSink, progress: Progress) -> Captured:
        """Make the file while it is captured."""
        content = sink.open_stream(StreamPurpose.CONTENT, expected_size=self._size)
        digest = blake3()
        for piece in made(self._size):
            digest.update(piece)
            content.write(piece)
            progress("made", 0, len(piece))
        entries = [
            FileEntry(type=FileType.FOLDER, path=b"", mode=0o700, uid=0, gid=0, mtime=0),
            FileEntry(
                type=FileType.REGULAR,
                path=b"made",
                mode=0o600,
                uid=0,
                gid=0,
                mtime=0,
                size=self._size,
                blake3=digest.digest(),
                extents=((0, self._size),),
            ),
        ]
        records = sink.open_stream(StreamPurpose.MANIFEST)
        for record in encode_entries(entries):
            records.write(record)
        tree = FilesTree(
            name="files",
            count=2,
            tree_root=tree_root(entries),
            entries=records.finish(),
            content=content.finish(),
        )
        return Captured(objects=(tree,), facts=(), notes=(), rows=0, files=1, bytes_read=self._size)


class TakingTarget:
    """Takes the file and keeps nothing but its hash."""

    def __init__(self) -> None:
        self._got: bytes | None = None

    def check_empty(self, register: Register) -> None:
        """It always is."""

    def restore(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> None:
        """Hash what comes."""
        digest = blake3()
        for piece in supply.read_stream(_tree(register).content):
            digest.update(piece)
            progress("made", 0, len(piece))
        self._got = digest.digest()

    def compare(
        self,
        register: Register,
        supply: ArchiveSupply,
        progress: Progress,
        *,
        only: Sequence[str] = (),
    ) -> Compared:
        """Compare the hash with that of the manifest."""
        *_, entry = decode_entries(supply.read_stream(_tree(register).entries))
        differs = Difference(register=register.id, subject="made", what="content differs")
        return Compared(
            rows=0,
            files=1,
            objects=2,
            differences=() if entry.blake3 == self._got else (differs,),
            not_compared=(),
        )


def made(size: int) -> Iterator[bytes]:
    """So many digits, always the same."""
    random = np.random.default_rng(1)
    for start in range(0, size, _PIECE):
        yield random.bytes(_PIECE // 2).hex().encode()[: size - start]


def main(arguments: Sequence[str] | None = None) -> int:
    """Deposit, deposit again, reconstruct; says the peak of each."""
    options = _options(arguments)
    size = int(options.gigabytes * 10**9)
    peaks: list[int] = []
    program = (sys.executable, "-m", "bench.memory", str(size))

    def say(step: str, cost: Cost) -> None:
        peaks.append(cost.peak >> 20)
        print(
            f"{step:8} {options.gigabytes} GB  peak {peaks[-1]} MiB  "
            f"processor {cost.cpu:.1f} s  wall {cost.seconds:.1f} s",
            flush=True,
        )

    with (
        temporary_place(options.place) as place,
        found_embassy(place / "embassy", n=3, k=2, processes=True) as embassy,
    ):
        config = write_config(embassy, f'kind = "files"\npath = "{place}"\n')
        deposit = (*program, "deposit", "--config", str(config))
        say("first", run_program(deposit))
        say("second", run_program(deposit))
        targets = f'[default.folder]\nkind = "folder"\npath = "{place / "out"}"\n'
        answer = prepare_reading(embassy, place)
        say("restore", rebuild(answer, place, targets, program=program))
    return int(max(peaks) > options.limit)


def _tree(register: Register) -> FilesTree:
    (tree,) = register.objects
    assert isinstance(tree, FilesTree)
    return tree


def _program(size: int, words: Sequence[str]) -> int:
    """The program itself, with the made register in place of a folder."""
    with (
        patch.object(registers, "source_of", lambda _: MadeSource(size)),
        patch.object(reader, "target_of", lambda *_: TakingTarget()),
    ):
        return exclave([*words]) or 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--limit", type=int, default=LIMIT, help="MiB")
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(_program(int(sys.argv[1]), sys.argv[2:]))
