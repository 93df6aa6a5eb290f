"""`exclave drill --saboteur`: one official says no to everything, for as long as he has a say.

Jaan Kask, consul, may raise the alarm and sits in the first exile roster. He alone vetoes, locks
down as often as he may, holds and extends. Nobody else does wrong. What is shown is that he delays
and cannot end anything: the state overrides him, exile opens an era without him, and reads and
deposits go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exclave.authority.annex import parse_annex
from exclave.authority.orders import Extend, Hold, Lockdown, Order, OrderHead, Veto
from exclave.demo.attack.estate import contents, fill_registers
from exclave.demo.attack.hands import Forger, Hands, statement_of
from exclave.demo.attack.place import Place
from exclave.demo.attack.script import Script
from exclave.demo.founding import Law, Person, quoted
from exclave.demo.mission import make_official, person
from exclave.ids import StatementHash
from exclave.values import dataclass
from exclave.vault.interface import State
from exclave.wiring.files import load_charter

__all__ = ["SABOTEUR"]

_HE: Final = "consul-a"
_SUCCESSOR: Final = Person(
    label="consul-c", name="Peeter Org", place="abroad", institution="embassy-a"
)
_READERS: Final = ("chancellor", "minister")
_OVERRIDE: Final = ("minister", "registrar", "ambassador-a", "ambassador-b")
"""With the chancellor, who has signed already, everybody of the override roster."""
_RELEASE: Final = ("chancellor", "minister", "registrar")
_EXILE: Final = ("ambassador-a", "attache-a")
_ALL: Final = (1, 2, 3)
_MORE_THAN_HE_MAY: Final = 40
_PLACES: Final = 16
_FOR_EVER: Final = datetime(2100, 1, 1, tzinfo=UTC)
_REFUSED: Final = frozenset({"quorum", "quota", "signature"})


@dataclass(slots=True, kw_only=True)
class _Sabotage:
    """The place, the people at home, and what he gave."""

    place: Place
    home: Hands
    exile: Hands
    he: Forger

    def says(self, order: Order) -> str:
        """He hands an order in at one vault, which tells the others."""
        return self.place.reach.submit(1, self.he.order(order, (_HE,)).to_bytes())

    def head(self) -> OrderHead:
        """Of his next order."""
        return self.he.head("no")


def _act(place: Place) -> None:
    book = place.book
    sabotage = _Sabotage(
        place=place,
        home=Hands(
            stage=place.stage,
            card=sorted(place.home.cards.glob("card-*.txt"))[0],
            desk=place.stage.make("home", "desk"),
        ),
        exile=place.hands("embassy-a"),
        he=Forger(stage=place.stage, law=place.charter),
    )
    with book.scene("Home wants to read; he vetoes; five override"):
        _deposit(place)
        warrant = _override(sabotage)
    with book.scene("He locks down as often as he may, holds and extends"):
        lockdowns = _lock_down(sabotage, warrant)
        fill_registers(place.registers, seed=2)
        _deposit(place)
    with book.scene("Exile opens an era without him"):
        charter = _open_era(sabotage)
    with book.scene("Exile unlocks; he has no say any more"):
        _unlock(sabotage, charter, lockdowns)
    with book.scene("Home reads again"):
        _read(sabotage)
    with book.scene("Home deposits again"):
        fill_registers(place.registers, seed=3)
        _deposit(place)
        place.expect_all_there()


def _deposit(place: Place) -> None:
    made = place.stage.run("deposit", "--config", place.home.config)
    place.book.expect(
        "a deposit is lodged at all three vaults",
        made["lodged"] == list(_ALL),
        f"seats {', '.join(map(str, made['lodged']))}",
    )
    place.remember(*_ALL)


def _override(sabotage: _Sabotage) -> StatementHash:
    place, home = sabotage.place, sabotage.home
    reading = home.prepare("inventory")
    # He is quick: the warrant has one signature when his veto arrives.
    home.sign(reading.file, _READERS[:1])
    home.submit(reading)
    sabotage.says(Veto(head=sabotage.head(), target=reading.warrant))
    states = place.reach.until_state(_ALL, reading.warrant, State.VETOED)
    place.book.expect("his veto stops a warrant at every vault", states == "vetoed", states)
    home.sign(reading.file, _OVERRIDE)
    home.submit(reading)
    sabotage.says(Veto(head=sabotage.head(), target=reading.warrant))
    states = place.reach.until_state(_ALL, reading.warrant, State.RELEASED)
    place.book.expect(
        "overridden by five, it cannot be vetoed again and is released",
        states == "released",
        states,
    )
    return reading.warrant


def _lock_down(sabotage: _Sabotage, warrant: StatementHash) -> Sequence[StatementHash]:
    place = sabotage.place
    given: list[StatementHash] = []
    said = "nothing"
    for _ in range(_MORE_THAN_HE_MAY):
        order = sabotage.he.order(Lockdown(head=sabotage.head()), (_HE,))
        said = place.reach.submit(1, order.to_bytes())
        if said != "logged":
            break
        given.append(StatementHash(order.statement_hash))
    place.book.expect(
        "he may lock down only so often on a day",
        len(given) == _PLACES and said == "quota",
        f"{len(given)} times, then: {said}",
    )
    locked = place.reach.until_locked(_ALL, locked=True)
    states = place.reach.until_state(_ALL, warrant, State.STOPPED)
    place.book.expect(
        "home is frozen, and its released warrant stopped", locked and states == "stopped", states
    )
    held = sabotage.says(Hold(head=sabotage.head(), deposits=None))
    kept = sabotage.says(Extend(head=sabotage.head(), deposits=None, until=_FOR_EVER))
    place.book.uses(f"he holds all deposits ({held}) and extends all to 2100 ({kept}):")
    place.book.uses("nothing is lost by that, and one person extends to twice the retention only")
    return given


def _open_era(sabotage: _Sabotage) -> Path:
    place, exile = sabotage.place, sabotage.exile
    out = exile.desk / "era-2"
    exile.run(
        *("charter", "draft", _changes(sabotage), "--charter", place.home.charter, "--era"),
        *("--annex", place.home.mission / "annex.json", "--out", out),
    )
    file = out / "charter.json"
    exile.sign(file, (*_EXILE, *_READERS), place.home.charter)
    exile.run("charter", "submit", out)
    statement = statement_of(file)
    place.book.uses("two of the first exile roster and two at home sign a charter of era 2, in")
    place.book.uses(f"which {_SUCCESSOR.name} follows him")
    sabotage.says(Veto(head=sabotage.head(), target=statement))
    states = place.reach.until_state(_ALL, statement, State.EFFECTIVE)
    place.book.expect(
        "his veto does not count against his own removal, and era 2 is in force",
        states == "effective",
        states,
    )
    return file


def _changes(sabotage: _Sabotage) -> Path:
    place = sabotage.place
    public = place.stage.make("abroad", _SUCCESSOR.institution)
    make_official(place.stage, _SUCCESSOR, public)
    annex = parse_annex((place.home.mission / "annex.json").read_bytes())
    (he,) = (entry.id for entry in annex if entry.name == person(_HE).name)
    file = sabotage.exile.desk / "changes.toml"
    file.write_text(
        f'mission = "{place.charter.mission_id.hex()}"\nafter = "1.1"\n\n'
        f'[labels]\n{_HE} = "{he}"\n\n[[official.remove]]\nofficial = "{_HE}"\n\n'
        f"[[official.add]]\nlabel = {quoted(_SUCCESSOR.label)}\n"
        f"keys = {quoted(str(public / _SUCCESSOR.key_file) + '.pub')}\n"
        f'place = "abroad"\ninstitution = {quoted(_SUCCESSOR.institution)}\n'
        f"name = {quoted(_SUCCESSOR.name)}\ncontact = {quoted(_SUCCESSOR.label)}\n\n"
        f'[rosters.alarm]\nadd = ["{_SUCCESSOR.label}"]\n\n'
        f'[rosters.exile_1]\nadd = ["{_SUCCESSOR.label}"]\n',
        encoding="utf-8",
    )
    return file


def _unlock(sabotage: _Sabotage, charter: Path, lockdowns: Sequence[StatementHash]) -> None:
    place, exile = sabotage.place, sabotage.exile
    sabotage.he.law = load_charter(charter)
    file = exile.order("he is gone", _EXILE, "unlock", *(item.hex() for item in lockdowns))
    exile.hand_in(file)
    orders: Mapping[str, Order] = {
        "his veto of the unlock": Veto(head=sabotage.head(), target=statement_of(file)),
        "another lockdown of his": Lockdown(head=sabotage.head()),
        "another hold of his": Hold(head=sabotage.head(), deposits=None),
    }
    for name, order in orders.items():
        said = sabotage.says(order)
        place.book.expect(f"{name} is refused", said in _REFUSED, said)
    unlocked = place.reach.until_locked(_ALL, locked=False)
    place.book.expect(
        "the lockdowns are over at every vault", unlocked, f"{len(lockdowns)} of them, one unlock"
    )


def _read(sabotage: _Sabotage) -> None:
    place, home = sabotage.place, sabotage.home
    reading = home.prepare("rehearsal")
    home.sign(reading.file, _READERS)
    home.submit(reading)
    said = sabotage.says(Veto(head=sabotage.head(), target=reading.warrant))
    place.book.expect("his veto of it is refused", said in _REFUSED, said)
    states = place.reach.until_state(_ALL, reading.warrant, State.RELEASED)
    place.book.expect("two officials and a delay release a warrant", states == "released", states)
    cards = [*sorted(place.home.cards.glob("card-*.txt"))[:2], *place.cards("embassy-a")]
    answer = home.unseal(reading, cards)
    restored = place.stage.make("restored")
    report = home.reconstruct(reading, answer, restored)
    place.expect_restored(restored, contents(place.registers), report["proven"])


SABOTEUR: Final = Script(name="--saboteur", law=Law(delay=3, exile_delay=3), act=_act)
