"""The tree of commands for cyclopts, and what all of them take: `--json`, `--quiet`, `--help`.

It explains every command, completes words in a shell and says what is wrong with a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from cyclopts import App, Group, Parameter

from exclave import __version__
from exclave.cli.app import COMMANDS
from exclave.cli.terminal import Terminal

__all__ = ["command_tree"]

# Named at each option: what is set for the level, commands that are imported later take over.
_OPTIONS = Group("Options of every command", sort_key=0)


def command_tree(words: Sequence[str] = ()) -> App:
    """All commands, none of them imported yet; `words` is the command line to come."""
    app = App(
        name="exclave",
        help="A data embassy: registers sealed at home, spread over vaults in other states, "
        "rebuilt with proof.",
        version=f"exclave {__version__}",
        help_format="plaintext",
        suppress_keyboard_interrupt=False,  # `exclave.cli.main` says what it means
    )
    # What all commands take has no values, so the first word that is no option is the command.
    meant = next((word for word in words if word in COMMANDS or not word.startswith("-")), None)
    for name, (place, summary) in COMMANDS.items():
        # A text given here would stand in place of all that the command says of itself.
        text = None if name == meant else summary
        app.command(f"{__package__}.{place}", name=name, help=text)
    app.meta.suppress_keyboard_interrupt = False
    app.meta.default(_launcher(app))
    return app


def _launcher(app: App) -> Callable[..., int]:
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        json: Annotated[bool, Parameter(negative=(), group=_OPTIONS)] = False,
        quiet: Annotated[bool, Parameter(negative=(), group=_OPTIONS)] = False,
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

    return launch
