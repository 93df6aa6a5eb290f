"""Every sort, phase and event: where each leads, written down a second time and in another form."""

import itertools

import pytest

from exclave.standing.phases import FINAL, TRANSITIONS, Event, Phase, Sort, step

E, P = Event, Phase
RECOUNTED = ("warrant", "order", "agreement")
# A row a phase; an event that is not named leaves it where it is. `=` all sorts.
PINNED: dict[Phase, dict[Event, dict[str, Phase]]] = {
    P.INCOMPLETE: {
        E.COMPLETED: {"=": P.WAITING},
        E.VETO: {"=": P.VETOED},
        E.SUPERSEDED: {"charter": P.SUPERSEDED},
        E.LIFE_OVER: {"warrant": P.EXPIRED},
        E.AMENDED: {"agreement": P.SUPERSEDED},
    },
    P.WAITING: {
        E.VETO: {"=": P.VETOED},
        E.DUE: {"=": P.EFFECTIVE},
        E.TOO_FEW: dict.fromkeys(RECOUNTED, P.INCOMPLETE),
        E.LOCKDOWN: {"=": P.STOPPED},
        E.UNLOCK: {"=": P.STOPPED},
        E.CONFLICT: {"=": P.STOPPED},
        E.BEREFT: {"charter": P.STOPPED},
        E.SUPERSEDED: {"charter": P.SUPERSEDED},
        E.LIFE_OVER: {"warrant": P.EXPIRED},
        E.AMENDED: {"agreement": P.SUPERSEDED},
    },
    P.OVERRIDING: {
        E.DUE: {"=": P.EFFECTIVE},
        E.TOO_FEW: dict.fromkeys(RECOUNTED, P.VETOED),
        E.LOCKDOWN: {"=": P.STOPPED},
        E.UNLOCK: {"=": P.STOPPED},
        E.CONFLICT: {"=": P.STOPPED},
        E.BEREFT: {"charter": P.STOPPED},
        E.SUPERSEDED: {"charter": P.SUPERSEDED},
        E.LIFE_OVER: {"warrant": P.EXPIRED},
        E.AMENDED: {"agreement": P.SUPERSEDED},
    },
    P.VETOED: {
        E.OVERRIDDEN: {"=": P.OVERRIDING},
        E.SUPERSEDED: {"charter": P.SUPERSEDED},
        E.LIFE_OVER: {"warrant": P.EXPIRED},
        E.AMENDED: {"agreement": P.SUPERSEDED},
    },
    P.EFFECTIVE: {
        E.TOO_FEW: {"warrant": P.INCOMPLETE},
        E.LOCKDOWN: {"warrant": P.STOPPED},
        E.SUPERSEDED: {"charter": P.SUPERSEDED},
        E.LIFE_OVER: {"warrant": P.EXPIRED},
        E.AMENDED: {"agreement": P.SUPERSEDED},
    },
    P.STOPPED: {},
    P.SUPERSEDED: {},
    P.EXPIRED: {},
}
TRIPLES = [*itertools.product(Sort, Phase, Event)]


@pytest.mark.parametrize(("sort", "phase", "event"), TRIPLES)
def test_each_triple_leads_where_it_is_pinned(sort: Sort, phase: Phase, event: Event) -> None:
    row = PINNED[phase].get(event, {})
    assert step(sort, phase, event) is row.get("=", row.get(sort.value, phase))


def test_there_are_as_many_triples_as_there_should_be() -> None:
    assert len(TRIPLES) == 4 * 8 * 12


@pytest.mark.parametrize("phase", sorted(FINAL, key=str))
def test_nothing_leads_out_of_a_final_phase(phase: Phase) -> None:
    assert all(step(sort, phase, event) is phase for sort in Sort for event in Event)


def test_no_triple_stands_in_the_table_twice() -> None:
    keys = [key for row in TRANSITIONS for key in row]
    assert len(keys) == len(set(keys))


def test_only_what_is_due_takes_effect() -> None:
    into = {row.event for row in TRANSITIONS if row.to is Phase.EFFECTIVE}
    assert into == {Event.DUE}


def test_what_tightens_never_leads_nearer_to_effect() -> None:
    tightening = {E.VETO, E.TOO_FEW, E.LOCKDOWN, E.CONFLICT, E.BEREFT, E.SUPERSEDED, E.LIFE_OVER}
    tightening.add(E.AMENDED)
    for row in TRANSITIONS:
        if row.event in tightening:
            assert row.to not in {Phase.WAITING, Phase.OVERRIDING, Phase.EFFECTIVE}
