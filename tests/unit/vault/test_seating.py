"""Enrolments of vaults that join: what they must carry, and what is refused before it is pinned."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from exclave.authority.agreement import Act
from exclave.authority.charter import NotInCharter
from exclave.authority.charter_parts import SeatEntry
from exclave.authority.enrolment import (
    Enrolment,
    HistoryUnfit,
    enrolment_envelope,
    parse_enrolment,
    verify_enrolment,
)
from exclave.authority.envelope import Envelope, KindUnexpected, envelope_for, parse_envelope
from exclave.authority.fields import FieldInvalid
from exclave.authority.keys import X_WING, TypedKey
from exclave.authority.orders import Hold, Order, OrderHead, Veto, kind_of, order_payload
from exclave.authority.permission import Grant
from exclave.encoding import JsonValue, b64encode
from exclave.engine.memory import MemoryEngine
from exclave.ids import Seat
from exclave.ledger.checkpoint import origin_for
from exclave.ledger.entry import EntryType
from exclave.ledger.note import NoteSigner
from exclave.standing.agreed import in_effect
from exclave.vault.kept.log import Addition, Log
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.vault.survey.seating import SeatNotJoining, history_of, rehearse
from tests.support.agreements import agreement, head, next_version, signed, statement_of
from tests.support.serving import open_mission
from tests.support.vault_world import START, VaultParty, World, new_vault, new_world, next_charter

NEW = Seat(4)


@pytest.fixture(scope="module")
def world() -> World:
    return new_world()


@pytest.fixture(scope="module")
def vault() -> VaultParty:
    return new_vault(4)


def seat_entry(world: World, vault: VaultParty) -> SeatEntry:
    """The new vault's seat."""
    return replace(
        world.charter.seats[0],
        seat=NEW,
        vault="vault-4",
        state="XD",
        identity=vault.identity.certificate,
        log_key=vault.log.public,
        seat_key=TypedKey(X_WING, vault.seat_private.public.raw),
        witness_keys=vault.witness,
    )


def growing(world: World, vault: VaultParty, people: Sequence[int] = (0, 1)) -> Envelope:
    """Charter 2, which has the new vault, signed by these officials."""
    _, data = next_charter(
        world,
        seats=(*world.charter.seats, seat_entry(world, vault)),
        dispersal=replace(world.charter.dispersal, n=4),
        witness=replace(world.charter.witness, q=3),
    )
    return world.officials_sign(replace(parse_envelope(data), signatures=()), people)


def order(world: World, build: type[Hold] | type[Veto], people: Sequence[int] = (0,)) -> Envelope:
    """A hold on everything, or a veto of nothing in particular."""
    head = OrderHead(
        mission=world.mission,
        charter=world.charter.statement_hash,
        nonce=os.urandom(16),
        issued=START,
        reason="a test",
    )
    made: Order = (
        Hold(head=head, deposits=None)
        if build is Hold
        else Veto(head=head, target=world.envelope.statement_hash)
    )
    envelope = Envelope(payload=order_payload(made), kind=kind_of(made))
    return world.officials_sign(envelope, people)


def enrolment(world: World, *history: Envelope) -> Enrolment:
    """Of the new seat, with that history."""
    return Enrolment(
        mission=world.mission,
        seat=NEW,
        vault="vault-4",
        charter=world.envelope,
        history=history,
    )


def verify(world: World, vault: VaultParty, *history: Envelope) -> None:
    """As the vault does when it enrols."""
    made, _ = verify_enrolment(
        enrolment_envelope(enrolment(world, *history)),
        log_key=vault.log.public,
        seat_key=TypedKey(X_WING, vault.seat_private.public.raw),
        identity=vault.identity.certificate,
    )
    rehearse(made)


def opened(
    world: World, vault: VaultParty, store: MemoryEngine, history: Sequence[Envelope]
) -> Mission:
    """The mission at the new seat."""
    return Mission(
        mission=world.mission,
        seat=NEW,
        store=store,
        index_path=":memory:",
        keys=vault.keys,
        clock=lambda: START,
        charter=world.envelope.to_bytes(),
        history=history,
    )


def test_the_log_begins_with_the_history(world: World, vault: VaultParty) -> None:
    older = open_mission(world, MemoryEngine())
    hold, charter = order(world, Hold), growing(world, vault)
    submit(older, hold.to_bytes())
    submit(older, charter.to_bytes())
    hearing = older.fold.hearing
    history = history_of(older.standing(), hearing.envelopes, NEW)
    assert [item.statement_hash for item in history] == [
        hold.statement_hash,
        charter.statement_hash,
    ]
    verify(world, vault, *history)
    store = MemoryEngine()
    for _ in range(2):  # the second time nothing is logged again
        new = opened(world, vault, store, history)
        types = [entry.type for _, entry in new.log.entries()]
        assert types == [EntryType.CHARTER, EntryType.ORDER, EntryType.CHARTER]
        assert new.charter().statement_hash == charter.statement_hash
        assert new.keys_seated()
        new.close()


def test_a_history_has_the_agreements_and_not_what_passes(world: World, vault: VaultParty) -> None:
    """Each version of an agreement, since one follows the other; no grant, no declaration."""
    older = open_mission(world, MemoryEngine())
    first = agreement(world)
    second = next_version(world, first, capacity=2**50)
    grant = Grant(
        head=head(world), seat=Seat(1), act=Act.ENTER, since=START, until=START + timedelta(days=1)
    )
    charter = growing(world, vault)
    for data in (signed(world, first), signed(world, second), signed(world, grant, hosts=())):
        submit(older, data)
    submit(older, charter.to_bytes())
    history = history_of(older.standing(), older.fold.hearing.envelopes, NEW)
    named = [item.statement_hash for item in history]
    assert named == [statement_of(first), statement_of(second), charter.statement_hash]
    verify(world, vault, *history)
    new = opened(world, vault, MemoryEngine(), history)
    found = in_effect(new.standing(), Seat(1))
    assert found is not None
    assert found.statement == statement_of(second)


def test_a_crash_while_the_history_was_logged_is_made_good(world: World, vault: VaultParty) -> None:
    store = MemoryEngine()
    hold, charter = order(world, Hold), growing(world, vault)
    signer = NoteSigner(
        name=origin_for(world.mission, NEW), public_key=vault.log.public.raw, sign=vault.log.sign
    )
    log = Log(store=store, mission=world.mission, seat=NEW, signer=signer)
    first = Addition(
        type=EntryType.CHARTER,
        statement=world.envelope.statement_hash,
        body=world.envelope.to_bytes(),
    )
    log.append([first], clock=lambda: START, service=lambda: 0)
    new = opened(world, vault, store, (hold, charter))
    assert new.log.size == 3
    assert new.charter().statement_hash == charter.statement_hash


def test_a_history_that_does_not_lead_there_is_refused(world: World, vault: VaultParty) -> None:
    charter, hold = growing(world, vault), order(world, Hold)
    plain = parse_envelope(next_charter(world, notice="another")[1])
    with pytest.raises(NotInCharter):
        verify(world, vault)
    for history in ([plain], [charter, hold], [hold]):
        with pytest.raises(HistoryUnfit, match="to end with the first charter that has seat 4"):
            verify(world, vault, *history)
    with pytest.raises(HistoryUnfit, match=r"history\[0\]: .*expected a signature of somebody"):
        verify(world, vault, order(world, Hold, ()), charter)
    with pytest.raises(HistoryUnfit, match=r"history\[0\]: veto .*no part of a history"):
        verify(world, vault, order(world, Veto), charter)


def test_a_history_is_not_empty_and_holds_charters_and_orders(world: World) -> None:
    base: dict[str, JsonValue] = {
        "kind": "enrolment",
        "mission": world.mission.hex(),
        "seat": 4,
        "vault": "vault-4",
        "charter": b64encode(world.envelope.to_bytes()),
    }
    with pytest.raises(FieldInvalid, match="expected 1 to 1024 items, got 0"):
        parse_enrolment(envelope_for(base | {"history": []}))
    other = b64encode(envelope_for({"kind": "refusals"}).to_bytes())
    with pytest.raises(KindUnexpected, match="got refusals"):
        parse_enrolment(envelope_for(base | {"history": [other]}))


def test_no_enrolment_before_the_charter_is_in_force(world: World, vault: VaultParty) -> None:
    older = open_mission(world, MemoryEngine())
    with pytest.raises(SeatNotJoining, match="seat 4: no charter that has it is in force"):
        history_of(older.standing(), older.fold.hearing.envelopes, NEW)
    assert history_of(older.standing(), older.fold.hearing.envelopes, Seat(2)) == ()
