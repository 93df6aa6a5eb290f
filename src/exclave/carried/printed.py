"""A small file as lines of text for printed symbols, and back (spec/printed.md).

Pure. What is drawn, and where, is for the caller. Rules: a line that is not understood is refused,
never passed over; what comes back has the hash that every line named.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterable, Mapping

from exclave.errors import IntegrityError, MalformedData

__all__ = [
    "MAX_FILE",
    "PART_SIZE",
    "FileTooLarge",
    "PartsContradict",
    "PartsMissing",
    "PrintedFileWrong",
    "join_parts",
    "split_parts",
]

PART_SIZE = 1000
"""Bytes of a part: its text fits a symbol of 129 modules a side, which a telephone reads."""
MAX_PARTS = 99
MAX_FILE = 4 * 2**20
_PART = re.compile(r"EXCLAVE1/([0-9A-F]{64})/([1-9][0-9]?)/([1-9][0-9]?)/([A-Z2-7]+)")


class FileTooLarge(MalformedData):
    """A file needs more symbols than a sheet has."""


class PartsMissing(IntegrityError):
    """Not all parts of a file were read."""


class PartsContradict(IntegrityError):
    """Parts of several files, or one part twice with different content."""


class PrintedFileWrong(IntegrityError):
    """The parts together are not the file whose hash they name."""


def split_parts(file: bytes) -> tuple[str, ...]:
    """The texts of a file's symbols, in order; raises `FileTooLarge`."""
    packed = zlib.compress(file, 9)
    pieces = [packed[at : at + PART_SIZE] for at in range(0, len(packed), PART_SIZE)]
    if len(pieces) > MAX_PARTS or len(file) > MAX_FILE:
        raise FileTooLarge(
            f"file: expected at most {MAX_PARTS * PART_SIZE} bytes once compressed, "
            f"got {len(packed)}",
            hint="sheets are for cards, charters and checkpoints; carry the rest in a bag",
        )
    name = hashlib.sha256(file).hexdigest().upper()
    return tuple(
        f"EXCLAVE1/{name}/{number}/{len(pieces)}/"
        + base64.b32encode(piece).decode("ascii").rstrip("=")
        for number, piece in enumerate(pieces, 1)
    )


def join_parts(lines: Iterable[str]) -> bytes:
    """The file that the lines hold; raises what they lack or contradict."""
    name, total, found = _gathered(lines)
    missing = [number for number in range(1, total + 1) if number not in found]
    if missing:
        raise PartsMissing(
            f"sheet: expected parts 1 to {total}, got none of {', '.join(map(str, missing))}",
            hint="scan the symbols that are left; order does not matter",
        )
    packed = b"".join(found[number] for number in range(1, total + 1))
    file = _decompressed(packed)
    if hashlib.sha256(file).hexdigest().upper() != name:
        raise PrintedFileWrong(f"sheet: expected a file with hash {name[:16]}, got another")
    return file


def _gathered(lines: Iterable[str]) -> tuple[str, int, Mapping[int, bytes]]:
    """The hash, how many parts there are, and those that were read."""
    files: set[tuple[str, int]] = set()
    found: dict[int, bytes] = {}
    for place, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        match = _PART.fullmatch(text)
        if match is None or int(match[2]) > int(match[3]):
            raise MalformedData(
                f"line {place}: expected a part of a sheet, got something else or a piece of one",
                hint="one symbol's text on each line, as the scanner gave it",
            )
        files.add((match[1], int(match[3])))
        if len(files) > 1:
            raise PartsContradict(
                f"line {place}: expected a part of the same file, got one of another",
                hint="read one sheet at a time",
            )
        number, piece = int(match[2]), _bytes(match[4], place)
        if found.setdefault(number, piece) != piece:
            raise PartsContradict(
                f"line {place}: part {number} was read before, with other content"
            )
    if not files:
        raise PartsMissing("sheet: expected parts, got no line")
    ((name, total),) = files
    return name, total, found


def _bytes(text: str, place: int) -> bytes:
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise MalformedData(f"line {place}: expected whole Base32, got a piece of it") from error
    if base64.b32encode(data).decode("ascii").rstrip("=") != text:
        raise MalformedData(f"line {place}: expected Base32 whose last bits are zero, got others")
    return data


def _decompressed(packed: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        file = stream.decompress(packed, MAX_FILE)
    except zlib.error as error:
        raise PrintedFileWrong("sheet: expected one zlib stream, got something else") from error
    if not stream.eof or stream.unused_data:
        raise PrintedFileWrong(
            f"sheet: expected one whole zlib stream of at most {MAX_FILE} bytes, got another"
        )
    return file
