"""`card confirm`: a holder says that his share card is still there, and shows nobody its words."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from exclave.cli.core_dumps import close_to_debuggers
from exclave.cli.options import Out
from exclave.cli.typed_words import type_words
from exclave.errors import UsageError

__all__ = ["card"]

card = App(
    name="card", help="Share cards: confirm that one is still there.", help_format="plaintext"
)


@card.command
def confirm(
    *,
    charter: Path,
    out: Path,
    card: Path | None = None,
    terminal: Out,
) -> None:
    """Read one share card whole, on a machine without network, and write that it was read.

    The words are typed, and checked against the charter as for `unseal`; the file that is written
    names group, member and time and nothing of the words. It goes into the folder `cards` of the
    depositing machine, where `check` says which cards nobody confirmed for too long.

    Parameters
    ----------
    charter
        The charter's file.
    out
        The confirmation's file.
    card
        The card's text file, instead of typing.
    """
    from exclave.clock import now
    from exclave.wiring.confirmations import confirm_card, store_confirmation
    from exclave.wiring.files import load_charter, read_file

    close_to_debuggers()
    law = load_charter(charter)
    if card is not None:
        text = read_file(card).decode("utf-8", "replace")
    elif terminal.attended:
        terminal.info("Type the words of the card.")
        text = type_words(terminal)
    else:
        raise UsageError(
            "card confirm: expected a card to be typed, and nobody is there to type it"
        )
    confirmed = confirm_card(law, text, now())
    store_confirmation(confirmed, out)
    terminal.result(
        {"confirmation": str(out), "group": confirmed.group, "member": confirmed.member},
        [
            f"card of group {confirmed.group}, member {confirmed.member} is good: {out}",
            "lay it into the folder `cards` of the depositing machine",
        ],
    )
