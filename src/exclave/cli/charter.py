"""`charter draft | show | submit`: how the constitution changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from exclave.cli.ceremony import ON_SCREEN, CardPlaces, card_outlet, ceremony_signers
from exclave.cli.core_dumps import close_to_debuggers
from exclave.cli.options import Flag, Out, PassphraseDescriptor, PassphraseFile

if TYPE_CHECKING:
    from exclave.authority.annex import AnnexEntry
    from exclave.ids import PersonId

__all__ = ["charter"]

charter = App(name="charter", help="The mission's charter: draft the next one.")
charter.help_format = "plaintext"


@charter.command(name="draft")
def draft(
    changes: Path,
    *,
    charter: Path,
    out: Path,
    annex: Path | None = None,
    era: Flag = False,
    above: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    key: Annotated[list[str] | None, Parameter(negative=())] = None,
    cards: CardPlaces = ON_SCREEN,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> None:
    """Write the next charter from the one in force and a file of changes.

    A new epoch draws a new recovery key and hands out its cards, as at the founding: one by one on
    the terminal unless another place for them is named.

    Parameters
    ----------
    changes
        The changes.toml: what differs.
    charter
        The charter in force.
    out
        The new folder for charter, annex and summary.
    annex
        The annex of names (annex.json) of the charter in force.
    era
        A new era, which exile opens under lockdown, in place of the next version.
    above
        A new era above era N, when some vault has logged a higher one than that of CHARTER.
    key
        An official's key file that signs now; may be repeated. Others sign OUT/charter.json later.
    """
    import os

    from exclave.clock import now
    from exclave.found.amend import Successor, amend
    from exclave.found.changes import load_changes

    close_to_debuggers()
    parsed, _ = load_changes(changes)
    wanted = parsed.recovery is not None or cards.named
    made = amend(
        Successor(changes=changes, charter=charter, annex=annex, era=era, above=above),
        out=out,
        outlet=card_outlet(terminal, cards) if wanted else None,
        signers=ceremony_signers(terminal, key or [], passphrase_file, passphrase_fd),
        now=now(),
        random=os.urandom,
    )
    order = f"{made.charter.era}.{made.charter.version}"
    terminal.result(
        {
            "charter": str(out / "charter.json"),
            "order": order,
            "statement": made.charter.statement_hash.hex(),
            "cards": made.cards,
            "summary": list(made.lines),
        },
        [
            *made.lines,
            f"officials now sign {out}/charter.json; then: exclave charter submit {out}",
        ],
    )


@charter.command(name="show")
def show(
    file: Path,
    *,
    before: Path | None = None,
    annex: Path | None = None,
    terminal: Out,
) -> None:
    """Show what a charter says, or with --before what it changes.

    Parameters
    ----------
    file
        The charter.
    before
        An earlier charter to compare it with.
    annex
        The annex of names, to show names beside ids.
    """
    from exclave.cli.words.statement import describe
    from exclave.found.differences import change_lines
    from exclave.wiring.charters import load_charter_pair

    envelope, shown, old = load_charter_pair(file, before)
    names = {} if annex is None else _names(annex)
    if old is None:
        lines = [
            *describe(envelope, None, signing=False),
            *(
                f"  official {official.id}: {official.institution}, {official.place.value}"
                + (f", {names[official.id].name}" if official.id in names else "")
                for official in shown.officials
            ),
        ]
    else:
        lines = list(change_lines(old, shown, names))
    terminal.result({"order": f"{shown.era}.{shown.version}", "lines": lines}, lines)


@charter.command(name="submit")
def submit(folder: Path, *, terminal: Out) -> int:
    """Hand a signed charter and its sealed annex to every vault; says what each answers.

    Parameters
    ----------
    folder
        The folder that `charter draft` wrote.
    """
    from exclave.errors import VaultError
    from exclave.wiring.charters import submit_folder

    answers = submit_folder(folder)
    terminal.result(
        {
            "seats": {
                str(seat): {"taken": answer.taken, "said": list(answer.said)}
                for seat, answer in sorted(answers.items())
            }
        },
        [
            f"seat {seat}: {line}"
            for seat, answer in sorted(answers.items())
            for line in answer.said
        ],
    )
    return 0 if any(answer.taken for answer in answers.values()) else VaultError.exit_code


@charter.command(name="enrolments")
def enrolments(
    *, out: Path, charter: Path | None = None, card: Path | None = None, terminal: Out
) -> None:
    """Write an enrolment for each vault that a later charter seats, from the logs of the others.

    Needs that charter in force at the older vaults; no key.

    Parameters
    ----------
    out
        The new folder for <vault>.json.
    charter
        A charter whose vaults are asked; or give --card.
    card
        The head of a share card: the vaults on it are asked.
    """
    from exclave.wiring.orders import view_for
    from exclave.wiring.seating import save_enrolments

    made = save_enrolments(view_for(charter, card), out)
    terminal.result(
        {
            "enrolments": [
                {"seat": item.seat, "vault": item.vault, "history": len(item.history)}
                for item in made
            ]
        },
        [
            *(
                f"{out}/{item.vault}.json: seat {item.seat}, {len(item.history)} charters and "
                "orders that took effect before it"
                for item in made
            ),
            "give each to its vault and tell it the mission id otherwise (exclave vault enrol)",
        ],
    )


def _names(path: Path) -> dict[PersonId, AnnexEntry]:
    from exclave.authority.annex import parse_annex
    from exclave.wiring.files import read_file

    return {entry.id: entry for entry in parse_annex(read_file(path))}
