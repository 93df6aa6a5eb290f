"""The quarantine of a drill: a fresh folder, a fresh server or fresh databases, gone afterwards.

    <place>/quarantine-<random>/       0700, locked for as long as the drill holds it
        note.json                      what lies outside of the folder: a server, databases, roles
        registers/ service/ state/     what a reconstruction writes
        server/                        the data folder of a server of its own

Rules
- Nothing that was there before is touched: the folder is new, databases of a given server are those
  that it did not have, roles those that the restore made.
- What will be made outside is noted durably before it is made, so that the next drill removes what
  a killed one left. A quarantine that somebody holds is left alone.
- It is always removed, also after a failure or an interruption; what cannot be removed is an error
  that names it, and stays noted.
- Removed is not wiped: on a disk whose blocks others will read, the place belongs on an encrypted
  file system or in memory (docs/guide-drills.md).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exclave.durable import replace_file
from exclave.errors import ConfigurationError, ExclaveError, StorageError, TargetError
from exclave.plain_words import size
from exclave.proof.server import DATA, end_left_server
from exclave.source.postgresql.config import PostgresConfig
from exclave.values import dataclass

if TYPE_CHECKING:
    from exclave.demo.postgres import PostgresServer
    from exclave.source.postgresql.connect import Connection
    from exclave.wiring.settings import ServerTarget

__all__ = [
    "DatabaseThere",
    "NoServer",
    "Quarantine",
    "QuarantineLeft",
    "QuarantineTooSmall",
    "open_quarantine",
]

_PREFIX: Final = "quarantine-"
_NOTE: Final = "note.json"
_LOCK: Final = "lock"
_SPARE: Final = 64 * 2**20
"""Bytes that stay free beside what is restored."""


class QuarantineTooSmall(StorageError):
    """A disk that does not take what a drill restores."""


class NoServer(ConfigurationError):
    """A register needs a PostgreSQL server, and none was given or can be started."""


class DatabaseThere(TargetError):
    """A given server has a database of a register already: somebody else's."""


class QuarantineLeft(ExclaveError):
    """Something of a drill could not be removed, and can be read until it is."""


@dataclass(slots=True, kw_only=True)
class _Note:
    """What lies outside of the folder."""

    server: Mapping[str, Any] | None = None  # how to reach a given one
    databases: list[str]
    roles: list[str]
    data: str | None = None  # of a server of the drill's own
    runtime: str | None = None


class Quarantine:
    """One drill's place; made by `open_quarantine`."""

    def __init__(self, folder: Path, given: ServerTarget | None) -> None:
        self.folder = folder
        self._given = given
        self._own: PostgresServer | None = None
        self._needed = 0
        self._note = _Note(databases=[], roles=[])

    @property
    def registers(self) -> Path:
        """Where file trees and SQLite databases go."""
        return self.folder / "registers"

    def need(self, amount: int) -> None:
        """Raise `QuarantineTooSmall` unless so many bytes more, beside those before, will fit."""
        self._needed += amount
        free = shutil.disk_usage(self.folder).free
        if self._needed + _SPARE > free:
            raise QuarantineTooSmall(
                f"quarantine {self.folder}: expected {size(self._needed + _SPARE)} free, "
                f"got {size(free)}",
                hint="name a larger place with --quarantine",
            )

    def server(self, databases: Iterable[str]) -> PostgresConfig:
        """A server without these databases; starts one where none was given.

        Raises `NoServer`, or `DatabaseThere`.
        """
        if self._given is not None:
            return self._claim(_config(self._given), tuple(databases))
        if self._own is None:
            self._own = self._start()
        own = self._own
        return PostgresConfig(
            host=own.host, port=own.port, user=own.user, password_file=own.passfile,
            bin_dir=own.bin_dir,
        )  # fmt: skip

    def made_roles(self, before: Iterable[str], after: Iterable[str]) -> None:
        """Note roles that a restore made on a given server."""
        if self._given is not None:
            self._note.roles += sorted(set(after) - set(before) - set(self._note.roles))
            self._keep()

    def remove(self) -> None:
        """Remove everything; raises `QuarantineLeft`."""
        if self._own is not None:
            self._own.remove()
            self._note.data = self._note.runtime = None
        _remove(self.folder, self._note)

    def _claim(self, config: PostgresConfig, databases: tuple[str, ...]) -> PostgresConfig:
        from exclave.source.postgresql.connect import connect

        with contextlib.closing(connect(config, config.maintenance_database)) as session:
            there = set(databases) & names_on(session, "datname", "pg_database")
        mine = there - set(self._note.databases)
        if mine:
            raise DatabaseThere(
                f"server {config.host}: expected no database {sorted(mine)[0]}, got one",
                hint="a drill brings its own databases: give a server without them",
            )
        self._note.databases += [name for name in databases if name not in self._note.databases]
        self._note.server = {
            "host": config.host,
            "port": config.port,
            "user": config.user,
            "password_file": None if config.password_file is None else str(config.password_file),
        }
        self._keep()
        return config

    def _start(self) -> PostgresServer:
        from exclave.demo.postgres import available_majors, start_server

        majors = available_majors()
        if not majors:
            raise NoServer(
                "quarantine: expected a PostgreSQL server or its programs, got neither",
                hint="name one in --targets ([default.postgresql]), or install the programs",
            )
        data = self.folder / DATA
        self._note.data = str(data)
        self._keep()
        own = start_server(majors[-1], data)
        self._note.runtime = str(own.socket_dir.parent)
        self._keep()
        return own

    def _keep(self) -> None:
        note = self._note
        value = {name: getattr(note, name) for name in _Note.__slots__}
        replace_file(self.folder / _NOTE, [json.dumps(value).encode()], mode=0o600)


@contextmanager
def open_quarantine(place: Path, given: ServerTarget | None = None) -> Iterator[Quarantine]:
    """A new quarantine below `place`, after what killed drills left there was removed.

    It is removed at the end, however that comes. Raises `QuarantineLeft`.
    """
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in sorted(place.glob(f"{_PREFIX}*")):
        _remove_left(left)
    folder = place / f"{_PREFIX}{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    with _locked(folder) as held:
        assert held  # the name was drawn just now
        quarantine = Quarantine(folder, given)
        try:
            yield quarantine
        finally:
            quarantine.remove()


def _remove_left(folder: Path) -> None:
    with _locked(folder) as held:
        if held:
            _remove(folder, _read_note(folder / _NOTE))


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold a quarantine; False when somebody else does. The system lets go of a dead one's lock."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _read_note(path: Path) -> _Note:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return _Note(databases=[], roles=[])
    return _Note(**{name: value[name] for name in _Note.__slots__})


def _remove(folder: Path, note: _Note) -> None:
    """First what is outside, of which the note says, then the folder with the note."""
    if note.data is not None:
        _end_server(Path(note.data))
    if note.runtime is not None:
        shutil.rmtree(note.runtime, ignore_errors=True)
    for item in folder.iterdir():
        if item.name not in {_NOTE, _LOCK}:
            _remove_tree(item)
    if note.server is not None:
        _drop(note.server, note)
    _remove_tree(folder)


def _remove_tree(path: Path) -> None:
    """Remove a file or folder whose modes may be those of somebody's register."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    for parent, _, _ in os.walk(path):
        Path(parent).chmod(0o700)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise QuarantineLeft(
            f"{path}: expected to remove it, got: {error.strerror}",
            hint="remove it by hand: it may hold what was restored",
        ) from error


def _end_server(data: Path) -> None:
    """End a server of a killed drill, known by its data folder and nothing else."""
    actual = data.resolve()
    end_left_server(data.parent)
    if actual != data:
        shutil.rmtree(actual, ignore_errors=True)


def _drop(server: Mapping[str, Any], note: _Note) -> None:
    import psycopg

    from exclave.source.postgresql.connect import connect, identifier

    file = server["password_file"]
    config = PostgresConfig(**{**server, "password_file": None if file is None else Path(file)})
    try:
        with contextlib.closing(connect(config, config.maintenance_database)) as session:
            for name in note.databases:
                session.execute(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)".encode())
            for name in note.roles:
                session.execute(f"DROP ROLE IF EXISTS {identifier(name)}".encode())
    except (ExclaveError, psycopg.Error) as error:
        said = error.message if isinstance(error, ExclaveError) else str(error).split("\n", 1)[0]
        raise QuarantineLeft(
            f"server {config.host}: expected to drop {', '.join(note.databases)}, got: {said}",
            hint="the next drill in the same place tries again",
        ) from error


def names_on(session: Connection, column: str, catalogue: str) -> set[str]:
    """Names in a catalogue of the whole server."""
    rows = session.execute(
        f"SELECT {column} FROM pg_catalog.{catalogue}".encode()  # noqa: S608 - our own words
    ).fetchall()
    return {str(row[0]) for row in rows}


def _config(target: ServerTarget) -> PostgresConfig:
    return PostgresConfig(
        host=target.host,
        port=target.port,
        user=target.user,
        password_file=None if target.password_file is None else Path(target.password_file),
        bin_dir=None if target.bin_dir is None else Path(target.bin_dir),
        jobs=target.jobs,
    )
