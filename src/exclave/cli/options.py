"""Types of options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exclave.cli.terminal import Terminal

__all__ = [
    "CONNECTIONS",
    "DepositConfigFile",
    "Flag",
    "Out",
    "PassphraseDescriptor",
    "PassphraseFile",
]

CONNECTIONS = "exclave.vault.client"
"""What each seat's connection came to, cipher and key exchange, is logged by this part."""
Out = Annotated[Terminal, Parameter(parse=False)]
Flag = Annotated[bool, Parameter(negative=())]
DepositConfigFile = Annotated[
    Path, Parameter(name=["--config", "-c"], help="The depositor's deposit.toml.")
]
PassphraseFile = Annotated[
    Path | None, Parameter(help="Read the passphrase from this file (mode 0600).")
]
PassphraseDescriptor = Annotated[
    int | None, Parameter(name="--passphrase-fd", help="Read it from this open descriptor.")
]
