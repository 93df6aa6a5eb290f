"""Fuzz target: an envelope's bytes.

Invariant: any bytes either decode to a value that encodes to the same bytes, or are refused with
an `ExclaveError`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import sys
from pathlib import Path

from exclave.authority.envelope import parse_envelope
from exclave.errors import ExclaveError


def check_envelope(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    try:
        envelope = parse_envelope(data)
    except ExclaveError:
        return
    assert envelope.to_bytes() == data


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_envelope(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_envelope)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
