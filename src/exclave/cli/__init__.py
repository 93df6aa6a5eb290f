"""The command line: `exclave`.

Commands only read arguments, call a workflow through `exclave.wiring` and show what came of it.
What is imported when, so that every start is quick: `app`.
"""

from exclave.cli.main import main

__all__ = ["main"]
