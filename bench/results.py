"""What is published: every raw run with its machine as JSON, and a table of medians."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from bench.embassy import STARTS
from bench.measuring import Run
from bench.plots import bars
from bench.sections import FORECASTS, kept_section
from bench.targets import target_table

__all__ = [
    "CONDITIONS",
    "Result",
    "machine",
    "new_result",
    "table",
    "today",
    "versions",
    "write_result",
]

CONDITIONS: Final = (
    (
        "Data and repositories lie on the same local disk; the data had just been written or read, "
        "so it comes from the page cache. Nothing is dropped between runs, and files of earlier "
        "runs are emptied, not deleted: ext4 is slow in making files just after many were deleted."
    ),
    (
        "Each tool syncs as it does by default: restic and Borg each pack or segment file; "
        "Exclave's vault every shard (file and folder) and log entry, its depositor catalogue "
        "and journal."
    ),
    (
        "Exclave 1-of-1 deposits files into a local folder (its vault's rules run in the "
        "depositor's process) and tables over mutual TLS to one vault process; 2-of-3 goes to "
        "three vault processes on the same cores."
    ),
    (
        "The files had rested for a minute before Exclave's first deposit, outside the time: what "
        "was written in the minute before a deposit is read again by the next."
    ),
    (
        "Exclave opens each pack again before it is sent, and its restore reads all files back and "
        "compares them with what was captured. `restic restore` ran without --verify, and Borg's "
        "extract does not read back. All restored trees were compared byte by byte afterwards, "
        "outside the time."
    ),
    (
        "Times are those of whole programs, start-up included. CPU is of the tool's own process "
        "and its children; that of vaults (files) or of PostgreSQL (tables) is shown apart. "
        "Peak is VmHWM of the tool's own process."
    ),
    (
        "Tables: pg_dump and pg_restore take one database at a time, so of several in turn; "
        "neither proves what it wrote. pgBackRest copies the files of a whole cluster, indexes and "
        "log included, not encrypted, into the same major version only, and proves and compares no "
        "row; its restore ends when the server has recovered. It has a cluster of its own with the "
        "same tables, of the newest version that it knows. 'Row proof alone' is the part of a "
        "capture's time that its row tree takes."
    ),
)
_PACKAGES: Final = (
    "aiohttp", "apsw", "blake3", "cryptography", "numpy", "psycopg", "pyfastcdc", "uvloop",
    "zstandard",
)  # fmt: skip
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run of the benchmark."""

    date: str
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    settings: Mapping[str, object]
    absent: Sequence[str]
    runs: Sequence[Run]
    conditions: Sequence[str] = CONDITIONS
    whole: bool = True  # or cut off, with fewer repeats than wanted


def machine() -> dict[str, object]:
    """Where it ran, and how busy that machine was."""
    processor, memory = "", 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            memory = int(line.split()[1]) * 1024
    return {
        "processor": processor or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions(peers: Mapping[str, str | None]) -> tuple[dict[str, str], list[str]]:
    """Versions of what ran, and the names of what is not installed."""
    found: dict[str, str] = {name: text for name, text in peers.items() if text is not None}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found, [name for name, text in peers.items() if text is None]


def new_result(folder: Path, *, date: str) -> Path:
    """A file that is not there yet: `folder`/<date>.json, -2 and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    names = (f"{date}{end}.json" for end in ("", *(f"-{i}" for i in range(2, 1000))))
    return next(folder / name for name in names if not (folder / name).exists())


def write_result(result: Result, *, path: Path, document: Path) -> None:
    """The raw runs at `path`, replaced as a whole, and the page that shows them."""
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(json.dumps(asdict(result), indent=1, sort_keys=True) + "\n")
    draft.replace(path)
    document.parent.mkdir(parents=True, exist_ok=True)
    for name, steps in _plots(result.runs).items():
        text = bars(f"{name}, seconds (median, least to most)", result.runs, steps)
        (document.parent / _plot_file(document, name)).write_text(text)
    forecasts = kept_section(document, FORECASTS)
    page = _document(result, path.name, document)
    document.write_text(f"{page}\n{forecasts}" if forecasts else page)


def _plots(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The steps that are drawn together."""
    steps = list(dict.fromkeys(run.step for run in runs))
    databases = [step for step in steps if "key" in step]
    files = [step for step in steps if step not in (*databases, *STARTS)]
    return {name: group for name, group in (("files", files), ("tables", databases)) if group}


def _plot_file(document: Path, name: str) -> str:
    return f"{document.stem}-{name}.svg"


def today() -> str:
    """The date that names a result."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def table(runs: Sequence[Run]) -> list[str]:
    """Medians and spread by step and contender, as Markdown."""
    lines = [
        "| Step | Tool | Time, s (least to most) | CPU, s | Servers' CPU, s | Peak | Stored |",
        "|---|---|---|---|---|---|---|",
    ]
    for step in dict.fromkeys(run.step for run in runs):
        for contender in dict.fromkeys(run.contender for run in runs if run.step == step):
            chosen = [run for run in runs if (run.step, run.contender) == (step, contender)]
            lines.append(f"| {step} | {contender} | {_cells(chosen)} |")
    return lines


def _sets(settings: Mapping[str, object]) -> str:
    sizes = settings["sets"]
    assert isinstance(sizes, Mapping)
    return "; ".join(f"{name}: {size}" for name, size in sizes.items())


def _cells(runs: Sequence[Run]) -> str:
    times = [run.seconds for run in runs]
    cpu = [run.cpu for run in runs if run.cpu is not None]
    other = [run.other_cpu for run in runs if run.other_cpu is not None]
    peak = [run.peak for run in runs if run.peak is not None]
    stored = [run.stored for run in runs if run.stored is not None]
    return " | ".join(
        (
            f"{statistics.median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
            f"{statistics.median(cpu):.2f}" if cpu else "",
            f"{statistics.median(other):.2f}" if other else "",
            f"{max(peak) / _MIB:.0f} MiB" if peak else "",
            f"{statistics.median(stored) / 1e6:.0f} MB" if stored else "",
        )
    )


def _document(result: Result, name: str, document: Path) -> str:
    where, settings = result.machine, result.settings
    tools = ", ".join(f"{tool} {text}" for tool, text in sorted(result.versions.items()))
    lines = [
        "# Performance",
        "",
        "Written by `make bench` (see `bench/`); figures are as they came. Every raw run is in",
        f"`bench/results/{name}`.",
        "",
        f"- Date: {result.date}; {settings['repeats']} repeats, alternating; medians."
        + ("" if result.whole else " Cut off before all were done."),
        (
            f"- Machine: {where['processor']}, {where['cores']} cores, "
            f"{int(str(where['memory'])) / 2**30:.0f} GiB, {where['system']}, "
            f"Python {where['python']}; load {where['load_before']} before the run, "
            f"{where['load_after']} after."
        ),
        f"- Data: scale {settings['scale']}; {_sets(settings)}.",
        f"- Versions: {tools}.",
        *(f"- {text}" for text in result.conditions),
        *(f"- Not installed, so not measured: {text}." for text in result.absent),
        "",
        *table(result.runs),
        "",
        "## Targets",
        "",
        "Ratios of medians in this run; above 1, Exclave is faster.",
        "",
        *target_table(result.runs),
        "",
        *(f"![{plot}]({_plot_file(document, plot)})" for plot in _plots(result.runs)),
        "",
        "To install the other tools: `apt-get install restic borgbackup`; `--borg PROGRAM` takes",
        "another Borg. `make bench ARGS='--scale 1 --repeats 5'` is the full measurement.",
    ]
    return "\n".join(lines) + "\n"
