"""Fuzz target: what the agent remembers.

Invariant: any bytes are refused with `MemoryBroken` or `FormatTooNew`, or encode to the same bytes
again.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.agent.memory import MemoryBroken, memory_bytes, parse_memory
from exclave.authority.fields import FormatTooNew


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(FormatTooNew, MemoryBroken):
        assert memory_bytes(parse_memory(data)) == data


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
