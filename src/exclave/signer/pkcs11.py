"""Signing with a token or card through PKCS#11: ECDSA on P-256 and P-384, and Ed25519.

National identity cards and hardware tokens. python-pkcs11 is an optional extra and is imported only
when a `pkcs11:` URI is used. Rules: a URI means exactly one key, or nothing is signed; the PIN is
tried once, since a token counts wrong ones; it goes from its source to the token and is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from exclave.authority.ecdsa import P256, P384, Curve
from exclave.authority.keys import ECDSA_P256, ECDSA_P384, ED25519, TypedKey
from exclave.errors import AuthorityError, ConfigurationError
from exclave.signer.pkcs11_uri import Pkcs11Uri
from exclave.values import dataclass, field

if TYPE_CHECKING:
    import pkcs11

__all__ = [
    "PinLocked",
    "PinWrong",
    "Pkcs11Missing",
    "TokenAbsent",
    "TokenKeyAbsent",
    "TokenKeyAmbiguous",
    "TokenKeyUnsuitable",
    "TokenRefused",
    "TokenSigner",
    "find_token_key",
]

_CURVES: Mapping[str, Curve] = MappingProxyType({ECDSA_P256: P256, ECDSA_P384: P384})
_PARAMETERS = {
    bytes.fromhex("06082a8648ce3d030107"): ECDSA_P256,
    bytes.fromhex("06052b81040022"): ECDSA_P384,
    bytes.fromhex("06032b6570"): ED25519,
    b"\x13\x0cedwards25519": ED25519,
}
"""Named curves in DER; Ed25519 by its OID (RFC 8410) or by the name that PKCS#11 3.0 gives it."""
_SIZES = {ECDSA_P256: P256.point_size, ECDSA_P384: P384.point_size, ED25519: 32}
_OCTETS = b"\x04"


class Pkcs11Missing(ConfigurationError):
    """The library that speaks PKCS#11, or the token's module, is not there."""


class TokenAbsent(ConfigurationError):
    """No token that the URI names is plugged in."""


class TokenKeyAbsent(AuthorityError):
    """The token has no key that the URI names."""


class TokenKeyAmbiguous(ConfigurationError):
    """The URI names several keys."""


class TokenKeyUnsuitable(AuthorityError):
    """A key is on another curve than those that can sign statements."""


class PinWrong(AuthorityError):
    """The token refused the PIN."""


class PinLocked(AuthorityError):
    """The token takes no PIN any more."""


class TokenRefused(AuthorityError):
    """The token did not sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A public key on a token; `place` is what people see of it."""

    token: pkcs11.Token
    label: str
    id: bytes
    parameters: bytes
    point: bytes

    @property
    def place(self) -> str:
        return f"token={self.token.label};object={self.label};id=%{self.id.hex('%')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSigner:
    """One key of one token; `pin` is asked at each signature."""

    uri: Pkcs11Uri
    key: TypedKey
    place: str
    pin: Callable[[], bytes] = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Sign on the token; raises `PinWrong`, `PinLocked`, `TokenRefused` or as finding."""
        import pkcs11

        found, key = _only(self.uri)
        if key != self.key:
            raise TokenKeyAbsent(f"{self.place}: expected its key of before, got another")
        pin = self.pin().decode("utf-8", "replace")
        with _refusals(found), found.token.open(user_pin=pin) as session:
            private = _private(session, found)
            again = {"pin": pin} if _asks_each_time(private) else {}
            if self.key.alg == ED25519:
                return bytes(private.sign(message, mechanism=pkcs11.Mechanism.EDDSA, **again))
            curve = _CURVES[self.key.alg]
            digest = curve.digest(message)
            made = bytes(private.sign(digest, mechanism=pkcs11.Mechanism.ECDSA, **again))
        if len(made) != curve.signature_size:
            raise TokenRefused(
                f"{self.place}: expected {curve.signature_size} bytes, got {len(made)}"
            )
        return curve.settle(made)


def find_token_key(uri: Pkcs11Uri) -> tuple[TypedKey, str]:
    """The public key that a URI names and where it is, without a PIN."""
    found, key = _only(uri)
    return key, found.place


def _only(uri: Pkcs11Uri) -> tuple[_Found, TypedKey]:
    tokens = _tokens(uri)
    if not tokens:
        raise TokenAbsent(
            f"token {uri.token or 'of any name'}: expected one in a reader, got none",
            hint="plugged in? pkcs11-tool --list-slots --module ... shows what is there",
        )
    keys = [found for token in tokens for found in _public_keys(token, uri)]
    if not keys:
        raise TokenKeyAbsent(
            f"token {tokens[0].label}: expected a key {uri.object or 'of any name'}, got none",
            hint="pkcs11-tool --list-objects --type pubkey --module ... shows what is there",
        )
    if len(keys) > 1:
        raise TokenKeyAmbiguous(
            f"pkcs11 uri: expected to mean one key, got {len(keys)}",
            hint="say which: " + " or ".join(found.place for found in keys),
        )
    return keys[0], _typed(keys[0])


def _tokens(uri: Pkcs11Uri) -> list[pkcs11.Token]:
    try:
        import pkcs11
    except ImportError as error:
        raise Pkcs11Missing(
            "pkcs11: expected the package python-pkcs11, got none",
            hint='pip install "exclave[pkcs11]"',
        ) from error
    try:
        present = list(pkcs11.lib(uri.module).get_tokens())
    except pkcs11.PKCS11Error as error:
        raise Pkcs11Missing(
            f"{uri.module}: expected a PKCS#11 module, got: {str(error) or type(error).__name__}"
        ) from error
    ready = [t for t in present if t.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED]
    return [token for token in ready if _matches(token, uri)]


def _matches(token: pkcs11.Token, uri: Pkcs11Uri) -> bool:
    serial = token.serial.decode("utf-8", "replace").strip()
    pairs = (
        (uri.token, token.label),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
        (uri.serial, serial),
    )
    return all(wanted is None or wanted == has for wanted, has in pairs)


def _public_keys(token: pkcs11.Token, uri: Pkcs11Uri) -> Iterator[_Found]:
    from pkcs11 import Attribute, KeyType, ObjectClass, PKCS11Error

    try:
        with token.open() as session:
            # A list: a search that is still open lets nothing else be done in its session.
            items: list[Any] = list(session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY}))
            for item in items:
                if item.key_type not in {KeyType.EC, KeyType.EC_EDWARDS}:
                    continue
                if uri.object not in {None, item.label} or uri.id not in {None, bytes(item.id)}:
                    continue
                yield _Found(
                    token=token,
                    label=item.label,
                    id=bytes(item.id),
                    parameters=bytes(item[Attribute.EC_PARAMS]),
                    point=bytes(item[Attribute.EC_POINT]),
                )
    except PKCS11Error as error:
        raise TokenRefused(f"token {token.label}: cannot be read: {_name(error)}") from error


def _typed(found: _Found) -> TypedKey:
    alg = _PARAMETERS.get(found.parameters)
    if alg is None:
        raise TokenKeyUnsuitable(
            f"{found.place}: expected a key on P-256, P-384 or Ed25519, got another curve "
            f"({found.parameters.hex()})"
        )
    size, point = _SIZES[alg], found.point
    # PKCS#11 wraps a point into an OCTET STRING; some tokens do not.
    if point[:2] == _OCTETS + bytes([size]) and len(point) == size + 2:
        point = point[2:]
    return TypedKey(alg, point)


def _private(session: pkcs11.Session, found: _Found) -> Any:
    from pkcs11 import Attribute, ObjectClass

    wanted: dict[Any, Any] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
    wanted |= {Attribute.ID: found.id} if found.id else {Attribute.LABEL: found.label}
    keys = list(session.get_objects(wanted))
    if len(keys) != 1:
        raise TokenKeyAbsent(f"{found.place}: expected one private key with it, got {len(keys)}")
    return keys[0]


def _asks_each_time(private: Any) -> bool:
    """Whether the key wants its PIN again for each signature, as signature cards do."""
    from pkcs11 import Attribute, PKCS11Error

    try:
        return bool(private[Attribute.ALWAYS_AUTHENTICATE])
    except PKCS11Error:
        return False


@contextmanager
def _refusals(found: _Found) -> Iterator[None]:
    """Whatever a token says no with, as an error of ours."""
    from pkcs11 import exceptions as said

    try:
        yield
    except (said.PinIncorrect, said.PinInvalid, said.PinLenRange) as error:
        raise PinWrong(
            f"token {found.token.label}: expected its PIN, got a wrong one", hint=_tries(found)
        ) from error
    except said.PinLocked as error:
        raise PinLocked(
            f"token {found.token.label}: its PIN is locked",
            hint="unlock it with the PUK that came with it",
        ) from error
    except said.PKCS11Error as error:
        raise TokenRefused(f"{found.place}: expected a signature, got: {_name(error)}") from error


def _tries(found: _Found) -> str:
    """What the token says about the tries that remain: it tells no number."""
    from pkcs11 import PKCS11Error, TokenFlag

    try:
        flags = found.token.slot.get_token().flags
    except PKCS11Error:
        return "the token does not say how many tries remain"
    if flags & TokenFlag.USER_PIN_LOCKED:
        return "that was the last try: the PIN is locked now"
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        return "one try remains, then the token locks"
    if flags & TokenFlag.USER_PIN_COUNT_LOW:
        return "few tries remain: the token counts wrong ones"
    return "the token does not say how many tries remain"


def _name(error: Exception) -> str:
    return str(error) or type(error).__name__
