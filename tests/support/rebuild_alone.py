"""Runs commands in a process that has nothing: `python -I THIS order.json`.

The order names where the program's sources lie and the commands, each a list of words. Addresses
that the process connects to and programs that it starts are printed, with each command's exit
code. What it opens is the tracer's matter (`tests/support/systrace.py`).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    order = json.loads(Path(arguments[0]).read_text())
    seen: dict[str, set[str]] = {"connected": set(), "started": set()}

    def watch(event: str, details: tuple[object, ...]) -> None:
        if event == "socket.connect":
            seen["connected"].add(repr(details[1]))
        elif event.startswith(("subprocess.", "os.exec", "os.posix_spawn", "os.system")):
            seen["started"].add(repr(details[0]))

    sys.addaudithook(watch)
    sys.path.insert(0, order["sources"])
    from exclave.cli import main as exclave

    codes = []
    for command in order["commands"]:
        codes.append(exclave(["--quiet", *command]))
        if codes[-1] != 0:
            break
    kept = {name: sorted(values) for name, values in seen.items()}
    environment = sorted(os.environ)
    Path(order["result"]).write_text(json.dumps({"codes": codes, "env": environment} | kept))


if __name__ == "__main__":
    main(sys.argv[1:])
