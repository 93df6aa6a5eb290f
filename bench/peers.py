"""The other tools: restic and Borg, each into a repository on the local disk.

A tool that is not installed is left out and named in the results. Both encrypt, as they are
used by default; passwords are made up and worth nothing.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data import DataSet, compare_trees
from bench.measuring import Cost, Run, run_program, tree_size

__all__ = ["borg", "borg_version", "restic", "restic_version"]


def restic_version() -> str | None:
    """What `restic version` says, or None."""
    return _version(["restic", "version"])


def borg_version(program: str = "borg") -> str | None:
    """What `borg --version` says, or None."""
    return _version([program, "--version"])


def restic(place: Path, data: DataSet, repeat: int) -> list[Run]:
    """First and second backup, restore, compared afterwards (not timed)."""
    repository, out = place / "repository", place / "out"
    environment = {
        "RESTIC_REPOSITORY": str(repository),
        "RESTIC_PASSWORD": "bench",
        "RESTIC_CACHE_DIR": str(place / "cache"),
    }

    def step(*words: str) -> Cost:
        return run_program(["restic", *words], environment=environment, folder=data.folder)

    step("init")
    return _three(
        "restic",
        repeat,
        backup=lambda: step("--quiet", "backup", "."),
        restore=lambda: step("--quiet", "restore", "latest", "--target", str(out)),
        stored=lambda: tree_size(repository),
        compare=lambda: compare_trees(data.folder, out),
    )


def borg(program: str) -> Callable[[Path, DataSet, int], list[Run]]:
    """The same with Borg: encrypted, its default compression (lz4)."""

    def run(place: Path, data: DataSet, repeat: int) -> list[Run]:
        repository, out = place / "repository", place / "out"
        out.mkdir()
        names = iter(("first", "second"))
        environment = {
            "BORG_REPO": str(repository),
            "BORG_PASSPHRASE": "bench",
            "BORG_BASE_DIR": str(place / "base"),
        }

        def step(folder: Path, *words: str) -> Cost:
            return run_program([program, *words], environment=environment, folder=folder)

        step(data.folder, "init", "--encryption", "repokey-blake2")
        return _three(
            "borg",
            repeat,
            backup=lambda: step(data.folder, "create", f"::{next(names)}", "."),
            restore=lambda: step(out, "extract", "::second"),
            stored=lambda: tree_size(repository),
            compare=lambda: compare_trees(data.folder, out),
        )

    return run


def _three(
    contender: str,
    repeat: int,
    *,
    backup: Callable[[], Cost],
    restore: Callable[[], Cost],
    stored: Callable[[], int],
    compare: Callable[[], None],
) -> list[Run]:
    runs: list[Run] = []
    for name, act in (("first", backup), ("second", backup), ("restore", restore)):
        cost = act()
        runs.append(
            Run(
                contender=contender,
                step=name,
                repeat=repeat,
                seconds=cost.seconds,
                cpu=cost.cpu,
                peak=cost.peak,
                stored=stored(),
            )
        )
    compare()
    return runs


def _version(command: Sequence[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.strip().splitlines()[0] if ran.returncode == 0 and ran.stdout else None
