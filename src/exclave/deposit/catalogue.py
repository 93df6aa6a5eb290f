"""The depositor's catalogue (spec/catalogue.md): what was deposited, in plain words.

It serves listing with titles and rebuilds a lost journal. It opens nothing. A folder
without `deposit.json` is of a deposit that never came so far; the next one overwrites it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exclave.archive.reference import Reference, reference_from_json, reference_to_json
from exclave.encoding import (
    JsonObject,
    b64decode,
    b64encode,
    canonical_json,
    hex_decode,
    parse_canonical_json,
)
from exclave.engine.durable import make_path, replace_file
from exclave.errors import IntegrityError, MalformedData
from exclave.ids import ChunkId, DepositId, PackRoot, Seat, ShardRoot
from exclave.journal.store import SafePack, ShardRow

__all__ = ["Catalogue", "CatalogueEntry", "RegisterSummary"]

_CHUNK: Final = struct.Struct(">32sIIIB")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSummary:
    """One register of a deposit."""

    id: str
    title: str
    kind: str
    rpo: int
    rto: int
    rows: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """One deposit as the depositor remembers it."""

    deposit: DepositId
    sequence: int
    statement: bytes
    started: str
    ended: str
    registers: tuple[RegisterSummary, ...]
    read: int
    new: int
    stored: int
    sent: tuple[tuple[Seat, int], ...]
    manifest_root: Reference
    manifest_packs: tuple[PackRoot, ...]

    def to_json(self) -> JsonObject:
        """As in `deposit.json`."""
        return {
            "deposit": self.deposit.hex(),
            "sequence": self.sequence,
            "statement": self.statement.hex(),
            "started": self.started,
            "ended": self.ended,
            "registers": [
                {
                    "id": r.id,
                    "title": r.title,
                    "kind": r.kind,
                    "rpo": r.rpo,
                    "rto": r.rto,
                    "rows": r.rows,
                    "files": r.files,
                    "bytes": r.bytes,
                }
                for r in self.registers
            ],
            "read": self.read,
            "new": self.new,
            "stored": self.stored,
            "sent": [[seat, count] for seat, count in self.sent],
            "manifest": {
                "root": list(reference_to_json(self.manifest_root)),
                "packs": [root.hex() for root in self.manifest_packs],
            },
        }


class Catalogue:
    """Folder of deposits, one subfolder each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        make_path(path)
        make_path(path / "packs")

    def add_pack(self, pack: SafePack) -> None:
        """Remember a pack that is safe, durably."""
        file = self._pack_file(pack.root)
        make_path(file.parent)
        replace_file(file, [_pack_bytes(pack)], mode=0o600)

    def pack(self, root: PackRoot) -> SafePack:
        """A pack that became safe once; all its shards count as held."""
        file = self._pack_file(root)
        return _pack(file.read_bytes(), str(file))

    def add(self, entry: CatalogueEntry, envelope: bytes) -> None:
        """Remember a deposit; `deposit.json` is written last."""
        folder = self._path / f"{entry.sequence:08d}"
        make_path(folder)
        replace_file(folder / "record.json", [envelope], mode=0o600)
        replace_file(folder / "deposit.json", [canonical_json(entry.to_json())], mode=0o600)

    def entries(self) -> list[CatalogueEntry]:
        """All complete deposits, oldest first."""
        return [
            _entry(file.read_bytes(), str(file))
            for file in sorted(self._path.glob("*/deposit.json"))
        ]

    def envelope(self, sequence: int) -> bytes:
        """The record's envelope of a deposit."""
        return (self._path / f"{sequence:08d}" / "record.json").read_bytes()

    def _pack_file(self, root: PackRoot) -> Path:
        return self._path / "packs" / root.hex()[:2] / root.hex()


def _pack_bytes(pack: SafePack) -> bytes:
    chunks = b"".join(_CHUNK.pack(*chunk) for chunk in pack.chunks)
    return canonical_json(
        {
            "root": pack.root.hex(),
            "length": pack.length,
            "k": pack.k,
            "kind": pack.kind,
            "secret": pack.secret.hex(),
            "deposit": pack.deposit.hex(),
            "sealed": b64encode(pack.sealed_secret),
            "shards": [[s.seat, s.root.hex()] for s in pack.shards],
            "chunks": b64encode(chunks),
        }
    )


def _pack(data: bytes, subject: str) -> SafePack:
    value: Any = parse_canonical_json(data, subject=subject)
    try:
        return SafePack(
            root=PackRoot(hex_decode(value["root"], length=32)),
            length=value["length"],
            k=value["k"],
            kind=value["kind"],
            secret=hex_decode(value["secret"], length=32),
            deposit=DepositId(hex_decode(value["deposit"], length=16)),
            sealed_secret=b64decode(value["sealed"]),
            shards=tuple(
                ShardRow(seat=Seat(seat), root=ShardRoot(hex_decode(root, length=32)), held=True)
                for seat, root in value["shards"]
            ),
            chunks=tuple(
                (ChunkId(c[0]), c[1], c[2], c[3], c[4])
                for c in _CHUNK.iter_unpack(b64decode(value["chunks"]))
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise MalformedData(f"{subject}: not a pack of a catalogue") from error


def _entry(data: bytes, subject: str) -> CatalogueEntry:
    value: Any = parse_canonical_json(data, subject=subject)
    try:
        return CatalogueEntry(
            deposit=DepositId(hex_decode(value["deposit"], length=16)),
            sequence=value["sequence"],
            statement=hex_decode(value["statement"], length=32),
            started=value["started"],
            ended=value["ended"],
            registers=tuple(RegisterSummary(**r) for r in value["registers"]),
            read=value["read"],
            new=value["new"],
            stored=value["stored"],
            sent=tuple((Seat(seat), count) for seat, count in value["sent"]),
            manifest_root=reference_from_json(value["manifest"]["root"], subject),
            manifest_packs=tuple(
                PackRoot(hex_decode(root, length=32)) for root in value["manifest"]["packs"]
            ),
        )
    except IntegrityError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedData(f"{subject}: not a deposit of a catalogue") from error
