"""Fuzz target: a certificate as it was sealed.

Invariant: any bytes are refused with an `ExclaveError`, or are read as an envelope that packs and
is read again as the same one.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
import zlib
from pathlib import Path

from exclave.certificate.sealed import pack_certificate, parse_packed_certificate
from exclave.errors import ExclaveError


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    packed = zlib.compress(data)
    filled = len(packed).to_bytes(4) + packed
    for form in (data, filled + bytes(-len(filled) % 4096)):
        with contextlib.suppress(ExclaveError):
            envelope = parse_packed_certificate(form)
            assert parse_packed_certificate(pack_certificate(envelope)) == envelope


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
