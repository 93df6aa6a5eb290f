"""What the handlers of both listeners share: missions, limits, peers and worker threads."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, TypeVar

from aiohttp import web

from exclave.clock import Clock, now
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId
from exclave.values import dataclass, field
from exclave.vault.installation.config import Limits
from exclave.vault.interface import VaultRefused
from exclave.vault.kept.refusals import ANONYMOUS, Refusals
from exclave.vault.line.identity import IdentityUnknown, expiry, identity_hash, issuing_anchor
from exclave.vault.line.problems import CONTENT_TYPE, as_refusal, problem_document, refused
from exclave.vault.line.protocol import ASKED_AT, PROTOCOLS, SOFTWARE, protocols_text
from exclave.vault.line.tls import add_anchors
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.reading import ReadingList

__all__ = ["JSON_TYPE", "Hosted", "Hosting", "problem_middleware"]

T = TypeVar("T")
JSON_TYPE: Final = "application/json"
_LOG = logging.getLogger(__name__)
_SLOWEST: Final = 16 * 1024
"""Bytes a second below which a body is given up: else a thousand trickling peers hold us."""
_KNOWN_LEAVES: Final = 1024
_VERSION: Final = re.compile(r"/v([0-9]{1,6})/")
_LAST_DAYS: Final = timedelta(days=2)
"""Clients renew a leaf long before: one that ends sooner is shown by an old connection only."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Who issued a leaf, and until when it is good."""

    anchor: bytes
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """A mission and what belongs to it while the vault serves."""

    mission: Mission
    reading: ReadingList
    refusals: Refusals
    changed: asyncio.Condition  # told when a statement was logged: wakes mirroring and anchors

    @classmethod
    def of(cls, mission: Mission) -> Hosted:
        """Ready to be served."""
        return cls(
            mission=mission,
            reading=ReadingList(mission),
            refusals=Refusals(mission.mission, mission.clock),
            changed=asyncio.Condition(),
        )

    async def news(self, seen: int) -> None:
        """Wait until the log has more than `seen` entries."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.mission.log.size > seen)

    async def tell(self) -> None:
        """The log may have grown."""
        async with self.changed:
            self.changed.notify_all()


@dataclass(kw_only=True)
class Hosting:
    """State of a running vault."""

    missions: Mapping[MissionId, Hosted]
    limits: Limits
    protocols: tuple[int, ...] = PROTOCOLS
    workers: ThreadPoolExecutor
    clock: Clock = now  # the machine's, which handshakes go by too; not a mission's
    anchors: frozenset[bytes] = frozenset()  # identities of all missions, as of the last statement
    parsing: asyncio.Lock = field(default_factory=asyncio.Lock)  # of large statements
    busy: Counter[str] = field(default_factory=Counter)
    leaves: dict[bytes, Issued] = field(default_factory=dict)
    requests: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Answered so far, by mission, kind and outcome."""
    line: ssl.SSLContext | None = None  # the data listener's
    statements: Counter[str] = field(default_factory=Counter)  # by address, of one minute
    minute: int = 0

    def hosted(self, request: web.Request) -> Hosted:
        """The mission that a path names; refused with `unknown-mission`."""
        text = request.match_info["mission"]
        try:
            return self.missions[MissionId(bytes.fromhex(text))]
        except (KeyError, ValueError) as error:
            raise refused("unknown-mission", "this vault holds no such mission") from error

    async def run(self, call: Callable[..., T], *values: object) -> T:
        """A blocking call in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, call, *values)

    async def trust(self, hosted: Hosted) -> None:
        """Let the identities that the mission's log names connect from now on."""
        # Asked for in a worker thread and kept: the event loop never waits for a mission's lock.
        found = await self.run(hosted.mission.anchors)
        self.anchors |= found
        if self.line is not None:
            add_anchors(self.line, found)

    def certified(self, request: web.Request) -> bool:
        """Whether the peer showed a certificate, which the handshake has verified."""
        connection = request.get_extra_info("ssl_object")
        return connection is not None and connection.getpeercert(True) is not None

    def identity(self, request: web.Request) -> bytes:
        """The pinned identity behind a connection of the data listener."""
        connection = request.get_extra_info("ssl_object")
        leaf = connection.getpeercert(True) if connection is not None else None
        if leaf is None:
            raise refused("identity", "expected a client certificate, got none")
        try:
            issued = self._issued(leaf)
        except IdentityUnknown as error:
            raise refused("identity", error.message) from error
        if self.clock() >= issued.expires:
            # The handshake was in time; the connection has outlived what it was opened with.
            raise refused("identity", "client certificate: ran out since the connection was opened")
        return issued.anchor

    def issuer(self, leaf: bytes) -> bytes:
        """The pinned identity that issued a leaf; raises `IdentityUnknown`."""
        return self._issued(leaf).anchor

    def outlived(self, request: web.Request) -> bool:
        """Whether the next request should come over a new connection, under a renewed leaf."""
        connection = request.get_extra_info("ssl_object")
        leaf = None if connection is None else connection.getpeercert(True)
        issued = None if leaf is None else self.leaves.get(leaf)
        return issued is not None and self.clock() >= issued.expires - _LAST_DAYS

    def _issued(self, leaf: bytes) -> Issued:
        known = self.leaves.get(leaf)
        if known is None:
            anchor = issuing_anchor(leaf, self.anchors)
            known = Issued(anchor=anchor, expires=expiry(leaf))
            if len(self.leaves) >= _KNOWN_LEAVES:
                self.leaves.clear()
            self.leaves[leaf] = known
        return known

    def peer(self, request: web.Request) -> str:
        """How refusals name a peer."""
        if not self.certified(request):
            return ANONYMOUS
        try:
            return identity_hash(self.identity(request)).hex()
        except VaultRefused:
            return ANONYMOUS

    @contextmanager
    def slot(self, name: str, most: int) -> Iterator[None]:
        """One of `most` things that a peer may do at once; refused with `rate`."""
        if self.busy[name] >= most:
            raise refused("rate", f"expected at most {most} requests at once, got more")
        self.busy[name] += 1
        try:
            yield
        finally:
            self.busy[name] -= 1
            if not self.busy[name]:
                del self.busy[name]

    def count_statement(self, address: str | None) -> None:
        """One more statement from an address; refused with `rate` beyond the limit a minute."""
        minute = int(asyncio.get_running_loop().time() // 60)
        if minute != self.minute:
            self.minute = minute
            self.statements.clear()
        name = str(address)
        self.statements[name] += 1
        if self.statements[name] > self.limits.statements_per_minute:
            raise refused("rate", "expected fewer statements a minute")

    async def pieces(self, request: web.Request, most: int) -> AsyncIterator[bytes]:
        """A request's body; gives up a peer that is too slow or sends too much."""
        length = request.content_length
        if length is not None and length > most:
            raise refused("too-large", f"body: expected at most {most} bytes, got {length}")
        taken = 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limits.idle_seconds + (length or most) / _SLOWEST
        while True:
            wait = min(self.limits.idle_seconds, max(0.0, deadline - loop.time()))
            try:
                async with asyncio.timeout(wait):
                    piece = await request.content.readany()
            except TimeoutError as error:
                raise refused("rate", "body: came too slowly") from error
            if not piece:
                return
            taken += len(piece)
            if taken > most:
                raise refused("too-large", f"body: expected at most {most} bytes, got more")
            yield piece


def problem_middleware(
    hosting: Hosting,
) -> Callable[[web.Request, Callable[..., object]], object]:
    """Turns errors into problem documents and counts refusals."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], object]
    ) -> web.StreamResponse:
        answer = await _answered(hosting, request, handler)
        if hosting.outlived(request):
            answer.force_close()
        return answer

    return middleware


async def _answered(
    hosting: Hosting, request: web.Request, handler: Callable[[web.Request], object]
) -> web.StreamResponse:
    peer = hosting.peer(request)
    name = peer if peer != ANONYMOUS else f"address {request.remote}"
    try:
        with hosting.slot(name, hosting.limits.requests_per_peer):
            response: web.StreamResponse = await handler(request)  # type: ignore[misc]
            hosting.requests[_counted(hosting, request, "ok")] += 1
            return response
    except web.HTTPException as error:
        answer = _http_refusal(error, request, hosting.protocols)
    except ExclaveError as error:
        answer = as_refusal(error)
        if answer.cause == "unavailable":
            _LOG.error("%s %s: %s", request.method, request.path, error.message)
            _note(hosting, request, error)
    except OSError as error:
        _LOG.error("%s %s: %s", request.method, request.path, type(error).__name__)
        answer = refused("unavailable", "the vault cannot answer now")
    _count(hosting, request, peer, answer)
    hosting.requests[_counted(hosting, request, answer.cause)] += 1
    return web.Response(
        status=answer.status, body=problem_document(answer), content_type=CONTENT_TYPE
    )


def _counted(hosting: Hosting, request: web.Request, outcome: str) -> tuple[str, str, str]:
    """Under which names a request is counted: of a bounded number, whatever is asked for."""
    hosted = _hosted(hosting, request)
    resource = request.match_info.route.resource
    words = [] if resource is None else resource.canonical.strip("/").split("/")[1:]
    path = "-".join(word for word in words if not word.startswith("{")) or "unknown"
    mission = "" if hosted is None else hosted.mission.mission.hex()
    method = "unknown" if resource is None else request.method.lower()
    return mission, f"{method} {path}", outcome


def _http_refusal(
    error: web.HTTPException, request: web.Request, protocols: Sequence[int]
) -> VaultRefused:
    named = _VERSION.match(request.path)
    if error.status == 404 and named is not None and int(named[1]) not in protocols:
        return refused(
            "unknown-version",
            f"path: expected protocol {protocols_text(protocols)} ({SOFTWARE}), got {named[1]}",
            hint=f"what is spoken here: GET {ASKED_AT}",
        )
    causes = {404: "not-found", 405: "method-not-allowed", 413: "too-large"}
    cause = causes.get(error.status, "malformed")
    return refused(cause, f"request: {error.reason}")


def _note(hosting: Hosting, request: web.Request, error: ExclaveError) -> None:
    """What is stored is not what was stored: an alarm, at most one an hour."""
    hosted = _hosted(hosting, request)
    if hosted is not None and isinstance(error, IntegrityError):
        hosted.mission.note_corrupt(error.message)


def _hosted(hosting: Hosting, request: web.Request) -> Hosted | None:
    try:
        return hosting.missions.get(MissionId(bytes.fromhex(request.match_info["mission"])))
    except (KeyError, ValueError):
        return None


def _count(hosting: Hosting, request: web.Request, peer: str, answer: VaultRefused) -> None:
    hosted = _hosted(hosting, request)
    if hosted is not None and answer.cause not in {"not-found", "unavailable"}:
        hosted.refusals.count(peer, answer.cause)
