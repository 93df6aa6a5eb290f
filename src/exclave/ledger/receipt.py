"""Receipts: proof for one entry that is checked without a line (spec/ledger.md 5).

The C2SP tlog-proof format with the entry as its extra data. Rules: one encoding; nothing in a
receipt is trusted before the log's own signature and the inclusion path were checked; a receipt
is cosigned when a witness quorum signed its checkpoint, else provisional.
"""

from __future__ import annotations

import re

from exclave.encoding import MAX_INTEGER, b64decode, b64encode
from exclave.errors import MalformedData
from exclave.ledger.checkpoint import OriginMismatch, open_checkpoint
from exclave.ledger.cosignature import CosignedBy, Witnesses, count_witnesses
from exclave.ledger.entry import LogEntry, parse_entry
from exclave.ledger.note import MAX_COSIGNED_LINES, MAX_COSIGNED_NOTE, NoteVerifier, parse_note
from exclave.merkle import leaf_hash, verify_inclusion
from exclave.values import dataclass

__all__ = [
    "MAX_RECEIPT_SIZE",
    "ProvenEntry",
    "Receipt",
    "parse_receipt",
    "verify_receipt",
    "verify_witnessed_receipt",
]

MAX_RECEIPT_SIZE = MAX_COSIGNED_NOTE + (16 << 10)
_HEADER = b"c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}")
_MAX_PATH = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Entry bytes, where they stand, the path to the root and the checkpoint's note."""

    entry: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    def __post_init__(self) -> None:
        parse_entry(self.entry)
        if not 0 <= self.index <= MAX_INTEGER:
            raise MalformedData(f"receipt: index: expected 0 to 2^53-1, got {self.index}")
        if len(self.path) > _MAX_PATH or any(len(digest) != 32 for digest in self.path):
            raise MalformedData(f"receipt: path: expected up to {_MAX_PATH} hashes of 32 bytes")
        parse_note(self.checkpoint, most=MAX_COSIGNED_LINES)

    def encode(self) -> bytes:
        """The receipt's text."""
        lines = [_HEADER.decode(), f"extra {b64encode(self.entry)}", f"index {self.index}"]
        lines += [b64encode(digest) for digest in self.path]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.checkpoint


def parse_receipt(data: bytes) -> Receipt:
    """Read a receipt without verifying it; raises `MalformedData` or `NonCanonicalData`."""
    if len(data) > MAX_RECEIPT_SIZE:
        raise MalformedData(f"receipt: expected at most {MAX_RECEIPT_SIZE} bytes, got {len(data)}")
    head, empty, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedData("receipt: not ASCII above the checkpoint") from error
    if not empty or len(lines) < 3 or lines[0] != _HEADER.decode():
        raise MalformedData(f"receipt: expected {_HEADER.decode()}, extra, index and a checkpoint")
    entry, index = _after("extra ", lines[1]), _after("index ", lines[2])
    if not _INDEX.fullmatch(index):
        raise MalformedData(f"receipt: index: expected a decimal number, got {index[:40]!r}")
    return Receipt(
        entry=b64decode(entry, subject="receipt: extra"),
        index=int(index),
        path=tuple(b64decode(line, length=32, subject="receipt: path") for line in lines[3:]),
        checkpoint=checkpoint,
    )


def _after(label: str, line: str) -> str:
    if not line.startswith(label):
        raise MalformedData(f"receipt: expected a line {label!r}, got {line[:40]!r}")
    return line.removeprefix(label)


def verify_receipt(receipt: Receipt, log: NoteVerifier) -> LogEntry:
    """Check a receipt against the log's key and give the entry that it proves.

    1. the checkpoint is the log's and signed by it; 2. the entry is of that log's mission;
    3. the path leads from the entry to the checkpoint's root.
    Raises `NoteForged`, `NoteUnsigned`, `OriginMismatch` or `InclusionInvalid`.
    """
    checkpoint = open_checkpoint(receipt.checkpoint, log, most=MAX_COSIGNED_LINES)  # 1
    entry = parse_entry(receipt.entry)
    if not log.name.startswith(f"exclave/{entry.mission.hex()}/"):  # 2
        raise OriginMismatch(f"receipt: expected an entry of {log.name!r}, got another mission's")
    verify_inclusion(  # 3
        leaf_hash(receipt.entry),
        index=receipt.index,
        size=checkpoint.size,
        path=receipt.path,
        root=checkpoint.root,
    )
    return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenEntry:
    """An entry that a receipt proves, and which witnesses saw the log that it stands in."""

    entry: LogEntry
    by: tuple[CosignedBy, ...]
    quorum: int

    @property
    def cosigned(self) -> bool:
        """Whether a witness quorum signed; else the receipt is provisional."""
        return len(self.by) >= self.quorum


def verify_witnessed_receipt(
    receipt: Receipt, log: NoteVerifier, witnesses: Witnesses
) -> ProvenEntry:
    """Check a receipt, and count the witnesses of a charter below its checkpoint.

    Raises as `verify_receipt`, and `NoteForged` for a line of a known witness that fails.
    """
    entry = verify_receipt(receipt, log)
    note = parse_note(receipt.checkpoint, most=MAX_COSIGNED_LINES)
    by = count_witnesses(note, witnesses)
    return ProvenEntry(entry=entry, by=by, quorum=witnesses.quorum)
