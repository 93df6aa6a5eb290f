"""`limits`, `verify-receipt`, `verify-report`, `demo`: what anybody can check or try."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exclave.cli.options import Flag, Out

if TYPE_CHECKING:
    from exclave.authority.charter import Charter
    from exclave.certificate.receipts import SeatReceipt

__all__ = ["demo", "limits", "verify_receipt", "verify_report"]


def limits(
    charter: Path,
    *,
    before: Annotated[list[Path] | None, Parameter(negative=())] = None,
    terminal: Out,
) -> None:
    """Say what this software cannot promise under a charter.

    Parameters
    ----------
    charter
        The charter's file.
    before
        An earlier charter, to say who has left since and what he can still do, and how deposits of
        that time are spread; may be repeated.
    """
    from exclave.limits import departures, older_layouts
    from exclave.limits import limits as limits_of
    from exclave.wiring.files import load_charter

    law = load_charter(charter)
    read = [_earlier(charter, file) for file in before or []]
    earlier = [item for item in read if item is not None]
    found = (*limits_of(law), *departures(law, earlier), *older_layouts(law, earlier))
    terminal.result(
        {"limits": [{"name": item.name, "text": item.text} for item in found]},
        [f"- {item.text}" for item in found],
    )


def _earlier(charter: Path, file: Path) -> Charter | None:
    from exclave.wiring.charters import load_charter_pair

    return load_charter_pair(charter, file)[2]


def verify_receipt(file: Path, *, charter: list[Path], terminal: Out) -> None:
    """Check a receipt offline: which entry a vault put into its log, and which witnesses saw it.

    Parameters
    ----------
    file
        The receipt (a tlog-proof).
    charter
        The charter that names the keys of logs and witnesses; repeat it for later charters.
    """
    from exclave.certificate.receipts import verify_seat_receipt
    from exclave.clock import format_time
    from exclave.wiring.files import load_charter, read_file

    found = verify_seat_receipt(read_file(file), [load_charter(path) for path in charter])
    seat, entry = found.seat, found.entry
    logged = format_time(entry.logged)
    terminal.result(
        {
            "seat": seat,
            "cosigned": found.cosigned,
            "witnesses": [
                {"name": name, "time": format_time(item.moment)}
                for name, item in zip(found.named(), found.by, strict=True)
            ],
            "quorum": found.charter.witness.q,
            "type": entry.type.value,
            "hash": entry.hash.hex(),
            "statement": None if entry.statement is None else entry.statement.hex(),
            "logged": logged,
        },
        [
            f"valid: seat {seat} logged a {entry.type.value} entry at {logged} (its claim)",
            f"body       {entry.hash.hex()}",
            f"statement  {'-' if entry.statement is None else entry.statement.hex()}",
            *_witness_lines(found),
        ],
    )


def _witness_lines(found: SeatReceipt) -> list[str]:
    from exclave.clock import format_time

    count, quorum = len(found.by), found.charter.witness.q
    if found.cosigned:
        first = f"cosigned by {count} witnesses, {quorum} required"
    else:
        first = f"provisional: {count} witnesses cosigned, {quorum} required"
    named = zip(found.named(), found.by, strict=True)
    return [first, *(f"- {name}, at {format_time(item.moment)}" for name, item in named)]


def verify_report(
    report: Path, *, charter: Path, warrant: Path | None = None, terminal: Out
) -> None:
    """Check a report offline: officials allowed the reading, and the reader they named signed it.

    Ends with 0 when the signatures hold, also if the report itself names differences.

    Parameters
    ----------
    report
        The report.json of a reconstruction.
    charter
        The charter under which the warrant was signed.
    warrant
        The warrant's file; warrant.json beside the report otherwise.
    """
    from exclave.wiring.files import load_charter
    from exclave.wiring.reports import verify_report_file

    place = report.with_name("warrant.json") if warrant is None else warrant
    checked = verify_report_file(report, load_charter(charter), place)
    verdict = "proven" if checked.proven else "DIFFERENCES FOUND"
    terminal.result(
        {
            "mission": checked.warrant.mission.hex(),
            "deposit": checked.deposit.hex(),
            "purpose": checked.warrant.purpose,
            "proven": checked.proven,
        },
        [
            f"valid: signed by the reader of this warrant, purpose: {checked.warrant.purpose}",
            f"deposit {checked.deposit.hex()}: {verdict}, says the reader",
        ],
    )


def demo(
    *, size: float = 1.0, keep: Flag = False, folder: Path | None = None, terminal: Out
) -> int:
    """Show the whole way on this machine: registers, three vaults, homeland lost, rebuilt.

    Parameters
    ----------
    size
        How much data: 1 is the usual amount.
    keep
        Leave everything where it is afterwards.
    folder
        Where to work; a new temporary folder otherwise.
    """
    from exclave.demo.story import run

    return run(size=size, keep=keep, folder=folder, quiet=terminal.quiet, json=terminal.json)
