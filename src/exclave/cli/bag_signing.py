"""`bag seal | hand-over | receive | report`: what somebody says of a bag, signed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from exclave.cli.options import Flag, Out, PassphraseDescriptor, PassphraseFile
from exclave.errors import MalformedData, UsageError

if TYPE_CHECKING:
    from exclave.authority.custody import Act, Party
    from exclave.cli.terminal import Terminal
    from exclave.signer.opening import SigningKeys

__all__ = ["Signing", "hand_over", "receive", "report", "seal", "sign_paper", "signing_keys"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Signing:
    """Who signs a bag's paper.

    Parameters
    ----------
    key
        The key file, SSH key or `pkcs11:` URI of whoever says this: an official, the depositor
        (keys.json of its bundle), or a vault or safe (keys/vault.key).
    marks
        The seals that are on the bag, in words; broken ones are said to be.
    passphrase_file
        Read the passphrase from this file (mode 0600).
    passphrase_fd
        Read it from this open descriptor.
    """

    key: str
    marks: str = ""
    passphrase_file: PassphraseFile = None
    passphrase_fd: PassphraseDescriptor = None


def seal(papers: Path, *, signing: Signing, terminal: Out) -> None:
    """Close a bag: its first paper, signed by the depositor.

    Parameters
    ----------
    papers
        The folder of its papers.
    """
    from exclave.authority.custody import Act

    _act(terminal, papers, signing, Act.SEALED)


def hand_over(papers: Path, *, to: str, signing: Signing, terminal: Out) -> None:
    """Say who is to have the bag now.

    Parameters
    ----------
    papers
        The folder of its papers.
    to
        `official p-...`, `depositor NAME` or `seat NUMBER`.
    """
    from exclave.authority.custody import Act, read_party
    from exclave.authority.fields import Node

    try:
        party = read_party(Node(to, "--to"))
    except MalformedData as error:
        raise UsageError(error.message, hint="official p-..., depositor NAME or seat NUMBER") from (
            error
        )
    _act(terminal, papers, signing, Act.HANDED_OVER, to=party)


def receive(papers: Path, *, signing: Signing, terminal: Out) -> None:
    """Say that the bag came, and which seals it has.

    Parameters
    ----------
    papers
        The folder of its papers.
    """
    from exclave.authority.custody import Act
    from exclave.wiring.papers import open_papers

    known = [paper.custody for paper in open_papers(papers).papers]
    if not signing.marks and any(one.act is Act.SEALED and one.marks for one in known):
        raise UsageError(
            "bag receive: expected --marks with the seals that are on it, got none",
            hint="--marks none where there are none: it was sealed with some",
        )
    _act(terminal, papers, signing, Act.RECEIVED)


def report(
    papers: Path, *, lost: Flag = False, opened: Flag = False, signing: Signing, terminal: Out
) -> None:
    """Say that a bag is lost, or that its seals are not as they were.

    Parameters
    ----------
    papers
        The folder of its papers.
    lost
        It is not where it should be.
    opened
        Its seals are broken or are others; --marks says how.
    """
    from exclave.authority.custody import Act

    if lost is opened:
        raise UsageError(
            f"bag report: expected --lost or --opened, got {'both' if lost else 'neither'}"
        )
    _act(terminal, papers, signing, Act.LOST if lost else Act.OPENED)


def _act(
    terminal: Terminal, papers: Path, signing: Signing, act: Act, *, to: Party | None = None
) -> None:
    keys = signing_keys(terminal, papers, signing, act)
    path = sign_paper(papers, keys, act, to=to, marks=signing.marks)
    terminal.result(
        {"paper": str(path), "act": act.value},
        [f"signed {path}", "hand it in where a line is up: exclave submit " + str(path)],
    )


def signing_keys(terminal: Terminal, folder: Path, signing: Signing, act: Act) -> SigningKeys:
    """The keys that are to sign, if they may: asked for before hours of reading hang on them."""
    from exclave.cli.keys import open_for_signing
    from exclave.wiring.papers import open_papers, require_signer

    papers = open_papers(folder)
    keys = open_for_signing(
        terminal, signing.key, file=signing.passphrase_file, descriptor=signing.passphrase_fd
    )
    require_signer(papers, keys, act)
    return keys


def sign_paper(
    folder: Path,
    keys: SigningKeys,
    act: Act,
    *,
    to: Party | None = None,
    marks: str = "",
    good: int | None = None,
    bad: int | None = None,
) -> Path:
    """Add a paper to the others; returns its file."""
    from exclave.clock import now
    from exclave.wiring.papers import add_paper, open_papers

    path, _ = add_paper(
        open_papers(folder), keys, act, now=now(), to=to, marks=marks, good=good, bad=bad
    )
    return path
