"""Seats of one installation: each with keys of its own and one mission (spec/vault-folder.md 3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.authority.enrolment import Enrolment, enrolment_envelope
from exclave.authority.envelope import parse_envelope
from exclave.authority.seat_request import parse_seat_request
from exclave.engine.file import FileEngine
from exclave.errors import ConfigurationError
from exclave.ids import MissionId, Seat
from exclave.vault.installation.install import (
    SeatTaken,
    VaultFolder,
    VaultTooNew,
    add_seat,
    create_vault,
    enrol,
    open_missions,
)
from exclave.vault.installation.seat_folder import SeatExists, SeatFolder, further_seats
from exclave.vault.kept.storage import ENROLMENT, SEAT
from exclave.vault.server.listener import share_of_connections
from exclave.wiring.new_vaults import add_seat_to_vault, init_vault
from exclave.wiring.seat_files import seat_named
from tests.support.vault_world import START, World, new_world

NUMBER = Seat(1)
SETTINGS = 'data = "127.0.0.2:1"\npublic = "127.0.0.2:2"\n'


@pytest.fixture
def worlds() -> tuple[World, World]:
    """Two missions whose vaults have nothing in common."""
    return new_world(), new_world()


@pytest.fixture
def folder(tmp_path: Path, worlds: tuple[World, World]) -> VaultFolder:
    """An installation with the keys of the first mission at its first seat."""
    kit = tmp_path / "kit"
    kit.mkdir()
    return create_vault(
        tmp_path / "vault", identity=worlds[0].vaults[NUMBER].identity, seat_request=b"{}",
        save_keys=lambda _: None, kit=kit,
    )  # fmt: skip


def add(folder: VaultFolder, world: World, name: str = "monaco") -> SeatFolder:
    """One more seat, with the keys of a mission."""
    return add_seat(
        folder, name, identity=world.vaults[NUMBER].identity, seat_request=b"{}",
        settings=SETTINGS, save_keys=lambda _: None, replace=Path.write_bytes,
    )  # fmt: skip


def enrolment(world: World) -> bytes:
    """What pins a mission."""
    made = Enrolment(
        mission=world.mission, seat=NUMBER, vault="vault-1", charter=world.envelope, history=()
    )
    return enrolment_envelope(made).to_bytes()


def enrolled(folder: VaultFolder, world: World, seat: SeatFolder | None = None) -> None:
    """Pin a mission at a seat."""
    entry = world.charter.seat(NUMBER)
    enrol(
        folder, enrolment(world), log_key=entry.log_key, seat_key=entry.seat_key, seat=seat,
    )  # fmt: skip


def opened(folder: VaultFolder, world: World, seat: SeatFolder | None = None) -> list[MissionId]:
    """The missions of a seat, with the keys of one world."""
    keys = world.vaults[NUMBER].keys
    missions = open_missions(folder, engine=FileEngine, keys=keys, clock=lambda: START, seat=seat)
    for mission in missions:
        mission.close()
    return [mission.mission for mission in missions]


def test_each_mission_at_the_seat_whose_keys_it_names(
    folder: VaultFolder, worlds: tuple[World, World]
) -> None:
    first, second = worlds
    seat = add(folder, second)
    assert [seat_named(folder, enrolment(world)) for world in worlds] == [folder.first, seat]
    enrolled(folder, first)
    enrolled(folder, second, seat)
    assert opened(folder, first) == [first.mission]
    assert opened(folder, second, seat) == [second.mission]
    assert [folder.missions_at(one) for one in folder.seats] == [[first.mission], [second.mission]]
    enrolled(folder, second, seat)  # by the same file: nothing changes


def test_a_seat_has_one_mission(tmp_path: Path, worlds: tuple[World, World]) -> None:
    first = worlds[0]
    other = new_world(vaults=first.vaults)
    kit = tmp_path / "kit"
    kit.mkdir()
    folder = create_vault(
        tmp_path / "vault", identity=first.vaults[NUMBER].identity, seat_request=b"{}",
        save_keys=lambda _: None, kit=kit,
    )  # fmt: skip
    enrolled(folder, first)
    with pytest.raises(SeatTaken, match="the first seat: expected no mission yet"):
        enrolled(folder, other)
    assert not folder.mission(other.mission).exists()


def test_an_installation_of_the_first_format_with_two_missions(
    folder: VaultFolder, worlds: tuple[World, World]
) -> None:
    """Earlier versions enrolled several at one seat: they are all served, by its keys."""
    first = worlds[0]
    other = new_world(vaults=first.vaults)
    enrolled(folder, first)
    place = folder.mission(other.mission)
    place.mkdir()
    (place / ENROLMENT).write_bytes(enrolment(other))
    assert (folder.path / "VAULT").read_bytes() == b"exclave vault v1\n"
    assert set(opened(folder, first)) == {first.mission, other.mission}
    seat = add(folder, worlds[1])
    enrolled(folder, worlds[1], seat)
    assert set(opened(folder, first)) == {first.mission, other.mission}


def test_the_folder_says_that_it_has_several_seats(
    folder: VaultFolder, worlds: tuple[World, World]
) -> None:
    """A program that knows one seat only must not serve what is another's."""
    add(folder, worlds[1])
    assert (folder.path / "VAULT").read_bytes() == b"exclave vault v2\n"
    assert VaultFolder.open(folder.path).path == folder.path


def test_a_folder_of_a_later_format(folder: VaultFolder) -> None:
    (folder.path / "VAULT").write_bytes(b"exclave vault v3\n")
    before = {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}
    with pytest.raises(VaultTooNew, match="of format 2 or earlier, got format 3") as refused:
        VaultFolder.open(folder.path)
    assert "a later version made it" in str(refused.value.hint)
    assert before == {path: path.stat().st_mtime_ns for path in folder.path.rglob("*")}


@pytest.mark.parametrize("bad", [b"", b"..\n", b"monaco/..\n", b"\xff\n", b"nowhere\n"])
def test_a_spoilt_mark_is_not_taken_for_the_first_seat(
    folder: VaultFolder, worlds: tuple[World, World], bad: bytes
) -> None:
    """The mission would be served behind another guest's address."""
    seat = add(folder, worlds[1])
    enrolled(folder, worlds[1], seat)
    (folder.mission(worlds[1].mission) / SEAT).write_bytes(bad)
    for one in folder.seats:
        with pytest.raises(ConfigurationError, match=r"name of a seat|no such seat"):
            opened(folder, worlds[1], one)


def test_a_seat_that_was_cut_off_is_none(folder: VaultFolder, worlds: tuple[World, World]) -> None:
    seat = add(folder, worlds[1])
    seat.settings.unlink()  # what is written last
    assert list(further_seats(folder.path)) == []
    with pytest.raises(SeatExists, match="seats/monaco: there already"):
        add(folder, worlds[1])


def test_what_a_seat_is_made_of(tmp_path: Path) -> None:
    """Keys and addresses of its own; vault, state and operator are the installation's."""
    vault = tmp_path / "vault"
    said = {"vault": "hub", "state": "LU", "operator": "State data centre"}
    init_vault(vault, **said, data="127.0.0.1:1", public="127.0.0.1:2")
    made = add_seat_to_vault(vault, "monaco", data="127.0.0.2:1", public="127.0.0.2:2")
    folder = VaultFolder.open(vault)
    first, second = (
        parse_seat_request(parse_envelope(seat.request.read_bytes())) for seat in folder.seats
    )
    assert made.seat_request == folder.seats[1].request
    assert (second.vault, second.state, second.operator) == ("hub", "LU", "State data centre")
    keys = [
        {one.identity, one.log_key.raw, one.seat_key.raw, *(key.raw for key in one.witness_keys)}
        for one in (first, second)
    ]
    assert len(keys[0] | keys[1]) == 10
    assert {item.data for item in (*first.addresses, *second.addresses)} == {
        "127.0.0.1:1",
        "127.0.0.2:1",
    }
    assert "monaco" not in made.seat_request.read_text()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("third", "127.0.0.1:1", "the first seat has it already"),
        ("third", "127.0.0.2:2", "seat monaco has it already"),
        ("third", "8.8.8.8:1", "expected a private or loopback address"),
        ("monaco", "127.0.0.3:1", "seats/monaco: there already"),
        ("../x", "127.0.0.3:1", "expected a name like"),
    ],
)
def test_a_seat_that_must_not_be(tmp_path: Path, name: str, data: str, says: str) -> None:
    vault = tmp_path / "vault"
    init_vault(
        vault, vault="hub", state="LU", operator="o", data="127.0.0.1:1", public="127.0.0.1:2"
    )
    add_seat_to_vault(vault, "monaco", data="127.0.0.2:1", public="127.0.0.2:2")
    with pytest.raises(ConfigurationError, match=says):
        add_seat_to_vault(vault, name, data=data, public="127.0.0.3:2")
    assert len(VaultFolder.open(vault).seats) == 2


def test_connections_are_shared_among_listeners() -> None:
    """So that one guest's flood leaves descriptors for the others."""
    assert share_of_connections(1024, listeners=4, files=65536) == 1024
    assert share_of_connections(1024, listeners=10, files=4096) == 192
    assert share_of_connections(1024, listeners=100, files=256) == 8
