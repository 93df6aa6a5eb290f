"""Fuzz target: key files, private (without a passphrase) and public.

Invariant: any bytes are refused with an `ExclaveError`, or give keys; a private key file encodes
to the same bytes again.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.errors import ExclaveError
from exclave.signer.bundle import Purpose
from exclave.signer.file import decode_key_file, encode_key_file, parse_public_keys


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(ExclaveError):
        bundle = decode_key_file(data)
        if bundle.purpose is not Purpose.OFFICIAL:  # never written in the clear
            assert encode_key_file(bundle, passphrase=None, random=bytes) == data
    with contextlib.suppress(ExclaveError):
        parse_public_keys(data)


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
