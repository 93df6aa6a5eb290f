"""The witness protocol's request and its decision (C2SP tlog-witness, spec/vault-http.md 7).

Pure: what a witness knows of a log and what it is sent go in, what to answer comes out. Keeping
what was accepted before the answer leaves, and signing, are the caller's.

Rules
- The checkpoint must be the log's own, rightly signed, before anything else is believed.
- A log never shrinks: an old size other than the kept one is answered with the kept one.
- Two checkpoints of one size with other roots, both signed by the log, are a fork whatever size
  the request claims to start from. A proof that fails proves nothing: anybody may send one.
"""

from __future__ import annotations

import enum
import hmac
import re
from collections.abc import Callable, Mapping

from exclave.encoding import MAX_INTEGER, b64decode, b64encode
from exclave.errors import ExclaveError, MalformedData
from exclave.ledger.checkpoint import Checkpoint, OriginMismatch, parse_checkpoint
from exclave.ledger.consistency import ConsistencyInvalid, verify_consistency
from exclave.ledger.note import (
    Note,
    NoteForged,
    NoteUnsigned,
    NoteVerifier,
    parse_note,
    verify_note,
)
from exclave.merkle import EMPTY_ROOT
from exclave.values import dataclass

__all__ = [
    "MAX_ADD_CHECKPOINT",
    "MAX_PROOF_LINES",
    "AddCheckpoint",
    "Answer",
    "Decision",
    "decide",
    "kept_note",
    "parse_add_checkpoint",
    "parse_kept_size",
]

MAX_PROOF_LINES = 63
MAX_ADD_CHECKPOINT = 1 << 18
"""Bytes of a request: 63 hashes and a note with sixteen lines, and room."""
_OLD = re.compile(r"old (0|[1-9][0-9]{0,15})")
_KEPT = re.compile(rb"(0|[1-9][0-9]{0,15})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """A request: the size that the proof starts from, the proof and the log's note."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.old <= MAX_INTEGER:
            raise MalformedData(f"add-checkpoint: old: expected 0 to 2^53-1, got {self.old}")
        if len(self.proof) > MAX_PROOF_LINES or any(len(digest) != 32 for digest in self.proof):
            raise MalformedData(
                f"add-checkpoint: proof: expected up to {MAX_PROOF_LINES} hashes of 32 bytes"
            )
        parse_note(self.note)

    def encode(self) -> bytes:
        """The request's body."""
        lines = [f"old {self.old}", *(b64encode(digest) for digest in self.proof), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.note


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Read a request without verifying it; raises `MalformedData` or `NonCanonicalData`."""
    if len(data) > MAX_ADD_CHECKPOINT:
        raise MalformedData(
            f"add-checkpoint: expected at most {MAX_ADD_CHECKPOINT} bytes, got {len(data)}"
        )
    head, empty, note = data.partition(b"\n\n")
    try:
        first, *proof = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise MalformedData("add-checkpoint: not ASCII above the checkpoint") from error
    old = _OLD.fullmatch(first)
    if not empty or old is None:
        raise MalformedData("add-checkpoint: expected `old <size>`, a proof and a checkpoint")
    subject = "add-checkpoint: proof"
    return AddCheckpoint(
        old=int(old.group(1)),
        proof=tuple(b64decode(line, length=32, subject=subject) for line in proof),
        note=note,
    )


def parse_kept_size(data: bytes) -> int:
    """The size that a witness answers with 409."""
    match = _KEPT.fullmatch(data)
    if match is None or int(match.group(1)) > MAX_INTEGER:
        raise MalformedData("witness: expected a size and a newline with a conflict")
    return int(match.group(1))


class Answer(enum.IntEnum):
    """Status codes of the protocol."""

    COSIGNED = 200
    MALFORMED = 400
    UNSIGNED = 403
    UNKNOWN_LOG = 404
    OTHER_SIZE = 409
    INCONSISTENT = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to answer, and what follows.

    `accepted` is to be kept, its cosignatures below it, and cosigned (200 alone). `kept` goes with
    409. `fork` are two notes of one size and other roots: both the log's, and proof. `doubt` are
    two of other sizes with a proof that failed: whoever sent it may have spoilt it.
    """

    answer: Answer
    why: str = ""
    accepted: Note | None = None
    kept: int | None = None
    fork: tuple[bytes, bytes] | None = None
    doubt: tuple[bytes, bytes] | None = None


def kept_note(note: Note, log: NoteVerifier) -> Note:
    """A note with the log's own signature alone: the same bytes whoever cosigned it."""
    own = [line for line in note.signatures if (line.name, line.key_id) == (log.name, log.key_id)]
    if not own:
        raise NoteUnsigned(f"note: expected a signature by {log.name[:80]!r}, got none")
    return Note(text=note.text, signatures=(own[0],))


def decide(
    body: bytes, logs: Mapping[str, NoteVerifier], kept: Callable[[str], bytes | None]
) -> Decision:
    """Answer a request about one log.

    `logs` are the keys that this witness trusts, by origin; `kept` gives the newest note of a log
    that it accepted, as `kept_note` made it.
    1. the request has the form; 2. the log is known; 3. its key signed; 4. old is not above the
    size; 5. no other root is known for that size; 6. old is the kept size; 7. the proof holds.
    """
    try:
        request = parse_add_checkpoint(body)  # 1
        note = parse_note(request.note)
        checkpoint = parse_checkpoint(note.text)
    except ExclaveError as error:
        return Decision(answer=Answer.MALFORMED, why=error.message)
    log = logs.get(checkpoint.origin)
    if log is None:  # 2
        return Decision(answer=Answer.UNKNOWN_LOG, why="no such log")
    try:
        verify_note(note, [log])  # 3
    except (NoteForged, NoteUnsigned) as error:
        return Decision(answer=Answer.UNSIGNED, why=error.message)
    if request.old > checkpoint.size:  # 4
        return Decision(answer=Answer.MALFORMED, why="old is above the checkpoint's size")
    known = kept(checkpoint.origin)
    before = _kept(known, log)
    fork = None
    if known is not None and before.size == checkpoint.size and not _same(before, checkpoint):  # 5
        fork = _two_notes(known, note, log)
    if request.old != before.size:  # 6
        return Decision(answer=Answer.OTHER_SIZE, kept=before.size, fork=fork)
    try:
        verify_consistency(  # 7
            old_size=before.size,
            old_root=before.root,
            new_size=checkpoint.size,
            new_root=checkpoint.root,
            proof=request.proof,
        )
    except ConsistencyInvalid as error:
        doubt = None
        if known is not None and before.size < checkpoint.size:
            doubt = _two_notes(known, note, log)
        return Decision(answer=Answer.INCONSISTENT, why=error.message, fork=fork, doubt=doubt)
    return Decision(answer=Answer.COSIGNED, accepted=kept_note(note, log))


def _kept(kept: bytes | None, log: NoteVerifier) -> Checkpoint:
    if kept is None:
        return Checkpoint(origin=log.name, size=0, root=EMPTY_ROOT)
    before = parse_checkpoint(parse_note(kept).text)
    if before.origin != log.name:
        raise OriginMismatch(f"kept note: expected {log.name!r}, got {before.origin!r}")
    return before


def _two_notes(known: bytes, note: Note, log: NoteVerifier) -> tuple[bytes, bytes]:
    # The kept one's first line is the log's, also when the log's key has changed since.
    before = parse_note(known)
    alone = Note(text=before.text, signatures=before.signatures[:1])
    return alone.encode(), kept_note(note, log).encode()


def _same(one: Checkpoint, other: Checkpoint) -> bool:
    return hmac.compare_digest(one.root, other.root)
