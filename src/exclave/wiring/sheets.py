"""Sheets for a printer or a terminal: what is drawn of the texts of `exclave.carried.printed`.

PostScript, which printers and their spoolers take as it is; nothing else is in it but squares and a
few words. Symbols are drawn with error correction M: a seventh of one may be spoilt.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import segno

from exclave.authority.card import CARD_BEGINS
from exclave.carried.printed import join_parts, split_parts
from exclave.errors import ConfigurationError, MalformedData
from exclave.signer.file import KeyFileExists, write_once
from exclave.wiring.files import read_file

__all__ = [
    "CardExposed",
    "SheetExists",
    "SheetSource",
    "read_sheet",
    "save_read",
    "sheet_postscript",
    "sheet_terminal",
    "write_sheet",
]

# Points of 1/72 inch; A4, two symbols beside each other, three rows.
_PAGE: Final = (595, 842)
_MARGIN, _GAP, _HEAD = 48, 30, 60
_SIDE: Final = 205
_ROWS, _COLUMNS = 3, 2


class CardExposed(ConfigurationError):
    """A share card's words would be written to a disk."""


class SheetExists(ConfigurationError):
    """A sheet, or what was read of one, would be written over a file."""


class SheetSource:
    """A file to be printed, and whether it holds the words of a share card."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._data = read_file(path)
        self.parts = split_parts(self._data)

    @property
    def secret(self) -> bool:
        """Whether it is a card with its words, not only the head of one."""
        text = self._data.decode("utf-8", errors="replace")
        return text.startswith(CARD_BEGINS) and bool(text.partition("\n\n")[2].strip())


def write_sheet(source: SheetSource, out: Path) -> None:
    """PostScript into a new file; raises `CardExposed`."""
    if source.secret:
        raise CardExposed(
            f"{source.name}: expected a file that may lie on a disk, got a card with its words",
            hint='print it: --printer "lpr -P room1"; or without --out, on the terminal',
        )
    _new_file(out, sheet_postscript(source))


def save_read(data: bytes, out: Path) -> None:
    """A file that was read from a sheet, for its owner only: it may be a card."""
    _new_file(out, data)


def _new_file(out: Path, data: bytes) -> None:
    try:
        write_once(out, data)
    except KeyFileExists as error:
        raise SheetExists(f"{out}: is there already", hint="name another file") from error


def read_sheet(files: Sequence[Path]) -> bytes:
    """The file whose symbols' texts lie in these files, a line each."""
    lines: list[str] = []
    for file in files:
        try:
            lines += read_file(file).decode("ascii").splitlines()
        except UnicodeDecodeError as error:
            raise MalformedData(
                f"{file}: expected the texts of symbols, got other bytes"
            ) from error
    return join_parts(lines)


def sheet_terminal(source: SheetSource) -> str:
    """The symbols for a terminal, each under its number."""
    out = io.StringIO()
    for number, part in enumerate(source.parts, 1):
        out.write(f"{source.name}: {number} of {len(source.parts)}\n")
        _symbol(part).terminal(out=out, border=4, compact=True)
    return out.getvalue()


def sheet_postscript(source: SheetSource) -> bytes:
    """A4 pages for a printer."""
    each = _ROWS * _COLUMNS
    pages = [source.parts[at : at + each] for at in range(0, len(source.parts), each)]
    lines = [f"%!PS-Adobe-3.0\n%%Pages: {len(pages)}\n%%EndComments"]
    for number, parts in enumerate(pages):
        lines.append(f"%%Page: {number + 1} {number + 1}")
        lines.append("/Courier findfont 9 scalefont setfont")
        name, total = parts[0].split("/")[1], len(source.parts)
        top = _PAGE[1] - _MARGIN
        for row, text in enumerate(
            (
                f"{source.name}, page {number + 1} of {len(pages)}: scan all {total} symbols, then",
                "exclave sheet read, or spec/printed.md. SHA-256 of the file:",
                name.lower(),
            )
        ):
            lines.append(f"{_MARGIN} {top - 12 * row} moveto ({_escaped(text)}) show")
        for place, part in enumerate(parts):
            lines += _drawn(part, place, f"{number * each + place + 1} of {total}")
        lines.append("showpage")
    return ("\n".join([*lines, "%%EOF"]) + "\n").encode("ascii")


def _drawn(part: str, place: int, caption: str) -> Iterator[str]:
    """One symbol, a rectangle for each run of dark modules."""
    row, column = divmod(place, _COLUMNS)
    left = _MARGIN + column * (_SIDE + _GAP)
    bottom = _PAGE[1] - _MARGIN - _HEAD - (row + 1) * _SIDE - row * _GAP
    yield f"{left} {bottom - 11} moveto ({caption}) show"
    modules = _symbol(part).matrix
    size = len(modules)
    yield f"gsave {left} {bottom} translate {_SIDE / size:.6f} dup scale"
    for y, line in enumerate(modules):
        start = 0
        while start < size:
            end = start
            while end < size and line[end]:
                end += 1
            if end > start:
                yield f"{start} {size - 1 - y} {end - start} 1 rectfill"
            start = end + 1
    yield "grestore"


def _symbol(part: str) -> segno.QRCode:
    return segno.make_qr(part, error="m", mode="alphanumeric", boost_error=False)


def _escaped(text: str) -> str:
    """ASCII for a PostScript string."""
    plain = text.encode("ascii", errors="replace").decode("ascii")
    return "".join(f"\\{letter}" if letter in "()\\" else letter for letter in plain)
