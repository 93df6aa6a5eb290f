"""Cases of single signatures, each algorithm once good and once for each way to be wrong.

The blobs are put together here from OpenSSH's documents and not by `exclave.authority.sshsig`; a
test holds them against what `ssh-keygen` itself makes. No security key is at hand: its signature is
made as the documents say that a key makes it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from exclave.authority.detached import detach
from exclave.authority.envelope import Kind, pae
from exclave.authority.keys import TypedKey
from exclave.encoding import JsonObject, canonical_json
from tools import vector_authority as mission
from tools.vector_cases import Case, drawn, flipped, refused

__all__ = [
    "MESSAGE",
    "SSH_SEED",
    "Blob",
    "card_key",
    "cases",
    "detached_cases",
    "ecdsa_key",
    "sign_with_card",
    "ssh_good",
    "token_key",
]

MESSAGE = pae(Kind.LOCKDOWN, canonical_json({"kind": "lockdown", "nonce": drawn("lock", 16).hex()}))
SSH_SEED = drawn("ssh key", 32)
_OTHER_SEED = drawn("another ssh key", 32)
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P384_ORDER = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
    16,
)
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def string(data: bytes) -> bytes:
    """A string on OpenSSH's wire."""
    return len(data).to_bytes(4, "big") + data


@dataclass(frozen=True, kw_only=True)
class Blob:
    """An SSH signature with everything that a case may spoil; `flags` None is a plain key's."""

    seed: bytes = SSH_SEED
    public_seed: bytes | None = None
    version: int = 1
    namespace: bytes = b"exclave-statement"
    reserved: bytes = b""
    algorithm: str = "sha512"
    application: bytes = b"ssh:exclave"
    public_application: bytes | None = None
    flags: int | None = None
    counter: int = 7
    message: bytes = MESSAGE

    def public(self) -> bytes:
        """The public key in the blob."""
        seed = self.seed if self.public_seed is None else self.public_seed
        raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        if self.flags is None:
            return string(b"ssh-ed25519") + string(raw)
        named = self.application if self.public_application is None else self.public_application
        return string(b"sk-ssh-ed25519@openssh.com") + string(raw) + string(named)

    def encode(self) -> bytes:
        """Sign, and put the blob together."""
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        digest = hashlib.new(self.algorithm, self.message).digest()
        common = string(self.namespace) + string(self.reserved) + string(self.algorithm.encode())
        signed = b"SSHSIG" + common + string(digest)
        if self.flags is None:
            inner = string(b"ssh-ed25519") + string(private.sign(signed))
        else:
            tail = bytes([self.flags]) + self.counter.to_bytes(4, "big")
            by_key = hashlib.sha256(self.application).digest() + tail
            signature = private.sign(by_key + hashlib.sha256(signed).digest())
            inner = string(b"sk-ssh-ed25519@openssh.com") + string(signature) + tail
        head = b"SSHSIG" + self.version.to_bytes(4, "big") + string(self.public())
        return head + common + string(inner)


def ecdsa_key(alg: str) -> ec.EllipticCurvePrivateKey:
    """The private key of the cases on one curve."""
    curve = ec.SECP256R1() if alg == "ecdsa-p256" else ec.SECP384R1()
    return ec.derive_private_key(int.from_bytes(drawn(f"key {alg}", 32), "big"), curve)


def token_key() -> TypedKey:
    """The security key of the cases."""
    return TypedKey("sshsig-sk-ed25519", Blob(flags=0x05).public())


def card_key() -> TypedKey:
    """The key of the cases on P-384."""
    return TypedKey("ecdsa-p384", _point(ecdsa_key("ecdsa-p384"), 48))


def sign_with_card(message: bytes) -> bytes:
    """The card's signature in the form that counts."""
    r, s, _ = _pair(ecdsa_key("ecdsa-p384"), hashes.SHA384(), message)
    return r.to_bytes(48, "big") + min(s, _P384_ORDER - s).to_bytes(48, "big")


def ssh_good() -> bytes:
    """The good signature of the plain key."""
    return Blob().encode()


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _ed25519()
    yield from _ecdsa("ecdsa-p256", 32, _P256_ORDER, hashes.SHA256())
    yield from _ecdsa("ecdsa-p384", 48, _P384_ORDER, hashes.SHA384())
    yield from _ecdsa_keys()
    yield from _sshsig()
    yield from _sshsig_sk()
    yield from _sk_keys()


def detached_cases() -> Iterator[Case]:
    """Signatures that came back without their statement."""
    envelope = mission.sign(Kind.WARRANT, mission.warrant("00" * 32, "11" * 32), ["anna", "bela"])
    text = detach(envelope, [mission.public("anna")]).to_bytes().decode("utf-8")
    both = detach(envelope, [mission.public("anna"), mission.public("bela")]).to_bytes().decode()
    first, second = (item.key_id for item in envelope.signatures)
    statement = envelope.statement_hash.hex()
    cases: list[tuple[str, str, str, JsonObject]] = [
        ("detached", "one official's signature", text, {"statement": statement, "count": 1}),
        ("detached-two", "two officials' signatures", both, {"statement": statement, "count": 2}),
        ("detached-none", "no signature", text[: text.index('"signatures":[')] +
         '"signatures":[],' + text[text.index('"statement"'):],
         refused("FieldInvalid", "at least one signature is needed")),
        ("detached-kind", "of a kind that nobody knows", text.replace("exclave.warrant.",
         "exclave.wish."), refused("KindUnexpected", "unknown media type")),
        ("detached-version", "version 2", text.replace('"version":1', '"version":2'),
         refused("FormatTooNew", "a later version")),
        ("detached-statement", "a short hash", text.replace(statement, statement[:-2]),
         refused("MalformedData", "the hash is not 32 bytes")),
        ("detached-twice", "one keyid twice", both.replace(second, first),
         refused("OrderBroken", "a keyid stands twice")),
        ("detached-envelope", "an envelope", envelope.to_bytes().decode("utf-8"),
         refused("FieldMissing", "these are no detached signatures")),
    ]  # fmt: skip
    for name, what, given, expect in cases:
        yield Case(
            spec="statements.md 5", case=name, operation="parse-detached", what=what,
            given={"signatures": given}, expect=expect,
        )  # fmt: skip


def _case(name: str, what: str, alg: str, key: bytes, signature: bytes, *bad: str) -> Case:
    expect: JsonObject = refused(*bad) if bad else {"keyid": TypedKey(alg, key).key_id}
    section = {"ed25519": "3", "ecdsa": "3.1", "sshsig": "3.2"}[alg.partition("-")[0]]
    return Case(
        spec=f"statements.md {section}", case=f"signature-{name}", operation="verify-signature",
        what=what,
        given={
            "alg": alg, "key": key.hex(), "message": MESSAGE.hex(), "signature": signature.hex()
        },
        expect=expect,
    )  # fmt: skip


def _ed25519() -> Iterator[Case]:
    private = Ed25519PrivateKey.from_private_bytes(SSH_SEED)
    raw, good = private.public_key().public_bytes_raw(), private.sign(MESSAGE)
    large = int.from_bytes(good[32:], "little") + _ED25519_ORDER
    rows: list[tuple[str, str, bytes, list[str]]] = [
        ("ed25519", "a good signature", good, []),
        ("ed25519-large-s", "s beyond the order", good[:32] + large.to_bytes(32, "little"),
         ["SignatureInvalid", "s is not below the order"]),
        ("ed25519-more", "a byte more", good + b"\0",
         ["SignatureInvalid", "a signature has 64 bytes"]),
        ("ed25519-blob", "an SSH signature for a plain key", ssh_good(),
         ["SignatureInvalid", "a signature of ed25519 is no SSHSIG blob"]),
    ]  # fmt: skip
    for name, what, signature, bad in rows:
        yield _case(name, what, "ed25519", raw, signature, *bad)


def _point(private: ec.EllipticCurvePrivateKey, size: int) -> bytes:
    numbers = private.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")


def _pair(
    private: ec.EllipticCurvePrivateKey, digest: hashes.HashAlgorithm, message: bytes = MESSAGE
) -> tuple[int, int, bytes]:
    encoded = private.sign(message, ec.ECDSA(digest, deterministic_signing=True))
    return (*decode_dss_signature(encoded), encoded)


def _ecdsa(alg: str, size: int, order: int, digest: hashes.HashAlgorithm) -> Iterator[Case]:
    private = ecdsa_key(alg)
    r, s, der = _pair(private, digest)
    low = min(s, order - s)
    other_hash = hashes.SHA512()
    wrong_r, wrong_s, _ = _pair(private, other_hash)
    their_r, their_s, _ = _pair(private, digest, MESSAGE + b".")

    def joined(first: int, second: int) -> bytes:
        return first.to_bytes(size, "big") + second.to_bytes(size, "big")

    rows: list[tuple[str, str, bytes, list[str]]] = [
        ("", "a good signature", joined(r, low), []),
        ("-high-s", "the other form of the same signature", joined(r, order - low),
         ["SignatureInvalid", "s is above half the order"]),
        ("-der", "ASN.1 instead of r || s", der,
         ["SignatureInvalid", "a signature is r || s of fixed length"]),
        ("-message", "a signature of another message",
         joined(their_r, min(their_s, order - their_s)),
         ["SignatureInvalid", "another message was signed"]),
        ("-hash", "hashed with SHA-512", joined(wrong_r, min(wrong_s, order - wrong_s)),
         ["SignatureInvalid", "the message was hashed with another hash"]),
        ("-zero", "r of zero", joined(0, low), ["SignatureInvalid", "r is below 1"]),
        ("-more", "a byte more", joined(r, low) + b"\0",
         ["SignatureInvalid", "a signature is r || s of fixed length"]),
    ]  # fmt: skip
    for name, what, signature, bad in rows:
        yield _case(f"{alg}{name}", what, alg, _point(private, size), signature, *bad)


def _ecdsa_keys() -> Iterator[Case]:
    private = ecdsa_key("ecdsa-p256")
    point, none = _point(private, 32), bytes(64)
    rows = [
        ("ecdsa-p256-beside", "a point beside the curve", "ecdsa-p256", flipped(point, 64),
         "the point is not on the curve"),
        ("ecdsa-p256-compressed", "a compressed point", "ecdsa-p256",
         bytes([2 + (point[64] & 1)]) + point[1:33], "the point is not uncompressed"),
        ("ecdsa-p256-hybrid", "a point in the hybrid form", "ecdsa-p256",
         bytes([6 + (point[64] & 1)]) + point[1:], "the point does not begin with 0x04"),
        ("ecdsa-p384-curve", "a point of P-256", "ecdsa-p384", point,
         "the key is of another curve"),
        ("ecdsa-p384-padded", "a point of P-256, its coordinates padded", "ecdsa-p384",
         b"\x04" + bytes(16) + point[1:33] + bytes(16) + point[33:], "the key is of another curve"),
    ]  # fmt: skip
    for name, what, alg, key, why in rows:
        yield _case(name, what, alg, key, none, "KeyInvalid", why)


def _sshsig() -> Iterator[Case]:
    good = Blob()
    raw = Ed25519PrivateKey.from_private_bytes(SSH_SEED).public_key().public_bytes_raw()
    armoured = base64.b64encode(good.encode())
    rows: list[tuple[str, str, bytes, list[str]]] = [
        ("", "a good signature, as ssh-keygen makes it", good.encode(), []),
        ("-namespace", "made for files", replace(good, namespace=b"file").encode(),
         ["NamespaceForeign", "the namespace is another"]),
        ("-hash", "hashed with SHA-256", replace(good, algorithm="sha256").encode(),
         ["SignatureInvalid", "the hash is not sha512"]),
        ("-version", "version 2", replace(good, version=2).encode(),
         ["SignatureInvalid", "the version is not 1"]),
        ("-reserved", "something reserved", replace(good, reserved=b"x").encode(),
         ["SignatureInvalid", "reserved is not empty"]),
        ("-more", "a byte more", good.encode() + b"\0",
         ["SignatureInvalid", "something follows the signature"]),
        ("-cut", "a byte less", good.encode()[:-1], ["SignatureInvalid", "the signature is cut"]),
        ("-key", "another key's signature", replace(good, seed=_OTHER_SEED).encode(),
         ["SignatureInvalid", "the public key in it is another"]),
        ("-public", "the key's own signature, but another public key in it",
         replace(good, public_seed=_OTHER_SEED).encode(),
         ["SignatureInvalid", "the public key in it is another"]),
        ("-message", "a signature of another message", replace(good, message=b"other").encode(),
         ["SignatureInvalid", "another message was signed"]),
        ("-armour", "in Base64", armoured, ["SignatureInvalid", "the armour was not taken off"]),
        ("-bare", "a signature of Ed25519 without the blob",
         Ed25519PrivateKey.from_private_bytes(SSH_SEED).sign(MESSAGE),
         ["SignatureInvalid", "it is no SSHSIG blob"]),
    ]  # fmt: skip
    for name, what, signature, bad in rows:
        yield _case(f"sshsig{name}", what, "sshsig-ed25519", raw, signature, *bad)


def _sshsig_sk() -> Iterator[Case]:
    good = Blob(flags=0x05)
    blob = good.encode()
    rows: list[tuple[str, str, bytes, list[str]]] = [
        ("", "a good signature: touched, and the person verified", blob, []),
        ("-flags", "other bits of the flags set", replace(good, flags=0x1D).encode(), []),
        ("-touched", "touched only", replace(good, flags=0x01).encode(),
         ["HolderUnverified", "the flags lack 0x04"]),
        ("-untouched", "verified, but not touched", replace(good, flags=0x04).encode(),
         ["HolderUnverified", "the flags lack 0x01"]),
        ("-raised", "touched only, the flag added afterwards",
         flipped(replace(good, flags=0x01).encode(), -5, 0x04),
         ["SignatureInvalid", "the flags are not those that were signed"]),
        ("-counter", "another counter than was signed", flipped(blob, -1),
         ["SignatureInvalid", "the counter is not the one that was signed"]),
        ("-namespace", "made for files", replace(good, namespace=b"file").encode(),
         ["NamespaceForeign", "the namespace is another"]),
        ("-application", "made with the key of another application",
         replace(good, application=b"ssh:", public_application=b"ssh:exclave").encode(),
         ["SignatureInvalid", "another application was signed"]),
        ("-more", "a byte more", blob + b"\0",
         ["SignatureInvalid", "something follows the signature"]),
        ("-plain", "signed like a plain key", _plain_inner(),
         ["SignatureInvalid", "the inner signature is not a security key's"]),
    ]  # fmt: skip
    for name, what, signature, bad in rows:
        yield _case(f"sshsig-sk{name}", what, "sshsig-sk-ed25519", good.public(), signature, *bad)


def _plain_inner() -> bytes:
    """A plain signature beside a security key's public key."""
    plain, key = Blob(), Blob(flags=0x05)
    return plain.encode().replace(string(plain.public()), string(key.public()))


def _sk_keys() -> Iterator[Case]:
    good = Blob(flags=0x05)
    rows = [
        ("web", "made for a web page", replace(good, application=b"https://example").public(),
         "the application does not begin with ssh:"),
        ("space", "an application with a space", replace(good, application=b"ssh:a b").public(),
         "the application has a character that is not allowed"),
        ("long", "an application of 65 characters",
         replace(good, application=b"ssh:" + b"a" * 61).public(), "the application is too long"),
        ("more", "a byte more", good.public() + b"\0", "something follows the key"),
        ("type", "an SSH key that is no security key's", Blob().public(),
         "the type is another"),
    ]  # fmt: skip
    for name, what, key, why in rows:
        yield _case(f"sshsig-sk-key-{name}", what, "sshsig-sk-ed25519", key, good.encode(),
                    "KeyInvalid", why)  # fmt: skip
