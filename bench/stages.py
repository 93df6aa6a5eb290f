"""`python -m bench stages`: what each stage of a deposit costs alone, on one thread.

The mixed set runs through the project's own functions, one stage after the other, a window of
bytes at a time, and the processor time of each is summed. The *limit* is what two cores would
need if they did nothing but these stages, evenly spread: no queue, no look-up, no line, no fsync.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.data import write_mixed
from bench.measuring import temporary_place
from exclave.archive.chunker import Chunker, content_params
from exclave.archive.pack import (
    PackBuilder,
    choose_stored,
    chunk_id,
    decode_chunk,
    make_compressor,
    make_decompressor,
    parse_directory,
)
from exclave.dispersal.shard import make_shards
from exclave.ids import DepositId, Epoch, MissionId, Seat
from exclave.sealing.pack import PackHeader, PackKind, generate_salt, open_pack, seal_pack
from exclave.sealing.secret import SEALED_SECRET_SIZE

__all__ = ["STAGES", "main", "measure"]

STAGES: Final = ("read", "chunk", "hash", "compress", "pack", "seal", "reopen", "disperse")
_BLOCK: Final = 1024 * 1024
_WINDOW: Final = 32 * 1024 * 1024
_KEY: Final = bytes(range(32))


class _Line:
    """One deposit's stages with the time that each took."""

    def __init__(self, layout: tuple[int, int]) -> None:
        self.spent = dict.fromkeys(STAGES, 0.0)
        self.read = self.stored = 0
        self._k, n = layout
        self._seats = tuple(Seat(number) for number in range(1, n + 1))
        self._compressor, self._decompressor = make_compressor(), make_decompressor()
        self._builder = PackBuilder()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun = time.process_time()
        yield
        self.spent[stage] += time.process_time() - begun

    def run(self, folder: Path, size: int) -> None:
        """Everything below the folder as one content stream."""
        chunker = Chunker(content_params(size))
        held: list[bytes | memoryview] = []
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            with file.open("rb", buffering=0) as source:
                while block := self._block(source):
                    self.read += len(block)
                    with self._timed("chunk"):
                        held += chunker.feed(block)
                    if sum(map(len, held)) >= _WINDOW:
                        self._store(held)
                        held = []
        with self._timed("chunk"):
            held += chunker.finish()
        self._store(held)
        self._seal()

    def _block(self, source: object) -> bytes:
        with self._timed("read"):
            return source.read(_BLOCK)  # type: ignore[attr-defined, no-any-return]

    def _store(self, chunks: list[bytes | memoryview]) -> None:
        with self._timed("hash"):
            ids = [chunk_id(_KEY, chunk) for chunk in chunks]
        with self._timed("compress"):
            forms = [choose_stored(chunk, self._compressor) for chunk in chunks]
        for name, chunk, (codec, data) in zip(ids, chunks, forms, strict=True):
            if not self._builder.fits(len(data)):
                self._seal()
            with self._timed("pack"):
                self._builder.add(name, len(chunk), codec, data)
            self.stored += len(data)

    def _seal(self) -> None:
        if not self._builder.count:
            return
        secret, veil = os.urandom(32), os.urandom(32)
        header = PackHeader(
            kind=PackKind.DATA,
            k=self._k,
            epoch=Epoch(1),
            mission=MissionId(bytes(32)),
            deposit=DepositId(bytes(16)),
            key_hash=bytes(32),
            sealed_secret=bytes(SEALED_SECRET_SIZE),
            salt=generate_salt(os.urandom),
        )
        with self._timed("pack"):
            plain = self._builder.finish()
            self._builder = PackBuilder()
        with self._timed("seal"):
            sealed = seal_pack(header, secret=secret, veil=veil, plaintext=plain)
        with self._timed("reopen"):
            opened = open_pack(sealed, secret=secret, veil=veil)[1]
            for entry in parse_directory(opened, kind=PackKind.DATA):
                data = opened[entry.offset : entry.offset + entry.stored]
                again = decode_chunk(entry, data, self._decompressor)
                assert chunk_id(_KEY, again) == entry.chunk_id
        with self._timed("disperse"):
            make_shards(
                sealed, mission=header.mission, veil=veil, k=self._k, seats=self._seats,
                random=os.urandom,
            )  # fmt: skip


def measure(folder: Path, size: int, *, k: int, n: int) -> tuple[dict[str, float], int, int]:
    """Processor seconds by stage, bytes read, bytes stored."""
    line = _Line((k, n))
    line.run(folder, size)
    return line.spent, line.read, line.stored


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench stages", description=__doc__)
    parser.add_argument("--scale", type=float, default=0.1, help="1 is the whole 1.66 GB")
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    options = parser.parse_args(arguments)
    with temporary_place(options.place) as place:
        data = write_mixed(place / "data", scale=options.scale)
        for k, n in ((1, 1), (2, 3)):
            spent, read, stored = measure(data.folder, data.size, k=k, n=n)
            print("\n".join(_lines(spent, read, stored, f"{k}-of-{n}")))
    return 0


def _lines(spent: dict[str, float], read: int, stored: int, layout: str) -> Iterator[str]:
    yield f"{layout}: {read / 1e6:.0f} MB read, {stored / 1e6:.0f} MB stored"
    for stage, seconds in spent.items():
        speed = read / 1e6 / seconds if seconds else float("inf")
        yield f"  {stage:9} {seconds:7.2f} s  {speed:8.0f} MB/s of what was read"
    total = sum(spent.values())
    yield f"  {'all':9} {total:7.2f} s  limit on two cores {total / 2:.2f} s"
