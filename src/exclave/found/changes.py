"""`changes.toml`: what a next charter changes against the one in force.

What is not named stays as it is (examples/changes.toml explains each line). Shapes only; whether it
fits the charter is `exclave.found.amend`'s. Paths are relative to the file's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from exclave.authority.charter_parts import RoleName
from exclave.config import load_toml
from exclave.found.plan import (
    Bytes,
    Days,
    Duration,
    ExternalWitnessPlan,
    Line,
    OfficialPlan,
    RecoveryPlan,
    Slug,
)
from exclave.shapes import Between, Length, Matches
from exclave.toml_lines import Places, read_places
from exclave.values import dataclass, field

__all__ = [
    "Changes",
    "DepositorAdded",
    "DepositorQuota",
    "DepositorRekeyed",
    "OfficialMoved",
    "OfficialRekeyed",
    "OfficialRenamed",
    "RecoveryChange",
    "RoleChange",
    "SeatNamed",
    "load_changes",
]

Person = Annotated[str, Matches(r"[a-z0-9][a-z0-9-]{0,62}")]
"""An official: a label of this file, or the id that stands in the charter (`p-...`)."""
PersonIdText = Annotated[str, Matches(r"p-[0-9a-f]{16}")]
SeatNumber = Annotated[int, Between(1, 255)]
Small = Annotated[int, Between(0, 255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DispersalChange:
    """All three, since they are chosen together."""

    k: Annotated[int, Between(1, 255)]
    h: Annotated[int, Between(1, 255)]
    n: Annotated[int, Between(1, 255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatNamed:
    """A seat and its vault's request."""

    seat: SeatNumber
    request: str
    type: Literal["vault", "safe"] = "vault"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatRetired:
    """A seat that is given up; its number is never used again."""

    seat: SeatNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatChanges:
    """`[[seat.add]]`, `[[seat.update]]`, `[[seat.retire]]`."""

    add: tuple[SeatNamed, ...] = ()
    update: tuple[SeatNamed, ...] = ()  # the same vault with other addresses or certificates
    retire: tuple[SeatRetired, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialRekeyed:
    """The same person with other keys; `keep_old` leaves the former ones valid beside them."""

    official: Person
    keys: str
    keep_old: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialMoved:
    """The same person in another place."""

    official: Person
    place: Literal["home", "abroad"]
    institution: Slug


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialRenamed:
    """The same person under another name or contact."""

    official: Person
    name: Line
    contact: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialRemoved:
    """A person who leaves; he leaves every roster with it."""

    official: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialChanges:
    """`[[official.add]]` and so on."""

    add: tuple[OfficialPlan, ...] = ()
    replace_keys: tuple[OfficialRekeyed, ...] = ()
    move: tuple[OfficialMoved, ...] = ()
    rename: tuple[OfficialRenamed, ...] = ()
    remove: tuple[OfficialRemoved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChange:
    """A roster: what is named is changed. `members` is the whole list, `add`, `remove` parts."""

    threshold: Annotated[int, Between(1, 255)] | None = None
    members: Annotated[tuple[Person, ...], Length(least=1)] | None = None
    add: tuple[Person, ...] = ()
    remove: tuple[Person, ...] = ()
    delay: Duration | None = None
    veto_window: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterChanges:
    """Any of the rosters."""

    govern: RoleChange | None = None
    read: RoleChange | None = None
    alarm: RoleChange | None = None
    release: RoleChange | None = None
    override: RoleChange | None = None
    exile_1: RoleChange | None = None
    exile_2: RoleChange | None = None

    def by_role(self) -> dict[RoleName, RoleChange]:
        """Those that are named."""
        every = {
            RoleName.GOVERN: self.govern,
            RoleName.READ: self.read,
            RoleName.ALARM: self.alarm,
            RoleName.RELEASE: self.release,
            RoleName.OVERRIDE: self.override,
            RoleName.EXILE_1: self.exile_1,
            RoleName.EXILE_2: self.exile_2,
        }
        return {name: change for name, change in every.items() if change is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayChanges:
    """Delays of no role."""

    dark_factor: Annotated[int, Between(3, 1000)] | None = None
    exile_change: Duration | None = None
    warrant_life: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessChanges:
    """`external` is the whole list."""

    f: Small | None = None
    q: Annotated[int, Between(1, 255)] | None = None
    freshness: Duration | None = None
    external: tuple[ExternalWitnessPlan, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaChanges:
    """Bytes kept apart."""

    reserve: Bytes | None = None
    staging: Bytes | None = None
    staging_days: Days | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorAdded:
    """A machine that begins to deposit: what `exclave depositor init` made there."""

    request: str
    daily_bytes: Bytes
    total_bytes: Bytes
    reserve: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorRekeyed:
    """The same depositor with other keys: after a theft, or on a new machine."""

    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorQuota:
    """Other quotas; what is not named stays."""

    id: Slug
    daily_bytes: Bytes | None = None
    total_bytes: Bytes | None = None
    reserve: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorRemoved:
    """A depositor that ends; what it lodged stays."""

    id: Slug


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorChanges:
    """`[[depositor.add]]` and so on."""

    add: tuple[DepositorAdded, ...] = ()
    replace_keys: tuple[DepositorRekeyed, ...] = ()
    quota: tuple[DepositorQuota, ...] = ()
    remove: tuple[DepositorRemoved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryChange(RecoveryPlan):
    """A new epoch: a new key with new cards. `keys` are public key files of holders, by label."""

    epoch: Annotated[int, Between(2, 2**32 - 1)]
    reader: Line
    same_key: bool = False
    keys: dict[Person, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All of `changes.toml`."""

    mission: Annotated[str, Matches(r"[0-9a-f]{64}")]
    after: Annotated[str, Matches(r"[1-9][0-9]{0,8}\.[1-9][0-9]{0,8}")]
    notice: Line | None = None
    advisory_expiry_days: Days | None = None
    retention_days: Days | None = None
    drill_interval_days: Days | None = None
    drill_cards_days: Days | None = None
    whole_deposit_bags: bool | None = None
    agreements_required: bool | None = None
    labels: dict[Person, PersonIdText] = field(default_factory=dict)
    dispersal: DispersalChange | None = None
    seat: SeatChanges = SeatChanges()
    official: OfficialChanges = OfficialChanges()
    rosters: RosterChanges = RosterChanges()
    delays: DelayChanges = DelayChanges()
    witness: WitnessChanges = WitnessChanges()
    quotas: QuotaChanges = QuotaChanges()
    depositor: DepositorChanges = DepositorChanges()
    recovery: RecoveryChange | None = None


def load_changes(path: Path) -> tuple[Changes, Places]:
    """Read a file of changes; raises `ConfigurationError` with every error found."""
    return load_toml(path, Changes), read_places(path)
