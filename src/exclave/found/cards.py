"""Where share cards go: each outlet hands one card at a time to one place.

Several cards in one place are as good as the recovery key; that outlet is named unsafe. Rules: a
card's text goes into no log, no error and no argument list; a card that could not be handed over
stops the founding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from exclave.authority.card import Card, card_text
from exclave.authority.keys import X_WING
from exclave.errors import AuthorityError
from exclave.ids import MissionId
from exclave.printer import Printer
from exclave.sealing.hpke import seal, unseal
from exclave.sealing.recovery import XWingPrivateKey
from exclave.signer.file import PublicKeys, write_once

__all__ = [
    "CardOutlet",
    "HolderUnknown",
    "PrinterOutlet",
    "SealedOutlet",
    "UnsafeFolderOutlet",
    "open_sealed_card",
]

_LABEL = b"exclave/1/sealed-card\x00"


class HolderUnknown(AuthorityError):
    """A card is to be sealed, but the plan does not say to whom."""


class CardOutlet(Protocol):
    """Hands a card to its holder. On return the holder has it; errors stop the founding."""

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        """Hand over one card; `holder` is who the plan says holds it."""


class PrinterOutlet:
    """Prints each card by itself."""

    def __init__(self, printer: Printer) -> None:
        self._printer = printer

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        """Run the printer's command with the card on its standard input."""
        text = card_text(card).encode("utf-8")
        self._printer.take(text, f"card {card.group}-{card.member}")


class SealedOutlet:
    """Writes each card sealed to its holder's X-Wing key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        """Write `card-<group>-<member>.sealed`; raises `HolderUnknown`."""
        name = f"card-{card.group}-{card.member}"
        keys = [] if holder is None else [key for key in holder.keys if key.alg == X_WING]
        if not keys:
            raise HolderUnknown(
                f"{name}: expected a holder with an x-wing key, got none",
                hint="name `holders` in every recovery.group, or print the cards: nothing can be "
                "sealed to an official whose key is an SSH key or on a token",
            )
        public = keys[0].xwing
        info = _info(card.mission, public.key_hash)
        sealed = seal(public, card_text(card).encode("utf-8"), info)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_once(self._folder / f"{name}.sealed", sealed)


class UnsafeFolderOutlet:
    """Writes all cards into one folder, in the clear: for demonstrations and tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        """Write `card-<group>-<member>.txt`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"card-{card.group}-{card.member}.txt"
        write_once(path, card_text(card).encode("utf-8"))


def open_sealed_card(key: XWingPrivateKey, sealed: bytes, mission: MissionId) -> str:
    """The text of a sealed card; raises `SealedValueRejected`."""
    return unseal(key, sealed, _info(mission, key.public.key_hash)).decode("utf-8")


def _info(mission: MissionId, key_hash: bytes) -> bytes:
    return _LABEL + mission + key_hash
