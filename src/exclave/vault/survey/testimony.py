"""What logs testify: `witnessed`, `evidence` and `alarm` entries (spec/ledger.md 7 to 9).

Checks what a walk brought; whoever is wrong has a named problem. Rules: evidence counts by its
signatures, whoever logged it; false evidence is the fault of the one who logged it; a `witnessed`
entry counts when a quorum of the charter in force there signed this very log.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

from exclave.authority.alarm import Alarm, parse_alarm
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.evidence import Evidence, parse_evidence
from exclave.authority.witnesses import witnesses_of
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import Seat
from exclave.ledger.checkpoint import log_verifier
from exclave.ledger.cosignature import open_cosigned
from exclave.ledger.entry import EntryType, LogEntry
from exclave.ledger.note import NoteVerifier
from exclave.merkle import RootBuilder
from exclave.standing.values import Standing
from exclave.vault.survey.walking import Fault, Walk

__all__ = ["check_evidence", "check_witnessed", "log_keys", "logged_alarms"]


def log_keys(chain: CharterChain, seat: Seat) -> tuple[NoteVerifier, ...]:
    """Every key that a charter gave a seat's log, the newest first."""
    found = (
        log_verifier(chain.mission, seat, entry.log_key.raw)
        for charter in reversed(chain.charters)
        for entry in charter.seats
        if entry.seat == seat
    )
    return tuple(dict.fromkeys(found))


def logged_alarms(walk: Walk) -> tuple[tuple[int, Alarm], ...]:
    """The alarms of a log with the numbers of their entries."""
    found: list[tuple[int, Alarm]] = []
    for number, _, body in _bodies(walk, EntryType.ALARM):
        try:
            found.append((number, parse_alarm(parse_envelope(body, kinds=[Kind.ALARM]))))
        except ExclaveError as error:
            walk.complain(f"alarm of entry {number}: {error.message}")
    return tuple(found)


def check_evidence(walk: Walk, walks: Sequence[Walk], chain: CharterChain) -> None:
    """Name every seat whose fork this log proves."""
    for number, _, body in _bodies(walk, EntryType.EVIDENCE):
        try:
            evidence = parse_evidence(parse_envelope(body, kinds=[Kind.EVIDENCE]))
            if not evidence.proves_alone:
                continue  # of two sizes: not before every proof between them was tried
            _verify(evidence, chain)
        except ExclaveError as error:
            walk.complain(f"evidence of entry {number}: {error.message}")
            continue
        size = evidence.checkpoints[0].size
        for accused in walks:
            if accused.seat == evidence.seat:
                accused.complain(
                    f"log: signed two histories of size {size}, as the log of seat {walk.seat} "
                    f"proves in entry {number}",
                    Fault.FORK,
                )


def check_witnessed(walk: Walk, standing: Standing) -> None:
    """Complain of `witnessed` entries that no quorum stands behind; delays rest on them."""
    wanted = list(_bodies(walk, EntryType.WITNESSED))
    if not wanted:
        return
    roots = _roots(walk)
    for number, entry, body in wanted:
        failures: list[str] = []
        for charter in _in_force(standing, entry.service):
            try:
                _verify_witnessed(walk.seat, number, body, charter, roots)
                break
            except ExclaveError as error:
                failures.append(error.message)
        else:
            why = failures[0] if failures else "no charter was in force"
            walk.complain(f"witnessed entry {number}: {why}", Fault.WITNESSED)


def _verify(evidence: Evidence, chain: CharterChain) -> None:
    failure: ExclaveError | None = None
    for key in log_keys(chain, evidence.seat):
        try:
            evidence.verify(key)
            return
        except ExclaveError as error:
            failure = failure or error
    raise failure or IntegrityError(f"expected a seat of the mission, got {evidence.seat}")


def _verify_witnessed(
    seat: Seat, number: int, body: bytes, charter: Charter, roots: Sequence[bytes]
) -> None:
    """`roots` are those that the log had at each size."""
    log = log_verifier(charter.mission_id, seat, charter.seat(seat).log_key.raw)
    cosigned = open_cosigned(body, log, witnesses_of(charter))
    cosigned.require_quorum()
    size = cosigned.checkpoint.size
    if size > number or not hmac.compare_digest(roots[size], cosigned.checkpoint.root):
        raise IntegrityError(f"expected a checkpoint of what is before it, got another of {size}")


def _in_force(standing: Standing, service: int) -> Iterator[Charter]:
    """The charter in force at a service time; then the one before, which a round may have had."""
    passed = [statement for statement, since in standing.history if since <= service]
    for statement in reversed(passed[-2:]):
        yield standing.charter_of(statement)


def _roots(walk: Walk) -> list[bytes]:
    """The root at each size from 0 on, up to the last `witnessed` entry."""
    builder = RootBuilder()
    roots = [builder.root()]
    for leaf in walk.leaves:
        builder.add(leaf)
        roots.append(builder.root())
    return roots


def _bodies(walk: Walk, kind: EntryType) -> Iterator[tuple[int, LogEntry, bytes]]:
    for number, entry in enumerate(walk.entries):
        body = walk.body(entry.hash) if entry.type is kind else None
        if body is not None:
            yield number, entry, body
