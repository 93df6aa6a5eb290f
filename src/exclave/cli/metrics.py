"""`metrics`: home's figures for Prometheus, once; the agent serves the same."""

from __future__ import annotations

from pathlib import Path

from exclave.cli.options import DepositConfigFile, Flag, Out
from exclave.errors import UsageError

__all__ = ["metrics"]


def metrics(
    *,
    config: DepositConfigFile,
    output: Path | None = None,
    offline: Flag = False,
    check: Flag = False,
    terminal: Out,
) -> None:
    """Print home's figures once in Prometheus' text format.

    Parameters
    ----------
    output
        Put them into this file instead, whole: for the textfile collector of node_exporter.
    offline
        Do not ask the vaults.
    check
        Try what `exclave check` tries, and count its results too.
    """
    from exclave.clock import now
    from exclave.exposition import exposition
    from exclave.wiring.depositor import open_home
    from exclave.wiring.home_metrics import home_families, write_metrics
    from exclave.wiring.overview import overview

    if offline and check:
        raise UsageError("metrics: expected --offline or --check, got both")
    home, results = open_home(config), None
    if check:
        from exclave.wiring.checks import run_checks

        results = run_checks(home)
    found = overview(home, ask=not offline)
    families = list(home_families(found, now(), checks=results))
    if output is not None:
        write_metrics(output, families)
        terminal.result({"output": str(output)}, [f"written to {output}"])
        return
    terminal.result(
        {
            "metrics": [
                {"name": family.name, "labels": dict(item.labels), "value": item.value}
                for family in families
                for item in family.samples
            ]
        },
        exposition(families).splitlines(),
    )
