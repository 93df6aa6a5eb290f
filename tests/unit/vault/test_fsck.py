"""`fsck` names statements that rest on nothing, and what is wrong beside the log."""

import os
from collections.abc import Sequence

import pytest

from exclave.authority.envelope import Envelope, Kind
from exclave.authority.evidence import Evidence, evidence_payload
from exclave.authority.orders import Hold, Lockdown, Order, OrderHead, kind_of, order_payload
from exclave.engine.memory import MemoryEngine
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, origin_for, sign_checkpoint
from exclave.ledger.entry import EntryType
from exclave.ledger.note import NoteSigner
from exclave.vault.kept.fsck import FsckReport, check_objects
from exclave.vault.kept.log import Addition
from exclave.vault.kept.storage import COSIGNED, body_key
from exclave.vault.mission.cosigning import head_of
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from tests.support.serving import SEAT, open_mission
from tests.support.vault_world import START, World, new_world, next_charter, witnessed


def sound() -> tuple[World, MemoryEngine, Mission]:
    """A log with orders, a charter change and cosignatures, on which nothing is wrong."""
    world, engine = new_world(), MemoryEngine()
    mission = open_mission(world, engine)
    witnessed(world, mission)
    submit(mission, signed(world, Hold(head=head(world), deposits=None), [0]))
    submit(mission, next_charter(world)[1])
    witnessed(world, mission)
    submit(mission, signed(world, Lockdown(head=head(world)), [3]))
    witnessed(world, mission)
    mission.keep()
    report = check(world, engine)
    assert (report.bad, report.cosigned) == ((), mission.log.size - 1)
    return world, engine, mission


def head(world: World) -> OrderHead:
    return OrderHead(
        mission=world.mission,
        charter=world.envelope.statement_hash,
        nonce=os.urandom(16),
        issued=START,
        reason="a test",
    )


def signed(world: World, order: Order, people: Sequence[int]) -> bytes:
    envelope = Envelope(payload=order_payload(order), kind=kind_of(order))
    return world.officials_sign(envelope, people).to_bytes()


def check(world: World, engine: MemoryEngine) -> FsckReport:
    public = world.vaults[SEAT].log.public.raw
    return check_objects(engine, mission=world.mission, seat=SEAT, log_public=public)


def log_anyway(mission: Mission, kind: EntryType, body: bytes, envelope: Envelope | None) -> str:
    """What no vault logs: as if somebody had the log's key."""
    statement = None if envelope is None else envelope.statement_hash
    done = mission.log.append(
        [Addition(type=kind, statement=statement, body=body)],
        clock=mission.clock,
        service=mission.service.now,
    )
    return body_key(done[0][1].hash)


def test_an_order_that_nobody_signed_is_named() -> None:
    world, engine, mission = sound()
    order = Hold(head=head(world), deposits=None)
    envelope = Envelope(payload=order_payload(order), kind=kind_of(order))
    key = log_anyway(mission, EntryType.ORDER, envelope.to_bytes(), envelope)
    (bad,) = check(world, engine).bad
    assert bad.key == key
    assert "expected a signature of somebody who counted then, got none" in bad.what


def test_a_witnessed_entry_without_a_quorum_is_named() -> None:
    world, engine, mission = sound()
    body = head_of(mission).note.encode()
    key = log_anyway(mission, EntryType.WITNESSED, body, None)
    (bad,) = check(world, engine).bad
    assert bad.key == key
    assert "witness quorum not reached: 0 witnesses" in bad.what


def test_evidence_that_the_logs_key_did_not_sign_is_named() -> None:
    world, engine, mission = sound()
    name, other = origin_for(world.mission, Seat(2)), world.vaults[Seat(3)].log
    signer = NoteSigner(name=name, public_key=other.public.raw, sign=other.sign)
    notes = tuple(
        sign_checkpoint(Checkpoint(origin=name, size=3, root=root), signer)
        for root in (bytes(32), b"\x01" * 32)
    )
    evidence = Evidence(mission=world.mission, seat=Seat(2), cause="fork", notes=notes)  # type: ignore[arg-type]
    envelope = Envelope(payload=evidence_payload(evidence), kind=Kind.EVIDENCE)
    key = log_anyway(mission, EntryType.EVIDENCE, envelope.to_bytes(), envelope)
    (bad,) = check(world, engine).bad
    assert bad.key == key
    assert "expected one signed by the key of" in bad.what


@pytest.mark.parametrize("key", [COSIGNED, "meta/witness-1"])
def test_a_kept_checkpoint_that_is_not_cosigned_is_named(key: str) -> None:
    world, engine, mission = sound()
    engine.replace_head(key, head_of(mission).note.encode())  # type: ignore[arg-type]
    (bad,) = check(world, engine).bad
    assert bad.key == key
    assert "cosign" in bad.what


def test_a_checkpoint_of_another_tree_is_named() -> None:
    world, engine, _ = sound()
    log, name = world.vaults[SEAT].log, origin_for(world.mission, SEAT)
    signer = NoteSigner(name=name, public_key=log.public.raw, sign=log.sign)
    forked = sign_checkpoint(Checkpoint(origin=name, size=3, root=bytes(32)), signer)
    engine.replace_head(COSIGNED, forked)  # type: ignore[arg-type]
    (bad,) = check(world, engine).bad
    assert bad.key == COSIGNED


@pytest.mark.parametrize("name", ["service", "expiry", "staged", "mirrored-2", "witness-2"])
def test_small_facts_that_cannot_be_read_are_named(name: str) -> None:
    world, engine, _ = sound()
    engine.replace_head(f"meta/{name}", b"nonsense\n")  # type: ignore[arg-type]
    assert [bad.key for bad in check(world, engine).bad] == [f"meta/{name}"]
