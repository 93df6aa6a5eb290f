"""Passphrases for commands: from a prompt, an open descriptor or a file, never from arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exclave.cli.terminal import Terminal
from exclave.errors import UsageError

__all__ = ["PassphrasesDiffer", "new_passphrase", "passphrase_source"]


class PassphrasesDiffer(UsageError):
    """A new passphrase was typed differently the second time."""


def passphrase_source(
    terminal: Terminal, question: str, *, file: Path | None, descriptor: int | None
) -> Callable[[], bytes]:
    """What gives a passphrase when one is needed; `question` is the prompt."""
    from exclave.signer.passphrase import passphrase_from_descriptor, passphrase_from_file

    if file is not None and descriptor is not None:
        raise UsageError("passphrase: expected --passphrase-file or --passphrase-fd, got both")
    if file is not None:
        return lambda: passphrase_from_file(file)
    if descriptor is not None:
        return lambda: passphrase_from_descriptor(descriptor)
    return lambda: terminal.secret(question)


def new_passphrase(
    terminal: Terminal, question: str, *, file: Path | None, descriptor: int | None
) -> bytes:
    """A passphrase to be set: asked twice when it is typed; short ones are refused."""
    from exclave.signer.passphrase import check_strength

    first = passphrase_source(terminal, question, file=file, descriptor=descriptor)()
    check_strength(first)
    if file is None and descriptor is None and terminal.secret("again") != first:
        raise PassphrasesDiffer("passphrase: typed differently the second time")
    return first
