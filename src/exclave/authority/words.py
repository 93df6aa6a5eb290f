"""The words of a share: looking them up, completing and correcting them (spec/cards.md).

Knows the list of 1,024 words as a value that is passed in. What 33 words mean is SLIP-39's, in
`exclave.shares`. Rules: any letter case, any white space; four letters determine a word; a word
that is not in the list is an error of its own, with the words that it may be.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left

from exclave.errors import AuthorityError, MalformedData
from exclave.values import dataclass

__all__ = [
    "WORDS_A_CARD",
    "WordCountWrong",
    "WordList",
    "WordUnknown",
    "read_words",
]

WORDS_A_CARD = 33
_LIST_SIZE = 1024
_PREFIX = 4
_WORD = re.compile(r"[a-z]{4,8}")


class WordUnknown(AuthorityError):
    """A word is not in the list: mistyped."""

    def __init__(self, message: str, *, position: int, suggestions: tuple[str, ...]) -> None:
        hint = "did you mean " + " or ".join(suggestions) if suggestions else None
        super().__init__(message, hint=hint)
        self.position = position
        self.suggestions = suggestions


class WordCountWrong(AuthorityError):
    """A card has 33 words."""


@dataclass(frozen=True, slots=True)
class WordList:
    """1,024 words in ascending order, told apart by four letters."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        prefixes = {word[:_PREFIX] for word in self.words}
        ordered = list(self.words) == sorted(set(self.words))
        if len(self.words) != _LIST_SIZE or len(prefixes) != _LIST_SIZE or not ordered:
            raise MalformedData("word list: expected 1024 distinct ascending words, got otherwise")
        if not all(_WORD.fullmatch(word) for word in self.words):
            raise MalformedData("word list: expected words of 4 to 8 lower-case letters")

    @classmethod
    def from_bytes(cls, data: bytes) -> WordList:
        """Read `wordlist.txt`, one word a line."""
        try:
            return cls(tuple(data.decode("ascii").split()))
        except UnicodeDecodeError as error:
            raise MalformedData("word list: not ASCII") from error

    def complete(self, prefix: str) -> tuple[str, ...]:
        """The words that begin with these letters; one at most from four letters on."""
        prefix = prefix.lower()
        start = bisect_left(self.words, prefix)
        end = bisect_left(self.words, prefix + "\x7f")
        return self.words[start:end]

    def suggest(self, word: str) -> tuple[str, ...]:
        """Up to three words that a mistyped one may be."""
        return tuple(difflib.get_close_matches(word.lower()[:16], self.words, n=3, cutoff=0.6))

    def look_up(self, token: str, *, position: int) -> str:
        """The word that was typed, whole or its first four letters or more.

        Raises `WordUnknown`; `position` counts from 1.
        """
        typed = token.lower()
        matches = self.complete(typed) if len(typed) >= _PREFIX else ()
        if len(matches) == 1:
            return matches[0]
        raise WordUnknown(
            f"word {position}: expected a word of the list, got {token[:16]!r}",
            position=position,
            suggestions=self.suggest(typed),
        )


def read_words(text: str, words: WordList) -> tuple[str, ...]:
    """The 33 words in a text of words; numbers, as cards print them, are skipped."""
    tokens = [token for token in text.split() if not (token.isascii() and token.isdigit())]
    found = tuple(words.look_up(token, position=i) for i, token in enumerate(tokens, start=1))
    if len(found) != WORDS_A_CARD:
        raise WordCountWrong(f"card: expected {WORDS_A_CARD} words, got {len(found)}")
    return found
