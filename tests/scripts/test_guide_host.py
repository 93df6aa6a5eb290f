"""The host operator's guide from its first line to its last: every command is typed, in order.

What the guide leaves to others happens between its lines: officials found the mission and warrant a
reading, the depositor deposits. Lines of a private line need a network of their own: `tests/lines`.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from exclave.demo.founding import Host, founding_toml
from tests.scripts.conftest import (
    GOVERN,
    Mission,
    call,
    free_ports,
    make_home,
    make_officials,
    must,
    serve,
)

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide-host.md"
HOST = Host(seat=1, vault="harbour", state="XB", operator="State data centre")
ASKS = ("agreement key", "agreement vouch")
"""Commands that ask for a passphrase, and for a yes."""


def commands() -> list[str]:
    """What stands in the guide's shell blocks up to private lines, continued lines joined."""
    guide = GUIDE.read_text(encoding="utf-8").partition("Private line\n")[0]
    blocks = guide.split("```sh\n")[1:]
    text = "".join(block.partition("```")[0] for block in blocks)
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


@dataclass(kw_only=True)
class Desk:
    """The host's desk, and those at home whom he deals with."""

    place: Path
    mission: Mission
    words: dict[str, str] = field(default_factory=dict)

    @property
    def vault(self) -> Path:
        """The vault's folder."""
        return self.place / "vault"

    def found(self) -> None:
        """Home founds its mission with the seat request, and sends the enrolment."""
        root = self.mission.root
        (root / "requests").mkdir()
        shutil.copy(self.vault / "seat-request.json", root / "requests" / "harbour.json")
        make_officials(self.mission)
        (root / "founding.toml").write_text(
            founding_toml(
                delay=0,
                officials=root / "officials",
                requests=root / "requests",
                daily=2**32,
                hosts=[HOST],
                k=1,
                h=1,
            )
        )
        keys = [part for label in GOVERN for part in ("--key", self.mission.key(label))]
        made = must(
            "found", root / "founding.toml", "--out", root / "mission", *keys,
            "--passphrase-file", self.mission.passphrase,
            "--unsafe-shares-to", root / "cards", "--json",
        ).json  # fmt: skip
        self.mission.mission = self.words["MISSION-ID-IN-HEX"] = made["mission"]
        shutil.copy(root / "mission" / "enrolments" / "harbour.json", self.place)
        make_home(self.mission)

    def serve(self) -> None:
        """The server of the guide's unit."""
        self.mission.servers[1] = serve(self.vault)

    def deposit(self) -> None:
        """Both states sign an agreement; home deposits and wants to read."""
        root, charter = self.mission.root, self.mission.charter
        terms = (
            (ROOT / "examples" / "agreement.toml").read_text().partition("# Where the sending")[0]
        )
        for old, new in (
            ("[2]", "[1]"),
            ("[1, 3]", "[]"),
            ("3650 ", "30 "),
            ("xb.key.pub", f"{self.place}/xb.key.pub"),
            *((f'"{days}d"', '"0s"') for days in (14, 2, 30)),
        ):
            terms = terms.replace(old, new)
        (root / "agreement.toml").write_text(terms)
        (root / "treaty.pdf").write_bytes(b"treaty")
        agreement = root / "agreement.json"
        must("agreement", "propose", root / "agreement.toml", "--charter", charter,
             "--reason", "treaty", "--out", agreement)  # fmt: skip
        keys = [part for label in GOVERN for part in ("--key", self.mission.key(label))]
        for signers in (["--key", self.place / "xb.key"], [*keys, "--send"]):
            must("agreement", "accept", agreement, "--charter", charter, *signers,
                 "--passphrase-file", self.mission.passphrase, "--yes")  # fmt: skip
        must("deposit", "-c", self.mission.config)
        reading = root / "reading"
        must("warrant", "prepare", "--charter", charter, "--out", reading)
        for label in GOVERN[:2]:
            must("sign", reading / "warrant.json", "--key", self.mission.key(label),
                 "--passphrase-file", self.mission.passphrase, "--yes")  # fmt: skip
        shutil.copy(reading / "warrant.json", self.place)

    def change_key(self) -> None:
        """The receiving state makes its next key."""
        must("agreement", "key", "--state", "XB", "--out", self.place / "new.key",
             "--passphrase-file", self.mission.passphrase)  # fmt: skip

    def stop(self) -> None:
        """As systemd stops it."""
        assert self.mission.stop(1) == 0


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    place, root = tmp_path / "desk", tmp_path / "home"
    place.mkdir()
    root.mkdir()
    monkeypatch.chdir(place)
    ports = free_ports(4)
    made = Desk(place=place, mission=Mission(root=root))
    made.words |= {
        "/srv/vault": str(made.vault),
        "10.20.0.5:8443": f"127.0.0.1:{ports[0]}",
        "10.20.0.5:8444": f"127.0.0.1:{ports[1]}",
        "10.20.1.5:8443": f"127.0.0.1:{ports[2]}",
        "10.20.1.5:8444": f"127.0.0.1:{ports[3]}",
    }
    made.mission.passphrase.write_text("correct horse battery staple\n")
    made.mission.passphrase.chmod(0o600)
    try:
        yield made
    finally:
        made.mission.close()


def test_the_guide(desk: Desk) -> None:
    before: Mapping[str, Callable[[], None]] = {
        "exclave vault enrol": desk.found,
        "exclave vault status": desk.deposit,
        "exclave vault fsck /srv/vault --rebuild": desk.stop,
        "exclave vault submit": desk.serve,
        "exclave vault next-request": desk.change_key,
        "exclave vault pin": desk.stop,
        "exclave agreement declare /srv/vault restart": desk.serve,
    }
    typed = commands()
    assert len(typed) > 9
    for line in typed:
        for begin, happens in before.items():
            if line.startswith(begin):
                happens()
        if line.startswith("exclave vault serve"):
            desk.serve()
            continue
        here = line
        for old, new in desk.words.items():
            here = here.replace(old, new)
        words = shlex.split(here)
        assert words[0] == "exclave"
        asked = " ".join(words[1:3]) in ASKS
        more = ["--passphrase-file", desk.mission.passphrase] if asked else []
        more += ["--yes"] if words[1:3] == ["agreement", "vouch"] else []
        ran = call(*words[1:], *more)
        assert ran.code == 0, (line, ran)
    status = must("vault", "status", desk.vault, "--json").json
    assert status["missions"], "the vault holds what was enrolled"
