"""Bad input to unsealing and reconstruction, as officials and the restorer meet it.

One mission is founded, lodges one deposit and is authorised once; every test works on copies of
the reconstruction's folder and of the vaults' folders, as disks that were carried here.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from exclave.authority.envelope import parse_envelope
from exclave.authority.record import parse_record
from exclave.postgres_server.server import PostgresServer, write_passfile
from exclave.shares import WORDS
from tests.pgfixtures import FreshDatabase
from tests.scripts.conftest import Mission, Ran, call, founded_mission, must

TARGETS = '[default.folder]\nkind = "folder"\npath = "restored"\n'
CARDS = ((2, 1), (2, 2), (3, 1), (3, 3))


@pytest.fixture(scope="module")
def lodged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    """A mission with one deposit, whose reading was authorised and unsealed; servers stopped."""
    with founded_mission(tmp_path_factory.mktemp("bad-reconstruct")) as made:
        must("deposit", "-c", made.config)
        folder = made.root / "reading"
        must("warrant", "prepare", "--card", made.card(2, 1), "--out", folder)
        for label in ("ambassador-a", "ambassador-b"):
            must(
                "sign", folder / "warrant.json", "--key", made.key(label),
                "--passphrase-file", made.passphrase, "--yes",
            )  # fmt: skip
        must("warrant", "submit", folder)
        must("unseal", folder / "unseal-request.json", *_cards(made), "--yes")
        made.close()
        yield made


def _cards(mission: Mission, cards: Sequence[tuple[int, int]] = CARDS) -> list[object]:
    return [part for card in cards for part in ("--card", mission.card(*card))]


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One test's copies."""

    mission: Mission
    folder: Path

    @property
    def reading(self) -> Path:
        """The reconstruction's folder."""
        return self.folder / "reading"

    def disk(self, seat: int) -> Path:
        """A copy of a vault's folder."""
        place = self.folder / f"disk-{seat}"
        if not place.exists():
            shutil.copytree(self.mission.vault(seat), place)
        return place

    def inside(self, seat: int) -> Path:
        """The mission's folder on a disk."""
        return self.disk(seat) / "missions" / self.mission.mission

    def shards(self, seat: int, *, manifest: bool | None = None) -> list[Path]:
        """Shards on a disk: all, those of manifest packs, or those of data packs."""
        files = sorted(self.inside(seat).glob("shards/*/*"))
        assert files
        if manifest is None:
            return files
        record = next(
            parse_record(parse_envelope(body))
            for file in sorted(self.inside(seat).glob("bodies/**/*"))
            if file.is_file() and b'"kind":"record"' in _payload(body := file.read_bytes())
        )
        roots = {
            root.hex()
            for pack in record.packs_added
            if (pack.root in record.manifest_packs) is manifest
            for at, root in pack.shards
            if at == seat
        }
        chosen = [file for file in files if file.name in roots]
        assert chosen
        return chosen

    def reconstruct(self, *seats: int, extra: Sequence[object] = ()) -> Ran:
        """Reconstruct from the disks of these seats."""
        return call(*self.arguments(*seats), *extra)

    def arguments(self, *seats: int) -> list[object]:
        """The command line."""
        targets = self.folder / "targets.toml"
        if not targets.exists():
            targets.write_text(TARGETS)
        disks = [part for seat in seats for part in ("--vault-folder", self.disk(seat))]
        answer = self.reading / "answer.json"
        return [
            "reconstruct", self.reading, "--answer", answer, "--targets", targets,
            "--no-network", *disks,
        ]  # fmt: skip

    def refused(
        self,
        code: int,
        *seats: int,
        says: str,
        hint: str | None = None,
        extra: Sequence[object] = (),
    ) -> Ran:
        """A reconstruction that must fail; it leaves no report that could be taken for one."""
        ran = self.reconstruct(*seats, extra=extra)
        assert (ran.code, ran.out) == (code, ""), ran
        assert says in ran.err, ran.err
        assert "Traceback" not in ran.err
        if hint is not None:
            assert any(hint in line for line in ran.err.splitlines() if "hint: " in line), ran.err
        assert not (self.reading / "report.json").exists()
        return ran

    def proven(self, *seats: int) -> str:
        """A reconstruction that must succeed; its report."""
        ran = self.reconstruct(*seats)
        assert ran.code == 0, ran
        assert ": PROVEN" in ran.out
        return ran.out


def _payload(body: bytes) -> bytes:
    if not body.startswith(b"{"):
        return b""  # a cosigned note, which is no statement
    return base64.b64decode(json.loads(body)["payload"])


@pytest.fixture
def desk(lodged: Mission, tmp_path: Path) -> Desk:
    """Copies for one test."""
    shutil.copytree(lodged.root / "reading", tmp_path / "reading")
    return Desk(mission=lodged, folder=tmp_path)


# Disks


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    _write(file, bytes(data))


def _cut(file: Path) -> None:
    _write(file, file.read_bytes()[:-1])


def _empty(file: Path) -> None:
    _write(file, b"")


def _lengthen(file: Path) -> None:
    _write(file, file.read_bytes() + b"\x00")


def _write(file: Path, data: bytes) -> None:
    file.chmod(0o600)
    file.write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bit": (_flip, "shard"),
    "cut": (_cut, "shard"),
    "emptied": (_empty, "shard"),
    "longer": (_lengthen, "shard"),
    "gone": (Path.unlink, ""),
}


def test_one_vault_is_not_enough(desk: Desk) -> None:
    ran = desk.refused(7, 2, says="1 good shards of 3, 2 needed", hint="another seat's vault")
    assert not (desk.folder / "restored" / "land").exists()
    assert "pack " in ran.err
    desk.proven(2, 3)


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_shards(case: str, desk: Desk) -> None:
    """Two seats of which one is damaged do not suffice; a third makes it good, and all is named."""
    damage, says = DAMAGE[case]
    for file in desk.shards(1):
        damage(file)
    ran = desk.refused(7, 1, 2, says="1 good shards of 3, 2 needed", hint="seat 1: ")
    assert says in ran.err.partition("seat 1: ")[2]
    assert not (desk.folder / "restored" / "land").exists()
    report = desk.proven(1, 2, 3)
    assert "Faults of seats, all overcome:" in report
    assert "seat 1: " in report.partition("all overcome:")[2]


@pytest.mark.parametrize("manifest", [False, True])
def test_a_damaged_pack_or_manifest(manifest: bool, desk: Desk) -> None:
    """One pack's shards are gone from two of three disks: nothing of it can be had."""
    for seat in (1, 2):
        for file in desk.shards(seat, manifest=manifest):
            _flip(file)
    says = "1 good shards of 3, 2 needed"
    ran = desk.refused(7, 1, 2, 3, says=says, hint="seat 2: ")
    assert ("register " in ran.err) is not manifest
    # What was put back makes the same command succeed: what it had begun is gone on with.
    for seat in (1,):
        for file in desk.shards(seat, manifest=manifest):
            _flip(file)
    desk.proven(1, 2, 3)


def test_a_damaged_record(desk: Desk) -> None:
    """On one disk another has it; on all there is no deposit to reconstruct."""
    for seat in (1, 2):
        for file in sorted(desk.inside(seat).glob("bodies/**/*")):
            if file.is_file() and b'"kind":"record"' in _payload(file.read_bytes()):
                data = file.read_bytes()
                place = data.index(b'"payload":"') + 60
                other = b"A" if data[place : place + 1] != b"A" else b"B"
                _write(file, data[:place] + other + data[place + 1 :])
    ran = desk.refused(3, 1, 2, says="no vault or folder that was asked has it", hint="seat 1: ")
    assert "seat 2: " in ran.err
    desk.proven(1, 3)


def test_folders_of_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    empty = desk.folder / "empty"
    empty.mkdir()
    none = desk.folder / "none"
    broken = ["--vault-folder", empty, "--vault-folder", none]
    few = "1 good shards of 3, 2 needed"
    desk.refused(7, 2, says=few, extra=broken)
    assert "empty: left out: log/checkpoint: No such file" in caplog.text
    assert "none: left out: none: no such folder" in caplog.text
    desk.refused(3, says="none of 2 is a vault's folder", hint="empty: log/ch", extra=broken)
    _cut(desk.inside(1) / "log" / "checkpoint")
    desk.refused(7, 1, 2, says=few)
    assert "disk-1: left out: " in caplog.text
    ran = desk.reconstruct(1, 2, 3, extra=broken)
    assert ran.code == 0, ran


# Targets


def test_a_folder_with_something_in_it(desk: Desk) -> None:
    mine = desk.folder / "restored" / "births" / "births.db"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    desk.refused(9, 1, 2, says="births.db: expected no file, got one")
    assert mine.read_text() == "mine"
    assert not (desk.folder / "restored" / "land" / "deeds.txt").exists()
    mine.unlink()
    other = desk.folder / "restored" / "land" / "other"
    other.parent.mkdir(exist_ok=True)
    other.write_text("mine")
    desk.refused(
        9, 1, 2, says="expected an empty folder, got one with content", hint="another folder"
    )
    assert other.read_text() == "mine"
    assert sorted(path.name for path in other.parent.iterdir()) == ["other"]


def test_no_target(desk: Desk) -> None:
    (desk.folder / "targets.toml").write_text("")
    desk.refused(3, 1, 2, says="has no target", hint="[default.folder]")
    (desk.folder / "targets.toml").write_text('[default.folder]\nkind = "folder"\npaht = "x"\n')
    desk.refused(3, 1, 2, says="targets.toml:3: default.folder.paht", hint="path for paht")


def test_names_that_the_deposit_does_not_have(desk: Desk) -> None:
    extra = ["--register", "wills"]
    desk.refused(3, 1, 2, says="no register wills", hint="it holds: land, births", extra=extra)
    extra = ["--register", "land", "--table", "nothing.txt"]
    desk.refused(2, 1, 2, says="'nothing.txt'", extra=extra)
    desk.refused(
        3, 1, 2, says="the one register", hint="--register", extra=["--table", "deeds.txt"]
    )


@pytest.mark.postgres
def test_a_database_with_something_in_it(
    tmp_path: Path, pg16: PostgresServer, pg18: PostgresServer, fresh_database: FreshDatabase
) -> None:
    """Also the wrong password of a target server: nothing is made, nothing is changed."""
    name = fresh_database(pg16)
    with pg16.connect(name) as session:
        session.execute("CREATE TABLE public.t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    root = tmp_path / "mission"
    root.mkdir()
    with founded_mission(root) as made:
        _add_database(made, pg16, name)
        must("deposit", "-c", made.config)
        folder = made.root / "reading"
        must("warrant", "prepare", "--card", made.card(2, 1), "--out", folder)
        for label in ("ambassador-a", "ambassador-b"):
            must(
                "sign", folder / "warrant.json", "--key", made.key(label),
                "--passphrase-file", made.passphrase, "--yes",
            )  # fmt: skip
        must("warrant", "submit", folder)
        must("unseal", folder / "unseal-request.json", *_cards(made), "--yes")
    desk = Desk(mission=made, folder=made.root)
    targets = made.root / "targets.toml"
    wrong = write_passfile(tmp_path / "wrong", pg18.port, pg18.user, "no password of theirs")
    targets.write_text(TARGETS + _server(pg18, wrong))
    ran = desk.refused(9, 1, 2, says="expected a connection, got: ", hint="the password file")
    assert "no password of theirs" not in ran.err
    targets.write_text(TARGETS + _server(pg18, pg18.passfile))
    with pg18.connect() as session:
        session.execute(f"CREATE DATABASE {name}".encode())
    try:
        with pg18.connect(name) as session:
            session.execute("CREATE TABLE public.mine (a int)")
        desk.refused(9, 1, 2, says=f"database {name}: expected none or an empty one")
        assert not (made.root / "restored" / "land").exists()
        with pg18.connect(name) as session:
            session.execute("DROP TABLE public.mine")
        desk.proven(1, 2)
    finally:
        with pg18.connect() as session:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _server(server: PostgresServer, passfile: Path) -> str:
    return (
        f'[default.postgresql]\nkind = "postgresql"\nhost = "{server.host}"\n'
        f'port = {server.port}\nuser = "{server.user}"\npassword_file = "{passfile}"\n'
    )


def _add_database(mission: Mission, server: PostgresServer, name: str) -> None:
    plan = mission.config.with_name("registers.toml")
    plan.write_text(
        plan.read_text()
        + '[[register]]\nid = "acts"\ntitle = "Acts"\nowner = "nobody"\nclassification = "none"\n'
        'rpo = "24h"\nrto = "48h"\n[register.source]\nkind = "postgresql"\n'
        f'host = "{server.host}"\nport = {server.port}\nuser = "{server.user}"\n'
        f'databases = ["{name}"]\npassword_file = "{server.passfile}"\n'
    )


# Cards and answers


def _unseal_refused(desk: Desk, cards: Sequence[object], says: str, hint: str | None) -> None:
    request = desk.reading / "unseal-request.json"
    out = desk.folder / "answer.json"
    ran = call("unseal", request, "--out", out, *cards, "--yes")
    assert (ran.code, ran.out) == (6, ""), ran
    assert says in ran.err, ran.err
    if hint is not None:
        assert any(hint in line for line in ran.err.splitlines() if "hint: " in line), ran.err
    assert not out.exists()


def test_too_few_shares(desk: Desk) -> None:
    few = _cards(desk.mission, CARDS[:3])
    _unseal_refused(desk, few, "quorum not reached: 1 of 2 groups are complete", "1 of 2")


def _card_with(desk: Desk, change: Callable[[str], str]) -> list[object]:
    text = desk.mission.card(2, 1).read_text()
    changed = change(text)
    assert changed != text
    path = desk.folder / "card.txt"
    path.write_text(changed)
    return ["--card", path]


def _words_of(text: str) -> list[str]:
    known = set(WORDS.words)
    return [word for word in text.split() if word in known]


def test_a_mistyped_word(desk: Desk) -> None:
    """A word that does not exist is named with its place; one that does fails the checksum."""
    text = desk.mission.card(2, 1).read_text()
    last = _words_of(text)[-1]

    def unknown(card: str) -> str:
        head, _, tail = card.rpartition(last)
        return f"{head}{last[:-1]}q{tail}"

    _unseal_refused(desk, _card_with(desk, unknown), f"'{last[:-1]}q'", None)

    def wrong(card: str) -> str:
        other = next(word for word in WORDS.words if word != last)
        head, _, tail = card.rpartition(last)
        return f"{head}{other}{tail}"

    _unseal_refused(desk, _card_with(desk, wrong), "checksum", None)


def test_a_share_twice(desk: Desk) -> None:
    twice = _cards(desk.mission, ((2, 1), (2, 1)))
    _unseal_refused(desk, twice, "group 2 member 1 was given before", None)


def test_a_share_of_another_set(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A card of another mission; and its words copied onto a card of this one."""
    with founded_mission(tmp_path_factory.mktemp("other")) as other:
        foreign = other.card(2, 1)
    _unseal_refused(desk, ["--card", foreign], "card: expected mission ", None)
    words = _words_of(foreign.read_text())[-33:]
    path = desk.folder / "words.txt"
    path.write_text(" ".join(words))
    _unseal_refused(desk, ["--card", path], "card: expected share set ", "an earlier sharing")


def test_a_share_of_another_epoch(desk: Desk) -> None:
    def later(card: str) -> str:
        return card.replace("epoch: 1", "epoch: 2", 1)

    _unseal_refused(desk, _card_with(desk, later), "card: expected epoch 1, got 2", "old cards")


def test_an_altered_answer_or_request(desk: Desk) -> None:
    """Files that were changed on the way between the two machines."""
    answer = desk.reading / "answer.json"
    whole = answer.read_bytes()
    for junk in (whole[:-1], b"", whole + b" "):
        answer.write_bytes(junk)
        desk.refused(7, 1, 2, says="envelope: ")
    answer.write_bytes((desk.reading / "warrant.json").read_bytes())
    desk.refused(7, 1, 2, says="expected unsealed, got warrant")
    answer.write_bytes(whole)
    request = desk.reading / "unseal-request.json"
    _write(request, request.read_bytes()[:-1])
    ran = call("unseal", request, *_cards(desk.mission), "--yes")
    assert (ran.code, ran.out) == (7, "")
    desk.proven(1, 2)


# Interrupted

KILLED = """
import os, signal, sys
from exclave.cli.progress import ShownReconstruction

real = ShownReconstruction.{hook}
left = {left}

def counting(self, *arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, *arguments)

ShownReconstruction.{hook} = counting
from exclave.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("hook", "left"),
    [
        ("register_started", 0),
        ("restored", 0),
        ("restored", 4),
        ("compared", 0),
        ("register_ended", 1),
    ],
)
def test_killed_in_the_middle(hook: str, left: int, desk: Desk) -> None:
    """Kill -9 of the real process; the same command goes on and proves everything."""
    program = KILLED.format(hook=hook, left=left)
    arguments = [str(part) for part in desk.arguments(1, 2)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (desk.reading / "report.json").exists()
    desk.proven(1, 2)
    left_over = {
        path.name for path in (desk.folder / "restored").rglob("*") if "exclave" in path.name
    }
    assert left_over == set()
