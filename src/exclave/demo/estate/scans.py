"""The folder of scanned deeds: bodies that do not compress, and every awkward kind of file.

Awkward on purpose: symbolic links (one leading nowhere), a hard link, a sparse file, a name that
is not UTF-8, names with line ends and emoji, odd modes, an empty folder, an empty file, times
before 1970 and with nanoseconds.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from exclave.demo.estate import words
from exclave.demo.estate.world import World

_FIRST_TIME = 946_684_800  # 2000-01-01 in seconds since 1970
_NOT_UTF8 = b"m\xe4rkused-\xff\xfe.txt"
_HOLE = 4 << 20


def deed_path(number: int) -> str:
    """Where the scan of deed `number` (from 0) lies below the folder."""
    return f"{1994 + number % 30}/{number // 50:03d}/deed-{number:05d}.scan"


def deed_body(seed: int, number: int) -> bytes:
    """A pseudo-scan of 60 to 130 KB; every 25th deed repeats the one before it."""
    drawn = number - 1 if number % 25 == 24 else number
    generator = np.random.default_rng([seed, 7, drawn])
    size = int(generator.integers(60_000, 130_000))
    return b"VSCAN 1 300dpi\n" + generator.bytes(size)


def deed_digests(world: World) -> list[bytes]:
    """SHA-256 of every scan, as the land register records it."""
    return [hashlib.sha256(deed_body(world.seed, number)).digest() for number in range(world.deeds)]


def write_scans(folder: Path, world: World) -> None:
    """Fill a new folder with scans, side files and oddities."""
    for number in range(world.deeds):
        _write(folder / deed_path(number), deed_body(world.seed, number), number)
        if number % 5 == 0:
            text = words.TEXTS[number // 5 % len(words.TEXTS)]
            note = folder / deed_path(number).replace(".scan", ".txt")
            _write(note, f"deed {number}\n{text}\n".encode(), number + 1)
    _write_oddities(folder)


def change_scans(folder: Path, seed: int, day: int) -> None:
    """A day in the archive: scans arrive, one is replaced, one goes, one changes its mode."""
    scans = sorted(folder.rglob("deed-*.scan"))
    for number in range(5):
        path = folder / "2025" / f"day-{day}" / f"deed-n{number}.scan"
        _write(path, deed_body(seed + day, 1_000_000 + number), number)
    changed = scans[day * 3 % len(scans)]
    changed.write_bytes(deed_body(seed + day, 2_000_000))
    appended = scans[(day * 3 + 1) % len(scans)]
    with appended.open("ab") as stream:
        stream.write(b"stamped")
    scans[(day * 3 + 2) % len(scans)].unlink()
    scans[(day * 3 + 4) % len(scans)].chmod(0o440)
    with (folder / "kaart.sparse").open("r+b") as stream:
        stream.seek(_HOLE // 2)
        stream.write(b"island")


def _write(path: Path, body: bytes, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    path.chmod((0o640, 0o644, 0o600)[number % 3])
    moment = (_FIRST_TIME + 86_399 * number) * 10**9 + 123_456_789 + number
    os.utime(path, ns=(moment, moment))


def _write_oddities(folder: Path) -> None:
    first = folder / deed_path(0)
    (folder / "viimane.scan").symlink_to(deed_path(1))
    (folder / "kadunud.scan").symlink_to("../olematu/asi")
    (folder / "aasta").symlink_to(first.parent.parent.name, target_is_directory=True)
    (folder / "koopia.scan").hardlink_to(first)
    (folder / "tühi kaust").mkdir()
    (folder / "tühi.txt").touch()
    with (folder / "kaart.sparse").open("wb") as stream:
        stream.write(b"head")
        stream.seek(_HOLE)
        stream.write(b"tail")
        stream.truncate(_HOLE + (1 << 20))
    raw = os.path.join(os.fsencode(folder), _NOT_UTF8)  # noqa: PTH118 - the name is bytes
    with open(raw, "wb") as stream:  # noqa: PTH123
        stream.write(b"nimi ei ole UTF-8")
    awkward = folder / "rea\nvahe \t 🗺️ «kaart» e\u0301.txt"
    awkward.write_text("a name with a line end", encoding="utf-8")
    os.utime(awkward, ns=(-86_400_000_000_001, -86_400_000_000_001))
    script = folder / "loe-mind.sh"
    script.write_text("#!/bin/sh\necho deeds\n", encoding="utf-8")
    script.chmod(0o4751)
    sealed = folder / "suletud"
    sealed.mkdir(mode=0o700)
    (sealed / "märge.txt").write_text("read by its owner only", encoding="utf-8")
    (sealed / "märge.txt").chmod(0o400)
    sealed.chmod(0o2750)
