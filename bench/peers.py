"""The other tools: restic and Borg, each into a repository on the local disk.

A tool that is not installed is left out and named in the results. All encrypt, as they are
used by default; passwords are made up and worth nothing.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from bench.data import DataSet, compare_trees
from bench.measuring import Cost, Run, run_program, tree_size

__all__ = [
    "Borg",
    "Repository",
    "Restic",
    "borg_version",
    "restic_version",
    "three_steps",
    "version_line",
]


def restic_version() -> str | None:
    """What `restic version` says, or None."""
    return version_line(["restic", "version"])


def borg_version(program: str = "borg") -> str | None:
    """What `borg --version` says, or None."""
    return version_line([program, "--version"])


class Repository(Protocol):
    """Where one tool keeps what it backs up."""

    def backup(self) -> Cost:
        """Back the folder up once more."""

    def restore(self, out: Path) -> Cost:
        """Restore the newest backup into an empty folder."""

    def kept(self) -> int:
        """Bytes of the repository."""


class Restic:
    """A restic repository below `place`, for one folder."""

    def __init__(self, place: Path, folder: Path) -> None:
        self._folder, self._repository = folder, place / "repository"
        self._environment = {
            "RESTIC_REPOSITORY": str(self._repository),
            "RESTIC_PASSWORD": "bench",
            "RESTIC_CACHE_DIR": str(place / "cache"),
        }
        self._run("init")

    def backup(self) -> Cost:
        """`restic backup`."""
        return self._run("--quiet", "backup", ".")

    def restore(self, out: Path) -> Cost:
        """`restic restore`, without --verify."""
        return self._run("--quiet", "restore", "latest", "--target", str(out))

    def kept(self) -> int:
        """Bytes of the repository."""
        return tree_size(self._repository)

    def _run(self, *words: str) -> Cost:
        return run_program(["restic", *words], environment=self._environment, folder=self._folder)


class Borg:
    """A repository of a Borg, 1.x or 2: encrypted, its default compression (lz4)."""

    def __init__(self, place: Path, folder: Path, *, program: str, version: str) -> None:
        self._program, self._folder, self._repository = program, folder, place / "repository"
        self._environment = {
            "BORG_REPO": str(self._repository),
            "BORG_PASSPHRASE": "bench",
            "BORG_BASE_DIR": str(place / "base"),
        }
        self._backups = 0
        second = version.removeprefix("borg ").startswith("2")
        self._named = "{}" if second else "::{}"
        if second:
            self._run(folder, "repo-create", "--encryption", "repokey-aes-ocb")
        else:
            self._run(folder, "init", "--encryption", "repokey-blake2")

    def backup(self) -> Cost:
        """`borg create`."""
        self._backups += 1
        return self._run(self._folder, "create", self._archive(), ".")

    def restore(self, out: Path) -> Cost:
        """`borg extract`."""
        out.mkdir()
        return self._run(out, "extract", self._archive())

    def kept(self) -> int:
        """Bytes of the repository."""
        return tree_size(self._repository)

    def _archive(self) -> str:
        return self._named.format(f"backup-{self._backups}")

    def _run(self, folder: Path, *words: str) -> Cost:
        return run_program([self._program, *words], environment=self._environment, folder=folder)


def three_steps(
    name: str, make: Callable[[Path, Path], Repository]
) -> Callable[[Path, DataSet, int], list[Run]]:
    """First and second backup, restore, compared afterwards (not timed)."""

    def run(place: Path, data: DataSet, repeat: int) -> list[Run]:
        repository, out = make(place, data.folder), place / "out"
        steps: Sequence[tuple[str, Callable[[], Cost]]] = (
            ("first", repository.backup),
            ("second", repository.backup),
            ("restore", lambda: repository.restore(out)),
        )
        runs = [act().as_run(name, step, repeat, stored=repository.kept()) for step, act in steps]
        compare_trees(data.folder, out)
        return runs

    return run


def version_line(command: Sequence[str]) -> str | None:
    """The first line that a program prints, or None where it is not installed."""
    if shutil.which(command[0]) is None:
        return None
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.strip().splitlines()[0] if ran.returncode == 0 and ran.stdout else None
