"""`diff`: what changed between two deposits, from the local catalogue."""

from __future__ import annotations

from exclave.cli.deposit import find_deposit
from exclave.cli.options import DepositConfigFile, Out
from exclave.plain_words import size

__all__ = ["diff"]


def diff(before: str, after: str, *, config: DepositConfigFile, terminal: Out) -> None:
    """Show what changed between two deposits of the catalogue: tables, folders, files.

    Parameters
    ----------
    before
        The earlier one: its id or the first digits of it, its sequence number, or `latest`.
    after
        The later one, likewise.
    """
    from exclave.cli.words.difference import difference_json, difference_lines
    from exclave.deposit.catalogue import Catalogue
    from exclave.wiring.depositor import open_home
    from exclave.wiring.differences import compare_deposits

    home = open_home(config)
    entries = Catalogue(home.settings.catalogue).entries()
    one, other = find_deposit(entries, before), find_deposit(entries, after)
    found = compare_deposits(home, one, other)
    terminal.result(
        {
            "before": one.deposit.hex(),
            "after": other.deposit.hex(),
            "same": all(item.same for item in found),
            "registers": [difference_json(item) for item in found],
        },
        [
            f"from {one.deposit.hex()[:8]}, number {one.sequence}, {one.started}",
            f"to   {other.deposit.hex()[:8]}, number {other.sequence}, {other.started}",
            *(line for item in found for line in difference_lines(item)),
            f"the later one stored {size(other.new)} that no deposit before it had",
        ],
    )
