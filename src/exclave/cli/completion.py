"""`--install-completion`: cyclopts' own command, with its generators loaded only for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts.completion.install import create_install_completion_command

__all__ = ["install_completion"]


def _install(
    *,
    shell: Literal["zsh", "bash", "fish", "powershell"] | None,
    output: Path | None,
    add_to_startup: bool,
) -> Path:
    from exclave.cli.tree import command_tree

    return command_tree().install_completion(
        shell=shell, output=output, add_to_startup=add_to_startup
    )


install_completion = create_install_completion_command(_install, add_to_startup=True)
