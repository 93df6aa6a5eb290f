"""`exclave line`: keys that stay, files for one end, and what is refused."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from exclave.authority.agreement import AgreedSeat
from exclave.authority.charter_parts import Address
from exclave.ids import Seat
from tests.scripts.conftest import Ran, call
from tests.support.agreements import agreement, signed
from tests.support.vault_world import World, new_world

EXAMPLE = Path(__file__).parents[2] / "examples" / "lines.toml"
PARTIES = ("VAULT-1", "VAULT-2", "REGISTRY-1", "ENVOY-WEST")
INSIDE = {Seat(n): Address(data=f"10.20.0.{n}:8443", public=f"10.20.0.{n}:8444") for n in (1, 2)}


@pytest.fixture(scope="module")
def world() -> World:
    """A charter whose vaults have private addresses."""
    return new_world(addresses=INSIDE)


@pytest.fixture
def desk(tmp_path: Path, world: World) -> Path:
    """The example with this charter and with keys of four machines, as its commands make them."""
    (tmp_path / "charter.json").write_bytes(world.envelope.to_bytes())
    text = EXAMPLE.read_text().replace('"registry-1"', f'"{world.charter.depositors[0].id}"')
    for party in PARTIES:
        folder = tmp_path / party.lower()
        folder.mkdir()
        public = call("line", "key", folder / f"{interface(world)}.key")
        assert public.code == 0, public.err
        text = text.replace(f"PUBLIC-KEY-OF-{party}", public.out.strip())
    (tmp_path / "lines.toml").write_text(text)
    return tmp_path


def interface(world: World) -> str:
    return f"xl-{world.mission.hex()[:8]}"


def drawn(desk: Path, world: World, *more: object, name: str | None = None) -> Ran:
    """Files for the machine of seat 1, unless another is named."""
    party = name or world.charter.seat(Seat(1)).vault
    files = ["line", "wireguard", desk / "lines.toml", "--as", party, "--out", desk / "line"]
    return call(*files, "--keys", desk / "vault-1", *more)


def changed(desk: Path, old: str, new: str) -> None:
    text = (desk / "lines.toml").read_text()
    assert old in text
    (desk / "lines.toml").write_text(text.replace(old, new, 1))


def refused(desk: Path, world: World, says: str, *, code: int = 3, name: str | None = None) -> None:
    ran = drawn(desk, world, name=name)
    assert (ran.code, ran.out) == (code, ""), ran
    assert says in ran.err, ran.err
    assert not (desk / "line").exists(), "something was written"


def test_a_private_key_is_for_its_owner_and_stays(desk: Path, world: World) -> None:
    file = desk / "vault-1" / f"{interface(world)}.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = call("line", "key", file)
    assert (again.code, again.out) == (3, "")
    assert "keys are never overwritten" in again.err
    private = [path.read_text().strip() for path in desk.glob("*/*.key")]
    assert len(set(private)) == 4
    assert drawn(desk, world).code == 0
    for path in [desk / "lines.toml", *(desk / "line").iterdir()]:
        assert not [key for key in private if key in path.read_text()], path


def test_an_end_names_its_own_key_file_alone(desk: Path, world: World) -> None:
    ran = drawn(desk, world, "--admin", "192.168.7.0/24", "--local", "192.168.8.0/24")
    assert (ran.code, ran.err) == (0, "")
    config = desk / "line" / f"{interface(world)}.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    text = config.read_text()
    key = desk / "vault-1" / f"{interface(world)}.key"
    assert text.count(".key") == 1
    assert f"PostUp = wg set %i private-key {key}\n" in text
    assert "Address = 10.20.0.1/32" in text
    assert text.count("[Peer]") == 3, "the other vault, home, and the reader"
    rules = (desk / "line" / "exclave-line.nft").read_text()
    assert rules.count("policy drop;") == 3
    assert "ip saddr 192.168.7.0/24 tcp dport 22 accept" in rules


def test_a_key_that_is_not_made_yet_is_said(desk: Path, world: World) -> None:
    (desk / "vault-1" / f"{interface(world)}.key").unlink()
    ran = drawn(desk, world)
    assert ran.code == 0
    assert "no such file here" in ran.err
    assert "exclave line key" in ran.err


def test_a_public_vault_address(tmp_path: Path) -> None:
    world = new_world(
        addresses=INSIDE | {Seat(1): Address(data="10.20.0.1:8443", public="198.51.100.5:8444")}
    )
    (tmp_path / "charter.json").write_bytes(world.envelope.to_bytes())
    text = EXAMPLE.read_text()
    for party, sign in zip(PARTIES, "BCDE", strict=True):
        text = text.replace(f"PUBLIC-KEY-OF-{party}", sign * 42 + "A=")
    (tmp_path / "lines.toml").write_text(text)
    refused(tmp_path, world, "expected a private address inside the line, got 198.51.100.5")


def test_unknown_parties(desk: Path, world: World) -> None:
    refused(desk, world, "no party 'nobody'", name="nobody")
    changed(desk, f'name = "{world.charter.depositors[0].id}"', 'name = "stranger"')
    refused(desk, world, "stranger: the charter has no such depositor")
    changed(desk, "seat = 2", "seat = 77")
    refused(desk, world, "seat 77: the charter has no such seat")
    changed(desk, "seat = 77", "seat = 3")
    refused(desk, world, "seat 3: no vault in use with an address")


def test_wrong_keys(desk: Path, world: World) -> None:
    keys = [line for line in (desk / "lines.toml").read_text().splitlines() if "key = " in line]
    first, second = (line.split('"')[1] for line in keys[:2])
    changed(desk, first, first[:-4])
    refused(desk, world, "key: expected")
    changed(desk, first[:-4], second)
    refused(desk, world, "the same key at both ends")
    changed(desk, second, "B" * 42 + "A=")
    refused(desk, world, "expected the private key of")


def test_a_private_key_that_others_may_read(desk: Path, world: World) -> None:
    (desk / "vault-1" / f"{interface(world)}.key").chmod(0o640)
    refused(desk, world, "expected a file for its owner alone")


def test_lines_of_a_hub_that_overlap(desk: Path, world: World) -> None:
    other = new_world(addresses=INSIDE, vaults=world.vaults)
    (desk / "other.json").write_bytes(other.envelope.to_bytes())
    text = (desk / "lines.toml").read_text().replace("charter.json", "other.json")
    text = text.replace(world.charter.depositors[0].id, other.charter.depositors[0].id)
    (desk / "other.toml").write_text(text.replace(":51821", ":51822"))
    ran = drawn(desk, world, desk / "other.toml")
    assert ran.code == 3
    assert "networks 10.81.1.0/24 and 10.81.1.0/24 of two missions overlap" in ran.err
    assert not (desk / "line").exists()


def test_what_the_file_may_not_say(desk: Path, world: World) -> None:
    changed(desk, "10.81.1.0/24", "10.81.1.7/24")
    changed(desk, "203.0.113.7:51821", "vault.example:51821")
    changed(desk, 'inner = "10.81.1.10"', 'inner = "home"')
    ran = drawn(desk, world)
    assert ran.code == 3
    for said in (
        "lines.toml:8: network: expected a network such as",
        "lines.toml:17: vault[1].outer: address: expected a.b.c.d:port",
        "lines.toml:23: caller[0].inner: expected an address in numbers",
    ):
        assert said in ran.err, ran.err


def agreed(
    desk: Path, world: World, data: str, hosts: Sequence[int] = (1,), **changes: object
) -> None:
    """Name an agreement about seat 1 in the file, with these addresses, signed by these hosts."""
    address = Address(data=data, public=data.replace("8443", "8444"))
    seats = (AgreedSeat(seat=Seat(1), addresses=(address,)),)
    made = agreement(world, seats=seats, **changes)
    (desk / "agreement.json").write_bytes(signed(world, made, hosts=hosts))
    changed(desk, "agreements = []", 'agreements = ["agreement.json"]')


def test_addresses_of_an_agreement(desk: Path, world: World) -> None:
    agreed(desk, world, "10.30.0.9:8443")
    assert drawn(desk, world).code == 0
    config = (desk / "line" / f"{interface(world)}.conf").read_text()
    assert "Address = 10.30.0.9/32" in config
    rules = (desk / "line" / "exclave-line.nft").read_text()
    assert "10.20.0.1" not in rules
    assert "ip daddr 10.30.0.9 tcp dport { 8443, 8444 } accept" in rules


def test_an_agreement_of_another_mission_or_state(desk: Path, world: World) -> None:
    agreed(desk, new_world(vaults=world.vaults), "10.30.0.9:8443")
    refused(desk, world, "agreement.json: expected an agreement of mission")
    changed(desk, '["agreement.json"]', "[]")
    agreed(desk, world, "10.30.0.9:8443", state="XZ")
    refused(desk, world, "seat 1: expected state", code=6)
    changed(desk, '["agreement.json"]', "[]")
    agreed(desk, world, "198.51.100.77:8443")
    refused(desk, world, "expected a private address inside the line, got 198.51.100.77")
    changed(desk, '["agreement.json"]', "[]")
    agreed(desk, world, "10.30.0.9:8443", hosts=())
    refused(desk, world, "agreement.json: expected the signature of state", code=6)


def test_a_folder_that_is_not_new(desk: Path, world: World) -> None:
    assert drawn(desk, world).code == 0
    ran = drawn(desk, world)
    assert ran.code == 3
    assert "expected a new or empty folder" in ran.err


def test_a_network_of_the_command_line_that_is_none(desk: Path, world: World) -> None:
    for option in ("--admin", "--local"):
        ran = drawn(desk, world, option, "192.168.7.1/24")
        assert ran.code == 3
        assert "network: expected a network such as" in ran.err
