"""A mission on the stage: hosts with vaults, officials with keys, a founding, serving vaults.

What the demo and the drills have in common before their stories part. Each step runs the real
commands; nothing here knows keys or formats beyond the files' names.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from exclave.demo.founding import (
    ABROAD,
    HOSTS,
    OFFICIALS,
    Host,
    Law,
    Person,
    deposit_toml,
)
from exclave.demo.narration import Narrator
from exclave.demo.stage import Background, Stage
from exclave.signer.file import public_keys_bytes, save_key_file, write_once
from exclave.signer.parties import new_official_key
from exclave.values import dataclass, replace

__all__ = [
    "PASSPHRASE",
    "QUICK_SCRYPT",
    "Home",
    "HostedVault",
    "found_mission",
    "keys_of",
    "make_official",
    "official_folder",
    "open_hosts",
    "person",
    "serve_vault",
    "serve_vaults",
]

PASSPHRASE: Final = "passphrase"  # noqa: S105 - the name of a file
"""Name of the file beside an official's keys that opens them."""

QUICK_SCRYPT: Final = 2**15
_GROUP_FOLDERS: Final = {1: None, 2: "embassy-a", 3: "embassy-b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The sending state's own folder: all that is lost or taken with the homeland."""

    folder: Path

    @property
    def desk(self) -> Path:
        """Where the founding happened."""
        return self.folder / "founding"

    @property
    def mission(self) -> Path:
        """What `exclave found` wrote."""
        return self.desk / "mission"

    @property
    def charter(self) -> Path:
        """The first charter."""
        return self.mission / "charter.json"

    @property
    def cards(self) -> Path:
        """Cards of the group at home, once the others have been handed out."""
        return self.folder / "cards"

    @property
    def plan(self) -> Path:
        """The plan of registers."""
        return self.folder / "registers.toml"

    @property
    def config(self) -> Path:
        """The depositor's `deposit.toml`."""
        return self.folder / "deposit.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedVault:
    """A vault in its receiving state."""

    host: Host
    folder: Path
    data: str
    public: str
    process: Background | None = None


def open_hosts(
    stage: Stage,
    narrator: Narrator,
    *,
    state_key: Callable[[Path, Host], Path] | None = None,
) -> Sequence[HostedVault]:
    """Three receiving states set up a vault each and export their seat requests.

    With `state_key`, which makes a state's key and returns its public part, they ask for
    agreements.
    """
    ports = iter(_free_ports(2 * len(HOSTS)))
    vaults: list[HostedVault] = []
    for host in HOSTS:
        place = stage.make("hosts", host.vault)
        data, public = (f"127.0.0.1:{next(ports)}" for _ in range(2))
        vaults.append(HostedVault(host=host, folder=place / "vault", data=data, public=public))

    def init(vault: HostedVault) -> None:
        host = vault.host
        asks: tuple[str | Path, ...] = ("--without-agreement",)
        if state_key is not None:
            asks = ("--state-key", state_key(vault.folder.parent, host))
        stage.run(
            *("vault", "init", vault.folder, "--vault", host.vault, "--state", host.state),
            *("--operator", host.operator, "--data", vault.data, "--public", vault.public),
            *asks,
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(init, vaults))
    for vault in vaults:
        narrator.say(f"{vault.host.operator} ({vault.host.state}) exported its seat request")
    return vaults


def found_mission(
    stage: Stage, narrator: Narrator, home: Home, vaults: Sequence[HostedVault], law: Law
) -> None:
    """Officials make their keys, the charter is signed, cards go out."""
    desk = home.desk
    requests, public = desk / "requests", desk / "officials"
    for folder in (desk, requests, public):
        folder.mkdir(mode=0o700)
    for vault in vaults:
        shutil.copy(vault.folder / "seat-request.json", requests / f"{vault.host.vault}.json")
    with narrator.busy(f"{len(OFFICIALS)} officials make their signing keys"):
        _make_officials(stage, public)
    plan = desk / "founding.toml"
    plan.write_text(law.founding_toml(officials=public, requests=requests), encoding="utf-8")
    stage.run(
        *("found", plan, "--out", home.mission, "--unsafe-shares-to", home.cards),
        *keys_of(stage, OFFICIALS[:3]),
    )
    _hand_out(stage, home.cards)
    narrator.say(f"the mission's charter is founded and signed; {law.delay} s of reading delay")
    narrator.say("(days in earnest: its notice says that it is for a demonstration)")
    narrator.say("recovery key: 2 of 3 groups of cards, two of the groups in embassies abroad;")
    narrator.say("for the demonstration all cards were first written into one folder, which is")
    narrator.say("unsafe: in earnest they are printed or sealed one by one")
    home.config.write_text(
        deposit_toml(
            plan=home.plan,
            depositor=home.mission / "depositors" / "home",
            state=home.folder / "state",
        ),
        encoding="utf-8",
    )


def serve_vaults(
    stage: Stage, narrator: Narrator, home: Home, vaults: Sequence[HostedVault]
) -> Sequence[HostedVault]:
    """Enrol each vault with the mission and let it serve in a process of its own."""

    def serve(vault: HostedVault) -> HostedVault:
        enrolment = home.mission / "enrolments" / f"{vault.host.vault}.json"
        mission = (home.mission / "mission.txt").read_text().split()[0]
        stage.run("vault", "enrol", vault.folder, enrolment, "--mission", mission)
        return serve_vault(stage, vault)

    with ThreadPoolExecutor(2) as pool:
        served = list(pool.map(serve, vaults))
    for vault in served:
        assert vault.process is not None
        narrator.say(f"seat {vault.host.seat}: {vault.host.vault} serves, pid {vault.process.pid}")
    return served


def serve_vault(stage: Stage, vault: HostedVault) -> HostedVault:
    """Let a vault's folder be served; again after its process was stopped."""
    process = stage.start(
        vault.host.vault,
        *("vault", "serve", vault.folder),
        log=vault.folder.parent / "serve.log",
    )
    return replace(vault, process=process)


def official_folder(stage: Stage, person: Person) -> Path:
    """Where an official keeps key and passphrase: at home, or at the embassy."""
    if person in ABROAD:
        return stage.make("abroad", person.institution)
    return stage.make("home", "officials")


def person(label: str) -> Person:
    """An official by his label."""
    return next(item for item in OFFICIALS if item.label == label)


def keys_of(stage: Stage, persons: Sequence[Person]) -> tuple[str | Path, ...]:
    """The words of a command with which these officials, of one place, sign."""
    folders = {official_folder(stage, item) for item in persons}
    assert len(folders) == 1, "a passphrase opens the keys of one place"
    (folder,) = folders
    keys = [word for item in persons for word in ("--key", folder / item.key_file)]
    return (*keys, "--passphrase-file", folder / PASSPHRASE)


def _make_officials(stage: Stage, public: Path) -> None:
    for folder in {official_folder(stage, person) for person in OFFICIALS}:
        write_once(folder / PASSPHRASE, secrets.token_urlsafe(24).encode() + b"\n")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda item: make_official(stage, item, public), OFFICIALS))


def make_official(stage: Stage, person: Person, public: Path) -> None:
    """An official's key file where he keeps it, and its public part."""
    folder = official_folder(stage, person)
    bundle = new_official_key(os.urandom)
    passphrase = (folder / PASSPHRASE).read_bytes().rstrip()
    # Cheaper to open than in earnest: a demonstration's keys guard nothing.
    save_key_file(
        folder / person.key_file, bundle, passphrase=passphrase, random=os.urandom, n=QUICK_SCRYPT
    )
    write_once(public / f"{person.key_file}.pub", public_keys_bytes(bundle))


def _hand_out(stage: Stage, cards: Path) -> None:
    for card in sorted(cards.iterdir()):
        place = _GROUP_FOLDERS[int(card.name.split("-")[1])]
        if place is not None:
            card.rename(stage.make("abroad", place) / card.name)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()
