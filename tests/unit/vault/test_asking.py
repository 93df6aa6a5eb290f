"""Whether a vault asks for an agreement: decided when a mission is enrolled, and never after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.authority.charter import charter_payload
from exclave.authority.enrolment import Enrolment, enrolment_envelope
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.seat_request import parse_seat_request
from exclave.engine.file import FileEngine
from exclave.errors import ConfigurationError
from exclave.found.terms import StateKeyUnfit
from exclave.ids import Seat
from exclave.signer.file import public_keys_bytes
from exclave.signer.parties import new_official_key, new_state_key
from exclave.vault.installation.install import VaultFolder, create_vault, enrol, open_missions
from exclave.vault.kept.storage import AGREEMENT_KEY, ENROLMENT
from exclave.wiring.host import enrol_vault
from exclave.wiring.new_vaults import init_vault
from exclave.wiring.seat_files import StateKeyMissing
from tests.support.vault_world import START, World, new_world

SEAT = Seat(1)


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def folder(tmp_path: Path, world: World) -> VaultFolder:
    """A vault of seat 1, without a kit."""
    kit = tmp_path / "kit"
    kit.mkdir()
    return create_vault(
        tmp_path / "vault", identity=world.vaults[SEAT].identity, seat_request=b"{}",
        save_keys=lambda _: None, kit=kit,
    )  # fmt: skip


def enrolled(world: World, folder: VaultFolder, *, asks: bool) -> None:
    """The mission, pinned."""
    charter = world.charter
    assert charter_payload(charter) == world.envelope.payload
    enrolment = Enrolment(
        mission=world.mission, seat=SEAT, vault="vault-1", charter=world.envelope, history=()
    )
    party = world.vaults[SEAT]
    seat = charter.seat(SEAT)
    enrol(
        folder, enrolment_envelope(enrolment).to_bytes(), log_key=seat.log_key,
        seat_key=seat.seat_key, agreement_key=party.state.public.key_id if asks else None,
    )  # fmt: skip


def opened(world: World, folder: VaultFolder) -> Iterator[object]:
    """What the mission asks for, as a server opens it."""
    keys = world.vaults[SEAT].keys
    for mission in open_missions(folder, engine=FileEngine, keys=keys, clock=lambda: START):
        yield mission.agreement_key
        mission.close()


def test_a_new_mission_asks_where_the_vault_does(world: World, folder: VaultFolder) -> None:
    """By the state's key, which stands beside the enrolment."""
    enrolled(world, folder, asks=True)
    assert list(opened(world, folder)) == [world.vaults[SEAT].state.public.key_id]


def test_a_mission_that_was_enrolled_before_does_not(world: World, folder: VaultFolder) -> None:
    """Nor when it is enrolled once more, by the same file, at a vault that asks by now."""
    enrolled(world, folder, asks=False)
    assert list(opened(world, folder)) == [None]
    enrolled(world, folder, asks=True)
    assert list(opened(world, folder)) == [None]


def test_the_mark_is_there_before_the_enrolment(world: World, folder: VaultFolder) -> None:
    """A crash between the two leaves a mission that is not enrolled; the next time it asks."""
    place = folder.mission(world.mission)
    enrolled(world, folder, asks=True)
    (place / ENROLMENT).unlink()
    enrolled(world, folder, asks=True)
    assert list(opened(world, folder)) == [world.vaults[SEAT].state.public.key_id]


@pytest.mark.parametrize("bad", [b"", b"none\n", b"00" * 31, b"\xff" * 64, b"zz" * 32])
def test_a_spoilt_mark_is_not_taken_for_none(world: World, folder: VaultFolder, bad: bytes) -> None:
    """Else whoever empties the file opens the vault."""
    enrolled(world, folder, asks=True)
    (folder.mission(world.mission) / AGREEMENT_KEY).chmod(0o600)
    (folder.mission(world.mission) / AGREEMENT_KEY).write_bytes(bad)
    with pytest.raises(ConfigurationError, match="expected a key id of 64 hex digits"):
        list(opened(world, folder))


def test_a_vault_is_set_up_with_its_states_key(tmp_path: Path) -> None:
    """The request names it; another party's key is none."""
    said = {"vault": "v", "state": "XB", "operator": "o", "data": "127.0.0.1:1"}
    official = tmp_path / "official.pub"
    official.write_bytes(public_keys_bytes(new_official_key(os.urandom)))
    with pytest.raises(StateKeyUnfit, match="got keys for: official"):
        init_vault(tmp_path / "v", **said, public="127.0.0.1:2", state_key=official)
    bundle = new_state_key("XB", os.urandom)
    state = tmp_path / "state.pub"
    state.write_bytes(public_keys_bytes(bundle))
    made = init_vault(tmp_path / "v", **said, public="127.0.0.1:2", state_key=state)
    request = parse_envelope(made.seat_request.read_bytes(), kinds=[Kind.SEAT_REQUEST])
    seat = parse_seat_request(request).seated(SEAT)
    assert seat.agreement == bytes.fromhex(bundle.public[0].key_id)


def test_a_vault_without_a_states_key_cannot_ask(tmp_path: Path, world: World) -> None:
    """Whoever switches it on by hand is told what is missing."""
    made = init_vault(
        tmp_path / "v", vault="v", state="XB", operator="o",
        data="127.0.0.1:1", public="127.0.0.1:2",
    )  # fmt: skip
    config = made.seat_request.with_name("vault.toml")
    config.write_text(config.read_text().replace("= false", "= true"))
    enrolment = Enrolment(
        mission=world.mission, seat=SEAT, vault="v", charter=world.envelope, history=()
    )
    file = tmp_path / "v.json"
    file.write_bytes(enrolment_envelope(enrolment).to_bytes())
    with pytest.raises(StateKeyMissing, match="require_agreement"):
        enrol_vault(tmp_path / "v", file, mission=world.mission)
