"""A standing that is being worked on: the events of spec/standing.md as methods.

Private to the machine, which makes it from a `Standing` and makes the next one from it; nobody
else sees it change. Rules: phases change through the transition table only (`_happen`); whatever
changes who counts (a charter in force, a lockdown) is followed at once by counting again.
"""

from __future__ import annotations

from collections.abc import Iterable

from exclave.authority.agreement import Agreement
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName
from exclave.authority.orders import Extend, Lockdown, Unlock, Veto
from exclave.authority.warrant import Warrant
from exclave.ids import PersonId, StatementHash
from exclave.standing.counting import (
    EXILE,
    may_tighten,
    objectors,
    overrides,
    role_members,
    settled,
    ways,
)
from exclave.standing.phases import Event, Phase, Sort, step
from exclave.standing.values import (
    Conflict,
    Heard,
    Item,
    Run,
    Side,
    Standing,
    Tightened,
    Way,
    Witnessed,
)
from exclave.values import replace

__all__ = ["Draft"]


class Draft:
    """Mutable twin of a `Standing`."""

    def __init__(self, standing: Standing) -> None:
        self._base = standing
        self.items = dict(standing.items)
        self._tightened = dict(standing.tightened)
        self._vetoes = dict(standing.vetoes)
        self._witnessed = list(standing.witnessed)
        # What only time, a lockdown or another charter can still move: few, however long the log.
        self._moving = {
            name
            for name, item in self.items.items()
            if item.pending or (item.sort is Sort.WARRANT and item.phase is Phase.EFFECTIVE)
        }

    def done(self) -> Standing:
        """The standing as it is now."""
        return replace(
            self._base,
            items=self.items,
            tightened=self._tightened,
            vetoes=self._vetoes,
            witnessed=tuple(self._witnessed),
        )

    # Time

    def advance(self, now: int) -> None:
        """Let service time pass; what is due on the way happens in its order."""
        while True:
            at, name = self._next()
            if name is None or at > now:
                break
            self._base = replace(self._base, now=max(self._base.now, at))
            self._fall_due(name)
        self._base = replace(self._base, now=max(self._base.now, now))

    def next_change(self) -> int | None:
        """When time alone changes something; None when it does not."""
        at, name = self._next()
        return None if name is None else at

    def witness(self, covers: int, since: int) -> None:
        """A quorum is known to have seen all entries below `covers`."""
        if not self._witnessed or covers > self._witnessed[-1].covers:
            self._witnessed.append(Witnessed(covers=covers, since=since))

    def due(self, item: Item) -> int | None:
        """When a pending item takes effect if nothing happens; None when it cannot yet."""
        times = [self._run_due(run) for run in item.runs]
        if not item.pending or not times:
            return None
        due = min(times)
        if isinstance(item.value, Charter) and item.value.version > 1:
            before = None if item.value.previous is None else self.items.get(item.value.previous)
            if before is None or before.effective is None or before.phase is not Phase.EFFECTIVE:
                return None  # a change never comes into force before the one it builds on
            due = max(due, before.effective)
        return due

    def _run_due(self, run: Run) -> int:
        seen = next((item.since for item in self._witnessed if item.covers > run.number), None)
        dark = run.since + run.way.dark
        return dark if seen is None else min(dark, max(seen, run.since) + run.way.wait)

    def _next(self) -> tuple[int, StatementHash | None]:
        """What time alone moves first, and when."""
        events: list[tuple[int, int, StatementHash]] = []
        for name in self._moving:
            item = self.items[name]
            at = item.ends if item.phase is Phase.EFFECTIVE else self.due(item)
            if at is not None:
                events.append((at, item.number, name))
        if not events:
            return 0, None
        at, _, first = min(events)
        return at, first

    def _fall_due(self, name: StatementHash) -> None:
        item = self.items[name]
        if item.phase is Phase.EFFECTIVE:
            self._happen(name, Event.LIFE_OVER)
            return
        at = self._base.now
        ends = None
        if isinstance(item.value, Warrant):
            ends = at + 1000 * self._standing().charter.delays.warrant_life
        self._happen(name, Event.DUE, effective=at, ends=ends)
        if isinstance(item.value, Charter):
            self._in_force(name)
        elif isinstance(item.value, Unlock):
            self._unlock()
        elif isinstance(item.value, Agreement):
            self._agree(name, item.value)

    # Statements

    def tighten(self, heard: Heard) -> None:
        """A tightening order takes effect, as far as anybody who counts signed it."""
        value = heard.value
        persons = may_tighten(self._standing(), value, heard.signers)
        known = self._tightened.get(heard.statement)
        persons |= frozenset() if known is None else known.persons
        assert not isinstance(value, Charter | Warrant)
        order = Tightened(
            statement=heard.statement,
            value=value,  # type: ignore[arg-type]
            persons=persons,
            number=heard.number if known is None else known.number,
            since=heard.service if known is None else known.since,
            logged=heard.logged if known is None else known.logged,
            by_threshold=self._by_threshold(heard, known),
        )
        self._tightened[heard.statement] = order
        if not persons:
            return
        if isinstance(value, Veto):
            earlier = self._vetoes.get(value.target, ())
            if heard.statement not in earlier:
                self._vetoes[value.target] = (*earlier, heard.statement)
            self._veto(value.target, heard.number, heard.service)
        elif isinstance(value, Lockdown) and heard.statement not in self._unlocked():
            self._lock(heard)

    def loosen(self, heard: Heard) -> None:
        """A loosening statement, or more signatures of one."""
        if any(item.second == heard.statement for item in self._base.conflicts):
            return  # more signatures of a charter that never had its slot
        known = self.items.get(heard.statement)
        if known is None:
            known = Item(
                statement=heard.statement,
                value=heard.value,
                signers=heard.signers,
                number=heard.number,
                logged=heard.service,
            )
            if isinstance(heard.value, Charter):
                self._open_era(heard.value)
        self.items[heard.statement] = replace(known, signers=heard.signers)
        if isinstance(heard.value, Charter) and known.number == heard.number:
            self._take_slot(heard.statement, heard.value)
        self._complete(heard.statement, heard.number, heard.service)
        self._veto(heard.statement, heard.number, heard.service)

    def conflict(self, heard: Heard, first: StatementHash, *, freezes: bool) -> None:
        """A second charter of one order: it is named, and what pends stops if that freezes."""
        assert isinstance(heard.value, Charter)
        conflict = Conflict(
            order=heard.value.order,
            first=first,
            second=heard.statement,
            charter=heard.value,
            freezes=freezes,
        )
        if conflict in self._base.conflicts:
            return
        self._base = replace(self._base, conflicts=(*self._base.conflicts, conflict))
        if freezes:
            self._all(Event.CONFLICT, [name for name in self._moving if not self._higher(name)])

    def contested(self) -> frozenset[StatementHash]:
        """The charters that are logged as in conflict with another."""
        return frozenset(conflict.second for conflict in self._base.conflicts)

    # What follows

    def _complete(self, name: StatementHash, number: int, at: int) -> None:
        item = self.items[name]
        if item.phase is Phase.VETOED:
            self._override(name, number, at)
        if item.phase not in {Phase.INCOMPLETE, Phase.WAITING}:
            return
        standing = self._standing()
        found = ways(standing, item.value, item.signers)
        if standing.joining:  # it has waited where it came from (spec/standing.md 10)
            found = tuple(replace(way, wait=0, dark=0) for way in found)
        # A roster waits once: no later signature starts again under shorter delays.
        new = [way for way in found if all(run.way.roster != way.roster for run in item.runs)]
        if new:
            runs = (*item.runs, *self._runs(new, number, at))
            self._happen(name, Event.COMPLETED, runs=runs)

    def _override(self, name: StatementHash, number: int, at: int) -> None:
        found = overrides(self._standing(), self.items[name])
        if found:
            self._happen(name, Event.OVERRIDDEN, runs=self._runs(found, number, at))

    def _veto(self, target: StatementHash, number: int, at: int) -> None:
        item = self.items.get(target)
        if item is None or item.phase not in {Phase.INCOMPLETE, Phase.WAITING}:
            return
        if any(self._against(item, veto) for veto in self._vetoes.get(target, ())):
            self._happen(target, Event.VETO, runs=())
            self._override(target, number, at)

    def _against(self, item: Item, veto: StatementHash) -> frozenset[PersonId]:
        """Who of a veto's signers counts against an item: nobody against his own removal."""
        persons = self._tightened[veto].persons
        if self._base.exile is not None:
            # Else home could veto before a lockdown what exile will sign under it.
            persons &= role_members(self._charter(self._base.exile), *EXILE)
        return persons & objectors(item.value) if isinstance(item.value, Charter) else persons

    def _lock(self, heard: Heard) -> None:
        begins = not self._base.open_lockdowns
        opened = self._base.open_lockdowns | {heard.statement}
        self._base = replace(self._base, open_lockdowns=opened)
        if not begins:
            return
        self._base = replace(self._base, exile=settled(self._standing(), heard.service))
        self._all(Event.LOCKDOWN, [n for n in self._moving if self.items[n].side is Side.HOME])
        for name in self._open():
            self._complete(name, heard.number, heard.service)
            self._veto(name, heard.number, heard.service)

    def _unlock(self) -> None:
        opened = self._base.open_lockdowns - self._unlocked()
        ends = bool(self._base.open_lockdowns) and not opened
        self._base = replace(self._base, open_lockdowns=opened)
        if ends:
            self._all(Event.UNLOCK, [name for name in self._moving if self.items[name].pending])
            self._base = replace(self._base, exile=None)

    def _unlocked(self) -> frozenset[StatementHash]:
        return frozenset(
            name
            for item in self.items.values()
            if isinstance(item.value, Unlock) and item.phase is Phase.EFFECTIVE
            for name in item.value.lockdowns
        )

    def _in_force(self, name: StatementHash) -> None:
        at, charter = self._base.now, self._charter(name)
        before = self._base.in_force
        history = (*self._base.history, (name, at))
        self._base = replace(self._base, in_force=name, history=history)
        if self._base.exile is not None and charter.version == 1:
            self._base = replace(self._base, exile=name)
        lower = [
            other
            for other, item in self.items.items()
            if isinstance(item.value, Charter) and item.value.order < charter.order
            and (other == before or item.effective is None)
        ]  # fmt: skip
        self._all(Event.SUPERSEDED, lower)
        self._recount()

    def _agree(self, name: StatementHash, agreement: Agreement) -> None:
        """The version before gives way, and whatever else would have followed it."""
        if agreement.previous is None:
            return
        others = [
            other
            for other, item in self.items.items()
            if isinstance(item.value, Agreement) and item.value.previous == agreement.previous
            and other != name
        ]  # fmt: skip
        self._all(Event.AMENDED, [agreement.previous, *others])

    def _recount(self) -> None:
        for name in sorted(self._moving, key=lambda item: self.items[item].number):
            item = self.items[name]
            if item.sort is Sort.CHARTER:
                continue
            runs = self._still(item)
            if runs:
                self.items[name] = replace(item, runs=runs)
            else:
                self._happen(name, Event.TOO_FEW, runs=(), effective=None, ends=None)

    def _still(self, item: Item) -> tuple[Run, ...]:
        """The runs of rosters that still are enough, each with the longer of both waits."""
        standing = self._standing()
        if item.side is Side.EXILE and not standing.locked:
            return item.runs  # exile's reads run on when home is back (spec/standing.md 4)
        if item.phase is Phase.OVERRIDING:
            found = overrides(standing, item)
        else:
            found = ways(standing, item.value, item.signers)
        # One in effect may have come by override, and then has no run of a plain way.
        if item.phase is Phase.EFFECTIVE:
            found = (*found, *overrides(standing, item))
        now = {way.roster: way for way in reversed(found)}
        return tuple(
            replace(run, way=_longer(run.way, now[run.way.roster]))
            for run in item.runs
            if run.way.roster in now
        )

    def _open_era(self, charter: Charter) -> None:
        """Remember who may open this era, when nobody has opened it yet."""
        base = self._standing()
        if charter.version == 1 and base.exile is not None and base.slot(charter.order) is None:
            openings = {**base.openings, charter.era: base.exile}
            self._base = replace(self._base, openings=openings)

    def _take_slot(self, name: StatementHash, charter: Charter) -> None:
        """Whoever had the slot gives way: he is dead, or the first exile roster beats him.

        A vetoed one too: overridden later, it would come into force beside its successor.
        """
        rivals = [
            other
            for other, item in self.items.items()
            if other != name
            and isinstance(item.value, Charter)
            and item.value.order == charter.order
        ]
        self._all(Event.SUPERSEDED, rivals)
        if self._base.in_force in rivals:
            # What was in force is no longer: nothing takes effect until this one does.
            self._all(Event.CONFLICT, list(self._moving))

    def _higher(self, name: StatementHash) -> bool:
        era, value = self._standing().frozen_era, self.items[name].value
        return era is not None and isinstance(value, Charter) and value.era > era

    # Bookkeeping

    def _all(self, event: Event, names: Iterable[StatementHash]) -> None:
        for name in sorted(names):
            self._happen(name, event)
            self._bereave(name)

    def _bereave(self, name: StatementHash) -> None:
        """A waiting charter whose predecessor died is stopped with it."""
        if not self.items[name].dead:
            return
        for other in list(self._moving):
            value = self.items[other].value
            if isinstance(value, Charter) and value.previous == name and value.version > 1:
                self._all(Event.BEREFT, [other])

    def _happen(self, name: StatementHash, event: Event, **changes: object) -> None:
        item = self.items[name]
        phase = step(item.sort, item.phase, event)
        item = replace(item, phase=phase, **changes)  # type: ignore[arg-type]
        self.items[name] = item
        moving = item.pending or (item.sort is Sort.WARRANT and phase is Phase.EFFECTIVE)
        (self._moving.add if moving else self._moving.discard)(name)
        if event is Event.VETO:
            self._bereave(name)

    def _open(self) -> list[StatementHash]:
        found = [n for n, i in self.items.items() if i.phase in {Phase.INCOMPLETE, Phase.VETOED}]
        return sorted(found, key=lambda name: self.items[name].number)

    def _runs(self, found: Iterable[Way], number: int, at: int) -> tuple[Run, ...]:
        return tuple(Run(way=way, number=number, since=at) for way in found)

    def _by_threshold(self, heard: Heard, known: Tightened | None) -> bool:
        if not isinstance(heard.value, Extend):
            return False
        charter = self._standing().charter
        role = charter.role(RoleName.RELEASE)
        signed = heard.signers.by(charter) & role_members(charter, RoleName.RELEASE)
        return len(signed) >= role.threshold or (known is not None and known.by_threshold)

    def _charter(self, name: StatementHash) -> Charter:
        value = self.items[name].value
        assert isinstance(value, Charter)
        return value

    def _standing(self) -> Standing:
        return replace(self._base, items=self.items, tightened=self._tightened)


def _longer(one: Way, other: Way) -> Way:
    return replace(one, wait=max(one.wait, other.wait), dark=max(one.dark, other.dark))
