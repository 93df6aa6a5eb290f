"""`founding.toml`: what the founders decide.

Nothing of weight has a default: who may do what, how long it waits and who holds cards is written
out (examples/founding.toml explains each line). Paths are relative to the plan's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from exclave.config import load_toml
from exclave.plan import parse_duration
from exclave.shapes import Between, Length, Matches, Parsed
from exclave.values import dataclass

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

_SLUG = r"[a-z0-9][a-z0-9-]{0,62}"
_STATE = r"[A-Z]{2}"
Duration = Annotated[int, Parsed(parse_duration)]
Slug = Annotated[str, Matches(_SLUG)]
StateCode = Annotated[str, Matches(_STATE)]
Line = Annotated[str, Length(most=1024), Matches(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*")]
Bytes = Annotated[int, Between(0, 2**53 - 1)]
Days = Annotated[int, Between(1, 36500)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlan:
    """The sending state."""

    code: StateCode
    name: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class DispersalPlan:
    """k seats rebuild; a deposit counts once h hold it. n is the number of seats."""

    k: Annotated[int, Between(1, 255)]
    h: Annotated[int, Between(1, 255)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatPlan:
    """A seat and the vault's seat request."""

    seat: Annotated[int, Between(1, 255)]
    request: str
    type: Literal["vault", "safe"] = "vault"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlan:
    """A share group; `holders` are officials' labels, one a member, for sealed cards."""

    name: Line
    place: Literal["home", "abroad"]
    state: StateCode
    threshold: Annotated[int, Between(1, 16)]
    members: Annotated[int, Between(1, 16)]
    holders: tuple[Slug, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryPlan:
    """How the recovery key is shared."""

    group_threshold: Annotated[int, Between(1, 16)]
    group: Annotated[tuple[GroupPlan, ...], Length(1, 16)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialPlan:
    """An official: `label` is used in this file only, `keys` is his public key file."""

    label: Slug
    keys: str
    place: Literal["home", "abroad"]
    institution: Slug
    name: Line
    contact: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePlan:
    """A roster: labels of officials."""

    threshold: Annotated[int, Between(1, 255)]
    members: Annotated[tuple[Slug, ...], Length(least=1)]
    delay: Duration
    veto_window: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class RostersPlan:
    """All rosters."""

    govern: RolePlan
    read: RolePlan
    alarm: RolePlan
    release: RolePlan
    override: RolePlan
    exile_1: RolePlan
    exile_2: RolePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class DelaysPlan:
    """Delays of no role."""

    dark_factor: Annotated[int, Between(3, 1000)]
    exile_change: Duration
    warrant_life: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalWitnessPlan:
    """A witness that is no seat: its typed key."""

    name: Line
    alg: Literal["ed25519", "ml-dsa-44"]
    key: str  # Base64


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPlan:
    """How many witnesses may lie, and how many make a quorum."""

    f: Annotated[int, Between(0, 255)]
    q: Annotated[int, Between(1, 255)]
    freshness: Duration
    external: tuple[ExternalWitnessPlan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositorPlan:
    """A machine that may lodge deposits."""

    id: Slug
    daily_bytes: Bytes
    total_bytes: Bytes
    reserve: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotasPlan:
    """Bytes kept apart."""

    reserve: Bytes
    staging: Bytes
    staging_days: Days


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundingPlan:
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
    seat: Annotated[tuple[SeatPlan, ...], Length(least=1)]
    official: Annotated[tuple[OfficialPlan, ...], Length(least=1)]
    depositor: Annotated[tuple[DepositorPlan, ...], Length(least=1)]


def load_founding_plan(path: Path) -> FoundingPlan:
    """Read a plan; raises `ConfigurationError` with every error found."""
    return load_toml(path, FoundingPlan)
