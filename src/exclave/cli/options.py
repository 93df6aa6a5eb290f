"""Types of options that several commands share, by name.

What they mean on the line stands in `option_types`, which loads cyclopts. So they are named here,
and looked up there when cyclopts asks what an annotation is: a command whose line `plain` reads
starts without. That is why a command's module has its annotations as texts.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, ForwardRef

if TYPE_CHECKING:
    from exclave.cli.option_types import (
        DepositConfigFile,
        EitherConfigFile,
        Flag,
        Out,
        PassphraseDescriptor,
        PassphraseFile,
    )
else:

    def _there() -> ModuleType:
        from exclave.cli import option_types

        return option_types

    DepositConfigFile = ForwardRef("_there().DepositConfigFile", module=__name__)
    EitherConfigFile = ForwardRef("_there().EitherConfigFile", module=__name__)
    Flag = ForwardRef("_there().Flag", module=__name__)
    Out = ForwardRef("_there().Out", module=__name__)
    PassphraseDescriptor = ForwardRef("_there().PassphraseDescriptor", module=__name__)
    PassphraseFile = ForwardRef("_there().PassphraseFile", module=__name__)

__all__ = [
    "CONNECTIONS",
    "DepositConfigFile",
    "EitherConfigFile",
    "Flag",
    "Out",
    "PassphraseDescriptor",
    "PassphraseFile",
]

CONNECTIONS = "exclave.vault.client.client"
"""What each seat's connection came to, cipher and key exchange, is logged by this part."""
