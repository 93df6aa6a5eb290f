"""`found`: the ceremony in which a mission, its keys and its cards come to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from exclave.cli.ceremony import ON_SCREEN, CardPlaces, card_outlet, ceremony_signers
from exclave.cli.core_dumps import close_to_debuggers
from exclave.cli.options import Flag, Out, PassphraseDescriptor, PassphraseFile
from exclave.errors import UsageError
from exclave.plain_words import grouped

if TYPE_CHECKING:
    from exclave.authority.charter import Charter
    from exclave.cli.terminal import Terminal

__all__ = ["found"]

found = App(
    name="found", help="Found a mission: keys, share cards, charter.", help_format="plaintext"
)


@found.default
def found_mission(
    plan: Path,
    *,
    out: Path,
    key: Annotated[list[str] | None, Parameter(negative=())] = None,
    prepare: Flag = False,
    cards: CardPlaces = ON_SCREEN,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> None:
    """Make the recovery key, hand out its cards, and write charter, enrolments and key files.

    Cards are shown one by one on the terminal unless another place for them is named.

    Parameters
    ----------
    plan
        The founding.toml.
    out
        The new folder for what everybody gets.
    key
        An official's key file, SSH key or `pkcs11:` URI that signs the charter now; may be
        repeated.
    prepare
        Do not sign: officials sign OUT/charter.json elsewhere, then `found complete OUT`.
    """
    import os

    from exclave.clock import now
    from exclave.found import ceremony
    from exclave.found.plan import load_founding_plan

    close_to_debuggers()
    if prepare is bool(key):
        raise UsageError("found: expected --key for signing now, or --prepare, and not both")
    outlet = card_outlet(terminal, cards)
    parsed = load_founding_plan(plan)
    if prepare:
        made = ceremony.prepare(
            parsed, folder=plan.parent, out=out, outlet=outlet, now=now(), random=os.urandom
        )
    else:
        made = ceremony.found(
            parsed,
            folder=plan.parent,
            out=out,
            outlet=outlet,
            signers=ceremony_signers(terminal, key or [], passphrase_file, passphrase_fd),
            now=now(),
            random=os.urandom,
        )
    _warn_of_classical_keys(terminal, made.charter)
    tried = "all" if made.trial.exhaustive else f"{made.trial.tried} of {made.trial.possible}"
    terminal.info(f"{tried} combinations of cards were tried; {made.cards} cards handed out")
    _show(terminal, made.charter, out, complete=not prepare)


@found.command(name="complete")
def complete(
    out: Path,
    *,
    signed: Annotated[list[Path] | None, Parameter(negative=())] = None,
    terminal: Out,
) -> None:
    """Check the officials' signatures under a prepared charter and write the enrolments.

    Parameters
    ----------
    out
        The folder that `found --prepare` wrote.
    signed
        A copy of the charter that was signed elsewhere; may be repeated.
    """
    from exclave.found import ceremony

    charter = ceremony.complete(out, signed or [])
    _show(terminal, charter, out, complete=True)


def _warn_of_classical_keys(terminal: Terminal, charter: Charter) -> None:
    classical = [official.id for official in charter.officials if official.classical]
    if classical:
        terminal.warning(
            f"{len(classical)} of {len(charter.officials)} officials have keys that a quantum "
            f"computer could forge: {', '.join(classical)}",
            hint="keys made by exclave official init, without --ssh and --pkcs11, withstand it",
        )


def _show(terminal: Terminal, charter: Charter, out: Path, *, complete: bool) -> None:
    from exclave.authority.card import mission_checksum

    mission = charter.mission_id
    following = (
        f"give {out}/enrolments/<vault>.json to each vault and tell it the mission id otherwise"
        if complete
        else f"officials now sign {out}/charter.json; then: exclave found complete {out}"
    )
    terminal.result(
        {"mission": mission.hex(), "checksum": mission_checksum(mission), "complete": complete},
        [
            f"mission   {grouped(mission)}",
            f"checksum  {mission_checksum(mission)}",
            f"written   {out}",
            following,
        ],
    )
