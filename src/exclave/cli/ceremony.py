"""What the ceremonies of keys share: where cards go, and whose keys sign."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cyclopts import Parameter

from exclave.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exclave.authority.card import Card
    from exclave.cli.terminal import Terminal
    from exclave.found.cards import CardOutlet
    from exclave.signer.file import PublicKeys
    from exclave.signer.interface import Signer

__all__ = ["ON_SCREEN", "CardPlaces", "OneOutlet", "card_outlet", "ceremony_signers"]


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


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CardPlaces:
    """Where share cards go.

    Parameters
    ----------
    printer
        Pipe each card into this command, such as "lpr -P vault".
    seal_cards_to
        Write each card into this folder, sealed to its holder's key.
    unsafe_shares_to
        Write all cards into this folder in the clear: for demonstrations only.
    """

    printer: str | None = None
    seal_cards_to: Path | None = None
    unsafe_shares_to: Path | None = None

    @property
    def named(self) -> int:
        """How many are named."""
        places = (self.printer, self.seal_cards_to, self.unsafe_shares_to)
        return sum(place is not None for place in places)


ON_SCREEN: Final = CardPlaces()
"""Nothing else named: one card after the other on the terminal."""


def card_outlet(terminal: Terminal, places: CardPlaces) -> CardOutlet:
    """The one place that was named for cards; the terminal otherwise. Raises `OneOutlet`."""
    from exclave.found.cards import PrinterOutlet, SealedOutlet, UnsafeFolderOutlet
    from exclave.printer import Printer

    if places.named > 1:
        raise OneOutlet(
            "cards: expected one of --printer, --seal-cards-to, --unsafe-shares-to, got several"
        )
    if places.printer is not None:
        return PrinterOutlet(Printer(places.printer))
    if places.seal_cards_to is not None:
        return SealedOutlet(places.seal_cards_to)
    if places.unsafe_shares_to is not None:
        terminal.warning(
            f"all cards go to {places.unsafe_shares_to}: "
            "whoever reads that folder holds the recovery key",
            hint="for demonstrations only",
        )
        return UnsafeFolderOutlet(places.unsafe_shares_to)
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
