"""What `options` names, as cyclopts reads it: names on the line, help, what is not to be given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exclave.cli.terminal import Terminal

__all__ = [
    "DepositConfigFile",
    "EitherConfigFile",
    "Flag",
    "Out",
    "PassphraseDescriptor",
    "PassphraseFile",
]

Out = Annotated[Terminal, Parameter(parse=False)]
Flag = Annotated[bool, Parameter(negative=())]
DepositConfigFile = Annotated[
    Path, Parameter(name=["--config", "-c"], help="The depositor's deposit.toml.")
]
EitherConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
PassphraseFile = Annotated[
    Path | None, Parameter(help="Read the passphrase from this file (mode 0600).")
]
PassphraseDescriptor = Annotated[
    int | None, Parameter(name="--passphrase-fd", help="Read it from this open descriptor.")
]
