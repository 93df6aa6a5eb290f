"""What lines must not be: each refused under its own name."""

from __future__ import annotations

import base64
from dataclasses import replace
from ipaddress import ip_network

import pytest

from exclave.ids import MissionId
from exclave.private_line.firewall import Beside, firewall
from exclave.private_line.values import (
    LineAddressWrong,
    LineKey,
    LineKeyWrong,
    LinePartyUnknown,
    LinesOverlap,
    Party,
    Role,
    check_machine,
    read_line_key,
)
from exclave.private_line.wireguard import KeyPathUnusual, wireguard_config
from exclave.vault.line.addresses import Address
from tests.unit.private_line.hub import HUB, caller, first, key, second, vault


def joined(*more: Party) -> None:
    """The first guest's lines with other or further parties."""
    names = {party.name for party in more}
    kept = [party for party in first().parties if party.name not in names]
    replace(first(), parties=(*kept, *more))


def test_what_the_tests_start_from_is_right() -> None:
    check_machine([first(), second()], HUB)


@pytest.mark.parametrize("host", ["198.51.100.77", "8.8.8.8", "2001:db8::7", "0.0.0.0"])
def test_a_public_address_inside_a_line(host: str) -> None:
    for data, public in ((host, "10.20.0.1"), ("10.20.0.1", host)):
        with pytest.raises(LineAddressWrong, match="hub: expected a private address inside"):
            vault(data=Address(data, 8443), public=Address(public, 8444))
    with pytest.raises(LineAddressWrong, match="expected a private address inside"):
        caller("registry-1", host, 3)
    with pytest.raises(LineAddressWrong, match="network"):
        replace(first(), network=ip_network("198.51.100.0/24"))
    with pytest.raises(LineAddressWrong, match="network"):
        replace(first(), network=ip_network("10.0.0.0/7"))


def test_a_loopback_address_inside_a_line() -> None:
    with pytest.raises(LineAddressWrong, match=r"that others reach, got 127\.0\.0\.1"):
        vault(data=Address("127.0.0.1", 8443))


def test_an_address_outside_its_place() -> None:
    for inner in ("10.81.2.10", "10.81.1.0", "10.81.1.255"):
        with pytest.raises(LineAddressWrong, match=r"expected an address in 10\.81\.1\.0/24"):
            joined(caller("registry-1", inner, 3))
    with pytest.raises(LineAddressWrong, match=r"hub: expected an address outside 10\.81\.1\.0"):
        joined(vault(data=Address("10.81.1.5", 8443), public=Address("10.81.1.5", 8444)))
    with pytest.raises(LineAddressWrong, match=r"both have 10\.81\.1\.11"):
        joined(caller("registry-1", "10.81.1.11", 3))


def test_a_line_through_itself() -> None:
    for outer in ("10.81.1.99", "10.20.0.2"):
        with pytest.raises(LineAddressWrong, match="lies inside the line"):
            joined(caller("registry-1", "10.81.1.10", 3, outer=outer))


def test_a_vault_that_nobody_finds() -> None:
    with pytest.raises(LineAddressWrong, match="hub: expected an outer address"):
        joined(vault(outer=None))
    with pytest.raises(LineAddressWrong, match="hub: outer: expected a port"):
        vault(outer=Address("198.51.100.1", 0))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_of_the_wrong_length(size: int) -> None:
    with pytest.raises(LineKeyWrong, match=f"expected 32 bytes, got {size}"):
        read_line_key(base64.b64encode(b"k" * size).decode(), "hub")
    with pytest.raises(LineKeyWrong, match=f"expected 32 bytes, got {size}"):
        vault(key=LineKey(b"k" * size))


def test_a_key_that_is_none() -> None:
    for text in ("not base64!", "KEY-FROM-HUB", "ä"):
        with pytest.raises(LineKeyWrong, match="hub: key: expected"):
            read_line_key(text, "hub")
    with pytest.raises(LineKeyWrong, match="got zeros"):
        read_line_key(base64.b64encode(bytes(32)).decode(), "hub")


def test_the_same_key_at_both_ends() -> None:
    with pytest.raises(LineKeyWrong, match="registry-1 and hub: the same key at both ends"):
        replace(first(), parties=(caller("registry-1", "10.81.1.10", 1), vault()))


def test_the_same_key_in_two_missions() -> None:
    for number in (1, 3):
        outer = Address("198.51.100.1", 51999)
        other = replace(second(), parties=(vault(number=number, outer=outer),))
        with pytest.raises(LineKeyWrong, match="the same key in two missions"):
            check_machine([first(), other], HUB)


def test_networks_that_overlap() -> None:
    for text in ("10.81.1.0/24", "10.81.0.0/16", "10.81.1.128/25"):
        # Its own caller's place is checked first, so it has none here.
        other = replace(second(), network=ip_network(text), parties=(vault(number=8),))
        with pytest.raises(LinesOverlap, match="overlap"):
            check_machine([first(), other], HUB)


def test_a_vault_inside_another_guests_network() -> None:
    inside = vault(number=8, data=Address("10.81.1.5", 1), public=Address("10.81.1.5", 2))
    other = replace(second(), parties=(inside,))
    with pytest.raises(LineAddressWrong, match=r"outside 10\.81\.1\.0/24, got 10\.81\.1\.5"):
        check_machine([first(), other], HUB)


def test_one_address_over_two_lines() -> None:
    twice = (vault(number=8), vault("harbour", 2, 9))
    other = replace(second(), parties=twice)
    with pytest.raises(LinesOverlap, match=r"10\.20\.0\.2 would be reached over the lines of two"):
        check_machine([first(), other], HUB)


def test_two_missions_over_the_same_two_vaults() -> None:
    """Each has a seat at both, with an address of its own: nothing is reached over two lines."""
    seats = [
        vault(name, seat, 10 + seat, data=Address(f"10.20.9.{seat}", 8443),
              public=Address(f"10.20.9.{seat}", 8444))
        for name, seat in ((HUB, 1), ("harbour", 2))
    ]  # fmt: skip
    lines = [first(), replace(second(), parties=(*seats, second().party("land")))]
    for machine in (HUB, "harbour"):
        check_machine(lines, machine)
        rules = firewall(lines, machine, Beside())
        for line in lines:
            own, other = (
                one.party(machine) for one in sorted(lines, key=lambda one: one is not line)
            )
            config = wireguard_config(line, own, "/etc/exclave/lines/key")
            peer = next(item for item in line.peers(own) if item.role is Role.VAULT)
            assert f"{peer.inner[0]}/32" in config
            assert str(other.inner[0]) not in config
            assert line.interface in rules


def test_two_lines_at_one_port_or_of_one_mission() -> None:
    other = replace(second(), parties=(vault(number=8, outer=Address("198.51.100.1", 51821)),))
    with pytest.raises(LinesOverlap, match="outer port 51821: expected once, got 2 times"):
        check_machine([first(), other], HUB)
    same = replace(second(), mission=MissionId(bytes.fromhex("1f1f1f1f" + "00" * 28)))
    with pytest.raises(LinesOverlap, match="mission xl-1f1f1f1f: expected once"):
        check_machine([first(), same], HUB)


def test_an_unknown_party() -> None:
    with pytest.raises(LinePartyUnknown, match="no party 'harbor'") as caught:
        check_machine([first()], "harbor")
    assert "harbour" in str(caught.value.hint)
    with pytest.raises(LinePartyUnknown, match="expected a vault at one end"):
        replace(first(), parties=(caller("registry-1", "10.81.1.10", 3),))
    with pytest.raises(LinePartyUnknown, match="name hub: expected once"):
        replace(first(), parties=(vault(), vault(seat=2, number=2)))
    with pytest.raises(LinePartyUnknown, match="expected a name like"):
        caller("a\nb", "10.81.1.10", 3)


@pytest.mark.parametrize("path", ["line.key", "/etc/a b.key", "/etc/$(reboot).key", "/etc/a;b", ""])
def test_a_path_that_a_shell_might_misread(path: str) -> None:
    with pytest.raises(KeyPathUnusual):
        wireguard_config(first(), first().party(HUB), path)


def test_a_monitor_has_no_business_at_the_data_listener() -> None:
    hub = vault()
    watch = caller("watch", "10.81.1.12", 5, Role.MONITOR)
    assert hub.listeners_for(watch) == (hub.public,)
    assert hub.listeners_for(caller("home", "10.81.1.13", 6)) == (hub.data, hub.public)
    assert key(1) == hub.key
