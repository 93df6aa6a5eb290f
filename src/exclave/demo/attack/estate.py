"""The few registers of a drill: a folder of deeds and an SQLite file.

`contents` looks at them without Exclave: what came back is compared with what was there by plain
hashes of files and rows, besides the comparison that the program makes itself.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from exclave.demo.founding import quoted

__all__ = ["DEEDS", "POPULATION", "contents", "fill_registers", "garble_registers", "plan_toml"]

DEEDS: Final = "deeds"
POPULATION: Final = "population"
_FILES: Final = 40
_PERSONS: Final = 2000


def fill_registers(folder: Path, seed: int) -> None:
    """Make or change both registers below `folder`; the seed decides on one file in ten."""
    deeds = folder / DEEDS
    deeds.mkdir(parents=True, exist_ok=True)
    for number in range(_FILES):
        source = random.Random(number if number % 10 else 1000 * seed + number)
        data = source.randbytes(8 * 1024) + b"deed %d of the land register\n" % number * 200
        (deeds / f"deed-{number:03}.bin").write_bytes(data)
    (folder / POPULATION).mkdir(exist_ok=True)
    with closing(sqlite3.connect(_database(folder))) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS person (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany(
            "INSERT OR REPLACE INTO person VALUES (?, ?)",
            [(i, f"Person {i} of {seed if i % 10 == 0 else 0}") for i in range(_PERSONS)],
        )


def garble_registers(folder: Path, random_bytes: Callable[[int], bytes]) -> None:
    """What somebody deposits who wants the state's data to be forgotten."""
    for path in sorted((folder / DEEDS).iterdir()):
        path.write_bytes(random_bytes(12 * 1024))
    with closing(sqlite3.connect(_database(folder))) as connection, connection:
        connection.execute("UPDATE person SET name = hex(randomblob(16))")


def contents(folder: Path) -> Mapping[str, str]:
    """Hashes of every file and of every row; `folder` holds both registers under their ids."""
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / DEEDS).rglob("*"))
        if path.is_file()
    }
    with closing(sqlite3.connect(_database(folder))) as connection:
        for row in connection.execute("SELECT id, name FROM person ORDER BY id"):
            found[f"{POPULATION} {row[0]}"] = hashlib.sha256(repr(row).encode()).hexdigest()
    return found


def plan_toml(folder: Path) -> str:
    """`registers.toml` of both."""
    return "\n".join(
        f'[[register]]\nid = "{name}"\ntitle = {quoted(title)}\nowner = "nobody"\n'
        'classification = "made up"\nrpo = "1 d"\nrto = "30 d"\n\n'
        f'[register.source]\nkind = "{kind}"\npath = {quoted(str(path))}\n'
        for name, title, kind, path in (
            (DEEDS, "Scanned deeds", "files", folder / DEEDS),
            (POPULATION, "Population register", "sqlite", _database(folder)),
        )
    )


def _database(folder: Path) -> Path:
    # A restored one lies below its register's id under its own name.
    return folder / POPULATION / "persons.db"
