"""What a host's operator reads of a mission: why its records wait, and what was agreed."""

from __future__ import annotations

from dataclasses import replace

from exclave.cli.vault import _status_json, _status_lines
from exclave.engine.memory import MemoryEngine
from exclave.ids import DepositId, StatementHash
from exclave.vault.interface import RecordState, State
from exclave.vault.mission.submission import submit
from tests.support.agreements import agreement, signed
from tests.support.serving import open_mission
from tests.support.vault_world import new_world

ENDED = "agreement 5000dd4e1a5f0827: terminated, and its notice has run"


def record(number: int, reason: str | None) -> RecordState:
    return RecordState(
        statement=StatementHash(bytes([number]) * 32),
        deposit=DepositId(bytes([number]) * 16),
        depositor="home",
        sequence=number,
        state=State.LODGED if reason is None else State.PENDING,
        logged="2026-03-01T00:00:00Z",
        reason=reason,
    )


def test_why_records_wait_and_what_was_agreed() -> None:
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    before = mission.status()
    assert not [line for line in _status_lines(before) if "agreed:" in line or "pending" in line]
    submit(mission, signed(world, agreement(world, capacity=3 * 2**30)))
    status = replace(
        mission.status(), records=(record(1, None), record(2, ENDED), record(3, ENDED))
    )
    mission.close()
    lines = _status_lines(status)
    assert f"  pending, 2: {ENDED}" in lines
    assert "  agreed: 3.0 GiB of shards at this seat" in lines
    said = _status_json(status)
    assert said["pending"] == {ENDED: 2}
    assert said["capacity_bytes"] == 3 * 2**30
