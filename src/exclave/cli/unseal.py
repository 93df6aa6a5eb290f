"""`unseal`: on a machine without network, officials' cards give out the requested secrets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exclave.cli.core_dumps import close_to_debuggers
from exclave.cli.options import Flag, Out
from exclave.cli.typed_words import type_words
from exclave.errors import AuthorityError, ExclaveError
from exclave.plain_words import grouped

if TYPE_CHECKING:
    from exclave.cli.terminal import Terminal
    from exclave.unseal import CardDesk
    from exclave.wiring.officials import UnsealTable

__all__ = ["UnsealDeclined", "unseal"]


class UnsealDeclined(AuthorityError):
    """The officials said no."""


def unseal(
    request: Path,
    *,
    out: Path | None = None,
    charter: Annotated[list[Path] | None, Parameter(negative=())] = None,
    card: Annotated[list[Path] | None, Parameter(negative=())] = None,
    unsafe_without_warrant: Flag = False,
    yes: Flag = False,
    terminal: Out,
) -> None:
    """Show what a request would give out, take share cards, and answer to its one-time key.

    Cards are typed one at a time; each word is checked at once and completed with Tab.

    Parameters
    ----------
    request
        The unseal-request.json of a reconstruction.
    out
        The answer's file; answer.json beside the request otherwise.
    charter
        The mission's charters from number 1 on; those beside the request otherwise.
    card
        A card's text file, instead of typing; may be repeated.
    unsafe_without_warrant
        Answer although no warrant allows it: only where nothing but disks is left.
    yes
        Do not ask.
    """
    from exclave.wiring.files import read_file
    from exclave.wiring.officials import open_table

    close_to_debuggers()
    table = open_table(request, charter or [], unsafe_without_warrant=unsafe_without_warrant)
    _show(terminal, table)
    if not yes and not terminal.confirm("give these secrets out?"):
        raise UnsealDeclined(f"{request}: nothing was given out")
    for path in card or []:
        _take(terminal, table.desk, read_file(path).decode("utf-8", "replace"), str(path))
    while not table.desk.complete and terminal.attended:
        _type_card(terminal, table.desk)
    place = out or request.with_name("answer.json")
    count = table.answer(place)
    terminal.result(
        {"answer": str(place), "secrets": count},
        [f"{count} secrets sealed to the one-time key: {place}"],
    )


def _show(terminal: Terminal, table: UnsealTable) -> None:
    from exclave.authority.warrant import parse_warrant
    from exclave.cli.words.statement import describe

    review = table.review
    terminal.info(f"Request of mission {grouped(review.mission)}, epoch {review.epoch}")
    terminal.info(
        f"  {review.secrets} secrets, those of deposits "
        + ", ".join(deposit.hex() for deposit in review.deposits)
    )
    terminal.info(f"  to the one-time key {grouped(review.to)}")
    if table.warrant is None:
        terminal.warning("no warrant: no vault's delay stands between these cards and the data")
        return
    named = table.chain.find(parse_warrant(table.warrant).charter)
    for line in describe(table.warrant, named, signing=False):
        terminal.info(line)


def _take(terminal: Terminal, desk: CardDesk, text: str, place: str) -> None:
    try:
        share = desk.take(text)
    except ExclaveError as error:
        error.message = f"{place}: {error.message}"
        raise
    terminal.info(f"card of group {share.group}, member {share.member}: good; {_standing(desk)}")


def _type_card(terminal: Terminal, desk: CardDesk) -> None:
    terminal.info(f"Type the words of one card ({_standing(desk)}).")
    words = type_words(terminal)
    try:
        _take(terminal, desk, words, "card")
    except ExclaveError as error:
        terminal.error(error)


def _standing(desk: CardDesk) -> str:
    pairs = zip(desk.epoch.groups, desk.counts, strict=True)
    groups = ", ".join(f"{group.name} {count} of {group.threshold}" for group, count in pairs)
    return f"{len(desk.complete_groups)} of {desk.epoch.group_threshold} groups complete: {groups}"
