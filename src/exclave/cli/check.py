"""`check`: all that a deposit needs and that lies ahead, for people and for watching programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from exclave.cli.options import CONNECTIONS, DepositConfigFile, Flag, Out
from exclave.errors import ExclaveError

if TYPE_CHECKING:
    from pathlib import Path

    from exclave.cli.terminal import Terminal
    from exclave.wiring.check_results import CheckResult, Figure

__all__ = ["check", "results_json"]

_NAMES: Final = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_MARKS: Final = ("ok  ", "look", "FAIL", "????")
_UNKNOWN: Final = 3
_SHOWN: Final = 3  # causes in the one line of --monitoring


def check(*, config: DepositConfigFile, monitoring: Flag = False, terminal: Out) -> int:
    """Try everything a deposit needs, and say what lies ahead: a forecast, drills, bags, cards.

    Ends with 0 when all is good, 1 when somebody should look, 2 when something would fail or is
    overdue, 3 when nothing could be found out.

    Parameters
    ----------
    monitoring
        One line with performance data, as plugins of watching programs print it.
    """
    try:
        results = _results(config, terminal)
    except ExclaveError as error:
        if not monitoring:
            terminal.error(error)
        else:
            terminal.result({"code": _UNKNOWN}, [f"EXCLAVE UNKNOWN - {_plain(error.message)}"])
        return _UNKNOWN
    from exclave.wiring.check_results import worst

    code = int(worst(results))
    lines = [line for result in results for line in _lines(result)]
    terminal.result(
        results_json(results, code),
        [_monitoring_line(results, code)] if monitoring else lines,
    )
    return code


def _results(config: Path, terminal: Terminal) -> Sequence[CheckResult]:
    from exclave.wiring.checks import run_checks
    from exclave.wiring.depositor import open_home
    from exclave.wiring.learning import learn_charter

    home = learn_charter(open_home(config))
    with terminal.telling(CONNECTIONS):
        return run_checks(home)


def _lines(result: CheckResult) -> list[str]:
    said = f": {result.said}" if result.said else ""
    lines = [f"{_MARKS[result.severity]} {result.what}{said}"]
    return lines if result.hint is None else [*lines, f"     hint: {result.hint}"]


def results_json(results: Sequence[CheckResult], code: int) -> dict[str, object]:
    """What `--json` prints, and the agent reads."""
    return {"code": code, "checks": [_json(result) for result in results]}


def _json(result: CheckResult) -> dict[str, object]:
    return {
        "what": result.what,
        "about": result.about or None,
        "good": result.good,
        "warns": result.warns,
        "severity": result.severity.name.lower(),
        "said": result.said,
        "hint": result.hint,
        "figures": [
            {
                "label": figure.label,
                "value": figure.value,
                "unit": figure.unit,
                "warn": figure.warn,
                "bad": figure.bad,
            }
            for figure in result.figures
        ],
    }


def _monitoring_line(results: Sequence[CheckResult], code: int) -> str:
    """`EXCLAVE WARNING - what is wrong | 'label'=value[unit];warn;crit ...`."""
    wrong = [result for result in results if result.severity]
    wrong.sort(key=lambda result: -result.severity)
    said = "; ".join(_plain(f"{item.what}: {item.said}") for item in wrong[:_SHOWN])
    more = f" (and {len(wrong) - _SHOWN} more)" if len(wrong) > _SHOWN else ""
    text = f"{said}{more}" if wrong else f"{len(results)} checks"
    figures = " ".join(_figure(figure) for result in results for figure in result.figures)
    return f"EXCLAVE {_NAMES[code]} - {text}" + (f" | {figures}" if figures else "")


def _figure(figure: Figure) -> str:
    # A bound alone means "not more than", with a colon "not less than".
    sign = ":" if figure.low else ""
    bounds = ";".join(
        "" if bound is None else f"{_number(bound)}{sign}" for bound in (figure.warn, figure.bad)
    )
    return f"'{figure.label}'={_number(figure.value)}{figure.unit};{bounds}".rstrip(";")


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _plain(text: str) -> str:
    """One line, and none of the sign that begins performance data."""
    return " ".join(text.replace("|", "/").split())
