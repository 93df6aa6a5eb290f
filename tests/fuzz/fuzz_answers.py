"""Fuzz target: a vault's answers, as a client reads them.

Invariant: any bytes are refused with an `ExclaveError`, or encode to the same bytes again; of a
problem, any bytes give one.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.errors import ExclaveError
from exclave.vault.line.problems import read_problem
from exclave.vault.line.protocol import PROTOCOLS, read_spoken
from exclave.vault.line.wire import (
    read_missing,
    read_statement_state,
    read_status,
    write_missing,
    write_statement_state,
    write_status,
)


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(ExclaveError):
        assert write_missing(read_missing(data)) == data
    with contextlib.suppress(ExclaveError):
        assert write_statement_state(read_statement_state(data)) == data
    for protocol in PROTOCOLS:
        with contextlib.suppress(ExclaveError):
            assert write_status(read_status(data, protocol), protocol) == data
    with contextlib.suppress(ExclaveError):
        assert read_spoken(data).protocols
    assert read_problem(data, 400).cause


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
