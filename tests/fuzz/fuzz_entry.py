"""Fuzz target: a log entry's bytes.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import sys
from pathlib import Path

from exclave.errors import ExclaveError
from exclave.ledger.entry import parse_entry


def check_entry(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    try:
        value = parse_entry(data)
    except ExclaveError:
        return
    assert value.encode() == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_entry(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_entry)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
