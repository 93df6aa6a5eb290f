"""`exclave drill --coerced`: home is occupied, and everybody there signs what they are told.

The occupier has all of home and one of three vaults (`exclave.demo.attack.occupier`). Abroad
there are two embassies with a few officials, their keys and their cards. He goes first, in every
scene; a consulate answers with one signed file. In the end it is looked at what is left: every
byte at the vaults that he does not hold, who could read, and what the state got back.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from exclave.authority.charter import charter_payload, parse_charter
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.orders import Unlock, Veto
from exclave.authority.record import DepositRecord
from exclave.authority.record_chain import LiveSet
from exclave.clock import format_time, now, parse_time
from exclave.demo.attack.estate import contents, garble_registers
from exclave.demo.attack.hands import Reading, statement_of
from exclave.demo.attack.occupier import HOME, OWN_SEAT, Occupier
from exclave.demo.attack.place import Place
from exclave.demo.attack.script import Script
from exclave.demo.founding import Law
from exclave.demo.stage import StepFailed
from exclave.ids import StatementHash
from exclave.reconstruct.warranting import ReaderParty
from exclave.values import dataclass, replace
from exclave.vault.interface import State

__all__ = ["COERCED"]

_OTHERS: Final = (2, 3)
"""Seats of the vaults that he does not hold."""
_ALL: Final = (1, 2, 3)
_EXILE: Final = ("ambassador-a", "consul-a")
_REFUSALS: Final = frozenset({"quorum", "signature", "not-open", "charter-gap", "conflict"})
_MIB: Final = 2**20
_OK: Final = 200
_REFUSED: Final = 300


@dataclass(slots=True, kw_only=True)
class _Deposited:
    """The state's last own deposit."""

    deposit: str
    record: DepositRecord
    live: LiveSet
    was: Mapping[str, str]
    until: datetime


@dataclass(slots=True, kw_only=True)
class _Pressure:
    """What the occupier has handed in, waiting at the vaults."""

    reader: ReaderParty
    warrant: Envelope
    charter: Envelope
    release: Envelope

    def names(self) -> Mapping[str, StatementHash]:
        """By what people call it."""
        return {
            "his warrant": StatementHash(self.warrant.statement_hash),
            "his charter": StatementHash(self.charter.statement_hash),
            "his release": StatementHash(self.release.statement_hash),
        }


def _act(place: Place) -> None:
    book = place.book
    with book.scene("The state's last own deposit"):
        occupier = Occupier.arrive(place)
        occupier.keep_image()
        deposited = _deposit(place, occupier)
    with book.scene("Home falls. He signs with every official there: read, change, release"):
        pressure = _press(place, occupier, deposited)
    with book.scene("He deletes by every verb"):
        _delete(place, occupier)
    with book.scene("He floods staging and quota, forges dates, and deposits garbage"):
        _flood(place, occupier)
    with book.scene("One consul locks down, with one file, at one vault"):
        lockdown = _lock_down(place, deposited, pressure)
    with book.scene("He goes on signing"):
        _go_on(place, occupier, lockdown)
    with book.scene("He moves the clocks of his vault, rolls it back, and burns it"):
        _own_vault(place, occupier, deposited, pressure)
    with book.scene("Exile signs a warrant, waits in public and unseals"):
        reading, answer = _read_by_exile(place, occupier, deposited)
    with book.scene("Reconstruction abroad from two vaults"):
        restored = place.stage.make("abroad", "restored")
        report = place.hands("embassy-a").reconstruct(reading, answer, restored)
        place.expect_restored(restored, deposited.was, report["proven"])
    with book.scene("What is left"):
        place.expect_all_there()
        locked = [place.reach.status(seat).locked for seat in _OTHERS]
        book.expect("the lockdown stands", all(locked), f"at {sum(locked)} of 2 vaults")


def _deposit(place: Place, occupier: Occupier) -> _Deposited:
    made = place.stage.run("deposit", "--config", place.home.config)
    place.book.expect(
        "the deposit is lodged at all three vaults",
        made["lodged"] == list(_ALL),
        f"seats {made['lodged']}",
    )
    record, live = occupier.newest()
    was = contents(place.registers)
    # The first second that surely lies after the deposit by the vaults' logs.
    until = now().replace(microsecond=0) + timedelta(seconds=2)
    time.sleep(max(0.0, (until - now()).total_seconds()))
    objects = place.remember(*_OTHERS)
    place.book.uses(f"{len(was)} files and rows at home, {objects} shards and bodies at seats 2, 3")
    return _Deposited(deposit=made["deposit"], record=record, live=live, was=was, until=until)


def _press(place: Place, occupier: Occupier, deposited: _Deposited) -> _Pressure:
    reader, warrant = occupier.demand_reading("inventory")
    pressure = _Pressure(
        reader=reader,
        warrant=warrant,
        charter=occupier.rewrite_charter(),
        release=occupier.release_all(deposited.live),
    )
    place.book.uses("all keys of officials at home: a warrant for every deposit,")
    place.book.uses("a charter with his people as exile and no delay anywhere,")
    place.book.uses(f"a release of all {len(deposited.live.packs)} packs")
    for envelope in (pressure.warrant, pressure.charter, pressure.release):
        for seat in _ALL:
            place.reach.submit(seat, envelope.to_bytes())
    for name, statement in pressure.names().items():
        states = place.reach.states(_ALL, statement)
        place.book.expect(f"{name} only waits", states == "waiting", states)
    _expect_unread(place, reader, deposited, _ALL, "nothing is read before the delay is over")
    _expect_sealed(place, occupier, reader)
    return pressure


def _expect_unread(
    place: Place, reader: ReaderParty, deposited: _Deposited, seats: Sequence[int], what: str
) -> None:
    came, said = 0, Counter[str]()
    for seat in seats:
        count, answers = place.reach.read(seat, reader.identity, deposited.live.packs)
        came += count
        said += answers
    asked = len(seats) * len(deposited.live.packs)
    # A vault that did not answer would show nothing.
    refused = said["identity"] + said["not-released"]
    place.book.expect(
        what, came == 0 and refused == asked > 0, f"{came} of {asked} shards came: {_times(said)}"
    )


def _times(said: Counter[str]) -> str:
    return ", ".join(f"{cause} {count} times" for cause, count in said.items())


def _expect_sealed(place: Place, occupier: Occupier, reader: ReaderParty) -> None:
    """Home's cards are one group of the two that are needed."""
    cards = sorted(place.home.cards.glob("card-*.txt"))
    out = occupier.folder / "unsealed.json"
    try:
        place.stage.run(
            *("unseal", reader.folder / "unseal-request.json", "--out", out, "--yes"),
            "--unsafe-without-warrant",
            *(word for card in cards[:2] for word in ("--card", card)),
        )
        said = "they opened it"
    except StepFailed as error:
        said = (error.hint or error.message).splitlines()[-1].removeprefix("hint: ")
    place.book.expect("home's cards alone unseal nothing", not out.exists(), said)


def _delete(place: Place, occupier: Occupier) -> None:
    place.book.uses("DELETE, PUT, PATCH, POST, MOVE, PURGE on every object and on the log, over")
    place.book.uses("mutual TLS with the depositor's key and his vault's key, and anonymously")
    tried = taken = same = 0
    heard = True
    for seat in _OTHERS:
        attempts = occupier.deletions(seat)
        for identity in (occupier.depositor_identity, occupier.own_vault, None):
            statuses = place.reach.send(seat, identity, attempts)
            tried += statuses.total()
            heard = heard and statuses[0] == 0
            # To a shard that is there a vault answers 200 and keeps the bytes that it has.
            same += statuses[_OK]
            taken += sum(count for status, count in statuses.items() if _OK < status < _REFUSED)
    place.book.expect(
        "no verb deletes or replaces",
        heard and tried > 0 and taken == 0,
        f"{tried} tried, {'each' if heard else 'NOT each'} answered, {taken} taken; "
        f"{same} times: it is there already",
    )
    place.expect_all_there()


def _flood(place: Place, occupier: Occupier) -> None:
    garble_registers(place.registers, os.urandom)
    made = place.stage.run("deposit", "--config", place.home.config)
    place.book.uses(f"the depositor's machine: garbage, lodged as deposit {made['deposit'][:8]}")
    record, live = occupier.newest()
    record, live, said = occupier.forget_everything(record, live)
    states = ", ".join(f"seat {seat}: {state}" for seat, state in said.items())
    place.book.uses(f"its signing keys: a record dated 2099 that drops everything ({states})")
    for seat in _OTHERS:
        count, quota = occupier.lodge_garbage(seat, record, live)
        put, staging = occupier.stage_garbage(seat)
        place.book.expect(
            f"seat {seat} bounds the flood",
            quota == "quota" and staging == "quota",
            f"after {count} records dated 1970 and {put} shards: {quota}, {staging}",
        )
    place.expect_all_there()


def _lock_down(place: Place, deposited: _Deposited, pressure: _Pressure) -> Path:
    consul = place.hands("embassy-a")
    place.stop(OWN_SEAT)  # he cuts his vault off, so that it never hears of it
    place.book.uses("the key of Jaan Kask, consul; the head of a card; a file carried to seat 2")
    file = consul.order("home is occupied", ("consul-a",), "lockdown")
    consul.hand_in(file, 2)
    heard = place.reach.until_locked(_OTHERS, locked=True)
    place.book.expect("both other vaults are locked", heard, "the file went to seat 2 alone")
    for name, statement in pressure.names().items():
        states = place.reach.states(_OTHERS, statement)
        place.book.expect(f"{name} is stopped for good", states == "stopped", states)
    since = format_time(deposited.until)
    stolen = consul.order(
        "the depositor is theirs", ("consul-a",), "compromise", "home", "--since", since
    )
    answers = consul.hand_in(stolen)
    logged = [seat for seat in _OTHERS if answers[str(seat)].get("state") == "logged"]
    place.book.expect(
        "the depositor's keys are declared compromised",
        bool(logged),
        f"since {parse_time(since):%H:%M:%S}, the end of the last own deposit",
    )
    return file


def _go_on(place: Place, occupier: Occupier, lockdown: Path) -> None:
    forger = occupier.forger
    _, warrant = occupier.demand_reading("inventory-again")
    unlock = forger.order(
        Unlock(head=forger.head("all is well"), lockdowns=(statement_of(lockdown),)), HOME
    )
    refused = {
        "a warrant of all of home": warrant.to_bytes(),
        "an unlock of all of home": unlock.to_bytes(),
        "a new era of his own": _era(occupier),
    }
    for name, statement in refused.items():
        said = {seat: place.reach.submit(seat, statement) for seat in _OTHERS}
        place.book.expect(
            f"{name} is refused",
            all(answer in _REFUSALS for answer in said.values()),
            ", ".join(f"seat {seat}: {answer}" for seat, answer in said.items()),
        )


def _era(occupier: Occupier) -> bytes:
    """His charter once more, as an era that only exile may open."""
    file = occupier.folder / "charter" / "charter.json"
    his = parse_charter(parse_envelope(file.read_bytes(), kinds=[Kind.CHARTER]))
    era = replace(his, era=his.era + 1, version=1)
    envelope = Envelope(payload=charter_payload(era), kind=Kind.CHARTER)
    return occupier.forger.sign(envelope, HOME).to_bytes()


def _own_vault(
    place: Place, occupier: Occupier, deposited: _Deposited, pressure: _Pressure
) -> None:
    place.book.uses(
        "root there: service time on its disk set past the delay, expiry time ten years on"
    )
    occupier.move_clocks()
    place.serve(OWN_SEAT)
    came, said = place.reach.read(OWN_SEAT, pressure.reader.identity, deposited.live.packs)
    place.book.uses(
        f"his own vault gives {came} of {len(deposited.live.packs)} shards"
        + (f" ({_times(said)})" if said else "")
        + ", which lie on his disk anyway; 2 of 3 are needed"
    )
    _expect_unread(
        place, pressure.reader, deposited, _OTHERS, "the other vaults give him no second shard"
    )
    late = [
        seat
        for seat in _OTHERS
        if parse_time(place.reach.status(seat).expiry) > now() + timedelta(minutes=1)
    ]
    place.book.expect("no clock of theirs moved", not late, f"{2 - len(late)} of 2 stand as before")
    _expect_named(place, occupier)


def _expect_named(place: Place, occupier: Occupier) -> None:
    grown = place.reach.status(OWN_SEAT).log_size
    place.stop(OWN_SEAT)
    occupier.roll_back()
    place.serve(OWN_SEAT)
    shown = place.reach.status(OWN_SEAT).log_size
    remembered = place.reach.witnessed(2, OWN_SEAT)
    place.book.uses(f"an image of its disk from before the deposit: {shown} entries, not {grown}")
    place.book.expect(
        "the others remember a longer log",
        remembered > shown,
        f"seat 2 cosigned {remembered} entries of seat 1, which now shows {shown}",
    )
    occupier.destroy_vault()
    place.book.uses("fire: his vault is gone")


def _read_by_exile(place: Place, occupier: Occupier, deposited: _Deposited) -> tuple[Reading, Path]:
    embassy, book = place.hands("embassy-a"), place.book
    reading = embassy.prepare("reading")
    book.expect(
        "the newest deposit that is not suspect is the state's own",
        reading.deposit == deposited.deposit,
        reading.deposit[:8],
    )
    embassy.sign(reading.file, _EXILE)
    embassy.submit(reading)
    book.uses("Kadri Saar and Jaan Kask, the first exile roster: a warrant")
    veto = occupier.forger.order(
        Veto(head=occupier.forger.head("no"), target=reading.warrant), ("chancellor",)
    )
    said = {place.reach.submit(seat, veto.to_bytes()) for seat in _OTHERS}
    book.expect("home's veto counts for nothing", said <= _REFUSALS, ", ".join(said))
    states = place.reach.until_state(_OTHERS, reading.warrant, State.RELEASED)
    book.expect("exile's warrant is released after its delay", states == "released", states)
    cards = [*place.cards("embassy-a"), *place.cards("embassy-b")]
    answer = embassy.unseal(reading, cards)
    book.uses("four cards of two embassies, on a machine without a network")
    return reading, answer


COERCED: Final = Script(
    name="--coerced",
    law=Law(delay=1800, exile_delay=4, daily=12 * _MIB, staging=2 * _MIB),
    act=_act,
)
