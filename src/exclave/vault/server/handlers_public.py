"""The public listener: the record that anybody who reaches it may read (spec/vault-http.md 2)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from aiohttp import web

from exclave.ids import StatementHash
from exclave.vault.interface import State, StatementState, VaultRefused
from exclave.vault.kept.rules import PartyKind
from exclave.vault.line.local_door import require_own_account
from exclave.vault.line.problems import refused
from exclave.vault.line.protocol import ASKED_AT, write_spoken
from exclave.vault.line.wire import MAX_ANONYMOUS, MAX_BODY, write_statement_state, write_status
from exclave.vault.mission.answering import body_of, find_peer, receipt_of, tile_of
from exclave.vault.mission.submission import state_of, submit
from exclave.vault.server.hosting import JSON_TYPE, Hosted, Hosting

__all__ = ["add_local_routes", "add_public_routes", "read_hash", "versions"]

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TEXT: Final = "text/plain"
_BYTES: Final = "application/octet-stream"
_LARGE: Final = 2**20
_LATER: Final = frozenset({State.PENDING, State.INCOMPLETE, State.WAITING})


def add_public_routes(app: web.Application, hosting: Hosting) -> None:
    """The verbs of section 2; both listeners have them."""
    handlers = _Public(hosting)
    get = (
        ("log/checkpoint", handlers.checkpoint),
        ("log/{tile:tile/.+}", handlers.tile),
        ("bodies/{hash}", handlers.body),
        ("receipts/{type}/{hash}", handlers.receipt),
        ("statements/{hash}", handlers.statement),
    )
    app.router.add_get(ASKED_AT, handlers.vault_status, allow_head=False)
    for start, protocol in versions(hosting):
        status = partial(handlers.status, protocol)
        app.router.add_get(f"{start}/status", status, allow_head=False)
        for path, handler in get:
            app.router.add_get(f"{start}/{path}", handler, allow_head=False)
        app.router.add_post(f"{start}/statements", handlers.submit)


def versions(hosting: Hosting) -> Iterator[tuple[str, int]]:
    """How paths about a mission begin, in each version of the protocol that is spoken."""
    for protocol in hosting.protocols:
        yield f"/v{protocol}/{{mission}}", protocol


def add_local_routes(app: web.Application, hosting: Hosting) -> None:
    """The statements of section 9: those of a bag, as many as it has."""
    handlers = _Public(hosting)
    app.router.add_post("/v1/{mission}/statements", handlers.submit_local)
    path = "/v1/{mission}/statements/{hash}"
    app.router.add_get(path, handlers.statement_local, allow_head=False)


def read_hash(request: web.Request) -> bytes:
    """The hash that a path names."""
    text = request.match_info["hash"]
    if not _HASH.fullmatch(text):
        raise refused("malformed", "path: expected 64 lower-case hex digits")
    return bytes.fromhex(text)


class _Public:
    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting

    async def vault_status(self, _: web.Request) -> web.Response:
        body = write_spoken(self._hosting.protocols, list(self._hosting.missions))
        return web.Response(body=body, content_type=JSON_TYPE)

    async def status(self, protocol: int, request: web.Request) -> web.Response:
        hosted = self._hosting.hosted(request)
        body = await self._hosting.run(lambda: write_status(hosted.mission.status(), protocol))
        return web.Response(body=body, content_type=JSON_TYPE)

    async def checkpoint(self, request: web.Request) -> web.Response:
        note = self._hosting.hosted(request).mission.log.note
        return web.Response(body=note, content_type=_TEXT, charset="utf-8")

    async def tile(self, request: web.Request) -> web.Response:
        mission = self._hosting.hosted(request).mission
        data = await self._hosting.run(tile_of, mission, request.match_info["tile"])
        return web.Response(body=data, content_type=_BYTES)

    async def body(self, request: web.Request) -> web.Response:
        mission = self._hosting.hosted(request).mission
        data = await self._hosting.run(body_of, mission, read_hash(request))
        return web.Response(body=data, content_type=_BYTES)

    async def receipt(self, request: web.Request) -> web.Response:
        hosted, digest = self._hosting.hosted(request), read_hash(request)
        kind = request.match_info["type"]
        text = await self._hosting.run(receipt_of, hosted.mission, kind, digest)
        return web.Response(body=text, content_type=_TEXT, charset="utf-8")

    async def statement(self, request: web.Request) -> web.Response:
        hosted, digest = self._hosting.hosted(request), read_hash(request)
        state = await self._hosting.run(state_of, hosted.mission, StatementHash(digest))
        return _answer(state)

    async def submit(self, request: web.Request) -> web.Response:
        hosted = self._hosting.hosted(request)
        self._hosting.count_statement(request.remote)
        with self._hosting.slot(f"statements of {request.remote}", 4):
            return await self._take(request, hosted, await self._largest(request, hosted))

    async def submit_local(self, request: web.Request) -> web.Response:
        require_own_account(request)
        return await self._take(request, self._hosting.hosted(request), MAX_BODY)

    async def statement_local(self, request: web.Request) -> web.Response:
        require_own_account(request)
        return await self.statement(request)

    async def _take(self, request: web.Request, hosted: Hosted, most: int) -> web.Response:
        data = b"".join([piece async for piece in self._hosting.pieces(request, most)])
        # Parsing takes many times a statement's size in memory: large ones one at a time.
        gate = self._hosting.parsing if len(data) > _LARGE else contextlib.nullcontext()
        async with gate:
            state = await self._hosting.run(_submit, hosted, data)
        await self._hosting.trust(hosted)  # before the answer: a reader may connect at once
        await hosted.tell()
        return _answer(state)

    async def _largest(self, request: web.Request, hosted: Hosted) -> int:
        """Bytes of a statement: more from a depositor or vault that says who it is."""
        if not self._hosting.certified(request):
            return MAX_ANONYMOUS
        identity = self._hosting.identity(request)
        try:
            party = await self._hosting.run(find_peer, hosted.mission, identity)
        except VaultRefused:
            return MAX_ANONYMOUS
        return MAX_ANONYMOUS if party.kind is PartyKind.READER else MAX_BODY


def _submit(hosted: Hosted, data: bytes) -> StatementState:
    return submit(hosted.mission, data)


def _answer(state: StatementState) -> web.Response:
    status = 202 if state.state in _LATER else 200
    return web.Response(status=status, body=write_statement_state(state), content_type=JSON_TYPE)
