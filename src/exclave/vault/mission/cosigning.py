"""Cosigning without a line: what a mission does as a witness, and as a log that has witnesses.

Plain blocking code, called from threads; `exclave.vault.server.rounds` carries requests and answers
between vaults (spec/ledger.md 7, 8).

Rules
- The log cosigns itself through its own witness: a vault that was put back to an older state
  shows by that.
- What a witness sends is believed line by line: wrong keys, other texts, stale or future time
  stamps are its fault, named, and keep no other witness back.
- A note is kept only when a quorum signed it; only a kept note is logged as `witnessed`.
- Evidence is logged once per pair of notes, and eight times a seat: who forges his own log must
  not be able to fill ours.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.evidence import FORK, Evidence, evidence_payload, parse_evidence
from exclave.authority.witnesses import log_verifiers, witnesses_of
from exclave.errors import IntegrityError
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, log_verifier, parse_checkpoint
from exclave.ledger.cosignature import (
    Cosigned,
    Witnesses,
    WitnessParty,
    count_witnesses,
    open_cosigned,
)
from exclave.ledger.entry import EntryType
from exclave.ledger.note import Note, NoteSignature, parse_note, parse_signatures
from exclave.ledger.witness import AddCheckpoint, Answer
from exclave.values import dataclass, replace
from exclave.vault.kept.log import Addition
from exclave.vault.kept.witnessing import Witnessed
from exclave.vault.mission.mission import Mission

__all__ = [
    "MAX_EVIDENCE",
    "LogHead",
    "WitnessFailed",
    "check_lines",
    "head_of",
    "keep_cosigned",
    "log_evidence",
    "newest_cosigned",
    "own_lines",
    "request_for",
    "witness_checkpoint",
    "witness_now",
]

_LOG = logging.getLogger(__name__)
MAX_EVIDENCE: Final = 8
"""Entries about one seat: one would do."""


class WitnessFailed(IntegrityError):
    """A witness answered with something that is no cosignature of what it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The log's newest checkpoint, and who may witness it."""

    note: Note  # signed by the log alone
    checkpoint: Checkpoint
    witnesses: Witnesses


def witness_checkpoint(mission: Mission, body: bytes) -> Witnessed:
    """Answer an add-checkpoint request; a fork that it shows is logged first."""
    with mission.lock:
        logs = log_verifiers(mission.charter())
    found = mission.witnessing.add_checkpoint(body, logs)
    decision = found.decision
    if decision.fork is not None:
        log_evidence(mission, decision.fork)
    elif decision.doubt is not None:
        before, after = (parse_checkpoint(parse_note(note).text) for note in decision.doubt)
        _LOG.warning(
            "%s: no proof that size %d goes on from size %d; cosigned neither",
            after.origin, after.size, before.size,
        )  # fmt: skip
    return found


def newest_cosigned(mission: Mission, origin_hash: bytes) -> bytes | None:
    """What this witness last cosigned of the log whose origin has that hash."""
    with mission.lock:
        origins = log_verifiers(mission.charter())
    for origin in origins:
        if hashlib.sha256(origin.encode()).digest() == origin_hash:
            return mission.witnessing.newest(origin)
    return None


def log_evidence(mission: Mission, notes: tuple[bytes, bytes]) -> bool:
    """Log a fork; False when it is known, or when enough is known about that seat."""
    origin = parse_checkpoint(parse_note(notes[0]).text).origin
    seat = Seat(int(origin.rsplit("/", 1)[1]))
    evidence = Evidence(mission=mission.mission, seat=seat, cause=FORK, notes=notes)
    envelope = Envelope(payload=evidence_payload(evidence), kind=Kind.EVIDENCE)
    body = envelope.to_bytes()
    with mission.lock:
        digest = hashlib.sha256(body).digest()
        if mission.index.entry_number(EntryType.EVIDENCE, digest) is not None:
            return False
        if mission.evidence is None:
            mission.evidence = _evidence_logged(mission)
        if mission.evidence[seat] >= MAX_EVIDENCE:
            return False
        _LOG.error("seat %d has forked its log at size %d", seat, evidence.checkpoints[0].size)
        mission.append(
            [Addition(type=EntryType.EVIDENCE, statement=envelope.statement_hash, body=body)]
        )
        mission.evidence[seat] += 1
    return True


def _evidence_logged(mission: Mission) -> Counter[Seat]:
    bodies = (
        mission.log.body(entry.hash)
        for _, entry in mission.log.entries()
        if entry.type is EntryType.EVIDENCE
    )
    return Counter(parse_evidence(parse_envelope(body)).seat for body in bodies)


def head_of(mission: Mission) -> LogHead:
    """What is to be witnessed now."""
    with mission.lock:
        note = parse_note(mission.log.note)
        return LogHead(
            note=note,
            checkpoint=parse_checkpoint(note.text),
            witnesses=witnesses_of(mission.charter()),
        )


def request_for(mission: Mission, head: LogHead, old: int) -> bytes:
    """The request to a witness that has seen `old` entries.

    Raises `WitnessFailed` when it says to have seen more than there are.
    """
    if old > head.checkpoint.size:
        raise WitnessFailed(
            f"expected at most {head.checkpoint.size} entries seen of this log, got {old}",
            hint="was this vault put back to an older state? its fellows have seen more of its log",
        )
    proof = mission.log.consistency_proof(old, head.checkpoint.size)
    return AddCheckpoint(old=old, proof=proof, note=head.note.encode()).encode()


def own_lines(mission: Mission, head: LogHead) -> tuple[NoteSignature, ...]:
    """This seat's cosignatures of its own log, by its own witness."""
    found = witness_checkpoint(mission, request_for(mission, head, 0))
    for _ in range(2):  # what was kept meanwhile is answered with its size
        if found.decision.kept is None:
            break
        found = witness_checkpoint(mission, request_for(mission, head, found.decision.kept))
    if found.decision.answer is not Answer.COSIGNED:
        why = found.decision.why or "another size"
        raise WitnessFailed(f"own log: expected it to go on from what was cosigned, got {why}")
    return found.lines


def check_lines(
    head: LogHead, party: WitnessParty, answer: bytes, now: datetime
) -> tuple[NoteSignature, ...]:
    """The lines of one witness's answer, when it counts for the head; raises `WitnessFailed`."""
    try:
        known = {(verifier.name, verifier.key_id) for verifier in party.verifiers}
        given = parse_signatures(answer)
        lines = tuple(line for line in given if (line.name, line.key_id) in known)
        alone = replace(head.witnesses, quorum=1, parties=(party,))
        note = replace(head.note, signatures=(*head.note.signatures, *lines))
        counted = count_witnesses(note, alone)
    except IntegrityError as error:
        raise WitnessFailed(f"{party.label}: {error.message}") from error
    if not counted:
        raise WitnessFailed(f"{party.label}: expected a line of each of its keys, got others")
    late = now.timestamp() - counted[0].timestamp
    if abs(late) > head.witnesses.freshness:
        raise WitnessFailed(
            f"{party.label}: expected a time within {head.witnesses.freshness} seconds of ours, "
            f"got one {abs(int(late))} seconds {'behind' if late > 0 else 'ahead'}"
        )
    return lines


def keep_cosigned(mission: Mission, head: LogHead, lines: Iterable[NoteSignature]) -> Cosigned:
    """Keep the head with these lines, and log it when an entry waits for that.

    Raises `WitnessQuorumMissing` when the lines are no quorum's; nothing is kept then.
    """
    note = replace(head.note, signatures=(*head.note.signatures, *lines))
    with mission.lock:
        log_key = log_verifier(mission.mission, mission.seat, mission.keys.log_public)
        cosigned = open_cosigned(note.encode(), log_key, head.witnesses)
        cosigned.require_quorum()
        mission.sync()
        known = mission.cosigned.checkpoint
        # A slow round may end after a later one.
        if known is None or known.size <= head.checkpoint.size:
            mission.cosigned.keep(note)
        if mission.cosigned.is_due(mission.log) and mission.cosigned.note is not None:
            body = mission.cosigned.note.encode()
            mission.append([Addition(type=EntryType.WITNESSED, statement=None, body=body)])
    return cosigned


def witness_now(mission: Mission, lines: Iterable[NoteSignature] = ()) -> Cosigned:
    """Cosign the newest checkpoint, with lines that fellows gave for it; as `keep_cosigned`."""
    head = head_of(mission)
    return keep_cosigned(mission, head, (*own_lines(mission, head), *lines))
