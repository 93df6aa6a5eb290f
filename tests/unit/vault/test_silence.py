"""What is said of a vault that gives no answer."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from exclave.ids import Seat
from exclave.vault.client.silence import no_answer, why_silent


async def _nobody(session: aiohttp.ClientSession) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    await session.get(f"http://127.0.0.1:{port}/")


async def _hangs(session: aiohttp.ClientSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        await session.get(f"http://127.0.0.1:{port}/", timeout=aiohttp.ClientTimeout(total=0.05))


@pytest.mark.parametrize(
    ("ask", "said"), [(_nobody, "connection refused"), (_hangs, "it took too long")]
)
def test_what_the_client_library_wraps(
    ask: Callable[[aiohttp.ClientSession], Awaitable[None]], said: str
) -> None:
    async def asked() -> None:
        async with aiohttp.ClientSession() as session:
            await ask(session)

    with pytest.raises((aiohttp.ClientError, TimeoutError)) as failed:
        asyncio.run(asked())
    assert why_silent(failed.value) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (aiohttp.ServerDisconnectedError(), "it ended the line"),
        (socket.gaierror(-2, "Name or service not known"), "no such host"),
        (OSError(errno.EHOSTUNREACH, "x"), os.strerror(errno.EHOSTUNREACH).lower()),
        (aiohttp.ClientPayloadError("half"), "it ended in the middle"),
        (ssl.SSLError("what"), "SSLError"),
    ],
)
def test_others(error: Exception, said: str) -> None:
    assert why_silent(error) == said


def test_the_whole_names_seat_and_address() -> None:
    error = no_answer(Seat(2), "10.0.0.2:443", ConnectionRefusedError(errno.ECONNREFUSED, "x"))
    assert str(error) == "seat 2: no answer from 10.0.0.2:443: connection refused"
