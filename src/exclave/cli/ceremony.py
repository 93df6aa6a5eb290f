"""What the ceremonies of keys share: where cards go, and whose keys sign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exclave.authority.card import Card
    from exclave.cli.terminal import Terminal
    from exclave.found.cards import CardOutlet
    from exclave.signer.file import PublicKeys
    from exclave.signer.interface import Signer

__all__ = ["OneOutlet", "card_outlet", "ceremony_signers"]


class OneOutlet(UsageError):
    """Cards go to exactly one kind of place."""


class _ScreenOutlet:
    """Shows each card alone on the terminal and wipes it before the next."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        """Show one card until its holder has copied it."""
        from exclave.authority.card import card_text

        whom = "" if holder is None else f" for {holder.id}"
        self._terminal.show_alone(
            f"card {card.group}-{card.member} of group {card.group_name}{whom}", card_text(card)
        )


def card_outlet(
    terminal: Terminal, printer: str | None, sealed: Path | None, unsafe: Path | None
) -> CardOutlet:
    """The one place that was named for cards; the terminal otherwise. Raises `OneOutlet`."""
    import shlex

    from exclave.found.cards import PrinterOutlet, SealedOutlet, UnsafeFolderOutlet

    if sum(item is not None for item in (printer, sealed, unsafe)) > 1:
        raise OneOutlet(
            "cards: expected one of --printer, --seal-cards-to, --unsafe-shares-to, got several"
        )
    if printer is not None:
        return PrinterOutlet(shlex.split(printer))
    if sealed is not None:
        return SealedOutlet(sealed)
    if unsafe is not None:
        terminal.warning(
            f"all cards go to {unsafe}: whoever reads that folder holds the recovery key",
            hint="for demonstrations only",
        )
        return UnsafeFolderOutlet(unsafe)
    terminal.require_person("cards are shown on a terminal, and there is none")
    return _ScreenOutlet(terminal)


def ceremony_signers(
    terminal: Terminal, keys: Sequence[str], passphrase_file: Path | None, fd: int | None
) -> list[Signer]:
    """What signs for these `--key` arguments: key files, SSH keys and tokens."""
    from exclave.cli.keys import open_for_signing

    signers: list[Signer] = []
    for name in keys:
        opened = open_for_signing(terminal, name, file=passphrase_file, descriptor=fd)
        signers += opened.signers
    return signers
