"""What a later version of this program made: refused by name, with a hint, and left as it was.

Every state folder and file of the frozen fixture, made to say the next version, is given to the
commands that open it. Nothing may change, not even beside it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from exclave.journal.database import FORMAT
from tests.scripts.conftest import call
from tests.support.fixture_v1 import cards, charters, unpack, vaults


@dataclass(frozen=True, kw_only=True)
class Later:
    """One thing of a later version."""

    place: str  # what must not change, below the fixture
    spoil: Callable[[Path], object]
    commands: Callable[[Path], list[list[object]]]
    said: str
    code: int


def replaced(file: str, old: str, new: str) -> Callable[[Path], object]:
    """A change of one text, once, in one file."""

    def change(v1: Path) -> None:
        path = v1 / file
        text = path.read_bytes()
        assert text.count(old.encode()) == 1, file
        path.chmod(0o600)
        path.write_bytes(text.replace(old.encode(), new.encode()))

    return change


def versioned(file: str) -> Callable[[Path], object]:
    """Version 2, and a field that nobody knows yet."""
    return replaced(file, '"version":1', '"version":2,"zzz":0')


def later_journal(v1: Path) -> None:
    """The number that SQLite keeps for its users."""
    database = apsw.Connection(str(v1 / "home" / "state" / "journal.db"))
    database.pragma("user_version", FORMAT + 1)
    database.close()


def home(*commands: str) -> Callable[[Path], list[list[object]]]:
    """Commands of the depositing machine."""
    return lambda v1: [[*said.split(), "-c", v1 / "home" / "deposit.toml"] for said in commands]


AGENT = "home/state/agent"
LATER = {
    "journal": Later(
        place="home",
        spoil=later_journal,
        commands=home("deposit --catch-up", "status"),
        said=f"expected format {FORMAT} or earlier, got format {FORMAT + 1}",
        code=3,
    ),
    "catalogue": Later(
        place="home",
        spoil=lambda v1: (v1 / "home/state/catalogue/FORMAT").write_bytes(
            b"exclave catalogue v2\n"
        ),
        commands=home("deposit --catch-up", "deposits"),
        said="expected a catalogue of format 1, got format 2",
        code=3,
    ),
    "vault's folder": Later(
        place="vaults/vault-1",
        spoil=replaced("vaults/vault-1/VAULT", "v2", "v3"),
        commands=lambda v1: [
            ["vault", name, *vaults(v1, 1)] for name in ("status", "serve", "fsck")
        ] + [["vault", "seat", *vaults(v1, 1), "more", "--data", "127.9.9.9:1", "--public",
              "127.9.9.9:2"]],
        said="of format 2 or earlier, got format 3",
        code=3,
    ),
    "agent's memory": Later(
        place=AGENT,
        spoil=versioned(f"{AGENT}/memory.json"),
        commands=lambda v1: [
            ["agent", name, "--config", v1 / "home" / "agent.toml"] for name in ("status", "run")
        ],
        said="expected version 1 of agent-memory, got version 2",
        code=7,
    ),
    "memory of alerts": Later(
        place=AGENT,
        spoil=versioned(f"{AGENT}/alerts.json"),
        commands=lambda v1: [["agent", "run", "--config", v1 / "home" / "agent.toml"]],
        said="expected version 1 of alerts-memory, got version 2",
        code=7,
    ),
    "monitor's memory": Later(
        place=AGENT,
        spoil=versioned(f"{AGENT}/watch/memory.json"),
        commands=lambda v1: [
            ["monitor", "--charter", charters(v1)[-1], "--state", v1 / AGENT / "watch"]
        ],
        said="expected version 1 of monitor-memory, got version 2",
        code=3,
    ),
    "key file of home": Later(
        place="home",
        spoil=versioned("home/keys/keys.json"),
        commands=home("deposit --catch-up"),
        said="expected version 1 of exclave-key, got version 2",
        code=7,
    ),
    "key file of a vault": Later(
        place="vaults/vault-2",
        spoil=versioned("vaults/vault-2/keys/vault.key"),
        commands=lambda v1: [["vault", "serve", *vaults(v1, 2)]],
        said="expected version 1 of exclave-key, got version 2",
        code=7,
    ),
    "inventory of a bag": Later(
        place="bags",
        spoil=versioned("bags/safe-4/exclave-bag.json"),
        commands=lambda v1: [["bag", "verify", v1 / "bags" / "safe-4"]],
        said="expected version 1 of exclave-bag, got version 2",
        code=7,
    ),
    "signatures that travel apart": Later(
        place="reading",
        spoil=versioned("keys/signatures.json"),
        commands=lambda v1: [
            ["signatures", "join", v1 / "reading" / "warrant.json", v1 / "keys" / "signatures.json",
             "--charter", charters(v1)[-1]]
        ],
        said="expected version 1 of exclave-signatures, got version 2",
        code=7,
    ),
    "card": Later(
        place="cards",
        spoil=replaced("cards/card-2-1.txt", "card v1", "card v2"),
        commands=lambda v1: [
            ["unseal", v1 / "reading" / "unseal-request.json", "--yes", "--out", v1 / "answer.json",
             *(word for card in cards(v1) for word in ("--card", card))]
        ],
        said="card: expected version 1, got version 2",
        code=7,
    ),
    "statement": Later(
        place="reading",
        spoil=replaced("reading/warrant.json", "warrant.v1+json", "warrant.v2+json"),
        commands=lambda v1: [["warrant", "submit", v1 / "reading"]],
        said="expected a statement of version 1, got an unknown type",
        code=7,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture, to be copied from."""
    return unpack(tmp_path_factory.mktemp("v1"))


def nobody_answers(self: socket.socket, address: object) -> None:
    """In place of the vaults of the fixture."""
    raise ConnectionRefusedError(111, "nobody answers")


def state(folder: Path) -> dict[str, str | None]:
    """Every name in a folder, with what it holds."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", LATER)
def test_it_is_named_and_left_alone(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(socket.socket, "connect", nobody_answers)
    later = LATER[name]
    for part in {later.place.split("/")[0], "charters", "keys", "reading", "cards"}:
        shutil.copytree(kept / part, tmp_path / part)
    later.spoil(tmp_path)
    before = state(tmp_path)
    for command in later.commands(tmp_path):
        ran = call(*command)
        assert (ran.code, later.said in ran.err) == (later.code, True), (command, ran)
        assert "hint: " in ran.err, ran
        assert "later version" in ran.err, ran
        after = state(tmp_path)
        assert {path for path in after if after[path] != before.get(path)} <= _locks(tmp_path)
        assert before.keys() <= after.keys()


def _locks(v1: Path) -> set[str]:
    """What says that a process is at work, and nothing else."""
    return {str(v1 / AGENT / "agent.lock"), str(v1 / "vaults" / "vault-2" / "vault.lock")}


def test_what_can_be_made_again_counts_as_not_there(kept: Path, tmp_path: Path) -> None:
    """A vault's index of another version is none: its own is made from the objects."""
    shutil.copytree(kept / "vaults" / "vault-2", tmp_path / "vault-2")
    [mission] = (tmp_path / "vault-2" / "missions").iterdir()
    database = apsw.Connection(str(mission / "state.db"))
    database.execute("CREATE TABLE of_a_later_version (x)")
    database.pragma("user_version", 10**6)
    database.close()
    ran = call("vault", "status", tmp_path / "vault-2", "--json")
    assert ran.code in {0, 1}, ran
    assert json.loads(ran.out)["missions"][0]["records"]["lodged"] == 3
