"""A running vault: two listeners and a local door, its background tasks, its orderly end.

Joins the parts; decides nothing. A server is one seat's; an installation with several has one for
each, in one process, which share nothing but the event loop. `serve` prints one line of JSON with
the bound addresses when the listeners accept, which whoever started it may wait for, and returns
after SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp import web

from exclave.authority.charter import Charter
from exclave.clock import Clock
from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import Seat
from exclave.notify import supervisor_of
from exclave.vault.client.client import HttpVault
from exclave.vault.installation.config import VaultConfig
from exclave.vault.interface import Witness
from exclave.vault.kept.rules import fellow_addresses
from exclave.vault.line.addresses import Address, check_bind, check_metrics, parse_address
from exclave.vault.line.identity import Identity
from exclave.vault.line.own_leaf import OwnLeaf
from exclave.vault.line.protocol import PROTOCOLS
from exclave.vault.line.tls import server_context
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.sweeper import sweep
from exclave.vault.server.connections import Connections
from exclave.vault.server.handlers_data import add_carried_routes, add_data_routes
from exclave.vault.server.handlers_public import add_local_routes, add_public_routes
from exclave.vault.server.handlers_witness import add_witness_routes
from exclave.vault.server.hosting import Hosted, Hosting, problem_middleware
from exclave.vault.server.listener import Listener
from exclave.vault.server.metrics import metrics_app
from exclave.vault.server.mirror import mirror_to
from exclave.vault.server.rounds import Rounds

__all__ = ["VaultServer", "serve"]

_LOG = logging.getLogger(__name__)
_HOUSEKEEPING_SECONDS: Final = 30
_LEAF_SECONDS: Final = 60
_STOP_SECONDS: Final = 10


class VaultServer:
    """Serves missions until stopped; use as `async with`."""

    def __init__(
        self,
        *,
        identity: Identity,
        missions: Sequence[Mission],
        config: VaultConfig,
        clock: Clock,
        mirror: bool = True,
        name: str | None = None,
        protocols: Sequence[int] = PROTOCOLS,
        local: socket.socket | None = None,
    ) -> None:
        """Without `mirror` it asks nothing of its fellows: neither statements nor cosignatures.

        `name` is that of a further seat of the installation; the first has none. `protocols` is for
        tests, which speak as an older or a later program would. `local` is the bound socket of its
        local door; without, it has none.
        """
        self._protocols = tuple(protocols)
        self.name = name
        self._identity = identity
        self._leaf = OwnLeaf(identity, server=True, clock=clock)
        self._config = config
        self._clock = clock
        self._mirror = mirror
        self._local = local
        self._hosting = Hosting(
            missions={mission.mission: Hosted.of(mission) for mission in missions},
            limits=config.limits,
            protocols=self._protocols,
            workers=ThreadPoolExecutor(max_workers=8, thread_name_prefix="vault"),
        )
        self._figures = [self._hosting]
        self._contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
        self._listeners: list[Listener] = []
        self._door: tuple[asyncio.Server, web.AppRunner] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.data: Address | None = None
        self.public: Address | None = None
        self.metrics: Address | None = None

    async def __aenter__(self) -> VaultServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def show_figures_of(self, other: VaultServer) -> None:
        """At this one's address for metrics, where it has one: they are the installation's."""
        if other is not self:
            self._figures.append(other._hosting)

    @property
    def label(self) -> str:
        """How messages name the seat."""
        return "the first seat" if self.name is None else f"seat {self.name}"

    async def start(self) -> None:
        """Bind both listeners; returns when they accept."""
        data, public = self._contexts = self._contexts or self._new_contexts()
        self._leaf.renew()
        try:
            self.data = await self._listen(parse_address(self._config.data), data, data=True)
            self.public = await self._listen(parse_address(self._config.public), public, data=False)
            if self._config.metrics is not None:
                self.metrics = await self._show_metrics(parse_address(self._config.metrics))
        except ConfigurationError:
            await self._unbind()  # nothing else has begun: it may be started again
            raise
        if self._local is not None:
            await self._open_door(self._local)
        self._spawn(self._renew())
        self._spawn(self._housekeeping())
        for hosted in self._hosted():
            await self._hosting.run(hosted.mission.note_start)
            self._spawn(self._follow(hosted))

    def _new_contexts(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        anchors = {a for h in self._hosted() for a in h.mission.anchors()}
        data, public = server_context(None, anchors), server_context(None, None)
        seat = "" if self.name is None else f"{self.name}: "
        data.note = Connections(f"{seat}data", self._hosting.issuer)
        public.note = Connections(f"{seat}public", self._hosting.issuer)
        self._leaf.show(data, public)
        self._hosting.line = data
        self._hosting.anchors = frozenset(anchors)
        return data, public

    async def stop(self) -> None:
        """Take no more connections, let running requests end, keep the indexes."""
        for listener in self._listeners:
            await listener.close()
        if self._door is not None:
            self._door[0].close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._unbind()
        if self._door is not None:
            await self._door[1].cleanup()
        for hosted in self._hosted():
            await self._hosting.run(hosted.mission.close)
        self._hosting.workers.shutdown(wait=True)

    async def _unbind(self) -> None:
        for listener in self._listeners:
            await listener.close()
            await listener.cleanup()
        self._listeners.clear()

    def _hosted(self) -> list[Hosted]:
        return list(self._hosting.missions.values())

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _show_metrics(self, address: Address) -> Address:
        """In clear: whoever is on this machine may ask how the vault does."""
        check_metrics(address, unsafe=self._config.unsafe_public_metrics)
        runner = web.AppRunner(metrics_app(self._figures), handle_signals=False, access_log=None)
        return await self._bind(runner, address, None)

    async def _listen(self, address: Address, context: ssl.SSLContext, *, data: bool) -> Address:
        check_bind(address, unsafe_public_bind=self._config.unsafe_public_bind)
        app = self._application()
        add_public_routes(app, self._hosting)
        add_witness_routes(app, self._hosting)
        if data:
            add_data_routes(app, self._hosting)
        return await self._bind(self._runner(app), address, context)

    async def _open_door(self, door: socket.socket) -> None:
        app = self._application()
        add_local_routes(app, self._hosting)
        add_carried_routes(app, self._hosting)
        runner, loop = self._runner(app), asyncio.get_running_loop()
        await runner.setup()
        assert runner.server is not None
        self._door = await loop.create_unix_server(runner.server, sock=door), runner

    def _application(self) -> web.Application:
        return web.Application(middlewares=[problem_middleware(self._hosting)])  # type: ignore[list-item]

    def _runner(self, app: web.Application) -> web.AppRunner:
        return web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            shutdown_timeout=_STOP_SECONDS,
            keepalive_timeout=float(self._config.limits.idle_seconds),
            read_bufsize=2**18,
            max_line_size=4096,
            max_field_size=4096,
            lingering_time=float(_STOP_SECONDS),
        )

    async def _bind(
        self, runner: web.AppRunner, address: Address, context: ssl.SSLContext | None
    ) -> Address:
        await runner.setup()
        listener = Listener(runner, context, most=self._config.limits.connections)
        self._listeners.append(listener)
        return listener.open(address)

    async def _renew(self) -> None:
        """Looks often and renews by the clock: a machine that slept has not waited."""
        while True:
            await asyncio.sleep(_LEAF_SECONDS)
            try:
                if self._leaf.renew():
                    _LOG.info("tls: a new leaf is shown from now on")
            except (OSError, ssl.SSLError) as error:
                # The one that is shown is good for days: no reason to stop serving.
                _LOG.error("tls: the leaf could not be renewed: %s", error)

    async def _housekeeping(self) -> None:
        """Keeps times, logs refusals and alarms, sweeps what may go."""
        while True:
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)
            for hosted in self._hosted():
                try:
                    await self._hosting.run(_keep, hosted)
                except ExclaveError as error:
                    _LOG.error("housekeeping: %s", error.message)

    async def _follow(self, hosted: Hosted) -> None:
        """Cosign, and mirror to the fellows, and to new ones as charters bring them."""
        fellows: dict[tuple[int, bytes, tuple[str, ...]], asyncio.Task[None]] = {}
        witnesses: dict[Seat, Witness] = {}
        rounds = Rounds(hosting=self._hosting, hosted=hosted, fellows=witnesses)
        cosigning = asyncio.create_task(rounds.run() if self._mirror else asyncio.sleep(0))
        try:
            while True:
                size = hosted.mission.log.size
                charter = hosted.mission.charter()
                wanted = fellow_addresses(charter, hosted.mission.seat) if self._mirror else {}
                for seat, (identity, addresses) in wanted.items():
                    key = (int(seat), identity, addresses)
                    if key not in fellows and addresses:
                        client = HttpVault(
                            mission=hosted.mission.mission,
                            seat=seat,
                            anchor=identity,
                            public=parse_address(addresses[0]),
                            data=_data_address(charter, seat),
                            identity=self._identity,
                            clock=self._clock,
                            protocols=self._protocols,
                        )
                        fellows[key] = asyncio.create_task(self._mirror_to(hosted, client))
                        witnesses[seat] = client
                with contextlib.suppress(TimeoutError):
                    # A charter comes into force by time alone, and may bring new fellows.
                    async with asyncio.timeout(_HOUSEKEEPING_SECONDS):
                        await hosted.news(size)
        finally:
            tasks = [cosigning, *fellows.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _mirror_to(self, hosted: Hosted, client: HttpVault) -> None:
        async with client:
            await mirror_to(self._hosting, hosted, client)


def _data_address(charter: Charter, seat: Seat) -> Address:
    """Where a fellow takes statements that are too large for its public listener."""
    return parse_address(charter.seat(seat).addresses[0].data)


def _keep(hosted: Hosted) -> None:
    mission = hosted.mission
    mission.keep()
    addition = hosted.refusals.due()
    if addition is not None:
        with mission.lock:
            mission.append([addition])
    mission.watch()
    sweep(mission)


async def _begin(server: VaultServer) -> bool:
    """Start one seat; False where its address cannot be had now, which stops no other."""
    try:
        await server.start()
    except ConfigurationError as error:
        _LOG.error("%s is not served: %s", server.label, error.message)
        return False
    return True


async def _begin_later(server: VaultServer) -> None:
    """A guest's line may come up after the vault."""
    while True:
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)
        if await _begin(server):
            break
    _LOG.info("%s is served at %s and %s", server.label, server.data, server.public)


def _ready(servers: Sequence[VaultServer]) -> dict[str, object]:
    ready: dict[str, object] = {"tls": ssl.OPENSSL_VERSION}
    further: dict[str, object] = {}
    for server in servers:
        bound = {"data": str(server.data), "public": str(server.public)}
        if server.metrics is not None:
            ready["metrics"] = str(server.metrics)
        if server.name is None:
            ready |= bound
        else:
            further[server.name] = bound
    return ready | ({"seats": further} if further else {})


async def _until(ended: asyncio.Event, served: str) -> None:
    """Wait for the end, and tell whoever supervises that this process lives."""
    supervisor = supervisor_of(os.environ)
    supervisor.ready(served)
    while not ended.is_set():
        # From this loop, which serves: when it hangs, nothing says that it lives.
        supervisor.alive()
        with contextlib.suppress(TimeoutError):
            pause = None if supervisor.watchdog is None else supervisor.watchdog / 3
            async with asyncio.timeout(pause):
                await ended.wait()
    supervisor.stopping()


async def _serve(servers: Sequence[VaultServer]) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with contextlib.AsyncExitStack() as stack:
        for server in servers:
            stack.push_async_callback(server.stop)
            servers[0].show_figures_of(server)
        if len(servers) == 1:
            await servers[0].start()
        begun = [one for one in servers if len(servers) == 1 or await _begin(one)]
        late = [asyncio.create_task(_begin_later(one)) for one in servers if one not in begun]
        # The one line that is for programs: whoever started this vault waits for it.
        print(json.dumps({"ready": _ready(begun)}), flush=True)  # noqa: T201
        await _until(ended, "; ".join(f"{one.label}: {one.data}, {one.public}" for one in begun))
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def serve(*servers: VaultServer) -> None:
    """Serve all seats of an installation until SIGTERM or SIGINT; under uvloop where it is.

    A single one that cannot be bound raises; of several, those that can are served.
    """
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(servers))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(servers))
