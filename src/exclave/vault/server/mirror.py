"""Mirroring: what is logged here is sent to the fellow vaults, again until each has it.

One task a fellow walks the log and hands every statement to the fellow's public listener
(spec/vault-http.md 6). A refusal with a reason settles that statement there; one for which
something else has to come first, or that the fellow's program does not know yet, is offered again,
without holding up the others; no answer, or `unavailable`, stops everything until later. Where it
stands is kept in `meta/`, so that a restart does not begin anew; losing that costs only repeated,
idempotent requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from exclave.errors import ExclaveError, VaultUnreachable
from exclave.ids import Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.standing.phases import FINAL
from exclave.values import dataclass, field
from exclave.vault.interface import PublicRecord, VaultRefused
from exclave.vault.kept.storage import read_optional
from exclave.vault.mission.mission import Mission
from exclave.vault.server.hosting import Hosted, Hosting

__all__ = ["MIRRORED", "mirror_to", "position_of"]

_LOG = logging.getLogger(__name__)
MIRRORED: Final = frozenset(
    {
        EntryType.RECORD,
        EntryType.CHARTER,
        EntryType.WARRANT,
        EntryType.SIGNATURES,
        EntryType.SUPPLEMENT,
        EntryType.CUSTODY,
        EntryType.ATTESTATION,
        EntryType.ANNEX,
        EntryType.ORDER,
        EntryType.CONFLICT,
    }
)
"""Entries whose bodies the fellows get."""
_LONGEST: Final = 300.0
_LATER: Final = frozenset({"unavailable", "rate", "no-space"})
"""The fellow takes nothing now."""
_UNKNOWN: Final = "malformed"
"""What was taken here is well formed: the fellow's program is older than this kind of statement."""
_AGAIN: Final = frozenset({"charter-gap", "not-open", "quota", _UNKNOWN})
"""It does not take this one yet: a charter or a lockdown, say, has to come first, or to end;
somebody has used up his day; or the fellow has to be upgraded."""


@dataclass(slots=True)
class _Course:
    """How far one fellow has been served."""

    next: int  # the first entry that was not offered yet
    late: dict[int, str] = field(default_factory=dict)  # to be offered again, and the cause

    @property
    def settled(self) -> int:
        """The first entry that a restart has to begin with."""
        return min(self.late, default=self.next)


async def mirror_to(hosting: Hosting, hosted: Hosted, fellow: PublicRecord) -> None:
    """Keep one fellow up to date until cancelled."""
    mission = hosted.mission
    course = _Course(await hosting.run(position_of, mission, fellow.seat))
    pause = 1.0
    while True:
        size = mission.log.size
        try:
            await _send_from(hosting, mission, fellow, course)
            pause = min(pause * 2, _LONGEST) if course.late else 1.0
        except (VaultUnreachable, VaultRefused) as error:
            _LOG.info("mirroring to seat %d waits: %s", fellow.seat, error.message)
            pause = min(pause * 2, _LONGEST)
        except ExclaveError as error:
            _LOG.error("mirroring to seat %d: %s", fellow.seat, error.message)
            pause = min(pause * 2, _LONGEST)
        if course.next < size:
            await asyncio.sleep(pause)
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause if course.late else None):
                await hosted.news(course.next)


async def _send_from(
    hosting: Hosting, mission: Mission, fellow: PublicRecord, course: _Course
) -> None:
    """Offer what is new, then once more what could not be taken yet.

    One statement that cannot be taken yet stops no other: a veto must not wait behind a charter
    that a locked down fellow refuses for as long as the lockdown stands.
    """
    while course.next < mission.log.size:
        body = await hosting.run(_body_at, mission, course.next)
        cause = None if body is None else await _offer(mission, fellow, course.next, body)
        if cause is not None:
            course.late[course.next] = cause
        course.next += 1
        await _keep(hosting, mission, course, fellow.seat)
    unknown: set[EntryType] = set()
    for number, cause in tuple(course.late.items()):
        kind = await hosting.run(_type_at, mission, number)
        if cause == _UNKNOWN and kind in unknown:
            continue  # each refusal is counted in a log that never forgets: one speaks for all
        body = await hosting.run(_body_at, mission, number)
        again = None if body is None else await _offer(mission, fellow, number, body)
        if again is not None:
            course.late[number] = again
            unknown |= {kind} if again == _UNKNOWN else set()
            continue
        del course.late[number]
        await _keep(hosting, mission, course, fellow.seat)


async def _keep(hosting: Hosting, mission: Mission, course: _Course, seat: Seat) -> None:
    settled = f"{course.settled}\n".encode()
    await hosting.run(mission.store.replace_head, _key(seat), settled)


async def _offer(mission: Mission, fellow: PublicRecord, number: int, body: bytes) -> str | None:
    """Hand one entry's statement in; the cause for which it is to be offered again, else None."""
    try:
        await fellow.submit(body)
    except VaultRefused as error:
        if error.cause in _LATER:
            raise
        if error.cause == _UNKNOWN:
            _LOG.warning(
                "seat %d does not know what entry %d of seat %d is: offered again once it is newer",
                fellow.seat, number, mission.seat,
            )  # fmt: skip
        if error.cause in _AGAIN:
            return error.cause
        _LOG.warning(
            "seat %d refuses entry %d of seat %d: %s",
            fellow.seat, number, mission.seat, error.cause,
        )  # fmt: skip
    return None


def _type_at(mission: Mission, number: int) -> EntryType:
    with mission.lock:
        return mission.log.entry(number).type


def _body_at(mission: Mission, number: int) -> bytes | None:
    """What an entry has to say to a fellow; None when nothing.

    What died here is not sent: where the lockdown that stopped it is over, it would come to life
    there. What is in a conflict is: the fellow has to know of it.
    """
    with mission.lock:
        entry = mission.log.entry(number)
        if entry.type not in MIRRORED or _is_dead(mission, entry.statement):
            return None
        return mission.log.body(entry.hash)


def _is_dead(mission: Mission, statement: StatementHash | None) -> bool:
    standing = mission.standing()
    item = None if statement is None else standing.items.get(statement)
    if item is None or item.effective is not None or item.phase not in FINAL:
        return False
    return all(statement not in {both.first, both.second} for both in standing.conflicts)


def position_of(mission: Mission, seat: Seat) -> int:
    """How many entries of this log a fellow needs no more, as it was last kept."""
    text = (read_optional(mission.store, _key(seat)) or b"0").decode("ascii", "replace").strip()
    return min(int(text), mission.log.size) if text.isdecimal() and len(text) < 20 else 0


def _key(seat: Seat) -> str:
    return f"meta/mirrored-{seat}"
