"""The TOML files of two roles: the depositor's `deposit.toml`, the restorer's `targets.toml`.

Shapes only, plus paths made absolute: relative ones start at the file's own folder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from exclave.config import load_toml
from exclave.ids import Seat
from exclave.plan import Duration

__all__ = [
    "DepositSettings",
    "FolderTarget",
    "ServerTarget",
    "TargetSettings",
    "load_deposit_settings",
    "load_target_settings",
    "parse_size",
]

_WEEK = 7 * 86_400
_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"([0-9]+) ?(KiB|MiB|GiB|TiB)")
_ENDPOINT = r"^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):\d{1,5}$"


def parse_size(value: object) -> int:
    """`"20GiB"`, `"500MiB"` as bytes."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a size such as "500MiB" or "20GiB"')
    return int(match[1]) * _UNITS[match[2]]


Size = Annotated[int, BeforeValidator(parse_size)]
Endpoint = Annotated[str, Field(pattern=_ENDPOINT)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _SeatAddress(_Model):
    seat: Annotated[int, Field(ge=1, le=255)]
    data: Endpoint
    public: Endpoint


class _SeatFolder(_Model):
    seat: Annotated[int, Field(ge=1, le=255)]
    folder: Annotated[str, Field(min_length=1)]


def _place_kind(value: object) -> str:
    return "in-folder" if isinstance(value, dict) and "folder" in value else "on-line"


_SeatPlace = Annotated[
    Annotated[_SeatFolder, Tag("in-folder")] | Annotated[_SeatAddress, Tag("on-line")],
    Discriminator(_place_kind),
]


class _DepositFile(_Model):
    depositor: str
    plan: str
    journal: str
    catalogue: str
    spool: str
    spool_limit: Size
    scratch: str
    read_all_after: Duration = _WEEK
    seat: list[_SeatPlace] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositSettings:
    """`deposit.toml` with absolute paths."""

    path: Path
    depositor: Path
    plan: Path
    journal: Path
    catalogue: Path
    spool: Path
    spool_limit: int  # bytes
    scratch: Path
    read_all_after: int  # seconds after which unchanged files are read again all the same
    addresses: dict[Seat, tuple[str, str]]  # data and public, in place of the charter's
    folders: dict[Seat, Path]  # vaults that nobody serves: their rules run in this process


def load_deposit_settings(path: Path) -> DepositSettings:
    """Read `deposit.toml`; raises `ConfigurationError` with every error found."""
    parsed = load_toml(path, _DepositFile)
    folder = path.parent.resolve()
    return DepositSettings(
        path=path,
        depositor=folder / parsed.depositor,
        plan=folder / parsed.plan,
        journal=folder / parsed.journal,
        catalogue=folder / parsed.catalogue,
        spool=folder / parsed.spool,
        spool_limit=parsed.spool_limit,
        scratch=folder / parsed.scratch,
        read_all_after=parsed.read_all_after,
        addresses={
            Seat(item.seat): (item.data, item.public)
            for item in parsed.seat
            if isinstance(item, _SeatAddress)
        },
        folders={
            Seat(item.seat): folder / item.folder
            for item in parsed.seat
            if isinstance(item, _SeatFolder)
        },
    )


class ServerTarget(_Model):
    """A PostgreSQL server that takes whole databases."""

    kind: Literal["postgresql"]
    host: str  # name, address or folder of the Unix socket
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    user: str
    password_file: str | None = None
    bin_dir: str | None = None
    jobs: Annotated[int, Field(ge=1, le=32)] = 2


class FolderTarget(_Model):
    """A folder for file trees and SQLite databases."""

    kind: Literal["folder"]
    path: str


class _DefaultTargets(_Model):
    postgresql: ServerTarget | None = None
    folder: FolderTarget | None = None


Target = Annotated[ServerTarget | FolderTarget, Field(discriminator="kind")]


class _TargetFile(_Model):
    default: _DefaultTargets = _DefaultTargets()
    # Not `register`: pydantic's models have that as a class method, and warn.
    registers: Annotated[dict[str, Target], Field(alias="register")] = {}
    seat: list[_SeatFolder] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """`targets.toml` with absolute paths."""

    path: Path
    default_server: ServerTarget | None
    default_folder: FolderTarget | None
    registers: dict[str, ServerTarget | FolderTarget]
    folders: dict[Seat, Path] = field(default_factory=dict)  # seats whose vaults nobody serves


def load_target_settings(path: Path) -> TargetSettings:
    """Read `targets.toml`; raises `ConfigurationError` with every error found."""
    parsed = load_toml(path, _TargetFile)
    folder = path.parent.resolve()

    def absolute(target: ServerTarget | FolderTarget) -> ServerTarget | FolderTarget:
        if isinstance(target, FolderTarget):
            return target.model_copy(update={"path": str(folder / target.path)})
        if target.password_file is None:
            return target
        return target.model_copy(update={"password_file": str(folder / target.password_file)})

    server, place = parsed.default.postgresql, parsed.default.folder
    absolute_server = None if server is None else absolute(server)
    absolute_place = None if place is None else absolute(place)
    assert not isinstance(absolute_server, FolderTarget)
    assert not isinstance(absolute_place, ServerTarget)
    return TargetSettings(
        path=path,
        default_server=absolute_server,
        default_folder=absolute_place,
        registers={name: absolute(target) for name, target in parsed.registers.items()},
        folders={Seat(item.seat): folder / item.folder for item in parsed.seat},
    )
