"""Fuzz target: the words of a card, as they are typed.

Invariant: any text is refused with an `ExclaveError`, or gives words that read as themselves.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.authority.words import read_words
from exclave.errors import ExclaveError
from exclave.shares import WORDS, decode_share, read_share


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ExclaveError):
        words = read_words(text, WORDS)
        assert read_words(" ".join(words), WORDS) == words
    with contextlib.suppress(ExclaveError):
        assert read_share(text) == decode_share(text)


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
