"""`python -m bench [SUITE] [options]`: one of the measurements; without a name, `compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

__all__ = ["SUITES", "main"]

SUITES: Final = {
    "compare": "Exclave, restic, Borg, pg_dump on the same data; writes docs/performance.md",
    "changes": "what a second deposit stores after known changes, beside restic and Borg",
    "forecast": "what `exclave check` forecasts beside what came, at three sizes",
    "index": "the dedup index beside SQLite rows, LMDB and RocksDB, by number of chunks",
    "memory": "peak memory of a deposit and a reconstruction of any size",
    "vault": "what a vault costs: transfers, log, lodging, starting with a million shards",
    "wire": "processor time of home and three vaults in a first deposit, beside another version",
    "stages": "processor time of each stage of a deposit, and the limit that follows",
}
"""Modules of this package with a `main(arguments) -> int`, and what they measure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite that is named first."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in {"-h", "--help"}:
        print(__doc__)
        for name, what in SUITES.items():
            print(f"  {name:10} {what}")
        return 0
    suite = words.pop(0) if words and not words[0].startswith("-") else "compare"
    if suite not in SUITES:
        print(f"bench: expected one of {', '.join(SUITES)}, got {suite!r}", file=sys.stderr)
        return 2
    module = import_module(f"bench.{suite}")
    return int(module.main(words))


if __name__ == "__main__":
    sys.exit(main())
