"""`sheet print | read`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from exclave.cli.options import Out

__all__ = ["sheet"]

sheet = App(
    name="sheet",
    help="Small files on paper: cards, charters, checkpoints as QR codes.",
    help_format="plaintext",
)


@sheet.command(name="print")
def print_sheet(
    file: Path, *, out: Path | None = None, printer: str | None = None, terminal: Out
) -> None:
    """Print a small file as symbols that any reader of QR codes reads; on the terminal otherwise.

    A share card with its words goes to a printer or a terminal, never into a file.

    Parameters
    ----------
    file
        What is printed; at most 99,000 bytes once compressed.
    out
        Write PostScript here.
    printer
        Hand PostScript to this command, such as "lpr -P room1".
    """
    from exclave.cli.ceremony import OneOutlet
    from exclave.printer import Printer
    from exclave.wiring.sheets import (
        SheetSource,
        sheet_postscript,
        sheet_terminal,
        write_sheet,
    )

    if out is not None and printer is not None:
        raise OneOutlet("sheet: expected one of --out and --printer, got both")
    source = SheetSource(file)
    value: dict[str, object] = {"file": source.name, "symbols": len(source.parts)}
    if out is not None:
        write_sheet(source, out)
        terminal.result({**value, "out": str(out)}, [f"{len(source.parts)} symbols in {out}"])
    elif printer is not None:
        Printer(printer).take(sheet_postscript(source), source.name)
        terminal.result(value, [f"{len(source.parts)} symbols printed"])
    else:
        if source.secret:
            terminal.require_person("a card is shown on a terminal, and there is none")
        terminal.result(value, sheet_terminal(source).splitlines())


@sheet.command(name="read")
def read(texts: Annotated[list[Path], Parameter(negative=())], *, out: Path, terminal: Out) -> None:
    """Make a file again from the texts of its symbols, in any order.

    Parameters
    ----------
    texts
        Files with what the scanner read, a symbol's text on each line.
    out
        The file that is made; one that is there is left alone.
    """
    import hashlib

    from exclave.plain_words import grouped
    from exclave.wiring.sheets import read_sheet, save_read

    data = read_sheet(texts)
    save_read(data, out)
    digest = hashlib.sha256(data).digest()
    terminal.result(
        {"out": str(out), "bytes": len(data), "sha256": digest.hex()},
        [f"{out}: {len(data)} bytes", f"hash  {grouped(digest)}"],
    )
