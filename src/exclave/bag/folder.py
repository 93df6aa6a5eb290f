"""A bag as a folder, as on a removable disk (spec/bag.md 2).

Rules
- Written under another name beside it, synced, renamed: a folder with the bag's name is whole.
- Who prepared a disk may have put links, pipes or endless files there: only regular files are read,
  and no more of them than the inventory says.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exclave.bag.interface import BagExists, BagFull, BagUnreadable, NoBag
from exclave.carried.gathering import Finding, FindingCause
from exclave.carried.inventory import MAX_INVENTORY, Inventory, Item, ItemClass, parse_inventory
from exclave.carried.label import label_text
from exclave.durable import NoSpace, settle_file, storage_errors, sync_folder
from exclave.errors import IntegrityError

__all__ = ["INVENTORY", "PAPERS", "FolderBag", "FolderWriter", "place_of"]

INVENTORY: Final = "exclave-bag.json"
LABEL: Final = "BAG.txt"
PAPERS: Final = "papers"
_OF_PAPERS: Final = "charter.json"
"""What a folder of papers has beside the inventory, and no bag."""
_FOLDERS: Final = {
    ItemClass.CHARTER: "charters",
    ItemClass.ANNEX: "annexes",
    ItemClass.STATEMENT: "statements",
    ItemClass.RECORD: "records",
}
_SHOWN: Final = 100
"""Strange files that are named one by one."""


def place_of(item: Item) -> str:
    """Where an item lies in the folder."""
    if item.kind is ItemClass.KIT:
        return f"KIT/{item.name}"
    if item.kind is ItemClass.SHARD:
        return f"shards/{item.name[:2]}/{item.name}"
    return f"{_FOLDERS[item.kind]}/{item.name}"


class FolderWriter:
    """A new folder; its parent is there."""

    def __init__(self, folder: Path, inventory: Inventory) -> None:
        if folder.exists() or folder.is_symlink():
            raise BagExists(
                f"{folder}: expected a new folder, got one that is there", hint="name another"
            )
        if not folder.parent.is_dir():
            raise NoBag(
                f"{folder.parent}: expected a folder, got none", hint="is the disk mounted?"
            )
        self._folder = folder
        self._inventory = inventory
        self._part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(self._part, ignore_errors=True)  # of a run that was killed
        self._files: list[Path] = []
        self._done = False
        with storage_errors(f"bag {folder.name}"):
            self._part.mkdir(mode=0o755)

    def put(self, item: Item, data: bytes) -> None:
        """See `BagWriter`."""
        self._write(place_of(item), data)

    def finish(self) -> None:
        """See `BagWriter`."""
        self._write(LABEL, label_text(self._inventory))
        self._write(INVENTORY, self._inventory.encode())
        try:
            # All are written before the first is synced: that one carries most of the others.
            for file in self._files:
                settle_file(file)
            with storage_errors(f"bag {self._folder.name}"):
                for folder, _, _ in os.walk(self._part):
                    sync_folder(Path(folder))
                self._part.rename(self._folder)
                sync_folder(self._folder.parent)
        except NoSpace as error:
            raise self._full() from error
        self._done = True

    def abandon(self) -> None:
        """See `BagWriter`."""
        if not self._done:
            shutil.rmtree(self._part, ignore_errors=True)

    def _write(self, name: str, data: bytes) -> None:
        file = self._part / name
        try:
            with storage_errors(f"bag {self._folder.name}"):
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("xb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fchmod(stream.fileno(), 0o444)
        except NoSpace as error:
            raise self._full() from error
        self._files.append(file)

    def _full(self) -> BagFull:
        size = self._inventory.content_size
        return BagFull(
            f"bag {self._folder}: expected room for {size} bytes, got a full disk",
            hint="take a larger disk, or several volumes (--volumes); nothing of it was left",
        )


class FolderBag:
    """A folder that is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.findings: list[Finding] = []
        if not (folder / INVENTORY).exists():
            raise NoBag(
                f"{folder}: expected a bag, got a folder without {INVENTORY}",
                hint="a bag that was not packed to its end has none",
            )
        if (folder / _OF_PAPERS).exists() and not (folder / LABEL).exists():
            raise NoBag(
                f"{folder}: expected a bag, got the papers of one",
                hint="the bag is the other folder, with shards in it",
            )
        try:
            self._inventory = parse_inventory(self._read(INVENTORY, MAX_INVENTORY))
        except IntegrityError as error:
            raise BagUnreadable(f"{folder / INVENTORY}: {error}", hint=error.hint) from error
        except OSError as error:
            raise BagUnreadable(f"{folder / INVENTORY}: {error}") from error

    @property
    def inventory(self) -> Inventory:
        """See `ReadableBag`."""
        return self._inventory

    def read(self, item: Item) -> bytes | None:
        """What lies where an item should, of at most one byte more; None when nothing is there."""
        try:
            return self._read(place_of(item), item.size)
        except OSError:
            return None

    def items(self) -> Iterator[tuple[Item, bytes]]:
        """See `ReadableBag`."""
        for item in self._inventory.items:
            try:
                data = self._read(place_of(item), item.size)
            except FileNotFoundError:
                self._find(FindingCause.MISSING, f"{item}: not there")
            except OSError as error:
                self._find(FindingCause.DAMAGED, f"{item}: {error.strerror or error}")
            else:
                if item.matches(data):
                    yield item, data
                else:
                    self._find(FindingCause.ITEM, f"{item}: not whole")
        self._strangers()

    def _strangers(self) -> None:
        known = {place_of(item) for item in self._inventory.items} | {INVENTORY, LABEL}
        count = 0
        for folder, folders, files in os.walk(self._folder):
            top = os.path.relpath(folder, self._folder)
            if top == "." and PAPERS in folders:
                folders.remove(PAPERS)
            for name in sorted(files):
                place = os.path.normpath(f"{top}/{name}")
                if place not in known and (count := count + 1) <= _SHOWN:
                    self._find(FindingCause.STRANGE, f"{place}: not in the inventory")

    def _read(self, name: str, most: int) -> bytes:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self._folder / name, flags)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("expected a file, got something else")
            return stream.read(most + 1)

    def _find(self, cause: FindingCause, what: str) -> None:
        self.findings.append(Finding(cause=cause, what=what))
