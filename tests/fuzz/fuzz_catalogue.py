"""Fuzz target: the files of the depositor's catalogue.

Invariant: any bytes are refused with an `ExclaveError`, or encode to the same bytes again.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.deposit.catalogue_entry import catalogue_pack_bytes
from exclave.deposit.catalogue_reading import parse_catalogue_entry, parse_catalogue_pack
from exclave.encoding import canonical_json
from exclave.errors import ExclaveError


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(ExclaveError):
        assert catalogue_pack_bytes(parse_catalogue_pack(data)) == data
    with contextlib.suppress(ExclaveError):
        assert canonical_json(parse_catalogue_entry(data).to_json()) == data


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
