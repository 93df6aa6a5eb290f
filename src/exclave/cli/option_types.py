"""What `options` names, as cyclopts reads it: names on the line, help, what is not to be given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exclave.cli.terminal import Terminal

__all__ = [
    "DepositConfigFileOption",
    "EitherConfigFileOption",
    "FlagOption",
    "OutOption",
    "PassphraseDescriptorOption",
    "PassphraseFileOption",
]

OutOption = Annotated[Terminal, Parameter(parse=False)]
FlagOption = Annotated[bool, Parameter(negative=())]
DepositConfigFileOption = Annotated[
    Path, Parameter(name=["--config", "-c"], help="The depositor's deposit.toml.")
]
EitherConfigFileOption = Annotated[Path | None, Parameter(name=["--config", "-c"])]
PassphraseFileOption = Annotated[
    Path | None, Parameter(help="Read the passphrase from this file (mode 0600).")
]
PassphraseDescriptorOption = Annotated[
    int | None, Parameter(name="--passphrase-fd", help="Read it from this open descriptor.")
]
