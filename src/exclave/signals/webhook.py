"""Alerts posted to a web address as JSON, signed where a key is named (spec/signals.md 3).

Rules: certificates are verified; a redirect is an answer like any other that is not 2xx, since it
would carry the message elsewhere; nothing of the answer but its status is read.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl
import urllib.parse
from pathlib import Path
from typing import Final

from exclave import __version__
from exclave.encoding import canonical_json
from exclave.signals.cause import Message
from exclave.signals.deadline import SECONDS, STEP_SECONDS, deadline
from exclave.signals.interface import AlertUndelivered
from exclave.signals.private_file import SecretFileUnusable, read_private
from exclave.signals.settings import WebhookTarget, check_url
from exclave.signals.trust import trusted, why_failed

__all__ = ["SIGNATURE", "HookTarget", "signature"]

SIGNATURE: Final = "Exclave-Signature"
_KEY_CHARACTERS: Final = 16


def signature(key: bytes, body: bytes) -> str:
    """The value of the header that signs a body."""
    return "hmac-sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


class HookTarget:
    """One web address."""

    def __init__(self, settings: WebhookTarget, folder: Path) -> None:
        """Raises `SecretFileUnusable`, or `ConfigurationError` for `ca_file`."""
        self.name = settings.name
        self._settings = settings
        self._folder = folder
        self._address()
        self._key()
        self._context()

    def send(self, message: Message) -> None:
        """Post the message; raises `AlertUndelivered`."""
        parts = self._address()
        body = canonical_json(message.to_json())
        headers = {"Content-Type": "application/json", "User-Agent": f"exclave/{__version__}"}
        key = self._key()
        if key is not None:
            headers[SIGNATURE] = signature(key, body)
        path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        line = self._line(parts)
        try:
            with deadline(SECONDS, lambda: line.sock):
                line.request("POST", path, body=body, headers=headers)
                status = line.getresponse().status
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise AlertUndelivered(f"webhook: {why_failed(error)}") from error
        finally:
            line.close()
        if not 200 <= status < 300:
            raise AlertUndelivered(f"webhook: expected a status of 2xx, got {status}")

    def _line(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=STEP_SECONDS)
        return http.client.HTTPSConnection(
            host, parts.port, timeout=STEP_SECONDS, context=self._context()
        )

    def _address(self) -> urllib.parse.SplitResult:
        settings = self._settings
        if settings.url is not None:
            return urllib.parse.urlsplit(settings.url)
        path = self._folder / str(settings.url_file)
        (text,) = read_private(path, lines=1)
        try:
            check_url(text, unsafe_without_tls=settings.unsafe_without_tls)
        except ValueError as error:
            raise SecretFileUnusable(f"{path}: {error}") from error
        return urllib.parse.urlsplit(text)

    def _key(self) -> bytes | None:
        if self._settings.key_file is None:
            return None
        path = self._folder / self._settings.key_file
        (line,) = read_private(path, lines=1, least=_KEY_CHARACTERS)
        return line.encode("utf-8")

    def _context(self) -> ssl.SSLContext:
        return trusted(self._settings.ca_file, self._folder)
