"""What a catalogue says of a deposit and of a pack, and how it is written (spec/catalogue.md).

Reading is in `exclave.deposit.catalogue_reading`; where files lie, in `exclave.deposit.catalogue`.
"""

from __future__ import annotations

import struct
from typing import Final

from exclave.archive.reference import Reference, reference_to_json
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.ids import DepositId, PackRoot, Seat
from exclave.journal.rows import SafePack
from exclave.values import dataclass

__all__ = ["CHUNK", "CatalogueEntry", "RegisterSummary", "catalogue_pack_bytes"]

CHUNK: Final = struct.Struct(">32sIIIB")


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
    # Known to whoever counts what all registers store:
    new: int = 0  # bytes not found in earlier packs
    stored: int = 0  # of those, after compression
    capture_ms: int = 0


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
    elapsed_ms: int  # from the first capture until all was sent or spooled
    manifest_root: Reference
    manifest_packs: tuple[PackRoot, ...]
    manifest_bytes: int  # sealed

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
                    "new": r.new,
                    "stored": r.stored,
                    "capture_ms": r.capture_ms,
                }
                for r in self.registers
            ],
            "read": self.read,
            "new": self.new,
            "stored": self.stored,
            "sent": [[seat, count] for seat, count in self.sent],
            "elapsed_ms": self.elapsed_ms,
            "manifest": {
                "root": list(reference_to_json(self.manifest_root)),
                "packs": [root.hex() for root in self.manifest_packs],
                "bytes": self.manifest_bytes,
            },
        }


def catalogue_pack_bytes(pack: SafePack) -> bytes:
    """The file of a pack that became safe."""
    chunks = b"".join(CHUNK.pack(*chunk) for chunk in pack.chunks)
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
