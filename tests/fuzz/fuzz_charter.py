"""Fuzz target: a charter's payload.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import sys
from pathlib import Path

from exclave.authority.charter import charter_payload, parse_charter
from exclave.authority.envelope import Envelope, Kind
from exclave.errors import ExclaveError


def check_charter(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    try:
        charter = parse_charter(Envelope(payload=data, kind=Kind.CHARTER))
    except ExclaveError:
        return
    assert charter_payload(charter) == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_charter(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_charter)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
