"""The papers of bags as logs have them: far less than a survey, for whoever asks every day.

Walks each seat's log as a survey does and takes the bodies of custody statements alone. What they
are worth is decided by their own signatures, elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.errors import ExclaveError
from exclave.ids import MissionId, Seat
from exclave.ledger.entry import EntryType
from exclave.ledger.note import NoteVerifier
from exclave.values import dataclass
from exclave.vault.interface import PublicRecord
from exclave.vault.survey.walking import (
    Problem,
    SurveyLimits,
    Walk,
    begin_walk,
    open_by_any,
    walk_log,
)

__all__ = ["LoggedPapers", "read_papers"]

_KINDS = frozenset({EntryType.CUSTODY})
_LIMITS = SurveyLimits(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPapers:
    """What the logs gave; nothing of it is verified but that the logs are their seats'."""

    envelopes: tuple[Envelope, ...]
    read: tuple[Seat, ...]  # whose log was read to its end
    problems: tuple[Problem, ...]


async def read_papers(
    sources: Sequence[PublicRecord],
    mission: MissionId,
    keys: Mapping[Seat, Sequence[NoteVerifier]],
) -> LoggedPapers:
    """Ask all at once; `keys` are those that charters give to the seats' logs."""
    bodies: dict[bytes, bytes] = {}
    walks = [
        Walk(source=source, seat=source.seat, limits=_LIMITS, bodies=bodies, kinds=_KINDS)
        for source in sources
    ]
    await asyncio.gather(*(_walk(walk, mission, keys.get(walk.seat, ())) for walk in walks))
    return LoggedPapers(
        envelopes=tuple({e.to_bytes(): e for walk in walks for e in _papers(walk)}.values()),
        read=tuple(walk.seat for walk in walks if walk.consistent and not walk.problems),
        problems=tuple(problem for walk in walks for problem in walk.problems),
    )


async def _walk(walk: Walk, mission: MissionId, keys: Sequence[NoteVerifier]) -> None:
    await begin_walk(walk)
    await walk_log(walk, mission, keys)
    if walk.note:
        try:
            open_by_any(walk.note, keys)
        except ExclaveError as error:
            walk.complain(error.message)


def _papers(walk: Walk) -> list[Envelope]:
    found = []
    for entry in walk.entries:
        data = walk.body(entry.hash) if entry.type is EntryType.CUSTODY else None
        if data is None:
            continue
        try:
            found.append(parse_envelope(data, kinds=[Kind.CUSTODY]))
        except ExclaveError as error:
            walk.complain(f"custody {entry.hash.hex()[:16]}: {error.message}")
    return found
