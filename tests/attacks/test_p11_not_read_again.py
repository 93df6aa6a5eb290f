"""P11, and the files that a deposit does not read again: what was changed is never taken for read.

The attacker writes to the registers' files and sets their times, sizes, names and inodes as he
likes; he sets the machine's clock; he takes, changes or swaps what the depositor remembers. He has
no root, so that he cannot set a file's change time, and he has not the dedup key.

Each attack is preceded by the control that without it nothing is read again.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from exclave import clock
from exclave.deposit.remembered import Remembering
from exclave.deposit.streams import DepositSink, RecalledDiffers
from exclave.ids import ChunkId
from exclave.source.files.errors import FileChanging
from exclave.source.interface import Captured
from tests.property.test_recall import MISSION, capture, remembering
from tests.support.keyed_packs import KeyedPacks

NAME = "extract-of-the-land-register.txt"
SIZE = 40_000


class Home:
    """A tree with one file of interest among others, and what was captured of it."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.place = folder / "memory"
        self.packs = KeyedPacks()
        self.minutes = 0
        self.tree.mkdir()
        for number in range(20):
            (self.tree / f"other-{number}").write_bytes(random.Random(number).randbytes(30_000))
        self.file = self.tree / NAME
        self.file.write_bytes(b"before".ljust(SIZE, b"."))
        self.capture()

    def memory(self, *, minutes: int | None = None) -> Remembering:
        self.minutes += 10
        return remembering(
            self.place, self.packs, minutes=self.minutes if minutes is None else minutes
        )

    def capture(self, memory: Remembering | None = None) -> Captured:
        memory = self.memory() if memory is None else memory
        captured = capture(self.tree, self.packs, memory)
        memory.keep()
        return captured

    def full(self) -> Captured:
        return capture(self.tree, self.packs, None)

    def read(self, captured: Captured) -> int:
        assert captured.unread is not None
        return captured.files - captured.unread.files


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    assert home.read(home.capture()) == 0
    return home


def write_in_place(home: Home) -> None:
    with home.file.open("r+b") as stream:
        stream.write(b"forged")


def rename_onto(home: Home) -> None:
    other = home.tree.parent / "forged"
    other.write_bytes(b"forged".ljust(SIZE, b"."))
    before = home.file.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(home.file)


def reuse_inode(home: Home) -> None:
    before = home.file.stat()
    home.file.unlink()
    for number in range(2000):
        home.file.write_bytes(b"forged".ljust(SIZE, b"."))
        if home.file.stat().st_ino == before.st_ino:
            break
        # Others take what lies before it among the free ones.
        home.file.rename(home.tree.parent / f"taken-{number}")
    else:
        home.file.write_bytes(b"forged".ljust(SIZE, b"."))


def through_a_link(home: Home) -> None:
    link = home.tree.parent / "link"
    link.hardlink_to(home.file)
    with link.open("r+b") as stream:
        stream.write(b"forged")
    link.unlink()


@pytest.mark.parametrize("change", [write_in_place, rename_onto, reuse_inode, through_a_link])
def test_a_change_behind_the_same_size_and_time_is_read(
    home: Home, change: Callable[[Home], None]
) -> None:
    before = home.file.stat()
    change(home)
    os.utime(home.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = home.file.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    captured = home.capture()
    assert home.read(captured) == 1
    assert captured.objects == home.full().objects


def test_what_was_written_just_before_is_read_again(home: Home) -> None:
    """A second write within one tick of the clock could leave the same change time."""
    home.file.write_bytes(b"again".ljust(SIZE, b"."))
    now = home.capture(home.memory(minutes=0))
    assert now.unread is not None
    assert now.unread.read_all is not None  # the clock went back, too
    assert now.unread.unsettled == len(list(home.tree.iterdir()))
    assert home.read(home.capture(home.memory(minutes=20))) == now.files


def test_a_clock_that_was_set_back_makes_everything_read(home: Home) -> None:
    captured = home.capture(home.memory(minutes=5))
    assert home.read(captured) == captured.files
    assert captured.unread is not None
    assert captured.unread.read_all == "the clock stands before the last capture"


def test_everything_is_read_again_after_its_time(home: Home) -> None:
    captured = home.capture(home.memory(minutes=2 * 24 * 60))
    assert home.read(captured) == captured.files
    assert captured.unread is not None
    assert str(captured.unread.read_all).startswith("the last time was 2")
    assert home.read(home.capture(home.memory(minutes=2 * 24 * 60 + 1))) == 0


def test_a_file_that_rotted_is_named_when_everything_is_read(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_in_place(home)
    # As if the change had left no trace: a disk does not ask for the time.
    monkeypatch.setattr("exclave.source.files.capture.same", lambda *_: True)
    assert home.read(home.capture()) == 0
    captured = home.capture(home.memory(minutes=2 * 24 * 60))
    assert [note for note in captured.notes if NAME in note and "failing disk" in note]
    monkeypatch.undo()
    assert captured.objects == home.full().objects


@pytest.mark.parametrize("part", ["notes", "chunks"])
@pytest.mark.parametrize("where", [0, 10, 60, 200, -1])
def test_a_memory_that_was_changed_is_not_believed(home: Home, part: str, where: int) -> None:
    [file] = home.place.glob(f"*.{part}")
    data = bytearray(file.read_bytes())
    data[where] ^= 1
    file.write_bytes(data)
    captured = home.capture()
    assert home.read(captured) == captured.files or part == "chunks"
    assert captured.objects == home.full().objects
    assert home.read(home.capture()) == 0


@pytest.mark.parametrize("part", ["notes", "chunks"])
def test_files_of_two_deposits_are_no_memory(home: Home, part: str) -> None:
    [file] = home.place.glob(f"*.{part}")
    before = file.read_bytes()
    home.capture()
    file.write_bytes(before)
    captured = home.capture()
    assert home.read(captured) == captured.files
    assert captured.unread is not None
    assert captured.unread.read_all == "nothing is remembered"


def test_a_memory_put_back_only_makes_more_read(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.place, tmp_path / "stolen")
    write_in_place(home)
    assert home.read(home.capture()) == 1
    shutil.rmtree(home.place)
    shutil.copytree(tmp_path / "stolen", home.place)
    captured = home.capture()
    assert home.read(captured) == 1
    assert captured.objects == home.full().objects


def test_a_memory_of_another_key_or_register_is_none(home: Home) -> None:
    for key, register in ((b"\x08" * 32, "land"), (home.packs.dedup_key, "tax")):
        memory = Remembering(
            home.place,
            mission=MISSION,
            dedup_key=key,
            clock=clock.now,
            random=os.urandom,
            read_all_after=86_400,
        )
        tree = memory.open_tree(register, "files")
        assert tree.read_all == "nothing is remembered"
        assert list(tree.earlier_notes()) == [] == list(tree.earlier_chunks())
        memory.discard()
    assert home.read(home.capture()) == 0


def test_a_memory_says_nothing_to_who_takes_it(home: Home) -> None:
    kept = b"".join(file.read_bytes() for file in home.place.iterdir())
    assert len(kept) > 20 * 100
    for said in (NAME.encode(), b"other-1", blake3(home.file.read_bytes()).digest()):
        assert said not in kept
    for chunk in home.packs.chunks:
        assert chunk[1] not in kept


def test_chunks_that_no_pack_holds_any_more_are_read_and_stored_again(home: Home) -> None:
    added = home.packs.added
    home.packs.forget(2)
    captured = home.capture()
    assert home.packs.added > added
    assert captured.objects == home.full().objects


def test_a_file_that_changes_while_it_counts_as_unchanged_ends_the_capture(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen unchanged, then written, then read after all: mixed content must never verify."""
    home.packs.forget(1)
    find = DepositSink.find
    written: list[ChunkId] = []

    def strike(sink: DepositSink, chunks: list[object]) -> object:
        if not written:
            written.append(ChunkId(b""))
            write_in_place(home)
        return find(sink, chunks)  # type: ignore[arg-type]

    monkeypatch.setattr(DepositSink, "find", strike)
    with pytest.raises((FileChanging, RecalledDiffers)):
        home.capture()


def test_a_deposit_that_is_not_lodged_leaves_the_memory_as_it_was(home: Home) -> None:
    before = {file.name: file.read_bytes() for file in home.place.iterdir()}
    memory = home.memory()
    capture(home.tree, home.packs, memory)
    memory.discard()
    assert {file.name: file.read_bytes() for file in home.place.iterdir()} == before
    home.memory().discard()  # what a killed run left aside is forgotten
    assert home.read(home.capture()) == 0
