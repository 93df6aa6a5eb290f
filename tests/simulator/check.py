"""What must hold after every step, computed from the logs and not by the table's own functions.

Each check names its promise. The waits are those of charter 1 (10 s, exile_2 20 s, dark three
times as long), which no schedule shortens below them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName
from exclave.authority.orders import Lockdown, Unlock, Veto
from exclave.authority.warrant import Warrant
from exclave.ids import PersonId, StatementHash
from exclave.standing.phases import Phase
from exclave.standing.values import Item
from tests.simulator.world import RETENTION, Entry, Site, World, persons

WAIT, DARK, SETTLES = 10_000, 3, 100_000
HOME = persons("h1", "h2", "h3", "h4")
FIRST = persons("a1", "a2", "a3")
SECOND = persons("b1", "b2", "b3")
SIDES = (HOME | persons("b3"), FIRST, SECOND)
TRUSTY_EXILE = persons("a1", "a2", "b1", "b2", "b3")  # no charter of a schedule removes them


class Broken(AssertionError):
    """A promise does not hold; with the trace that led there."""


@dataclass
class Watch:
    """What has been seen of one vault's log."""

    read: int = 0
    open: set[StatementHash] = field(default_factory=set)
    stopped: set[StatementHash] = field(default_factory=set)
    effective: set[StatementHash] = field(default_factory=set)
    in_force: list[StatementHash] = field(default_factory=list)
    signed: dict[StatementHash, list[tuple[int, Entry]]] = field(default_factory=dict)


@dataclass
class Checker:
    """Call it after every step of a world."""

    watches: dict[int, Watch] = field(default_factory=dict)
    phases: set[Phase] = field(default_factory=set)  # that occurred: a check of the schedules

    def __call__(self, world: World) -> None:
        for site in world.honest:
            watch = self.watches.setdefault(site.number, Watch())
            try:
                self.phases |= {item.phase for item in site.standing.items.values()}
                self._read(site, watch)
                _check_locked(site, watch)
                _check_effects(site, watch)
                _check_charters(site, watch)
                _check_swept(site)
            except AssertionError as error:
                trace = "\n".join(world.trace)
                raise Broken(f"vault {site.number}: {error}\n{trace}") from error

    def _read(self, site: Site, watch: Watch) -> None:
        """Follow the new entries: lockdowns stop what home had complete, for good."""
        for number in range(watch.read, len(site.log)):
            entry = site.log[number]
            if entry.name is None:
                continue
            watch.signed.setdefault(entry.name, []).append((number, entry))
            unlocked = _unlocked(site)
            value = site.pool.names[entry.name]
            if isinstance(value, Lockdown) and entry.name not in unlocked:
                if not watch.open and not entry.locked:
                    watch.stopped |= _complete_at_home(site, watch, number)
                    _check_exile(site, entry)
                watch.open.add(entry.name)
        watch.read = len(site.log)
        watch.open -= _unlocked(site)


def _unlocked(site: Site) -> set[StatementHash]:
    return {
        name
        for item in site.standing.items.values()
        if isinstance(item.value, Unlock) and item.phase is Phase.EFFECTIVE
        for name in item.value.lockdowns
    }


def _complete_at_home(site: Site, watch: Watch, before: int) -> set[StatementHash]:
    """What a lockdown ends: enough of home signed, and it is not over and done."""
    found = set()
    for name, entries in watch.signed.items():
        enough = any(n < before and len(e.persons & HOME) >= 2 and not e.frozen for n, e in entries)
        done = name in watch.effective and not isinstance(site.pool.names[name], Warrant)
        # What was vetoed does not wait, and is not stopped: exile may override it as its own.
        done |= name in site.standing.vetoes
        # Home unlocks nothing, however many of it sign.
        done |= isinstance(site.pool.names[name], Unlock)
        if isinstance(site.pool.names[name], Warrant):
            done |= _exile_released(site, entries, site.standing.items.get(name), before)
            # Recounted under the charter in force then: with too few left it did not wait.
            members = set(_in_force(site, site.log[before].at).role(RoleName.READ).members)
            enough &= any(n < before and len(e.persons & members) >= 2 for n, e in entries)
        if enough and not done and name in site.standing.items:
            found.add(name)
    return found


def _exile_released(
    site: Site, entries: list[tuple[int, Entry]], item: Item | None, before: int
) -> bool:
    """Whether a warrant was exile's when it was released: then it runs on, whoever signed it."""
    if item is None or item.effective is None or item.effective > site.log[before].at:
        return False
    home = _first(entries, 2, sides=(HOME,))
    abroad = _first([e for e in entries if e[1].locked], 2, sides=(FIRST, SECOND))
    return (home is None or home[1].at >= item.effective) or (
        abroad is not None and abroad[1].at <= item.effective
    )


def _in_force(site: Site, at: int) -> Charter:
    """The charter in force at a moment of a vault's service time."""
    names = [name for name, since in site.standing.history if since <= at]
    return site.standing.charter_of(names[-1])


def _check_exile(site: Site, entry: Entry) -> None:
    """P6: whose rosters count abroad had been settled when the lockdown began."""
    named = site.standing.exile
    if named is None or not site.standing.open_lockdowns >= {entry.name}:
        return
    charter = site.standing.charter_of(named)
    since = dict(site.standing.history)[named]
    assert charter.version == 1 or since + SETTLES <= entry.at or since > entry.at, (
        f"the exile charter {charter.order} had not settled"
    )


def _check_locked(site: Site, watch: Watch) -> None:
    """P6: under a logged lockdown nothing that home alone signed is released."""
    for name, item in site.standing.items.items():
        if item.phase is not Phase.EFFECTIVE or not isinstance(item.value, Warrant):
            continue
        assert name not in watch.stopped, (
            f"{name.hex()[:6]}: a lockdown stopped it, and it is released"
        )
        if watch.open:
            assert not site.signed[name] <= HOME, "home reads under a lockdown"


def _check_effects(site: Site, watch: Watch) -> None:
    """P6: nothing takes effect before its wait, nor after a lockdown that found it complete."""
    for name, item in site.standing.items.items():
        if item.effective is None or name in watch.effective or item.number == 0:
            continue
        assert name not in watch.stopped, "what a lockdown had stopped took effect"
        bound = _bound(site, watch, name, item)
        assert item.effective >= bound, (
            f"{type(item.value).__name__} {name.hex()[:6]} took effect at {item.effective} ms, "
            f"not before {bound}"
        )
        watch.effective.add(name)


def _bound(site: Site, watch: Watch, name: StatementHash, item: Item) -> int:
    assert item.effective is not None
    entries = [(n, e) for n, e in watch.signed[name] if e.at <= item.effective]
    vetoed = _vetoed_at(site, watch, name, item)
    if vetoed is not None:
        entry = _first(entries, 3)
        assert entry is not None, (
            f"{name.hex()[:6]}: vetoed, and took effect without the override threshold"
        )
        # The first veto made it overriding, whoever's it was: no later one begins that anew.
        times, start = 2, max(entry[1].at, min(_vetoes(site, watch, name), default=vetoed))
        number = entry[0]
    else:
        entry = _first(entries, 2)
        assert entry is not None, "a statement took effect without its threshold"
        times, start, number = 1, entry[1].at, entry[0]
    if not any(len(e.persons & (HOME | FIRST)) >= 2 for _, e in entries) and not _swapped(site):
        times *= 2  # only the second exile roster signed
    seen = [e.at for n, e in enumerate(site.log) if n > number and e.name is None and e.at >= start]
    dark = start + DARK * WAIT * times
    return min(dark, seen[0] + WAIT * times) if seen else dark


def _swapped(site: Site) -> bool:
    """Whether some charter has made the second exile roster the first."""
    charters = [i.value for i in site.standing.items.values() if isinstance(i.value, Charter)]
    return any(SECOND & set(charter.role(RoleName.EXILE_1).members) for charter in charters)


def _first(
    entries: list[tuple[int, Entry]],
    least: int,
    *,
    sides: tuple[frozenset[PersonId], ...] = SIDES,
) -> tuple[int, Entry] | None:
    for number, entry in entries:
        if any(len(entry.persons & side) >= least for side in sides):
            return number, entry
    return None


def _vetoes(site: Site, watch: Watch, name: StatementHash) -> list[int]:
    """When anybody said no."""
    return [
        entries[0][1].at
        for veto, entries in watch.signed.items()
        if isinstance(value := site.pool.names[veto], Veto) and value.target == name
    ]


def _vetoed_at(site: Site, watch: Watch, name: StatementHash, item: Item) -> int | None:
    """When somebody said no whom nothing can take the voice from; None: nobody in time."""
    assert item.effective is not None
    times = [
        entry.at
        for veto, entries in watch.signed.items()
        for _, entry in entries
        if isinstance(value := site.pool.names[veto], Veto) and value.target == name
        if entry.persons & TRUSTY_EXILE and entry.at < item.effective
    ]
    if isinstance(item.value, Charter):
        abroad = {p for r in (RoleName.EXILE_1, RoleName.EXILE_2) for p in _members(item, r)}
        if not abroad >= TRUSTY_EXILE:
            return None
    return min(times, default=None)


def _members(item: Item, name: RoleName) -> tuple[PersonId, ...]:
    assert isinstance(item.value, Charter)
    return item.value.role(name).members


def _check_charters(site: Site, watch: Watch) -> None:
    """P6: charters follow their order, each after the one that it builds on."""
    standing = site.standing
    for number, (name, since) in enumerate(standing.history):
        if number < len(watch.in_force):
            continue
        watch.in_force.append(name)
        if number == 0:
            continue
        charter, before = standing.charter_of(name), standing.charter_of(watch.in_force[-2])
        if charter.order == before.order:
            assert site.signed[name] & FIRST, "a charter displaced another of its order"
        else:
            assert charter.order > before.order, f"{charter.order} came after {before.order}"
        if charter.version > 1:
            earlier = dict(standing.history[:number])
            assert charter.previous in earlier, "a charter came before its predecessor"
            assert earlier[charter.previous] <= since


def _check_swept(site: Site) -> None:
    """P3, P8: nothing is swept while it is retained, whatever the clocks of others say."""
    for pack, at in site.swept:
        assert at >= RETENTION, f"pack {pack} was swept at {at}, retained until {RETENTION}"
