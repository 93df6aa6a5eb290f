"""`reconstruct`: from vaults or their folders back to running registers, proven."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exclave.cli.allocator import return_large_memory
from exclave.cli.options import CONNECTIONS, Flag, Out
from exclave.errors import DifferenceFound, UsageError

__all__ = ["reconstruct"]


def reconstruct(
    folder: Path,
    *,
    answer: Path,
    targets: Path,
    register: Annotated[list[str] | None, Parameter(negative=())] = None,
    table: Annotated[list[str] | None, Parameter(negative=())] = None,
    no_network: Flag = False,
    vault_folder: Annotated[list[Path] | None, Parameter(negative=())] = None,
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
        Read vaults' folders instead of asking vaults.
    vault_folder
        A vault's folder; may be repeated; only with --no-network.
    """
    from exclave.cli.progress import ShownReconstruction
    from exclave.reconstruct.report import report_payload, report_text
    from exclave.reconstruct.run import Scope
    from exclave.wiring.reader import Restoring, run_reconstruction
    from exclave.wiring.settings import load_target_settings

    return_large_memory()
    folders = tuple(vault_folder or ())
    if no_network is not bool(folders):
        raise UsageError(
            "reconstruct: expected --no-network and --vault-folder together or neither",
            hint="--no-network --vault-folder FOLDER --vault-folder FOLDER",
        )
    what = Restoring(
        folder=folder,
        answer=answer,
        targets=load_target_settings(targets),
        scope=Scope(registers=tuple(register or ()), objects=tuple(table or ())),
        vault_folders=folders,
    )
    with terminal.telling(CONNECTIONS), ShownReconstruction(terminal) as shown:
        report = run_reconstruction(what, shown)
    for line in report.findings.lines:
        terminal.warning(line)
    terminal.result(dict(report_payload(report)), report_text(report).splitlines())
    return 0 if report.proven else DifferenceFound.exit_code
