"""`exclave deposit` as a process that gives a seat up at once: `python THIS deposit.toml`.

Only the pauses between attempts are left out: a test that stops a vault need not wait for it.
"""

from __future__ import annotations

import functools
import sys

from exclave.cli import main as exclave
from exclave.vault.retrying import RetryPolicy
from exclave.wiring import lines


def main(arguments: list[str]) -> None:
    lines.RetryPolicy = functools.partial(RetryPolicy, attempts=1)  # type: ignore[assignment, misc]
    code = exclave(["--json", "deposit", "--config", arguments[0]])
    sys.stdout.flush()
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
