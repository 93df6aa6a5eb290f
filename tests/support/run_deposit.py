"""`exclave deposit` as a process that gives a seat up at once: `python THIS deposit.toml`.

Only the pauses between attempts are left out: a test that stops a vault need not wait for it. What
a deposit imports on its way stands here, too: a fork that is traced has it then.
"""

from __future__ import annotations

import functools
import sys

import numpy  # noqa: F401

import exclave.deposit.remembered
import exclave.deposit.run
import exclave.source.files
import exclave.source.sqlite
import exclave.vault.client.client
import exclave.wiring.learning
import exclave.wiring.registers  # noqa: F401
from exclave.cli import main as command
from exclave.vault.client.retrying import RetryPolicy
from exclave.wiring import lines


def main(arguments: list[str]) -> None:
    lines.RetryPolicy = functools.partial(RetryPolicy, attempts=1)  # type: ignore[assignment, misc]
    code = command(["--json", "deposit", "--config", arguments[0]])
    sys.stdout.flush()
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
