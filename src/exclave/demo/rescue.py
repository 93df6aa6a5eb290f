"""The second half of the story: the homeland is lost, and the state is rebuilt abroad.

Whatever runs here runs with an empty environment and knows only what lies in the `abroad` folder:
officials' key files and cards of two embassies. Everything else comes from the vaults.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from exclave.demo.founding import targets_toml
from exclave.demo.homeland import Homeland
from exclave.demo.mission import HostedVault, keys_of, person
from exclave.demo.narration import Narrator
from exclave.demo.stage import Stage, StepFailed
from exclave.postgres_server.server import PostgresServer, start_server
from exclave.values import dataclass

__all__ = [
    "EXILE",
    "Rescue",
    "authorise",
    "cards_abroad",
    "lock_down",
    "lose",
    "new_server",
    "reconstruct",
    "unseal",
]

EXILE: Final = ("ambassador-a", "consul-a")
"""Two of three of the first exile roster: its threshold."""
_CONSUL: Final = "consul-b"

_EMPTY: Final[dict[str, str]] = {}
_WAIT_SECONDS: Final = 60
_DIFFERENCE: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    """The place abroad from which the state is rebuilt."""

    folder: Path  # of the reconstruction
    server: PostgresServer
    restored: Path  # where files and SQLite databases go
    targets: Path
    cards: tuple[Path, ...]
    answer: Path


def lose(narrator: Narrator, homeland: Homeland, vault: HostedVault) -> float:
    """Stop the homeland's server, remove its folder, and one vault; when it was, monotonic."""
    assert vault.process is not None
    pid = homeland.server.process.pid
    homeland.server.remove()
    narrator.say(f"the homeland's PostgreSQL server (pid {pid}) is gone")
    vault.process.kill()
    shutil.rmtree(vault.folder.parent)
    narrator.say(f"the vault in {vault.host.operator} (pid {vault.process.pid}) is gone")
    # Registers, depositor with keys, journal, catalogue and spool, cards and keys of three people.
    shutil.rmtree(homeland.folder)
    narrator.say(f"the folder {homeland.folder} is gone, with keys, journal and catalogue")
    return time.monotonic()


def new_server(stage: Stage, narrator: Narrator) -> Rescue:
    """A fresh PostgreSQL 18 server, and the cards of two embassies."""
    place = stage.make("abroad", "rescue")
    with narrator.busy("starting an empty PostgreSQL 18 server abroad"):
        server = start_server(18, stage.make("abroad") / "postgres18")
    stage.at_end.callback(server.remove)
    restored = stage.make("abroad", "restored")
    targets = place / "targets.toml"
    targets.write_text(targets_toml(server=server, folder=restored), encoding="utf-8")
    return Rescue(
        folder=place / "reconstruction",
        server=server,
        restored=restored,
        targets=targets,
        cards=cards_abroad(stage),
        answer=place / "unsealed.json",
    )


def lock_down(stage: Stage, narrator: Narrator, card: Path) -> tuple[int, ...]:
    """One consul alone freezes home; the seats that took it."""
    consul = person(_CONSUL)
    answers = _abroad(
        stage,
        *("lockdown", "--card", card, "--reason", "the homeland is silent", "--send", "--yes"),
        *keys_of(stage, [consul]),
    )["seats"]
    taken = tuple(sorted(int(seat) for seat, said in answers.items() if "state" in said))
    narrator.say(f"{consul.name}, consul, signed a lockdown: one person is enough")
    narrator.say(f"taken at once by seats {', '.join(map(str, taken))}: home can read and change")
    narrator.say("nothing any more, whoever holds its keys, until exile unlocks")
    return taken


def cards_abroad(stage: Stage) -> tuple[Path, ...]:
    """Two cards of each of two groups: the thresholds, and not a card more."""
    return tuple(
        card
        for name in ("embassy-a", "embassy-b")
        for card in sorted(stage.make("abroad", name).glob("card-*.txt"))[:2]
    )


def authorise(stage: Stage, narrator: Narrator, rescue: Rescue) -> None:
    """Survey the vaults, prepare a warrant, have it signed, hand it in, wait for its release."""
    prepared = _abroad(
        stage, "warrant", "prepare", "--card", rescue.cards[0], "--out", rescue.folder
    )
    narrator.say(f"surveyed with a card: newest deposit {prepared['deposit']}")
    people = [person(label) for label in EXILE]
    _abroad(stage, "sign", rescue.folder / "warrant.json", "--yes", *keys_of(stage, people))
    names = " and ".join(item.name for item in people)
    narrator.say(f"{names} signed it: the first exile roster, 2 of 3 of {people[0].institution}")
    _abroad(stage, "warrant", "submit", rescue.folder)
    with narrator.busy("the vaults wait for the delay, in which others could object"):
        _await_release(stage, rescue)


def unseal(stage: Stage, narrator: Narrator, rescue: Rescue) -> None:
    """Officials put their cards together on a machine of its own."""
    _abroad(
        stage,
        *("unseal", rescue.folder / "unseal-request.json"),
        *("--charter", rescue.folder / "charter.json"),
        *(word for card in rescue.cards for word in ("--card", card)),
        *("--out", rescue.answer, "--yes"),
    )
    narrator.say(f"{len(rescue.cards)} cards of two embassies gave out this deposit's secrets,")
    narrator.say("sealed to the restoring machine; the recovery key itself never left that process")


def reconstruct(stage: Stage, rescue: Rescue) -> Any:
    """Restore and compare everything; the report's payload."""
    return _abroad(
        stage,
        *("reconstruct", rescue.folder, "--answer", rescue.answer, "--targets", rescue.targets),
        show=True,
        accept=(0, _DIFFERENCE),
    )


def _await_release(stage: Stage, rescue: Rescue) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        answers = _abroad(stage, "warrant", "status", rescue.folder)["seats"].values()
        waiting = [a["seconds"] for a in answers if a.get("state") == "waiting"]
        released = [a for a in answers if a.get("state") == "released"]
        if not waiting and released:
            return
        if time.monotonic() > deadline or not waiting:
            raise StepFailed(f"warrant: expected it to be released, got {list(answers)}")
        time.sleep(max(waiting))


def _abroad(
    stage: Stage, *arguments: str | Path, show: bool = False, accept: Sequence[int] = (0,)
) -> Any:
    place = stage.make("abroad", "rescue")
    return stage.run(*arguments, show=show, accept=accept, cwd=place, env=_EMPTY)
