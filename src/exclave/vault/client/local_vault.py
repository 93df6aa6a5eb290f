"""A vault that is served, asked through its local door (spec/vault-http.md 9).

For whoever has its folder and finds it locked by its server. Statements and sealed shards go in and
nothing comes out but where a statement stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from exclave.errors import VaultUnreachable
from exclave.ids import MissionId, Seat, ShardRoot, StatementHash
from exclave.vault.client.silence import why_silent
from exclave.vault.interface import StatementState
from exclave.vault.line.http_library import aiohttp
from exclave.vault.line.local_door import SOCKET, local_path
from exclave.vault.line.problems import read_problem
from exclave.vault.line.wire import MAX_SMALL, read_statement_state

__all__ = ["LocalVault"]

_IDLE_SECONDS: Final = 600
"""Its disk may be slow; that its server has ended is noticed at once."""


class LocalVault:
    """One mission of the vault in a folder; a `CarriedStore`, to be used as `async with`."""

    def __init__(self, folder: Path, mission: MissionId, seat: Seat) -> None:
        self._folder = folder
        self._seat = seat
        self._mission = mission.hex()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._path = local_path(self._folder)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(self._path.__enter__())),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=_IDLE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()
        self._path.__exit__(None, None, None)

    async def submit(self, envelope: bytes) -> StatementState:
        """See `CarriedStore`."""
        return read_statement_state((await self._ask("POST", "statements", [envelope]))[1])

    async def statement(self, statement: StatementHash) -> StatementState:
        """See `CarriedStore`."""
        return read_statement_state((await self._ask("GET", f"statements/{statement.hex()}"))[1])

    async def put_carried_shard(
        self, depositor: str, root: ShardRoot, parts: Sequence[bytes | memoryview]
    ) -> bool:
        """See `CarriedStore`."""
        path = f"carried-shards/{depositor}/{root.hex()}"
        return (await self._ask("PUT", path, parts))[0] == 201

    async def _ask(
        self, method: str, path: str, parts: Sequence[bytes | memoryview] | None = None
    ) -> tuple[int, bytes]:
        assert self._session is not None
        data = None if parts is None else b"".join(parts)
        url = f"http://vault/v1/{self._mission}/{path}"
        try:
            async with self._session.request(
                method, url, data=data, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MAX_SMALL)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VaultUnreachable(
                f"seat {self._seat}: no answer from its server at {self._folder / SOCKET}: "
                f"{why_silent(error)}",
                hint="what it took before stays; run the same command again, with the server "
                "running or stopped",
            ) from error
        if answer.status in {200, 201, 202}:
            return answer.status, body
        raise read_problem(body, answer.status)
