"""A vault asked only how it stands: the same answer as over the whole line, and no other's."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from socket import create_server
from threading import Thread

import pytest

from exclave import clock
from exclave.engine.memory import MemoryEngine
from exclave.errors import ExclaveError, MalformedData, VaultUnreachable
from exclave.ids import MissionId, Seat
from exclave.vault.client.asked import Asked, ask_answer, ask_answers
from exclave.vault.interface import Answer, VaultRefused
from exclave.vault.line.addresses import Address
from exclave.vault.line.identity import issue_leaf, new_identity
from exclave.vault.line.protocol import PROTOCOLS, write_spoken
from exclave.vault.line.tls import server_context
from exclave.vault.line.wire import MAX_BODY
from tests.support.serving import SEAT, Served, serving
from tests.support.vault_world import new_world

MISSION = MissionId(bytes(32))
STRANGER = new_identity("stranger", clock.now())


@contextmanager
def _answering(sent: bytes) -> Iterator[Asked]:
    """A vault that says what it speaks, and answers the next question with these bytes."""
    spoken = write_spoken(PROTOCOLS, [])
    first = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(spoken), spoken)
    context = server_context(issue_leaf(STRANGER, server=True, now=clock.now()), None)

    def answer() -> None:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as line:
            for answer in (first, sent):
                line.recv(4096)
                line.sendall(answer)

    with closing(create_server(("127.0.0.1", 0))) as listener:
        thread = Thread(target=answer)
        thread.start()
        host, port = listener.getsockname()
        yield Asked(seat=SEAT, public=Address(host, port), anchor=STRANGER.certificate)
        thread.join()


def _asked(served: Served, anchor: bytes | None = None) -> Asked:
    assert served.server.public is not None
    own = served.world.vaults[SEAT].identity.certificate
    return Asked(seat=SEAT, public=served.server.public, anchor=anchor or own)


def test_it_says_what_the_whole_line_says() -> None:
    async def body() -> None:
        world = new_world()
        async with serving(world, MemoryEngine()) as served:
            asked = _asked(served)
            told = await asyncio.to_thread(ask_answer, world.mission, asked, seconds=20)
            answer = told.status
            same = await served.client().status()
            # Time and disks go on between the two.
            assert answer == replace(same, service=answer.service, free_bytes=answer.free_bytes)
            assert (answer.seat, answer.mission) == (SEAT, world.mission)

    asyncio.run(body())


def test_each_vault_answers_or_has_its_reason() -> None:
    async def body() -> dict[Seat, Answer | str]:
        world = new_world()
        async with serving(world, MemoryEngine()) as served:
            good, other = _asked(served), _asked(served, STRANGER.certificate)
            with closing(create_server(("127.0.0.1", 0))) as listener:
                free = Address("127.0.0.1", listener.getsockname()[1])
            nobody = Asked(seat=Seat(3), public=free, anchor=good.anchor)
            vaults = {Seat(1): good, Seat(2): other, Seat(3): nobody}
            return dict(await asyncio.to_thread(ask_answers, world.mission, vaults, seconds=20))

    answers = asyncio.run(body())
    assert isinstance(answers[Seat(1)], Answer)
    assert "expected the pinned identity, got another certificate" in str(answers[Seat(2)])
    assert "seat 3: no answer from 127.0.0.1:" in str(answers[Seat(3)])


def test_a_refusal_is_read_as_one() -> None:
    async def body() -> None:
        async with serving(new_world(), MemoryEngine()) as served:
            with pytest.raises(VaultRefused) as caught:
                await asyncio.to_thread(ask_answer, MISSION, _asked(served), seconds=20)
            assert caught.value.cause == "unknown-mission"

    asyncio.run(body())


@pytest.mark.parametrize(
    ("sent", "error", "said"),
    [
        (b"", VaultUnreachable, "it ended the line"),
        (b"SSH-2.0-OpenSSH\r\n", VaultUnreachable, "it does not speak HTTP"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            VaultUnreachable,
            "it ended in the middle",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", MalformedData, "expected"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", VaultRefused, "302"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
            VaultUnreachable,
            f"at most {MAX_BODY} bytes",
        ),
    ],
)
def test_other_answers_are_named(sent: bytes, error: type[ExclaveError], said: str) -> None:
    with _answering(sent) as asked, pytest.raises(error, match=said):
        ask_answer(MISSION, asked, seconds=20)


def test_silence_ends_in_time() -> None:
    with closing(create_server(("127.0.0.1", 0))) as listener:
        place = Address("127.0.0.1", listener.getsockname()[1])
        silent = Asked(seat=SEAT, public=place, anchor=STRANGER.certificate)
        with pytest.raises(VaultUnreachable, match="it took too long"):
            ask_answer(MISSION, silent, seconds=0.1)


def test_certificates_of_the_system_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a context of ours, nor by those that aiohttp makes as it is imported."""
    from aiohttp import connector

    from exclave.vault.line import http_library

    assert http_library.aiohttp.connector is connector
    monkeypatch.setenv("SSL_CERT_FILE", "as it was")
    with http_library._no_certificates():
        assert not ssl.create_default_context().get_ca_certs()
    assert os.environ["SSL_CERT_FILE"] == "as it was"
