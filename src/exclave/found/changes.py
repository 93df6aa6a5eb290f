"""`changes.toml`: what a next charter changes against the one in force.

What is not named stays as it is (examples/changes.toml explains each line). Shapes only; whether it
fits the charter is `exclave.found.amend`'s. Paths are relative to the file's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from exclave.authority.charter_parts import RoleName
from exclave.config import Places, load_toml, read_places
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

Person = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""An official: a label of this file, or the id that stands in the charter (`p-...`)."""
PersonIdText = Annotated[str, Field(pattern=r"^p-[0-9a-f]{16}$")]
SeatNumber = Annotated[int, Field(ge=1, le=255)]
Small = Annotated[int, Field(ge=0, le=255)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DispersalChange(_Strict):
    """All three, since they are chosen together."""

    k: Annotated[int, Field(ge=1, le=255)]
    h: Annotated[int, Field(ge=1, le=255)]
    n: Annotated[int, Field(ge=1, le=255)]


class SeatNamed(_Strict):
    """A seat and its vault's request."""

    seat: SeatNumber
    request: str
    type: Literal["vault", "safe"] = "vault"


class SeatRetired(_Strict):
    """A seat that is given up; its number is never used again."""

    seat: SeatNumber


class SeatChanges(_Strict):
    """`[[seat.add]]`, `[[seat.update]]`, `[[seat.retire]]`."""

    add: list[SeatNamed] = []
    update: list[SeatNamed] = []  # the same vault with other addresses or certificates
    retire: list[SeatRetired] = []


class OfficialRekeyed(_Strict):
    """The same person with other keys; `keep_old` leaves the former ones valid beside them."""

    official: Person
    keys: str
    keep_old: bool = False


class OfficialMoved(_Strict):
    """The same person in another place."""

    official: Person
    place: Literal["home", "abroad"]
    institution: Slug


class OfficialRenamed(_Strict):
    """The same person under another name or contact."""

    official: Person
    name: Line
    contact: Line


class OfficialRemoved(_Strict):
    """A person who leaves; he leaves every roster with it."""

    official: Person


class OfficialChanges(_Strict):
    """`[[official.add]]` and so on."""

    add: list[OfficialPlan] = []
    replace_keys: list[OfficialRekeyed] = []
    move: list[OfficialMoved] = []
    rename: list[OfficialRenamed] = []
    remove: list[OfficialRemoved] = []


class RoleChange(_Strict):
    """A roster: what is named is changed. `members` is the whole list, `add`, `remove` parts."""

    threshold: Annotated[int, Field(ge=1, le=255)] | None = None
    members: Annotated[list[Person], Field(min_length=1)] | None = None
    add: list[Person] = []
    remove: list[Person] = []
    delay: Duration | None = None
    veto_window: Duration | None = None


class RosterChanges(_Strict):
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


class DelayChanges(_Strict):
    """Delays of no role."""

    dark_factor: Annotated[int, Field(ge=3, le=1000)] | None = None
    exile_change: Duration | None = None
    warrant_life: Duration | None = None


class WitnessChanges(_Strict):
    """`external` is the whole list."""

    f: Small | None = None
    q: Annotated[int, Field(ge=1, le=255)] | None = None
    freshness: Duration | None = None
    external: list[ExternalWitnessPlan] | None = None


class QuotaChanges(_Strict):
    """Bytes kept apart."""

    reserve: Bytes | None = None
    staging: Bytes | None = None
    staging_days: Days | None = None


class DepositorAdded(_Strict):
    """A machine that begins to deposit: what `exclave depositor init` made there."""

    request: str
    daily_bytes: Bytes
    total_bytes: Bytes
    reserve: bool


class DepositorRekeyed(_Strict):
    """The same depositor with other keys: after a theft, or on a new machine."""

    request: str


class DepositorQuota(_Strict):
    """Other quotas; what is not named stays."""

    id: Slug
    daily_bytes: Bytes | None = None
    total_bytes: Bytes | None = None
    reserve: bool | None = None


class DepositorRemoved(_Strict):
    """A depositor that ends; what it lodged stays."""

    id: Slug


class DepositorChanges(_Strict):
    """`[[depositor.add]]` and so on."""

    add: list[DepositorAdded] = []
    replace_keys: list[DepositorRekeyed] = []
    quota: list[DepositorQuota] = []
    remove: list[DepositorRemoved] = []


class RecoveryChange(RecoveryPlan):
    """A new epoch: a new key with new cards. `keys` are public key files of holders, by label."""

    epoch: Annotated[int, Field(ge=2, le=2**32 - 1)]
    reader: Line
    same_key: bool = False
    keys: Annotated[dict[Person, str], Field(default_factory=dict)]


class Changes(_Strict):
    """All of `changes.toml`."""

    mission: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    after: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}\.[1-9][0-9]{0,8}$")]
    notice: Line | None = None
    advisory_expiry_days: Days | None = None
    retention_days: Days | None = None
    drill_interval_days: Days | None = None
    drill_cards_days: Days | None = None
    whole_deposit_bags: bool | None = None
    agreements_required: bool | None = None
    labels: dict[Person, PersonIdText] = {}
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
