"""The TOML files of two roles: the depositor's `deposit.toml`, the restorer's `targets.toml`.

Shapes only, plus paths made absolute: relative ones start at the file's own folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from exclave.config import load_toml
from exclave.ids import Seat
from exclave.plan import Duration, Size
from exclave.shapes import Between, Length, Matches, Parsed, Told, Unfit
from exclave.throttle import Limit, parse_hours
from exclave.values import dataclass, field, replace

__all__ = [
    "BagSettings",
    "DepositSettings",
    "FolderTarget",
    "QuarantineServerSettings",
    "QuarantineSettings",
    "ServerTarget",
    "TargetSettings",
    "load_deposit_settings",
    "load_target_settings",
]

_DAY = 86_400
_WEEK = 7 * _DAY
_PROOF_BYTES = 100 * 2**30
_PROOF_SECONDS = 12 * 3600
_ENDPOINT = r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):\d{1,5}"

Endpoint = Annotated[str, Matches(_ENDPOINT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SeatAddress:
    """A seat that is called at other addresses than the charter's."""

    seat: Annotated[int, Between(1, 255)]
    data: Endpoint
    public: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class _SeatFolder:
    """A seat whose vault lies in a folder at hand."""

    seat: Annotated[int, Between(1, 255)]
    folder: Annotated[str, Length(least=1)]


def _place_shape(value: object) -> type[object]:
    return _SeatFolder if isinstance(value, dict) and "folder" in value else _SeatAddress


_SeatPlace = Annotated[_SeatFolder | _SeatAddress, Told(_place_shape)]


def _weekdays(value: object) -> frozenset[int]:
    if not isinstance(value, str):
        raise ValueError('expected days such as "Mon..Fri"')
    # Few files limit anything, and zones of time cost every start.
    from exclave.calendar import parse_weekdays

    return parse_weekdays(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Throttle:
    """`[[throttle]]`: no more than this is sent to these seats at these hours."""

    seats: tuple[Annotated[int, Between(1, 255)], ...]
    limit_mbit: Annotated[int, Between(1, 100_000)]
    hours: Annotated[tuple[int, int], Parsed(parse_hours)] = (0, 24 * 60)
    days: Annotated[frozenset[int], Parsed(_weekdays)] = frozenset(range(7))

    def __post_init__(self) -> None:
        if not self.seats:
            raise Unfit({"seats": "expected at least one seat, got none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineServerSettings:
    """A PostgreSQL server for proofs alone, or the programs of which one is made for each."""

    host: str | None = None  # name, address or folder of the Unix socket; None: one is made
    port: Annotated[int, Between(1, 65535)] = 5432
    user: str | None = None
    password_file: str | None = None
    bin_dir: str | None = None
    jobs: Annotated[int, Between(1, 32)] = 2

    def __post_init__(self) -> None:
        if self.host is None and self.bin_dir is None:
            raise Unfit({"host": "expected a host, or bin_dir to make a server of, got neither"})
        if self.host is not None and self.user is None:
            raise Unfit({"user": "expected a user of that server, got none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quarantine:
    """`[quarantine]`."""

    path: Annotated[str, Length(least=1)]
    limit: Size = _PROOF_BYTES
    timeout: Duration = _PROOF_SECONDS
    postgresql: QuarantineServerSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineSettings:
    """Where proofs restore to, with absolute paths."""

    path: Path
    limit: int  # bytes that are kept for a proof while a deposit runs
    timeout: int  # seconds for all of a proof
    postgresql: QuarantineServerSettings | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bags:
    """`[bags]`."""

    papers: Annotated[str, Length(least=1)] = "state/papers"
    under_way: Annotated[Duration, Between(1)] = 14 * _DAY
    unlodged: Annotated[Duration, Between(1)] = 14 * _DAY
    unread: Annotated[Duration, Between(1)] = 365 * _DAY
    newest: Annotated[Duration, Between(1)] = 90 * _DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class BagSettings:
    """What is known of bags at home, and how many seconds they may be as they are."""

    papers: Path  # every paper that was read of a log, and those laid there
    under_way: int
    unlodged: int
    unread: int
    newest: int  # age of what a safe got last


@dataclass(frozen=True, slots=True, kw_only=True)
class _DepositFile:
    """All of `deposit.toml`."""

    depositor: str
    plan: str
    journal: str
    catalogue: str
    spool: str
    spool_limit: Size
    scratch: str
    evidence: str = "state/evidence"
    read_all_after: Duration = _WEEK
    window: Annotated[Duration, Between(1)] | None = None
    uplink_mbit: Annotated[int, Between(1, 1_000_000)] | None = None
    cards: str = "state/cards"
    bags: _Bags = _Bags()
    quarantine: _Quarantine | None = None
    seat: tuple[_SeatPlace, ...] = ()
    throttle: tuple[_Throttle, ...] = ()


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
    evidence: Path  # certificates of proofs and drills
    read_all_after: int  # seconds after which unchanged files are read again all the same
    window: int | None  # seconds that a deposit may take; None: no more than its registers' RPO
    uplink_mbit: int | None  # of all lines together, for forecasts
    cards: Path  # what holders of cards confirmed
    bags: BagSettings
    addresses: dict[Seat, tuple[str, str]]  # data and public, in place of the charter's
    folders: dict[Seat, Path]  # vaults that nobody serves: their rules run in this process
    limits: dict[Seat, tuple[Limit, ...]]  # on what is sent there
    quarantine: QuarantineSettings | None = None


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
        evidence=folder / parsed.evidence,
        read_all_after=parsed.read_all_after,
        window=parsed.window,
        uplink_mbit=parsed.uplink_mbit,
        cards=folder / parsed.cards,
        bags=BagSettings(
            papers=folder / parsed.bags.papers,
            under_way=parsed.bags.under_way,
            unlodged=parsed.bags.unlodged,
            unread=parsed.bags.unread,
            newest=parsed.bags.newest,
        ),
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
        limits=_limits(parsed.throttle),
        quarantine=_quarantine(parsed.quarantine, folder),
    )


def _quarantine(parsed: _Quarantine | None, folder: Path) -> QuarantineSettings | None:
    if parsed is None:
        return None
    server = parsed.postgresql
    if server is not None and server.password_file is not None:
        server = replace(server, password_file=str(folder / server.password_file))
    return QuarantineSettings(
        path=folder / parsed.path,
        limit=parsed.limit,
        timeout=parsed.timeout,
        postgresql=server,
    )


def _limits(throttles: tuple[_Throttle, ...]) -> dict[Seat, tuple[Limit, ...]]:
    found: dict[Seat, tuple[Limit, ...]] = {}
    for item in throttles:
        begin, end = item.hours
        limit = Limit(mbit=item.limit_mbit, days=item.days, begin=begin, end=end)
        for seat in map(Seat, item.seats):
            found[seat] = (*found.get(seat, ()), limit)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTarget:
    """A PostgreSQL server that takes whole databases."""

    kind: Literal["postgresql"]
    host: str  # name, address or folder of the Unix socket
    port: Annotated[int, Between(1, 65535)] = 5432
    user: str
    password_file: str | None = None
    bin_dir: str | None = None
    jobs: Annotated[int, Between(1, 32)] = 2

    @property
    def place(self) -> str:
        """What tells it from other places."""
        return f"{self.host} {self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderTarget:
    """A folder for file trees and SQLite databases."""

    kind: Literal["folder"]
    path: str

    @property
    def place(self) -> str:
        """What tells it from other places."""
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class _DefaultTargets:
    """Where registers go that are not named."""

    postgresql: ServerTarget | None = None
    folder: FolderTarget | None = None


Target = ServerTarget | FolderTarget


def _target_shape(value: object) -> Any:
    """A target for the whole register, or a table with one for each of its sources."""
    return Target if not isinstance(value, dict) or "kind" in value else dict[str, Target]


@dataclass(frozen=True, slots=True, kw_only=True)
class _TargetFile:
    """All of `targets.toml`."""

    default: _DefaultTargets = _DefaultTargets()
    register: dict[str, Annotated[Target | dict[str, Target], Told(_target_shape)]] = field(
        default_factory=dict
    )
    seat: tuple[_SeatFolder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """`targets.toml` with absolute paths."""

    path: Path
    default_server: ServerTarget | None
    default_folder: FolderTarget | None
    registers: dict[str, Target]  # by id
    sources: dict[tuple[str, str], Target] = field(default_factory=dict)  # by id and source
    folders: dict[Seat, Path] = field(default_factory=dict)  # seats whose vaults nobody serves


def load_target_settings(path: Path) -> TargetSettings:
    """Read `targets.toml`; raises `ConfigurationError` with every error found."""
    parsed = load_toml(path, _TargetFile)
    folder = path.parent.resolve()

    def absolute(target: Target) -> Target:
        if isinstance(target, FolderTarget):
            return replace(target, path=str(folder / target.path))
        if target.password_file is None:
            return target
        return replace(target, password_file=str(folder / target.password_file))

    server, place = parsed.default.postgresql, parsed.default.folder
    absolute_server = None if server is None else absolute(server)
    absolute_place = None if place is None else absolute(place)
    assert not isinstance(absolute_server, FolderTarget)
    assert not isinstance(absolute_place, ServerTarget)
    return TargetSettings(
        path=path,
        default_server=absolute_server,
        default_folder=absolute_place,
        registers={
            name: absolute(target)
            for name, target in parsed.register.items()
            if not isinstance(target, dict)
        },
        sources={
            (name, source): absolute(target)
            for name, targets in parsed.register.items()
            if isinstance(targets, dict)
            for source, target in targets.items()
        },
        folders={Seat(item.seat): folder / item.folder for item in parsed.seat},
    )
