"""The transition table of loosening statements (spec/standing.md 2).

`TRANSITIONS` is the whole of it: `step` looks a row up, the diagram in the docs is drawn from it.
Rules: the table is total, what no row names stays as it is; no row leads out of a final phase.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from exclave.values import dataclass

__all__ = ["FINAL", "TRANSITIONS", "Event", "Phase", "Sort", "Transition", "step"]


class Sort(enum.Enum):
    """What kind of loosening it is, as far as the table tells them apart."""

    CHARTER = "charter"
    WARRANT = "warrant"
    ORDER = "order"
    AGREEMENT = "agreement"


class Phase(enum.Enum):
    """Where a loosening statement stands at one vault."""

    INCOMPLETE = "incomplete"
    WAITING = "waiting"
    EFFECTIVE = "effective"
    VETOED = "vetoed"
    OVERRIDING = "overriding"
    STOPPED = "stopped"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


class Event(enum.Enum):
    """What happens to a loosening statement."""

    COMPLETED = "enough signed"
    VETO = "veto"
    OVERRIDDEN = "override reached"
    DUE = "due"
    TOO_FEW = "too few count now"
    LOCKDOWN = "lockdown"
    UNLOCK = "unlock"
    CONFLICT = "conflict"
    BEREFT = "its predecessor died"
    SUPERSEDED = "a later charter in force"
    LIFE_OVER = "life over"
    AMENDED = "a later version in effect"


FINAL: Final = frozenset({Phase.STOPPED, Phase.SUPERSEDED, Phase.EXPIRED})
_ALL: Final = tuple(Sort)
_RECOUNTED: Final = (Sort.WARRANT, Sort.ORDER, Sort.AGREEMENT)
_PENDING: Final = (Phase.WAITING, Phase.OVERRIDING)
_OPEN: Final = (Phase.INCOMPLETE, *_PENDING, Phase.VETOED)


@dataclass(frozen=True, slots=True)
class Transition:
    """For these sorts, an event leads from any of these phases to one."""

    sorts: tuple[Sort, ...]
    phases: tuple[Phase, ...]
    event: Event
    to: Phase

    def __iter__(self) -> Iterator[tuple[Sort, Phase, Event]]:
        for sort in self.sorts:
            for phase in self.phases:
                yield sort, phase, self.event


TRANSITIONS: Final = (
    Transition(_ALL, (Phase.INCOMPLETE,), Event.COMPLETED, Phase.WAITING),
    Transition(_ALL, (Phase.INCOMPLETE, Phase.WAITING), Event.VETO, Phase.VETOED),
    Transition(_ALL, (Phase.VETOED,), Event.OVERRIDDEN, Phase.OVERRIDING),
    Transition(_ALL, _PENDING, Event.DUE, Phase.EFFECTIVE),
    Transition(_RECOUNTED, (Phase.WAITING,), Event.TOO_FEW, Phase.INCOMPLETE),
    # Of an overriding statement the veto comes back with the loss of those who overrode it.
    Transition(_RECOUNTED, (Phase.OVERRIDING,), Event.TOO_FEW, Phase.VETOED),
    Transition((Sort.WARRANT,), (Phase.EFFECTIVE,), Event.TOO_FEW, Phase.INCOMPLETE),
    Transition(_ALL, _PENDING, Event.LOCKDOWN, Phase.STOPPED),
    Transition((Sort.WARRANT,), (Phase.EFFECTIVE,), Event.LOCKDOWN, Phase.STOPPED),
    Transition(_ALL, _PENDING, Event.UNLOCK, Phase.STOPPED),
    Transition(_ALL, _PENDING, Event.CONFLICT, Phase.STOPPED),
    Transition((Sort.CHARTER,), _PENDING, Event.BEREFT, Phase.STOPPED),
    Transition((Sort.CHARTER,), (*_OPEN, Phase.EFFECTIVE), Event.SUPERSEDED, Phase.SUPERSEDED),
    Transition((Sort.WARRANT,), (*_OPEN, Phase.EFFECTIVE), Event.LIFE_OVER, Phase.EXPIRED),
    Transition((Sort.AGREEMENT,), (*_OPEN, Phase.EFFECTIVE), Event.AMENDED, Phase.SUPERSEDED),
)

_STEPS: Final = {key: row.to for row in TRANSITIONS for key in row}


def step(sort: Sort, phase: Phase, event: Event) -> Phase:
    """The phase after an event; total."""
    return _STEPS.get((sort, phase, event), phase)
