"""Fuzz target: the lines of a printed sheet.

Invariant: any text is refused with an `ExclaveError`, or gives a file that is printed and read as
itself.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.carried.printed import join_parts, split_parts
from exclave.errors import ExclaveError


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(ExclaveError):
        file = join_parts(data.decode("utf-8", "replace").splitlines())
        assert join_parts(split_parts(file)) == file


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
