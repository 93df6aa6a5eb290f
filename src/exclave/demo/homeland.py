"""The first half of the story: a state with registers, three hosts, a founding, two deposits.

Each act runs the real commands; nothing here knows keys or formats beyond the files' names.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from exclave.demo.estate import Estate, advance_estate, build_estate
from exclave.demo.founding import (
    ABROAD,
    HOSTS,
    OFFICIALS,
    Host,
    Person,
    deposit_toml,
    founding_toml,
    registers_toml,
)
from exclave.demo.narration import Narrator, amount
from exclave.demo.postgres import PostgresServer, start_server
from exclave.demo.stage import Background, Stage
from exclave.signer.file import public_keys_bytes, save_key_file, write_once
from exclave.signer.parties import new_official_key

__all__ = [
    "PASSPHRASE",
    "READ_DELAY",
    "DepositFigures",
    "Homeland",
    "HostedVault",
    "build_homeland",
    "found_mission",
    "make_deposit",
    "official_folder",
    "open_hosts",
    "pass_a_day",
    "serve_vaults",
]

READ_DELAY: Final = 3
"""Seconds that vaults of the demo wait before they release a warrant; days in earnest."""

PASSPHRASE: Final = "passphrase"  # noqa: S105 - the name of a file
"""Name of the file beside an official's keys that opens them."""

_SCRYPT_N: Final = 2**15
_GROUP_FOLDERS: Final = {1: None, 2: "embassy-a", 3: "embassy-b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Homeland:
    """What will be lost."""

    folder: Path
    server: PostgresServer
    estate: Estate
    config: Path  # deposit.toml

    @property
    def desk(self) -> Path:
        """Where the founding happened."""
        return self.folder / "founding"

    @property
    def mission(self) -> Path:
        """What `exclave found` wrote."""
        return self.desk / "mission"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedVault:
    """A vault in its receiving state."""

    host: Host
    folder: Path
    data: str
    public: str
    process: Background | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositFigures:
    """What one deposit took."""

    deposit: str
    started: str
    rows: dict[str, int]  # by register
    read: int
    new: int
    stored: int
    sent: int  # over all seats

    @property
    def ratio(self) -> float:
        """How many times less had to be stored than was read."""
        return self.read / max(self.stored, 1)


def build_homeland(stage: Stage, narrator: Narrator, size: float) -> Homeland:
    """The sending state with its PostgreSQL 16 server and ten registers."""
    folder = stage.make("home")
    with narrator.busy("starting a PostgreSQL 16 server, filling the state's ten registers"):
        server = start_server(16, folder / "postgres16")
        stage.at_end.callback(server.remove)
        estate = build_estate(server, folder / "estate", size=size)
    narrator.say(
        f"{estate.state}: {estate.total_rows:,} rows in {len(estate.registers)} entries of the "
        f"plan (PostgreSQL {server.version}, one SQLite file, one folder of scanned deeds)"
    )
    plan = folder / "registers.toml"
    plan.write_text(registers_toml(estate, server.bin_dir), encoding="utf-8")
    return Homeland(folder=folder, server=server, estate=estate, config=folder / "deposit.toml")


def open_hosts(stage: Stage, narrator: Narrator) -> Sequence[HostedVault]:
    """Three receiving states set up a vault each and export their seat requests."""
    ports = iter(_free_ports(2 * len(HOSTS)))
    vaults: list[HostedVault] = []
    for host in HOSTS:
        place = stage.make("hosts", host.vault)
        data, public = (f"127.0.0.1:{next(ports)}" for _ in range(2))
        vaults.append(HostedVault(host=host, folder=place / "vault", data=data, public=public))

    def init(vault: HostedVault) -> None:
        host = vault.host
        stage.run(
            *("vault", "init", vault.folder, "--vault", host.vault, "--state", host.state),
            *("--operator", host.operator, "--data", vault.data, "--public", vault.public),
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(init, vaults))
    for vault in vaults:
        narrator.say(f"{vault.host.operator} ({vault.host.state}) exported its seat request")
    return vaults


def found_mission(
    stage: Stage, narrator: Narrator, homeland: Homeland, vaults: Sequence[HostedVault]
) -> None:
    """Officials make their keys, the charter is signed, cards go out."""
    desk = homeland.desk
    requests, public = desk / "requests", desk / "officials"
    for folder in (desk, requests, public):
        folder.mkdir(mode=0o700)
    for vault in vaults:
        shutil.copy(vault.folder / "seat-request.json", requests / f"{vault.host.vault}.json")
    with narrator.busy(f"{len(OFFICIALS)} officials make their signing keys"):
        _make_officials(stage, public)
    plan = desk / "founding.toml"
    daily = 64 * 2**30
    text = founding_toml(delay=READ_DELAY, officials=public, requests=requests, daily=daily)
    plan.write_text(text, encoding="utf-8")
    cards = homeland.folder / "cards"
    keys = [official_folder(stage, person) / person.key_file for person in OFFICIALS[:3]]
    stage.run(
        *("found", plan, "--out", homeland.mission, "--unsafe-shares-to", cards),
        *(word for key in keys for word in ("--key", key)),
        *("--passphrase-file", official_folder(stage, OFFICIALS[0]) / PASSPHRASE),
    )
    _hand_out(stage, cards)
    narrator.say(f"the mission's charter is founded and signed; {READ_DELAY} s of reading delay")
    narrator.say("(days in earnest: its notice says that it is for a demonstration)")
    narrator.say("recovery key: 2 of 3 groups of cards, two of the groups in embassies abroad;")
    narrator.say("for the demonstration all cards were first written into one folder, which is")
    narrator.say("unsafe: in earnest they are printed or sealed one by one")
    homeland.config.write_text(
        deposit_toml(
            plan=homeland.folder / "registers.toml",
            depositor=homeland.mission / "depositors" / "home",
            state=homeland.folder / "state",
        ),
        encoding="utf-8",
    )


def serve_vaults(
    stage: Stage, narrator: Narrator, homeland: Homeland, vaults: Sequence[HostedVault]
) -> Sequence[HostedVault]:
    """Enrol each vault with the mission and let it serve in a process of its own."""

    def serve(vault: HostedVault) -> HostedVault:
        enrolment = homeland.mission / "enrolments" / f"{vault.host.vault}.json"
        mission = (homeland.mission / "mission.txt").read_text().split()[0]
        stage.run("vault", "enrol", vault.folder, enrolment, "--mission", mission)
        process = stage.start(
            vault.host.vault,
            *("vault", "serve", vault.folder),
            log=vault.folder.parent / "serve.log",
        )
        return replace(vault, process=process)

    with ThreadPoolExecutor(2) as pool:
        served = list(pool.map(serve, vaults))
    for vault in served:
        assert vault.process is not None
        narrator.say(f"seat {vault.host.seat}: {vault.host.vault} serves, pid {vault.process.pid}")
    return served


def make_deposit(stage: Stage, narrator: Narrator, homeland: Homeland) -> DepositFigures:
    """Run `exclave deposit` at home."""
    value: Any = stage.run("deposit", "--config", homeland.config, show=True)
    figures = DepositFigures(
        deposit=value["deposit"],
        started=value["started"],
        rows={item["id"]: item["rows"] for item in value["registers"]},
        read=value["read"],
        new=value["new"],
        stored=value["stored"],
        sent=sum(size for _, size in value["sent"]),
    )
    narrator.say(
        f"read {amount(figures.read)}, new {amount(figures.new)}, stored {amount(figures.stored)}, "
        f"sent {amount(figures.sent)} to three vaults"
    )
    return figures


def pass_a_day(homeland: Homeland) -> None:
    """The registers change."""
    advance_estate(homeland.estate, 1)


def official_folder(stage: Stage, person: Person) -> Path:
    """Where an official keeps key and passphrase: at home, or at the embassy."""
    if person in ABROAD:
        return stage.make("abroad", person.institution)
    return stage.make("home", "officials")


def _make_officials(stage: Stage, public: Path) -> None:
    for folder in {official_folder(stage, person) for person in OFFICIALS}:
        write_once(folder / PASSPHRASE, secrets.token_urlsafe(24).encode() + b"\n")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda person: _make_official(stage, person, public), OFFICIALS))


def _make_official(stage: Stage, person: Person, public: Path) -> None:
    folder = official_folder(stage, person)
    bundle = new_official_key(os.urandom)
    passphrase = (folder / PASSPHRASE).read_bytes().rstrip()
    # Cheaper to open than in earnest: a demonstration's keys guard nothing.
    save_key_file(
        folder / person.key_file, bundle, passphrase=passphrase, random=os.urandom, n=_SCRYPT_N
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
