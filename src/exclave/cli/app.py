"""The tree of commands, and what all of them take: `--json`, `--quiet`, `--version`, `--help`.

Each module of this package adds its own commands here by `register`; the order is that of the help.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Group, Parameter

from exclave import __version__
from exclave.cli import (
    charter,
    deposit,
    depositor,
    found,
    monitor,
    official,
    orders,
    proof,
    reconstruct,
    signatures,
    standing,
    unseal,
    vault,
    warrant,
)
from exclave.cli.terminal import Terminal

__all__ = ["app"]

app = App(
    name="exclave",
    help="A data embassy: registers sealed at home, spread over vaults in other states, "
    "rebuilt with proof.",
    version=f"exclave {__version__}",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `exclave.cli.main` says what it means
)
_PARTS = (
    found,
    official,
    signatures,
    charter,
    orders,
    standing,
    vault,
    depositor,
    deposit,
    warrant,
    unseal,
    reconstruct,
    proof,
    monitor,
)
for part in _PARTS:
    part.register(app)
app.meta.suppress_keyboard_interrupt = False
app.meta.group_parameters = Group("Options of every command", sort_key=0)
app.register_install_completion_command(name="--install-completion")


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    json: Annotated[bool, Parameter(negative=())] = False,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Run one command.

    Parameters
    ----------
    json
        Results as one line of JSON.
    quiet
        Only results, warnings and errors.
    """
    command, bound, left = app.parse_args(tokens, exit_on_error=False, print_error=False)
    if "terminal" in left:
        bound.arguments["terminal"] = Terminal(json=json, quiet=quiet)
    code: int | None = command(*bound.args, **bound.kwargs)
    return code if isinstance(code, int) else 0
