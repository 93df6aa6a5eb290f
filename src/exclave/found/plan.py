"""`founding.toml`: what the founders decide.

Nothing of weight has a default: who may do what, how long it waits and who holds cards is written
out (examples/founding.toml explains each line). Paths are relative to the plan's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from exclave.config import load_toml
from exclave.plan import parse_duration

__all__ = [
    "Bytes",
    "Days",
    "DepositorPlan",
    "Duration",
    "ExternalWitnessPlan",
    "FoundingPlan",
    "GroupPlan",
    "Line",
    "OfficialPlan",
    "RecoveryPlan",
    "RolePlan",
    "SeatPlan",
    "Slug",
    "StateCode",
    "load_founding_plan",
]

_SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
_STATE = r"^[A-Z]{2}$"
Duration = Annotated[int, BeforeValidator(parse_duration)]
Slug = Annotated[str, Field(pattern=_SLUG)]
StateCode = Annotated[str, Field(pattern=_STATE)]
Line = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]
Bytes = Annotated[int, Field(ge=0, le=2**53 - 1)]
Days = Annotated[int, Field(ge=1, le=36500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StatePlan(_Strict):
    """The sending state."""

    code: StateCode
    name: Line


class DispersalPlan(_Strict):
    """k seats rebuild; a deposit counts once h hold it. n is the number of seats."""

    k: Annotated[int, Field(ge=1, le=255)]
    h: Annotated[int, Field(ge=1, le=255)]


class SeatPlan(_Strict):
    """A seat and the vault's seat request."""

    seat: Annotated[int, Field(ge=1, le=255)]
    request: str
    type: Literal["vault", "safe"] = "vault"


class GroupPlan(_Strict):
    """A share group; `holders` are officials' labels, one a member, for sealed cards."""

    name: Line
    place: Literal["home", "abroad"]
    state: StateCode
    threshold: Annotated[int, Field(ge=1, le=16)]
    members: Annotated[int, Field(ge=1, le=16)]
    holders: list[Slug] = []


class RecoveryPlan(_Strict):
    """How the recovery key is shared."""

    group_threshold: Annotated[int, Field(ge=1, le=16)]
    group: Annotated[list[GroupPlan], Field(min_length=1, max_length=16)]


class OfficialPlan(_Strict):
    """An official: `label` is used in this file only, `keys` is his public key file."""

    label: Slug
    keys: str
    place: Literal["home", "abroad"]
    institution: Slug
    name: Line
    contact: Line


class RolePlan(_Strict):
    """A roster: labels of officials."""

    threshold: Annotated[int, Field(ge=1, le=255)]
    members: Annotated[list[Slug], Field(min_length=1)]
    delay: Duration
    veto_window: Duration


class RostersPlan(_Strict):
    """All rosters."""

    govern: RolePlan
    read: RolePlan
    alarm: RolePlan
    release: RolePlan
    override: RolePlan
    exile_1: RolePlan
    exile_2: RolePlan


class DelaysPlan(_Strict):
    """Delays of no role."""

    dark_factor: Annotated[int, Field(ge=3, le=1000)]
    exile_change: Duration
    warrant_life: Duration


class ExternalWitnessPlan(_Strict):
    """A witness that is no seat: its typed key."""

    name: Line
    alg: Literal["ed25519", "ml-dsa-44"]
    key: str  # Base64


class WitnessPlan(_Strict):
    """How many witnesses may lie, and how many make a quorum."""

    f: Annotated[int, Field(ge=0, le=255)]
    q: Annotated[int, Field(ge=1, le=255)]
    freshness: Duration
    external: list[ExternalWitnessPlan] = []


class DepositorPlan(_Strict):
    """A machine that may lodge deposits."""

    id: Slug
    daily_bytes: Bytes
    total_bytes: Bytes
    reserve: bool


class QuotasPlan(_Strict):
    """Bytes kept apart."""

    reserve: Bytes
    staging: Bytes
    staging_days: Days


class FoundingPlan(_Strict):
    """All of `founding.toml`."""

    notice: Line
    advisory_expiry_days: Days
    retention_days: Days
    drill_interval_days: Days
    drill_cards_days: Days
    whole_deposit_bags: bool
    agreements_required: bool
    reader: Line  # where reader and specification lie: printed on every card
    state: StatePlan
    dispersal: DispersalPlan
    recovery: RecoveryPlan
    rosters: RostersPlan
    delays: DelaysPlan
    witness: WitnessPlan
    quotas: QuotasPlan
    seat: Annotated[list[SeatPlan], Field(min_length=1)]
    official: Annotated[list[OfficialPlan], Field(min_length=1)]
    depositor: Annotated[list[DepositorPlan], Field(min_length=1)]


def load_founding_plan(path: Path) -> FoundingPlan:
    """Read a plan; raises `ConfigurationError` with every error found."""
    return load_toml(path, FoundingPlan)
