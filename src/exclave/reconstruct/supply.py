"""The archive supply that targets read from: streams become bytes again.

References are resolved to packs by the manifest's tables; nodes and chunks are decoded from
opened packs, ahead of the reader (`ahead.py`). Several threads may read different streams at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

from exclave.archive.manifest import Manifest, parse_manifest
from exclave.archive.pack import Role, make_decompressor, parse_directory, read_chunk, view_chunk
from exclave.archive.reference import MANIFEST_PACK_BIT, Reference, StreamRef
from exclave.archive.stream import iter_references
from exclave.errors import IntegrityError
from exclave.ids import DepositId, MissionId, PackRoot
from exclave.reconstruct.ahead import read_ahead
from exclave.reconstruct.fetch import PackFetcher
from exclave.sealing.pack import PackKind

__all__ = ["Elsewhere", "ManifestForeign", "ReconstructSupply", "read_manifest"]

_DECODERS: Final = 2


class ManifestForeign(IntegrityError):
    """A manifest says that it belongs to another deposit than the record that names it."""


class Elsewhere(Protocol):
    """Where chunks come from whose packs are not to be had."""

    def concerns(self, root: PackRoot) -> bool:
        """Whether a pack's chunks come from here."""

    def chunks(self, references: Sequence[Reference]) -> list[bytes | memoryview]:
        """Plaintexts of chunks of one such pack, in order; raises `IntegrityError`."""


def read_manifest(
    fetcher: PackFetcher,
    manifest_packs: Sequence[PackRoot],
    *,
    mission: MissionId,
    deposit: DepositId,
) -> Manifest:
    """Open the last manifest pack and parse its last chunk (spec/archive.md 5)."""
    if not manifest_packs:
        raise IntegrityError("record: names no manifest pack")
    plaintext = fetcher.plaintext(manifest_packs[-1])
    last = parse_directory(plaintext, kind=PackKind.MANIFEST)[-1]
    if last.role is not Role.MANIFEST_ROOT:
        raise IntegrityError("manifest pack: its last chunk is not a manifest root")
    manifest = parse_manifest(read_chunk(plaintext, last))
    if manifest.mission != mission or manifest.deposit != deposit:
        raise ManifestForeign(
            f"manifest: expected deposit {deposit.hex()}, got {manifest.deposit.hex()}"
        )
    return manifest


class ReconstructSupply:
    """Reads the streams of one deposit (`exclave.source.interface.ArchiveSupply`)."""

    def __init__(
        self,
        *,
        fetcher: PackFetcher,
        packs: Sequence[PackRoot],
        manifest_packs: Sequence[PackRoot],
        scratch: Path,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._elsewhere = elsewhere
        self._packs = packs
        self._manifest_packs = manifest_packs
        self._scratch = scratch
        self._own = _Own()
        self._pool = ThreadPoolExecutor(_DECODERS, thread_name_prefix="decode")

    @property
    def scratch(self) -> Path:
        """A folder (0700) for temporary files."""
        return self._scratch

    def read_stream(self, stream: StreamRef) -> Iterator[bytes | memoryview]:
        """The stream's bytes in order, a chunk at a time; some are views of an opened pack."""
        return read_ahead(
            self.references(stream), fetch=self._fetch, decode=self._decode, pool=self._pool
        )

    def references(self, stream: StreamRef) -> Iterator[Reference]:
        """The stream's chunks in order, as they are stored."""
        return iter_references(stream, self._chunk)

    def is_elsewhere(self, reference: Reference) -> bool:
        """Whether a chunk's pack is one that is not fetched."""
        return self._elsewhere is not None and self._elsewhere.concerns(self._root(reference))

    def _fetch(self, reference: Reference) -> Future[memoryview]:
        if self.is_elsewhere(reference):
            nothing: Future[memoryview] = Future()
            nothing.set_result(memoryview(b""))
            return nothing
        return self._fetcher.prefetch(self._root(reference))

    def _decode(
        self, plaintext: memoryview, references: tuple[Reference, ...]
    ) -> list[bytes | memoryview]:
        if self._elsewhere is not None and self.is_elsewhere(references[0]):
            return self._elsewhere.chunks(references)
        decompressor = self._own.decompressor
        return [view_chunk(plaintext, reference, decompressor) for reference in references]

    def _chunk(self, reference: Reference) -> bytes | memoryview:
        (chunk,) = self._decode(self._fetch(reference).result(), (reference,))
        return chunk

    def _root(self, reference: Reference) -> PackRoot:
        number = reference.pack & ~MANIFEST_PACK_BIT
        table = self._manifest_packs if reference.pack & MANIFEST_PACK_BIT else self._packs
        if number >= len(table):
            raise IntegrityError(f"reference: pack {number} of {len(table)}")
        return table[number]


class _Own(threading.local):
    """One decompressor a thread: making one costs more than a small chunk."""

    def __init__(self) -> None:
        self.decompressor = make_decompressor()
