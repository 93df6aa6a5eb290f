"""Fuzz target: the size that a witness kept.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import sys
from pathlib import Path

from exclave.errors import ExclaveError
from exclave.ledger.witness import parse_kept_size


def check_kept_size(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    try:
        value = parse_kept_size(data)
    except ExclaveError:
        return
    assert b"%d\n" % value == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_kept_size(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_kept_size)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
