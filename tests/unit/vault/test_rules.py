"""Addresses, configuration, decisions, problem documents and the retry policy."""

import asyncio
from dataclasses import replace

import pytest

from exclave.errors import ConfigurationError, VaultUnreachable
from exclave.ids import ShardRoot
from exclave.shapes import Unfit
from exclave.vault.client.retrying import RetryPolicy
from exclave.vault.installation.config import SeatConfig, VaultConfig
from exclave.vault.interface import VaultRefused
from exclave.vault.kept.rules import (
    Ancestry,
    Candidate,
    PartyKind,
    Usage,
    check_room,
    find_party,
    hindrance,
)
from exclave.vault.line.addresses import Address, AddressPublic, check_bind, parse_address
from exclave.vault.line.identity import new_identity
from exclave.vault.line.problems import CAUSES, problem_document, read_problem, refused
from tests.support.vault_world import START, new_world

PRIVATE = ["127.0.0.1:1", "10.1.2.3:1", "192.168.0.1:0", "100.64.0.1:9", "[::1]:1", "[fd00::1]:1",
           "[fe80::1]:1", "169.254.1.1:1", "[::ffff:10.0.0.1]:1"]  # fmt: skip
PUBLIC = ["0.0.0.0:1", "[::]:1", "8.8.8.8:1", "192.0.2.1:1", "[2001:db8::1]:1", "198.18.0.1:1",
          "172.32.0.1:1", "[::ffff:8.8.8.8]:1"]  # fmt: skip


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_bound(text: str) -> None:
    check_bind(parse_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_and_wildcard_addresses_only_when_told(text: str) -> None:
    with pytest.raises(AddressPublic):
        check_bind(parse_address(text))
    check_bind(parse_address(text), unsafe_public_bind=True)
    with pytest.raises(Unfit):
        VaultConfig(data=text, public="127.0.0.1:1")
    VaultConfig(data=text, public="127.0.0.1:1", unsafe_public_bind=True)


def test_the_two_listeners_of_a_seat_have_addresses_of_their_own() -> None:
    with pytest.raises(Unfit) as refused:
        SeatConfig(data="10.0.0.1:8443", public="10.0.0.1:8443")
    assert "expected another address than data has" in refused.value.faults["public"]
    SeatConfig(data="10.0.0.1:8443", public="10.0.0.1:8444")
    SeatConfig(data="10.0.0.1:0", public="10.0.0.1:0")  # the system chooses two


@pytest.mark.parametrize("text", ["localhost:1", "1.2.3.4", "1.2.3.4:70000", "::1:1", "1.2.3:1"])
def test_names_and_nonsense_are_no_addresses(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_address(text)


def test_an_address_is_written_as_it_is_read() -> None:
    assert str(Address("::1", 5)) == "[::1]:5"


def test_parties_are_those_of_the_charter_in_force() -> None:
    world, reader = new_world(), new_identity("r", START).certificate
    home = world.depositor.identity.certificate
    assert find_party(home, world.charter, []).kind is PartyKind.DEPOSITOR
    # A warrant that names the depositor's identity does not let it read.
    assert find_party(home, world.charter, [(home, "w")]).kind is PartyKind.DEPOSITOR
    assert find_party(reader, world.charter, [(reader, "w")]).kind is PartyKind.READER
    with pytest.raises(VaultRefused):
        find_party(reader, world.charter, [])
    without = replace(world.charter, depositors=())
    with pytest.raises(VaultRefused):
        find_party(home, without, [])


def test_a_full_record_stands_alone_others_on_the_one_before() -> None:
    fine = Ancestry(known=True, forked=False, satisfied=True)
    ready = Candidate(
        full=True, alone=False, seated=True, missing=0, contradicted=None, ancestry=fine
    )
    assert hindrance(ready) is None
    assert hindrance(replace(ready, full=False)) is None
    waiting = replace(ready, ancestry=replace(fine, satisfied=False))
    assert hindrance(waiting) is None
    unknown = replace(ready, ancestry=replace(fine, known=False))
    assert hindrance(unknown.when_alone(alone=True)) is None
    for held_back, why in (
        (replace(ready, seated=False), "does not seat"),
        (replace(ready, missing=1), "1 of its shards"),
        (replace(ready, contradicted=ShardRoot(bytes(32))), "header"),
        (replace(waiting, full=False), "before it is not lodged"),
        (unknown, "not here"),
        (replace(ready, ancestry=replace(fine, forked=True)), "second"),
    ):
        assert why in str(hindrance(held_back))


def test_staging_and_free_room_are_two_limits() -> None:
    usage = Usage(staged=60, arriving=20, free=1000, kept_free=10)
    check_room(20, named=False, limit=100, usage=usage)
    check_room(500, named=True, limit=100, usage=usage)
    for size, named, cause in ((21, False, "quota"), (971, True, "no-space")):
        with pytest.raises(VaultRefused) as caught:
            check_room(size, named=named, limit=100, usage=usage)
        assert caught.value.cause == cause


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_problems_come_back_as_they_went(cause: str) -> None:
    sent = refused(cause, "what, expected, got", hint="try this")
    got = read_problem(problem_document(sent), sent.status)
    assert (got.cause, got.status, got.message, got.hint) == (
        cause, sent.status, sent.message, sent.hint,
    )  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"type":"x","detail":1}'])
def test_anything_else_is_unavailable(body: bytes) -> None:
    assert read_problem(body, 500).cause == "unavailable"


def test_only_what_may_pass_is_tried_again() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def attempt(errors: list[Exception]) -> int:
        if errors:
            raise errors.pop(0)
        return 1

    policy = RetryPolicy(attempts=3, pause=pause)
    passing: list[Exception] = [VaultUnreachable("x"), refused("unavailable", "x")]
    assert asyncio.run(policy.run(lambda: attempt(passing))) == 1
    assert len(pauses) == 2
    with pytest.raises(VaultRefused):
        asyncio.run(policy.run(lambda: attempt([refused("quota", "x")])))
    with pytest.raises(VaultUnreachable):
        asyncio.run(policy.run(lambda: attempt([VaultUnreachable("x") for _ in range(4)])))
