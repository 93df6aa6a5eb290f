"""A vault over the line: `HttpVault` is both the public record and the shard store of one seat.

Plain asyncio and aiohttp. It trusts exactly the one pinned identity; the system's certificate
stores, proxies and `REQUESTS_CA_BUNDLE` have no say. It does not retry
(`exclave.vault.client.retrying`). What comes back is bounded in size and, where it has a hash,
checked against it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

from exclave.clock import Clock
from exclave.dispersal.shard import parse_shard
from exclave.errors import IntegrityError, VaultUnreachable
from exclave.ids import MissionId, Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import origin_for
from exclave.ledger.note import MAX_COSIGNED_NOTE
from exclave.ledger.receipt import MAX_RECEIPT_SIZE
from exclave.vault.buffers import ShardBuffers
from exclave.vault.client.pace import PIECE, Pace
from exclave.vault.client.silence import no_answer
from exclave.vault.interface import MissionStatus, StatementState, WitnessReply
from exclave.vault.line.addresses import Address
from exclave.vault.line.http_library import aiohttp
from exclave.vault.line.identity import Identity
from exclave.vault.line.negotiated import Negotiated
from exclave.vault.line.own_leaf import OwnLeaf
from exclave.vault.line.problems import read_problem, refused
from exclave.vault.line.protocol import ASKED_AT, PROTOCOLS, choose_protocol, read_spoken
from exclave.vault.line.tls import client_context, not_trusted
from exclave.vault.line.wire import (
    MAX_ANONYMOUS,
    MAX_BODY,
    MAX_SHARD,
    MAX_SMALL,
    MAX_TILE,
    read_missing,
    read_statement_state,
    read_status,
)

__all__ = ["BodyCorrupt", "HttpVault"]

_LOG = logging.getLogger(__name__)
_PIECE: Final = 2**20
_OK: Final = 200


class BodyCorrupt(IntegrityError):
    """A vault sent a body that does not have the hash it was asked for by."""


class HttpVault:
    """One mission at one seat; use as `async with`. Needs `identity` for shards only."""

    def __init__(
        self,
        *,
        mission: MissionId,
        seat: Seat,
        anchor: bytes,
        public: Address,
        data: Address | None = None,
        identity: Identity | None = None,
        clock: Clock,
        connections: int = 8,
        idle_seconds: float = 60,
        pace: Pace | None = None,
        protocols: Sequence[int] = PROTOCOLS,
    ) -> None:
        """`anchor` is the vault's identity certificate (DER); `pace` holds back what is sent.

        `protocols` is for tests.
        """
        self._protocols = tuple(protocols)
        self._protocol: int | None = None  # agreed with the vault, once it was asked
        self._mission = mission
        self._seat = seat
        self._public = f"https://{public}"
        self._data = None if data is None else f"https://{data}"
        self._identity = identity
        self._context = client_context(anchor)
        self._context.note = self._note
        self._noted: Negotiated | None = None
        self._leaf: OwnLeaf | None = None
        if identity is not None:
            self._leaf = OwnLeaf(identity, server=False, clock=clock)
            self._leaf.show(self._context)  # made when it is needed
        self._connections = connections
        self._pace = pace
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=idle_seconds, sock_read=idle_seconds
        )
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @property
    def seat(self) -> Seat:
        return self._seat

    async def checkpoint(self) -> bytes:
        return await self._get(self._public, "log/checkpoint", MAX_SMALL)

    async def cosigned(self) -> bytes:
        return await self._get(self._public, "log/cosigned", MAX_COSIGNED_NOTE)

    async def witness_head(self, log: Seat) -> bytes:
        name = hashlib.sha256(origin_for(self._mission, log).encode()).hexdigest()
        return await self._get(self._public, f"witness/{name}/checkpoint", MAX_COSIGNED_NOTE)

    async def tile(self, path: str) -> bytes:
        return await self._get(self._public, f"log/{path}", MAX_TILE)

    async def body(self, sha256: bytes) -> bytes:
        data = await self._get(self._public, f"bodies/{sha256.hex()}", MAX_BODY)
        got = await asyncio.to_thread(lambda: hashlib.sha256(data).digest())
        if not hmac.compare_digest(got, sha256):
            raise BodyCorrupt(
                f"body from seat {self._seat}: expected {sha256.hex()}, got {got.hex()}"
            )
        return data

    async def status(self) -> MissionStatus:
        data = await self._get(self._public, "status", MAX_BODY)
        return read_status(data, await self._spoken(self._public))

    async def receipt(self, entry_type: str, sha256: bytes) -> str:
        path = f"receipts/{entry_type}/{sha256.hex()}"
        try:
            return (await self._get(self._public, path, MAX_RECEIPT_SIZE)).decode("utf-8")
        except UnicodeDecodeError as error:
            raise IntegrityError(f"receipt from seat {self._seat}: not UTF-8") from error

    async def submit(self, envelope: bytes) -> StatementState:
        large = len(envelope) > MAX_ANONYMOUS and self._identity is not None
        line = self._line() if large else self._public
        _, body = await self._request("POST", line, "statements", MAX_SMALL, [envelope])
        return read_statement_state(body)

    async def statement(self, statement: StatementHash) -> StatementState:
        path = f"statements/{statement.hex()}"
        return read_statement_state(await self._get(self._public, path, MAX_SMALL))

    async def put_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        return await self._put(f"shards/{root.hex()}", parts)

    async def put_sealed_shard(self, root: ShardRoot, parts: Sequence[bytes | memoryview]) -> bool:
        return await self._put(f"sealed-shards/{root.hex()}", parts)

    async def get_shard(self, root: ShardRoot) -> bytes:
        data = await self._get(self._line(), f"shards/{root.hex()}", MAX_SHARD)
        await asyncio.to_thread(parse_shard, data, root)
        return data

    async def read_unchecked(self, root: ShardRoot, into: ShardBuffers) -> None:
        async with self._answer("GET", self._line(), f"shards/{root.hex()}") as answer:
            if answer.status != _OK:
                raise read_problem(await self._read(answer, MAX_SMALL), answer.status)
            taken = 0
            async for piece in answer.content.iter_any():
                into.put(taken, piece)
                taken += len(piece)
            into.require(taken)

    async def missing(self, statement: StatementHash) -> tuple[ShardRoot, ...]:
        return read_missing(await self._get(self._line(), f"missing/{statement.hex()}", MAX_BODY))

    async def add_checkpoint(self, request: bytes) -> WitnessReply:
        path = "witness/add-checkpoint"
        status, body = await self._exchange("POST", self._public, path, MAX_SMALL, [request])
        return WitnessReply(status=status, body=body)

    async def _put(self, path: str, parts: Sequence[bytes | memoryview]) -> bool:
        status, _ = await self._request("PUT", self._line(), path, MAX_SMALL, parts)
        return status == 201

    async def _get(self, line: str, path: str, limit: int) -> bytes:
        return (await self._request("GET", line, path, limit))[1]

    def _line(self) -> str:
        if self._data is None or self._identity is None:
            raise refused("identity", f"seat {self._seat}: shards need an identity of the mission")
        return self._data

    async def _request(
        self,
        method: str,
        line: str,
        path: str,
        limit: int,
        parts: Sequence[bytes | memoryview] | None = None,
    ) -> tuple[int, bytes]:
        status, body = await self._exchange(method, line, path, limit, parts)
        if status in {200, 201, 202}:
            return status, body
        error = read_problem(body, status)
        if error.cause == "unknown-version":
            self._protocol = None  # it was upgraded meanwhile: asked anew by the next request
        raise error

    async def _exchange(
        self,
        method: str,
        line: str,
        path: str,
        limit: int,
        parts: Sequence[bytes | memoryview] | None = None,
    ) -> tuple[int, bytes]:
        async with self._answer(method, line, path, parts) as answer:
            return answer.status, await self._read(answer, limit)

    async def _spoken(self, line: str) -> int:
        """The version of the protocol, agreed on over a line before anything else is sent there."""
        if self._protocol is None:
            async with self._send("GET", f"{line}{ASKED_AT}") as answer:
                body = await self._read(answer, MAX_SMALL)
            if answer.status != _OK:
                raise read_problem(body, answer.status)
            self._protocol = choose_protocol(
                read_spoken(body), ours=self._protocols, party=f"seat {self._seat}"
            )
        return self._protocol

    @asynccontextmanager
    async def _answer(
        self, method: str, line: str, path: str, parts: Sequence[bytes | memoryview] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = f"{line}/v{await self._spoken(line)}/{self._mission.hex()}/{path}"
        async with self._send(method, url, parts) as answer:
            yield answer

    @asynccontextmanager
    async def _send(
        self, method: str, url: str, parts: Sequence[bytes | memoryview] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {} if parts is None else {"Content-Length": str(sum(len(p) for p in parts))}
        try:
            async with self._open().request(
                method,
                url,
                data=None if parts is None else _pieces(parts, self._pace),
                headers=headers,
                ssl=self._context,
                allow_redirects=False,
            ) as answer:
                yield answer
        except aiohttp.ClientConnectorCertificateError as error:
            raise not_trusted(self._seat, error.certificate_error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._protocol = None  # it may come back upgraded
            raise no_answer(self._seat, url.split("/")[2], error) from error

    async def _read(self, answer: aiohttp.ClientResponse, limit: int) -> bytes:
        length = answer.content_length
        if length is not None and length > limit:
            raise VaultUnreachable(f"seat {self._seat}: expected at most {limit} bytes, got more")
        if length is not None:
            return await answer.read()
        taken = bytearray()
        async for piece in answer.content.iter_any():
            taken += piece
            if len(taken) > limit:
                raise VaultUnreachable(
                    f"seat {self._seat}: expected at most {limit} bytes, got more"
                )
        return bytes(taken)

    def _note(self, negotiated: Negotiated, connection: ssl.SSLObject) -> None:
        """Log what a connection came to, once and when it changes."""
        del connection
        if negotiated != self._noted:
            self._noted = negotiated
            _LOG.info("seat %s: %s", self._seat, negotiated)

    def _open(self) -> aiohttp.ClientSession:
        if self._leaf is not None:
            self._leaf.renew()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._context),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"Accept-Encoding": "identity"},
            )
        return self._session


async def _pieces(
    parts: Sequence[bytes | memoryview], pace: Pace | None
) -> AsyncIterator[bytes | memoryview]:
    size = _PIECE if pace is None else PIECE
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), size):
            piece = view[start : start + size]
            if pace is not None:
                await pace(len(piece))
            yield piece
