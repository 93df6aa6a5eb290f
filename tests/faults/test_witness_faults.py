"""Each write of a witness and of a round of cosigning fails, in each way.

A round writes the witness's state of its own log, `log/cosigned`, and what an append writes. Before
each run one of these is told to fail; the caller repeats, or the power is cut first. Whatever
failed: nothing was cosigned that is not remembered, and the round ends as if nothing had happened.
"""

from __future__ import annotations

import itertools

import pytest

from exclave.engine.memory import Fault, MemoryEngine
from exclave.errors import StorageError
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, origin_for, sign_checkpoint
from exclave.ledger.note import NoteSigner
from exclave.ledger.witness import AddCheckpoint, Answer
from exclave.vault.mission.cosigning import head_of, request_for, witness_checkpoint
from tests.support.serving import open_mission
from tests.support.vault_world import SEATS, new_world, witnessed

FAULTS = (Fault.LOST, Fault.PERSISTED, Fault.UNSYNCED, Fault.NO_SPACE)
WORLD = new_world()
LOG = open_mission(WORLD, MemoryEngine(), seat=SEATS[1])


def writes_to_open() -> int:
    engine = MemoryEngine()
    open_mission(WORLD, engine)
    return engine.writes


def writes_of_a_round() -> int:
    engine = MemoryEngine()
    mission = open_mission(WORLD, engine)
    opened = engine.writes
    witnessed(WORLD, mission)
    return engine.writes - opened


OPENED, COUNT = writes_to_open(), writes_of_a_round()


def forked(seat: Seat) -> bytes:
    log, name = WORLD.vaults[seat].log, origin_for(WORLD.mission, seat)
    signer = NoteSigner(name=name, public_key=log.public.raw, sign=log.sign)
    note = sign_checkpoint(Checkpoint(origin=name, size=1, root=bytes(32)), signer)
    return AddCheckpoint(old=1, proof=(), note=note).encode()


def test_a_round_writes_often_enough_to_mean_something() -> None:
    assert COUNT >= 6  # witness state, log/cosigned; body, bundle, tile and checkpoint of an entry


@pytest.mark.parametrize("power_cut", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_kept_is_not_cosigned(fault: Fault, power_cut: bool) -> None:
    engine = MemoryEngine(faults={OPENED + 1: fault})
    witness = open_mission(WORLD, engine)
    request = request_for(LOG, head_of(LOG), 0)
    with pytest.raises(StorageError):
        witness_checkpoint(witness, request)
    if power_cut:
        engine.crash()
        witness = open_mission(WORLD, engine)
    # Whichever it was: asked from where it stands, it cosigns this log and no other one.
    found = witness_checkpoint(witness, request)
    if found.decision.kept is not None:
        found = witness_checkpoint(witness, request_for(LOG, head_of(LOG), found.decision.kept))
    assert found.decision.answer is Answer.COSIGNED
    engine.crash()
    witness = open_mission(WORLD, engine)
    fork = witness_checkpoint(witness, forked(SEATS[1]))
    assert fork.decision.answer is Answer.INCONSISTENT, "it remembers what it cosigned"


@pytest.mark.parametrize("power_cut", [False, True])
@pytest.mark.parametrize(("number", "fault"), [*itertools.product(range(1, COUNT + 1), FAULTS)])
def test_a_failed_write_of_a_round_loses_nothing(
    number: int, fault: Fault, power_cut: bool
) -> None:
    engine = MemoryEngine(faults={OPENED + number: fault})
    mission = open_mission(WORLD, engine)
    with pytest.raises(StorageError):
        witnessed(WORLD, mission)
    if power_cut:
        engine.crash()
        mission = open_mission(WORLD, engine)
    witnessed(WORLD, mission)
    engine.crash()
    mission = open_mission(WORLD, engine)
    kinds = [entry.type.value for _, entry in mission.log.entries()]
    assert kinds == ["charter", "witnessed"], "logged once"
    assert engine.conflicts == []
    head = mission.cosigned_head()
    assert head is not None
    assert [item.party.key for item in head.by] == [*SEATS]
