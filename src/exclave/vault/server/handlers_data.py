"""Shards in from depositors, out to readers; and in from bags, through the local door.

Each request of the data listener is authorised anew from the identity that issued the client's leaf
and the state of the mission at that moment (spec/vault-http.md 3); one through the local door from
the account that asks, and what a record here names (9).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from aiohttp import web

from exclave.dispersal.shard import ShardHasher
from exclave.errors import IntegrityError
from exclave.ids import ShardRoot, StatementHash
from exclave.vault.interface import VaultRefused
from exclave.vault.kept.rules import PartyKind, check_room, require_kind
from exclave.vault.kept.storage import shard_key
from exclave.vault.line.identity import identity_hash
from exclave.vault.line.local_door import require_own_account
from exclave.vault.line.problems import refused
from exclave.vault.line.wire import write_missing
from exclave.vault.mission.answering import find_peer, is_named, missing_of, require_shard
from exclave.vault.mission.carried import depositor_of
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.server.handlers_public import read_hash, versions
from exclave.vault.server.hosting import JSON_TYPE, Hosting

__all__ = ["add_carried_routes", "add_data_routes"]

_BATCH: Final = 2**20
"""Bytes handed to a worker thread at once: large enough that the hand-over costs nothing."""


def add_data_routes(app: web.Application, hosting: Hosting) -> None:
    """The verbs of section 3."""
    handlers = _Data(hosting)
    for start, _ in versions(hosting):
        app.router.add_put(f"{start}/shards/{{hash}}", handlers.put_shard)
        app.router.add_put(f"{start}/sealed-shards/{{hash}}", handlers.put_sealed_shard)
        app.router.add_get(f"{start}/shards/{{hash}}", handlers.get_shard, allow_head=False)
        app.router.add_get(f"{start}/missing/{{hash}}", handlers.missing, allow_head=False)


def add_carried_routes(app: web.Application, hosting: Hosting) -> None:
    """The shards of section 9: those of a bag."""
    path = "/v1/{mission}/carried-shards/{depositor}/{hash}"
    app.router.add_put(path, _Data(hosting).put_carried)


class _Data:
    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting

    async def put_shard(self, request: web.Request) -> web.Response:
        return await self._put(request, sealed=False)

    async def put_sealed_shard(self, request: web.Request) -> web.Response:
        return await self._put(request, sealed=True)

    async def put_carried(self, request: web.Request) -> web.Response:
        hosted, root = self._hosting.hosted(request), ShardRoot(read_hash(request))
        try:
            require_own_account(request)
            depositor = request.match_info["depositor"]
            identity = await self._hosting.run(depositor_of, hosted.mission, depositor, root)
            new = await self._store(request, hosted.mission, root, identity, sealed=True)
        except VaultRefused:
            await self._drain(request)
            raise
        if new:
            await hosted.tell()
        return web.Response(status=201 if new else 200)

    async def get_shard(self, request: web.Request) -> web.StreamResponse:
        hosted, root = self._hosting.hosted(request), ShardRoot(read_hash(request))
        identity = self._hosting.identity(request)
        party = await self._hosting.run(find_peer, hosted.mission, identity)
        require_kind(party, PartyKind.READER)
        await self._hosting.run(hosted.reading.check, identity, root)
        return await self._send(request, hosted.mission, root)

    async def missing(self, request: web.Request) -> web.Response:
        hosted, statement = self._hosting.hosted(request), StatementHash(read_hash(request))
        party = await self._hosting.run(find_peer, hosted.mission, self._hosting.identity(request))
        require_kind(party, PartyKind.DEPOSITOR)
        roots = await self._hosting.run(missing_of, hosted.mission, statement)
        return web.Response(body=write_missing(roots), content_type=JSON_TYPE)

    async def _put(self, request: web.Request, *, sealed: bool) -> web.Response:
        hosted, root = self._hosting.hosted(request), ShardRoot(read_hash(request))
        identity = self._hosting.identity(request)
        try:
            party = await self._hosting.run(find_peer, hosted.mission, identity)
            require_kind(party, PartyKind.DEPOSITOR)
            name = f"uploads of {identity_hash(identity).hex()}"
            with self._hosting.slot(name, self._hosting.limits.uploads_per_peer):
                new = await self._store(request, hosted.mission, root, identity, sealed=sealed)
        except VaultRefused:
            await self._drain(request)
            raise
        if new:
            await hosted.tell()
        return web.Response(status=201 if new else 200)

    async def _store(
        self,
        request: web.Request,
        mission: Mission,
        root: ShardRoot,
        identity: bytes,
        *,
        sealed: bool,
    ) -> bool:
        length = request.content_length
        if length is None:
            raise refused("malformed", "upload: expected a Content-Length, got none")
        if length > self._hosting.limits.shard_bytes:
            raise refused("too-large", f"shard: expected a smaller one, got {length} bytes")
        if await self._hosting.run(mission.shard_is_here, root):
            await self._drain(request)
            return False
        usage = await self._hosting.run(mission.reserve_room, length, identity)
        try:
            await self._hosting.run(mission.check_agreed, usage)
            named = await self._hosting.run(is_named, mission, root)
            limit = mission.staging_limit(identity)
            check_room(length, named=named, limit=limit, usage=usage)
            intake = await self._hosting.run(
                lambda: Intake(mission, root, sealed=sealed, uploader=identity)
            )
            return await self._receive(request, intake)
        finally:
            mission.release_room(length, identity)

    async def _receive(self, request: web.Request, intake: Intake) -> bool:
        """Read the next batch while the one before is hashed and written."""
        at_work: asyncio.Future[None] | None = None
        batch: list[bytes] = []
        size = 0
        try:
            limit = self._hosting.limits.shard_bytes
            async for piece in self._hosting.pieces(request, limit):
                batch.append(piece)
                size += len(piece)
                if size >= _BATCH:
                    if at_work is not None:
                        await at_work
                    at_work = asyncio.ensure_future(self._hosting.run(intake.feed, batch))
                    batch, size = [], 0
            if at_work is not None:
                await at_work
            await self._hosting.run(intake.feed, batch)
            return await asyncio.shield(self._hosting.run(intake.finish))
        finally:
            if at_work is not None:
                await asyncio.gather(at_work, return_exceptions=True)
            await asyncio.shield(self._hosting.run(intake.abort))

    async def _drain(self, request: web.Request) -> None:
        # A peer that is still sending would never see the answer if the line were cut now.
        with contextlib.suppress(VaultRefused, ConnectionError):
            async for _ in self._hosting.pieces(request, self._hosting.limits.shard_bytes):
                pass

    async def _send(
        self, request: web.Request, mission: Mission, root: ShardRoot
    ) -> web.StreamResponse:
        key = shard_key(root)
        await self._hosting.run(require_shard, mission, root)
        size = await self._hosting.run(mission.store.size, key)
        start, stop, partial = _range(request, size)
        check = None if partial else ShardHasher(root)
        answer = web.StreamResponse(status=206 if partial else 200)
        answer.content_type = "application/octet-stream"
        answer.content_length = stop - start
        if partial:
            answer.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        parts = [range(at, stop)[:_BATCH] for at in range(start, stop, _BATCH)]
        pieces = self._pieces(mission, key, parts, check)
        try:
            async for piece in pieces:
                if not answer.prepared:
                    await answer.prepare(request)
                async with asyncio.timeout(self._hosting.limits.idle_seconds):
                    await answer.write(piece)
        except IntegrityError as error:
            if not answer.prepared:
                raise
            # The last piece is held back: a shard that is not what it was never arrives whole.
            mission.note_corrupt(error.message)
            if request.transport is not None:
                request.transport.abort()
            return answer
        finally:
            await pieces.aclose()
        await answer.write_eof()
        return answer

    async def _pieces(
        self, mission: Mission, key: str, parts: Sequence[range], check: ShardHasher | None
    ) -> AsyncGenerator[bytes, None]:
        """The next piece is read and hashed while the one before is sent; never two at once."""

        def begin(number: int) -> asyncio.Future[bytes] | None:
            if number == len(parts):
                return None
            last = number + 1 == len(parts)
            work = self._hosting.run(_piece, mission, key, parts[number], check, last)
            return asyncio.ensure_future(work)

        ahead = begin(0)
        try:
            for following in range(1, len(parts) + 1):
                assert ahead is not None
                piece = await ahead
                ahead = begin(following)
                yield piece
        finally:
            if ahead is not None:
                await asyncio.gather(ahead, return_exceptions=True)


def _piece(
    mission: Mission, key: str, wanted: range, check: ShardHasher | None, last: bool
) -> bytes:
    """Bytes of a shard; with `check` the last ones only when the whole has its root."""
    piece = mission.store.get(key, wanted.start, len(wanted))
    if check is not None:
        check.feed(piece)
        if last:
            check.finish()
    return piece


def _range(request: web.Request, size: int) -> tuple[int, int, bool]:
    try:
        wanted = request.http_range
        start, stop, _ = wanted.indices(size)
    except ValueError as error:
        raise refused("malformed", "range: expected bytes=first-last") from error
    if not 0 <= start < stop:
        raise refused("malformed", "range: outside the shard")
    return start, stop, (start, stop) != (0, size)
