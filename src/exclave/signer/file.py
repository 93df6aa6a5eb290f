"""Key files: a party's private keys on disk (spec/keyfiles.md).

Officials' files are encrypted under a passphrase; machine keys may lie in the clear, since the
machine has to start alone, and are then as safe as the machine. Rules: a file is readable by its
owner only, which is checked on reading too; it is written once, whole and durably, and never
overwritten; the public keys in it are compared with those that its seeds give.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from exclave.authority.fields import Fields, Node
from exclave.authority.keys import TypedKey, read_key
from exclave.durable import NameTaken, write_new_file
from exclave.encoding import JsonObject, b64encode, canonical_json, parse_canonical_json
from exclave.errors import AuthorityError, ConfigurationError, MalformedData, StorageError
from exclave.signer.bundle import KeyBundle, Purpose
from exclave.signer.passphrase import check_strength, normalise
from exclave.values import dataclass

__all__ = [
    "DEFAULT_SCRYPT_N",
    "KeyFileDamaged",
    "KeyFileExists",
    "KeyFileExposed",
    "KeyFileLocked",
    "PassphraseWrong",
    "PublicKeys",
    "decode_key_file",
    "encode_key_file",
    "encode_public_keys",
    "load_key_file",
    "parse_public_keys",
    "public_keys_bytes",
    "save_key_file",
    "write_once",
]

DEFAULT_SCRYPT_N = 2**17
"""128 MiB and about half a second for each guess; OWASP's password storage cheat sheet."""

_MIN_N, _MAX_N = 2**15, 2**20
_R, _P = 8, 1
_LABEL = b"exclave/1/key-file\x00"
_KIND = "exclave-key"
_PUBLIC_KIND = "exclave-public-keys"
_MAX_FILE = 2**20
Random = Callable[[int], bytes]
Passphrase = Callable[[], bytes]


class KeyFileExists(ConfigurationError):
    """A key file is there already; keys are never overwritten."""


class KeyFileExposed(ConfigurationError):
    """Others than its owner may read a key file."""


class KeyFileLocked(AuthorityError):
    """A key file is encrypted, and no passphrase was given."""


class PassphraseWrong(AuthorityError):
    """A key file does not open: a wrong passphrase, or somebody altered it."""


class KeyFileDamaged(AuthorityError):
    """A key file's public keys are not those of its seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """A party's public keys, as handed to whoever founds a mission."""

    purpose: Purpose
    id: str
    keys: tuple[TypedKey, ...]


def public_keys_bytes(bundle: KeyBundle) -> bytes:
    """The public part of a bundle as a file of its own."""
    return encode_public_keys(PublicKeys(purpose=bundle.purpose, id=bundle.id, keys=bundle.public))


def encode_public_keys(public: PublicKeys) -> bytes:
    """Public keys as a file, also of keys that no file of ours holds."""
    return canonical_json({"kind": _PUBLIC_KIND, "version": 1, **_party(public)})


def parse_public_keys(data: bytes) -> PublicKeys:
    """Read what `public_keys_bytes` gave."""
    node = Node(parse_canonical_json(data, subject="public keys"), "public keys")
    fields = node.versioned(_PUBLIC_KIND, 1, "purpose", "id", "public")
    return _read_party(fields)


def encode_key_file(
    bundle: KeyBundle, *, passphrase: bytes | None, random: Random, n: int = DEFAULT_SCRYPT_N
) -> bytes:
    """A key file's bytes; `passphrase` None leaves the keys in the clear (machines only)."""
    protection: JsonObject = {"method": "none"}
    if passphrase is not None:
        check_strength(passphrase)
        salt, nonce = random(32).hex(), random(12).hex()
        protection = {"method": "scrypt", "n": n, "r": _R, "p": _P, "salt": salt, "nonce": nonce}
    elif bundle.purpose is Purpose.OFFICIAL:
        raise KeyFileLocked("key file of an official: expected a passphrase, got none")
    header: JsonObject = {
        "kind": _KIND,
        "version": 1,
        "protection": protection,
        **_party(PublicKeys(purpose=bundle.purpose, id=bundle.id, keys=bundle.public)),
    }
    plaintext = bundle.plaintext()
    if passphrase is not None:
        key = _derive(passphrase, Node(protection, "protection"))
        plaintext = key.encrypt(plaintext, _aad(header))
    return canonical_json({**header, "secrets": b64encode(plaintext)})


def decode_key_file(data: bytes, passphrase: Passphrase | None = None) -> KeyBundle:
    """Read a key file; `passphrase` is asked only when the file is encrypted."""
    if len(data) > _MAX_FILE:
        raise MalformedData(f"key file: expected at most {_MAX_FILE} bytes, got {len(data)}")
    node = Node(parse_canonical_json(data, subject="key file"), "key file")
    fields = node.versioned(_KIND, 1, "purpose", "id", "public", "protection", "secrets")
    party = _read_party(fields)
    plaintext = fields["secrets"].base64()
    protection = fields["protection"]
    if protection.value != {"method": "none"}:
        assert isinstance(node.value, dict)
        header = {name: value for name, value in node.value.items() if name != "secrets"}
        plaintext = _open(plaintext, protection, _aad(header), passphrase, party.id)
    bundle = KeyBundle.from_plaintext(party.purpose, party.id, plaintext)
    if bundle.public != party.keys:
        raise KeyFileDamaged(f"key file of {party.id}: expected its own public keys, got others")
    return bundle


def save_key_file(
    path: Path,
    bundle: KeyBundle,
    *,
    passphrase: bytes | None,
    random: Random,
    n: int = DEFAULT_SCRYPT_N,
) -> None:
    """Write a new key file, durable on return; raises `KeyFileExists`."""
    write_once(path, encode_key_file(bundle, passphrase=passphrase, random=random, n=n))


def load_key_file(path: Path, passphrase: Passphrase | None = None) -> KeyBundle:
    """Read a key file that only its owner may read."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise KeyFileExposed(
                    f"{path}: expected mode 0600, got {stat.S_IMODE(mode):04o}",
                    hint="chmod 600, and consider the keys in it read by others",
                )
            data = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    return decode_key_file(data, passphrase)


def write_once(path: Path, data: bytes) -> None:
    """Create a file of mode 0600, durable on return; an existing one is left alone.

    Raises `KeyFileExists`, or `ConfigurationError` where it cannot be written.
    """
    try:
        write_new_file(path, [data], mode=0o600)
    except NameTaken as error:
        raise KeyFileExists(f"{path}: is there already", hint="keys are never overwritten") from (
            error
        )
    except StorageError as error:
        raise ConfigurationError(
            f"{path.parent}: cannot be written to: {error.message}", hint=error.hint
        ) from error


def _party(public: PublicKeys) -> JsonObject:
    return {
        "purpose": public.purpose.value,
        "id": public.id,
        "public": [key.to_json() for key in public.keys],
    }


def _read_party(fields: Fields) -> PublicKeys:
    return PublicKeys(
        purpose=Purpose(fields["purpose"].literal(*Purpose)),
        id=fields["id"].slug(),
        keys=fields["public"].each(read_key(), least=1, most=64),
    )


def _aad(header: JsonObject) -> bytes:
    return _LABEL + canonical_json(header)


class _Lock:
    """AES-256-GCM under a key that scrypt made of a passphrase."""

    __slots__ = ("_cipher", "_nonce")

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._cipher = AESGCM(key)
        self._nonce = nonce

    def encrypt(self, plaintext: bytes, aad: bytes) -> bytes:
        # The key is fresh with every file, since its salt is: the nonce never repeats under it.
        return self._cipher.encrypt(self._nonce, plaintext, aad)

    def decrypt(self, ciphertext: bytes, aad: bytes) -> bytes:
        return self._cipher.decrypt(self._nonce, ciphertext, aad)


def _derive(passphrase: bytes, protection: Node) -> _Lock:
    fields = protection.fields("method", "n", "r", "p", "salt", "nonce")
    fields["method"].literal("scrypt")
    n = fields["n"].integer(_MIN_N, _MAX_N)
    if n & (n - 1):
        raise fields["n"].refuse("a power of two")
    fields["r"].integer(_R, _R)
    fields["p"].integer(_P, _P)
    salt, nonce = fields["salt"].hex(32), fields["nonce"].hex(12)
    key = Scrypt(salt=salt, length=32, n=n, r=_R, p=_P).derive(normalise(passphrase))
    return _Lock(key, nonce)


def _open(
    ciphertext: bytes, protection: Node, aad: bytes, passphrase: Passphrase | None, id: str
) -> bytes:
    if passphrase is None:
        raise KeyFileLocked(f"key file of {id}: expected a passphrase, got none")
    try:
        return _derive(passphrase(), protection).decrypt(ciphertext, aad)
    except InvalidTag as error:
        raise PassphraseWrong(
            f"key file of {id}: does not open with this passphrase",
            hint="mistyped, or the file was altered",
        ) from error
