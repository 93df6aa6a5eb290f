"""Fuzz target: a pack's directory.

Invariant: any plaintext is refused with an `IntegrityError`, or its directory rebuilds the same
plaintext.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.archive.pack import PackBuilder, ladder_size, parse_directory
from exclave.errors import IntegrityError


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    padded = bytes(ladder_size(min(len(data), 65536)) - min(len(data), 65536)) + data[:65536]
    with contextlib.suppress(IntegrityError):
        builder = PackBuilder(65536)
        for entry in parse_directory(padded):
            stored = padded[entry.offset : entry.offset + entry.stored]
            builder.add(entry.chunk_id, entry.plain, entry.codec, stored, entry.role)
        assert builder.finish() == padded


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
