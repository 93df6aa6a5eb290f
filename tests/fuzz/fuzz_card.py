"""Fuzz target: a card's text.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import sys
from pathlib import Path

from exclave.authority.card import card_text, parse_card
from exclave.errors import ExclaveError


def check_card(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        card = parse_card(text)
    except ExclaveError:
        return
    assert card_text(card) == text


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_card(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_card)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
