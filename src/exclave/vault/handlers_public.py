"""The public listener: the record that anybody who reaches it may read (spec/vault-http.md 2)."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
from typing import Final

from aiohttp import web

from exclave.encoding import canonical_json
from exclave.ids import StatementHash
from exclave.ledger.entry import EntryType
from exclave.ledger.tiles import TILE_WIDTH, parse_tile_path
from exclave.vault.hosting import JSON_TYPE, Hosted, Hosting
from exclave.vault.interface import State, StatementState, VaultRefused
from exclave.vault.log import LogBroken
from exclave.vault.mission import Mission
from exclave.vault.problems import refused
from exclave.vault.rules import Party, PartyKind, find_party
from exclave.vault.storage import body_key, read_optional
from exclave.vault.submission import state_of, submit
from exclave.vault.wire import MAX_ANONYMOUS, MAX_BODY, write_statement_state, write_status

__all__ = ["add_public_routes", "find_peer", "read_hash"]

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TEXT: Final = "text/plain"
_BYTES: Final = "application/octet-stream"
_LARGE: Final = 2**20
_LATER: Final = frozenset({State.PENDING, State.INCOMPLETE, State.WAITING})


def add_public_routes(app: web.Application, hosting: Hosting) -> None:
    """The verbs of section 2; both listeners have them."""
    handlers = _Public(hosting)
    get = (
        ("/v1/status", handlers.vault_status),
        ("/v1/{mission}/status", handlers.status),
        ("/v1/{mission}/log/checkpoint", handlers.checkpoint),
        ("/v1/{mission}/log/{tile:tile/.+}", handlers.tile),
        ("/v1/{mission}/bodies/{hash}", handlers.body),
        ("/v1/{mission}/receipts/{type}/{hash}", handlers.receipt),
        ("/v1/{mission}/statements/{hash}", handlers.statement),
    )
    for path, handler in get:
        app.router.add_get(path, handler, allow_head=False)
    app.router.add_post("/v1/{mission}/statements", handlers.submit)


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
        missions = sorted(mission.hex() for mission in self._hosting.missions)
        body = canonical_json(
            {"protocol": [1], "software": self._hosting.software, "missions": list(missions)}
        )
        return web.Response(body=body, content_type=JSON_TYPE)

    async def status(self, request: web.Request) -> web.Response:
        hosted = self._hosting.hosted(request)
        body = await self._hosting.run(lambda: write_status(hosted.mission.status()))
        return web.Response(body=body, content_type=JSON_TYPE)

    async def checkpoint(self, request: web.Request) -> web.Response:
        note = self._hosting.hosted(request).mission.log.note
        return web.Response(body=note, content_type=_TEXT, charset="utf-8")

    async def tile(self, request: web.Request) -> web.Response:
        mission = self._hosting.hosted(request).mission
        tile = parse_tile_path(request.match_info["tile"])
        # Tiles beyond the checkpoint may be there after a crash: they are not in the log.
        end = ((tile.index * TILE_WIDTH) + tile.width) << (8 * (tile.level or 0))
        data = None
        if end <= mission.log.size:
            data = await self._hosting.run(read_optional, mission.store, f"log/{tile.path()}")
        if data is None:
            raise refused("not-found", f"{tile.path()}: not in this log")
        return web.Response(body=data, content_type=_BYTES)

    async def body(self, request: web.Request) -> web.Response:
        mission = self._hosting.hosted(request).mission
        data = await self._hosting.run(_body, mission, read_hash(request))
        if data is None:
            raise refused("not-found", "body: not here")
        return web.Response(body=data, content_type=_BYTES)

    async def receipt(self, request: web.Request) -> web.Response:
        hosted, digest = self._hosting.hosted(request), read_hash(request)
        text = await self._hosting.run(_receipt, hosted.mission, request.match_info["type"], digest)
        return web.Response(body=text, content_type=_TEXT, charset="utf-8")

    async def statement(self, request: web.Request) -> web.Response:
        hosted, digest = self._hosting.hosted(request), read_hash(request)
        state = await self._hosting.run(state_of, hosted.mission, StatementHash(digest))
        return _answer(state)

    async def submit(self, request: web.Request) -> web.Response:
        hosted = self._hosting.hosted(request)
        self._hosting.count_statement(request.remote)
        with self._hosting.slot(f"statements of {request.remote}", 4):
            most = await self._largest(request, hosted)
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


def find_peer(mission: Mission, identity: bytes) -> Party:
    """Who an identity is to a mission now; refused with `identity` when nobody."""
    with mission.lock:
        readers = [(warrant.reader, name.hex()) for name, warrant in mission.released(identity)]
        return find_party(identity, mission.charter(), readers)


def _body(mission: Mission, digest: bytes) -> bytes | None:
    data = read_optional(mission.store, body_key(digest))
    if data is not None and not hmac.compare_digest(hashlib.sha256(data).digest(), digest):
        raise LogBroken(f"body {digest.hex()}: its bytes are not what they were")
    return data


def _submit(hosted: Hosted, data: bytes) -> StatementState:
    return submit(hosted.mission, data)


def _receipt(mission: Mission, kind: str, digest: bytes) -> bytes:
    try:
        entry_type = EntryType(kind)
    except ValueError as error:
        raise refused("malformed", "path: no such type of entry") from error
    with mission.lock:
        number = mission.index.entry_number(entry_type, digest)
        if number is None:
            raise refused("not-found", f"{kind} {digest.hex()[:16]}: not in this log")
        head = mission.cosigned_head()
        return mission.log.receipt(number, None if head is None else head.note)


def _answer(state: StatementState) -> web.Response:
    status = 202 if state.state in _LATER else 200
    return web.Response(status=status, body=write_statement_state(state), content_type=JSON_TYPE)
