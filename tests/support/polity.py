"""Charters, officials and statements without cryptography: for the rules of `exclave.standing`.

    polity = make_polity(home=3, exile=(3, 3))         a charter with those rosters
    vault = Vantage(polity.charter)                    one vault's log, as the machine sees it
    vault.hear(polity.lockdown(), "p1")                an entry signed by that person
    vault.pass_time(10)                                seconds of service time
    vault.standing.locked

Persons are `h1`.. at home, `a1`.. of exile_1, `b1`.. of exile_2; `alarm` are all of home unless
said otherwise. Signatures are sets of persons. Keys are real but few: charters differ by their
fields.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from exclave.authority.agreement import (
    Act,
    AgreedSeat,
    Agreement,
    DelayFloors,
    Terminate,
    WitnessDuties,
)
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import (
    Official,
    Place,
    Role,
    RoleName,
)
from exclave.authority.charter_settings import Delays
from exclave.authority.keys import ED25519, X_WING, TypedKey
from exclave.authority.orders import (
    Compromise,
    Extend,
    Hold,
    Lift,
    Lockdown,
    Narrow,
    OrderHead,
    Release,
    Unlock,
    Veto,
    order_payload,
)
from exclave.authority.permission import Declare, DeclaredAct, Grant
from exclave.authority.warrant import Warrant, warrant_payload
from exclave.ids import DepositId, MissionId, PackRoot, PersonId, Seat, StatementHash
from exclave.ledger.entry import EntryType
from exclave.sealing.recovery import XWingPrivateKey
from exclave.standing.admission import admit
from exclave.standing.machine import Conflicting, advance, begin, follow
from exclave.standing.phases import Phase
from exclave.standing.values import Heard, Standing, Value, Witnessed
from tests.support.vault_world import new_world

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = 24 * 3600


@dataclass(frozen=True)
class SignedBy:
    """Persons who signed; every charter that has them counts them."""

    persons: frozenset[PersonId]

    def has(self, key: TypedKey) -> bool:
        """Whether a receiving state's key is among them."""
        return PersonId(key.key_id) in self.persons

    def by(self, charter: Charter) -> frozenset[PersonId]:
        """Those of them whom the charter knows."""
        return self.persons & {official.id for official in charter.officials}


def person(name: str) -> PersonId:
    """The id of a person by a short name; `host...` is a receiving state, `log1` a log."""
    if name.startswith("log"):
        return PersonId(_base().seats[int(name[3:]) - 1].log_key.key_id)
    if name.startswith("host"):
        return PersonId(host_key(name).key_id)
    return PersonId(f"p-{name.encode().hex():0>16}")


def host_key(name: str = "host") -> TypedKey:
    """The key of a receiving state by a short name."""
    return TypedKey(ED25519, name.encode().ljust(32, b"\x01"))


def roles(
    home: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    *,
    delays: dict[RoleName, int],
    threshold: int = 2,
    alarm: Sequence[str] | None = None,
) -> tuple[tuple[RoleName, Role], ...]:
    """Rosters in the charter's order; `delays` in seconds, 10 where not said."""

    def role(name: RoleName, members: Sequence[str], least: int) -> tuple[RoleName, Role]:
        return name, Role(
            threshold=least,
            members=tuple(sorted(person(item) for item in members)),
            delay=delays.get(name, 10),
            veto_window=0,
        )

    return (
        role(RoleName.GOVERN, home, threshold),
        role(RoleName.READ, home, threshold),
        role(RoleName.ALARM, home if alarm is None else alarm, 1),
        role(RoleName.RELEASE, home, threshold),
        role(RoleName.OVERRIDE, home, min(len(home), threshold + 1)),
        role(RoleName.EXILE_1, first, 2),
        role(RoleName.EXILE_2, second, 2),
    )


@cache
def _key() -> TypedKey:
    return TypedKey(X_WING, XWingPrivateKey.from_seed(b"\x07" * 32).public.raw)


@cache
def _base() -> Charter:
    return new_world().charter


def officials(names: Iterable[str]) -> tuple[Official, ...]:
    """Officials by short name; `h...` are at home."""
    return tuple(
        Official(
            id=person(name),
            place=Place.HOME if name.startswith("h") else Place.ABROAD,
            institution="ministry",
            key_sets=((TypedKey(ED25519, name.encode().ljust(32, b"\x00")),),),
            name_hash=b"\x00" * 32,
        )
        for name in sorted(names, key=person)
    )


def make_charter(
    *,
    home: int = 4,
    exile: tuple[int, int] = (3, 3),
    delays: dict[RoleName, int] | None = None,
    exile_change: int = 100,
    dark_factor: int = 3,
    **changes: object,
) -> Charter:
    """Charter 1 with that many persons."""
    here = [f"h{number}" for number in range(1, home + 1)]
    first = [f"a{number}" for number in range(1, exile[0] + 1)]
    second = [f"b{number}" for number in range(1, exile[1] + 1)]
    waits = {RoleName.EXILE_2: 20, RoleName.ALARM: 0} | (delays or {})
    return replace(
        _base(),
        officials=officials([*here, *first, *second]),
        rosters=roles(here, first, second, delays=waits),
        delays=Delays(dark_factor=dark_factor, exile_change=exile_change, warrant_life=1000),
        **changes,  # type: ignore[arg-type]
    )


@dataclass(kw_only=True)
class Polity:
    """Makes statements of one mission; every one is new."""

    first: Charter
    random: Callable[[int], bytes] = os.urandom  # the simulator repeats itself from a seed

    @property
    def mission(self) -> MissionId:
        """The mission id."""
        return self.first.mission_id

    def head(self, charter: Charter | None = None) -> OrderHead:
        """What every order has."""
        return OrderHead(
            mission=self.mission,
            charter=(charter or self.first).statement_hash,
            nonce=self.random(16),
            issued=START,
            reason="a test",
        )

    def veto(self, target: StatementHash) -> Veto:
        return Veto(head=self.head(), target=target)

    def lockdown(self) -> Lockdown:
        return Lockdown(head=self.head())

    def unlock(self, *lockdowns: StatementHash) -> Unlock:
        return Unlock(head=self.head(), lockdowns=tuple(sorted(lockdowns)))

    def hold(self, *deposits: DepositId) -> Hold:
        return Hold(head=self.head(), deposits=tuple(sorted(deposits)) or None)

    def lift(self, *holds: StatementHash) -> Lift:
        return Lift(head=self.head(), holds=tuple(sorted(holds)))

    def extend(self, until: datetime, *deposits: DepositId) -> Extend:
        return Extend(head=self.head(), deposits=tuple(sorted(deposits)) or None, until=until)

    def compromise(self, since: datetime, *names: str) -> Compromise:
        return Compromise(head=self.head(), depositors=names or ("home",), since=since)

    def narrow(self, compromise: StatementHash, since: datetime | None) -> Narrow:
        return Narrow(head=self.head(), compromise=compromise, since=since)

    def release(self, *packs: PackRoot) -> Release:
        return Release(head=self.head(), packs=tuple(sorted(packs)))

    def warrant(self, charter: Charter | None = None) -> Warrant:
        return Warrant(
            mission=self.mission,
            charter=(charter or self.first).statement_hash,
            nonce=self.random(16),
            purpose="a test",
            issued=START,
            expires=START + timedelta(days=300),
            deposits=None,
            reader=b"\x30\x00",
            reader_key=TypedKey(ED25519, b"\x00" * 32),
            unseal_key=_key(),
        )

    def agreement(self, before: Agreement | None = None, **changes: object) -> Agreement:
        """An agreement about seat 1, or the version after `before`."""
        if before is not None:
            changes = {"version": before.version + 1, "previous": hash_of(before)} | changes
            return replace(before, head=self.head(), **changes)  # type: ignore[arg-type]
        first = Agreement(
            head=self.head(),
            version=1,
            previous=None,
            state=self.first.seats[0].state,
            key=host_key(),
            seats=(AgreedSeat(seat=Seat(1), addresses=()),),
            capacity=10**9,
            retention=1,
            delays=DelayFloors(govern=0, read=0, release=0, exile_change=0),
            witness=WitnessDuties(seats=(Seat(2),), freshness=60),
            maintenance=(Act.ENTER, Act.POWER),
            notice=50,
            treaty=b"\x09" * 32,
            since=START,
            until=START + timedelta(days=365),
        )
        return replace(first, **changes)  # type: ignore[arg-type]

    def terminate(self, agreement: StatementHash) -> Terminate:
        return Terminate(head=self.head(), agreement=agreement)

    def grant(self, act: Act = Act.ENTER, seat: int = 1, days: int = 1) -> Grant:
        until = START + timedelta(days=days)
        return Grant(head=self.head(), seat=Seat(seat), act=act, since=START, until=until)

    def declare(self, seat: int = 1, days: int = 1) -> Declare:
        until = START + timedelta(days=days)
        act = DeclaredAct.RESTART
        return Declare(head=self.head(), seat=Seat(seat), act=act, since=START, until=until)

    def next(self, before: Charter | None = None, **changes: object) -> Charter:
        """The next version after a charter."""
        before = before or self.first
        changes.setdefault("notice", self.random(4).hex())
        return replace(
            before,
            mission=self.mission,
            version=before.version + 1,
            previous=before.statement_hash,
            **changes,  # type: ignore[arg-type]
        )

    def era(
        self,
        before: Charter | None = None,
        *,
        govern: RoleName = RoleName.EXILE_1,
        **changes: object,
    ) -> Charter:
        """A charter that opens the next era; its govern roster is exile_1's unless said."""
        before = before or self.first
        rosters = dict(before.rosters)
        abroad = rosters[govern].members
        governing = replace(rosters[RoleName.GOVERN], members=abroad, threshold=2)
        changes.setdefault("rosters", tuple((rosters | {RoleName.GOVERN: governing}).items()))
        changes.setdefault("notice", self.random(4).hex())
        return replace(
            before,
            mission=self.mission,
            era=before.era + 1,
            version=1,
            previous=before.statement_hash,
            **changes,  # type: ignore[arg-type]
        )


def host_polity(**settings: object) -> Polity:
    """The same, its charter pinning the receiving states' keys: `host` at seat 1, `host2` at 2."""
    pins = {Seat(1): "host", Seat(2): "host2"}
    seats = tuple(
        replace(seat, agreement=bytes.fromhex(host_key(pins.get(seat.seat, "host3")).key_id))
        for seat in _base().seats
    )
    return make_polity(seats=seats, **settings)


def make_polity(**settings: object) -> Polity:
    """A mission's charter 1 as `make_charter` makes it."""
    return Polity(first=make_charter(**settings))  # type: ignore[arg-type]


def hash_of(value: Value) -> StatementHash:
    """The statement hash of any value."""
    if isinstance(value, Charter):
        return value.statement_hash
    payload = warrant_payload(value) if isinstance(value, Warrant) else order_payload(value)
    return StatementHash(hashlib.sha256(payload).digest())


@dataclass
class Vantage:
    """One vault's log as the machine sees it; every statement is witnessed unless said."""

    charter: Charter
    seen: bool = True  # a quorum of witnesses answers at once
    seat: Seat | None = None  # one that joins
    standing: Standing = field(init=False)
    number: int = 0
    now: int = 0
    signed: dict[StatementHash, frozenset[PersonId]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.standing = begin(self._heard(self.charter, frozenset()), self.seat)

    def hear(self, value: Value, *names: str) -> StatementHash:
        """Admit and log a statement, or more signatures of one; raises as a vault refuses."""
        statement = hash_of(value)
        persons = self.signed.get(statement, frozenset()) | {person(name) for name in names}
        self.standing = advance(self.standing, self.now)
        kind = EntryType.SIGNATURES
        if statement not in self.signed:
            kind = admit(
                self.standing, self.charter.mission_id, statement, value, SignedBy(persons)
            )
        self.signed[statement] = persons
        heard = self._heard(value, persons)
        event = Conflicting(heard) if kind is EntryType.CONFLICT else heard
        self.standing = follow(self.standing, [event])
        if self.seen:
            self.witness()
        return statement

    def witness(self) -> None:
        """A quorum has seen the whole log."""
        event = Witnessed(covers=self.number, since=self.now)
        self.number += 1
        self.standing = follow(self.standing, [event])

    def pass_time(self, seconds: float) -> None:
        """Let service time pass."""
        self.now += int(1000 * seconds)
        self.standing = advance(self.standing, self.now)

    def phase(self, statement: StatementHash) -> Phase:
        """Where a statement stands."""
        return self.standing.items[statement].phase

    def _heard(self, value: Value, persons: frozenset[PersonId]) -> Heard:
        heard = Heard(
            number=self.number,
            service=self.now,
            logged=START + timedelta(milliseconds=self.now),
            statement=hash_of(value),
            value=value,
            signers=SignedBy(persons),
        )
        self.number += 1
        return heard
