"""What a custodian must see: each declared register against its RPO, seats, spool, forecasts.

Reads the plan, the catalogue and the journal; asks vaults for their public status unless told not
to. Writes nothing: a missing journal is reported, not made. Figures of vaults are their claims.
"""

from __future__ import annotations

import enum
import stat
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from exclave.authority.charter_parts import SeatEntry
from exclave.clock import now, parse_time
from exclave.deposit.catalogue import Catalogue, CatalogueEntry
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.journal.store import Journal
from exclave.plan import RegisterPlan, needs
from exclave.values import dataclass, replace
from exclave.wiring.depositor import ASKING_SECONDS, Home
from exclave.wiring.seat_places import reached, require_known, seat_addresses

if TYPE_CHECKING:
    from pathlib import Path

    from exclave.check.bags import SeatBags
    from exclave.evidence import Evidence, EvidenceStore
    from exclave.vault.interface import Answer, MissionStatus, PublicRecord

__all__ = [
    "APART",
    "Health",
    "Overview",
    "RegisterState",
    "SeatMemory",
    "SeatState",
    "ask_seats",
    "look_at_seats",
    "overview",
    "seat_memory",
    "spooled_bytes",
]


APART = 300
"""Seconds that two clocks which are kept right may be apart."""


class Health(enum.Enum):
    """How a register or seat stands."""

    GOOD = "good"
    LATE = "late"  # older than the RPO, or some seat does not hold it
    BAD = "bad"  # never deposited, refuted, back too late, begun after now, or a silent seat


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterState:
    """A declared register."""

    id: str
    title: str
    health: Health
    last: CatalogueEntry | None
    age: int | None  # seconds since its capture began
    rpo: int
    rto: int
    held: tuple[Seat, ...]  # seats that lodged its last deposit
    proof: Evidence | str | None  # the newest one of it; text: why it cannot be read
    drill: Evidence | str | None
    service_gap: str | None  # why its service would not come back with its data
    failed_needs: tuple[str, ...] = ()  # what it depends on and the last drill did not bring back

    @property
    def to_come(self) -> bool:
        """Whether its last deposit began after now: one of two clocks is wrong, its age unknown."""
        return self.age is not None and self.age < -APART

    @property
    def refuted(self) -> bool:
        """Whether its newest proof or drill did not pass, or is no longer to be read."""
        return any(
            isinstance(item, str) or (item is not None and not item.passed)
            for item in (self.proof, self.drill)
        )

    @property
    def too_late(self) -> bool:
        """Whether it came back in its newest drill, after its RTO."""
        drill = self.drill
        if drill is None or isinstance(drill, str) or drill.seconds is None:
            return False
        return drill.passed and drill.seconds > self.rto


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatState:
    """A seat of the charter."""

    seat: Seat
    state: str
    name: str
    health: Health
    late_shards: int
    spooled: int  # bytes
    answer: MissionStatus | str | None  # None: not asked; text: why there is no answer
    bags: SeatBags | None = None  # of a safe, or of a seat that has some
    bag_age: int | None = None  # seconds since what came last by a bag was sealed
    bag_limit: int | None = None  # seconds; None: there is a line to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All of it."""

    registers: tuple[RegisterState, ...]
    seats: tuple[SeatState, ...]
    spool_used: int
    spool_limit: int
    deposits_until_spool_full: int | None  # None: no seat is late, or nothing is known
    full_deposit: int | None  # bytes to send if journal and catalogue were lost; None: unknown
    journal_there: bool
    catalogue_there: bool

    @property
    def good(self) -> bool:
        """Nothing is late or bad."""
        items: list[RegisterState | SeatState] = [*self.registers, *self.seats]
        return self.journal_there and all(item.health is Health.GOOD for item in items)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatMemory:
    """What the journal knows of the seats."""

    late: Mapping[Seat, int]  # shards that each lacks
    lodged: Mapping[int, frozenset[Seat]]  # by sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class _Memory:
    """What the journal knows."""

    seats: SeatMemory
    live_bytes: int  # of sealed packs, divided by k: what each seat holds


def overview(home: Home, *, ask: bool) -> Overview:
    """The present state; `ask` also asks the vaults."""
    entries = Catalogue(home.settings.catalogue).entries()
    memory = _read_journal(home)
    answers = ask_seats(home) if ask else {}
    spooled = spooled_bytes(home)
    moment = now()
    bags = _bags(home, memory, entries, moment)
    lines = home.on_line
    seats = tuple(
        _by_bags(home, seat, bags.get(seat.seat), entries, moment, line=seat.seat in lines)
        for entry in home.party.charter.active_seats
        for seat in (_seat(entry, memory, spooled, answers.get(entry.seat)),)
    )
    a_seat = memory.live_bytes if memory is not None else None
    if a_seat is None and ask:
        a_seat = _full_from_vaults(home)
    evidence = _Kept(home.settings.evidence)
    used = sum(spooled.values())
    registers = [
        _register(register, entries, memory, lines, moment=moment, evidence=evidence)
        for register in home.plan.registers
    ]
    return Overview(
        registers=_with_needs(registers, home.plan.registers),
        seats=seats,
        spool_used=used,
        spool_limit=home.settings.spool_limit,
        deposits_until_spool_full=_until_full(home, entries, seats, used),
        full_deposit=None if a_seat is None else a_seat * len(seats),
        journal_there=memory is not None,
        catalogue_there=bool(entries),
    )


def ask_seats(home: Home) -> Mapping[Seat, MissionStatus | str]:
    """Every seat's public status, or why there is none."""
    return {
        seat: answer if isinstance(answer, str) else answer.status
        for seat, answer in look_at_seats(home).items()
    }


def look_at_seats(home: Home) -> Mapping[Seat, Answer | str]:
    """The same, with what the connections showed."""
    from exclave.vault.interface import Answer

    seats = {entry.seat: entry for entry in home.party.charter.active_seats}
    settings = home.settings
    named = {*settings.addresses, *settings.folders}
    require_known(seats, named)
    seats = reached(seats, named)
    at_hand = _ask_at_hand(home) if settings.folders else {}
    answers: dict[Seat, Answer | str] = {
        seat: answer if isinstance(answer, str) else Answer(status=answer)
        for seat, answer in at_hand.items()
    }
    called = [entry for seat, entry in seats.items() if seat not in settings.folders]
    if called:
        from exclave.vault.client.asked import Asked, ask_answers

        places = {
            entry.seat: Asked(
                seat=entry.seat,
                public=seat_addresses(entry, settings.addresses)[1],
                anchor=entry.identity,
            )
            for entry in called
        }
        answers |= ask_answers(home.party.mission, places, seconds=ASKING_SECONDS)
    return {seat: answers[seat] for seat in seats}


def _ask_at_hand(home: Home) -> Mapping[Seat, MissionStatus | str]:
    from exclave.wiring.asking import asking

    with asking(home, only=home.settings.folders) as (loop, records):
        return loop.run(_ask_all(records))


def _full_from_vaults(home: Home) -> int | None:
    """What the newest deposit takes at one seat, by the records that the vaults show."""
    from exclave.vault.survey.survey import survey
    from exclave.wiring.asking import asking

    try:
        with asking(home) as (loop, records):
            view = loop.run(survey(list(records.values()), home.party.mission))
    except ExclaveError:
        return None  # that seats do not answer is said elsewhere
    mine = [item for item in view.deposits if item.record.depositor == home.party.id]
    newest = max(mine, key=lambda item: item.record.sequence, default=None)
    if newest is None or newest.live is None:
        return None
    return sum(-(-pack.length // pack.k) for pack in newest.live.packs.values())


async def _ask_all(records: Mapping[Seat, PublicRecord]) -> Mapping[Seat, MissionStatus | str]:
    import asyncio

    answers = await asyncio.gather(*(_ask(record) for record in records.values()))
    return dict(zip(records, answers, strict=True))


async def _ask(record: PublicRecord) -> MissionStatus | str:
    try:
        return await record.status()
    except ExclaveError as error:
        return error.message


def seat_memory(home: Home) -> SeatMemory | None:
    """What the journal knows of the seats; None where there is none."""
    memory = _read_journal(home)
    return None if memory is None else memory.seats


def _read_journal(home: Home) -> _Memory | None:
    party, path = home.party, home.settings.journal
    if not path.exists():
        return None
    journal = Journal.open(path, mission=party.mission, depositor=party.id, epoch=party.epoch)
    try:
        return _Memory(
            seats=SeatMemory(
                late={seat: len(journal.late_shards(seat)) for seat in party.seats},
                lodged=journal.lodgings(),
            ),
            live_bytes=journal.live_size(),
        )
    finally:
        journal.close()


def spooled_bytes(home: Home) -> dict[Seat, int]:
    """What waits in the spool, by seat."""
    # Not by opening the spool, which cleans it up: a deposit may be at work.
    folder = home.settings.spool
    sizes: dict[Seat, int] = {}
    for place in folder.glob("[0-9]*") if folder.is_dir() else ():
        sizes[Seat(int(place.name))] = sum(map(_length, place.iterdir()))
    return sizes


def _length(file: Path) -> int:
    """Of a file; none when it was delivered in this moment."""
    try:
        state = file.stat()
    except FileNotFoundError:
        return 0
    return state.st_size if stat.S_ISREG(state.st_mode) else 0


def _register(
    plan: RegisterPlan,
    entries: Sequence[CatalogueEntry],
    memory: _Memory | None,
    lines: Collection[Seat],
    *,
    moment: datetime,
    evidence: _Kept,
) -> RegisterState:
    """`lines`: the seats that deposits are sent to."""
    last = next(
        (e for e in reversed(entries) if any(item.id == plan.id for item in e.registers)), None
    )
    held = frozenset[Seat]()
    if last is not None and memory is not None:
        held = memory.seats.lodged.get(last.sequence, held)
    age = None if last is None else int((moment - parse_time(last.started)).total_seconds())
    state = RegisterState(
        id=plan.id,
        title=plan.title,
        health=Health.GOOD,
        last=last,
        age=age,
        rpo=plan.rpo,
        rto=plan.rto,
        held=tuple(sorted(held)),
        proof=evidence.latest("proof", plan.id),
        drill=evidence.latest("drill", plan.id),
        service_gap=plan.service_gap,
    )
    if age is None or state.to_come or state.refuted or state.too_late:
        return replace(state, health=Health.BAD)
    return replace(state, health=Health.LATE) if age > plan.rpo or set(lines) - held else state


def _with_needs(
    states: Sequence[RegisterState], plans: Sequence[RegisterPlan]
) -> tuple[RegisterState, ...]:
    """What depends on a register that a drill did not bring back is no better than that one."""
    failed = {
        state.id
        for state in states
        if state.drill is not None and not isinstance(state.drill, str) and not state.drill.passed
    }
    found: list[RegisterState] = []
    for state, plan in zip(states, plans, strict=True):
        needed = tuple(sorted(failed & needs(plan, plans)))
        changed = replace(state, health=Health.BAD, failed_needs=needed) if needed else state
        found.append(changed)
    return tuple(found)


class _Kept:
    """Certificates at home; a damaged one is said and keeps nothing else from being seen."""

    def __init__(self, folder: Path) -> None:
        self._store: EvidenceStore | None = None
        if folder.is_dir():
            # Who has never proven or drilled anything is spared what reads certificates.
            from exclave.evidence import EvidenceStore

            self._store = EvidenceStore(folder)

    def latest(self, kind: str, register: str) -> Evidence | str | None:
        """The newest of one kind that concerns a register."""
        try:
            return None if self._store is None else self._store.latest(kind, register)
        except ExclaveError as error:
            return error.message


def _seat(
    entry: SeatEntry,
    memory: _Memory | None,
    spooled: Mapping[Seat, int],
    answer: MissionStatus | str | None,
) -> SeatState:
    seat = entry.seat
    late = 0 if memory is None else memory.seats.late.get(seat, 0)
    behind = memory is not None and any(seat not in held for held in memory.seats.lodged.values())
    health = Health.LATE if late or behind else Health.GOOD
    return SeatState(
        seat=seat,
        state=entry.state,
        name=entry.vault,
        health=Health.BAD if isinstance(answer, str) else health,
        late_shards=late,
        spooled=spooled.get(seat, 0),
        answer=answer,
    )


def _bags(
    home: Home, memory: _Memory | None, entries: Sequence[CatalogueEntry], moment: datetime
) -> Mapping[Seat, SeatBags]:
    """By what the last check read of the logs, and what was laid at home."""
    if not home.party.charter.safes and not home.settings.bags.papers.is_dir():
        return {}
    # Who sends no bags is spared what reads their papers.
    from exclave.wiring.bag_watch import kept_papers, watch_bags

    known = None if memory is None else memory.seats
    papers = kept_papers(home).papers
    return {item.seat: item for item in watch_bags(home, papers, known, entries, moment)}


def _by_bags(
    home: Home,
    seat: SeatState,
    bags: SeatBags | None,
    entries: Sequence[CatalogueEntry],
    moment: datetime,
    *,
    line: bool,
) -> SeatState:
    """The same with its bags: a safe is late when its newest is too old, not between two."""
    newest = None if bags is None else bags.newest
    age = None if newest is None else max(0, int((moment - newest).total_seconds()))
    if line:
        return replace(seat, bags=bags, bag_age=age)
    limit = home.settings.bags.newest
    waits = age
    if age is None and entries:
        waits = int((moment - min(parse_time(e.started) for e in entries)).total_seconds())
    late = waits is not None and waits > limit
    health = Health.LATE if late else Health.GOOD
    return replace(seat, health=health, bags=bags, bag_age=age, bag_limit=limit)


def _until_full(
    home: Home, entries: Sequence[CatalogueEntry], seats: Sequence[SeatState], used: int
) -> int | None:
    # What a safe lacks waits for the next bag, however good it is until then.
    late = sum(seat.health is not Health.GOOD or seat.bag_limit is not None for seat in seats)
    if not late or not entries:
        return None
    recent = entries[-5:]
    a_seat = max((sent for entry in recent for _, sent in entry.sent), default=0)
    return max(0, home.settings.spool_limit - used) // (a_seat * late) if a_seat else None
