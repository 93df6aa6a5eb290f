"""Fuzz target: a share card.

Invariant: any bytes are refused with an `ExclaveError`, or give a card, or a card's head, of the
same text.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.authority.card import card_head_text, card_text, parse_card, parse_card_head
from exclave.errors import ExclaveError


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ExclaveError):
        assert card_text(parse_card(text)) == text
    with contextlib.suppress(ExclaveError):
        assert text.startswith(card_head_text(parse_card_head(text)).removesuffix("\n"))


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
