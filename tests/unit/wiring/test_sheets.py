"""Sheets as a printer draws them and a camera reads them; what may lie on a disk and what not.

The camera is zxing, which has nothing in common with the library that makes the symbols.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import zxingcpp

from exclave.authority.card import CARD_BEGINS
from exclave.carried.printed import PART_SIZE, FileTooLarge, join_parts, split_parts
from exclave.printer import Printer
from exclave.wiring.sheets import (
    CardExposed,
    SheetExists,
    SheetSource,
    read_sheet,
    save_read,
    sheet_postscript,
    sheet_terminal,
    write_sheet,
)

NOISE = bytes(np.random.default_rng(1).integers(0, 256, 12 * PART_SIZE // 5, dtype=np.uint8))
CARD = f"{CARD_BEGINS}1\nmission: 00\n\n1 academic acid acne acquire\n"


def scanned(postscript: bytes) -> list[str]:
    """What a camera reads of each page: the rectangles are drawn, nothing else is looked at."""
    texts: list[str] = []
    for page in postscript.decode("ascii").split("%%Page: ")[1:]:
        picture = np.full((842 * 3, 595 * 3), 255, dtype=np.uint8)
        left = bottom = scale = 0.0
        for line in page.splitlines():
            if match := re.fullmatch(r"gsave (\d+) (\d+) translate ([\d.]+) dup scale", line):
                left, bottom, scale = (float(item) for item in match.groups())
            elif match := re.fullmatch(r"(\d+) (\d+) (\d+) 1 rectfill", line):
                x, y, wide = (int(item) for item in match.groups())
                top = 842 - (bottom + (y + 1) * scale)
                rows = slice(round(top * 3), round((top + scale) * 3))
                columns = slice(
                    round((left + x * scale) * 3), round((left + (x + wide) * scale) * 3)
                )
                picture[rows, columns] = 0
        texts += [found.text for found in zxingcpp.read_barcodes(picture)]
    return texts


@pytest.mark.parametrize("size", [1, 700, len(NOISE)])
def test_a_printed_sheet_is_read_by_a_camera(tmp_path: Path, size: int) -> None:
    file = tmp_path / "charter (1).json"
    file.write_bytes(NOISE[:size])
    source = SheetSource(file)
    page = sheet_postscript(source)
    texts = scanned(page)
    assert len(texts) == len(source.parts)
    assert join_parts(reversed(texts)) == NOISE[:size]
    assert rb"(charter \(1\).json, page 1 of 1" in page


def test_several_pages(tmp_path: Path) -> None:
    file = tmp_path / "long"
    file.write_bytes(np.random.default_rng(2).bytes(6500))
    page = sheet_postscript(SheetSource(file))
    assert page.count(b"showpage") == 2
    assert join_parts(scanned(page)) == file.read_bytes()


def test_the_terminal_numbers_them(tmp_path: Path) -> None:
    file = tmp_path / "two"
    file.write_bytes(NOISE[:1500])
    assert sheet_terminal(SheetSource(file)).count("two: ") == 2


def test_a_file_that_is_too_large() -> None:
    with pytest.raises(FileTooLarge, match="expected at most 99000 bytes once compressed"):
        split_parts(np.random.default_rng(3).bytes(100_000))


def test_a_card_with_words_goes_into_no_file(tmp_path: Path) -> None:
    card = tmp_path / "card.txt"
    card.write_text(CARD)
    with pytest.raises(CardExposed, match="got a card with its words"):
        write_sheet(SheetSource(card), tmp_path / "card.ps")
    assert not (tmp_path / "card.ps").exists()
    card.write_text(CARD.partition("\n\n")[0] + "\n")
    write_sheet(SheetSource(card), tmp_path / "head.ps")
    with pytest.raises(SheetExists, match=r"head\.ps: is there already"):
        write_sheet(SheetSource(card), tmp_path / "head.ps")


def test_a_printer_gets_it(tmp_path: Path) -> None:
    card = tmp_path / "card.txt"
    card.write_text(CARD)
    sheet = sheet_postscript(SheetSource(card))
    out = tmp_path / "printed"
    Printer(f"tee {out}").take(sheet, "card.txt")
    assert join_parts(scanned(out.read_bytes())) == CARD.encode()


def test_what_was_read_is_its_owners_only(tmp_path: Path) -> None:
    texts = tmp_path / "scan.txt"
    texts.write_text("\n".join(split_parts(CARD.encode())))
    save_read(read_sheet([texts]), tmp_path / "card.txt")
    assert (tmp_path / "card.txt").read_text() == CARD
    assert (tmp_path / "card.txt").stat().st_mode & 0o777 == 0o600
