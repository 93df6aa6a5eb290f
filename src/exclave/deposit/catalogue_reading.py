"""Reads the files of a catalogue, strictly (spec/catalogue.md); says nothing about where they lie.

Rule: what is accepted is written again as the same bytes. A catalogue is no secret, but a lost
journal is rebuilt from it, so a file that somebody changed must not become a journal's row.
"""

from __future__ import annotations

from typing import Final

from exclave.archive.reference import reference_from_json
from exclave.authority.fields import Fields, Node
from exclave.clock import format_time
from exclave.deposit.catalogue_entry import CHUNK, CatalogueEntry, RegisterSummary
from exclave.encoding import parse_canonical_json
from exclave.errors import MalformedData
from exclave.ids import ChunkId, DepositId, PackRoot, Seat, ShardRoot
from exclave.journal.rows import SafePack, ShardRow

__all__ = ["parse_catalogue_entry", "parse_catalogue_pack"]

_SEALED_SECRET: Final = 1168  # spec/sealing.md 2
_PACK = ("root", "length", "k", "kind", "secret", "deposit", "sealed", "shards", "chunks")
_ENTRY = (
    "deposit", "sequence", "statement", "started", "ended", "registers", "read", "new", "stored",
    "sent", "elapsed_ms", "manifest",
)  # fmt: skip
_AMOUNTS = ("rpo", "rto", "rows", "files", "bytes", "new", "stored", "capture_ms")
_REGISTER = ("id", "title", "kind", *_AMOUNTS)


def parse_catalogue_pack(data: bytes, subject: str = "pack of a catalogue") -> SafePack:
    """A pack that became safe; all its shards count as held."""
    fields = Node(parse_canonical_json(data, subject=subject), subject).fields(*_PACK)
    return SafePack(
        root=PackRoot(fields["root"].hex(32)),
        length=fields["length"].integer(1),
        k=fields["k"].integer(1, 255),
        kind=fields["kind"].integer(1, 2),
        secret=fields["secret"].hex(32),
        deposit=DepositId(fields["deposit"].hex(16)),
        sealed_secret=fields["sealed"].base64(_SEALED_SECRET),
        shards=fields["shards"].each(_shard),
        chunks=_chunks(fields["chunks"]),
    )


def _shard(node: Node) -> ShardRow:
    seat, root = node.items(least=2, most=2)
    return ShardRow(seat=Seat(seat.integer(1, 255)), root=ShardRoot(root.hex(32)), held=True)


def _chunks(node: Node) -> tuple[tuple[ChunkId, int, int, int, int], ...]:
    data = node.base64()
    if len(data) % CHUNK.size:
        raise MalformedData(f"{node.path}: expected {CHUNK.size} bytes each, got {len(data)}")
    found = tuple(_chunk(entry) for entry in CHUNK.iter_unpack(data))
    if any(codec > 1 for *_, codec in found):
        raise MalformedData(f"{node.path}: expected codec 0 or 1, got another")
    return found


def _chunk(entry: tuple[bytes, int, int, int, int]) -> tuple[ChunkId, int, int, int, int]:
    return ChunkId(entry[0]), *entry[1:]


def parse_catalogue_entry(data: bytes, subject: str = "deposit of a catalogue") -> CatalogueEntry:
    """A deposit as the depositor remembers it."""
    fields = Node(parse_canonical_json(data, subject=subject), subject).fields(*_ENTRY)
    manifest = fields["manifest"].fields("root", "packs", "bytes")
    root = manifest["root"]
    return CatalogueEntry(
        deposit=DepositId(fields["deposit"].hex(16)),
        sequence=fields["sequence"].integer(1),
        statement=fields["statement"].hex(32),
        started=format_time(fields["started"].time()),
        ended=format_time(fields["ended"].time()),
        registers=fields["registers"].each(_register),
        **_amounts(fields, "read", "new", "stored", "elapsed_ms"),
        sent=fields["sent"].each(_sent),
        manifest_root=reference_from_json(root.value, root.path),
        manifest_packs=manifest["packs"].each(lambda node: PackRoot(node.hex(32))),
        manifest_bytes=manifest["bytes"].integer(),
    )


def _register(node: Node) -> RegisterSummary:
    fields = node.fields(*_REGISTER)
    return RegisterSummary(
        id=fields["id"].slug(),
        title=fields["title"].string(),
        kind=fields["kind"].string(),
        **_amounts(fields, *_AMOUNTS),
    )


def _amounts(fields: Fields, *names: str) -> dict[str, int]:
    return {name: fields[name].integer() for name in names}


def _sent(node: Node) -> tuple[Seat, int]:
    seat, count = node.items(least=2, most=2)
    return Seat(seat.integer(1, 255)), count.integer()
