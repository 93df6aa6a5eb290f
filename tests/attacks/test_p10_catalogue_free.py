"""P10: from the stored objects of k vaults alone, with the cards, everything comes back.

What is lost: the homeland's processes, its folder with registers, keys, journal, spool and
catalogue, the founders' desk with the charter, one vault; in some tests also everything of the
remaining vaults that is not a stored object. What is left: k vaults (or their disks), the cards of
two groups, the key files of officials abroad, this software.

A fresh process with an empty environment rebuilds. Every path that it opens is traced by the
kernel, whatever library opens it, and must lie where it may. Positive controls: the same trace of
a process that does look into the homeland's folder is refused; a vault that lacks an object is.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import exclave
from exclave.demo.founding import READERS_ABROAD
from exclave.signer.file import save_key_file
from tests.support.depositor_process import CHILD as DEPOSIT
from tests.support.depositor_process import REGISTER, SETTINGS
from tests.support.embassy import Embassy, found_embassy, write_files, write_sqlite
from tests.support.systrace import TracingRefused, trace
from tests.support.vault_process import child_environment

DRIVER = Path(__file__).parents[1] / "support" / "rebuild_alone.py"
SOURCES = Path(exclave.__file__).parents[1]
CARDS = ((2, 1), (2, 2), (3, 1), (3, 2))
FSCK = """import sys
from exclave.cli import main
sys.exit(main(["vault", "fsck", "--rebuild", sys.argv[1]]))
"""
PASSPHRASE = b"correct horse battery staple"
SYSTEM = ("/usr/", "/lib/", "/lib64/", "/etc/", "/proc/", "/sys/", "/dev/", "/nix/", "/opt/")


@dataclass(frozen=True, kw_only=True)
class Alone:
    """What is left, in a folder of its own, and a place to rebuild in."""

    folder: Path
    vaults: tuple[Path, ...]

    @property
    def left(self) -> Path:
        """Cards and officials' keys."""
        return self.folder / "left"

    @property
    def work(self) -> Path:
        """The restoring machine's folder."""
        return self.folder / "work"

    def commands(self, *, network: bool) -> list[list[str]]:
        """What is typed on the restoring machine, and by officials."""
        reading, targets = str(self.work / "reading"), str(self.work / "targets.toml")
        disks = [word for path in self.vaults for word in ("--vault-folder", str(path))]
        offline = [] if network else ["--no-network", *disks]
        card = str(self.left / "card-2-1.txt")
        cards = [
            word for g, m in CARDS for word in ("--card", str(self.left / f"card-{g}-{m}.txt"))
        ]
        unsafe = [] if network else ["--unsafe-without-warrant"]
        warrant, answer = f"{reading}/warrant.json", f"{reading}/answer.json"
        passphrase = ["--passphrase-file", str(self.left / "passphrase")]
        signing = [
            ["sign", warrant, "--yes", "--key", f"{self.left}/{label}.key", *passphrase]
            for label in READERS_ABROAD
        ]
        return [
            ["warrant", "prepare", "--card", card, "--out", reading, *offline],
            *(signing if network else []),
            *([["warrant", "submit", reading]] if network else []),
            ["unseal", f"{reading}/unseal-request.json", "--yes", *cards, *unsafe],
            ["reconstruct", reading, "--answer", answer, "--targets", targets, *offline],
        ]

    def rebuild(self, *, network: bool, read: Sequence[str] = ()) -> Rebuilt:
        """All commands in one fresh process with an empty environment."""
        self.work.mkdir()
        targets = '[default.folder]\nkind = "folder"\npath = "restored"\n'
        (self.work / "targets.toml").write_text(targets)
        order, result = self.work / "order.json", self.work / "result.json"
        fields = {
            "sources": str(SOURCES),
            "commands": [*map(list, [read] if read else []), *self.commands(network=network)],
            "result": str(result),
        }
        order.write_text(json.dumps(fields))
        run = trace(
            [sys.executable, "-I", "-B", str(DRIVER), str(order)],
            watch=self.work,
            out=self.folder / "trace",
            environment={},
            opened=True,
        )
        run.stdout.read()
        try:
            run.wait()
        except TracingRefused as error:
            if os.environ.get("EXCLAVE_TEST_WITHOUT_PTRACE") == "1":
                pytest.skip(str(error))
            pytest.fail(str(error))
        log = (self.folder / "trace" / "tracer.log").read_text()
        assert run.exit_code == 0, log
        return Rebuilt(said=json.loads(result.read_text()), opened=run.opened, log=log)


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What the fresh process did."""

    said: dict[str, Any]
    opened: list[str]
    log: str

    def require_within(self, allowed: Sequence[Path]) -> None:
        """Every path that was opened lies in the system, the program or what is left."""
        roots = [str(path.resolve()) + "/" for path in allowed]
        # Installed packages need not lie below the interpreter (`tools.mutations` has its own).
        packages = [path for path in sys.path if path.endswith("-packages")]
        program = [sys.prefix, sys.base_prefix, sys.exec_prefix, SOURCES, DRIVER.parent, *packages]
        roots += [f"{path}/" for path in program] + [f"{Path(p).resolve()}/" for p in program]
        strange = sorted(
            {
                path
                for path in self.opened
                if not f"{path}/".startswith((*roots, *SYSTEM))
                and path not in _PASSED
                and Path(path).parent != Path(tempfile.gettempdir())
            }
        )
        assert not strange, f"opened: {strange[:5]}"


# Folders that are only passed through on the way to the interpreter's own files.
_PASSED = {str(path) for path in Path(sys.executable).parents}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    """A mission with two deposits, each made by a process of its own; nothing runs any more."""
    with found_embassy(tmp_path_factory.mktemp("founded") / "embassy") as embassy:
        home = embassy.home
        (home / "deposit.toml").write_text(SETTINGS)
        (home / "registers.toml").write_text(
            REGISTER.format(id="scans", kind="files", path="scans")
            + REGISTER.format(id="gazette", kind="sqlite", path="gazette.sqlite")
        )
        for seed in (1, 2):
            embassy.write_registers(mib=0.2, seed=seed)
            subprocess.run(
                [sys.executable, str(DEPOSIT), str(home / "deposit.toml")],
                env=child_environment(),
                check=True,
                capture_output=True,
                timeout=60,
            )
        for seat in (1, 2, 3):
            embassy.stop_vault(seat)
        embassy.folder.rename(embassy.folder.with_name("snapshot"))
        yield embassy


@pytest.fixture
def embassy(founded: Embassy) -> Iterator[Embassy]:
    """As it was after the second deposit; the vaults run."""
    shutil.copytree(founded.folder.with_name("snapshot"), founded.folder)
    for seat in (1, 2, 3):
        founded.start_vault(seat)
    yield founded
    for seat in (1, 2, 3):
        founded.stop_vault(seat)
    shutil.rmtree(founded.folder)


def lose_homeland(embassy: Embassy, folder: Path, *, network: bool, keep: Sequence[int]) -> Alone:
    """All but the vaults in `keep`, cards and keys abroad is gone; processes first."""
    left = folder / "left"
    shutil.copytree(embassy.folder / "cards", left)
    for label in READERS_ABROAD:
        bundle = embassy.officials[label]
        save_key_file(
            left / f"{label}.key", bundle, passphrase=PASSPHRASE, random=os.urandom, n=2**15
        )
    (left / "passphrase").write_bytes(PASSPHRASE + b"\n")
    (left / "passphrase").chmod(0o600)
    for seat in (1, 2, 3):
        if not network or seat not in keep:
            embassy.stop_vault(seat)
        if seat not in keep:
            shutil.rmtree(embassy.vault_folder(seat))
    homes = [embassy.home, embassy.folder / "founding", embassy.folder / "cards"]
    assert not list(users_of(homes)), "a process of the homeland still runs"
    for path in homes:
        shutil.rmtree(path)
    return Alone(folder=folder, vaults=tuple(embassy.vault_folder(seat) for seat in keep))


def users_of(folders: Sequence[Path]) -> Iterator[str]:
    """Processes that work in these folders or hold a file of theirs open."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = [process / "cwd", *(process / "fd").iterdir()]
            for link in links:
                if any(link.readlink().is_relative_to(folder) for folder in folders):
                    yield process.name
        except OSError:
            continue  # it has ended, or is none of ours


def require_same(alone: Alone, expected: Path) -> None:
    """Every file and row as at the second deposit."""
    restored = alone.work / "restored"
    files = [p.relative_to(expected) for p in (expected / "scans").rglob("*") if p.is_file()]
    assert len(files) == 21
    for file in files:
        assert (restored / file).read_bytes() == (expected / file).read_bytes()
    (database,) = [path for path in (restored / "gazette").rglob("*") if path.is_file()]
    assert rows_of(database) == rows_of(expected / "gazette.sqlite")
    report = json.loads((alone.work / "reading" / "report.json").read_text())
    assert report["signatures"]
    assert "PROVEN" in (alone.work / "reading" / "report.txt").read_text()


def rows_of(database: Path) -> list[tuple[int, str]]:
    """The register's rows."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT id, text FROM act ORDER BY id").fetchall()
    assert len(rows) > 400
    return rows


@pytest.fixture
def expected(tmp_path: Path) -> Path:
    """The registers as they were at the second deposit, made again from nothing."""
    folder = tmp_path / "expected"
    for seed in (1, 2):
        write_files(folder / "scans", int(0.2 * 2**20), seed)
        write_sqlite(folder / "gazette.sqlite", rows=400, seed=seed)
    return folder


def test_from_two_vaults_and_cards(embassy: Embassy, tmp_path: Path, expected: Path) -> None:
    alone = lose_homeland(embassy, tmp_path / "alone", network=True, keep=(1, 3))
    done = alone.rebuild(network=True)
    assert set(done.said["codes"]) == {0}, done.log
    assert done.said["env"] in ([], ["LC_CTYPE"])  # Python itself sets that one
    assert done.said["started"] == []
    ports = {str(port) for port in ports_of(embassy)}
    assert done.said["connected"]
    assert all(any(port in address for port in ports) for address in done.said["connected"])
    # Not even the vaults' folders: everything came over the lines.
    done.require_within([alone.left, alone.work])
    require_same(alone, expected)


def ports_of(embassy: Embassy) -> list[int]:
    """Ports that stand on the cards."""
    return [
        int(text.rpartition(":")[2])
        for vault in embassy.vaults.values()
        for text in (vault.address.data, vault.address.public)
    ]


@pytest.mark.parametrize("keep", [(1, 2), (1, 3), (2, 3)])
def test_from_two_disks_without_anything_but_objects(
    embassy: Embassy, tmp_path: Path, expected: Path, keep: tuple[int, int]
) -> None:
    alone = lose_homeland(embassy, tmp_path / "alone", network=False, keep=keep)
    for seat in keep:
        only_objects(embassy, seat)
    done = alone.rebuild(network=False)
    assert set(done.said["codes"]) == {0}, done.log
    assert done.said["connected"] == done.said["started"] == []
    done.require_within([alone.left, alone.work, *alone.vaults])
    require_same(alone, expected)


def only_objects(embassy: Embassy, seat: int) -> None:
    """Leave shards, bodies and log of a vault; all else is gone."""
    folder, place = embassy.vault_folder(seat), embassy.mission_folder(seat)
    for path in [*folder.iterdir(), *place.iterdir()]:
        if path in (folder / "missions", place / "shards", place / "bodies", place / "log"):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    assert sorted(path.name for path in folder.iterdir()) == ["missions"]
    assert sorted(path.name for path in place.iterdir()) == ["bodies", "log", "shards"]


def test_after_the_indexes_were_lost_and_made_again(
    embassy: Embassy, tmp_path: Path, expected: Path
) -> None:
    alone = lose_homeland(embassy, tmp_path / "alone", network=False, keep=(2, 3))
    for seat in (2, 3):
        place = embassy.mission_folder(seat)
        for path in place.glob("state.db*"):
            path.unlink()
        shutil.rmtree(place / "meta")
        shutil.rmtree(embassy.vault_folder(seat) / "tmp")
        done = subprocess.run(
            [sys.executable, "-c", FSCK, str(embassy.vault_folder(seat))],
            env=child_environment(),
            check=False,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert (place / "state.db").is_file()
        embassy.start_vault(seat)
    rebuilt = alone.rebuild(network=True)
    assert set(rebuilt.said["codes"]) == {0}, rebuilt.log
    rebuilt.require_within([alone.left, alone.work])
    require_same(alone, expected)


# Positive controls


def test_control_a_look_into_the_homeland_is_seen(embassy: Embassy, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(embassy.home, home)
    alone = lose_homeland(embassy, tmp_path / "alone", network=True, keep=(1, 3))
    done = alone.rebuild(network=True, read=["deposits", "--config", str(home / "deposit.toml")])
    assert set(done.said["codes"]) == {0}, done.log
    with pytest.raises(AssertionError, match=r"home/deposit\.toml"):
        done.require_within([alone.left, alone.work])


def test_control_a_process_of_the_homeland_is_seen(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w"):
        assert str(os.getpid()) in users_of([tmp_path])
    assert str(os.getpid()) not in users_of([tmp_path])


@pytest.mark.parametrize("lost", ["shards", "bodies", "log"])
def test_control_every_kind_of_object_is_needed(
    embassy: Embassy, tmp_path: Path, lost: str
) -> None:
    alone = lose_homeland(embassy, tmp_path / "alone", network=False, keep=(1, 2))
    for seat in (1, 2) if lost == "bodies" else (1,):
        only_objects(embassy, seat)
        shutil.rmtree(embassy.mission_folder(seat) / lost)
    done = alone.rebuild(network=False)
    assert set(done.said["codes"]) != {0}
    assert not (alone.work / "reading" / "report.txt").exists()
