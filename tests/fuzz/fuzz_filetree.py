"""Fuzz target: the records of a file tree.

Invariant: any bytes are refused with an `IntegrityError`, or encode to the same bytes again,
however they are split.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.archive.filetree import decode_entries, encode_entries
from exclave.errors import IntegrityError


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(IntegrityError):
        entries = list(decode_entries([data]))
        assert b"".join(encode_entries(entries)) == data
        assert list(decode_entries([data[:7], data[7:]])) == entries


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
