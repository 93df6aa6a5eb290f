"""A mission as its status shows it: everything that stands at this vault, for whoever asks.

Looks and decides nothing; the caller holds the mission's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exclave.authority.agreement import Agreement
from exclave.authority.charter import Charter
from exclave.authority.envelope import Kind
from exclave.authority.warrant import Warrant
from exclave.clock import format_time
from exclave.standing.agreed import ends, in_effect
from exclave.standing.machine import due
from exclave.standing.phases import Phase
from exclave.standing.values import Item, Standing
from exclave.values import replace
from exclave.vault.interface import MissionStatus, StandingState, State, WarrantState

if TYPE_CHECKING:
    from exclave.vault.mission.mission import Mission

__all__ = ["mission_status", "statement_state"]


def mission_status(mission: Mission) -> MissionStatus:
    """All of spec/vault-http.md 4."""
    standing = mission.standing()
    charter = standing.charter
    count, total = mission.index.shard_totals()
    records = mission.index.records()
    quota = sum(item.total_bytes for item in charter.depositors)
    capacity = _capacity(mission, standing)
    return MissionStatus(
        mission=mission.mission,
        seat=mission.seat,
        state=charter.seat(mission.seat).state,
        charter=charter.statement_hash,
        charters=len(mission.fold.chain.charters),
        locked=standing.locked,
        frozen=standing.frozen_era is not None,
        log_size=mission.log.size,
        shards=count,
        shard_bytes=total,
        staged_bytes=mission.staging.total,
        quota_bytes=quota,
        free_bytes=_room(mission, quota if capacity is None else min(quota, capacity), total),
        capacity_bytes=capacity,
        records=tuple(replace(row.listed(), reason=mission.pending_reason(row)) for row in records),
        warrants=_warrants(mission, standing),
        standing=_standing(mission, standing),
        conflicts=tuple(item.second for item in standing.conflicts),
        forks=tuple(row.statement for row in records if row.forked),
        quarantined=mission.index.quarantined(),
        alarms=mission.alarms.states(),
        witnessed=_witnessed(mission),
        expiry=format_time(mission.expiry_time()),
        service=mission.service.now(),
    )


def _capacity(mission: Mission, standing: Standing) -> int | None:
    """Bytes that were agreed on for this seat, as long as more may come under that agreement."""
    item = in_effect(standing, mission.seat)
    if item is None or not isinstance(item.value, Agreement):
        return None
    end = ends(standing, item)
    return None if end is not None and standing.now >= end else item.value.capacity


def _room(mission: Mission, granted: int, stored: int) -> int:
    """What the mission may still store. Never more than it was granted: what the disk has beside
    that would say how much other guests bring.
    """
    return max(0, min(mission.store.free_bytes(), granted - stored))


def _witnessed(mission: Mission) -> str | None:
    """The oldest timestamp of the newest quorum, this seat's own being now."""
    q = mission.charter().witness.q
    times = sorted(mission.witness_times().values(), reverse=True)
    return format_time(times[q - 1]) if len(times) >= q else None


def statement_state(mission: Mission, standing: Standing, item: Item) -> tuple[State, int | None]:
    """Where a loosening statement stands, and seconds until it takes effect as things are."""
    if isinstance(item.value, Warrant):
        live = item.pending or item.phase in {Phase.INCOMPLETE, Phase.EFFECTIVE}
        if live and mission.expiry_time() >= item.value.expires:
            return State.EXPIRED, None
        if item.phase is Phase.EFFECTIVE:
            return State.RELEASED, None
    at = due(standing, item) if item.pending else None
    seconds = None if at is None else max(0, -(-(at - standing.now) // 1000))
    return State(item.phase.value), seconds


def _warrants(mission: Mission, standing: Standing) -> tuple[WarrantState, ...]:
    warrants = [item for item in standing.items.values() if isinstance(item.value, Warrant)]
    return tuple(
        WarrantState(statement=item.statement, state=state, seconds=seconds)
        for item in sorted(warrants, key=lambda item: item.statement)
        for state, seconds in [statement_state(mission, standing, item)]
    )


def _standing(mission: Mission, standing: Standing) -> tuple[StandingState, ...]:
    """Charters after the first and orders, in the order of the log."""
    listed = {
        order.number: StandingState(
            statement=order.statement, kind=order.value.kind.value, state=State.LOGGED
        )
        for order in standing.tightened.values()
    }
    for item in standing.items.values():
        if not isinstance(item.value, Warrant) and item.number:
            kind = Kind.CHARTER if isinstance(item.value, Charter) else item.value.kind
            state, seconds = statement_state(mission, standing, item)
            listed[item.number] = StandingState(
                statement=item.statement, kind=kind.value, state=state, seconds=seconds
            )
    return tuple(state for _, state in sorted(listed.items(), key=lambda pair: pair[0]))
