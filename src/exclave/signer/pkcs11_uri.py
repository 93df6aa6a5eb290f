"""Names of keys on tokens: `pkcs11:` URIs (RFC 7512), narrowed to what finds one key.

Rules: every attribute that stands in a URI must match; one that is not known is refused, since
leaving it out would match more; a PIN never stands in a URI, where every user of the machine
could read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from exclave.errors import UsageError
from exclave.values import dataclass

__all__ = ["SCHEME", "Pkcs11Uri", "UriInvalid", "read_pkcs11_uri"]

SCHEME = "pkcs11:"
_PATH = ("token", "manufacturer", "model", "serial", "object", "id", "type")
_QUERY = ("module-path",)
_SECRET = frozenset({"pin-value", "pin-source"})
_ESCAPED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")


class UriInvalid(UsageError):
    """A `pkcs11:` URI that names no key, or more than a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """What a token and a key on it must be called; None matches everything."""

    module: str
    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    object: str | None = None
    id: bytes | None = None


def read_pkcs11_uri(text: str) -> Pkcs11Uri:
    """Read a URI; raises `UriInvalid`."""
    if not text.startswith(SCHEME):
        raise UriInvalid(f"key: expected a URI that begins with {SCHEME}")
    path, _, query = text.removeprefix(SCHEME).partition("?")
    found: dict[str, bytes] = {}
    for name, value in _attributes(path, ";", _PATH):
        _put(found, name, value)
    for name, value in _attributes(query, "&", _QUERY):
        _put(found, name, value)
    if found.pop("type", b"private") not in {b"private", b"public"}:
        raise UriInvalid("pkcs11 uri: type: expected private")
    if "module-path" not in found:
        raise UriInvalid(
            "pkcs11 uri: expected a module-path, got none",
            hint="append ?module-path=/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so, or your token's",
        )
    module, key_id = found.pop("module-path"), found.pop("id", None)
    named = {name: _text(name, value) for name, value in found.items()}
    return Pkcs11Uri(module=_text("module-path", module), id=key_id, **named)


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name in _SECRET:
            raise UriInvalid(
                f"pkcs11 uri: expected no {name}, got one: arguments can be read by others",
                hint="the PIN is asked for; programs give --passphrase-file or --passphrase-fd",
            )
        if name not in known or not equals:
            raise UriInvalid(
                f"pkcs11 uri: expected {', '.join(known)}, got {name[:40]!r}",
            )
        if not _ESCAPED.fullmatch(value):
            raise UriInvalid(f"pkcs11 uri: {name}: expected % and two hex digits")
        yield name, unquote_to_bytes(value)


def _put(found: dict[str, bytes], name: str, value: bytes) -> None:
    if name in found:
        raise UriInvalid(f"pkcs11 uri: expected {name} once, got it twice")
    found[name] = value


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UriInvalid(f"pkcs11 uri: {name}: expected UTF-8, got other bytes") from error
