"""Rules about one seat's log: whether it is the log that was seen before, whole, fresh and honest.

Everything that its key ever signed and that anybody kept (this monitor, its fellows as witnesses, a
quorum) must be a beginning of what it shows now. What was kept was asked for before the log was, so
that an honest log can only be ahead of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from exclave.authority.charter import Charter
from exclave.authority.witnesses import witnesses_of
from exclave.clock import format_time
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, open_checkpoint
from exclave.ledger.cosignature import Cosigned, open_cosigned
from exclave.ledger.note import MAX_COSIGNED_LINES
from exclave.monitor.values import DIFFERENCE_SECONDS, Cause, Finding, Level, Sight, period
from exclave.standing.agreed import declared
from exclave.values import dataclass
from exclave.vault.interface import State
from exclave.vault.survey.survey import Fault, SeatView
from exclave.vault.survey.testimony import log_keys

__all__ = ["log_findings"]

_FAULTS = {
    Fault.SIGNATURE: (Cause.SIGNATURE, Level.CRITICAL),
    Fault.TRUNCATED: (Cause.TRUNCATED, Level.CRITICAL),
    Fault.BODY: (Cause.MISSING_BODY, Level.CRITICAL),
    Fault.FORK: (Cause.FORK, Level.CRITICAL),
    Fault.WITNESSED: (Cause.WITNESSED, Level.CRITICAL),
    Fault.TOO_MUCH: (Cause.TOO_MUCH, Level.CRITICAL),
    Fault.STATEMENT: (Cause.STATEMENT, Level.WARNING),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A checkpoint that the seat's key signed, and who kept it."""

    by: str
    checkpoint: Checkpoint


def log_findings(sight: Sight, seat: SeatView) -> Iterator[Finding]:
    """Everything that is wrong with one seat's log."""
    yield from _problems(sight, seat)
    if seat.verified:
        yield from _grown(sight, seat)
        yield from _fresh(sight, seat)
        yield from _clock(sight, seat)
        yield from _standstill(sight, seat)
    yield from _claims(sight, seat)


def _problems(sight: Sight, seat: SeatView) -> Iterator[Finding]:
    """What the survey named, each kind once."""
    for fault, (cause, level) in _FAULTS.items():
        found = [item.what for item in seat.problems if item.fault is fault]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            yield sight.finding(level, cause, seat.seat, found[0] + more)
    silent = [item.what for item in seat.problems if item.fault is Fault.SILENT]
    glance = sight.glances.get(seat.seat)
    if not silent and glance is not None and isinstance(glance.status, str):
        silent = [glance.status]
    if silent:
        age = sight.age(sight.since(silent_key(seat.seat)))
        late = age >= sight.freshness
        level = Level.CRITICAL if late else Level.WARNING
        since = f"; so since {period(age)}" if age >= 1 else ""
        what = silent[0].removeprefix(f"seat {seat.seat}: ")
        yield sight.finding(level, Cause.SILENT, seat.seat, what + since)


def silent_key(seat: Seat) -> str:
    """Under which a memory keeps since when a seat is silent."""
    return f"silent/{seat}"


def _grown(sight: Sight, seat: SeatView) -> Iterator[Finding]:
    """Rollback and fork, the worst of each."""
    shorter: list[_Kept] = []
    other: list[_Kept] = []
    for kept in _kept(sight, seat):
        if kept.checkpoint.size > seat.log_size:
            shorter.append(kept)
        elif seat.root_at(kept.checkpoint.size) != kept.checkpoint.root:
            other.append(kept)
    if shorter:
        most = max(shorter, key=lambda item: item.checkpoint.size)
        yield sight.finding(
            Level.CRITICAL,
            Cause.ROLLBACK,
            seat.seat,
            f"shows {seat.log_size} entries, and signed {most.checkpoint.size} before: "
            + _whose(shorter),
        )
    if other:
        size = other[0].checkpoint.size
        yield sight.finding(
            Level.CRITICAL,
            Cause.FORK,
            seat.seat,
            f"shows another history than it signed before at size {size}: " + _whose(other),
        )


def _whose(kept: list[_Kept]) -> str:
    return "kept by " + ", ".join(dict.fromkeys(item.by for item in kept))


def _kept(sight: Sight, seat: SeatView) -> Iterator[_Kept]:
    """Every checkpoint of this log that somebody kept and that its key signed."""
    notes: list[tuple[str, bytes | None]] = []
    memory = sight.memory.seats.get(seat.seat)
    if memory is not None:
        notes.append(("this monitor", memory.note))
    for fellow, glance in sorted(sight.glances.items()):
        whose = "its own witness" if fellow == seat.seat else f"seat {fellow}"
        notes.append((whose, glance.heads.get(seat.seat)))
        if fellow == seat.seat:
            notes.append(("a quorum", glance.cosigned))
    for by, note in notes:
        for key in log_keys(sight.view.chain, seat.seat) if note else ():
            try:
                checkpoint = open_checkpoint(note or b"", key, most=MAX_COSIGNED_LINES)
            except ExclaveError:
                continue  # not this log's word: it says nothing against it
            yield _Kept(by=by, checkpoint=checkpoint)
            break


def _fresh(sight: Sight, seat: SeatView) -> Iterator[Finding]:
    """Whether a quorum has seen this log of late (freezing and withholding show by that)."""
    glance = sight.glances.get(seat.seat)
    if glance is None:
        return
    answering = sum(sight.status(item) is not None for item in sight.glances)
    quorum = sight.charter.witness.q
    level = Level.CRITICAL if answering >= quorum else Level.WARNING
    why = "" if answering >= quorum else f"; only {answering} vaults answer, {quorum} are needed"
    cosigned: Cosigned | str = "none is kept"
    if glance.cosigned is not None:
        cosigned = _opened(sight, seat, glance.cosigned)
    if isinstance(cosigned, str):
        age = sight.age(seat.entries[0].logged)
        if glance.cosigned is not None or age > sight.freshness:
            what = f"no checkpoint that a quorum cosigned: {cosigned}{why}"
            yield sight.finding(level, Cause.FREEZE, seat.seat, what)
        return
    stamps = sorted((item.timestamp for item in cosigned.by), reverse=True)
    age = sight.now.timestamp() - stamps[quorum - 1] if len(stamps) >= quorum else 0
    if age > sight.freshness:
        what = (
            f"its newest cosigned checkpoint, of {cosigned.checkpoint.size} entries, is "
            f"{period(age)} old, allowed is {period(sight.freshness)}{why}"
        )
        yield sight.finding(level, Cause.FREEZE, seat.seat, what)
        return
    uncovered = seat.entries[cosigned.checkpoint.size :]
    if uncovered and sight.age(uncovered[0].logged) > sight.freshness:
        what = (
            f"no quorum has seen its entries from {cosigned.checkpoint.size} on, logged "
            f"{period(sight.age(uncovered[0].logged))} ago"
        )
        yield sight.finding(level, Cause.FREEZE, seat.seat, what)


def _opened(sight: Sight, seat: SeatView, note: bytes) -> Cosigned | str:
    """The cosigned note by the charter in force there, or by the one before; or what is wrong."""
    failures: list[str] = []
    for charter in _charters(sight, seat):
        for key in log_keys(sight.view.chain, seat.seat):
            try:
                cosigned = open_cosigned(note, key, witnesses_of(charter))
                cosigned.require_quorum()
                return cosigned
            except ExclaveError as error:
                failures.append(error.message)
    return failures[0] if failures else "no key of its log is known"


def _charters(sight: Sight, seat: SeatView) -> list[Charter]:
    standing = seat.standing
    if standing is None:
        return [sight.charter]
    # Rounds that began before a charter came into force end under the one before.
    return [standing.charter_of(item) for item, _ in reversed(standing.history[-2:])]


def _clock(sight: Sight, seat: SeatView) -> Iterator[Finding]:
    """A host that ages its log: service time that runs faster than the clock."""
    first, service = seat.entries[0], sight.service(seat)
    ahead = first.logged.timestamp() + (service - first.service) / 1000 - sight.now.timestamp()
    memory = sight.memory.seats.get(seat.seat)
    if memory is not None:
        behind = int(sight.now.timestamp() * 1000) - service
        ahead = max(ahead, (memory.behind - behind) / 1000)
    if ahead > DIFFERENCE_SECONDS:
        what = (
            f"its service time ran {period(ahead)} faster than this clock: delays there may end "
            "too early"
        )
        yield sight.finding(Level.CRITICAL, Cause.CLOCK, seat.seat, what)


def _standstill(sight: Sight, seat: SeatView) -> Iterator[Finding]:
    """A vault that was down between two new entries: its clock went on, service time did not."""
    memory, standing = sight.memory.seats.get(seat.seat), sight.standing(seat)
    if memory is None or standing is None:
        return
    since = max(0, memory.checkpoint.size - 1)
    for before, after in itertools.pairwise(seat.entries[since:]):
        went_on = (after.logged - before.logged).total_seconds()
        stood = went_on - (after.service - before.service) / 1000
        if stood <= DIFFERENCE_SECONDS or declared(
            standing, seat.seat, before.logged, after.logged
        ):
            continue
        what = (
            f"stood still for {period(stood)} before {format_time(after.logged)}, and its host had "
            "declared neither a restart nor a move of its disks"
        )
        yield sight.finding(Level.WARNING, Cause.STANDSTILL, seat.seat, what)


def _claims(sight: Sight, seat: SeatView) -> Iterator[Finding]:
    """What a status claims, against the log that must bear it out."""
    status, standing = sight.status(seat.seat), sight.standing(seat)
    if status is None or not seat.verified:
        return
    if status.log_size > seat.log_size:
        what = f"shows {seat.log_size} entries, and claims {status.log_size} in its status"
        yield sight.finding(Level.CRITICAL, Cause.WITHHELD, seat.seat, what)
    if standing is None:
        return
    released = [item.statement for item in status.warrants if item.state is State.RELEASED]
    for statement, name in (*((item, "warrant") for item in released), (status.charter, "charter")):
        item = standing.items.get(statement)
        if item is None or item.effective is None:
            done = "released" if name == "warrant" else "in force"
            what = f"claims {name} {statement.hex()[:16]} {done}, which its log does not allow"
            yield sight.finding(Level.CRITICAL, Cause.EARLY, seat.seat, what)
    if status.log_size == seat.log_size and status.locked is not standing.locked:
        stands = "a lockdown stands" if standing.locked else "no lockdown stands"
        what = f"by its log {stands}, its status says otherwise"
        yield sight.finding(Level.CRITICAL, Cause.CLAIM, seat.seat, what)
