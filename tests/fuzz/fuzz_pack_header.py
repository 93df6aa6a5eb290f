"""Fuzz target: a sealed pack's bytes.

Invariant: any bytes either decode to a header that encodes to the same bytes, or are refused with
a `PackRejected`; and no bytes open under a key that did not seal them.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.sealing.pack import HEADER_SIZE, PackHeader, PackRejected, open_pack


def check_pack(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    head = data[:HEADER_SIZE]
    with contextlib.suppress(PackRejected):
        assert PackHeader.decode(head).encode() == head
    try:
        open_pack(data, secret=bytes(32), veil=bytes(32))
    except PackRejected:
        return
    raise AssertionError("opened under a key that sealed nothing")


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_pack(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_pack)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
