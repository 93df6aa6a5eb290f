"""What the command line's tests share: a runner, and one mission made by commands alone."""

from __future__ import annotations

import io
import json
import os
import select
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exclave.cli import main
from exclave.demo.founding import HOSTS, OFFICIALS, founding_toml
from exclave.signer.file import public_keys_bytes, save_key_file, write_once
from exclave.signer.parties import new_official_key, new_state_key

PASSPHRASE = "correct horse battery staple"
QUICK_SCRYPT = 2**15
GOVERN = ("chancellor", "minister", "registrar")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


def call(*arguments: object) -> Ran:
    """Run a command in this process, with nobody at the terminal."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), Path(os.devnull).open() as nobody:
        before, sys.stdin = sys.stdin, nobody
        try:
            code = main([str(item) for item in arguments])
        finally:
            sys.stdin = before
    return Ran(code=code, out=out.getvalue(), err=err.getvalue())


def spawn(*arguments: object) -> Ran:
    """Run a command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "exclave", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


def must(*arguments: object) -> Ran:
    """Run a command that must succeed."""
    ran = call(*arguments)
    assert ran.code == 0, (arguments, ran)
    return ran


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports


def serve(vault: Path) -> subprocess.Popen[str]:
    """Start a vault's server and wait until it accepts."""
    server = subprocess.Popen(
        [sys.executable, "-m", "exclave", "vault", "serve", str(vault)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert select.select([server.stdout], [], [], 60)[0], "the vault did not start"
    assert "ready" in json.loads(server.stdout.readline())
    return server


@dataclass(kw_only=True)
class Mission:
    """A mission founded by commands: folders by role."""

    root: Path
    mission: str = ""
    servers: dict[int, subprocess.Popen[str]] = field(default_factory=dict)

    @property
    def passphrase(self) -> Path:
        """A file with the officials' passphrase."""
        return self.root / "passphrase"

    @property
    def config(self) -> Path:
        """deposit.toml."""
        return self.root / "home" / "deposit.toml"

    @property
    def charter(self) -> Path:
        """Charter 1."""
        return self.root / "mission" / "charter.json"

    def key(self, label: str) -> Path:
        """An official's key file."""
        return self.root / "officials" / f"{label}.key"

    def state_key(self, state: str) -> Path:
        """A receiving state's key file."""
        return self.root / "states" / f"{state}.key"

    def card(self, group: int, member: int) -> Path:
        """A card's file."""
        return self.root / "cards" / f"card-{group}-{member}.txt"

    def vault(self, seat: int) -> Path:
        """A vault's folder."""
        return self.root / HOSTS[seat - 1].vault

    def start(self, seat: int) -> None:
        """Start a vault's server and wait until it accepts."""
        self.servers[seat] = serve(self.vault(seat))

    def stop(self, seat: int) -> int:
        """Stop a vault's server by SIGTERM; its exit code."""
        server = self.servers.pop(seat)
        server.terminate()
        code = server.wait(30)
        assert server.stdout is not None
        server.stdout.close()
        return code

    def close(self) -> None:
        """Stop all servers."""
        for seat in list(self.servers):
            self.stop(seat)


@pytest.fixture(scope="session")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    """Three vaults, a founded mission, a depositor with two registers; servers run."""
    with founded_mission(tmp_path_factory.mktemp("embassy")) as made:
        yield made


@contextmanager
def founded_mission(root: Path, *, agreements: bool = False) -> Iterator[Mission]:
    """A mission of its own, for tests that leave traces; its servers are stopped at the end.

    Its vaults ask for agreements only where that is wanted: most tests are about other things.
    """
    made = Mission(root=root)
    try:
        made.passphrase.write_text(PASSPHRASE + "\n")
        made.passphrase.chmod(0o600)
        _vaults(made, agreements=agreements)
        make_officials(made)
        _found(made)
        make_home(made)
        for host in HOSTS:
            made.start(host.seat)
        yield made
    finally:
        made.close()


def _vaults(made: Mission, *, agreements: bool) -> None:
    ports = free_ports(2 * len(HOSTS))
    (made.root / "requests").mkdir()
    for host in HOSTS:
        data, public = ports.pop(), ports.pop()
        asks = ["--state-key", _state(made, host.state)] if agreements else ["--without-agreement"]
        must(
            "vault", "init", made.vault(host.seat),
            "--vault", host.vault, "--state", host.state, "--operator", host.operator,
            "--data", f"127.0.0.1:{data}", "--public", f"127.0.0.1:{public}", *asks,
        )  # fmt: skip
        if agreements:
            must(
                "agreement", "vouch", made.vault(host.seat) / "seat-request.json", "--yes",
                "--key", made.state_key(host.state), "--passphrase-file", made.passphrase,
            )  # fmt: skip
        request = (made.vault(host.seat) / "seat-request.json").read_bytes()
        (made.root / "requests" / f"{host.vault}.json").write_bytes(request)


def _state(made: Mission, state: str) -> Path:
    """The public keys file of a receiving state, whose key is made here."""
    path = made.state_key(state)
    path.parent.mkdir(exist_ok=True)
    bundle = new_state_key(state, os.urandom)
    secret = PASSPHRASE.encode()
    save_key_file(path, bundle, passphrase=secret, random=os.urandom, n=QUICK_SCRYPT)
    public = path.with_name(path.name + ".pub")
    write_once(public, public_keys_bytes(bundle))
    return public


def make_officials(made: Mission) -> None:
    """Keys of all officials, with one passphrase."""
    (made.root / "officials").mkdir()
    for person in OFFICIALS[1:]:
        bundle = new_official_key(os.urandom)
        path = made.key(person.label)
        secret = PASSPHRASE.encode()
        save_key_file(path, bundle, passphrase=secret, random=os.urandom, n=QUICK_SCRYPT)
        write_once(path.with_name(path.name + ".pub"), public_keys_bytes(bundle))
    path = made.key(OFFICIALS[0].label)
    must("official", "init", "--out", path, "--passphrase-file", made.passphrase)


def _found(made: Mission) -> None:
    plan = made.root / "founding.toml"
    plan.write_text(
        founding_toml(
            delay=0,
            officials=made.root / "officials",
            requests=made.root / "requests",
            daily=2**32,
        )
    )
    keys = [part for label in GOVERN for part in ("--key", made.key(label))]
    ran = must(
        "found", plan, "--out", made.root / "mission", *keys,
        "--passphrase-file", made.passphrase, "--unsafe-shares-to", made.root / "cards", "--json",
    )  # fmt: skip
    made.mission = ran.json["mission"]
    for host in HOSTS:
        enrolment = made.root / "mission" / "enrolments" / f"{host.vault}.json"
        must("vault", "enrol", made.vault(host.seat), enrolment, "--mission", made.mission)


def make_home(made: Mission) -> None:
    """Two registers at home, and the depositor's files."""
    home = made.root / "home"
    (home / "land" / "maps").mkdir(parents=True)
    (home / "land" / "deeds.txt").write_text("plot 1: Õnne Põder\n" * 5000)
    (home / "land" / "maps" / "north.bin").write_bytes(bytes(range(256)) * 2000)
    with sqlite3.connect(home / "births.db") as births:
        births.execute("CREATE TABLE birth (id INTEGER PRIMARY KEY, name TEXT)")
        births.executemany("INSERT INTO birth (name) VALUES (?)", [(f"n{i}",) for i in range(999)])
    births.close()
    (home / "registers.toml").write_text(REGISTERS)
    made.config.write_text(
        f'depositor = "{made.root}/mission/depositors/home"\n'
        'plan = "registers.toml"\njournal = "state/journal.db"\ncatalogue = "state/catalogue"\n'
        'spool = "state/spool"\nspool_limit = "1GiB"\nscratch = "state/scratch"\n'
    )


REGISTERS = """
[[register]]
id = "land"
title = "Land register"
owner = "Ministry of Justice"
classification = "restricted"
rpo = "24h"
rto = "48h"
[register.source]
kind = "files"
path = "land"

[[register]]
id = "births"
title = "Register of births"
owner = "Ministry of the Interior"
classification = "restricted"
rpo = "24h"
rto = "48h"
depends_on = ["land"]
[register.source]
kind = "sqlite"
path = "births.db"
"""
