"""Seven vaults without sockets, keys or disks: their logs, clocks, links, and what they keep.

A vault is a log, read by `exclave.standing`, and a clock. Mirroring, witnessing (spec/ledger.md 7)
and the sweep (spec/vault-http.md 8) are as the specification has them, reduced to who has which
entry. Statements are named by what made them, not by their bytes: the hash of a charter is slow,
and nothing here reads it. Times are seconds of the world; a vault's own clock may run on another
rate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Role, RoleName
from exclave.authority.orders import OrderHead
from exclave.errors import ExclaveError
from exclave.ids import MissionId, PersonId, StatementHash
from exclave.ledger.entry import EntryType
from exclave.standing.admission import admit
from exclave.standing.machine import Conflicting, Event, advance, begin, follow
from exclave.standing.phases import Phase
from exclave.standing.values import Heard, Item, Standing, Value, Witnessed
from tests.support.polity import START, Polity, SignedBy, make_charter, person

VAULTS, FAULTY, QUORUM = 7, 2, 5
HEARTBEAT = 1.0
RETENTION = 60.0
PACKS = 6


@cache
def first_charter() -> Charter:
    """Charter 1 of every schedule: delays of 10 s, of exile_2 20 s, dark three times as long."""
    return make_charter()


@cache
def first_name() -> StatementHash:
    return first_charter().statement_hash


@dataclass(kw_only=True)
class Pool(Polity):
    """Statements that repeat themselves from a seed, with names that cost nothing."""

    names: dict[StatementHash, Value] = field(default_factory=dict)

    @property
    def mission(self) -> MissionId:
        return MissionId(first_name())

    def head(self, charter: Charter | None = None) -> OrderHead:
        return OrderHead(
            mission=self.mission,
            charter=first_name(),
            nonce=self.random(16),
            issued=START,
            reason="a test",
        )

    def add(self, value: Value) -> StatementHash:
        """Name a statement."""
        name = StatementHash(hashlib.sha256(b"%d" % len(self.names)).digest())
        self.names[name] = value
        return name

    def charter_after(
        self, previous: StatementHash, before: Charter, era: int | None = None, **rosters: Role
    ) -> Charter:
        """The next version, or the first of that era, with these rosters changed."""
        changed = dict(before.rosters) | {RoleName(name): role for name, role in rosters.items()}
        return replace(
            before,
            mission=self.mission,
            previous=previous,
            era=before.era if era is None else era,
            version=before.version + 1 if era is None else 1,
            notice=self.random(4).hex(),
            rosters=tuple(changed.items()),
        )


@dataclass(kw_only=True)
class Entry:
    """What a log holds, and when (service time): all that the checks go by."""

    event: Event
    at: int
    name: StatementHash | None  # None: `witnessed`
    persons: frozenset[PersonId] = frozenset()
    conflict: bool = False
    locked: bool = False  # whether a lockdown stood before it
    frozen: bool = False  # whether a conflict stood before it: nothing was complete then


@dataclass(kw_only=True)
class Site:
    """One vault that follows its log honestly."""

    number: int
    pool: Pool
    rate: float = 1.0  # of its service clock
    wall_lie: float = 0.0  # what somebody has done to its wall clock
    up: bool = True
    standing: Standing = field(init=False)
    log: list[Entry] = field(default_factory=list)
    signed: dict[StatementHash, frozenset[PersonId]] = field(default_factory=dict)
    service: int = 0
    expiry: float = 0.0
    packs: set[int] = field(default_factory=lambda: set(range(PACKS)))
    swept: list[tuple[int, float]] = field(default_factory=list)  # pack, true time

    def __post_init__(self) -> None:
        heard = self._heard(first_name(), first_charter(), frozenset())
        self.standing = begin(heard)
        self.log.append(Entry(event=heard, at=0, name=first_name()))
        self.signed[first_name()] = frozenset()

    @property
    def frozen(self) -> bool:
        return self.standing.frozen_era is not None

    def tick(self, seconds: float) -> None:
        """Its service clock runs while it is up; what it lost while down stays lost."""
        if self.up:
            self.service += int(1000 * seconds * self.rate)
            self.standing = advance(self.standing, self.service)

    def hear(self, name: StatementHash, persons: frozenset[PersonId]) -> bool:
        """Take a statement as the table does; False when refused."""
        value = self.pool.names[name]
        known = self.signed.get(name)
        persons |= known or frozenset()
        if known is not None and persons == known:
            return True
        kind = EntryType.SIGNATURES
        if known is None:
            try:
                kind = admit(self.standing, self.pool.mission, name, value, SignedBy(persons))
            except ExclaveError:
                return False
        heard = self._heard(name, value, persons)
        conflict = kind is EntryType.CONFLICT
        self._append(Conflicting(heard) if conflict else heard, name, persons, conflict)
        self.signed[name] = persons
        return True

    def witness(self) -> None:
        """A quorum has cosigned its newest checkpoint; logged when that covers something new."""
        statements = [i for i, entry in enumerate(self.log) if entry.name is not None]
        covered = max((w.covers for w in self.standing.witnessed), default=0)
        if statements[-1] >= covered:
            self._append(Witnessed(covers=len(self.log), since=self.service), None, frozenset())

    def state(self, name: StatementHash) -> Phase | None:
        item = self.standing.items.get(name)
        return None if item is None else item.phase

    def held(self) -> bool:
        """Whether a hold stands: one that no effective lift names."""
        lifted = {
            hold
            for item in self.standing.items.values()
            if item.phase is Phase.EFFECTIVE
            for hold in getattr(item.value, "holds", ())
        }
        holds = {n for n, o in self.standing.tightened.items() if o.value.kind == "hold"}
        return bool(holds - lifted)

    def sweep(self, true_time: float) -> None:
        """Unlink what may be: conditions 1 to 3 of spec/vault-http.md 8."""
        if not self.up or self.held() or self.standing.locked or self.frozen:
            return
        if self.expiry < RETENTION:
            return
        for item in self.standing.items.values():
            if item.phase is Phase.EFFECTIVE:
                for root in getattr(item.value, "packs", ()):
                    if root[0] in self.packs:
                        self.packs.discard(root[0])
                        self.swept.append((root[0], true_time))

    def _append(
        self,
        event: Event,
        name: StatementHash | None,
        persons: frozenset[PersonId],
        conflict: bool = False,
    ) -> None:
        entry = Entry(
            event=event,
            at=self.service,
            name=name,
            persons=persons,
            conflict=conflict,
            locked=bool(self.log) and self.standing.locked,
            frozen=bool(self.log) and self.frozen,
        )
        self.standing = follow(self.standing, [event])
        self.log.append(entry)

    def _heard(self, name: StatementHash, value: Value, persons: frozenset[PersonId]) -> Heard:
        return Heard(
            number=len(self.log),
            service=self.service,
            logged=START + timedelta(milliseconds=self.service),
            statement=name,
            value=value,
            signers=SignedBy(persons),
        )


@dataclass(kw_only=True)
class World:
    """All vaults, the links between them, and true time. The first two vaults are faulty."""

    pool: Pool
    sites: list[Site]
    now: float = 0.0
    groups: dict[int, int] = field(default_factory=dict)  # vault -> side of the partition
    lies: dict[int, float] = field(default_factory=dict)  # faulty vault -> what its clock claims
    claims: set[int] = field(default_factory=set)  # faulty vaults that cosign unseen
    trace: list[str] = field(default_factory=list)
    after_step: Callable[[World], None] = lambda world: None

    @property
    def honest(self) -> list[Site]:
        return self.sites[FAULTY:]

    def say(self, text: str) -> None:
        self.trace.append(f"{self.now:8.1f}s  {text}")

    def reach(self, one: Site, other: Site) -> bool:
        """Whether two vaults are up and on one side."""
        same = self.groups.get(one.number, 0) == self.groups.get(other.number, 0)
        return one.up and other.up and same

    def pass_time(self, seconds: float) -> None:
        """Let true time pass."""
        self.now += seconds
        for site in self.sites:
            site.tick(seconds)
        self.after_step(self)

    def mirror(self, source: Site, target: Site, *, lost: Callable[[], bool]) -> None:
        """What the one has logged, in its order, as far as nothing is lost; refused comes again."""
        if not self.reach(source, target):
            return
        for entry in list(source.log):
            if entry.name is None:
                continue
            signers = source.signed[entry.name]
            if target.signed.get(entry.name) != signers and not lost():
                target.hear(entry.name, signers)

    def heartbeat(self, site: Site) -> None:
        """Hand the newest checkpoint round; a quorum's answer makes it witnessed."""
        if not site.up:
            return
        answering = [o for o in self.sites if o is site or self.reach(site, o)]
        number = {other.number for other in answering if other.number >= FAULTY}
        number |= self.claims | ({site.number} if site.number < FAULTY else set())
        number |= {o.number for o in answering if o.number < FAULTY and o.number not in self.lies}
        if len(number) < QUORUM:
            return
        site.witness()
        times = sorted((self._claimed(n) for n in number), reverse=True)
        least = min(self.now + site.wall_lie, site.service / 1000, times[FAULTY])
        site.expiry = max(site.expiry, least)

    def _claimed(self, number: int) -> float:
        site = self.sites[number]
        return self.lies.get(number, self.now + site.wall_lie)


def new_world(random_bytes: Callable[[int], bytes], rates: list[float]) -> World:
    """Seven vaults that have charter 1."""
    pool = Pool(first=first_charter(), random=random_bytes)
    pool.names[first_name()] = first_charter()
    sites = [Site(number=n, pool=pool, rate=rate) for n, rate in enumerate(rates)]
    return World(pool=pool, sites=sites)


def persons(*names: str) -> frozenset[PersonId]:
    """Persons by short name."""
    return frozenset(person(name) for name in names)


def items_of(site: Site) -> dict[StatementHash, Item]:
    return dict(site.standing.items)
