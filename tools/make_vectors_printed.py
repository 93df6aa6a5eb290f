"""Writes vectors/printed: `python -m tools.make_vectors_printed`; every run writes the same bytes.

Parts are made here from spec/printed.md; nothing of `exclave.carried` is used. zlib streams are
stored ones, made by hand, since what a compressor gives is not the same everywhere.
"""

import base64
import hashlib
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from tools.vector_cases import Case, drawn, refused, write

FILE = drawn("printed file", 2500)


def _stream(data: bytes) -> bytes:
    """RFC 1950 and 1951: one stored block."""
    block = b"\1" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    return b"\x78\x01" + block + struct.pack(">I", zlib.adler32(data))


def _lines(packed: bytes, name: bytes) -> list[str]:
    pieces = [packed[at : at + 1000] for at in range(0, len(packed), 1000)]
    return [
        f"EXCLAVE1/{hashlib.sha256(name).hexdigest().upper()}/{number}/{len(pieces)}/"
        + base64.b32encode(piece).decode().rstrip("=")
        for number, piece in enumerate(pieces, 1)
    ]


WHOLE = _lines(_stream(FILE), FILE)
_GOOD = {"sha256": hashlib.sha256(FILE).hexdigest(), "bytes": len(FILE)}


def cases() -> Iterator[Case]:
    """Lines that give a file, and lines that must not."""
    yield _case("whole", "all parts in order", WHOLE, _GOOD)
    yield _case("any-order", "last first, one twice, empty lines between",
                ["", WHOLE[2], WHOLE[0], " " + WHOLE[1] + "\r", WHOLE[0], ""], _GOOD)  # fmt: skip
    yield _case("one-part", "a file of one byte", _lines(_stream(b"x"), b"x"),
                {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1})  # fmt: skip
    first, other = WHOLE[0], _lines(_stream(FILE[:2400]), FILE[:2400])
    bad: list[tuple[str, str, Sequence[str], str]] = [
        ("missing", "the second of three is not there", [WHOLE[0], WHOLE[2]], "PartsMissing"),
        ("nothing", "no line at all", ["", ""], "PartsMissing"),
        ("of-another", "parts of two files", [first, other[1], other[2]], "PartsContradict"),
        ("other-count", "parts that do not agree on how many there are",
         [first, WHOLE[1].replace("/2/3/", "/2/4/"), WHOLE[2]], "PartsContradict"),
        ("twice-different", "one part twice, with other content",
         [*WHOLE, WHOLE[1][:-8] + "AAAAAAAA"], "PartsContradict"),
        ("torn", "a line cut short in the middle of its hash", [*WHOLE, first[:40]],
         "MalformedData"),
        ("torn-base32", "a line cut short by one character", [first[:-1], *WHOLE[1:]],
         "MalformedData"),
        ("lower-case", "Base32 in lower case", [first.lower(), *WHOLE[1:]], "MalformedData"),
        ("number-above", "part 4 of 3", [*WHOLE, first.replace("/1/3/", "/4/3/")],
         "MalformedData"),
        ("leading-zero", "a number with a leading zero",
         [first.replace("/1/3/", "/01/3/"), *WHOLE[1:]], "MalformedData"),
        ("low-bits", "last bits of Base32 that are not zero",
         [*WHOLE[:2], WHOLE[2][:-1] + "B"], "MalformedData"),
        ("other-hash", "the file is not the one named", _lines(_stream(FILE), b"other"),
         "PrintedFileWrong"),
        ("no-zlib", "no zlib stream", _lines(FILE, FILE), "PrintedFileWrong"),
        ("behind", "bytes behind the zlib stream", _lines(_stream(FILE) + b"x", FILE),
         "PrintedFileWrong"),
        ("cut", "a zlib stream that ends early", _lines(_stream(FILE)[:-1], FILE),
         "PrintedFileWrong"),
        ("too-large", "more than 4 MiB once decompressed",
         _lines(zlib.compress(bytes(2**22 + 1), 9), bytes(2**22 + 1)), "PrintedFileWrong"),
    ]  # fmt: skip
    for name, what, lines, error in bad:
        yield _case(name, what, lines, refused(error, what))


def _case(name: str, what: str, lines: Sequence[str], expect: dict[str, Any]) -> Case:
    return Case(
        spec="printed.md 2", case=name, operation="join-parts", what=what,
        given={"lines": list(lines)}, expect=expect,
    )  # fmt: skip


def folders() -> dict[str, list[Case]]:
    """All cases by folder."""
    return {"printed": list(cases())}


if __name__ == "__main__":
    total = sum(write(folder, made) for folder, made in folders().items())
    print(f"{total} vectors of printed sheets")
    sys.exit(0 if total else 1)
