"""From vault folders and cards to registers, and what happens when something is wrong."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reader.loaded import PATH, load_reader
from tests.reader.world import World, b64

reader = load_reader()

CARDS = ("1-0", "1-2", "2-1", "2-2")  # two groups abroad, two members each


def run(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """The reader with an empty environment, from the world's folder."""
    command = [sys.executable, "-I", str(PATH), *words]
    return subprocess.run(
        command, env={}, cwd=world.root, capture_output=True, text=True, check=False
    )


def extract(world: World, *seats: int, cards: tuple[str, ...] = CARDS, more: tuple[str, ...] = ()):
    """`extract` into `out`."""
    files = [f"card-{card}.txt" for card in cards]
    folders = [f"vault-{seat}" for seat in seats]
    return run(world, "extract", "--cards", *files, "--out", "out", *folders, *more)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.build()
    return made


def spoil(world: World, seat: int) -> list[Path]:
    """Flip the last byte of every shard of a seat."""
    paths = [p for p in (world.root / f"vault-{seat}").rglob("shards/*/*") if p.is_file()]
    assert paths
    for path in paths:
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return paths


def test_list_names_the_deposit_and_its_seats(world: World) -> None:
    done = run(world, "list", "vault-1", "vault-3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whole at seats [1, 3]" in done.stdout


@pytest.mark.parametrize("seats", [(1, 2), (3, 1), (2, 3), (1, 2, 3)])
def test_any_two_folders_give_everything(world: World, seats: tuple[int, ...]) -> None:
    done = extract(world, *seats)
    assert done.returncode == 0, done.stdout + done.stderr
    out = world.root / "out"
    assert done.stdout.count("equal to what was captured") == 3
    rows = next((out / "register-people").glob("*t_x.copy")).read_bytes()
    assert rows.startswith(b"0\tname 0\\n\n")
    assert rows.count(b"\n") == 3000
    assert (out / "register-people" / "RUNBOOK").read_text() == "Start it.\n"
    assert (out / "registers.toml").read_text() == "# plan\n"


def test_files_have_their_attributes(world: World) -> None:
    assert extract(world, 1, 2).returncode == 0
    top = os.fsencode(next((world.root / "out" / "register-scans").glob("*scans*")))
    found = os.lstat(top + b"/sub/b\xff")
    assert (found.st_size, stat.S_IMODE(found.st_mode), found.st_nlink) == (300_000, 0o640, 2)
    assert found.st_mtime_ns == -(10**9)
    assert found.st_blocks * 512 < 300_000
    assert os.readlink(top + b"/sub/link") == b"../../outside"  # noqa: PTH115
    assert stat.S_ISFIFO(os.lstat(top + b"/pipe").st_mode)
    assert stat.S_IMODE(os.lstat(top + b"/sub").st_mode) == 0o500


def test_corrupt_shards_are_named_and_got_round(world: World) -> None:
    spoiled = spoil(world, 1)
    done = extract(world, 1, 2, 3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(path.name in done.stdout for path in spoiled)


def test_too_few_shards_is_a_refusal(world: World) -> None:
    spoil(world, 1)
    done = extract(world, 1, 2)
    assert done.returncode == 2
    assert "TooFewShards" in done.stderr


@pytest.mark.parametrize("cards", [("1-0", "1-2"), ("1-0", "1-2", "2-1"), ("1-0", "2-1", "0-1")])
def test_too_few_cards(world: World, cards: tuple[str, ...]) -> None:
    done = extract(world, 1, 2, cards=cards)
    assert done.returncode == 2
    assert "CardRefused" in done.stderr
    assert not (world.root / "out").exists()


def test_one_register_only(world: World) -> None:
    assert extract(world, 1, 2, more=("--register", "deeds")).returncode == 0
    folders = {p.name for p in (world.root / "out").iterdir() if p.is_dir()}
    assert folders == {"register-deeds"}


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ({'"rows":3000': '"rows":2999'}, "rows: expected 2999"),
        ({'"tables":[["deeds",2]]': '"tables":[["deeds",3]]'}, "table deeds"),
        ({'"count":1,': '"count":2,'}, "count: expected 2"),
    ],
)
def test_a_difference_is_named(tmp_path: Path, edit: dict[str, str], named: str) -> None:
    world = World(tmp_path, manifest_edit=edit)
    world.build()
    done = extract(world, 1, 2)
    assert done.returncode == 1, done.stdout + done.stderr
    assert named in done.stdout


def test_an_altered_body_and_tile_are_problems(world: World) -> None:
    tile = next((world.root / "vault-1").rglob("tile/0/000.p/3"))
    tile.write_bytes(bytes(96))
    done = run(world, "list", "vault-1", "vault-2")
    assert done.returncode == 1
    assert "not the hashes of the entries" in done.stdout


def test_a_forged_checkpoint_is_a_problem(world: World) -> None:
    one, two = (next((world.root / f"vault-{s}").rglob("checkpoint")) for s in (1, 2))
    text = one.read_text().split("\n\n")[0]
    one.write_text(text + "\n\n" + two.read_text().split("\n\n")[1])
    assert "not signed by the log key" in run(world, "list", "vault-1").stdout


def test_the_folder_is_never_overwritten(world: World) -> None:
    (world.root / "out").mkdir()
    assert extract(world, 1, 2).returncode == 2


def receipt(world: World, index: int) -> str:
    """A provisional receipt of vault 1 for one of its three entries (ledger.md 5)."""
    tile = next((world.root / "vault-1").rglob("tile/entries/000.p/3"))
    entries = tile.read_bytes()
    split, at = [], 0
    while at < len(entries):
        length = int.from_bytes(entries[at : at + 2], "big")
        split.append(entries[at + 2 : at + 2 + length])
        at += 2 + length
    leaves = [reader.hash_leaf(entry) for entry in split]
    both = reader.hash_node(leaves[0], leaves[1])
    path = {0: [leaves[1], leaves[2]], 1: [leaves[0], leaves[2]], 2: [both]}[index]
    note = next((world.root / "vault-1").rglob("checkpoint")).read_text()
    lines = ["c2sp.org/tlog-proof@v1", f"extra {b64(split[index])}", f"index {index}"]
    return "\n".join(lines + [b64(node) for node in path]) + "\n\n" + note


@pytest.mark.parametrize("index", [0, 1, 2])
def test_receipts_are_verified(world: World, index: int) -> None:
    path = world.root / "receipt"
    path.write_text(receipt(world, index))
    done = run(world, "verify-receipt", "receipt", "vault-2")
    assert done.returncode == 0, done.stderr
    assert "provisional" in done.stdout
    path.write_text(receipt(world, index).replace(f"index {index}", f"index {(index + 1) % 3}"))
    assert run(world, "verify-receipt", "receipt", "vault-2").returncode == 2
