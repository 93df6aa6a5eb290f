"""Fuzz target: the outline of a deposit, opened.

Invariant: any bytes are refused with an `ExclaveError`, or encode to the same bytes again.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.deposit.outlines import outline_bytes, parse_outline
from exclave.errors import ExclaveError


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(ExclaveError):
        assert outline_bytes(parse_outline(data)) == data


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
