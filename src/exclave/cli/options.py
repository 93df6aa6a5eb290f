"""Types of options that several commands share, by name.

What they mean on the line stands in `option_types`, which loads cyclopts. So they are named here,
and Python looks them up there when cyclopts asks what an annotation is: a command whose line
`plain` reads starts without. That is why a command's module has its annotations as texts, and why
names there are others than here: Python takes one name for one type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ForwardRef

if TYPE_CHECKING:
    from exclave.cli.option_types import (
        DepositConfigFileOption as DepositConfigFile,
    )
    from exclave.cli.option_types import (
        EitherConfigFileOption as EitherConfigFile,
    )
    from exclave.cli.option_types import (
        FlagOption as Flag,
    )
    from exclave.cli.option_types import (
        OutOption as Out,
    )
    from exclave.cli.option_types import (
        PassphraseDescriptorOption as PassphraseDescriptor,
    )
    from exclave.cli.option_types import (
        PassphraseFileOption as PassphraseFile,
    )
else:

    def _there(name: str) -> ForwardRef:
        return ForwardRef(name, module="exclave.cli.option_types")

    DepositConfigFile = _there("DepositConfigFileOption")
    EitherConfigFile = _there("EitherConfigFileOption")
    Flag = _there("FlagOption")
    Out = _there("OutOption")
    PassphraseDescriptor = _there("PassphraseDescriptorOption")
    PassphraseFile = _there("PassphraseFileOption")

__all__ = [
    "CONNECTIONS",
    "DepositConfigFile",
    "EitherConfigFile",
    "Flag",
    "Out",
    "PassphraseDescriptor",
    "PassphraseFile",
]

CONNECTIONS = "exclave.vault.client"
"""What each seat's connection came to, cipher and key exchange, is logged by this part."""
