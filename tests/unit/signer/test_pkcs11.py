"""Signing with a token: SoftHSM2 plays it, and every way in which it must not sign."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exclave.authority.keys import ECDSA_P256, ECDSA_P384, ED25519, verify_signature
from exclave.errors import ExclaveError
from exclave.signer.opening import Asking, find_public_keys, open_keys
from exclave.signer.pkcs11 import (
    PinLocked,
    PinWrong,
    Pkcs11Missing,
    TokenAbsent,
    TokenKeyAbsent,
    TokenKeyAmbiguous,
    TokenKeyUnsuitable,
    TokenRefused,
)
from exclave.signer.pkcs11_uri import UriInvalid, read_pkcs11_uri
from tests.support.tokens import PIN, SoftToken, soft_token

__all__ = ["soft_token"]

MESSAGE = b"DSSEv1 1 a 1 b"


def asking(pin: str = PIN) -> Asking:
    """Somebody who knows this PIN."""
    return Asking(secret=lambda _: pin.encode, tell=lambda _: None)


@pytest.fixture(scope="module")
def token(soft_token: SoftToken) -> SoftToken:
    """Two tokens with keys on four curves."""
    soft_token.add("envoy")
    soft_token.make_key("envoy", "sign", b"\x01")
    soft_token.make_key("envoy", "small", b"\x02", "secp256r1")
    soft_token.make_key("envoy", "edwards", b"\x03", "ed25519")
    soft_token.make_key("envoy", "large", b"\x04", "secp521r1")
    soft_token.make_key("envoy", "sign", b"\x05")
    return soft_token


@pytest.mark.parametrize(
    ("object", "id", "alg"),
    [
        ("sign", "id=%01", ECDSA_P384),
        ("small", "id=%02", ECDSA_P256),
        ("edwards", "id=%03", ED25519),
    ],
)
def test_a_token_signs(token: SoftToken, object: str, id: str, alg: str) -> None:
    """Many times, so that large values of s come too: each is settled."""
    uri = token.uri("envoy", object, id)
    keys = open_keys(uri, asking())
    assert [key.alg for key in keys.public] == [alg]
    assert keys.public == find_public_keys(uri)
    assert keys.id == f"p-{keys.public[0].key_id[:16]}"
    for number in range(12):
        message = MESSAGE + bytes([number])
        verify_signature(keys.public[0], message, keys.signers[0].sign(message))


def test_a_token_that_is_absent(token: SoftToken) -> None:
    with pytest.raises(TokenAbsent, match="token nobody: expected one in a reader, got none"):
        open_keys(token.uri("nobody"), asking())
    with pytest.raises(TokenAbsent):
        open_keys(token.uri("envoy", "sign", "serial=0000"), asking())


def test_a_key_that_is_absent(token: SoftToken) -> None:
    with pytest.raises(TokenKeyAbsent, match="token envoy: expected a key other, got none"):
        open_keys(token.uri("envoy", "other"), asking())


def test_several_keys_match(token: SoftToken) -> None:
    """The hint says which there are, in the words that a URI takes."""
    with pytest.raises(TokenKeyAmbiguous, match="expected to mean one key, got 2") as caught:
        open_keys(token.uri("envoy", "sign"), asking())
    assert caught.value.hint is not None
    assert "token=envoy;object=sign;id=%01" in caught.value.hint
    assert "token=envoy;object=sign;id=%05" in caught.value.hint


def test_a_key_on_another_curve(token: SoftToken) -> None:
    with pytest.raises(TokenKeyUnsuitable, match="expected a key on P-256, P-384 or Ed25519"):
        open_keys(token.uri("envoy", "large"), asking())


def test_a_wrong_pin(token: SoftToken) -> None:
    """The token says only that few tries are left, not how many: so do we. One try a signature."""
    token.add("guarded")
    token.make_key("guarded", "sign", b"\x01")
    keys = open_keys(token.uri("guarded", "sign"), asking("0000"))
    with pytest.raises(PinWrong, match="token guarded: expected its PIN, got a wrong") as caught:
        keys.signers[0].sign(MESSAGE)
    assert caught.value.hint == "few tries remain: the token counts wrong ones"
    assert "0000" not in str(caught.value)
    good = open_keys(token.uri("guarded", "sign"), asking())
    verify_signature(good.public[0], MESSAGE, good.signers[0].sign(MESSAGE))


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("USER_PIN_LOCKED", "that was the last try: the PIN is locked now"),
        ("USER_PIN_FINAL_TRY", "one try remains, then the token locks"),
    ],
)
def test_the_last_tries_are_said(flag: str, says: str) -> None:
    import pkcs11

    from exclave.signer import pkcs11 as ours

    class Slot:
        def get_token(self) -> object:
            return type("Token", (), {"flags": pkcs11.TokenFlag[flag]})

    class Stub:
        label = "envoy"
        slot = Slot()

    found = ours._Found(token=Stub(), label="a", id=b"", parameters=b"", point=b"")  # type: ignore[arg-type]
    with pytest.raises(PinWrong) as caught, ours._refusals(found):
        raise pkcs11.PinIncorrect
    assert caught.value.hint == says


@pytest.mark.parametrize(
    ("said", "error"), [("PinLocked", PinLocked), ("DeviceRemoved", TokenRefused)]
)
def test_a_token_that_says_no(said: str, error: type[ExclaveError]) -> None:
    import pkcs11

    from exclave.signer import pkcs11 as ours

    class Stub:
        label = "envoy"

    found = ours._Found(token=Stub(), label="a", id=b"", parameters=b"", point=b"")  # type: ignore[arg-type]
    with pytest.raises(error), ours._refusals(found):
        raise getattr(pkcs11, said)


def test_no_module_and_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"pkcs11:token=a?module-path={tmp_path}/none.so"
    with pytest.raises(Pkcs11Missing, match=r"none\.so: expected a PKCS#11 module"):
        open_keys(uri, asking())
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(Pkcs11Missing, match="expected the package python-pkcs11") as caught:
        open_keys(uri, asking())
    assert caught.value.hint == 'pip install "exclave[pkcs11]"'


def test_a_uri_is_read() -> None:
    uri = read_pkcs11_uri("pkcs11:token=My%20card;id=%01%ff;object=a%3bb?module-path=/x.so")
    assert (uri.token, uri.id, uri.object, uri.module) == ("My card", b"\x01\xff", "a;b", "/x.so")
    assert uri.serial is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pkcs11:token=a", "expected a module-path, got none"),
        ("pkcs11:token=a?module-path=/x&pin-value=1234", "expected no pin-value, got one"),
        ("pkcs11:token=a;pin-source=/f?module-path=/x", "expected no pin-source, got one"),
        ("pkcs11:colour=red?module-path=/x", "got 'colour'"),
        ("pkcs11:token?module-path=/x", "got 'token'"),
        ("pkcs11:token=a;token=b?module-path=/x", "expected token once"),
        ("pkcs11:token=%f?module-path=/x", "% and two hex digits"),
        ("pkcs11:token=%ff?module-path=/x", "expected UTF-8"),
        ("pkcs11:type=cert?module-path=/x", "type: expected private"),
        ("token=a", "begins with pkcs11:"),
    ],
)
def test_a_bad_uri_is_refused(text: str, says: str) -> None:
    with pytest.raises(UriInvalid, match=says) as caught:
        read_pkcs11_uri(text)
    assert "1234" not in str(caught.value)


def test_a_replaced_key_does_not_sign(token: SoftToken) -> None:
    """Between looking and signing, somebody plugged in another token of the same name."""
    from dataclasses import replace

    from exclave.signer.pkcs11 import TokenSigner

    one = open_keys(token.uri("envoy", "sign", "id=%01"), asking()).signers[0]
    assert isinstance(one, TokenSigner)
    other = replace(one, uri=read_pkcs11_uri(token.uri("envoy", "sign", "id=%05")))
    with pytest.raises(TokenKeyAbsent, match="expected its key of before, got another"):
        other.sign(MESSAGE)


def test_the_pin_stands_in_no_repr(token: SoftToken) -> None:
    secret: Callable[[], bytes] = lambda: b"PIN"  # noqa: E731
    keys = open_keys(token.uri("envoy", "small"), Asking(secret=lambda _: secret, tell=print))
    assert "lambda" not in repr(keys.signers[0])
