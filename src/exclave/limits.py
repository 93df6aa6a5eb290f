"""What software cannot promise, in plain words for one charter (`exclave limits`).

A pure function from a charter to sentences. Each sentence says what can go wrong although
everything works as built; none may be dropped because it sounds bad. Figures are the charter's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Place, Role, RoleName, SeatType
from exclave.ids import PersonId
from exclave.plain_words import duration
from exclave.values import dataclass

__all__ = ["Limit", "departures", "limits", "older_layouts"]

_EXILE: Final = (RoleName.EXILE_1, RoleName.EXILE_2)
_ALARM: Final = (RoleName.ALARM, *_EXILE)
_OVERRIDE_FACTOR: Final = 2  # spec/standing.md 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One thing that cannot be promised."""

    name: str  # stable, for programs
    text: str


def limits(charter: Charter) -> tuple[Limit, ...]:
    """All limits that hold under this charter."""
    return (
        *_destruction(charter),
        *_reading(charter),
        *_depositor(charter),
        *_memory(),
        *_shares(charter),
        *_signing(charter),
        *_acting(charter),
        *_custody(charter),
        *_bags(charter),
        *_time(charter),
    )


def departures(charter: Charter, earlier: Iterable[Charter]) -> tuple[Limit, ...]:
    """What those can still do who left before this charter; `earlier` are charters before it."""
    here = {official.id for official in charter.officials}
    last: dict[str, Charter] = {}
    for known in sorted(earlier, key=lambda item: item.order):
        last |= {official.id: known for official in known.officials if official.id not in here}
    return tuple(
        Limit(
            name="departed",
            text=f"Official {person}, last in charter {known.era}.{known.version}, signs nothing "
            "that counts any more, but keeps the cards that he was given: those of "
            + ", ".join(f"epoch {epoch.epoch}" for epoch in known.recovery)
            + " count towards their groups for ever. Who holds which card no charter says: look "
            "it up where cards were handed out.",
        )
        for person, known in sorted(last.items())
    )


def older_layouts(charter: Charter, earlier: Iterable[Charter]) -> tuple[Limit, ...]:
    """What deposits of charters before this one are made with, where that was something else."""
    now = (charter.dispersal.k, charter.dispersal.n)
    return tuple(
        Limit(
            name="older-layout",
            text=f"Deposits made under charter {known.era}.{known.version} keep its "
            f"{known.dispersal.k} of {known.dispersal.n}: when {_fatal(known)} of the seats that "
            "it names are destroyed, nothing gives them back.",
        )
        for known in sorted(earlier, key=lambda item: item.order)
        if (known.dispersal.k, known.dispersal.n) != now
    )


def _fatal(charter: Charter) -> int:
    return charter.dispersal.n - charter.dispersal.k + 1


def _destruction(charter: Charter) -> Iterator[Limit]:
    k, n = charter.dispersal.k, charter.dispersal.n
    yield Limit(
        name="own-copy",
        text="A host can destroy its own copy: seats " + ", ".join(_hosts(charter)) + ".",
    )
    fatal = _fatal(charter)
    seats = "1 seat is" if fatal == 1 else f"{fatal} of {n} seats are"
    yield Limit(
        name="fatal-loss",
        text=f"Any {k} of {n} seats give everything back; when {seats} destroyed, nothing does.",
    )
    if n == 1:
        yield Limit(
            name="single-host",
            text="There is one seat: whoever holds it decides alone whether the data survives.",
        )
    if k == 1 and n > 1:
        yield Limit(
            name="whole-copies",
            text="k is 1: every host holds all of the encrypted data, whole.",
        )
    for state, seats_there in sorted(_by_state(charter).items()):
        if seats_there > n - k:
            yield Limit(
                name="state-fatal",
                text=f"State {state} alone holds {seats_there} of {n} seats: "
                "its loss is the loss of the data.",
            )
        if seats_there >= k and n > 1:
            yield Limit(
                name="state-suffices",
                text=f"State {state} alone holds {seats_there} seats, and {k} suffice to read "
                "with the recovery key.",
            )


def _reading(charter: Charter) -> Iterator[Limit]:
    k, epoch = charter.dispersal.k, charter.current_epoch
    read = charter.role(RoleName.READ)
    yield Limit(
        name="disks-and-shares",
        text=f"The disks of {k} {_plural(k, 'host')} and enough cards "
        f"({epoch.group_threshold} of {len(epoch.groups)} groups) read everything, without a "
        "warrant: the warrant binds vaults that obey, not disks that are taken.",
    )
    yield Limit(
        name="warrant-delay",
        text=f"A lawful reading waits {duration(read.delay)} after {read.threshold} of "
        f"{len(read.members)} officials signed: that is part of every recovery time.",
    )


def _depositor(charter: Charter) -> Iterator[Limit]:
    names = ", ".join(item.id for item in charter.depositors) or "none yet"
    yield Limit(
        name="garbage",
        text=f"A compromised depositor (in this charter: {names}) lodges garbage from then on, "
        "and sees what passes through it. What was lodged before stays.",
    )
    yield Limit(
        name="guess-confirmation",
        text="Whoever steals a depositor's dedup key together with its index can confirm guesses "
        "about chunks of past deposits; it opens none.",
    )
    yield Limit(
        name="files-remembered",
        text="So that unchanged files are not read again, a depositor remembers names, times and "
        "content hashes of the file trees that it deposited last. Whoever steals the dedup key "
        "together with that reads them, also of files that have been removed since; no content.",
    )


def _memory() -> Iterator[Limit]:
    yield Limit(
        name="swap",
        text="Secrets lie in the memory of machines that found, unseal, deposit or reconstruct. No "
        "core file is written, but what the system swaps out or keeps when it sleeps stays on its "
        "disk: switch both off there.",
    )


def _shares(charter: Charter) -> Iterator[Limit]:
    epoch = charter.current_epoch
    yield Limit(
        name="old-shares",
        text=f"Sharing the recovery key again does not revoke older cards: enough cards of share "
        f"set {epoch.share_set} of epoch {epoch.epoch} remain enough for ever.",
    )
    yield Limit(
        name="old-deposits",
        text="Older deposits keep the k and n that they were made with; this charter's "
        f"{charter.dispersal.k} of {charter.dispersal.n} holds for new ones.",
    )
    abroad = sum(group.place is Place.ABROAD for group in epoch.groups)
    if abroad == len(epoch.groups):
        yield Limit(
            name="home-powerless",
            text="All cards lie abroad: the homeland alone can never open its own deposits.",
        )


def _signing(charter: Charter) -> Iterator[Limit]:
    classical = [official.id for official in charter.officials if official.classical]
    if classical:
        yield Limit(
            name="classical-officials",
            text=f"{len(classical)} of {len(charter.officials)} officials sign with classical keys "
            f"only ({', '.join(classical)}): whoever has a quantum computer forges their "
            "signatures. The seal on the data does not rest on them.",
        )


def _acting(charter: Charter) -> Iterator[Limit]:
    """Who can do what, alone or together, at home and abroad, and after how long."""
    read, override = charter.role(RoleName.READ), charter.role(RoleName.OVERRIDE)
    factor, wait = charter.delays.dark_factor, _wait(read)
    home, abroad = _by_place(charter, read.members)
    able = [
        where for where, count in (("at home", home), ("abroad", abroad)) if count >= read.threshold
    ]
    alone = f"those {' or those '.join(able)} alone suffice" if able else "neither suffices alone"
    yield Limit(
        name="readers",
        text=f"{read.threshold} of {len(read.members)} officials of read ({home} at home, {abroad} "
        f"abroad; {alone}) open every deposit after {duration(wait)}, together with enough cards: "
        "whoever forces or bribes so many persons needs nothing else that the charter guards.",
    )
    alarm = {person for name in _ALARM for person in charter.role(name).members}
    here, there = _by_place(charter, alarm)
    yield Limit(
        name="lockdown-alone",
        text=f"Each of {len(alarm)} officials ({here} at home, {there} abroad) alone locks home "
        "down, at once and for no reason: only the exile rosters end it.",
    )
    passed = max(_OVERRIDE_FACTOR * wait, override.delay)
    yield Limit(
        name="delayed-by-one",
        text="Each of them alone vetoes a reading; "
        f"{override.threshold} of {len(override.members)} of override pass it all the same, "
        f"{duration(passed)} after that. So one official delays a reading by that long, and by a "
        "lockdown stops every reading of home for good, until exile reads or unlocks.",
    )
    yield Limit(
        name="dark-delay",
        text=f"Where no quorum of vaults answers, delays run {factor} times as long, a reading's "
        f"{duration(factor * wait)}, and then out: whoever cuts the lines delays, and whoever "
        "keeps everybody from looking for that long is not stopped.",
    )
    rosters = [(name, charter.role(name)) for name in _EXILE]
    yield Limit(
        name="exile-delays",
        text="Under a lockdown exile reads, unlocks or opens an era: "
        + ", ".join(
            f"{role.threshold} of {len(role.members)} of {name} after {duration(_wait(role))}"
            for name, role in rosters
        )
        + ". Whoever holds a threshold of one of them can do so without home, and the other can "
        "only be quicker, or veto.",
    )


def _wait(role: Role) -> int:
    """Seconds from enough signatures to effect, where a quorum of vaults answers."""
    return max(role.delay, role.veto_window)


def _by_place(charter: Charter, members: Iterable[PersonId]) -> tuple[int, int]:
    places = [charter.official(person).place for person in members]
    return places.count(Place.HOME), places.count(Place.ABROAD)


def _ordinal(number: int) -> str:
    """`` for the first, so that it reads `the largest`; else `2nd `."""
    ends = {1: "", 2: "2nd ", 3: "3rd "}
    return ends.get(number, f"{number}th ")


def _custody(charter: Charter) -> Iterator[Limit]:
    """What follows from epochs and places, and from the charter's own age."""
    k = charter.dispersal.k
    for epoch in charter.recovery:
        if not epoch.current:
            yield Limit(
                name="old-epoch",
                text=f"Whoever has {k} or more disks and enough cards of epoch {epoch.epoch} "
                f"(share set {epoch.share_set}, {epoch.group_threshold} of {len(epoch.groups)} "
                "groups) reads the deposits of that epoch without a warrant, also those who have "
                "left since. Its cards must be kept while any of its packs is.",
            )
    epoch = charter.current_epoch
    abroad = [group for group in epoch.groups if group.place is Place.ABROAD]
    states = sorted({group.state for group in abroad})
    persons = sum(official.place is Place.ABROAD for official in charter.officials)
    yield Limit(
        name="places-abroad",
        text=f"{len(abroad)} of {len(epoch.groups)} groups of cards and {persons} of "
        f"{len(charter.officials)} officials are abroad, in {len(states)} "
        f"{_plural(len(states), 'state')} ({', '.join(states)}): "
        + (
            "the loss of one of these places leaves too few groups there to open anything."
            if len(abroad) == epoch.group_threshold
            else "if home is lost, what remains of them is all that opens anything."
        ),
    )
    yield Limit(
        name="advisory-expiry",
        text=f"By {charter.advisory_expiry:%Y-%m-%d} this charter advises to be replaced. It "
        "warns and stays in force: nobody is locked out because nobody could sign a next one.",
    )


def _bags(charter: Charter) -> Iterator[Limit]:
    """What carried media and safes add: papers say what people say."""
    k = charter.dispersal.k
    safes = [seat for seat in charter.active_seats if seat.type is SeatType.SAFE]
    yield Limit(
        name="bags",
        text="Whoever carries a bag can lose or destroy it, and copy it: that shows only where its "
        "papers contradict each other. A bag is one seat's part of its deposits; with that seat's "
        f"key it counts as one of the {k} that reading needs.",
    )
    if safes:
        yield Limit(
            name="safes",
            text="Safes: "
            + ", ".join(f"{seat.seat} ({seat.state}, {seat.operator})" for seat in safes)
            + ". They have no server, delay nothing and log nothing themselves: whoever has the "
            f"bags and keys of {k} of them and enough cards reads without a warrant. A deposit is "
            "there only once its bag is." + _witnessing(charter, len(safes)),
        )
    if charter.settings.whole_deposit_bags:
        alone = (
            "whoever has a single one, its seat's key and enough cards reads all of it without a "
            "warrant."
            if k == 1
            else f"one of {k} safes opens with the keys of these safes and enough cards, without "
            f"a warrant. Of the promise that fewer than {k} hosts hold nothing, what is left for "
            "such a bag is that these keys lie apart from it and from each other."
        )
        yield Limit(
            name="whole-deposit-bags",
            text=f"This charter lets a bag carry whole deposits: {alone}",
        )
    elif k == 1:
        yield Limit(
            name="no-bags",
            text="With k = 1 every bag would hold whole deposits, which this charter does not "
            "allow: none can be packed, and a line that is cut has nothing in its place.",
        )


def _witnessing(charter: Charter, safes: int) -> str:
    """What safes cost the quorum of witnesses, which is counted over all seats."""
    witnesses = charter.dispersal.n - safes + len(charter.witness.external)
    if witnesses >= charter.witness.q:
        return ""
    return (
        f" They witness nothing: {witnesses} witnesses are left of the {charter.witness.q} that a "
        "quorum needs, so receipts stay provisional and delays run at the dark rate."
    )


def _time(charter: Charter) -> Iterator[Limit]:
    witness, n, k = charter.witness, charter.dispersal.n, charter.dispersal.k
    if witness.f == 0:
        total = n + len(witness.external)
        few = ": fewer than 4 cannot bear one" if total < 4 else ""
        yield Limit(
            name="no-liar-tolerated",
            text=f"With {n} {_plural(n, 'seat')} and {len(witness.external)} external witnesses no "
            f"lying witness is tolerated (f = 0{few}): one that lies about time or logs is noticed "
            "by comparison, not outvoted.",
        )
    yield Limit(
        name="receipts-provisional",
        text=f"A receipt is provisional, one vault's word, until {witness.q} of "
        f"{n + len(witness.external)} witnesses have cosigned its log; without a line between the "
        "vaults it stays so. Vaults do not ask external witnesses themselves.",
    )
    yield Limit(
        name="host-clocks",
        text="Whoever is root at a host sets its clocks and its log's times: at that one vault a "
        f"delay is as long as its host lets it be, and {k} such {_plural(k, 'host')} together open "
        "early what officials have signed. What may be removed is judged by the "
        f"{_ordinal(witness.f + 1)}largest of the witnesses' times besides: a host alone cannot "
        "hurry that, but it can destroy its own copy.",
    )
    yield Limit(
        name="not-built",
        text="Not carried out by this version, though the formats have their places: audits and "
        "repair between vaults (lost shards show only in the host's own check), filling a seat "
        "that joined with older packs, and drills as evidence in the logs.",
    )
    if charter.notice:
        yield Limit(name="notice", text=f"The charter itself says: {charter.notice}")


def _hosts(charter: Charter) -> list[str]:
    return [f"{seat.seat} ({seat.state}, {seat.operator})" for seat in charter.active_seats]


def _by_state(charter: Charter) -> dict[str, int]:
    counts: dict[str, int] = {}
    for seat in charter.active_seats:
        counts[seat.state] = counts.get(seat.state, 0) + 1
    return counts


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
