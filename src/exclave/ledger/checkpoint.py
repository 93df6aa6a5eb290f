"""Checkpoints: a log's name, size and root as the text of a note (spec/ledger.md 3).

Rules: exactly three lines, no extension lines; the origin is also the name that the log's
key signs under; an empty log has the empty tree's root.
"""

from __future__ import annotations

import re

from exclave.encoding import MAX_INTEGER, b64decode, b64encode
from exclave.errors import IntegrityError, MalformedData
from exclave.ids import MissionId, Seat
from exclave.ledger.note import (
    MAX_SIGNATURES,
    NoteSigner,
    NoteVerifier,
    parse_note,
    sign_note,
    verify_note,
)
from exclave.merkle import EMPTY_ROOT
from exclave.values import dataclass

__all__ = [
    "Checkpoint",
    "OriginMismatch",
    "log_verifier",
    "open_checkpoint",
    "origin_for",
    "parse_checkpoint",
    "sign_checkpoint",
]

_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


class OriginMismatch(IntegrityError):
    """A checkpoint of another log than the one asked for."""


def origin_for(mission: MissionId, seat: Seat) -> str:
    """Name of the log of one seat of one mission."""
    if len(mission) != 32 or not 1 <= seat <= 255:
        raise MalformedData("origin: expected a mission id of 32 bytes and a seat of 1 to 255")
    return f"exclave/{mission.hex()}/{seat}"


def log_verifier(mission: MissionId, seat: Seat, log_key: bytes) -> NoteVerifier:
    """Verifier for a seat's log: its raw Ed25519 key as it stands in the charter."""
    return NoteVerifier(name=origin_for(mission, seat), public_key=log_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A log's state: `size` leaves under `root`."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or not self.origin.isprintable():
            raise MalformedData("checkpoint: origin: expected one printable line")
        if not 0 <= self.size <= MAX_INTEGER:
            raise MalformedData(f"checkpoint: size: expected 0 to 2^53-1, got {self.size}")
        if len(self.root) != 32:
            raise MalformedData(f"checkpoint: root: expected 32 bytes, got {len(self.root)}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedData("checkpoint: root: expected that of the empty tree for size 0")

    def encode(self) -> bytes:
        """The note text."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root)}\n".encode()


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Read a note's text; raises `MalformedData` or `NonCanonicalData`."""
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedData("checkpoint: not UTF-8") from error
    if len(lines) != 4 or lines[3]:
        raise MalformedData("checkpoint: expected three lines: origin, size, root")
    origin, size, root = lines[:3]
    if not _SIZE.fullmatch(size):
        raise MalformedData(f"checkpoint: size: expected a decimal number, got {size[:40]!r}")
    return Checkpoint(
        origin=origin,
        size=int(size),
        root=b64decode(root, length=32, subject="checkpoint: root"),
    )


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> bytes:
    """The note that the log publishes; `signer.name` must be the origin."""
    if signer.name != checkpoint.origin:
        raise OriginMismatch(
            f"checkpoint: origin: expected {signer.name!r}, got {checkpoint.origin!r}"
        )
    return sign_note(checkpoint.encode(), [signer])


def open_checkpoint(note: bytes, log: NoteVerifier, *, most: int = MAX_SIGNATURES) -> Checkpoint:
    """Verify a log's note by the log's own key and read its checkpoint; `most` as `parse_note`."""
    parsed = parse_note(note, most=most)
    verify_note(parsed, [log])
    checkpoint = parse_checkpoint(parsed.text)
    if checkpoint.origin != log.name:
        raise OriginMismatch(
            f"checkpoint: origin: expected {log.name!r}, got {checkpoint.origin!r}"
        )
    return checkpoint
