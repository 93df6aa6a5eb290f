"""From one standing to the next: begin, hear, witness, advance (spec/standing.md).

The only way in which a `Standing` comes to be. Deterministic: the same log gives the same standing,
wherever it is read. What may be logged at all is `exclave.standing.admission`'s; here the log is
believed, and every entry has a meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from exclave.authority.charter import Charter
from exclave.authority.envelope import TIGHTENING
from exclave.authority.warrant import Warrant
from exclave.ids import Seat
from exclave.standing.admission import joins, rival
from exclave.standing.draft import Draft
from exclave.standing.phases import Phase
from exclave.standing.values import Heard, Item, Standing, Witnessed
from exclave.values import dataclass

__all__ = ["Conflicting", "Event", "advance", "begin", "due", "follow", "quiet_until"]


@dataclass(frozen=True, slots=True)
class Conflicting:
    """A `conflict` entry: a charter whose slot is taken."""

    heard: Heard


Event: TypeAlias = Heard | Conflicting | Witnessed
"""What a log entry can mean here; of `Witnessed`, `since` is the entry's service time."""


def begin(first: Heard, seat: Seat | None = None) -> Standing:
    """The standing after entry 0, charter 1, of a seat's log; without `seat` of one that it has."""
    assert isinstance(first.value, Charter)
    item = Item(
        statement=first.statement,
        value=first.value,
        signers=first.signers,
        number=first.number,
        logged=first.service,
        phase=Phase.EFFECTIVE,
        effective=first.service,
    )
    return Standing(
        now=first.service,
        in_force=first.statement,
        history=((first.statement, first.service),),
        items={first.statement: item},
        tightened={},
        vetoes={},
        open_lockdowns=frozenset(),
        exile=None,
        conflicts=(),
        witnessed=(),
        seat=seat,
    )


def follow(standing: Standing, events: Iterable[Event]) -> Standing:
    """The standing after more entries, in the order of the log."""
    draft = Draft(standing)
    for event in events:
        at = _service(event)
        draft.advance(at)
        if isinstance(event, Witnessed):
            draft.witness(event.covers, event.since)
        elif isinstance(event, Conflicting):
            _conflict(draft, event.heard)
        elif event.statement in draft.contested():
            continue  # more signatures of a charter that is only in conflict here: it gets no slot
        elif isinstance(event.value, Charter | Warrant) or event.value.kind not in TIGHTENING:
            draft.loosen(event)
        else:
            draft.tighten(event)
        draft.advance(at)  # what waits for nothing takes effect with its entry
    return draft.done()


def quiet_until(standing: Standing) -> int | None:
    """When time alone will change something next; None when it will not."""
    return Draft(standing).next_change()


def advance(standing: Standing, now: int) -> Standing:
    """The standing at a later service time, nothing else having been logged."""
    draft = Draft(standing)
    draft.advance(now)
    return draft.done()


def due(standing: Standing, item: Item) -> int | None:
    """When a pending item will take effect as things stand; None when it cannot yet."""
    return Draft(standing).due(item)


def _service(event: Event) -> int:
    if isinstance(event, Witnessed):
        return event.since
    return event.heard.service if isinstance(event, Conflicting) else event.service


def _conflict(draft: Draft, heard: Heard) -> None:
    assert isinstance(heard.value, Charter)
    standing = draft.done()
    first = rival(standing, heard.value)
    earlier = joins(standing, heard.value)
    if first is None and earlier is not None:
        draft.conflict(heard, earlier.first, freezes=True)
    elif first is not None:
        draft.conflict(heard, first.item.statement, freezes=not first.stands(standing, heard))
