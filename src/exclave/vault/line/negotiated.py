"""What a TLS connection came to: version, cipher and key exchange, for the logs of both ends.

Python tells version and cipher, and from 3.15 on the group of the key exchange. Before, the group
is read where both ends see it: in the ServerHello (RFC 8446 4.1.3, 4.2.8), which is not encrypted,
on its way through the buffers between `ssl` and the event loop. Once a connection, no record after
the handshake is touched. What cannot be told is called unknown, never guessed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from exclave.values import dataclass

__all__ = ["Negotiated", "NotingContext", "server_hello_group"]

# IANA "TLS Supported Groups"; what OpenSSL has.
_GROUPS: Final = {
    0x0017: "secp256r1",
    0x0018: "secp384r1",
    0x0019: "secp521r1",
    0x001D: "x25519",
    0x001E: "x448",
    0x0100: "ffdhe2048",
    0x0101: "ffdhe3072",
    0x0200: "mlkem512",
    0x0201: "mlkem768",
    0x0202: "mlkem1024",
    0x11EB: "secp256r1mlkem768",
    0x11EC: "x25519mlkem768",
    0x11ED: "secp384r1mlkem1024",
}
_POST_QUANTUM: Final = frozenset({0x0200, 0x0201, 0x0202, 0x11EB, 0x11EC, 0x11ED})
_HANDSHAKE: Final = 22
_SERVER_HELLO: Final = 2
_KEY_SHARE: Final = 51
_MOST: Final = 2**14 + 5
"""Bytes of the first record, where a ServerHello is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """One connection's parameters; `group` by its number, None when it cannot be told."""

    version: str
    cipher: str
    group: int | None

    @property
    def post_quantum(self) -> bool:
        """Whether who records it now needs more than a quantum computer to read it later."""
        return self.group in _POST_QUANTUM

    def __str__(self) -> str:
        if self.group is None:
            return f"{self.version}, {self.cipher}, key exchange unknown"
        kind = "post-quantum" if self.post_quantum else "not post-quantum"
        name = _GROUPS.get(self.group, f"0x{self.group:04x}")
        return f"{self.version}, {self.cipher}, key exchange {name} ({kind})"


def server_hello_group(data: bytes) -> int | None:
    """The group that a ServerHello or HelloRetryRequest names, of the server's first bytes."""
    reader = _Reader(data)
    kind, _, record = reader.number(1), reader.number(2), _Reader(reader.block(2))
    message, body = record.number(1), _Reader(record.block(3))
    if (kind, message) != (_HANDSHAKE, _SERVER_HELLO) or body.short:
        return None
    body.number(2)  # legacy version
    body.take(32)  # random
    body.block(1)  # session id
    body.number(3)  # cipher, compression
    extensions = _Reader(body.block(2))
    while not extensions.short and extensions.left:
        name, value = extensions.number(2), _Reader(extensions.block(2))
        if name == _KEY_SHARE:
            group = value.number(2)
            return None if value.short else group
    return None


class NotingContext(ssl.SSLContext):
    """A context that tells `note` of each connection, once its handshake has ended well.

    `note` also gets the connection, for who is at the other end. Connections over sockets, which
    an event loop never makes, are not told of.
    """

    note: Callable[[Negotiated, ssl.SSLObject], None] | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, _NotedObject)
        made.hello = _Hello(outgoing if server_side else incoming, sent=server_side)
        return made


class _NotedObject(ssl.SSLObject):
    hello: _Hello

    def do_handshake(self) -> None:
        try:
            self.hello.before()
            super().do_handshake()
        finally:
            self.hello.after()
        context = self.context
        if isinstance(context, NotingContext) and context.note is not None:
            cipher = self.cipher()
            negotiated = Negotiated(
                version=self.version() or "unknown",
                cipher="unknown" if cipher is None else cipher[0],
                group=server_hello_group(bytes(self.hello.seen)),
            )
            context.note(negotiated, self)


NotingContext.sslobject_class = _NotedObject


class _Hello:
    """The server's first bytes, seen in the buffer that they go through and left there."""

    def __init__(self, buffer: ssl.MemoryBIO, *, sent: bool) -> None:
        self.seen = bytearray()
        self._buffer = buffer
        self._sent = sent
        self._left = 0  # bytes at the front of the buffer that were seen before

    def before(self) -> None:
        if not self._sent:
            self._look()

    def after(self) -> None:
        if self._sent:
            self._look()
        self._left = self._buffer.pending

    def _look(self) -> None:
        if len(self.seen) < _MOST:
            data = self._buffer.read()
            self._buffer.write(data)
            self.seen += data[self._left :][: _MOST - len(self.seen)]


class _Reader:
    """Reads forward; past the end it gives zeros and is `short`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.short = False

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            self.short = True
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def block(self, size: int) -> bytes:
        return self.take(self.number(size))
