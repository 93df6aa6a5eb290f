"""`monitor`: follow all vaults' logs of a mission, and say what is wrong at which vault."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave.cli.options import Out
from exclave.cli.terminal import Terminal
from exclave.errors import ExclaveError, UsageError

if TYPE_CHECKING:
    from exclave.authority.card import CardHead
    from exclave.authority.charter import Charter
    from exclave.monitor.judging import Judgement
    from exclave.monitor.values import Finding

__all__ = ["CRITICAL", "GOOD", "UNKNOWN", "WARNING", "monitor"]

GOOD, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
"""Exit codes as programs that watch machines expect them (docs/exit-codes.md)."""

_CODES: Final = {"CRITICAL": CRITICAL, "WARNING": WARNING, "NOTICE": WARNING, "INFO": GOOD}


def monitor(
    *,
    card: Path | None = None,
    charter: Path | None = None,
    state: Path | None = None,
    interval: str | None = None,
    terminal: Out,
) -> int:
    """Follow all vaults' logs, and name what is wrong, at which vault, and what waits.

    Ends with 0 when there is nothing to say, 1 when somebody should look, 2 when a vault or an
    official has to answer for something, 3 when nothing could be found out.

    Parameters
    ----------
    card
        The head of a share card: its vaults are asked.
    charter
        The charter's file, in place of a card.
    state
        A folder that remembers what was seen; without it, a vault that was put back is known only
        by what the others have seen of it.
    interval
        Look again after this time, such as 15min, until interrupted; once otherwise.
    """
    from exclave.cli.names import named_duration

    pause = None if interval is None else named_duration(interval, "--interval")
    if pause == 0:
        raise UsageError("--interval: expected at least a second, got none")
    if (card is None) is (charter is None):
        raise UsageError("monitor: expected either --card or --charter")
    while True:
        code = _once(card, charter, state, terminal)
        if pause is None:
            return code
        time.sleep(pause)


def _once(card: Path | None, charter: Path | None, state: Path | None, terminal: Terminal) -> int:
    from exclave.wiring.monitoring import watch_once

    try:
        # Read anew for each look: an error here is unknown, not the end of a monitor that repeats.
        judgement = watch_once(_start(card, charter), state)
    except ExclaveError as error:
        terminal.error(error)
        return UNKNOWN
    if state is None:
        terminal.info("nothing is remembered from this look: name a folder by --state")
    terminal.result(_json(judgement), [_line(item) for item in judgement.findings])
    return _CODES[judgement.level.name]


def _start(card: Path | None, charter: Path | None) -> CardHead | Charter:
    from exclave.wiring.files import load_charter
    from exclave.wiring.reader import load_card

    if card is not None:
        return load_card(card)
    assert charter is not None
    return load_charter(charter)


def _line(finding: Finding) -> str:
    return f"{finding.level.name:8}  {finding.line}"


def _json(judgement: Judgement) -> dict[str, object]:
    return {
        "code": _CODES[judgement.level.name],
        "looked": judgement.looked,
        "findings": [
            {
                "level": item.level.name.lower(),
                "cause": item.cause.value,
                "seat": item.seat,
                "vault": item.vault,
                "state": item.state,
                "what": item.what,
            }
            for item in judgement.findings
        ],
    }
