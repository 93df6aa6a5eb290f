"""The command line: `exclave`.

Commands only read arguments, call a workflow through `exclave.wiring` and show what came of it.
Heavy modules are imported inside commands, so that `exclave --help` stays quick.
"""

from exclave.cli.app import app
from exclave.cli.main import main

__all__ = ["app", "main"]
