"""`exclave reconstruct` from bags: alone, beside vaults' folders, and beside vaults on the line.

Two locks hold as anywhere: the recovery key, and in place of a released warrant the seats' keys.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from exclave.authority.envelope import parse_envelope
from exclave.demo.founding import READERS_ABROAD
from exclave.signer.interface import sign_envelope
from tests.support.bags import Bag, pack_folder, pack_volumes, run
from tests.support.embassy import Embassy, found_embassy

TARGETS = '[default.folder]\nkind = "folder"\npath = "restored"\n'


class Desk:
    """The restoring machine: charter, cards and keys as files, and what it has restored."""

    def __init__(self, embassy: Embassy, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.charter = folder / "charter.json"
        self.charter.write_bytes(embassy.envelope.to_bytes())
        self.cards: list[object] = []
        for number, text in enumerate(embassy.card_files()):
            path = folder / f"card-{number}.txt"
            path.write_text(text)
            self.cards += ["--card", path]
        shutil.copytree(embassy.home / "registers", folder / "kept")
        (folder / "targets.toml").write_text(TARGETS)

    def key(self, embassy: Embassy, seat: int) -> Path:
        """A copy of a seat's key file."""
        path = self.folder / f"seat-{seat}.key"
        shutil.copy(embassy.vault_folder(seat) / "keys" / "vault.key", path)
        return path

    def prepare(self, *media: object, expect: int = 0) -> object:
        """A reconstruction's folder; the officials give out its secrets without a warrant."""
        reading = self.folder / "reading"
        said = run(
            "warrant", "prepare", "--charter", self.charter, "--out", reading, *media, expect=expect
        )
        if expect == 0:
            run(
                "unseal", reading / "unseal-request.json", *self.cards, "--yes",
                "--unsafe-without-warrant",
            )  # fmt: skip
        return said

    def reconstruct(self, *media: object, expect: int = 0) -> object:
        """The registers into `restored`."""
        reading = self.folder / "reading"
        return run(
            "reconstruct", reading, "--answer", reading / "answer.json",
            "--targets", self.folder / "targets.toml", *media, expect=expect,
        )  # fmt: skip

    def assert_restored(self) -> None:
        """Every file of the registers is there, byte for byte."""
        restored = [p for p in (self.folder / "restored").rglob("*") if p.is_file()]
        found = {path.name: path for path in restored}
        kept = [path for path in (self.folder / "kept").rglob("*") if path.is_file()]
        assert kept
        for path in kept:
            assert found[path.name].read_bytes() == path.read_bytes(), path


def named(bags: Sequence[Bag]) -> list[object]:
    return ["--bag", *(place for bag in bags for place in bag.places)]


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    """Two vaults and two safes; any two of four."""
    with found_embassy(tmp_path_factory.mktemp("embassy"), n=4, safes=(3, 4)) as made:
        made.write_registers(mib=0.3)
        made.deposit()
        yield made


def test_from_the_bags_of_two_safes_alone(tmp_path: Path, embassy: Embassy) -> None:
    """A folder and a tape, of which volumes are named in any order."""
    bags = [pack_folder(embassy, 3, tmp_path / "b3"), pack_volumes(embassy, 4, tmp_path / "b4")]
    bags[1] = Bag(places=bags[1].places[::-1], papers=bags[1].papers, said={})
    desk = Desk(embassy, tmp_path / "desk")
    keys = [desk.key(embassy, seat) for seat in (3, 4)]
    desk.prepare("--no-network", *named(bags))
    said = desk.reconstruct("--no-network", *named(bags), "--seat-keys", keys[0], expect=3)
    assert "expected the key of that seat, got 1 key file without it" in str(said)
    desk.reconstruct("--no-network", *named(bags), "--seat-keys", *keys)
    desk.assert_restored()


def test_from_a_bag_and_a_vaults_folder(tmp_path: Path, embassy: Embassy) -> None:
    bag = pack_folder(embassy, 3, tmp_path / "b3")
    desk = Desk(embassy, tmp_path / "desk")
    key = desk.key(embassy, 3)
    media = ["--no-network", "--vault-folder", embassy.vault_folder(1), *named([bag])]
    desk.prepare(*media)
    desk.reconstruct(*media, "--seat-keys", key)
    desk.assert_restored()


def test_from_a_bag_and_a_vault_on_the_line(tmp_path: Path, embassy: Embassy) -> None:
    """The vault wants a released warrant for its part, the bag its seat's key for the other."""
    bag = pack_folder(embassy, 3, tmp_path / "b3")
    desk = Desk(embassy, tmp_path / "desk")
    key = desk.key(embassy, 3)
    embassy.stop_vault(2)
    desk.prepare(*named([bag]))
    reading = desk.folder / "reading"
    said = desk.reconstruct(*named([bag]), "--seat-keys", key, expect=7)
    assert ": 1 good shard" in str(said)
    assert "seat 1: no answer" in str(said)
    warrant = parse_envelope((reading / "warrant.json").read_bytes())
    for label in READERS_ABROAD:
        warrant = sign_envelope(warrant, embassy.officials[label].signers)
    (reading / "warrant.json").write_bytes(warrant.to_bytes())
    embassy.await_release(1, warrant)
    desk.reconstruct(*named([bag]), "--seat-keys", key)
    desk.assert_restored()
    embassy.start_vault(2)


def test_one_seats_bags_are_not_enough(tmp_path: Path, embassy: Embassy) -> None:
    bag = pack_folder(embassy, 3, tmp_path / "b3")
    desk = Desk(embassy, tmp_path / "desk")
    said = desk.prepare("--no-network", *named([bag]), expect=6)
    assert "held whole by 1 of these seats, 2 needed" in str(said)


def test_a_torn_bag_is_named_and_the_other_of_its_seat_read(
    tmp_path: Path, embassy: Embassy
) -> None:
    """All bags of a seat count: what one has lost another brings."""
    bags = [pack_folder(embassy, 3, tmp_path / f"b3-{n}") for n in (1, 2)]
    other = pack_folder(embassy, 4, tmp_path / "b4")
    for number, bag in enumerate(bags):
        shards = sorted((bag.places[0] / "shards").rglob("*/*"))
        victim = shards[0 if number else -1]
        victim.chmod(0o600)
        victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    assert len(shards) > 1
    desk = Desk(embassy, tmp_path / "desk")
    keys = [desk.key(embassy, seat) for seat in (3, 4)]
    desk.prepare("--no-network", *named([*bags, other]))
    desk.reconstruct("--no-network", *named([*bags, other]), "--seat-keys", *keys)
    desk.assert_restored()


def test_bags_without_the_seats_keys(tmp_path: Path, embassy: Embassy) -> None:
    bag = pack_folder(embassy, 3, tmp_path / "b3")
    desk = Desk(embassy, tmp_path / "desk")
    said = run(
        "reconstruct", tmp_path, "--answer", tmp_path, "--targets", desk.folder / "targets.toml",
        "--no-network", *named([bag]), expect=2,
    )  # fmt: skip
    assert "expected --bag and --seat-keys together or neither" in said


def test_what_is_no_bag_of_the_mission(tmp_path: Path, embassy: Embassy) -> None:
    desk = Desk(embassy, tmp_path / "desk")
    said = desk.prepare("--no-network", "--bag", tmp_path / "nowhere", expect=3)
    assert "expected a bag's folder or a file that is a volume of it" in str(said)
    (tmp_path / "file").write_bytes(bytes(70_000))
    shutil.rmtree(desk.folder / "reading", ignore_errors=True)
    said = desk.prepare("--no-network", "--bag", tmp_path / "file", expect=3)
    assert "expected a volume of a bag, got no block of one" in str(said)
