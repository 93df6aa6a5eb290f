"""The words of a share card, typed: each is checked at once, and completed with Tab."""

from __future__ import annotations

from exclave.cli.terminal import Terminal
from exclave.errors import ExclaveError

__all__ = ["type_words"]

_WORDS_A_CARD = 33


def type_words(terminal: Terminal) -> str:
    """The words of one card; whether they are a share is for others to say."""
    from exclave.shares import WORDS

    words: list[str] = []
    while len(words) < _WORDS_A_CARD:
        line = terminal.words(f"word {len(words) + 1}: ", WORDS.complete)
        for token in line.split():
            if token.isascii() and token.isdigit():
                continue  # cards number their lines
            try:
                words.append(WORDS.look_up(token, position=len(words) + 1))
            except ExclaveError as error:
                # What was typed before it stays; only this line's rest is typed again.
                terminal.error(error)
                break
    return " ".join(words[:_WORDS_A_CARD])
