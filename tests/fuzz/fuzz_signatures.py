"""Fuzz target: signature lines, as a witness answers them.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import sys
from pathlib import Path

from exclave.errors import ExclaveError
from exclave.ledger.note import encode_signatures, parse_signatures


def check_signatures(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    try:
        value = parse_signatures(data)
    except ExclaveError:
        return
    assert encode_signatures(value) == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_signatures(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_signatures)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
