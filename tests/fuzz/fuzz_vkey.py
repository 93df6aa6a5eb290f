"""Fuzz target: a log's public key and a tile's path.

Invariant: any bytes are refused with an `ExclaveError`, or give the same text again.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.errors import ExclaveError
from exclave.ledger.note import parse_vkey
from exclave.ledger.tiles import parse_tile_path


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ExclaveError):
        parse_vkey(text)
    with contextlib.suppress(ExclaveError):
        assert parse_tile_path(text).path() == text


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
