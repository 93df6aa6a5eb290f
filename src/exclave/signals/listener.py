"""`/metrics` of home, on this machine: for the agent, which knows the figures already.

A thread of the standard library's server answers; asking costs no vault anything. Rules: loopback
only unless somebody says `unsafe`; few at a time, and none for long.
"""

from __future__ import annotations

import http.server
import logging
import socket
import threading
from collections.abc import Callable
from typing import Final

from exclave.errors import ConfigurationError
from exclave.exposition import CONTENT_TYPE
from exclave.signals.deadline import deadline
from exclave.vault.line.addresses import Address, check_metrics, parse_address

__all__ = ["MetricsListener"]

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = 8
_SECONDS: Final = 10


class MetricsListener:
    """Serves what `collect` gives, from `__init__` until `close`."""

    def __init__(
        self, address: str, collect: Callable[[], str], *, unsafe_public: bool = False
    ) -> None:
        """Raises `ConfigurationError` for an address that others reach, or that is in use."""
        wanted = parse_address(address)
        check_metrics(wanted, unsafe=unsafe_public)
        try:
            self._server = _Server(wanted, collect)
        except OSError as error:
            raise ConfigurationError(
                f"metrics {wanted}: cannot be bound: {error.strerror}"
            ) from error
        self.address = Address(wanted.host, int(self._server.server_address[1]))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: Address, collect: Callable[[], str]) -> None:
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        self.collect = collect
        self.slots = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__((address.host, address.port), _Handler)

    def process_request_thread(self, request: object, client_address: object) -> None:
        if self.slots.acquire(blocking=False):
            try:
                super().process_request_thread(request, client_address)  # type: ignore[arg-type]
            finally:
                self.slots.release()
        else:
            self.shutdown_request(request)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A peer that went away is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    server_version = "exclave"
    sys_version = ""
    timeout = _SECONDS

    def handle(self) -> None:
        with deadline(_SECONDS, lambda: self.connection):
            super().handle()

    def do_GET(self) -> None:
        """The figures, or nothing at any other path."""
        if self.path != "/metrics":
            self.send_error(404)
            return
        try:
            body = self.server.collect().encode()
        except Exception as error:
            _LOG.error("metrics: %s", type(error).__name__)
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Prometheus asks every few seconds."""
