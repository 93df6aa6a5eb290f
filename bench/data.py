"""Data to measure with, the same for the same seed: texts of tables, scans, small files.

Scale 1 of the mixed set is 1 GiB of COPY text, 512 MiB that does not compress and 20,000 small
files; of the others, 200,000 tiny files, and one file of 2 GiB that does not compress.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["SETS", "DataSet", "compare_trees", "copy_rows", "write_mixed"]

_GIVEN: Final = (
    "Aino",
    "Mart",
    "Õie",
    "Jüri",
    "Kadri",
    "Toomas",
    "Liis",
    "Priit",
    "Anna",
    "Олег",
    "Наталья",
    "Ülle",
)
_FAMILY: Final = (
    "Tamm",
    "Saar",
    "Sepp",
    "Mägi",
    "Kask",
    "Kukk",
    "Rebane",
    "Ilves",
    "Põder",
    "Koppel",
    "Luik",
    "Oja",
    "Иванов",
    "Kivi",
    "Raud",
)
_STREETS: Final = (
    "Pikk",
    "Lai",
    "Vene",
    "Uus",
    "Kooli",
    "Aia",
    "Mere",
    "Metsa",
    "Jõe",
    "Pargi",
    "Kase",
    "Tamme",
    "Kesk",
    "Põllu",
    "Nurme",
    "Silla",
)
_TOWNS: Final = (
    "Tallinn",
    "Tartu",
    "Narva",
    "Pärnu",
    "Viljandi",
    "Rakvere",
    "Võru",
    "Valga",
    "Haapsalu",
)
_COPY: Final = 2**30
_COPY_FILES: Final = 8
_SCANS: Final = 2**29
_SCAN: Final = 2**20
_SMALL: Final = 20_000
_TINY: Final = 200_000
_LARGE: Final = 2**31
_BATCH: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A folder of measured size."""

    folder: Path
    size: int
    files: int


def copy_rows(seed: int, first: int, count: int) -> str:
    """Rows of a register of persons in PostgreSQL's text format, keys ascending."""
    bits = random.Random(seed * 1_000_003 + first).getrandbits
    rows: list[str] = []
    for key in range(first, first + count):
        r = bits(96)
        rows.append(
            f"{key}\t{_GIVEN[r % 12]}\t{_FAMILY[(r >> 8) % 15]}"
            f"\t{30_000_000_000 + (r >> 16) % 2**34}"
            f"\t19{50 + (r >> 52) % 50}-0{1 + (r >> 58) % 9}-{10 + (r >> 62) % 18}"
            f"\t{_STREETS[(r >> 67) % 16]} {1 + (r >> 72) % 120}, {_TOWNS[(r >> 80) % 9]}"
            f"\t{'t' if r >> 95 else 'f'}\t{(r >> 84) % 2**11}.00\t\\N\n"
        )
    return "".join(rows)


def write_mixed(folder: Path, *, scale: float, seed: int = 1) -> DataSet:
    """The mixed set of DESIGN section 11, in an empty folder."""
    _write_tables(folder / "tables", int(_COPY * scale), seed)
    _write_scans(folder / "scans", int(_SCANS * scale), seed)
    _write_small(folder / "small", max(1, int(_SMALL * scale)), seed)
    return _measured(folder)


def _write_tiny(folder: Path, *, scale: float, seed: int = 1) -> DataSet:
    """Files of 16 to 400 bytes, 1,000 in a folder."""
    source = random.Random(seed * 7 + 5)
    for number in range(max(1, int(_TINY * scale))):
        place = folder / f"{number // 1000:03}"
        if number % 1000 == 0:
            place.mkdir(parents=True)
        (place / f"{number:06}").write_bytes(source.randbytes(source.randint(16, 400)))
    return _measured(folder)


def _write_large(folder: Path, *, scale: float, seed: int = 1) -> DataSet:
    """One file that does not compress."""
    folder.mkdir(parents=True)
    source, left = random.Random(seed * 7 + 6), int(_LARGE * scale)
    with (folder / "image.bin").open("wb") as file:
        while left:
            piece = source.randbytes(min(left, _SCAN))
            file.write(piece)
            left -= len(piece)
    return _measured(folder)


SETS: Final[Mapping[str, Callable[..., DataSet]]] = {
    "mixed": write_mixed,
    "tiny files": _write_tiny,
    "one large file": _write_large,
}
"""What is measured, by name: each is given an empty folder, `scale` and, if wanted, `seed`."""


def _measured(folder: Path) -> DataSet:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return DataSet(folder=folder, size=sum(file.stat().st_size for file in files), files=len(files))


def compare_trees(one: Path, other: Path) -> None:
    """Every file of `one` stands in `other` with the same bytes; raises `AssertionError`."""
    for left in sorted(one.rglob("*")):
        right = other / left.relative_to(one)
        if left.is_dir():
            assert right.is_dir(), right
        else:
            assert _same(left, right), right


def _same(left: Path, right: Path) -> bool:
    with left.open("rb") as a, right.open("rb") as b:
        while block := a.read(_SCAN):
            if b.read(_SCAN) != block:
                return False
        return not b.read(1)


def _write_tables(folder: Path, size: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for number in range(_COPY_FILES):
        with (folder / f"person-{number}.copy").open("wb") as file:
            for piece in _text(size // _COPY_FILES, seed * 100 + number):
                file.write(piece)


def _text(size: int, seed: int) -> Iterator[bytes]:
    written = first = 0
    while written < size:
        piece = copy_rows(seed, first, _BATCH).encode()
        if written + len(piece) > size:
            piece = piece[: piece.rindex(b"\n", 0, max(size - written, 2_000)) + 1]
            yield piece
            return
        yield piece
        written += len(piece)
        first += _BATCH


def _write_scans(folder: Path, size: int, seed: int) -> None:
    folder.mkdir(parents=True)
    source = random.Random(seed * 7 + 1)
    for number in range(max(1, size // _SCAN)):
        (folder / f"scan-{number:05}.bin").write_bytes(source.randbytes(min(_SCAN, size)))


def _write_small(folder: Path, count: int, seed: int) -> None:
    source = random.Random(seed * 7 + 2)
    for number in range(count):
        place = folder / f"{number // 500:03}"
        if number % 500 == 0:
            place.mkdir(parents=True)
        half = source.randint(100, 2_400)
        text = copy_rows(seed * 7 + 3, number * 100, 1 + half // 90).encode()
        (place / f"deed-{number:05}.txt").write_bytes(text[:half] + os.fsencode(f"{number}\n"))
        # Half of the content is a seal that does not compress.
        with (place / f"deed-{number:05}.txt").open("ab") as file:
            file.write(source.randbytes(half))
