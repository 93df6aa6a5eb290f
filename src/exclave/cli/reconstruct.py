"""`reconstruct`: from vaults or their folders back to running registers, proven."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exclave.cli.allocator import return_large_memory
from exclave.cli.options import CONNECTIONS, Flag, Out
from exclave.errors import DifferenceFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exclave.wiring.reader import Media

__all__ = ["media_of", "reconstruct"]


def reconstruct(
    folder: Path,
    *,
    answer: Path,
    targets: Path,
    register: Annotated[list[str] | None, Parameter(negative=())] = None,
    table: Annotated[list[str] | None, Parameter(negative=())] = None,
    no_network: Flag = False,
    vault_folder: Annotated[list[Path] | None, Parameter(negative=())] = None,
    bag: Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=True)] = None,
    seat_keys: Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=True)] = None,
    terminal: Out,
) -> int:
    """Restore a deposit into empty targets and compare every row and file with what was captured.

    Writes report.json (signed) and report.txt into the folder; ends with 1 on any difference.

    Parameters
    ----------
    folder
        What `warrant prepare` made.
    answer
        What `exclave unseal` gave out.
    targets
        The targets.toml that says where registers go.
    register
        Only this register; may be repeated.
    table
        Only this table, as database.schema.table, or this path; needs the one --register. Where
        that has several sources, as SOURCE:NAME.
    no_network
        Read vaults' folders and bags instead of asking vaults.
    vault_folder
        A vault's folder; may be repeated; only with --no-network.
    bag
        A bag's folder, or the files of its volumes; all bags of a seat; may be repeated.
    seat_keys
        The key files of the seats whose bags these are, kept apart from them.
    """
    from exclave.cli.progress import ShownReconstruction
    from exclave.reconstruct.report import report_payload, report_text
    from exclave.reconstruct.run import Scope
    from exclave.wiring.reader import Restoring, run_reconstruction
    from exclave.wiring.settings import load_target_settings

    return_large_memory()
    media = media_of("reconstruct", no_network, vault_folder, bag)
    if bool(bag) is not bool(seat_keys):
        raise UsageError(
            "reconstruct: expected --bag and --seat-keys together or neither",
            hint="--bag FOLDER --seat-keys FILE: a bag opens with its seat's key",
        )
    what = Restoring(
        folder=folder,
        answer=answer,
        targets=load_target_settings(targets),
        scope=Scope(registers=tuple(register or ()), objects=tuple(table or ())),
        media=media,
        seat_keys=tuple(seat_keys or ()),
    )
    with terminal.telling(CONNECTIONS), ShownReconstruction(terminal) as shown:
        report = run_reconstruction(what, shown)
    for line in report.findings.lines:
        terminal.warning(line)
    terminal.result(dict(report_payload(report)), report_text(report).splitlines())
    return 0 if report.proven else DifferenceFound.exit_code


def media_of(
    command: str,
    no_network: bool,
    vault_folders: Sequence[Path] | None,
    bags: Sequence[Path] | None,
) -> Media:
    """What was carried here; without the network there has to be something."""
    from exclave.wiring.reader import Media

    folders = tuple(vault_folders or ())
    if (folders and not no_network) or (no_network and not folders and not bags):
        raise UsageError(
            f"{command}: expected --no-network and --vault-folder together or neither",
            hint="--no-network --vault-folder FOLDER --bag FOLDER: one of them or both",
        )
    return Media(alone=no_network, vault_folders=folders, bags=tuple(bags or ()))
