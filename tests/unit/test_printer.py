"""Printers: what they are given arrives whole, and what goes wrong is said without it."""

from pathlib import Path

import pytest

from exclave.printer import Printer, PrinterFailed


def test_it_gets_everything(tmp_path: Path) -> None:
    out = tmp_path / "with space"
    Printer(f"tee '{out}'").take(b"words", "card 1-1")
    assert out.read_bytes() == b"words"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("false", "false: expected exit status 0 for card 1-1, got 1"),
        ("/nowhere/lpr", "/nowhere/lpr: cannot run: No such file or directory"),
        ("", "printer: expected a command, got ''"),
        ("lpr 'x", 'printer: expected a command, got "lpr \'x": No closing quotation'),
    ],
)
def test_what_goes_wrong_is_said(command: str, said: str) -> None:
    with pytest.raises(PrinterFailed) as caught:
        Printer(command).take(b"words", "card 1-1")
    assert caught.value.message == said
