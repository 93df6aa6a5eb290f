"""Fuzz target: a deposit record's payload.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import sys
from pathlib import Path

from exclave.authority.envelope import Envelope, Kind
from exclave.authority.record import parse_record, record_payload
from exclave.errors import ExclaveError


def check_record(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    try:
        record = parse_record(Envelope(payload=data, kind=Kind.RECORD))
    except ExclaveError:
        return
    assert record_payload(record) == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_record(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_record)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
