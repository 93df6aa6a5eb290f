"""Forecast against measurement, for deposit and restore at three sizes: `python -m bench forecast`.

Each size is a mission of its own (2-of-3, three vault processes) with a register of files and,
where a server is installed, one of PostgreSQL. `exclave check` says its forecast before the first
deposit (assumed rates) and before a later one (measured); what then happened is what the catalogue
and the reconstruction's report say. Between deposits a twentieth of the files changes. A restore is
forecast by rates before the mission's first drill, and by the drill after it.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.embassy import prepare_reading, rebuild
from bench.measuring import run_program, temporary_place
from bench.postgres import KINDS, MAJOR
from bench.results import machine, new_result
from bench.sections import FORECASTS, put_section
from exclave.authority.envelope import parse_envelope
from exclave.deposit.catalogue import Catalogue
from exclave.postgres_server.server import PostgresServer, available_majors, start_server
from tests.support.embassy import PROGRAM, Embassy, found_embassy

__all__ = ["Compared", "main"]

_ROOT: Final = Path(__file__).resolve().parent
_FILE: Final = 256 * 1024
_ROW: Final = 64  # bytes of a row as COPY prints it
_DEPOSITS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One forecast figure and what came."""

    size: int  # MB of the size asked for
    what: str
    basis: str
    unit: str  # "s" or "B"
    forecast: float
    measured: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every size, write the raw figures and the table."""
    options = _options(arguments)
    facts = machine()
    rows: list[Compared] = []
    for size in options.megabytes:
        with temporary_place(options.place) as place:
            for row in _one_size(place, size, postgres=not options.no_postgres):
                rows.append(row)
                print(_line(row), flush=True)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    result = {"date": date, "machine": facts, "forecasts": [asdict(row) for row in rows]}
    path = new_result(options.results, date=f"forecast-{date}")
    path.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    put_section(options.document, FORECASTS, "\n".join(_section(rows, facts, path.name)) + "\n")
    return 0


def _one_size(place: Path, size: int, *, postgres: bool) -> Iterator[Compared]:
    with ExitStack() as stack:
        server = None
        if postgres and MAJOR in available_majors():
            server = start_server(MAJOR, place / "pg")
            stack.callback(server.remove)
        embassy = stack.enter_context(found_embassy(place / "embassy", n=3, k=2, processes=True))
        config = _registers(embassy, size, server)
        for number in range(_DEPOSITS):
            forecast = _forecast(config)
            _program("deposit", "--config", str(config))
            if number != 1:  # the second shows what the third is forecast from
                basis = "measured" if number else "assumed"
                yield from _deposited(embassy, size, basis, forecast)
            _change(embassy.home / "registers" / "scans", number)
        yield from _restored(embassy, place, size, server, config)


def _registers(embassy: Embassy, size: int, server: PostgresServer | None) -> Path:
    config = embassy.write_config()
    scans = embassy.home / "registers" / "scans"
    scans.mkdir(parents=True, exist_ok=True)
    total = size * 10**6
    source = random.Random(size)
    for number in range(max(1, total // 2 // _FILE)):
        # Half of it compresses.
        half = source.randbytes(_FILE // 4)
        (scans / f"{number:05}").write_bytes(half + half.hex().encode()[: _FILE // 2])
    text = _register("scans", f'kind = "files"\npath = "{scans}"\n')
    if server is not None:
        with server.connect() as session:
            session.execute(b"CREATE DATABASE bench")
        with server.connect("bench") as session:
            for statement in KINDS["integer"]:
                session.execute(statement.format(rows=total // 2 // _ROW).encode())
        text += _register(
            "tables",
            f'kind = "postgresql"\nhost = "{server.host}"\nport = {server.port}\n'
            f'user = "{server.user}"\npassword_file = "{server.passfile}"\ndatabases = ["bench"]\n',
        )
    (embassy.home / "registers.toml").write_text(text)
    return config


def _register(id: str, source: str) -> str:
    return (
        f'[[register]]\nid = "{id}"\ntitle = "{id}"\nowner = "bench"\nclassification = "none"\n'
        f'rpo = "1 d"\nrto = "1 d"\n[register.source]\n{source}'
    )


def _change(folder: Path, number: int) -> None:
    files = sorted(folder.iterdir())
    source = random.Random(number)
    for file in files[number::20]:
        file.write_bytes(source.randbytes(file.stat().st_size))


def _forecast(config: Path) -> Mapping[str, float]:
    """The figures of `check`, by label; what it thinks of them does not matter here."""
    done = subprocess.run(
        [*PROGRAM, "--json", "check", "--config", str(config)], capture_output=True, check=False
    )
    checks: Any = json.loads(done.stdout)["checks"]
    return {item["label"]: item["value"] for check in checks for item in check["figures"]}


def _deposited(
    embassy: Embassy, size: int, basis: str, forecast: Mapping[str, float]
) -> Iterator[Compared]:
    entry = Catalogue(embassy.home / "state" / "catalogue").entries()[-1]
    for label, what, unit, measured in (
        ("deposit", "deposit", "s", entry.elapsed_ms / 1000),
        ("uplink", "uplink", "B", sum(count for _, count in entry.sent)),
        ("manifest", "manifest", "B", entry.manifest_bytes),
    ):
        yield Compared(
            size=size, what=what, basis=basis, unit=unit, forecast=forecast[label],
            measured=measured,
        )  # fmt: skip


def _restored(
    embassy: Embassy,
    place: Path,
    size: int,
    server: PostgresServer | None,
    config: Path,
) -> Iterator[Compared]:
    targets = f'[default.folder]\nkind = "folder"\npath = "{place / "out"}"\n'
    forecasts = {"assumed": _forecast(config)["restore"]}
    if server is not None:
        targets += (
            f'[default.postgresql]\nkind = "postgresql"\nhost = "{server.host}"\n'
            f'port = {server.port}\nuser = "{server.user}"\npassword_file = "{server.passfile}"\n'
        )
    answer = prepare_reading(embassy, place)
    _rename(server, "bench", "before")  # the server is to have none of that name
    (place / "drill.toml").write_text(targets)
    _program(
        "drill", str(answer.parent), "--answer", str(answer), "--config", str(config),
        "--targets", str(place / "drill.toml"), "--quarantine", str(place / "quarantine"),
    )  # fmt: skip
    _rename(server, "before", "bench")
    forecasts["measured"] = _forecast(config)["restore"]
    _rename(server, "bench", "before")
    rebuild(answer, place, targets)
    payload: Any = json.loads(_payload(answer.parent / "report.json"))
    taken = sum(item["restore_ms"] + item["compare_ms"] for item in payload["registers"]) / 1000
    for basis, forecast in forecasts.items():
        yield Compared(
            size=size, what="restore", basis=basis, unit="s", forecast=forecast, measured=taken
        )


def _rename(server: PostgresServer | None, old: str, new: str) -> None:
    if server is not None:
        with server.connect() as session:
            session.execute(f"ALTER DATABASE {old} RENAME TO {new}".encode())


def _payload(report: Path) -> bytes:
    return parse_envelope(report.read_bytes()).payload


def _program(*words: str) -> None:
    run_program([*PROGRAM, *words])


def _line(row: Compared) -> str:
    return (
        f"{row.size} MB  {row.what:8} {row.basis:8}  forecast {_shown(row.forecast, row.unit)}  "
        f"measured {_shown(row.measured, row.unit)}"
    )


def _shown(value: float, unit: str) -> str:
    return f"{value:.1f} s" if unit == "s" else f"{value / 1e6:.2f} MB"


def _section(rows: Sequence[Compared], facts: Mapping[str, object], raw: str) -> Iterator[str]:
    """The table of docs/performance.md."""
    yield FORECASTS
    yield ""
    yield (
        "Written by `python -m bench forecast`: what `exclave check` said before, and what came "
        "(2-of-3, files and, where there are tables, half of each). Raw figures: "
        f"`bench/results/{raw}`."
    )
    yield (
        f"Load of the machine before the run: {facts['load_before']} on {facts['cores']} cores; "
        "times of a busy machine say little, bytes do not depend on it."
    )
    yield ""
    yield "| Size | What | Forecast by | Forecast | Measured | Measured / forecast |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        ratio = f"{row.measured / row.forecast:.2f}" if row.forecast else "-"
        yield (
            f"| {row.size} MB | {row.what} | {row.basis} rates | {_shown(row.forecast, row.unit)} "
            f"| {_shown(row.measured, row.unit)} | {ratio} |"
        )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench forecast", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--no-postgres", action="store_true")
    parser.add_argument("--place", type=Path, help="folder on the disk to measure on")
    parser.add_argument("--results", type=Path, default=_ROOT / "results")
    parser.add_argument("--document", type=Path, default=_ROOT.parent / "docs" / "performance.md")
    return parser.parse_args(arguments)
