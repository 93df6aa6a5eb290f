"""The witness protocol's verbs, on both listeners (spec/vault-http.md 7).

Status codes of add-checkpoint are those of C2SP tlog-witness, as plain text. Only what concerns
the server and not the request (no such mission, too many at once, no room) has problem documents.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from exclave.ledger.note import encode_signatures
from exclave.ledger.witness import MAX_ADD_CHECKPOINT, Answer
from exclave.vault.interface import VaultRefused
from exclave.vault.line.problems import refused
from exclave.vault.mission.cosigning import newest_cosigned, witness_checkpoint
from exclave.vault.mission.mission import Mission
from exclave.vault.server.handlers_public import read_hash, versions
from exclave.vault.server.hosting import Hosting

__all__ = ["add_witness_routes"]

_TEXT: Final = "text/plain"
_SIZE: Final = "text/x.tlog.size"
_AT_ONCE: Final = 8
"""Requests of one address: each that is accepted costs two signatures and a write."""


def add_witness_routes(app: web.Application, hosting: Hosting) -> None:
    """The verbs of section 7."""
    handlers = _Witness(hosting)
    for start, _ in versions(hosting):
        app.router.add_post(f"{start}/witness/add-checkpoint", handlers.add_checkpoint)
        get = (
            ("witness/{hash}/checkpoint", handlers.newest),
            ("log/cosigned", handlers.cosigned),
        )
        for path, handler in get:
            app.router.add_get(f"{start}/{path}", handler, allow_head=False)


class _Witness:
    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting

    async def add_checkpoint(self, request: web.Request) -> web.Response:
        hosted = self._hosting.hosted(request)
        with self._hosting.slot(f"witness of {request.remote}", _AT_ONCE):
            try:
                pieces = self._hosting.pieces(request, MAX_ADD_CHECKPOINT)
                body = b"".join([piece async for piece in pieces])
            except VaultRefused as error:
                if error.cause != "too-large":
                    raise
                return _plain(Answer.MALFORMED, error.message)
            size = hosted.mission.log.size
            found = await self._hosting.run(witness_checkpoint, hosted.mission, body)
        if hosted.mission.log.size != size:
            await hosted.tell()  # evidence was logged
        decision = found.decision
        if decision.answer is Answer.COSIGNED:
            return web.Response(
                body=encode_signatures(found.lines), content_type=_TEXT, charset="utf-8"
            )
        if decision.answer is Answer.OTHER_SIZE:
            return web.Response(
                status=decision.answer, body=b"%d\n" % (decision.kept or 0), content_type=_SIZE
            )
        return _plain(decision.answer, decision.why)

    async def newest(self, request: web.Request) -> web.Response:
        mission, wanted = self._hosting.hosted(request).mission, read_hash(request)
        note = await self._hosting.run(_newest, mission, wanted)
        return web.Response(body=note, content_type=_TEXT, charset="utf-8")

    async def cosigned(self, request: web.Request) -> web.Response:
        mission = self._hosting.hosted(request).mission
        note = await self._hosting.run(_cosigned, mission)
        return web.Response(body=note, content_type=_TEXT, charset="utf-8")


def _newest(mission: Mission, wanted: bytes) -> bytes:
    note = newest_cosigned(mission, wanted)
    if note is None:
        raise refused("not-found", "checkpoint: this witness has cosigned none of that log")
    return note


def _cosigned(mission: Mission) -> bytes:
    head = mission.cosigned_head()
    if head is None:
        raise refused("not-found", "checkpoint: no witness quorum has cosigned this log yet")
    return head.note.encode()


def _plain(status: Answer, why: str) -> web.Response:
    return web.Response(status=status, text=f"{why}\n", content_type=_TEXT)
