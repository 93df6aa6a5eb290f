"""What a connection came to, as both ends tell it: read from real handshakes, never guessed."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exclave import clock
from exclave.engine.memory import MemoryEngine
from exclave.vault.line.identity import (
    IdentityUnknown,
    identity_hash,
    issue_leaf,
    new_identity,
)
from exclave.vault.line.negotiated import Negotiated, NotingContext, server_hello_group
from exclave.vault.line.tls import client_context, server_context
from exclave.vault.server.connections import Connections
from tests.support.serving import SEAT, serving
from tests.support.vault_world import new_world

NOW = clock.now()


def server_hello(*extensions: tuple[int, bytes], kind: int = 22, message: int = 2) -> bytes:
    """One as RFC 8446 4.1.3 has it."""
    listed = b"".join(
        name.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value
        for name, value in extensions
    )
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x13\x02\x00"
    body += len(listed).to_bytes(2, "big") + listed
    hello = bytes([message]) + len(body).to_bytes(3, "big") + body
    return bytes([kind]) + b"\x03\x03" + len(hello).to_bytes(2, "big") + hello


def key_share(group: int, size: int) -> tuple[int, bytes]:
    return 51, group.to_bytes(2, "big") + size.to_bytes(2, "big") + bytes(size)


VERSIONS = (43, b"\x03\x04")


def pair() -> tuple[NotingContext, NotingContext, list[Negotiated]]:
    """Contexts of both sides, and what they tell: client's first, then the server's."""
    vault = new_identity("vault-1", NOW)
    listener = server_context(issue_leaf(vault, server=True, now=NOW), None)
    client = client_context(vault.certificate)
    told: list[Negotiated] = []
    for context in (client, listener):
        context.note = lambda negotiated, _: told.append(negotiated)
    return client, listener, told


def shake(client: ssl.SSLContext, listener: ssl.SSLContext, *, step: int = 2**20) -> None:
    """Both sides to the end, `step` bytes at a time on their way to the client."""
    to_server, sent, to_client = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="x")
    theirs = listener.wrap_bio(to_server, sent, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (ours, theirs):
            to_client.write(sent.read(step))
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(side)


@pytest.mark.parametrize("step", [1, 5, 100, 2**20])
def test_both_ends_tell_the_same(step: int) -> None:
    client, listener, told = pair()
    shake(client, listener, step=step)
    assert len(set(told)) == 1
    assert (told[0].version, told[0].cipher) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert told[0].group in {0x001D, 0x11EC}, "what OpenSSL prefers: 3.5 the post-quantum one"


@pytest.mark.parametrize("curve", [("prime256v1", 0x17), ("secp384r1", 0x18), ("secp521r1", 0x19)])
def test_a_server_that_asks_for_another_group(curve: tuple[str, int]) -> None:
    client, listener, told = pair()
    listener.set_ecdh_curve(curve[0])
    for step in (1, 2**20):
        shake(client, listener, step=step)
    assert {item.group for item in told} == {curve[1]}
    assert len(told) == 4


def test_without_a_listener_nothing_is_told() -> None:
    client, listener, told = pair()
    client.note = None
    shake(client, listener)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (0x11EC, "key exchange x25519mlkem768 (post-quantum)"),
        (0x001D, "key exchange x25519 (not post-quantum)"),
        (0x9999, "key exchange 0x9999 (not post-quantum)"),
        (None, "key exchange unknown"),
    ],
)
def test_words(group: int | None, said: str) -> None:
    hello = server_hello(VERSIONS) if group is None else server_hello(VERSIONS, key_share(group, 9))
    assert server_hello_group(hello) == group
    found = Negotiated(version="TLSv1.3", cipher="C", group=server_hello_group(hello))
    assert str(found) == f"TLSv1.3, C, {said}"
    assert found.post_quantum is (group == 0x11EC)


def test_a_hello_retry_request_names_the_group_alone() -> None:
    assert server_hello_group(server_hello((51, b"\x11\xec"), VERSIONS)) == 0x11EC


@given(st.binary(max_size=200), st.integers(0, 120))
def test_any_bytes_give_a_group_or_nothing(data: bytes, cut: int) -> None:
    assert server_hello_group(data) in {None, *range(2**16)}
    whole = server_hello(VERSIONS, key_share(0x1D, 32))
    assert server_hello_group(whole) == 0x1D
    if cut < len(whole):
        assert server_hello_group(whole[:cut]) in {None, 0x1D}
    assert server_hello_group(server_hello(key_share(0x1D, 32), message=1)) is None
    assert server_hello_group(server_hello(key_share(0x1D, 32), kind=23)) is None
    assert server_hello_group(server_hello((51, b"\x1d"))) is None


def test_both_logs_have_it_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "exclave")
    world = new_world()

    async def play() -> None:
        async with serving(world, MemoryEngine()) as served:
            for client in (served.depositor, served.depositor, served.client()):
                await client.status()
            root = world.pack(2000).shards[SEAT]
            await served.depositor.put_shard(root.root, [root.prefix(), root.body])

    asyncio.run(play())
    lines = [record.getMessage() for record in caplog.records if "TLSv1.3" in record.getMessage()]
    depositor = identity_hash(world.depositor.identity.certificate).hex()
    said = [line.partition("TLSv1.3, ")[0] for line in lines]
    assert said.count(f"data listener: {depositor}: ") == 1
    assert said.count("public listener: anonymous: ") == 1
    assert said.count("seat 1: ") == 4, "each client once"
    assert all("key exchange unknown" not in line for line in lines), lines


def test_what_was_said_is_kept_within_bounds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "exclave")

    class Peer:
        def getpeercert(self, binary_form: bool) -> bytes:
            assert binary_form
            return b"leaf"

    def unknown(leaf: bytes) -> bytes:
        raise IdentityUnknown(f"no {leaf!r}")

    note = Connections("data", unknown)
    for number in range(3000):
        negotiated = Negotiated(version="TLSv1.3", cipher=str(number % 2000), group=None)
        note(negotiated, Peer())  # type: ignore[arg-type]
    assert len(note._said) <= 1024
    assert "data listener: anonymous: TLSv1.3, 5, key exchange unknown" in caplog.text
