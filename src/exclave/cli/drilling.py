"""A real drill at the terminal: an answer is asked for again, what came of it kept and shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.cli.options import CONNECTIONS
from exclave.plain_words import of_seat

if TYPE_CHECKING:
    from exclave.cli.terminal import Terminal
    from exclave.drill.real import Drilling, Held
    from exclave.errors import ExclaveError
    from exclave.wiring.depositor import Home

__all__ = ["hold"]


def hold(drilling: Drilling, home: Home | None, terminal: Terminal) -> int:
    """Hold it and keep its certificate, where home is at hand; the exit code is the drill's."""
    held = _held(drilling, terminal)
    kept = None if home is None else _keep(home, held, terminal)
    _show(held, kept, drilling.what.folder, terminal)
    return held.exit_code


def _held(drilling: Drilling, terminal: Terminal) -> Held:
    from exclave.cli.progress import ShownReconstruction
    from exclave.drill.real import hold_drill

    def ask(error: ExclaveError) -> Path:
        if not terminal.attended:
            raise error
        terminal.error(error)
        said = terminal.line("the answer's file (nothing ends the drill)")
        if not said:
            raise error
        return Path(said)

    with terminal.telling(CONNECTIONS), ShownReconstruction(terminal) as shown:
        return hold_drill(drilling, shown, ask=ask)


def _keep(home: Home, held: Held, terminal: Terminal) -> Path:
    """Keep the certificate at home, and have its hash logged; the drill was held in any case."""
    from exclave.errors import ExclaveError
    from exclave.evidence import EvidenceStore
    from exclave.wiring.attesting import is_logged, log_certificate

    kept = EvidenceStore(home.settings.evidence).keep(held.envelope, held.warrant)
    hint = f"exclave certificate log {kept}"
    try:
        answers = log_certificate(home, held.envelope)
    except ExclaveError as error:
        # It is kept already; that nobody else knows of it must not look like a failed drill.
        terminal.warning(error.message, hint=hint)
        return kept
    for seat, answer in answers.items():
        if isinstance(answer, str):
            terminal.warning(of_seat(seat, answer))
    if not is_logged(answers):
        terminal.warning("no vault has logged the certificate's hash", hint=hint)
    return kept


def _show(held: Held, kept: Path | None, folder: Path, terminal: Terminal) -> None:
    from exclave.cli.words.certificate import drill_json, drill_lines
    from exclave.drill.real import CERTIFICATE, SHOWN
    from exclave.reconstruct.report import report_text

    place = folder / CERTIFICATE if kept is None else kept
    lines = drill_lines(held.drill)
    if held.report is not None and not held.report.proven:
        lines += report_text(held.report).splitlines()
    terminal.result(
        {**drill_json(held.drill), "certificate": str(place)},
        [*lines, *SHOWN, f"certificate {place}"],
    )
    if held.failure is not None:
        terminal.error(held.failure)
