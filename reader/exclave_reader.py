#!/usr/bin/env python3
# long: one file on purpose, so that it can be kept, printed and read without anything else.
"""Exclave's standalone reader: gets registers back out of vault folders, and checks everything.

YOU HOLD a folder or disk from two or more vaults, some share cards (33 English words each) and
this file. Somebody, perhaps long ago, sealed the registers of a state so that the host of a vault
could not read them, and spread them so that some of the vaults and some of the cards suffice. How
many is written on the cards ("groups needed", "needs 2 of 3") and in the charter, which `list`
shows. You need no network, no other program of Exclave and no permission from a server.

  1. Take a computer without network, with Python 3.11 or newer, and copy the folders onto it.
  2. Install the libraries of requirements.txt (cryptography, zstandard, blake3), from a copy.
  3. Find out whether this reader works there (the vectors lie beside it, in KIT/):
         python exclave_reader.py verify-vectors ../vectors
  4. See what is there. This needs no cards:
         python exclave_reader.py list FOLDER FOLDER
  5. Type each card into a text file of its own (the words alone will do), then:
         python exclave_reader.py extract --cards card1.txt card2.txt --out NEW FOLDER FOLDER
     Without --cards the words are read from standard input, 33 for each card. --deposit takes
     another than the newest deposit, --register one register only, --mission one of several.
  6. Read NEW/VERDICT.txt. It names each register, what was compared, and each difference. The
     program ends with 0 when all is equal, 1 on any difference, 2 when it could not go on.
     A PostgreSQL register is loaded with `psql -X -d postgres -f load.sql` from inside its folder.

BAGS (carried media) are named like folders: a bag's folder, or the files of its volumes, which are
copied from a tape with `dd bs=64k if=TAPE of=FILE`, each one as far as it can be read
(conv=noerror,sync). Their shards open with the keys of their seats, the vault.key of each vault or
safe: `extract --seat-keys KEY KEY ...`. All bags of a seat are named, and as many seats as needed.

Delete the card files afterwards: with the folders they open everything.

What it does not do: it asks no vault for anything, changes no folder that it reads, and trusts
nothing but the mission id: a charter is right when its hash is the mission id (compare it with
your card), and all else is signed by keys in the charter or named by a hash.

It was written from spec/ alone; the parts below follow its pages and name their sections. Every
refusal is a ReaderError with one cause. Times in records are claims and are only displayed.
"""

from __future__ import annotations

import argparse
import base64
import functools
import getpass
import hashlib
import hmac
import ipaddress
import itertools
import json
import os
import re
import shutil
import sqlite3
import struct
import sys
import tempfile
import unicodedata
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Json = Any  # canonical JSON after decode_json; every use is behind a shape check


class ReaderError(Exception):
    """Something was refused. The class names the cause, the text says where."""


class NotCanonical(ReaderError):
    """JSON, Base64, hex or another encoding that is not the one allowed form."""


class Malformed(ReaderError):
    """A field is missing, unknown, of another type or out of range."""


class UnknownSuite(ReaderError):
    """Algorithms that this reader does not know."""


class KeyRefused(ReaderError):
    """A public or private key that is none."""


class SealRefused(ReaderError):
    """A sealed value does not open: another key, another context, or altered."""


class KeyCheckFailed(ReaderError):
    """The recombined seed is not the one of the charter."""


class PackRefused(ReaderError):
    """A sealed pack or its plaintext is not well-formed or does not decrypt."""


class ShardCorrupt(ReaderError):
    """A shard does not have the root that names it, or a wrong header."""


class TooFewShards(ReaderError):
    """Fewer than k usable shards."""


class ShardsDisagree(ReaderError):
    """Shards whose own roots are right rebuild no pack."""


class SignatureRefused(ReaderError):
    """A known key's signature fails, or a needed one is missing."""


class QuorumNotReached(ReaderError):
    """Fewer persons signed than the threshold."""


class CharterRefused(ReaderError):
    """A charter breaks a rule, or does not follow its predecessor."""


class LogRefused(ReaderError):
    """Checkpoint, tiles, entries or a proof do not fit together."""


class CardRefused(ReaderError):
    """Words or cards that are mistyped, mixed or not enough."""


class RecordRefused(ReaderError):
    """A deposit record, or its chain, is not right."""


class StreamRefused(ReaderError):
    """References, nodes or chunks do not describe a stream."""


class EntryRefused(ReaderError):
    """An entry of a file tree or of large objects is not allowed."""


class NothingFound(ReaderError):
    """No folder, mission, deposit or register of that name."""


# ------------------------------------------------------------------ conventions.md 1-5: encodings


def sha256(data: bytes) -> bytes:
    """H of conventions.md 5."""
    return hashlib.sha256(data).digest()


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotCanonical("json: a key stands twice")
    for key in found:
        if not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,128}", key):
            raise NotCanonical(f"json: key {key[:40]!r} is not allowed")
    return found


def _check_depth(value: Json, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth == 32:
            raise NotCanonical("json: nesting: expected at most 32, got more")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, depth + 1)
    elif isinstance(value, float):
        raise NotCanonical("json: numbers: expected integers, got a fraction")
    elif isinstance(value, int) and abs(value) > 2**53 - 1:
        raise NotCanonical("json: numbers: expected at most 2^53-1, got more")


def encode_json(value: Json) -> bytes:
    """Canonical JSON, conventions.md 2."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8")


def decode_json(data: bytes) -> Json:
    """Decode canonical JSON; refuses every other encoding of the same value."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_pairs)
        _check_depth(value, 0)
        again = encode_json(value)
    except (ValueError, RecursionError) as error:  # includes Unicode errors
        raise NotCanonical(f"json: {error}") from None
    if again != data:
        raise NotCanonical("json: expected canonical bytes, got another encoding")
    return value


def decode_base64(text: str) -> bytes:
    """Base64 with padding, no line breaks, unused bits zero."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise NotCanonical("base64: not decodable") from None
    if base64.b64encode(data).decode() != text:
        raise NotCanonical("base64: expected unused bits zero")
    return data


def decode_hex(text: str) -> bytes:
    """Lower-case hex."""
    if not re.fullmatch(r"(?:[0-9a-f]{2})*", text):
        raise NotCanonical("hex: expected lower-case pairs")
    return bytes.fromhex(text)


# Shapes of JSON objects: a rule says whether a value is allowed.
Rule = Callable[[Json], bool]


def count_from(low: int, high: int = 2**53 - 1) -> Rule:
    """An integer between low and high."""
    return lambda v: type(v) is int and low <= v <= high


def hex_of(size: int) -> Rule:
    """Hex of so many bytes."""
    return lambda v: isinstance(v, str) and bool(re.fullmatch(f"[0-9a-f]{{{2 * size}}}", v))


def matches(pattern: str) -> Rule:
    """Text of a form."""
    return lambda v: isinstance(v, str) and bool(re.fullmatch(pattern, v))


def maybe(rule: Rule) -> Rule:
    """Or null."""
    return lambda v: v is None or rule(v)


def list_of(rule: Rule) -> Rule:
    """A list of such values."""
    return lambda v: isinstance(v, list) and all(map(rule, v))


def list_to(most: int, rule: Rule) -> Rule:
    """A list of at most so many such values."""
    return lambda v: list_of(rule)(v) and len(v) <= most


def row_of(*rules: Rule) -> Rule:
    """A list of exactly these values."""
    return lambda v: (
        isinstance(v, list)
        and len(v) == len(rules)
        and all(rule(item) for rule, item in zip(rules, v, strict=True))
    )


def one_of(*values: Json) -> Rule:
    """One of these values, of the same type."""
    return lambda v: any(v == value and type(v) is type(value) for value in values)


def shape(rules: dict[str, Rule]) -> Rule:
    """An object with exactly these fields."""
    return lambda v: (
        isinstance(v, dict)
        and v.keys() == rules.keys()
        and all(rule(v[name]) for name, rule in rules.items())
    )


def is_base64(value: Json) -> bool:
    """Strict Base64 text."""
    try:
        return isinstance(value, str) and decode_base64(value) is not None
    except NotCanonical:
        return False


def is_time(value: Json) -> bool:
    """YYYY-MM-DDTHH:MM:SSZ that exists."""
    if not matches(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")(value) or not value.isascii():
        return False
    with suppress(ValueError):
        datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z")
        return True
    return False


def is_line(value: Json) -> bool:
    """One line of at most 1,024 characters (authority.md 1)."""
    if not isinstance(value, str) or len(value) > 1024:
        return False
    return not any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in value)


is_text: Rule = lambda v: isinstance(v, str)  # noqa: E731
is_bool: Rule = lambda v: isinstance(v, bool)  # noqa: E731
is_count, is_positive = count_from(0), count_from(1)
HASH, SLUG, CODE = hex_of(32), matches(r"[a-z0-9][a-z0-9-]{0,62}"), matches(r"[A-Z]{2}")


def ascending(values: Sequence[Any]) -> bool:
    """Strictly ascending, so also distinct."""
    return all(a < b for a, b in itertools.pairwise(values))


def check_shape(what: str, value: Json, rules: dict[str, Rule]) -> dict[str, Json]:
    """Return the object, or name the field that is wrong."""
    if not isinstance(value, dict):
        raise Malformed(f"{what}: expected an object")
    for name in sorted(rules.keys() - value.keys()):
        raise Malformed(f"{what}: field {name} is missing")
    for name in sorted(value.keys() - rules.keys()):
        raise Malformed(f"{what}: field {name} is unknown")
    for name, rule in rules.items():
        if not rule(value[name]):
            raise Malformed(f"{what}: field {name} is not of the form allowed")
    return value


# ------------------------------------------------------------------ conventions.md 5: tree roots


def hash_leaf(data: bytes) -> bytes:
    """Leaf of an RFC 6962 tree."""
    return sha256(b"\0" + data)


def hash_node(left: bytes, right: bytes) -> bytes:
    """Inner node of an RFC 6962 tree."""
    return sha256(b"\1" + left + right)


class Tree:
    """Computes a tree root from leaf hashes one by one, in memory that grows with log2(size)."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        size = self.size
        while size & 1:  # a complete left sibling of the same height is waiting
            leaf = hash_node(self._stack.pop(), leaf)
            size >>= 1
        self._stack.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Root over what was added."""
        if not self._stack:
            return sha256(b"")
        *rest, root = self._stack
        for left in reversed(rest):
            root = hash_node(left, root)
        return root


def tree_root(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf data."""
    tree = Tree()
    for leaf in leaves:
        tree.add(hash_leaf(leaf))
    return tree.root()


def pieces(data: bytes | memoryview, size: int) -> Iterator[bytes]:
    """Cut into pieces of a size, the last one shorter."""
    for start in range(0, len(data), size):
        yield bytes(data[start : start + size])


# ------------------------------------------------------------------ sealing.md 1-2: keys and HPKE


@dataclass(frozen=True, slots=True)
class XWingKey:
    """An X-Wing private key, expanded from its 32-byte seed."""

    seed: bytes
    mlkem: MLKEM768PrivateKey
    x25519: X25519PrivateKey

    @classmethod
    def from_seed(cls, seed: bytes) -> XWingKey:
        """SHAKE256(seed, 96) = ML-KEM seed (64) || X25519 key (32)."""
        if len(seed) != 32:
            raise KeyRefused(f"seed: expected 32 bytes, got {len(seed)}")
        wide = hashlib.shake_256(seed).digest(96)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(wide[:64])
        return cls(seed, mlkem, X25519PrivateKey.from_private_bytes(wide[64:]))

    def public(self) -> bytes:
        """1,216 bytes."""
        first = self.mlkem.public_key().public_bytes_raw()
        return first + self.x25519.public_key().public_bytes_raw()

    def decapsulate(self, enc: bytes) -> bytes:
        """The shared secret of X-Wing: SHA3-256(ss_M || ss_X || ct_X || pk_X || label)."""
        try:
            first = self.mlkem.decapsulate(enc[:1088])
            second = self.x25519.exchange(X25519PublicKey.from_public_bytes(enc[1088:]))
        except ValueError:
            raise SealRefused("sealed value: encapsulation is not valid") from None
        own = self.x25519.public_key().public_bytes_raw()
        return hashlib.sha3_256(first + second + enc[1088:] + own + b"\\.//^\\").digest()


def key_hash(public: bytes) -> bytes:
    """Name of an X-Wing public key."""
    return sha256(public)


def read_public_key(public: bytes) -> bytes:
    """Refuse what is no X-Wing public key."""
    if len(public) != 1216:
        raise KeyRefused(f"x-wing key: expected 1216 bytes, got {len(public)}")
    try:
        MLKEM768PublicKey.from_public_bytes(public[:1184])
        # A point of small order gives an all-zero result with every private key.
        probe = X25519PrivateKey.from_private_bytes(b"\1" * 32)
        probe.exchange(X25519PublicKey.from_public_bytes(public[1184:]))
    except ValueError:
        raise KeyRefused("x-wing key: a part is not a valid public key") from None
    # 12-bit little-endian coefficients, FIPS 203 7.2: each below the modulus.
    number = int.from_bytes(public[:1152], "little")
    if any((number >> (12 * i)) & 0xFFF >= 3329 for i in range(768)):
        raise KeyRefused("x-wing key: an ML-KEM coefficient is not below 3329")
    return public


def hkdf_extract(algorithm: str, salt: bytes, ikm: bytes) -> bytes:
    """RFC 5869 2.2."""
    size = hashlib.new(algorithm).digest_size
    return hmac.digest(salt or bytes(size), ikm, algorithm)


def hkdf_expand(algorithm: str, key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 2.3."""
    out, block, counter = b"", b"", 0
    while len(out) < length:
        counter += 1
        block = hmac.digest(key, block + info + bytes([counter]), algorithm)
        out += block
    return out[:length]


def key_check(seed: bytes, name: bytes) -> bytes:
    """Key-check value of a recovery seed whose public key has the hash `name`."""
    key = hkdf_extract("sha256", b"", seed)
    return hkdf_expand("sha256", key, b"exclave/1/key-check" + name, 16)


HPKE_SUITE = b"HPKE" + bytes.fromhex("647a00010002")  # X-Wing, HKDF-SHA256, AES-256-GCM


def hpke_key_schedule(shared: bytes, info: bytes, suite: bytes = HPKE_SUITE) -> tuple[bytes, bytes]:
    """Key and base nonce of RFC 9180 5.1, base mode, for a 256-bit AEAD key."""

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hkdf_extract("sha256", salt, b"HPKE-v1" + suite + label + ikm)

    def expand(key: bytes, label: bytes, context: bytes, length: int) -> bytes:
        labeled = struct.pack(">H", length) + b"HPKE-v1" + suite + label + context
        return hkdf_expand("sha256", key, labeled, length)

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)


def hpke_open(key: XWingKey, sealed: bytes, info: bytes) -> bytes:
    """Open a sealed value: enc (1,120) || ciphertext, one message, no AAD."""
    if len(sealed) < 1136:
        raise SealRefused(f"sealed value: expected at least 1136 bytes, got {len(sealed)}")
    aead, nonce = hpke_key_schedule(key.decapsulate(sealed[:1120]), info)
    try:
        return AESGCM(aead).decrypt(nonce, sealed[1120:], None)
    except InvalidTag:
        raise SealRefused("sealed value: does not open with this key and context") from None


def open_32(key: XWingKey, sealed: bytes, info: bytes) -> bytes:
    """Open a sealed value that must hold 32 bytes."""
    if len(sealed) != 1168:
        raise SealRefused(f"sealed value: expected 1168 bytes, got {len(sealed)}")
    return hpke_open(key, sealed, info)


def deposit_secret_info(mission: bytes, deposit: bytes, epoch: int, name: bytes) -> bytes:
    """Context of a sealed deposit secret."""
    return b"exclave/1/deposit-secret\0" + mission + deposit + struct.pack(">I", epoch) + name


def unseal_veil_share(key: XWingKey, sealed: bytes, mission: bytes, pack: bytes, s: int) -> bytes:
    """Open a veil share with the key of its seat."""
    return open_32(key, sealed, b"exclave/1/veil-share\0" + mission + pack + bytes([s]))


# ------------------------------------------------------------------ sealing.md 3-4: sealed packs

SEGMENT = 16384
COBBLESTONE = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"


@dataclass(frozen=True, slots=True)
class PackHeader:
    """The first 1,296 bytes of a sealed pack."""

    kind: int
    k: int
    epoch: int
    mission: bytes
    deposit: bytes
    key_hash: bytes
    sealed_secret: bytes
    salt: bytes


def parse_pack_header(data: bytes) -> PackHeader:
    """sealing.md 4."""
    if len(data) < 1296 + 56 + 16:
        raise PackRefused(f"pack: expected at least {1296 + 56 + 16} bytes, got {len(data)}")
    if data[:8] != b"EXCLAVEP":
        raise PackRefused("pack: no EXCLAVEP at its start")
    suite, kind, k, epoch = struct.unpack_from(">HBBI", data, 8)
    if suite != 1:
        raise UnknownSuite(f"pack: expected suite 1, got {suite}")
    if kind not in (1, 2) or k == 0 or epoch == 0:
        raise PackRefused(f"pack: kind {kind}, k {k}, epoch {epoch} are not allowed")
    return PackHeader(
        kind, k, epoch, data[16:48], data[48:64], data[64:96], data[96:1264], data[1264:1296]
    )


def pack_key(header: bytes, secret: bytes, veil: bytes) -> bytes:
    """HKDF-SHA512 over deposit secret and veil, sealing.md 3."""
    key = hkdf_extract("sha512", header[1264:1296], secret + veil)
    return hkdf_expand("sha512", key, b"exclave/1/pack\0" + header[:96], 32)


def cobblestone_keys(key: bytes, salt: bytes, context: bytes) -> tuple[bytes, int, bytes]:
    """Key, base nonce and commitment of Cobblestone-256."""
    out = hkdf_expand("sha512", key, COBBLESTONE + salt + context, 76)
    return out[:32], int.from_bytes(out[32:44], "big"), out[44:]


def cobblestone_open(key: bytes, body: bytes | memoryview, context: bytes) -> bytearray:
    """Open salt24 || commitment || segments; the last segment is always shorter than 16 KiB."""
    if len(body) < 56 + 16:
        raise PackRefused("pack body: too short")
    aead_key, base, commitment = cobblestone_keys(key, bytes(body[:24]), context)
    if not hmac.compare_digest(commitment, body[24:56]):
        raise PackRefused("pack body: commitment differs: wrong secret, veil or header")
    whole, rest = divmod(len(body) - 56, SEGMENT + 16)
    if rest < 16:
        raise PackRefused("pack body: the last segment is full or cut")
    aead, plain = AESGCM(aead_key), bytearray()
    for number in range(whole + 1):
        start = 56 + number * (SEGMENT + 16)
        nonce = (base ^ number).to_bytes(12, "big")
        try:
            plain += aead.decrypt(nonce, body[start : start + SEGMENT + 16], None)
        except InvalidTag:
            raise PackRefused(f"pack body: segment {number} does not open") from None
    return plain


def open_pack(sealed: bytes, secret: bytes, veil: bytes) -> bytearray:
    """Plaintext of a sealed pack."""
    parse_pack_header(sealed)
    key = pack_key(sealed[:1296], secret, veil)
    return cobblestone_open(key, memoryview(sealed)[1296:], sha256(sealed[:1296]))


def veil_fits(sealed: bytes, secret: bytes, veil: bytes) -> bool:
    """Whether the commitment of a pack confirms secret and veil, without decrypting it."""
    key = pack_key(sealed[:1296], secret, veil)
    found = cobblestone_keys(key, sealed[1296:1320], sha256(sealed[:1296]))[2]
    return hmac.compare_digest(found, sealed[1320:1352])


# ------------------------------------------------------------------ dispersal.md: packs from shards


class Field:
    """GF(2^8) by tables of logarithms."""

    def __init__(self, polynomial: int, generator: int) -> None:
        self.exp, self.log, value = [0] * 510, [0] * 256, 1
        for i in range(255):
            self.exp[i] = self.exp[i + 255] = value
            self.log[value] = i
            value = _carryless(value, generator, polynomial)

    def times(self, a: int, b: int) -> int:
        """Product."""
        return self.exp[self.log[a] + self.log[b]] if a and b else 0

    def inverse(self, a: int) -> int:
        """1/a; a is not 0."""
        return self.exp[255 - self.log[a]]

    def scale(self, factor: int, data: bytes) -> bytes:
        """Product of each byte with one factor."""
        return data.translate(bytes(self.times(factor, b) for b in range(256)))

    def interpolate(self, points: Sequence[tuple[int, bytes]], at: int) -> bytes:
        """Value at `at` of the polynomials through the points, byte by byte (Lagrange)."""
        total = bytes(len(points[0][1]))
        for i, (x_i, y_i) in enumerate(points):
            factor = 1
            for j, (x_j, _) in enumerate(points):
                if i != j:
                    factor = self.times(factor, self.times(at ^ x_j, self.inverse(x_i ^ x_j)))
            total = xor(total, self.scale(factor, y_i))
        return total


def _carryless(a: int, b: int, polynomial: int) -> int:
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (polynomial if a & 0x80 else 0)
        b >>= 1
    return product


def xor(a: bytes, b: bytes) -> bytes:
    """Bytewise sum in GF(2^8)."""
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


CODE_FIELD = Field(0x11D, 2)  # dispersal.md 1
WORD_FIELD = Field(0x11B, 3)  # SLIP-39: the field of AES


def pack_root(k: int, pack: bytes | memoryview) -> bytes:
    """Tree root over the length and the leaves of k padded rows, dispersal.md 2."""
    size = body_length(len(pack), k)
    rows = pieces(bytes(pack).ljust(k * size, b"\0"), size)
    leaves = itertools.chain.from_iterable(pieces(row, 65536) for row in rows)
    return tree_root(itertools.chain([len(pack).to_bytes(8, "big")], leaves))


def body_length(length: int, k: int) -> int:
    """B, dispersal.md 3."""
    return 4096 * -(-length // (4096 * k))


def code_row(k: int, seat: int) -> list[int]:
    """The factors of D_0..D_{k-1} in a seat's body."""
    if k == 1:
        return [1]
    if seat <= k:
        return [int(j == seat - 1) for j in range(k)]
    return [CODE_FIELD.times(k ^ j, CODE_FIELD.inverse((seat - 1) ^ j)) for j in range(k)]


def invert(rows: list[list[int]]) -> list[list[int]]:
    """Inverse of a square matrix over the code's field (Gauss-Jordan)."""
    gf, size = CODE_FIELD, len(rows)
    wide = [row + [int(i == j) for j in range(size)] for i, row in enumerate(rows)]
    for column in range(size):
        pivot = next((r for r in range(column, size) if wide[r][column]), None)
        if pivot is None:
            raise ShardsDisagree("code: the rows are not independent")
        wide[column], wide[pivot] = wide[pivot], wide[column]
        inverse = gf.inverse(wide[column][column])
        wide[column] = [gf.times(inverse, v) for v in wide[column]]
        for r in range(size):
            if r != column and (factor := wide[r][column]):
                wide[r] = [
                    v ^ gf.times(factor, w) for v, w in zip(wide[r], wide[column], strict=True)
                ]
    return [row[size:] for row in wide]


def combine_rows(factors: Sequence[int], rows: Sequence[bytes]) -> bytes:
    """Sum of rows, each times its factor."""
    total = 0
    for factor, row in zip(factors, rows, strict=True):
        if factor:
            total ^= int.from_bytes(CODE_FIELD.scale(factor, row) if factor > 1 else row, "big")
    return total.to_bytes(len(rows[0]), "big")


def decode_bodies(k: int, length: int, bodies: dict[int, bytes]) -> bytes:
    """Rebuild a pack from the bodies of k seats; the padding must be zero."""
    if len(bodies) < k:
        raise TooFewShards(f"pack: expected {k} bodies, got {len(bodies)}")
    chosen = sorted(bodies)[:k]
    size = body_length(length, k)
    for seat in chosen:
        if len(bodies[seat]) != size:
            raise ShardCorrupt(f"seat {seat}: body: expected {size} bytes, got other")
    rows = [bodies[seat] for seat in chosen]
    inverse = invert([code_row(k, seat) for seat in chosen])
    pack = b"".join(
        rows[r.index(1)] if sum(map(bool, r)) == 1 and 1 in r else combine_rows(r, rows)
        for r in inverse
    )
    if pack[length:].count(0) != len(pack) - length:
        raise ShardsDisagree(f"seats {chosen}: the padding of the rebuilt pack is not zero")
    return pack[:length]


def join_veil(k: int, shares: Sequence[tuple[int, bytes]]) -> bytes:
    """The veil from k shares; more than k must agree."""
    seats = [seat for seat, _ in shares]
    if len(set(seats)) != len(seats) or not all(0 < seat < 256 for seat in seats):
        raise ShardsDisagree("veil: seats: expected distinct ones from 1 to 255")
    if len(shares) < k:
        raise TooFewShards(f"veil: expected {k} shares, got {len(shares)}")
    if any(len(share) != 32 for _, share in shares):
        raise ShardCorrupt("veil share: expected 32 bytes")
    veil = CODE_FIELD.interpolate(shares[:k], 0)
    for seat, share in shares[k:]:
        if CODE_FIELD.interpolate(shares[:k], seat) != share:
            raise ShardsDisagree(f"veil: the share of seat {seat} does not fit the others")
    return veil


@dataclass(frozen=True, slots=True)
class Shard:
    """One seat's part of a pack, dispersal.md 4."""

    veil_share: bytes
    k: int
    seat: int
    mission: bytes
    pack_root: bytes
    length: int
    body: bytes


def shard_root(data: bytes) -> bytes:
    """Root over leaf 0 (32), leaf 1 (96) and body leaves of 64 KiB."""
    body = pieces(memoryview(data)[128:], 65536)
    return tree_root(itertools.chain((data[:32], data[32:128]), body))


def parse_shard(data: bytes, root: bytes) -> Shard:
    """Check a shard against the root that names it, and its header."""
    if len(data) < 128:
        raise ShardCorrupt(f"shard: expected at least 128 bytes, got {len(data)}")
    magic, suite, k, seat, zero = struct.unpack_from(">8sHBBI", data, 32)
    mission, pack, length, size = struct.unpack_from(">32s32sQQ", data, 48)
    if magic != b"EXCLAVES":
        raise ShardCorrupt("shard: no EXCLAVES in its header")
    if suite != 1:
        raise UnknownSuite(f"shard: expected suite 1, got {suite}")
    if not k or not seat or zero or not length or size != body_length(length, k):
        raise ShardCorrupt(f"shard: k {k}, seat {seat}, lengths {length} and {size} do not fit")
    if len(data) != 128 + size:
        raise ShardCorrupt(f"shard: expected {128 + size} bytes, got {len(data)}")
    if shard_root(data) != root:
        raise ShardCorrupt(f"shard: its root is not its name {root.hex()}")
    return Shard(data[:32], k, seat, mission, pack, length, data[128:])


def unseal_shard(key: XWingKey, sealed: bytes, root: bytes) -> bytes:
    """Shard bytes from a sealed shard (spool, bag), dispersal.md 5."""
    if len(sealed) < 1168 + 96:
        raise ShardCorrupt("sealed shard: too short")
    header = sealed[1168 : 1168 + 96]
    share = unseal_veil_share(key, sealed[:1168], header[16:48], header[48:80], header[11])
    data = share + sealed[1168:]
    parse_shard(data, root)
    return data


def check_alike(shards: Sequence[Shard]) -> None:
    """Shards of one pack name the same pack, mission, k and length, and distinct seats."""
    if len({(s.k, s.mission, s.pack_root, s.length) for s in shards}) > 1:
        raise ShardsDisagree("shards: they name different packs, missions, k or lengths")
    if len({s.seat for s in shards}) != len(shards):
        raise ShardsDisagree("shards: a seat stands twice")


def rebuild_pack(shards: Sequence[Shard]) -> tuple[bytes, list[str]]:
    """The pack that has the right root, tried over all choices of k seats, and what disagreed."""
    check_alike(shards)
    first = shards[0]
    if len(shards) < first.k:
        raise TooFewShards(f"pack: expected {first.k} shards, got {len(shards)}")
    ordered = sorted(shards, key=lambda s: s.seat)
    for attempt, chosen in enumerate(itertools.combinations(ordered, first.k)):
        with suppress(ShardsDisagree):
            pack = decode_bodies(first.k, first.length, {s.seat: s.body for s in chosen})
            if pack_root(first.k, pack) == first.pack_root:
                return pack, disagreeing(pack, ordered) if attempt else []
        if attempt >= 5000:
            break
    seats = [s.seat for s in ordered]
    raise ShardsDisagree(f"pack {first.pack_root.hex()}: no {first.k} of seats {seats} rebuild it")


def disagreeing(pack: bytes, shards: Sequence[Shard]) -> list[str]:
    """The shards whose body is not what the code gives for the rebuilt pack."""
    k, size = shards[0].k, len(shards[0].body)
    padded = pack.ljust(k * size, b"\0")
    rows = list(pieces(padded, size))
    return [
        f"seat {s.seat}: its shard of pack {s.pack_root.hex()} was dispersed wrongly"
        for s in shards
        if combine_rows(code_row(k, s.seat), rows) != s.body
    ]


# ------------------------------------------------------------------ statements.md: signed envelopes

KEY_SIZES = {
    "ed25519": 32, "ml-dsa-65": 1952, "ml-dsa-44": 1312, "x-wing": 1216,
    "ecdsa-p256": 65, "ecdsa-p384": 97, "sshsig-ed25519": 32,
}  # fmt: skip
KINDS = (
    "charter", "seat-request", "depositor-request", "enrolment", "warrant", "record", "supplement",
    "refusals", "report", "unseal-request", "unsealed", "evidence", "alarm", "swept", "custody",
    "veto", "lockdown", "hold", "extend", "compromise", "release", "lift", "narrow", "unlock",
    "agreement", "terminate", "grant", "declare", "proof", "drill", "attestation", "standing",
)  # fmt: skip
NAMESPACE = b"exclave-statement"
SSH_PLAIN, SSH_TOKEN = b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"
TOUCHED_AND_KNOWN = 0x01 | 0x04


@dataclass(frozen=True, slots=True)
class Ecdsa:
    """statements.md 3.1: a curve, its hash, the order, and the bytes of a coordinate."""

    curve: ec.EllipticCurve
    digest: hashes.HashAlgorithm
    order: int
    size: int

    def key(self, raw: bytes) -> ec.EllipticCurvePublicKey:
        """An uncompressed point that lies on the curve; ValueError otherwise."""
        if len(raw) != 2 * self.size + 1 or raw[0] != 4:
            raise ValueError("not an uncompressed point of this curve")
        return ec.EllipticCurvePublicKey.from_encoded_point(self.curve, raw)

    def verify(self, raw: bytes, signature: bytes, message: bytes) -> None:
        """r || s of fixed length, s at most half the order."""
        if len(signature) != 2 * self.size:
            raise ValueError("not r || s")
        r = int.from_bytes(signature[: self.size], "big")
        s = int.from_bytes(signature[self.size :], "big")
        if not (1 <= r < self.order and 1 <= s <= self.order // 2):
            raise ValueError("r or s out of range")
        self.key(raw).verify(encode_dss_signature(r, s), message, ec.ECDSA(self.digest))


P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384_ORDER = (2**192 - 1 << 192) + 0xC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
ECDSA = {
    "ecdsa-p256": Ecdsa(ec.SECP256R1(), hashes.SHA256(), P256_ORDER, 32),
    "ecdsa-p384": Ecdsa(ec.SECP384R1(), hashes.SHA384(), P384_ORDER, 48),
}


def ssh_string(data: bytes) -> bytes:
    """u32 length and the bytes."""
    return struct.pack(">I", len(data)) + data


def split_ssh(data: bytes, at: int = 0) -> tuple[bytes, int]:
    """The string that begins there, and where the next thing begins; ValueError when it is cut."""
    end = at + 4
    if len(data) < end or len(data) < end + int.from_bytes(data[at:end], "big"):
        raise ValueError("an SSH string is cut")
    after = end + int.from_bytes(data[at:end], "big")
    return data[end:after], after


def token_key(raw: bytes) -> tuple[bytes, bytes]:
    """Curve key and application of a security key (statements.md 3.2); ValueError otherwise."""
    kind, at = split_ssh(raw)
    curve_key, at = split_ssh(raw, at)
    application, at = split_ssh(raw, at)
    if kind != SSH_TOKEN or len(curve_key) != 32 or at != len(raw):
        raise ValueError("not a security key's public key")
    if not re.fullmatch(rb"ssh:[!-~]{0,60}", application):
        raise ValueError("application is not ssh: and up to 60 printable characters")
    return curve_key, application


def verify_sshsig(raw: bytes, signature: bytes, message: bytes, *, token: bool) -> None:
    """statements.md 3.2: everything around the curve signature can only be what it is."""
    common = ssh_string(NAMESPACE) + ssh_string(b"") + ssh_string(b"sha512")
    public = raw if token else ssh_string(SSH_PLAIN) + ssh_string(raw)
    head = b"SSHSIG" + struct.pack(">I", 1) + ssh_string(public) + common
    if not signature.startswith(head):
        raise ValueError("not an SSHSIG blob of this key and namespace")
    inner, end = split_ssh(signature, len(head))
    kind, at = split_ssh(inner)
    curve_signature, at = split_ssh(inner, at)
    tail = inner[at:]
    if end != len(signature) or len(tail) != (5 if token else 0):
        raise ValueError("something follows, or is missing")
    if kind != (SSH_TOKEN if token else SSH_PLAIN):
        raise ValueError("another kind of inner signature")
    signed = b"SSHSIG" + common + ssh_string(hashlib.sha512(message).digest())
    if not token:
        Ed25519PublicKey.from_public_bytes(raw).verify(curve_signature, signed)
        return
    curve_key, application = token_key(raw)
    signed = sha256(application) + tail + sha256(signed)
    Ed25519PublicKey.from_public_bytes(curve_key).verify(curve_signature, signed)
    if tail[0] & TOUCHED_AND_KNOWN != TOUCHED_AND_KNOWN:
        raise SignatureRefused("security key: it did not verify who touched it")


def is_raw_key(algorithm: str, raw: bytes) -> bool:
    """Whether these bytes are a key of the algorithm."""
    with suppress(ValueError):
        if algorithm == "sshsig-sk-ed25519":
            return bool(token_key(raw))
        if algorithm in ECDSA:
            ECDSA[algorithm].key(raw)
        return len(raw) == KEY_SIZES.get(algorithm)
    return False


def typed(*algorithms: str) -> Rule:
    """A typed key of one of these algorithms."""

    def rule(value: Json) -> bool:
        if not shape({"alg": one_of(*algorithms), "key": is_base64})(value):
            return False
        return is_raw_key(value["alg"], decode_base64(value["key"]))

    return rule


def key_material(key: Json) -> bytes:
    """What makes two keys one, whatever they are called: the curve key of a security key."""
    raw = decode_base64(key["key"])
    return token_key(raw)[0] if key["alg"] == "sshsig-sk-ed25519" else raw


def key_id(key: Json) -> str:
    """Id of a typed key, from its bytes."""
    raw = decode_base64(key["key"])
    return sha256(b"exclave/1/key\0" + key["alg"].encode() + b"\0" + raw).hex()


def verify_signature(algorithm: str, key: bytes, signature: bytes, message: bytes) -> None:
    """One signature by a raw public key."""
    try:
        match algorithm:
            case "ed25519":
                Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
            case "ml-dsa-65":
                MLDSA65PublicKey.from_public_bytes(key).verify(signature, message)
            case "ml-dsa-44":
                MLDSA44PublicKey.from_public_bytes(key).verify(signature, message)
            case "ecdsa-p256" | "ecdsa-p384":
                ECDSA[algorithm].verify(key, signature, message)
            case "sshsig-ed25519" | "sshsig-sk-ed25519":
                verify_sshsig(key, signature, message, token=algorithm != "sshsig-ed25519")
            case _:
                raise SignatureRefused(f"{algorithm}: keys of this kind cannot sign")
    except (InvalidSignature, ValueError):
        raise SignatureRefused(f"{algorithm} signature: does not verify") from None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE statement whose payload is decoded but whose signatures are not yet checked."""

    kind: str
    payload: bytes
    body: dict[str, Json]
    signatures: dict[str, bytes]

    @property
    def statement(self) -> bytes:
        """Statement hash: of the payload, so it outlives added signatures."""
        return sha256(self.payload)


def pae(media_type: str, payload: bytes) -> bytes:
    """What DSSE signs."""
    name = media_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


# Kinds whose envelopes have at most 1 MiB (section 1; orders.md 1).
SMALL = frozenset([
    "charter", "seat-request", "warrant", "veto", "lockdown", "hold", "extend", "compromise",
    "release", "lift", "narrow", "unlock", "agreement", "terminate", "grant", "declare",
    "proof", "drill",
])  # fmt: skip


def parse_envelope(data: bytes, kind: str | None = None) -> Envelope:
    """statements.md 1; signatures are verified by `verify_signers`."""
    if len(data) > 64 << 20:
        raise Malformed("envelope: larger than 64 MiB")
    signature = shape({"keyid": HASH, "sig": is_base64})
    fields = {"payload": is_base64, "payloadType": is_text, "signatures": list_of(signature)}
    value = check_shape("envelope", decode_json(data), fields)
    ids = [item["keyid"] for item in value["signatures"]]
    if not ascending(ids) or len(ids) > 256:
        raise Malformed("envelope: signatures: expected at most 256, ascending by distinct keyid")
    media = re.fullmatch(r"application/vnd\.exclave\.([a-z-]+)\.v1\+json", value["payloadType"])
    payload = decode_base64(value["payload"])
    body = decode_json(payload)
    if media is None or not isinstance(body, dict) or body.get("kind") != media[1]:
        raise Malformed("envelope: payload and media type name different kinds")
    if kind is not None and media[1] != kind:
        raise Malformed(f"envelope: expected a {kind}, got a {media[1]}")
    if media[1] in SMALL and len(data) > 1 << 20:
        raise Malformed("envelope: larger than 1 MiB")
    signatures = {item["keyid"]: decode_base64(item["sig"]) for item in value["signatures"]}
    return Envelope(media[1], payload, body, signatures)


def parse_detached(data: bytes) -> dict[str, Json]:
    """statements.md 5: detached signatures."""
    if len(data) > 1 << 20:
        raise Malformed("signatures: larger than 1 MiB")
    signature = shape({"keyid": HASH, "sig": is_base64})
    fields = {
        "kind": one_of("exclave-signatures"), "version": one_of(1), "statement": HASH,
        "payloadType": one_of(*(f"application/vnd.exclave.{kind}.v1+json" for kind in KINDS)),
        "signatures": list_to(256, signature),
    }  # fmt: skip
    value = check_shape("signatures", decode_json(data), fields)
    ids = [item["keyid"] for item in value["signatures"]]
    if not ids or not ascending(ids):
        raise Malformed("signatures: expected at least one, ascending by distinct keyid")
    return value


def verify_signers(envelope: Envelope, keys: Iterable[Json]) -> set[str]:
    """Ids of the keys that signed; a failing signature of one of `keys` refuses the whole."""
    message = pae(f"application/vnd.exclave.{envelope.kind}.v1+json", envelope.payload)
    valid = set()
    for key in keys:
        name = key_id(key)
        if name in envelope.signatures:
            raw = decode_base64(key["key"])
            verify_signature(key["alg"], raw, envelope.signatures[name], message)
            valid.add(name)
    return valid


def persons_signed(envelope: Envelope, charter: Json, role: str) -> list[str]:
    """The members of a role who signed: all keys of at least one of their sets (section 4)."""
    officials = [o for o in charter["officials"] if o["id"] in charter["rosters"][role]["members"]]
    known = [key for o in officials for keys in o["key_sets"] for key in keys]
    valid = verify_signers(envelope, known)
    return [
        o["id"]
        for o in officials
        if any({key_id(key) for key in keys} <= valid for keys in o["key_sets"])
    ]


def check_quorum(envelope: Envelope, charter: Json, role: str) -> None:
    """Threshold of a role, counted in persons."""
    signed, needed = persons_signed(envelope, charter, role), charter["rosters"][role]["threshold"]
    if len(signed) < needed:
        raise QuorumNotReached(
            f"{envelope.kind}: {role}: {len(signed)} persons signed, {needed} needed"
        )


# ------------------------------------------------------------------ ledger.md: the vault's log


@dataclass(frozen=True, slots=True)
class Note:
    """A signed note: its text, and (name, key id, signature) of each line."""

    text: bytes
    signatures: list[tuple[str, bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log's note says."""

    origin: str
    size: int
    root: bytes


def parse_note(data: bytes, most: int = 16) -> Note:
    """ledger.md 3; `most` signature lines, more where witnesses signed."""
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise LogRefused("note: not UTF-8") from None
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not lines.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f\x7f]", whole):
        raise LogRefused("note: expected text, an empty line and signature lines")
    signatures = []
    for line in lines[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ +\\s]+) ([A-Za-z0-9+/=]+)", line)
        raw = decode_base64(match[2]) if match else b""
        if match is None or len(raw) < 5:
            raise LogRefused("note: a signature line is malformed")
        signatures.append((match[1], raw[:4], raw[4:]))
    if len(signatures) > most:
        raise LogRefused(f"note: expected at most {most} signatures, got {len(signatures)}")
    return Note(text.encode() + b"\n", signatures)


def note_key_id(name: str, kind: int, public: bytes) -> bytes:
    """Four bytes that name a note's key."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public)[:4]


def parse_checkpoint(text: bytes) -> Checkpoint:
    """Origin, size and root: three lines, no more."""
    match = re.fullmatch(rb"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/=]+)\n", text)
    if match is None or len(root := decode_base64(match[3].decode())) != 32:
        raise LogRefused("checkpoint: expected origin, size and a root of 32 bytes")
    if int(match[2]) > 2**53 - 1 or (int(match[2]) == 0 and root != sha256(b"")):
        raise LogRefused("checkpoint: its size is too large, or 0 with a root of something")
    return Checkpoint(match[1].decode("utf-8", "replace"), int(match[2]), root)


def verify_checkpoint(note: Note, origin: str, log_key: bytes) -> Checkpoint:
    """The vault's own signature on its checkpoint."""
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise LogRefused(f"checkpoint: expected origin {origin}, got {checkpoint.origin}")
    wanted, signed = note_key_id(origin, 1, log_key), False
    for name, keyid, signature in note.signatures:
        if (name, keyid) == (origin, wanted):
            verify_signature("ed25519", log_key, signature, note.text)
            signed = True
    if not signed:
        raise SignatureRefused(f"checkpoint of {origin}: not signed by the log key")
    return checkpoint


def parse_vkey(text: str) -> tuple[str, int, bytes]:
    """Name, type and public key of a verifier key."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not re.fullmatch(r"[0-9a-f]{8}", parts[1]):
        raise LogRefused("vkey: expected name+id+key")
    raw = decode_base64(parts[2])
    if len(raw) < 2 or note_key_id(parts[0], raw[0], raw[1:]).hex() != parts[1]:
        raise LogRefused("vkey: its id is not that of its key")
    return parts[0], raw[0], raw[1:]


def tile_number(number: int) -> str:
    """1234067 -> x001/x234/067."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03d}")
    return "/".join(groups)


def parse_tile_path(text: str) -> tuple[int, int, int]:
    """Level, number and width of a tile of hashes."""
    match = re.fullmatch(r"tile/([0-7])/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", text, re.ASCII)
    if match is None:
        raise LogRefused("tile: not a tile's name")
    number, width = int(re.sub(r"[x/]", "", match[2])), int(match[3] or 256)
    if tile_number(number) != match[2] or (match[3] and width > 255):
        raise LogRefused("tile: not a tile's name")
    return int(match[1]), number, width


def inclusion_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Root that an inclusion proof leads to (RFC 9162 2.1.3.2)."""
    if index >= size:
        raise LogRefused(f"inclusion proof: index {index} is not below size {size}")
    fn, sn, root = index, size - 1, leaf
    for node in path:
        if sn == 0:
            raise LogRefused("inclusion proof: too long")
        if fn & 1 or fn == sn:
            root = hash_node(node, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = hash_node(root, node)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise LogRefused("inclusion proof: too short")
    return root


def verify_consistency(old: int, size: int, a: bytes, b: bytes, proof: Sequence[bytes]) -> None:
    """That the tree of `size` and root b extends the one of `old` and root a (RFC 9162 2.1.4.2)."""
    if old > size or (old in (0, size) and proof):
        raise LogRefused("consistency proof: sizes and proof do not fit")
    if old in (0, size):
        if a != (b if old == size else sha256(b"")):
            raise LogRefused("consistency: same size, another root")
        return
    path = list(proof) if old & (old - 1) else [a, *proof]
    if not path:
        raise LogRefused("consistency proof: too short")
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for node in path[1:]:
        if sn == 0:
            raise LogRefused("consistency proof: too long")
        if fn & 1 or fn == sn:
            first, second = hash_node(node, first), hash_node(node, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = hash_node(second, node)
        fn, sn = fn >> 1, sn >> 1
    if sn or first != a or second != b:
        raise LogRefused("consistency proof: leads to other roots: the log was forked")


ENTRY_TYPES = (
    "charter", "annex", "record", "lodged", "supplement", "warrant", "signatures", "order",
    "conflict", "witnessed", "evidence", "alarm", "swept", "refusals", "custody", "attestation",
)  # fmt: skip


FOLLOWED = ("charter", "record", "lodged", "supplement", "warrant", "signatures", "attestation")


def parse_entry(data: bytes) -> dict[str, Json]:
    """A log entry, ledger.md 1."""
    if len(data) > 4096:
        raise LogRefused(f"entry: expected at most 4096 bytes, got {len(data)}")
    fields = {
        "type": one_of(*ENTRY_TYPES), "mission": HASH, "hash": HASH, "size": is_count,
        "statement": maybe(HASH), "logged": is_time, "service": is_count,
    }  # fmt: skip
    return check_shape("entry", decode_json(data), fields)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A tlog-proof: an entry, its index and path, and the note it leads to."""

    entry: bytes
    index: int
    path: list[bytes]
    note: Note


def parse_receipt(data: bytes) -> Receipt:
    """ledger.md 5."""
    head, gap, note = data.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n")
    if not gap or len(lines) < 3 or lines[0] != "c2sp.org/tlog-proof@v1":
        raise LogRefused("receipt: expected a c2sp.org/tlog-proof@v1")
    index = re.fullmatch(r"index (0|[1-9][0-9]{0,15})", lines[2])
    if not lines[1].startswith("extra ") or index is None:
        raise LogRefused("receipt: expected extra and index lines")
    path = [decode_base64(line) for line in lines[3:]]
    if len(path) > 63 or any(len(node) != 32 for node in path):
        raise LogRefused("receipt: path: expected at most 63 hashes")
    return Receipt(
        decode_base64(lines[1][6:]), int(index[1]), path, parse_note(note, MOST_COSIGNED)
    )


MOST_COSIGNED = 1 + 2 * 255 + 64


def cosignature_message(kind: int, name: str, stamp: bytes, checkpoint: Checkpoint) -> bytes:
    """What a witness signs (C2SP tlog-cosignature): type 4 Ed25519, type 6 ML-DSA-44."""
    origin, root = checkpoint.origin.encode(), checkpoint.root
    if kind == 4:
        text = b"%b\n%d\n%b\n" % (origin, checkpoint.size, base64.b64encode(root))
        return b"cosignature/v1\ntime %d\n" % int.from_bytes(stamp, "big") + text
    names = bytes([len(name.encode())]) + name.encode() + stamp + bytes([len(origin)]) + origin
    return b"subtree/v1\n\0" + names + struct.pack(">QQ", 0, checkpoint.size) + root


def cosigners(note: Note, checkpoint: Checkpoint, charter: Json) -> set[str]:
    """Seats and external witnesses that count (ledger.md 7); a failing known line refuses."""
    mission = checkpoint.origin.rpartition("/")[0]
    parties = [
        (f"seat {s['seat']}", f"{mission}/{s['seat']}/witness", s["witness_keys"])
        for s in charter["seats"]
        if not s["retired"]
    ]
    parties += [
        (f"witness {w['name']}", w["name"], [w["key"]]) for w in charter["witness"]["external"]
    ]
    found = set()
    for label, name, keys in parties:
        stamps = [
            key_stamps(note, checkpoint, name, key["alg"], decode_base64(key["key"]))
            for key in keys
        ]
        if set.intersection(*stamps) - {bytes(8)}:
            found.add(label)
    return found


def key_stamps(note: Note, checkpoint: Checkpoint, name: str, alg: str, raw: bytes) -> set[bytes]:
    """Times at which one witness key signed a checkpoint, each signature checked."""
    kind = {"ed25519": 4, "ml-dsa-44": 6}[alg]
    wanted, found = (name, note_key_id(name, kind, raw)), set()
    for other, keyid, signature in note.signatures:
        if (other, keyid) == wanted:
            stamp = signature[:8]
            message = cosignature_message(kind, name, stamp, checkpoint)
            verify_signature(alg, raw, signature[8:], message)
            found.add(stamp)
    return found


def verify_receipt(data: bytes, charter: Json, mission: bytes) -> tuple[Json, Checkpoint, set[str]]:
    """Entry, checkpoint and cosigners of a receipt, checked against a charter."""
    receipt = parse_receipt(data)
    entry = parse_entry(receipt.entry)
    claimed = parse_checkpoint(receipt.note.text)
    prefix = f"exclave/{mission.hex()}/"
    seats = {f"{prefix}{s['seat']}": s for s in charter["seats"]}
    if claimed.origin not in seats or entry["mission"] != mission.hex():
        raise LogRefused(f"receipt: {claimed.origin} is no log of this mission")
    log_key = decode_base64(seats[claimed.origin]["log_key"]["key"])
    checkpoint = verify_checkpoint(receipt.note, claimed.origin, log_key)
    leaf = hash_leaf(receipt.entry)
    if inclusion_root(leaf, receipt.index, checkpoint.size, receipt.path) != checkpoint.root:
        raise LogRefused("receipt: the path leads to another root")
    return entry, checkpoint, cosigners(receipt.note, checkpoint, charter)


# ------------------------------------------------------------------ authority.md 1-3: charters


def is_address(value: Json) -> bool:
    """a.b.c.d:port or [v6]:port."""
    match = re.fullmatch(r"(\[)?([0-9a-f.:]+)(?(1)\]):([1-9][0-9]{0,4})", str(value))
    if match is None or int(match[3]) > 65535 or not isinstance(value, str):
        return False
    with suppress(ValueError):
        address = ipaddress.ip_address(match[2])
        return address.version == (6 if match[1] else 4) and str(address) == match[2]
    return False


OFFICIAL = matches(r"p-[0-9a-f]{16}")
PLACE = one_of("home", "abroad")
SIGNING = typed(
    "ed25519", "ml-dsa-65", "ecdsa-p256", "ecdsa-p384", "sshsig-ed25519", "sshsig-sk-ed25519"
)
KEY_SET: Rule = lambda v: v != [] and list_to(8, SIGNING)(v)  # noqa: E731
ADDRESS = shape({"data": is_address, "public": is_address})
ADDRESSES = list_to(16, ADDRESS)
CERTIFICATE: Rule = lambda v: is_base64(v) and 1 <= len(decode_base64(v)) <= 16384  # noqa: E731
WITNESS_KEYS = row_of(typed("ed25519"), typed("ml-dsa-44"))
DAYS = count_from(1, 36500)
SEAT = {
    "seat": count_from(1, 255), "type": one_of("vault", "safe"), "vault": SLUG, "state": CODE,
    "operator": is_line, "addresses": ADDRESSES, "identity": CERTIFICATE,
    "log_key": typed("ed25519"), "seat_key": typed("x-wing"), "witness_keys": WITNESS_KEYS,
    "agreement": maybe(HASH), "retired": is_bool,
}  # fmt: skip
GROUP = {
    "name": is_line, "place": PLACE, "state": CODE,
    "threshold": count_from(1, 16), "members": count_from(1, 16),
}  # fmt: skip
EPOCH = {
    "epoch": count_from(1, 2**32 - 1), "key": typed("x-wing"), "check": hex_of(16),
    "share_set": count_from(0, 2**15 - 1), "group_threshold": count_from(1, 16),
    "groups": list_of(shape(GROUP)), "current": is_bool,
}  # fmt: skip
ROLE = {
    "threshold": count_from(1, 255), "members": list_of(OFFICIAL),
    "delay": is_count, "veto_window": is_count,
}  # fmt: skip
ROLES = ("govern", "read", "alarm", "release", "override", "exile_1", "exile_2")
DEPOSITOR = {
    "id": SLUG, "keys": row_of(typed("ed25519"), typed("ml-dsa-65")), "identity": CERTIFICATE,
    "daily_bytes": is_count, "total_bytes": is_count, "reserve": is_bool,
}  # fmt: skip
CHARTER = {
    "kind": one_of("charter"), "format": one_of(1), "suite": one_of(1), "mission": maybe(HASH),
    "era": is_positive, "version": is_positive, "previous": maybe(HASH),
    "state": shape({"code": CODE, "name": is_line}), "notice": is_line,
    "issued": is_time, "advisory_expiry": is_time,
    "dispersal": shape(dict.fromkeys("knh", count_from(1, 255))),
    "seats": list_of(shape(SEAT)), "recovery": list_to(255, shape(EPOCH)),
    "officials": list_to(255, shape({
        "id": OFFICIAL, "place": PLACE, "institution": SLUG, "name_hash": HASH,
        "key_sets": lambda v: v != [] and list_to(8, KEY_SET)(v),
    })),
    "annex": HASH, "rosters": shape(dict.fromkeys(ROLES, shape(ROLE))),
    "delays": shape({
        "dark_factor": count_from(3, 1000), "exile_change": is_count,
        "warrant_life": is_positive,
    }),
    "witness": shape({
        "f": is_count, "q": is_positive, "freshness": is_positive,
        "external": list_to(64, shape({"name": is_line, "key": typed("ed25519", "ml-dsa-44")})),
    }),
    "depositors": list_to(255, shape(DEPOSITOR)),
    "quotas": shape({"reserve": is_count, "staging": is_count, "staging_days": DAYS}),
    "retention": shape({"days": DAYS}),
    "drill": shape(dict.fromkeys(("interval_days", "cards_days"), DAYS)),
    "bags": shape({"whole_deposit": is_bool}), "agreements": shape({"required": is_bool}),
}  # fmt: skip


def charter_keys(c: Json) -> list[Json]:
    """Every typed key of a charter, once per place."""
    keys = [key for s in c["seats"] for key in (s["log_key"], s["seat_key"], *s["witness_keys"])]
    keys += [epoch["key"] for epoch in c["recovery"]] + [w["key"] for w in c["witness"]["external"]]
    keys += [key for o in c["officials"] for keys in o["key_sets"] for key in keys]
    return keys + [key for d in c["depositors"] for key in d["keys"]]


def _seat_rules(c: Json) -> Iterator[tuple[str, bool]]:
    live = [s for s in c["seats"] if not s["retired"]]
    k, n, h = (c["dispersal"][name] for name in "knh")
    f, q, external = c["witness"]["f"], c["witness"]["q"], len(c["witness"]["external"])
    first = (c["era"], c["version"]) == (1, 1)
    yield "charter 1, and only it, has no mission", first == (c["mission"] is None)
    yield "charter 1, and only it, has no previous", first == (c["previous"] is None)
    yield "seats ascend", ascending([s["seat"] for s in c["seats"]])
    yield "n is the number of seats not retired", n == len(live)
    yield "1 <= k <= h <= n", k <= h <= n
    yield "h is at most the number of states", h <= len({s["state"] for s in live})
    w = n + external
    yield "with w witnesses: q > (w + f) / 2 and q <= w", w + f < 2 * q <= 2 * w
    yield "3f < w, or f = 0", f == 0 or 3 * f < w
    yield "advisory_expiry is after issued", c["advisory_expiry"] > c["issued"]
    yield "vaults of seats in use are distinct", len({s["vault"] for s in live}) == n
    yield "depositors ascend", ascending([d["id"] for d in c["depositors"]])
    keys = [key_material(key) for key in charter_keys(c)]
    yield "a key occurs once", len(set(keys)) == len(keys)


def _roster_rules(c: Json) -> Iterator[tuple[str, bool]]:
    places = {o["id"]: o["place"] for o in c["officials"]}
    roles = c["rosters"]
    yield "officials ascend", ascending([o["id"] for o in c["officials"]])
    for name, role in roles.items():
        yield f"{name}: members ascend", ascending(role["members"])
        yield f"{name}: members are officials", set(role["members"]) <= places.keys()
        yield f"{name}: threshold is 1..members", role["threshold"] <= len(role["members"])
    one, two, override = roles["exile_1"], roles["exile_2"], roles["override"]
    yield "exile rosters are disjoint", not set(one["members"]) & set(two["members"])
    for role in (one, two):
        abroad = all(places.get(member) == "abroad" for member in role["members"])
        yield "exile members are abroad", abroad
        yield "exile threshold is below its members", role["threshold"] < len(role["members"])
    yield "the delay of exile_2 exceeds that of exile_1", two["delay"] > one["delay"]
    highest = max(roles[name]["threshold"] for name in ("read", "release", "govern"))
    everybody = override["threshold"] == len(override["members"])
    yield "override needs more persons", override["threshold"] > highest or everybody
    longest = max(role["delay"] for role in roles.values())
    yield "exile_change is at least every delay", c["delays"]["exile_change"] >= longest


def _epoch_rules(c: Json) -> Iterator[tuple[str, bool]]:
    epochs = c["recovery"]
    yield "there is an epoch", bool(epochs)
    yield "epochs ascend", ascending([epoch["epoch"] for epoch in epochs])
    sets = {epoch["share_set"] for epoch in epochs}
    yield "share sets differ between epochs", len(sets) == len(epochs)
    current = [epoch["current"] for epoch in epochs]
    yield "the highest epoch is current, alone", current == [False] * (len(epochs) - 1) + [True]
    for epoch in epochs:
        groups, needed = epoch["groups"], epoch["group_threshold"]
        abroad = [group for group in groups if group["place"] == "abroad"]
        yield "group_threshold is 1..groups", needed <= len(groups) <= 16
        old = not epoch["current"]
        yield "persons abroad can recombine", old or len(abroad) >= needed
        yield (
            "groups abroad lie in two states",
            old or needed < 2 or len({group["state"] for group in abroad}) >= 2,
        )
        for group in groups:
            yield "a group's threshold is 1..members", group["threshold"] <= group["members"]
            alone = group["threshold"] > 1 or group["members"] == 1
            yield "a group of threshold 1 has one member", alone


def check_charter(body: Json) -> Json:
    """Form and rules of a charter, authority.md 2."""
    charter = check_shape("charter", body, CHARTER)
    for rule, holds in itertools.chain(
        _epoch_rules(charter), _seat_rules(charter), _roster_rules(charter)
    ):
        if not holds:
            raise CharterRefused(f"charter: rule broken: {rule}")
    for key in charter_keys(charter):
        if key["alg"] == "x-wing":
            read_public_key(decode_base64(key["key"]))
    return charter


def check_first_charter(envelope: Envelope, mission: bytes) -> Json:
    """Charter 1: its hash is the mission id; signed by its own govern threshold."""
    if envelope.statement != mission:
        raise CharterRefused("charter 1: its hash is not the mission id")
    charter = check_charter(envelope.body)
    if charter["mission"] is not None:
        raise CharterRefused("charter 1: expected era 1, version 1")
    check_quorum(envelope, charter, "govern")
    return charter


def check_history(old: Json, new: Json) -> None:
    """Seats and epochs stay: numbers with their keys, retired seats retired."""
    seats = {s["seat"]: s for s in new["seats"]}
    epochs = {e["epoch"]: e for e in new["recovery"]}
    for seat in old["seats"]:
        kept = seats.get(seat["seat"])
        if (
            kept is None
            or kept["seat_key"] != seat["seat_key"]
            or seat["retired"] > kept["retired"]
        ):
            raise CharterRefused(f"charter: seat {seat['seat']} was rewritten")
    for epoch in old["recovery"]:
        kept = epochs.get(epoch["epoch"])
        if kept is None or any(kept[name] != epoch[name] for name in ("key", "check")):
            raise CharterRefused(f"charter: epoch {epoch['epoch']} was rewritten")


def check_next_charter(envelope: Envelope, chain: Sequence[Envelope], mission: bytes) -> Json:
    """A charter whose predecessor is in the chain, authority.md 3."""
    new = check_charter(envelope.body)
    before = next((e for e in chain if e.statement.hex() == new["previous"]), None)
    if new["mission"] != mission.hex() or before is None:
        raise CharterRefused("charter: of another mission, or its predecessor is not known")
    old = before.body
    check_history(old, new)
    check_quorum(envelope, new, "govern")
    if (new["era"], new["version"]) == (old["era"], old["version"] + 1):
        check_quorum(envelope, old, "govern")
    elif new["version"] == 1 and new["era"] > old["era"]:
        check_exile(envelope, [e.body for e in chain if e.body["era"] < new["era"]])
    else:
        raise CharterRefused("charter: era and version leave a gap")
    return new


def check_exile(envelope: Envelope, earlier: Iterable[Json]) -> None:
    """A new era: the threshold of an exile roster of some charter of an earlier one."""
    for charter in earlier:
        for role in ("exile_1", "exile_2"):
            with suppress(QuorumNotReached):
                check_quorum(envelope, charter, role)
                return
    raise QuorumNotReached("charter: no exile roster of an earlier era opened this one")


def walk_charters(
    envelopes: Iterable[Envelope], mission: bytes
) -> tuple[list[Envelope], list[str]]:
    """The chain from the mission id, by order, and what does not attach to it."""
    merged: dict[bytes, Envelope] = {}
    for envelope in envelopes:
        known = merged.setdefault(envelope.statement, envelope)
        both = dict(sorted((envelope.signatures | known.signatures).items()))
        merged[envelope.statement] = replace(known, signatures=both)
    first = merged.pop(mission, None)
    if first is None:
        raise CharterRefused("charter 1: not found")
    check_first_charter(first, mission)
    chain = [first]
    problems: dict[bytes, str] = {}
    grown = True
    while grown:
        grown = False
        for statement, envelope in list(merged.items()):
            try:
                check_next_charter(envelope, chain, mission)
            except ReaderError as error:
                problems[statement] = f"charter {statement.hex()}: {error}"
                continue
            chain.append(merged.pop(statement))
            grown = True
    # The newest comes last: the highest order, and of one order what others follow.
    followed = {e.body["previous"] for e in chain}
    chain.sort(key=lambda e: (e.body["era"], e.body["version"], e.statement.hex() in followed))
    return chain, [problems[statement] for statement in merged]


def shared_orders(chain: Sequence[Envelope]) -> list[str]:
    """Charters of one order: one of them died at the vaults, or they disagree."""
    orders: dict[tuple[int, int], list[str]] = {}
    for envelope in chain:
        order = (envelope.body["era"], envelope.body["version"])
        orders.setdefault(order, []).append(envelope.statement.hex())
    return [
        f"era {era} version {version} has several charters: {', '.join(names)}; which of them "
        "counts the vaults' logs say"
        for (era, version), names in orders.items()
        if len(names) > 1
    ]


# ------------------------------------------------------------------ authority.md 6: warrants

WARRANT = {
    "kind": one_of("warrant"), "mission": HASH, "charter": HASH, "nonce": hex_of(16),
    "purpose": is_line, "issued": is_time, "expires": is_time, "reader": CERTIFICATE,
    "deposits": lambda v: v == ["all"] or (v != [] and list_of(hex_of(16))(v) and ascending(v)),
    "reader_key": typed("ed25519"), "unseal_key": typed("x-wing"),
}  # fmt: skip


def verify_warrant(envelope: Envelope, charter: Envelope, mission: bytes) -> Json:
    """Form of a warrant, and the read or an exile threshold of the charter that it names."""
    warrant = check_shape("warrant", envelope.body, WARRANT)
    if warrant["mission"] != mission.hex() or warrant["charter"] != charter.statement.hex():
        raise CharterRefused("warrant: of another mission, or under another charter")
    if warrant["expires"] <= warrant["issued"]:
        raise Malformed("warrant: expires is not after issued")
    read_public_key(decode_base64(warrant["unseal_key"]["key"]))
    try:
        check_quorum(envelope, charter.body, "read")
    except QuorumNotReached:
        if not any(_enough(envelope, charter.body, role) for role in ("exile_1", "exile_2")):
            raise
    return warrant


def _enough(envelope: Envelope, charter: Json, role: str) -> bool:
    try:
        check_quorum(envelope, charter, role)
    except QuorumNotReached:
        return False
    return True


# ------------------------------------------------------------------ orders.md: orders


def names_to(most: int, rule: Rule) -> Rule:
    """1 to `most` names, ascending."""
    return lambda v: list_of(rule)(v) and 1 <= len(v) <= most and ascending(v)


def seat_numbers(value: Json) -> bool:
    """Up to 255 seats, ascending."""
    return list_to(255, count_from(1, 255))(value) and ascending(value)


# agreements.md 1; the closed list of acts is permissions.md 1.
FLOORS = ("govern", "read", "release", "exile_change")
ACTS = ("enter", "inspect", "move", "network", "power", "replace-hardware", "update-software")
AGREED: Rule = list_of(shape({"seat": count_from(1, 255), "addresses": ADDRESSES}))
AGREED_SEATS: Rule = lambda v: v != [] and AGREED(v) and seat_numbers([s["seat"] for s in v])  # noqa: E731
ORDER = {
    "mission": HASH, "charter": HASH, "nonce": hex_of(16), "issued": is_time, "reason": is_line,
}  # fmt: skip
DEPOSITS: Rule = lambda v: v == ["all"] or names_to(1024, hex_of(16))(v)  # noqa: E731
ORDERS: dict[str, dict[str, Rule]] = {
    "veto": {"target": HASH},
    "lockdown": {},
    "hold": {"deposits": DEPOSITS},
    "extend": {
        "deposits": DEPOSITS,
        # Times of this form order as text does.
        "until": lambda v: is_time(v) and v < "2106-01-01T00:00:00Z",
    },
    "compromise": {"depositors": names_to(255, SLUG), "since": is_time},
    "release": {"packs": names_to(8192, HASH)},
    "lift": {"holds": names_to(1024, HASH)},
    "narrow": {"compromise": HASH, "since": maybe(is_time)},
    "unlock": {"lockdowns": names_to(1024, HASH)},
    "agreement": {
        "version": count_from(1),
        "previous": maybe(HASH),
        "state": CODE,
        "key": typed("ed25519", "ml-dsa-65"),
        "seats": AGREED_SEATS,
        "capacity": count_from(1),
        "retention": DAYS,
        "delays": shape(dict.fromkeys(FLOORS, is_count)),
        "witness": shape({"seats": seat_numbers, "freshness": count_from(1)}),
        "maintenance": lambda v: list_of(one_of(*ACTS))(v) and ascending(v),
        "notice": count_from(0, (2**53 - 1) // 1000),
        "treaty": HASH,
        "from": is_time,
        "until": maybe(is_time),
    },
    "terminate": {"agreement": HASH},
    "grant": {"seat": count_from(1, 255), "act": one_of(*ACTS), "from": is_time, "until": is_time},
    "declare": {
        "seat": count_from(1, 255),
        "act": one_of("migrate-disks", "restart"),
        "from": is_time,
        "until": is_time,
    },
}


def check_order(envelope: Envelope) -> Json:
    """Form of an order; what it does is the vaults' to decide (standing.md)."""
    if envelope.kind not in ORDERS:
        raise Malformed(f"order: expected one, got a {envelope.kind}")
    fields = {"kind": one_of(envelope.kind)} | ORDER | ORDERS[envelope.kind]
    order = check_shape(envelope.kind, envelope.body, fields)
    if envelope.kind == "agreement":
        if (order["version"] == 1) != (order["previous"] is None):
            raise Malformed("agreement: previous: expected null in version 1 only")
        if order["until"] is not None and order["until"] <= order["from"]:
            raise Malformed("agreement: until: expected after from")
    if envelope.kind in {"grant", "declare"}:
        first, last = (datetime.fromisoformat(order[name]) for name in ("from", "until"))
        days = 31 if envelope.kind == "grant" else 7
        if not 0 < (last - first).total_seconds() <= days * 86400:
            raise Malformed(f"{envelope.kind}: until: expected after from by at most {days} days")
    return order


# ------------------------------------------------------------------ cards.md: SLIP-39

WORDS_PER_SHARE = 33
_GENERATORS = (
    0xE0E040, 0x1C1C080, 0x3838100, 0x7070200, 0xE0E0009,
    0x1C0C2412, 0x38086C24, 0x3090FC48, 0x21B1F890, 0x3F3F120,
)  # fmt: skip


@functools.cache
def load_words() -> list[str]:
    """The list of 1,024 words, from spec/wordlist.txt beside this file or one folder up."""
    here = Path(__file__).resolve().parent
    for folder in (here, here / "spec", here.parent / "spec"):
        if (path := folder / "wordlist.txt").is_file():
            words = path.read_text(encoding="ascii").split()
            if sha256("\n".join(words).encode() + b"\n") == WORDLIST_HASH:
                return words
            raise CardRefused(f"{path}: not the list of words of SLIP-39")
    raise NothingFound("wordlist.txt: expected beside the reader or in spec/")


@functools.cache
def word_index() -> dict[str, int]:
    """Words, and their first four letters (which are distinct), to numbers."""
    return {word[:4]: number for number, word in enumerate(load_words())}


def word_number(word: str, place: int) -> int:
    """A word in any letter case, whole or from its first four letters on."""
    number = word_index().get(word.lower()[:4], -1)
    if number < 0 or not load_words()[number].startswith(word.lower()):
        raise CardRefused(f"card: word {place} is not in the list")
    return number


def read_words(text: str) -> list[str]:
    """Words of a list of shares, white space between, numbers skipped."""
    found = [word for word in text.split() if not word.isdigit()]
    if not found or len(found) % WORDS_PER_SHARE:
        raise CardRefused(f"card: expected {WORDS_PER_SHARE} words, got {len(found)}")
    return [load_words()[word_number(word, place)] for place, word in enumerate(found, 1)]


WORDLIST_HASH = bytes.fromhex("bcc4555340332d169718aed8bf31dd9d5248cb7da6e5d355140ef4f1e601eec3")


@dataclass(frozen=True, slots=True)
class Share:
    """One SLIP-39 share."""

    identifier: int
    extendable: bool
    exponent: int
    group: int
    group_threshold: int
    groups: int
    member: int
    threshold: int
    value: bytes


def rs1024(values: Iterable[int]) -> int:
    """Checksum polynomial of SLIP-39."""
    check = 1
    for value in values:
        top = check >> 20
        check = (check & 0xFFFFF) << 10 ^ value
        for i, generator in enumerate(_GENERATORS):
            check ^= generator if top >> i & 1 else 0
    return check


def parse_share(mnemonic: Sequence[str]) -> Share:
    """Words to a share; checks words, checksum and padding."""
    numbers = [word_number(word, place) for place, word in enumerate(mnemonic, 1)]
    if len(mnemonic) < 20:
        raise CardRefused(f"card: expected {WORDS_PER_SHARE} words, got {len(mnemonic)}")
    head = 0
    for number in numbers[:4]:
        head = head << 10 | number
    extendable = bool(head >> 24 & 1)
    label = b"shamir_extendable" if extendable else b"shamir"
    if rs1024([*label, *numbers]) != 1:
        raise CardRefused("card: the checksum does not fit: a word is wrong or misplaced")
    value = 0
    for number in numbers[4:-3]:
        value = value << 10 | number
    bits = 10 * (len(numbers) - 7)
    size = bits // 16 * 2
    if bits - 8 * size > 8 or value >> (8 * size):
        raise CardRefused("card: padding is not zero")
    group, g_threshold, groups, member, threshold = (head >> s & 15 for s in (16, 12, 8, 4, 0))
    if g_threshold > groups:
        raise CardRefused("card: group threshold exceeds the number of groups")
    return Share(
        head >> 25, extendable, head >> 20 & 15, group, g_threshold + 1, groups + 1,
        member, threshold + 1, value.to_bytes(size, "big"),
    )  # fmt: skip


def join_shares(threshold: int, points: Sequence[tuple[int, bytes]]) -> bytes:
    """SLIP-39's secret sharing: the secret at 255, its digest at 254."""
    if len(points) < threshold:
        raise CardRefused(f"cards: {threshold} are needed, {len(points)} are there")
    chosen = points[:threshold]
    if threshold == 1:
        return chosen[0][1]
    secret = WORD_FIELD.interpolate(chosen, 255)
    digest = WORD_FIELD.interpolate(chosen, 254)
    right = hmac.digest(digest[4:], secret, "sha256")[:4]
    if not hmac.compare_digest(digest[:4], right):
        raise CardRefused("cards: digest differs: they are of different share sets")
    return secret


def decrypt_secret(share: Share, secret: bytes, passphrase: bytes = b"") -> bytes:
    """The four Feistel rounds of SLIP-39."""
    salt = b"" if share.extendable else b"shamir" + share.identifier.to_bytes(2, "big")
    half = len(secret) // 2
    left, right = secret[:half], secret[half:]
    rounds = (10000 << share.exponent) // 4
    for i in reversed(range(4)):
        key = bytes([i]) + passphrase
        mask = hashlib.pbkdf2_hmac("sha256", key, salt + right, rounds, half)
        left, right = right, xor(left, mask)
    return right + left


def recombine(shares: Iterable[Share], passphrase: bytes = b"") -> bytes:
    """The master secret of one share set; superfluous shares are left out."""
    members: dict[int, dict[int, Share]] = {}
    known: list[Share] = []
    for share in shares:
        same = members.setdefault(share.group, {}).setdefault(share.member, share)
        if same != share:
            raise CardRefused("cards: two different cards for one member: not one share set")
        known.append(share)
    if not known:
        raise CardRefused("cards: none given")
    for attribute in ("identifier", "extendable", "exponent", "group_threshold", "groups"):
        if len({getattr(share, attribute) for share in known}) > 1:
            raise CardRefused(f"cards: they differ in {attribute}: not one share set")
    values = []
    for group, held in sorted(members.items()):
        thresholds = {share.threshold for share in held.values()}
        lengths = {len(share.value) for share in known}
        if len(thresholds) > 1 or len(lengths) > 1:
            raise CardRefused("cards: thresholds or lengths differ: not one share set")
        if len(held) >= (threshold := thresholds.pop()):
            points = [(number, share.value) for number, share in sorted(held.items())]
            values.append((group, join_shares(threshold, points)))
    needed = known[0].group_threshold
    if len(values) < needed:
        raise CardRefused(f"cards: {needed} complete groups are needed, {len(values)} are there")
    return decrypt_secret(known[0], join_shares(needed, values), passphrase)


@dataclass(frozen=True, slots=True)
class Card:
    """A share, and what its header said (empty for words alone)."""

    share: Share
    header: dict[str, str]
    words: list[str]


ENDPOINT = r"(?:-|[0-9.]+:[0-9]+|\[[0-9a-f:.]+\]:[0-9]+)"
NUMBER = r"[1-9][0-9]{0,9}"
CARD = re.compile(
    "exclave card v1\n"
    f"mission: (?P<mission>[0-9a-f]{{8}}(?: [0-9a-f]{{8}}){{7}})\n"
    f"checksum: (?P<checksum>[0-9a-f]{{8}})\nstate: [A-Z]{{2}} [^\n]*\n"
    f"epoch: (?P<epoch>{NUMBER})\nshare set: (?P<set>0|{NUMBER})\n"
    f"group: (?P<group>{NUMBER})/(?P<groups>{NUMBER}) [^\n]*, "
    f"needs (?P<threshold>{NUMBER}) of {NUMBER}\n"
    f"member: (?P<member>{NUMBER})\ngroups needed: (?P<needed>{NUMBER})\n"
    "recovery key: (?P<key>[0-9a-f]{64})\n"
    f"(?:seat: {NUMBER} [A-Z]{{2}} data={ENDPOINT} public={ENDPOINT} "
    "log=[0-9a-f]{64} identity=[0-9a-f]{64}\n)*"
    "reader: [^\n]*\n\n(?P<words>[a-z0-9 \n]+)\n"
)


def parse_card(text: str) -> Card:
    """A card as printed, cards.md 2."""
    match = CARD.fullmatch(text)
    if match is None or any(not is_line(line[:1024]) for line in text.split("\n")):
        raise CardRefused("card: a line is missing, misplaced or not of its form")
    header = match.groupdict()
    header["mission"] = header["mission"].replace(" ", "")
    if header["checksum"] != card_checksum(bytes.fromhex(header["mission"])):
        raise CardRefused("card: the checksum of the mission id does not fit")
    words = read_words(header["words"])
    lines = [f"{1 + i} {' '.join(words[i : i + 4])}" for i in range(0, len(words), 4)]
    if len(words) != WORDS_PER_SHARE or header["words"] != "\n".join(lines):
        raise CardRefused("card: words: expected four to a line, numbered")
    return Card(parse_card_share(words), header, words)


def parse_card_share(words: Sequence[str]) -> Share:
    """A share as cards hold it (cards.md 1)."""
    share = parse_share(words)
    if not share.extendable or share.exponent != 1:
        raise CardRefused("card: its words are a SLIP-39 share, but none of Exclave")
    return share


def parse_cards(text: str) -> list[Card]:
    """Cards as printed, or the words alone, one after another."""
    if text.startswith("exclave card v1\n"):
        return [parse_card(part) for part in re.split(r"(?m)^(?=exclave card v1$)", text) if part]
    words = read_words(text)
    shares = [words[i : i + WORDS_PER_SHARE] for i in range(0, len(words), WORDS_PER_SHARE)]
    return [Card(parse_card_share(part), {}, part) for part in shares]


def check_card(card: Card, mission: bytes) -> None:
    """That the words of a card are what its header says, for this mission."""
    if not card.header:
        return
    if card.header["mission"] != mission.hex():
        raise CardRefused(f"card: it is of mission {card.header['mission']}")
    share = card.share
    said = {
        "set": share.identifier, "group": share.group + 1, "groups": share.groups,
        "threshold": share.threshold, "member": share.member + 1, "needed": share.group_threshold,
    }  # fmt: skip
    for name, value in said.items():
        if int(card.header[name]) != value:
            raise CardRefused(f"card: {name}: the words say {value}, the card {card.header[name]}")


def card_checksum(mission: bytes) -> str:
    """First 8 hex digits that stand on a card beside the mission id."""
    return sha256(b"exclave/1/card\0" + mission).hex()[:8]


def recover_keys(
    cards: Sequence[Card], epochs: Sequence[Json], mission: bytes
) -> dict[int, XWingKey]:
    """Recovery keys by epoch, each compared with the epoch's key and key-check value."""
    for card in cards:
        check_card(card, mission)
    sets: dict[int, list[Share]] = {}
    for card in cards:
        sets.setdefault(card.share.identifier, []).append(card.share)
    keys: dict[int, XWingKey] = {}
    for shares in sets.values():
        seed = recombine(shares)
        key = XWingKey.from_seed(seed)
        public = key.public()
        for epoch in epochs:
            if decode_base64(epoch["key"]["key"]) == public:
                check = key_check(seed, key_hash(public)).hex()
                if not hmac.compare_digest(check, epoch["check"]):
                    raise KeyCheckFailed(f"epoch {epoch['epoch']}: key-check value differs")
                keys[epoch["epoch"]] = key
    if not keys:
        raise KeyCheckFailed("cards: the recombined key is of no epoch of the charters")
    return keys


# ------------------------------------------------------------------ records.md: deposit records

PACK = {
    "root": HASH, "length": is_positive, "k": count_from(1, 255), "secret": HASH,
    "kind": one_of("data", "manifest"), "shards": list_of(row_of(count_from(1, 255), HASH)),
}  # fmt: skip
RECORD = {
    "kind": one_of("record"), "mission": HASH, "charter": HASH, "depositor": SLUG,
    "deposit": hex_of(16), "epoch": count_from(1, 2**32 - 1), "sequence": is_positive,
    "previous": maybe(HASH), "full": is_bool,
    "secrets_added": list_of(shape({"deposit": hex_of(16), "sealed": is_base64})),
    "secrets_dropped": list_of(HASH), "packs_added": list_of(shape(PACK)),
    "packs_dropped": list_of(HASH), "set_root": HASH, "manifest_packs": list_of(HASH),
    "claimed_time": is_time,
}  # fmt: skip
ALARM = {
    "kind": one_of("alarm"), "mission": HASH, "detail": is_line, "began": is_time,
    "cause": one_of(
        "wall-clock-jump", "clock-behind", "clock-ahead", "witness-minority",
        "witness-quorum-lost", "witness-duty", "witness-owed", "engine-corrupt",
        "undeclared-restart", "deposits-silent", "deposit-shrank", "deposit-grew",
    ),
}  # fmt: skip
SWEPT = {
    "kind": one_of("swept"), "mission": HASH, "release": maybe(HASH), "expiry": is_time,
    "shards": list_to(4096, HASH),
}  # fmt: skip
SUPPLEMENT = {
    "kind": one_of("supplement"), "mission": HASH, "seat": count_from(1, 255),
    "shards": list_of(row_of(HASH, HASH)),
}  # fmt: skip


def check_record(body: Json) -> Json:
    """Form of a record, records.md 2."""
    r: dict[str, Json] = check_shape("record", body, RECORD)
    packs = [pack["root"] for pack in r["packs_added"]]
    shards = [root for pack in r["packs_added"] for _, root in pack["shards"]]
    sealed = [decode_base64(item["sealed"]) for item in r["secrets_added"]]
    rules = {
        "secrets_added ascend, 1,168 bytes each": ascending([sha256(s) for s in sealed])
        and all(len(s) == 1168 for s in sealed),
        "secrets_dropped ascend": ascending(r["secrets_dropped"]),
        "packs_added ascend": ascending(packs),
        "packs_dropped ascend": ascending(r["packs_dropped"]),
        "seats ascend": all(ascending([s for s, _ in p["shards"]]) for p in r["packs_added"]),
        "no shard root stands twice": len(set(shards)) == len(shards),
        "k seats at least": all(len(p["shards"]) >= p["k"] for p in r["packs_added"]),
        "manifest packs are distinct and there": bool(r["manifest_packs"])
        and len(set(r["manifest_packs"])) == len(r["manifest_packs"]),
        "a full record drops nothing": not r["full"]
        or not (r["packs_dropped"] or r["secrets_dropped"]),
        "the first and every 32nd record is full": r["full"] or r["sequence"] % 32 != 1,
        "a record after the first has a previous": r["sequence"] == 1 or r["previous"] is not None,
    }
    for rule, holds in rules.items():
        if not holds:
            raise RecordRefused(f"record: rule broken: {rule}")
    return r


def verify_record(envelope: Envelope, charters: dict[str, Json], mission: bytes) -> Json:
    """Form, mission and both signatures against the charter that the record names."""
    record = check_record(envelope.body)
    charter = charters.get(record["charter"])
    if record["mission"] != mission.hex() or charter is None:
        raise RecordRefused("record: of another mission, or made under an unknown charter")
    keys = [d["keys"] for d in charter["depositors"] if d["id"] == record["depositor"]]
    if not keys:
        raise RecordRefused(f"record: {record['depositor']} is no depositor of its charter")
    if len(verify_signers(envelope, keys[0])) != len(keys[0]):
        raise SignatureRefused("record: not signed by both keys of the depositor")
    return record


def check_live_set(record: Json, live: dict[str, Json], secrets: set[str]) -> None:
    """set_root, secrets and manifest packs of a record against its live set."""
    if tree_root(bytes.fromhex(root) for root in sorted(live)).hex() != record["set_root"]:
        raise RecordRefused("record: set_root is not that of its live set")
    if secrets != {pack["secret"] for pack in live.values()}:
        raise RecordRefused("record: its secrets are not those that its live packs name")
    manifests = {root for root, pack in live.items() if pack["kind"] == "manifest"}
    if manifests != set(record["manifest_packs"]):
        raise RecordRefused("record: its manifest packs are not those of its live set")


def apply_record(
    record: Json, before: dict[str, Json], secrets: set[str]
) -> tuple[dict[str, Json], set[str]]:
    """Live packs and secrets after a record, given those before it (records.md 2)."""
    added = {pack["root"]: pack for pack in record["packs_added"]}
    sealed = {sha256(decode_base64(item["sealed"])).hex() for item in record["secrets_added"]}
    if record["full"]:
        before, secrets = {}, set()
    dropped = set(record["packs_dropped"])
    if not dropped <= before.keys() or added.keys() & before.keys():
        raise RecordRefused("record: drops or adds packs against its previous record")
    if not set(record["secrets_dropped"]) <= secrets or sealed & secrets:
        raise RecordRefused("record: drops or adds secrets against its previous record")
    live = {root: pack for root, pack in before.items() if root not in dropped} | added
    secrets = secrets - set(record["secrets_dropped"]) | sealed
    check_live_set(record, live, secrets)
    return live, secrets


# ------------------------------------------------------------------ archive.md 1, 3, 4: chunks

LADDER = sorted([16384 << j for j in range(13)] + [24576 << j for j in range(12)])
CHUNK_LIMIT = 16 << 20
Ref = tuple[int, int, int, int, int]  # pack, offset, stored, plain, codec


@dataclass(frozen=True, slots=True)
class PackDirectory:
    """Where chunks lie in a pack plaintext: (offset, stored, plain, codec) -> role, in order."""

    entries: dict[tuple[int, int, int, int], int]


def parse_directory(plain: bytes | bytearray, kind: int) -> PackDirectory:
    """archive.md 3."""
    if len(plain) not in LADDER:
        raise PackRefused(f"pack plaintext: {len(plain)} bytes are no rung of the ladder")
    start, count, magic = struct.unpack_from(">II8s", plain, len(plain) - 16)
    end = start + 48 * count
    if magic != b"EXCLDIR1" or not count or end + 16 > len(plain):
        raise PackRefused("pack plaintext: the trailer is not well-formed")
    if len(plain) != next(rung for rung in LADDER if rung >= end + 16):
        raise PackRefused("pack plaintext: a smaller rung of the ladder would do")
    if plain.count(0, end, len(plain) - 16) != len(plain) - 16 - end:
        raise PackRefused("pack plaintext: the padding is not zero")
    entries: dict[tuple[int, int, int, int], int] = {}
    offset = 0
    for at in range(start, end, 48):
        position, stored, size, codec, role, zero = struct.unpack_from(">IIIBBH", plain, at + 32)
        if position != offset or zero or role > (2 if kind == 2 else 0):
            raise PackRefused("pack directory: offset, role or reserved bytes are not allowed")
        check_chunk(stored, size, codec)
        entries[offset, stored, size, codec] = role
        offset += stored
    if offset != start:
        raise PackRefused("pack directory: does not start where the last chunk ends")
    return PackDirectory(entries)


def check_chunk(stored: int, plain: int, codec: int) -> None:
    """Lengths and codec of a chunk."""
    fits = stored == plain if codec == 0 else codec == 1 and 0 < stored < plain
    if not fits or not 1 <= plain <= CHUNK_LIMIT:
        raise StreamRefused(f"chunk: codec {codec}, lengths {stored} and {plain} are not allowed")


def decode_chunk(stored: bytes, plain: int, codec: int) -> bytes:
    """Chunk plaintext from its stored form."""
    check_chunk(len(stored), plain, codec)
    if codec == 0:
        return stored
    try:
        frame = zstandard.get_frame_parameters(stored)
        if stored[:4] != b"\x28\xb5\x2f\xfd" or frame.content_size != plain or frame.dict_id:
            raise StreamRefused("chunk: the frame's content size or dictionary is not allowed")
        if frame.window_size > CHUNK_LIMIT:
            raise StreamRefused("chunk: the frame's window exceeds 16 MiB")
        decoder = zstandard.ZstdDecompressor(max_window_size=CHUNK_LIMIT)
        data = decoder.decompress(stored, max_output_size=plain, allow_extra_data=False)
    except zstandard.ZstdError:
        raise StreamRefused("chunk: not one zstd frame") from None
    if len(data) != plain:
        raise StreamRefused(f"chunk: expected {plain} bytes, got {len(data)}")
    return data


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree of references."""

    level: int
    refs: list[Ref]
    spans: list[int]


def parse_node(data: bytes) -> Node:
    """archive.md 4."""
    if len(data) < 12:
        raise StreamRefused("node: too short")
    magic, level, zero, count = struct.unpack_from(">4sB3sI", data)
    size = 12 + count * (17 + (8 if level else 0))
    if magic != b"EXND" or zero != bytes(3) or level > 4 or not 1 <= count <= 4096:
        raise StreamRefused("node: its head is not well-formed")
    if len(data) != size:
        raise StreamRefused(f"node: expected {size} bytes, got {len(data)}")
    columns = struct.unpack_from(f">{4 * count}I{count}B", data, 12)
    refs = [
        (columns[i], columns[count + i], columns[2 * count + i], columns[3 * count + i], codec)
        for i, codec in enumerate(columns[4 * count :])
    ]
    for ref in refs:
        check_chunk(*ref[2:])
    spans = list(struct.unpack_from(f">{count}Q", data, 12 + 17 * count)) if level else []
    if not all(spans):
        raise StreamRefused("node: a span is 0")
    return Node(level, refs, spans or [ref[3] for ref in refs])


def is_ref(value: Json) -> bool:
    """[pack, offset, stored, plain, codec]."""
    if not list_of(count_from(0, 2**32 - 1))(value) or len(value) != 5:
        return False
    with suppress(StreamRefused):
        check_chunk(*value[2:])
        return True
    return False


def is_stream(value: Json) -> bool:
    """A stream's description, archive.md 4."""
    if isinstance(value, dict) and "refs" in value:
        form = shape({"length": is_count, "refs": list_of(is_ref)})
        fits = form(value) and len(value["refs"]) <= 16
        return fits and sum(ref[3] for ref in value["refs"]) == value["length"]
    return shape({"length": is_positive, "level": count_from(0, 4), "root": is_ref})(value)


Fetch = Callable[[Ref, int, int], bytes]  # reference, role, kind of pack -> chunk plaintext


def stream_refs(stream: Json, fetch: Fetch) -> Iterator[Ref]:
    """The references of a stream, in order; nodes are fetched as they are needed."""
    if not is_stream(stream):
        raise StreamRefused("stream: its description is not well-formed")
    if "refs" in stream:
        for ref in stream["refs"]:
            yield tuple(ref)
        return
    if stream["root"][0] < 2**31:
        raise StreamRefused("stream: its root lies in a data pack")
    root, level = parse_node(fetch(tuple(stream["root"]), 1, 2)), stream["level"]
    if root.level != level or len(root.refs) < (2 if level else 17):
        raise StreamRefused("stream: its root has another level or too few references")
    yield from _node_refs(root, stream["length"], True, fetch)


def _node_refs(node: Node, span: int, last: bool, fetch: Fetch) -> Iterator[Ref]:
    if sum(node.spans) != span:
        raise StreamRefused(f"node: expected {span} bytes below, got {sum(node.spans)}")
    if not last and len(node.refs) != 4096:
        raise StreamRefused("node: only the last of a level may hold fewer than 4,096 references")
    for number, (ref, below) in enumerate(zip(node.refs, node.spans, strict=True), 1):
        if node.level == 0:
            yield ref
            continue
        if ref[0] < 2**31:
            raise StreamRefused("node: lies in a data pack")
        child = parse_node(fetch(ref, 1, 2))
        if child.level != node.level - 1:
            raise StreamRefused("node: a reference leads to another level")
        yield from _node_refs(child, below, last and number == len(node.refs), fetch)


def stream_chunks(stream: Json, kind: int, fetch: Fetch) -> Iterator[bytes]:
    """The chunks of a stream whose data lies in packs of a kind."""
    for ref in stream_refs(stream, fetch):
        yield fetch(ref, 0, kind)


class Cursor:
    """Reads exact numbers of bytes from chunks, in memory of one chunk."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held, self._at = b"", 0

    def some(self, limit: int) -> bytes:
        """At most `limit` bytes; nothing at the end."""
        while self._at == len(self._held):
            self._held, self._at = next(self._chunks, b""), 0
            if not self._held:
                return b""
        part = self._held[self._at : self._at + limit]
        self._at += len(part)
        return part

    def parts(self, size: int) -> Iterator[bytes]:
        """Exactly `size` bytes, piece by piece."""
        while size:
            part = self.some(size)
            if not part:
                raise StreamRefused(f"stream: ends {size} bytes early")
            size -= len(part)
            yield part

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        return b"".join(self.parts(size))

    def upto(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        out = b""
        while len(out) < size and (part := self.some(size - len(out))):
            out += part
        return out

    def at_end(self) -> bool:
        """Whether nothing follows."""
        if self._at == len(self._held):
            self._held, self._at = next(self._chunks, b""), 0
        return not self._held


# ------------------------------------------------------------------ archive.md 5: manifest

REGISTER_SLUG = matches(r"[a-z0-9][a-z0-9_-]{0,62}")
NAMED = {"database": is_text, "schema": is_text, "name": is_text}
OBJECTS: dict[str, dict[str, Rule]] = {
    "pg.globals": {"sql": is_stream},
    "pg.database": {
        "database": is_text, "encoding": is_text, "collate": is_text, "ctype": is_text,
        "owner": is_text, "comment": maybe(is_text), "settings": is_stream,
        "extensions": list_of(row_of(is_text, is_text)),
    },
    "pg.schema": {"database": is_text, "section": one_of("pre-data", "post-data"),
                  "sql": is_stream},
    "pg.table": NAMED | {
        "columns": list_of(row_of(is_text, is_text)), "key": list_of(is_text),
        "order": one_of("key", "stored"), "rows": is_count, "row_root": HASH,
        "groups": is_stream, "data": is_stream,
    },
    "pg.sequence": NAMED | {"last_value": matches(r"0|-?[1-9][0-9]*"), "is_called": is_bool},
    "pg.largeobjects": {"database": is_text, "count": is_count, "root": HASH,
                        "entries": is_stream, "content": is_stream},
    "sqlite.database": {"file": is_text, "blake3": HASH, "size": is_count,
                        "tables": list_of(row_of(is_text, is_count)), "data": is_stream},
    "files.tree": {"name": is_text, "count": is_positive, "tree_root": HASH,
                   "entries": is_stream, "content": is_stream},
    "command.output": {"file": is_text, "blake3": HASH, "size": is_count, "data": is_stream},
}  # fmt: skip


def is_object(value: Json) -> bool:
    """An object of a register, by its type."""
    if not isinstance(value, dict) or not one_of(*OBJECTS)(value.get("type")):
        return False
    return shape({"type": is_text} | OBJECTS[value["type"]])(value) and _object_rules(value)


def _object_rules(value: Json) -> bool:
    if value["type"] in ("sqlite.database", "command.output"):
        return bool(value["size"] == value["data"]["length"])
    if value["type"] == "pg.sequence":
        return bool(-(2**63) <= int(value["last_value"]) < 2**63)
    if value["type"] != "pg.table":
        return True
    key = value["key"]
    empty = value["groups"]["length"] == value["data"]["length"] == 0
    names = [name for name, _ in value["columns"]]
    return bool(
        key == names[: len(key)]
        and len(set(names)) == len(names)
        and (value["order"] != "key" or bool(key))
        and (value["rows"] == 0) == empty
        and (value["groups"]["length"] == 0) == (value["data"]["length"] == 0)
    )


def is_tree(value: Json) -> bool:
    """An object of type files.tree."""
    return is_object(value) and bool(value["type"] == "files.tree")


PREFIX = {"postgresql": "pg.", "sqlite": "sqlite.", "files": "files.", "command": "command."}
SOURCE = {
    "name": REGISTER_SLUG, "kind": one_of(*PREFIX), "started": is_time, "ended": is_time,
    "facts": lambda v: isinstance(v, dict) and all(map(is_text, v.values())),
    "objects": list_of(is_object),
}  # fmt: skip
REGISTER = {
    "id": REGISTER_SLUG, "title": is_text, "owner": is_text, "classification": is_text,
    "rpo": is_count, "rto": is_count,
    "depends_on": list_of(REGISTER_SLUG), "runbook": maybe(is_stream),
    "artefacts": maybe(is_tree), "started": is_time, "ended": is_time,
    "notes": list_of(is_text), "sources": list_of(shape(SOURCE)),
}  # fmt: skip
MANIFEST = {
    "format": one_of(1), "mission": HASH, "deposit": hex_of(16),
    "epoch": count_from(1, 2**32 - 1), "started": is_time, "ended": is_time,
    "software": is_text, "plan": is_stream, "packs": is_base64,
    "registers": list_of(shape(REGISTER)),
}  # fmt: skip


def check_manifest(data: bytes) -> Json:
    """Manifest root, archive.md 5."""
    value = check_shape("manifest", decode_json(data), MANIFEST)
    packs = decode_base64(value["packs"])
    roots = list(pieces(packs, 32))
    if len(packs) % 32 or len(set(roots)) != len(roots):
        raise Malformed("manifest: packs: expected distinct roots of 32 bytes")
    here = {register["id"] for register in value["registers"]}
    seen: set[str] = set()
    for register in value["registers"]:
        name = register["id"]
        if name in seen or not here.intersection(register["depends_on"]) <= seen:
            raise Malformed(f"manifest: register {name}: twice, or before what it depends on")
        seen.add(name)
        _check_sources(register)
        items = [*objects_of(register), *filter(None, [register["artefacts"]])]
        streams = [(key, item[key]) for item in items for key in item if is_stream(item[key])]
        for key, stream in [
            *streams,
            ("runbook", register["runbook"] or {}),
            ("plan", value["plan"]),
        ]:
            if not refs_in_place(stream, key in ("data", "content"), len(roots)):
                raise Malformed(f"manifest: register {name}: {key} is in a pack of the wrong kind")
    return value


def _check_sources(register: Json) -> None:
    """At least one, each with a name and objects of its own."""
    names = [source["name"] for source in register["sources"]]
    if not names or len(set(names)) != len(names):
        raise Malformed(f"manifest: register {register['id']}: no source, or one twice")
    for source in register["sources"]:
        prefix = PREFIX[source["kind"]]
        if not all(item["type"].startswith(prefix) for item in source["objects"]):
            raise Malformed(f"manifest: register {register['id']}: an object of another kind")


def objects_of(register: Json) -> list[Json]:
    """The objects of all its sources."""
    return [item for source in register["sources"] for item in source["objects"]]


def refs_in_place(stream: Json, data: bool, packs: int) -> bool:
    """Data lies in data packs, all else and every node in manifest packs."""
    numbers = [ref[0] for ref in stream.get("refs", [])]
    nodes = [stream["root"][0]] if "root" in stream else []
    high = [number for number in numbers if number >= 2**31]
    inside = all(number < packs for number in numbers if number < 2**31)
    return inside and len(high) == (0 if data else len(numbers)) and all(n >= 2**31 for n in nodes)


# ------------------------------------------------------------------ archive.md 6: row trees


class RowGroups:
    """Groups of rows: runs of lines of 64 KiB or more."""

    def __init__(self) -> None:
        self._hash, self._size, self._rows, self._whole = hashlib.sha256(b"\2"), 0, 0, True

    def add(self, data: bytes) -> bytes:
        """The next piece; the groups that end in it."""
        found, start = b"", 0
        while start < len(data):
            after = max(start, start + 65535 - self._size)
            end = data.find(b"\n", after) + 1
            piece = data[start : end or len(data)]
            self._hash.update(piece)
            self._size, self._rows = self._size + len(piece), self._rows + piece.count(b"\n")
            if end:
                found += self._close()
            start += len(piece)
        self._whole = self._whole if not data else data.endswith(b"\n")
        return found

    def _close(self) -> bytes:
        group = struct.pack(">I", self._rows) + self._hash.digest()
        self._hash, self._size, self._rows = hashlib.sha256(b"\2"), 0, 0
        return group

    def finish(self) -> bytes:
        """The last group, if one is open."""
        if not self._whole:
            raise StreamRefused("table: the last row does not end in LF")
        return self._close() if self._size else b""


class RowProof:
    """Recomputes the row tree of a table from its data."""

    def __init__(self, folder: Path) -> None:
        self._groups = RowGroups()
        self._kept = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed by groups()
        self.rows = 0

    def update(self, chunk: bytes) -> None:
        """The next piece of `data`."""
        self.rows += chunk.count(b"\n")
        self._kept.write(self._groups.add(chunk))

    def groups(self) -> Iterator[bytes]:
        """The 36 bytes of each group, in order."""
        with self._kept as kept:
            kept.write(self._groups.finish())
            kept.seek(0)
            yield from iter(lambda: kept.read(36), b"")


def check_rows(proof: RowProof, table: Json, groups: Cursor) -> list[str]:
    """What differs between a table's rows and its row tree."""
    problems: list[str] = []
    tree = Tree()
    for number, group in enumerate(proof.groups()):
        tree.add(hash_leaf(group))
        if not problems and groups.upto(36) != group:
            problems.append(f"row group {number} differs")
    if not groups.at_end() and not problems:
        problems.append("there are fewer row groups than stated")
    if tree.root().hex() != table["row_root"]:
        problems.append(f"row root: expected {table['row_root']}, got {tree.root().hex()}")
    if proof.rows != table["rows"]:
        problems.append(f"rows: expected {table['rows']}, got {proof.rows}")
    return problems


# ------------------------------------------------------------------ archive.md 7-8: entries


@dataclass(frozen=True, slots=True)
class LargeObject:
    """One entry of `pg.largeobjects`."""

    oid: int
    size: int
    blake3: bytes
    owner: str
    acl: str


def large_objects(entries: Cursor, tree: Tree) -> Iterator[LargeObject]:
    """Entries in ascending order of oid; adds each to the tree."""
    before = 0
    while not entries.at_end():
        head = entries.take(46)
        oid, size, digest, length = struct.unpack(">IQ32sH", head)
        owner = entries.take(length)
        acl_length = entries.take(4)
        if (number := int.from_bytes(acl_length, "big")) > 1 << 20:
            raise EntryRefused("large object: its ACL exceeds 1 MiB")
        acl = entries.take(number)
        if oid <= before:
            raise EntryRefused("large objects: oids do not ascend from 1")
        before = oid
        tree.add(hash_leaf(head + owner + acl_length + acl))
        try:
            yield LargeObject(oid, size, digest, owner.decode(), acl.decode())
        except UnicodeDecodeError:
            raise EntryRefused("large object: owner or ACL is not UTF-8") from None


REGULAR, FOLDER, SYMLINK, HARDLINK, FIFO = range(1, 6)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One record of a file tree."""

    type: int
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int
    offset: int
    blake3: bytes
    path: bytes
    owner: str
    group: str
    target: bytes
    extents: list[tuple[int, int]]
    xattrs: list[tuple[bytes, bytes]]


def parse_file_entry(data: bytes) -> FileEntry:
    """A record of a file tree without its length, archive.md 8."""
    if len(data) < 69:
        raise EntryRefused("file record: too short")
    kind, mode, uid, gid, mtime, size, offset, digest = struct.unpack_from(">BIIIqQQ32s", data)
    cursor = Cursor([data[69:]])

    def counted(width: int) -> bytes:
        return cursor.take(int.from_bytes(cursor.take(width), "big"))

    try:
        path, owner, group, target = (counted(2) for _ in range(4))
        number = int.from_bytes(cursor.take(4), "big")
        extents = [struct.unpack(">QQ", cursor.take(16)) for _ in range(number)]
        number = int.from_bytes(cursor.take(2), "big")
        xattrs = [(counted(2), counted(4)) for _ in range(number)]
        texts = owner.decode(), group.decode()
    except StreamRefused:
        raise EntryRefused("file record: cut short") from None
    except UnicodeDecodeError:
        raise EntryRefused("file record: owner or group is not UTF-8") from None
    if not cursor.at_end():
        raise EntryRefused("file record: bytes follow its end")
    entry = FileEntry(
        kind, mode, uid, gid, mtime, size, offset, digest, path, *texts, target, extents, xattrs
    )
    _check_file_entry(entry)
    return entry


def _is_path(path: bytes) -> bool:
    parts = path.split(b"/")
    return b"\0" not in path and not any(part in (b"", b".", b"..") for part in parts)


def _check_file_entry(e: FileEntry) -> None:
    names = [name for name, _ in e.xattrs]
    end, extents_fit = -1, True
    for offset, length in e.extents:
        extents_fit &= offset > end and length > 0 and offset + length <= e.size
        end = offset + length
    regular = e.type == REGULAR
    rules = {
        "type": REGULAR <= e.type <= FIFO,
        "mode": e.mode <= 0o7777,
        "size and offset": e.size < 2**63 and e.offset < 2**63,
        "path": e.path == b"" or _is_path(e.path),
        "the tree's folder": e.path != b"" or e.type == FOLDER,
        "regular files only": regular or not (e.size or e.offset or any(e.blake3) or e.extents),
        "target": bool(e.target) == (e.type in (SYMLINK, HARDLINK)) and b"\0" not in e.target,
        "target of a hard link": e.type != HARDLINK or _is_path(e.target),
        "extents": extents_fit,
        "attributes": ascending(names) and not any(b"\0" in n or not n for n in names),
    }
    for rule, holds in rules.items():
        if not holds:
            raise EntryRefused(f"file record {e.path!r}: {rule}: not allowed")


def file_entries(entries: Cursor, tree: Tree) -> Iterator[FileEntry]:
    """The records of a file tree, each inside a folder that stands before it."""
    folders: set[bytes] = set()
    linkable: set[bytes] = set()
    before: bytes | None = None
    offset = 0
    while not entries.at_end():
        length = int.from_bytes(entries.take(4), "big")
        if length > 16 << 20:
            raise EntryRefused("file record: larger than 16 MiB")
        data = entries.take(length)
        entry = parse_file_entry(data)
        path = entry.path
        if (before is None) != (path == b"") or (before is not None and path <= before):
            raise EntryRefused(f"file record {path!r}: not in ascending order from the folder")
        if path and path.rpartition(b"/")[0] not in folders:
            raise EntryRefused(f"file record {path!r}: its parent is not a folder of the tree")
        # A file without data has no place in `content`; 0 says so as well as the running offset.
        places = {offset} if entry.extents else {offset, 0}
        if entry.type == REGULAR and entry.offset not in places:
            raise EntryRefused(f"file record {path!r}: expected content offset {offset}")
        offset += sum(size for _, size in entry.extents)
        if entry.type == HARDLINK and sha256(entry.target) not in linkable:
            raise EntryRefused(f"file record {path!r}: its target does not stand before it")
        if entry.type == FOLDER:
            folders.add(path)
        elif entry.type != HARDLINK:
            linkable.add(sha256(path))
        before = path
        tree.add(hash_leaf(data[:29] + bytes(8) + data[37:]))
        yield entry
    if before is None:
        raise EntryRefused("file records: the tree's own folder is missing")


# ------------------------------------------------------------------ vault-folder.md: on disk


def read_file(path: Path, what: str) -> bytes:
    """A whole file; a missing one is named."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise NothingFound(f"{what}: {path}: {error.strerror}") from None


def read_entries(log: Path, size: int) -> list[bytes]:
    """The first `size` entries from the entry tiles, full or partial."""
    found: list[bytes] = []
    for number in range(-(-size // 256)):
        width = min(256, size - 256 * number)
        path = log / "tile" / "entries" / tile_number(number)
        if width < 256 and (partial := Path(f"{path}.p") / str(width)).is_file():
            path = partial
        data, at, bundle = read_file(path, "entry tile"), 0, []
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            if at + 2 + length > len(data):
                raise LogRefused(f"{path}: an entry is cut")
            bundle.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        if len(bundle) < width:
            raise LogRefused(f"{path}: expected {width} entries, got {len(bundle)}")
        found += bundle[:width]
    return found


def check_tiles(log: Path, hashes: list[bytes]) -> Iterator[str]:
    """Tiles that differ from what the entries give."""
    level = 0
    while hashes:
        roots = []
        for number in range(-(-len(hashes) // 256)):
            part = hashes[256 * number : 256 * (number + 1)]
            path = log / "tile" / str(level) / tile_number(number)
            if len(part) < 256 and (partial := Path(f"{path}.p") / str(len(part))).is_file():
                path = partial
            held = path.read_bytes() if path.is_file() else b""
            if held[: 32 * len(part)] != b"".join(part):
                yield f"{path}: missing, or not the hashes of the entries"
            if len(part) == 256:
                tree = Tree()
                for item in part:
                    tree.add(item)
                roots.append(tree.root())
        hashes, level = roots, level + 1


@dataclass(frozen=True, slots=True)
class Vault:
    """One mission's folder at one vault: entries that are proved by its checkpoint."""

    path: Path
    seat: int
    mission: bytes
    note: Note
    checkpoint: Checkpoint
    entries: list[dict[str, Json]]
    problems: list[str]

    def body(self, entry: dict[str, Json]) -> bytes:
        """The body of an entry, checked by size and hash."""
        name = entry["hash"]
        data = read_file(self.path / "bodies" / name[:2] / name, "body")
        if len(data) != entry["size"] or sha256(data).hex() != name:
            raise LogRefused(f"body {name}: is not what the log names")
        return data

    @property
    def size(self) -> int:
        """Entries of its log."""
        return self.checkpoint.size

    @property
    def what(self) -> str:
        """In words."""
        return f"log of {self.checkpoint.size} entries"

    def has(self, root: str) -> bool:
        """Whether a shard of that root is there."""
        return (self.path / "shards" / root[:2] / root).is_file()

    def shard(self, root: str) -> bytes:
        """A shard's bytes, unchecked."""
        return (self.path / "shards" / root[:2] / root).read_bytes()


def open_vault(path: Path) -> Vault:
    """Read a mission's folder; the checkpoint's signature is checked when the charter is known."""
    note = parse_note(read_file(path / "log" / "checkpoint", "checkpoint"))
    checkpoint = parse_checkpoint(note.text)
    origin = re.fullmatch(r"exclave/([0-9a-f]{64})/([1-9][0-9]{0,2})", checkpoint.origin)
    if origin is None or int(origin[2]) > 255:
        raise LogRefused(f"{path}: checkpoint: origin {checkpoint.origin} is not of a seat")
    raw = read_entries(path / "log", checkpoint.size)
    hashes, tree = [hash_leaf(entry) for entry in raw], Tree()
    for item in hashes:
        tree.add(item)
    if tree.root() != checkpoint.root:
        raise LogRefused(f"{path}: the entries do not give the checkpoint's root")
    entries = [parse_entry(entry) for entry in raw]
    problems = list(check_tiles(path / "log", hashes))
    service = [entry["service"] for entry in entries]
    if any(entry["mission"] != origin[1] for entry in entries):
        raise LogRefused(f"{path}: an entry is of another mission")
    if service != sorted(service):
        problems.append("service time goes back")
    if any(n > 1 for n in Counter((e["type"], e["hash"]) for e in entries).values()):
        problems.append("an entry stands twice")
    mission = bytes.fromhex(origin[1])
    return Vault(path, int(origin[2]), mission, note, checkpoint, entries, problems)


def mission_folders(folder: Path) -> list[Path]:
    """Mission folders in a vault's folder, or the folder itself if it is one."""
    if (folder / "log" / "checkpoint").is_file():
        return [folder]
    return sorted(path.parent.parent for path in folder.glob("missions/*/log/checkpoint"))


@dataclass(slots=True)
class Mission:
    """What several vaults hold of one mission."""

    id: bytes
    vaults: list[Vault | Bag]
    charters: list[Envelope] = field(default_factory=list)
    records: dict[str, Json] = field(default_factory=dict)
    lodged: set[str] = field(default_factory=set)
    order: dict[str, int] = field(default_factory=dict)
    supplements: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    attestations: dict[str, Json] = field(default_factory=dict)  # by hash of the certificate
    problems: list[str] = field(default_factory=list)

    @property
    def charter(self) -> Json:
        """The newest charter of the chain."""
        return self.charters[-1].body

    def charter_of(self, record: Json) -> Json:
        """The charter that a record was made under."""
        return next(e.body for e in self.charters if e.statement.hex() == record["charter"])

    def live(self, statement: str) -> dict[str, Json]:
        """Live packs of a record, along its chain back to a full one."""
        chain = [self.records[statement]]
        while not chain[-1]["full"]:
            before = self.records.get(chain[-1]["previous"])
            if before is None:
                raise RecordRefused("record: its previous record is missing")
            if before["sequence"] != chain[-1]["sequence"] - 1:
                raise RecordRefused("record: its sequence does not follow")
            if before["epoch"] != chain[-1]["epoch"]:
                raise RecordRefused("record: dedup crosses epochs")
            chain.append(before)
        live: dict[str, Json] = {}
        secrets: set[str] = set()
        for record in reversed(chain):
            live, secrets = apply_record(record, live, secrets)
        return live

    def shards(self, pack: Json) -> list[tuple[int, str]]:
        """Seats and shard roots of a pack, supplements included."""
        return [*map(tuple, pack["shards"]), *self.supplements.get(pack["root"], [])]

    def holders(self, live: dict[str, Json]) -> list[int]:
        """Seats here that hold a shard file of every live pack."""
        seats = []
        for number in sorted({vault.seat for vault in self.vaults}):
            places = [vault for vault in self.vaults if vault.seat == number]
            roots = (
                [root for seat, root in self.shards(pack) if seat == number]
                for pack in live.values()
            )
            if all(any(place.has(r) for r in held for place in places) for held in roots):
                seats.append(number)
        return seats


# ------------------------------------------------------------------ bag.md: carried media

BLOCK, BLOCK_HEAD = 65536, 128
BLOCK_DATA = BLOCK - BLOCK_HEAD
CLASSES = ("kit", "charter", "annex", "statement", "record", "shard")
INVENTORY = {
    "kind": one_of("exclave-bag"), "version": one_of(1), "mission": HASH, "bag": hex_of(16),
    "seat": count_from(1, 255), "further": list_of(count_from(1, 255)), "packed": is_time,
    "items": list_of(row_of(one_of(*CLASSES), is_text, count_from(1, 2**27), HASH)),
}  # fmt: skip
PARTY = matches(
    r"(official|depositor) [a-z0-9][a-z0-9-]{0,62}"
    r"|seat ([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
)
BAG_ACTS = ("sealed", "handed-over", "received", "verified", "opened", "lost", "lodged")
CUSTODY = {
    "kind": one_of("custody"), "mission": HASH, "bag": hex_of(16), "inventory": HASH,
    "seat": count_from(1, 255), "act": one_of(*BAG_ACTS), "by": PARTY, "to": maybe(PARTY),
    "previous": maybe(HASH), "marks": is_line, "good": maybe(is_count), "bad": maybe(is_count),
    "time": is_time,
}  # fmt: skip


def check_inventory(data: bytes) -> dict[str, Json]:
    """bag.md 1."""
    if len(data) > 64 << 20:
        raise Malformed("bag: inventory larger than 64 MiB")
    value = check_shape("bag", decode_json(data), INVENTORY)
    if not ascending(value["further"]) or value["seat"] in value["further"]:
        raise Malformed("bag: further seats do not ascend, or are its own")
    items = value["items"]
    ranks = [CLASSES.index(kind) for kind, *_ in items]
    if ranks != sorted(ranks):
        raise Malformed("bag: classes are not in their order")
    for kind, name, size, _ in items:
        if kind == "kit":
            parts = name.split("/")
            good = len(parts) <= 8 and size <= 4 << 20
            good = good and all(
                re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", p) for p in parts
            )
        else:
            good = HASH(name)
        if not good:
            raise Malformed(f"bag: {kind} {name[:80]!r}: not a name or size of this class")
    for kind in CLASSES:
        names = [name for other, name, *_ in items if other == kind]
        if len(set(names)) != len(names) or (
            kind in ("kit", "annex", "shard") and not ascending(names)
        ):
            raise Malformed(f"bag: names of class {kind} repeat or do not ascend")
        if kind in ("charter", "record", "shard") and not names:
            raise Malformed(f"bag: has no {kind}")
    return value


def check_custody(body: Json) -> dict[str, Json]:
    """bag.md 4: which act has which fields, and who may say it."""
    value = check_shape("custody", body, CUSTODY)
    act, counted = value["act"], value["act"] in ("verified", "lodged")
    by = {"sealed": "depositor", "lodged": "seat"}.get(act)
    copied = act == "sealed" and value["by"] == f"seat {value['seat']}"
    if by is not None and not copied and not value["by"].startswith(by + " "):
        raise Malformed(f"custody: {act} by {value['by']}")
    for name, there in (
        ("previous", act != "sealed"), ("to", act == "handed-over"),
        ("good", counted), ("bad", counted),
    ):  # fmt: skip
        if (value[name] is not None) is not there:
            raise Malformed(f"custody: {act}: field {name} is there or is missing")
    return value


# ------------------------------------------------------------------ certificates.md

SPAN = count_from(0, 10**12)
SPANS = ("restore_ms", "compare_ms", "work_ms", "rto_ms")
HEAD = {
    "kind": one_of("proof", "drill", "standing"), "mission": HASH, "charter": HASH, "salt": HASH,
    "software": is_line,
}  # fmt: skip
ASSERTION = {"name": SLUG, "held": is_bool, "said": is_line, "ms": SPAN}
RESULT = {
    "id": SLUG, "title": is_line, "captured": is_time, "rows": is_count, "files": is_count,
    "objects": is_count, "differences": is_count, "not_compared": list_to(4096, is_line),
    "assertions": list_to(1024, shape(ASSERTION)),
}  # fmt: skip
PROVEN = RESULT | {"from_packs": is_count, "from_source": is_count}
TIMELY = {"in_time": is_bool, "foreseen": maybe(is_bool)}
DRILLED = RESULT | TIMELY | {"rto": SPAN, "forecast": maybe(SPAN)} | dict.fromkeys(SPANS, SPAN)
RESULTS = HEAD | {
    "plan": HASH, "declared": list_to(4096, SLUG), "deposit": hex_of(16), "record": HASH,
    "started": is_time, "ended": is_time, "failure": maybe(is_line),
    "passed": is_bool,
}  # fmt: skip
CERTIFICATES = {
    "proof": RESULTS | {"depositor": SLUG, "registers": list_to(4096, shape(PROVEN))},
    "drill": RESULTS
    | {"warrant": HASH, "prepared": is_time, "delay": SPAN}
    | {"only": list_to(4096, SLUG), "registers": list_to(4096, shape(DRILLED))},
}


def check_results(kind: str, body: Json) -> dict[str, Json]:
    """certificates.md 2 to 4: the verdict is what the rest says, or the certificate is refused."""
    value = check_shape(kind, body, CERTIFICATES[kind] | {"kind": one_of(kind)})
    declared, found = value["declared"], [register["id"] for register in value["registers"]]
    if not declared or len(set(declared)) != len(declared) or len(set(found)) != len(found):
        raise Malformed(f"{kind}: no register is declared, or one stands twice")
    if value["ended"] < value["started"]:
        raise Malformed(f"{kind}: ended before it started")
    if kind == "drill":
        check_drill(value, found)
    good = all(
        register["differences"] == 0 and all(item["held"] for item in register["assertions"])
        for register in value["registers"]
    )
    whole = value["failure"] is None and set(declared) <= set(found)
    if value["passed"] is not (good and whole):
        raise Malformed(f"{kind}: says passed {value['passed']} against what it found")
    return value


def check_drill(value: Json, found: list[str]) -> None:
    """certificates.md 4: of which registers it was held, and how long each took."""
    only, before = value["only"], 0
    if len(set(only)) != len(only) or (only and not set(found) <= set(only)):
        raise Malformed("drill: held of a register twice, or found one that it was not held of")
    for register in value["registers"]:
        work, forecast = register["work_ms"], register["forecast"]
        if register["rto_ms"] < work or work < before:
            raise Malformed("drill: less time since the warrant than work, or works do not ascend")
        foreseen = None
        if forecast is not None:
            foreseen = abs(work - 1000 * forecast) <= max(10_000, 300 * forecast)
        in_time = register["rto_ms"] <= 1000 * register["rto"]
        if (register["in_time"], register["foreseen"]) != (in_time, foreseen):
            raise Malformed(f"drill: {register['id']}: in time and foreseen are not as measured")
        before = work


STANDING = HEAD | {
    "depositor": SLUG, "time": is_time, "plan": HASH,
    "registers": list_to(4096, shape({
        "id": SLUG, "title": is_line, "owner": is_line, "classification": is_line, "rpo": SPAN,
        "rto": SPAN, "record": maybe(HASH), "captured": maybe(is_time), "proof": maybe(HASH),
        "drill": maybe(HASH),
    })),
    "deposits": list_to(4096, shape({
        "deposit": hex_of(16), "record": HASH, "k": count_from(1, 255), "n": count_from(1, 255),
        "held": list_to(255, row_of(count_from(1, 255), is_base64)),
    })),
    "statements": list_to(3 * 4096, is_base64),
}  # fmt: skip


def check_standing(body: Json) -> dict[str, Json]:
    """certificates.md 6: its form; what it carries is checked by `verify_standing`."""
    value = check_shape("standing", body, STANDING | {"kind": one_of("standing")})
    names = [register["id"] for register in value["registers"]]
    if not names or len(set(names)) != len(names):
        raise Malformed("standing: no register, or one stands twice")
    for register in value["registers"]:
        if (register["record"] is None) is not (register["captured"] is None):
            raise Malformed(f"standing: {register['id']}: captured without record, or without it")
    records = [deposit["record"] for deposit in value["deposits"]]
    named = {register["record"] for register in value["registers"]} - {None}
    if not ascending(records) or set(records) != named:
        raise Malformed("standing: deposits are not those that registers name, ascending")
    if any(not ascending([seat for seat, _ in d["held"]]) for d in value["deposits"]):
        raise Malformed("standing: seats do not ascend")
    carried = [parse_envelope(decode_base64(text)) for text in value["statements"]]
    if not ascending([envelope.statement for envelope in carried]) or any(
        envelope.kind not in ("proof", "drill", "warrant") for envelope in carried
    ):
        raise Malformed("standing: statements of another kind, or not ascending")
    return value


@dataclass(frozen=True, slots=True)
class Charters:
    """Charters that whoever checks a certificate trusts."""

    envelopes: list[Envelope]

    def named(self, statement: str) -> tuple[Envelope, bytes]:
        """The one with that hash, and its mission."""
        for envelope in self.envelopes:
            if envelope.statement.hex() == statement:
                mission = check_charter(envelope.body)["mission"]
                return envelope, bytes.fromhex(mission or statement)
        raise CharterRefused(f"charter {statement[:16]}: is none of those given")

    def depositor_signed(self, envelope: Envelope, body: Json) -> None:
        """Mission, and both keys of the depositor by the charter that a certificate names."""
        charter, mission = self.named(body["charter"])
        if body["mission"] != mission.hex():
            raise CharterRefused(f"{envelope.kind}: of another mission")
        for depositor in charter.body["depositors"]:
            if depositor["id"] == body["depositor"]:
                wanted = {key_id(key) for key in depositor["keys"]}
                if wanted <= verify_signers(envelope, depositor["keys"]):
                    return
        raise SignatureRefused(f"{envelope.kind}: not signed by both keys of its depositor")

    def receipt(self, data: bytes) -> tuple[Json, Checkpoint, set[str], Json]:
        """Entry, checkpoint, cosigners and charter: the newest whose quorum signed, or log key."""
        found, failure = [], None
        ordered = sorted(self.envelopes, key=lambda e: (e.body["era"], e.body["version"]))
        for envelope in reversed(ordered):
            mission = bytes.fromhex(envelope.body["mission"] or envelope.statement.hex())
            try:
                found.append((*verify_receipt(data, envelope.body, mission), envelope.body))
            except ReaderError as error:
                failure = failure or error
        for item in found:
            if len(item[2]) >= item[3]["witness"]["q"]:
                return item
        if not found:
            raise failure or LogRefused("receipt: no charter to check it by")
        return found[0]


def verify_results(envelope: Envelope, warrant: Envelope | None, charters: Charters) -> Json:
    """certificates.md 3, 4: a proof by its depositor, a drill by the reader of its warrant."""
    body = check_results(envelope.kind, envelope.body)
    if envelope.kind == "proof":
        charters.depositor_signed(envelope, body)
        return body
    charter, mission = charters.named(body["charter"])
    if warrant is None or warrant.kind != "warrant":
        raise SignatureRefused("drill: its warrant is not here")
    allowed = verify_warrant(warrant, charter, mission)
    if (
        body["mission"] != mission.hex()
        or body["warrant"] != warrant.statement.hex()
        or body["prepared"] != allowed["issued"]
        or (allowed["deposits"] != ["all"] and body["deposit"] not in allowed["deposits"])
    ):
        raise SignatureRefused("drill: not of this mission, warrant, time or deposit")
    if not verify_signers(envelope, [allowed["reader_key"]]):
        raise SignatureRefused("drill: not signed by the warrant's reader")
    return body


def verify_standing(envelope: Envelope, charters: Charters) -> Iterator[str]:
    """certificates.md 6: nothing is claimed that is not proven; what is, in lines."""
    body = check_standing(envelope.body)
    charters.depositor_signed(envelope, body)
    carried = [parse_envelope(decode_base64(text)) for text in body["statements"]]
    by_hash = {item.statement.hex(): item for item in carried}
    used: set[str] = set()
    held = {deposit["record"]: deposit for deposit in body["deposits"]}
    lines = {record: list(_held_lines(item, charters)) for record, item in held.items()}
    yield f"certificate of {body['time']}, by depositor {body['depositor']}"
    for register in body["registers"]:
        yield f"{register['id']} ({register['title']}), of {register['owner']}"
        if register["record"] is None:
            yield "  NEVER DEPOSITED"
        else:
            item = held[register["record"]]
            yield f"  deposit {item['deposit']} of {register['captured']}:"
            yield f"  any {item['k']} of {item['n']} seats rebuild it"
            yield from lines[register["record"]]
        for kind, said in (("proof", "last proven"), ("drill", "last restored")):
            name = register[kind]
            if name is None:
                yield f"  never {said.split()[1]}"
                continue
            paper = by_hash.get(name)
            if paper is None or paper.kind != kind:
                raise Malformed(f"standing: {kind} {name[:16]}: is not in it")
            named = str(paper.body.get("warrant"))
            found = verify_results(paper, by_hash.get(named), charters)
            used |= {name, named} if kind == "drill" else {name}
            there = [r for r in found["registers"] if r["id"] == register["id"]]
            if not there or not found["passed"]:
                raise Malformed(f"standing: {kind} {name[:16]}: no passed one of this register")
            took = ""
            if kind == "drill":
                took = f", {there[0]['rto_ms'] / 1000:.0f} s after the warrant"
            yield f"  {said} {found['ended']}{took}"
    if used != set(by_hash):
        raise Malformed("standing: carries statements that it does not name")


def _held_lines(deposit: Json, charters: Charters) -> Iterator[str]:
    for seat, data in deposit["held"]:
        entry, checkpoint, witnesses, charter = charters.receipt(decode_base64(data))
        if (
            checkpoint.origin.rpartition("/")[2] != str(seat)
            or entry["type"] != "lodged"
            or entry["statement"] != deposit["record"]
        ):
            raise Malformed(f"standing: the receipt of seat {seat} is of something else")
        state = next(s["state"] for s in charter["seats"] if s["seat"] == seat)
        enough = "cosigned" if len(witnesses) >= charter["witness"]["q"] else "provisional"
        count = f"{enough} by {len(witnesses)}"
        yield f"  held at seat {seat} in {state} since {entry['logged']} ({count})"


def certificate_command(args: argparse.Namespace) -> int:
    """`verify-certificate`: a proof, a drill with its warrant, or an auditor's certificate."""
    files = [read_file(path, "charter") for path in args.charters]
    charters = Charters([parse_envelope(data, "charter") for data in files])
    envelope = parse_envelope(read_file(args.certificate, "certificate"))
    if envelope.kind == "standing":
        lines = list(verify_standing(envelope, charters))
        print("valid: all that it claims is proven", *map(printable, lines), sep="\n")
        return 0
    if envelope.kind not in CERTIFICATES:
        raise Malformed(f"certificate: expected a proof, drill or standing, got {envelope.kind}")
    warrant = None
    if args.warrant is not None:
        warrant = parse_envelope(read_file(args.warrant, "warrant"), "warrant")
    body = verify_results(envelope, warrant, charters)
    verdict = "passed" if body["passed"] else "NOT PASSED"
    print(
        f"valid: a {envelope.kind} of deposit {body['deposit']}, ended {body['ended']}: {verdict}"
    )
    for register in body["registers"]:
        counts = f"{register['rows']} rows, {register['files']} files"
        took = took_words(register) if envelope.kind == "drill" else ""
        print(
            printable(f"  {register['id']}: {register['differences']} differences, {counts}{took}")
        )
    return 0 if body["passed"] else 1


def took_words(register: Json) -> str:
    """How long a register took, against plan and forecast."""
    late = "" if register["in_time"] else ", TOO LATE"
    work = f"{register['work_ms'] / 1000:.0f} s of work"
    if register["foreseen"] is None:
        foreseen = "no forecast"
    else:
        within = "as it came" if register["foreseen"] else "OFF BY MORE THAN 30 %"
        foreseen = f"forecast {register['forecast']} s, {within}"
    took = f"{register['rto_ms'] / 1000:.0f} s of RTO {register['rto']} s{late}"
    return f", {took}; {work}, {foreseen}"


ATTESTATION = {
    "kind": one_of("attestation"), "mission": HASH, "depositor": SLUG, "certificate": HASH,
    "epoch": count_from(1, 2**32 - 1), "sealed": is_base64, "time": is_time,
}  # fmt: skip


def verify_attestation(envelope: Envelope, mission: Mission) -> dict[str, Json]:
    """certificates.md 5: signed by both keys of the depositor, by a charter of the chain."""
    value = check_shape("attestation", envelope.body, ATTESTATION)
    if value["mission"] != mission.id.hex():
        raise CharterRefused("attestation: of another mission")
    for charter in mission.charters:
        for depositor in charter.body["depositors"]:
            if depositor["id"] == value["depositor"]:
                ids = {key_id(key) for key in depositor["keys"]}
                if ids <= verify_signers(envelope, depositor["keys"]):
                    return value
    raise SignatureRefused("attestation: not signed by both keys of its depositor")


def open_attested(value: dict[str, Json], key: XWingKey) -> tuple[Envelope, bytes]:
    """The certificate in an attestation and its bytes; its own signatures are not checked here."""
    name = bytes.fromhex(value["certificate"])
    if not value["sealed"]:
        raise SealRefused("attestation: of an auditor's certificate by its hash alone")
    info = b"exclave/1/attestation\0" + bytes.fromhex(value["mission"]) + name
    data = hpke_open(key, decode_base64(value["sealed"]), info + struct.pack(">I", value["epoch"]))
    end = 4 + int.from_bytes(data[:4], "big")
    if not data or len(data) % 4096 or not 0 <= len(data) - end < 4096 or any(data[end:]):
        raise Malformed("sealed certificate: not filled up with zeros to 4,096 bytes")
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(data[4:end], 1 << 20)
    except zlib.error as error:
        raise Malformed("sealed certificate: not zlib") from error
    if not inflate.eof or inflate.unused_data:
        raise Malformed("sealed certificate: not one zlib stream of at most 1 MiB")
    rules = {"payload": is_text, "payloadType": is_text, "signatures": list_of(lambda v: True)}
    opened = check_shape("certificate", decode_json(text), rules)
    payload = opened["payload"].encode()
    if sha256(payload) != name:
        raise SealRefused("sealed certificate: is not the one that the attestation names")
    data = encode_json(opened | {"payload": base64.b64encode(payload).decode()})
    envelope = parse_envelope(data)
    if envelope.kind not in CERTIFICATES:
        raise Malformed(f"sealed certificate: a {envelope.kind}")
    return envelope, data


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a stream, bag.md 3."""

    kind: int
    seat: int
    volume: int
    number: int
    offset: int
    length: int
    size: int
    bag: bytes
    mission: bytes
    data: bytes


def parse_block(raw: bytes) -> Block:
    """A block that is whole and says what can be."""
    if len(raw) != BLOCK or raw[:8] != b"EXCLAVEB":
        raise Malformed("block: not 65,536 bytes of a bag")
    if sha256(raw[:96] + raw[BLOCK_HEAD:]) != raw[96:128]:
        raise Malformed("block: damaged")
    version, kind, seat, volume, number, offset, length, size, zero, bag, mission = struct.unpack(
        ">HBBIQQIQI16s32s", raw[8:96]
    )
    data = raw[BLOCK_HEAD : BLOCK_HEAD + length]
    good = version == 1 and kind <= 3 and seat and volume and not zero and length <= BLOCK_DATA
    good = good and not any(raw[BLOCK_HEAD + length :]) and offset + length <= size
    good = good and (kind == 0) == (number == 0)
    good = good and ((offset == size and not length) if kind == 3 else length > 0)
    if not good:
        raise Malformed("block: its header says what cannot be")
    return Block(kind, seat, volume, number, offset, length, size, bag, mission, data)


@dataclass(frozen=True, slots=True)
class Run:
    """Content that stands in blocks one behind the other: offset, length, file, place there."""

    start: int
    length: int
    path: Path
    place: int


@dataclass(slots=True)
class Bag:
    """A bag whose items are read when they are asked for; a seat without a log."""

    path: Path
    inventory: dict[str, Json]
    runs: list[Run] | None  # None: a folder
    problems: list[str]
    key: XWingKey | None = None  # of its seat
    spans: dict[tuple[str, str], tuple[int, int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at = 0
        for kind, name, size, digest in self.inventory["items"]:
            self.spans[kind, name] = at, size, digest
            at += size

    @property
    def seat(self) -> int:
        """Whose shards it carries."""
        return int(self.inventory["seat"])

    @property
    def mission(self) -> bytes:
        """Whose it is."""
        return bytes.fromhex(self.inventory["mission"])

    @property
    def size(self) -> int:
        """It has no log."""
        return 0

    @property
    def what(self) -> str:
        """In words."""
        return f"bag {self.inventory['bag']} packed {self.inventory['packed']}"

    @property
    def entries(self) -> list[dict[str, Json]]:
        """Its statements, as entries of a log would name them."""
        found = []
        for kind, name, size, digest in self.inventory["items"]:
            if kind in ("charter", "record"):
                found.append({"type": kind, "hash": digest, "size": size, "statement": name})
            elif kind == "statement":
                with suppress(ReaderError):
                    if parse_envelope(self.item(kind, name)).kind == "supplement":
                        found.append(
                            {"type": "supplement", "hash": digest, "size": size, "statement": name}
                        )
        return found

    def body(self, entry: dict[str, Json]) -> bytes:
        """A statement that `entries` names."""
        return self.item(entry["type"] if entry["type"] != "supplement" else "statement",
                         entry["statement"])  # fmt: skip

    def has(self, root: str) -> bool:
        """Whether all bytes of a shard seem to be there."""
        if ("shard", root) not in self.spans:
            return False
        at, size, _ = self.spans["shard", root]
        if self.runs is None:
            path = self.path / "shards" / root[:2] / root
            return path.is_file() and path.stat().st_size == size
        return sum(length for _, length, _ in self._pieces(at, size)) == size

    def shard(self, root: str) -> bytes:
        """A shard's bytes: unsealed with its seat's key."""
        if self.key is None:
            raise SealRefused(f"the key of seat {self.seat} is needed (--seat-keys)")
        return unseal_shard(self.key, self.item("shard", root), bytes.fromhex(root))

    def item(self, kind: str, name: str) -> bytes:
        """An item's bytes, checked by size and hash."""
        at, size, digest = self.spans[kind, name]
        if self.runs is None:
            data = read_file(self.path / self._place(kind, name), kind)
        else:
            data = b"".join(self._read(run, skip, length) for run, length, skip in
                            self._pieces(at, size))  # fmt: skip
        if len(data) != size or sha256(data).hex() != digest:
            raise ShardCorrupt(f"bag {self.inventory['bag']}: {kind} {name}: not whole")
        return data

    def _place(self, kind: str, name: str) -> str:
        folders = {"charter": "charters", "annex": "annexes", "statement": "statements"}
        if kind in ("kit", "shard"):
            return f"KIT/{name}" if kind == "kit" else f"shards/{name[:2]}/{name}"
        return f"{folders.get(kind, 'records')}/{name}"

    def _pieces(self, at: int, size: int) -> Iterator[tuple[Run, int, int]]:
        """Where the content from `at` on stands: run, how much of it, from where in it."""
        end = at + size
        for run in self.runs or ():
            if run.start <= at < run.start + run.length and at < end:
                length = min(end, run.start + run.length) - at
                yield run, length, at - run.start
                at += length

    def _read(self, run: Run, skip: int, length: int) -> bytes:
        parts = []
        with run.path.open("rb") as stream:
            while length:
                number, inside = divmod(skip, BLOCK_DATA)
                stream.seek(run.place + number * BLOCK + BLOCK_HEAD + inside)
                parts.append(stream.read(min(length, BLOCK_DATA - inside)))
                if not parts[-1]:
                    break
                skip, length = skip + len(parts[-1]), length - len(parts[-1])
        return b"".join(parts)


def open_bags(paths: Iterable[Path]) -> list[Bag]:
    """Bags among these paths: folders, and volumes of streams, which are put together."""
    bags: list[Bag] = []
    streams: dict[tuple[bytes, bytes, int], Stream] = {}
    for path in paths:
        if (path / "exclave-bag.json").exists():
            inventory = check_inventory(read_file(path / "exclave-bag.json", "inventory"))
            bags.append(Bag(path, inventory, None, []))
        elif path.is_file():
            read_volume(path, streams)
    bags += [stream.bag() for stream in streams.values()]
    return [view for bag in bags for view in of_each_seat(bag)]


def of_each_seat(bag: Bag) -> Iterator[Bag]:
    """A bag of several seats counts as one of each (bag.md 6)."""
    for number in (bag.inventory["seat"], *bag.inventory["further"]):
        yield replace(bag, inventory={**bag.inventory, "seat": number})


@dataclass(slots=True)
class Stream:
    """Volumes of one bag while they are read."""

    paths: list[Path] = field(default_factory=list)
    parts: dict[int, bytes] = field(default_factory=dict)  # of the inventory
    size: int = 0
    runs: list[Run] = field(default_factory=list)
    volumes: set[int] = field(default_factory=set)
    content: int = 0  # bytes that it has in all
    damaged: int = 0
    ended: bool = False

    def take(self, block: Block, path: Path, place: int) -> None:
        """One good block at a place of a file."""
        self.volumes.add(block.volume)
        self.ended = self.ended or block.kind == 3
        if block.kind == 1:
            self.parts[block.offset], self.size = block.data, block.size
        if block.kind in (2, 3):
            self.content = block.size
        if block.kind != 2:
            return
        if self.runs:
            last = self.runs[-1]
            blocks = -(-last.length // BLOCK_DATA)
            goes_on = last.path == path and last.place + blocks * BLOCK == place
            if goes_on and last.start + blocks * BLOCK_DATA == block.offset:
                self.runs[-1] = replace(last, length=last.length + block.length)
                return
        self.runs.append(Run(block.offset, block.length, path, place))

    def bag(self) -> Bag:
        """The bag, as far as it is there."""
        data = b"".join(self.parts[at] for at in sorted(self.parts))
        if len(data) != self.size:
            raise NothingFound(f"{self.paths[0]}: no volume here has the whole inventory")
        problems = [] if self.ended else ["no end: the last volume is missing or torn"]
        if self.damaged:
            problems.append(f"{self.damaged} blocks are damaged")
        problems += [
            f"volume {n} is missing" for n in range(1, max(self.volumes)) if n not in self.volumes
        ][:100]
        self.runs.sort(key=lambda run: run.start)
        if lacking := self._lacking():
            problems.append(f"not whole: {lacking} bytes of the content are not there")
        return Bag(self.paths[0], check_inventory(data), self.runs, problems)

    def _lacking(self) -> int:
        """Bytes of the content that no good block has; the runs are in order."""
        lacking, end = 0, 0
        for run in self.runs:
            lacking += max(0, run.start - end)
            end = max(end, run.start + run.length)
        return lacking + max(0, self.content - end)


def read_volume(path: Path, streams: dict[tuple[bytes, bytes, int], Stream]) -> None:
    """Enter a volume's blocks with those of its bag."""
    damaged, place, stream = 0, 0, None
    with path.open("rb") as file:
        while raw := file.read(BLOCK):
            try:
                block = parse_block(raw)
                stream = streams.setdefault((block.mission, block.bag, block.seat), Stream())
                if path not in stream.paths:
                    stream.paths.append(path)
                stream.take(block, path, place)
                if block.kind == 3:
                    break
            except Malformed:
                damaged += len(raw) == BLOCK  # a medium need not be a row of whole blocks
            place += BLOCK
    if stream is None:
        raise NothingFound(f"{path}: no block of a bag in it")
    stream.damaged += damaged


KEY_FILE = {
    "kind": one_of("exclave-key"), "version": one_of(1), "purpose": one_of("vault"), "id": SLUG,
    "public": list_of(lambda v: isinstance(v, dict)), "secrets": is_base64,
    "protection": lambda v: isinstance(v, dict),
}  # fmt: skip
SCRYPT = {
    "method": one_of("scrypt"), "n": one_of(*(2**i for i in range(15, 21))), "r": one_of(8),
    "p": one_of(1), "salt": HASH, "nonce": hex_of(12),
}  # fmt: skip


def read_seat_key(path: Path) -> XWingKey:
    """The second key of a vault's or safe's key file."""
    return open_seat_key(
        read_file(path, "key file"), path, lambda: getpass.getpass(f"passphrase of {path}: ")
    )


def open_seat_key(data: bytes, path: object, ask: Callable[[], str]) -> XWingKey:
    """The same of its bytes (keyfiles.md)."""
    value = check_shape("key file", decode_json(data), KEY_FILE)
    secrets, how = decode_base64(value["secrets"]), value["protection"]
    if how != {"method": "none"}:
        how = check_shape("key file: protection", how, SCRYPT)
        text = unicodedata.normalize("NFKC", ask())
        key = hashlib.scrypt(
            text.encode(), salt=bytes.fromhex(how["salt"]), n=how["n"], r=8, p=1, dklen=32,
            maxmem=2**31 - 1,
        )  # fmt: skip
        rest = {name: item for name, item in value.items() if name != "secrets"}
        try:
            secrets = AESGCM(key).decrypt(
                bytes.fromhex(how["nonce"]), secrets, b"exclave/1/key-file\0" + encode_json(rest)
            )
        except InvalidTag:
            raise KeyRefused(f"{path}: wrong passphrase, or the file was altered") from None
    held = decode_json(secrets)
    keys = held.get("keys") if isinstance(held, dict) else None
    well_formed = list_of(shape({"alg": is_text, "seed": HASH}))
    if not isinstance(keys, list) or not well_formed(keys) or len(keys) < 2:
        raise Malformed(f"{path}: not the keys of a vault or safe")
    if keys[1]["alg"] != "x-wing":
        raise Malformed(f"{path}: its second key is not a seat's")
    seat_key = XWingKey.from_seed(bytes.fromhex(keys[1]["seed"]))
    public = base64.b64encode(seat_key.public()).decode()
    if value["public"][1:2] != [{"alg": "x-wing", "key": public}]:
        raise Malformed(f"{path}: its public keys are others")
    return seat_key


def give_seat_keys(mission: Mission, keys: Sequence[XWingKey]) -> None:
    """Each bag the key of its seat, by the public keys of the charters."""
    held = {key.public(): key for key in keys}
    for bag in mission.vaults:
        for envelope in mission.charters:
            for seat in envelope.body["seats"]:
                if isinstance(bag, Bag) and seat["seat"] == bag.seat:
                    bag.key = bag.key or held.get(decode_base64(seat["seat_key"]["key"]))


# ------------------------------------------------------------------ what folders and bags hold


def load_missions(folders: Iterable[Path]) -> list[Mission]:
    """Everything that the folders hold, checked as far as it goes without keys."""
    missions: dict[bytes, Mission] = {}
    paths = list(folders)
    for bag in open_bags(paths):
        missions.setdefault(bag.mission, Mission(bag.mission, [])).vaults.append(bag)
    for folder in paths:
        if not folder.is_dir() or (folder / "exclave-bag.json").exists():
            continue
        found = mission_folders(folder)
        if not found:
            raise NothingFound(f"{folder}: no mission in this folder")
        for path in found:
            vault = open_vault(path)
            missions.setdefault(vault.mission, Mission(vault.mission, [])).vaults.append(vault)
    for mission in missions.values():
        load_mission(mission)
    return list(missions.values())


def load_mission(mission: Mission) -> None:
    """Charters first, then log signatures, then records and supplements."""
    envelopes: dict[str, list[tuple[str, Envelope]]] = {}
    mission.vaults.sort(key=lambda v: -v.size)
    for vault in mission.vaults:
        for number, entry in enumerate(vault.entries):
            try:
                body = vault.body(entry)
                if entry["type"] not in FOLLOWED:  # notes, sealed bytes, orders
                    continue
                envelope = parse_envelope(body)
                if envelope.statement.hex() != entry["statement"]:
                    raise LogRefused("entry: names another statement than its body")
                name = entry["statement"]
                if entry["type"] in ("record", "lodged"):
                    mission.order.setdefault(name, number)
                if entry["type"] == "lodged":
                    mission.lodged.add(name)
                envelopes.setdefault(envelope.kind, []).append((name, envelope))
            except ReaderError as error:
                vault.problems.append(f"entry {number}: {error}")
    charters = (envelope for _, envelope in envelopes.get("charter", []))
    mission.charters, mission.problems = walk_charters(charters, mission.id)
    mission.problems += shared_orders(mission.charters)
    for vault in mission.vaults:
        if isinstance(vault, Vault):
            check_log_key(vault, mission)
    known = {envelope.statement.hex(): envelope.body for envelope in mission.charters}
    for name, envelope in envelopes.get("record", []):
        with named_problem(mission, f"record {name}"):
            if name not in mission.records:
                mission.records[name] = verify_record(envelope, known, mission.id)
    for name, envelope in envelopes.get("supplement", []):
        with named_problem(mission, f"supplement {name}"):
            add_supplement(mission, envelope)
    for name, envelope in envelopes.get("attestation", []):
        with named_problem(mission, f"attestation {name}"):
            sealed = verify_attestation(envelope, mission)
            mission.attestations.setdefault(sealed["certificate"], sealed)


class named_problem(suppress):
    """Turns a refusal into a named problem of a mission and goes on."""

    def __init__(self, mission: Mission, what: str) -> None:
        super().__init__(ReaderError)
        self._mission, self._what = mission, what

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        swallowed = super().__exit__(kind, error, trace)
        if swallowed and error is not None:
            self._mission.problems.append(f"{self._what}: {error}")
        return bool(swallowed)


def check_log_key(vault: Vault, mission: Mission) -> None:
    """The checkpoint's signature, against the log key that any charter of the chain seats there."""
    for envelope in reversed(mission.charters):
        for seat in envelope.body["seats"]:
            if seat["seat"] == vault.seat:
                key = decode_base64(seat["log_key"]["key"])
                with named_problem(mission, f"log of seat {vault.seat}"):
                    verify_checkpoint(vault.note, vault.checkpoint.origin, key)
                return
    mission.problems.append(f"log of seat {vault.seat}: no charter has this seat")


def add_supplement(mission: Mission, envelope: Envelope) -> None:
    """Shard roots of a seat that joined later, signed by its log key (records.md 4)."""
    body = check_shape("supplement", envelope.body, SUPPLEMENT)
    keys = [s["log_key"] for s in mission.charter["seats"] if s["seat"] == body["seat"]]
    if body["mission"] != mission.id.hex() or not keys or not verify_signers(envelope, keys):
        raise SignatureRefused("not signed by the log key of its seat")
    if not ascending([pack for pack, _ in body["shards"]]):
        raise Malformed("packs do not ascend")
    for pack, root in body["shards"]:
        held = mission.supplements.setdefault(pack, [])
        if (body["seat"], root) not in held:
            held.append((body["seat"], root))


def chain_start(mission: Mission, statement: str) -> str:
    """The first record of a depositor's chain, as far back as is known."""
    while (record := mission.records[statement])["sequence"] > 1:
        if record["previous"] not in mission.records:
            break
        statement = record["previous"]
    return statement


def forks(mission: Mission) -> list[str]:
    """Records of one depositor and sequence with different payloads, lodged at different ends."""
    seen: dict[tuple[str, str, int], list[str]] = {}
    for name, record in mission.records.items():
        start = chain_start(mission, name) if record["sequence"] > 1 else ""
        seen.setdefault((record["depositor"], start, record["sequence"]), []).append(name)
    return [f"fork: {', '.join(sorted(n))}" for n in seen.values() if len(n) > 1]


def reconstructable(mission: Mission, statement: str) -> tuple[list[int], bool]:
    """Seats that hold all of a deposit, and whether each live pack has k shards here."""
    live = mission.live(statement)
    enough = all(
        sum(any(v.has(r) for v in mission.vaults) for _, r in mission.shards(p)) >= p["k"]
        for p in live.values()
    )
    return mission.holders(live), enough


def choose_deposit(mission: Mission, wanted: str | None) -> str:
    """The newest deposit that can be reconstructed (records.md 5), or the wanted one."""
    names = list(mission.records)
    if wanted is not None:
        names = [name for name in names if mission.records[name]["deposit"].startswith(wanted)]
        if len(names) != 1:
            raise NothingFound(f"deposit {wanted}: expected one, got {len(names)}")
        return names[0]
    possible = []
    for name in names:
        with suppress(RecordRefused):
            if reconstructable(mission, name)[1]:
                possible.append(name)
    possible = [name for name in possible if name in mission.lodged] or possible
    if not possible:
        raise NothingFound("deposits: none has k shards of every live pack in these folders")
    return max(
        possible,
        key=lambda n: (mission.order[chain_start(mission, n)], mission.records[n]["sequence"]),
    )


# ------------------------------------------------------------------ opening packs of a deposit


class PackStore:
    """Opens packs and gives out chunks; keeps the last few packs in memory."""

    KEPT = 3  # of at most 64 MiB each

    def __init__(
        self, mission: Mission, live: dict[str, Json], record: Json, keys: dict[int, XWingKey]
    ) -> None:
        self._mission, self._live, self._record, self._keys = mission, live, record, keys
        self._secrets: dict[bytes, bytes] = {}
        self._open: OrderedDict[str, tuple[bytearray, PackDirectory]] = OrderedDict()
        self.data_packs: list[str] = []
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Name what was wrong but could be got round, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def pack(self, root: str) -> tuple[bytearray, PackDirectory]:
        """Plaintext and directory of a live pack."""
        if root in self._open:
            self._open.move_to_end(root)
            return self._open[root]
        if root not in self._live:
            raise StreamRefused(f"pack {root}: not in the live set of the deposit")
        while len(self._open) >= self.KEPT:
            self._open.popitem(last=False)
        described = self._live[root]
        sealed, shards = self._rebuild(described)
        plain = self._unseal(described, sealed, shards)
        self._open[root] = plain, parse_directory(plain, sealed[10])
        return self._open[root]

    def _usable(self, pack: Json) -> Iterator[Shard]:
        wanted = (pack["k"], self._mission.id.hex(), pack["root"], pack["length"])
        for seat, root in sorted(self._mission.shards(pack)):
            for vault in self._mission.vaults:
                if vault.seat != seat or not vault.has(root):
                    continue
                try:
                    shard = parse_shard(vault.shard(root), bytes.fromhex(root))
                    found = (shard.k, shard.mission.hex(), shard.pack_root.hex(), shard.length)
                    if found != wanted or shard.seat != seat:
                        raise ShardCorrupt("shard: its header is not what the record says")
                    yield shard
                    break
                except (ReaderError, OSError) as error:
                    self.warn(f"seat {seat}: {vault.path}: shard {root}: {error}")

    def _rebuild(self, pack: Json) -> tuple[bytes, list[Shard]]:
        shards: list[Shard] = []
        for shard in self._usable(pack):
            if shard.seat in {held.seat for held in shards}:
                continue
            shards.append(shard)
            if len(shards) < pack["k"]:
                continue
            with suppress(ShardsDisagree):
                sealed, disagreed = rebuild_pack(shards)
                for text in disagreed:
                    self.warn(text)
                return sealed, shards
        if len(shards) < pack["k"]:
            raise TooFewShards(
                f"pack {pack['root']}: {pack['k']} shards are needed, {len(shards)} are usable"
            )
        raise ShardsDisagree(f"pack {pack['root']}: no {pack['k']} of its shards rebuild it")

    def _unseal(self, pack: Json, sealed: bytes, shards: list[Shard]) -> bytearray:
        header = parse_pack_header(sealed)
        kind = "data" if header.kind == 1 else "manifest"
        if (kind, header.k, header.mission) != (pack["kind"], pack["k"], self._mission.id):
            raise PackRefused(f"pack {pack['root']}: header and record differ")
        if header.epoch != self._record["epoch"]:
            raise PackRefused(f"pack {pack['root']}: of epoch {header.epoch}")
        if sha256(header.sealed_secret).hex() != pack["secret"]:
            raise PackRefused(f"pack {pack['root']}: holds another sealed secret than recorded")
        secret = self._secret(header)
        held = [(shard.seat, shard.veil_share) for shard in shards]
        # More shares than those of the first k seats are used only when some share is wrong.
        more = ((s.seat, s.veil_share) for s in self._usable(pack))
        for shares in (held, list(dict(itertools.chain(held, more)).items())):
            for chosen in itertools.islice(itertools.combinations(shares, header.k), 5000):
                veil = join_veil(header.k, chosen)
                if veil_fits(sealed, secret, veil):
                    return open_pack(sealed, secret, veil)
                self.warn(
                    f"pack {pack['root']}: veil shares of seats {[s for s, _ in chosen]} do not fit"
                )
        raise PackRefused(f"pack {pack['root']}: secret and veil do not open it")

    def _secret(self, header: PackHeader) -> bytes:
        name = sha256(header.sealed_secret)
        if name not in self._secrets:
            key = self._keys.get(header.epoch)
            if key is None:
                raise KeyCheckFailed(f"epoch {header.epoch}: the cards of this epoch are needed")
            if key_hash(key.public()) != header.key_hash:
                raise KeyCheckFailed(f"epoch {header.epoch}: the pack names another recovery key")
            info = deposit_secret_info(
                header.mission, header.deposit, header.epoch, header.key_hash
            )
            self._secrets[name] = open_32(key, header.sealed_secret, info)
        return self._secrets[name]

    def fetch(self, ref: Ref, role: int, kind: int) -> bytes:
        """The chunk that a reference names, of a role and in a pack of a kind."""
        number, offset, stored, plain, codec = ref
        if (number < 2**31) != (kind == 1):
            raise StreamRefused("reference: leads to a pack of the wrong kind")
        packs = self.data_packs if kind == 1 else self._record["manifest_packs"]
        if number % 2**31 >= len(packs):
            raise StreamRefused(f"reference: there is no pack {number}")
        data, directory = self.pack(packs[number % 2**31])
        if directory.entries.get((offset, stored, plain, codec)) != role:
            raise StreamRefused("reference: names no chunk of this role in its pack")
        return decode_chunk(bytes(data[offset : offset + stored]), plain, codec)

    def manifest(self) -> tuple[bytes, Json]:
        """The manifest root, checked against the record."""
        data, directory = self.pack(self._record["manifest_packs"][-1])
        (offset, stored, plain, codec), role = list(directory.entries.items())[-1]
        if role != 2:
            raise StreamRefused("manifest: the last chunk of the last pack is no manifest root")
        text = decode_chunk(bytes(data[offset : offset + stored]), plain, codec)
        manifest = check_manifest(text)
        for name in ("deposit", "mission", "epoch"):
            if manifest[name] != self._record[name]:
                raise Malformed(f"manifest: {name} is not that of the record")
        self.data_packs = [root.hex() for root in pieces(decode_base64(manifest["packs"]), 32)]
        live = {root for root, pack in self._live.items() if pack["kind"] == "data"}
        if set(self.data_packs) != live:
            raise Malformed("manifest: its data packs are not those of the record")
        return text, manifest


# ------------------------------------------------------------------ archive.md 9: writing it out


def safe_name(text: str, number: int) -> str:
    """A file name that no text can turn into a path."""
    return f"{number:04d}-{re.sub(r'[^A-Za-z0-9._-]', '_', text)[:80]}"


@dataclass(slots=True)
class Verdict:
    """What was compared in one register."""

    register: str
    title: str
    lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def say(self, what: str, problems: Sequence[str], good: str) -> None:
        """One object's result."""
        self.lines.append(f"  {'FAILED ' if problems else 'equal  '} {what}: {good}")
        self.failures += [f"{what}: {problem}" for problem in problems]


@dataclass(slots=True)
class Extraction:
    """Writes one register into a folder of its own."""

    store: PackStore
    folder: Path
    verdict: Verdict
    parts: dict[str, list[str]] = field(default_factory=dict)  # database -> lines of load.sql
    number: int = 0

    def chunks(self, stream: Json, kind: int = 2) -> Iterator[bytes]:
        """Chunks of a stream; manifest packs unless said otherwise."""
        return stream_chunks(stream, kind, self.store.fetch)

    def write(self, name: str, stream: Json, kind: int = 2) -> None:
        """A stream as a file."""
        with new_file(self.folder / name) as file:
            for chunk in self.chunks(stream, kind):
                file.write(chunk)

    def next_name(self, text: str) -> str:
        """A distinct safe name."""
        self.number += 1
        return safe_name(text, self.number)

    def extract(self, register: Json) -> None:
        """Everything of a register; a failing object is named and the others go on."""
        self.folder.mkdir()
        (self.folder / "register.json").write_bytes(encode_json(facts_of(register)))
        if register["runbook"] is not None:
            with self._named("runbook"):
                self.write("RUNBOOK", register["runbook"])
        if register["artefacts"] is not None:
            with self._named("artefacts"):
                self.files_tree(register["artefacts"], "artefacts")
        for source in register["sources"]:
            if len(register["sources"]) == 1:
                self.source(source)
            else:  # each in a folder of its own
                folder = self.folder / f"source-{source['name']}"
                folder.mkdir()
                Extraction(self.store, folder, self.verdict).source(source)

    def source(self, source: Json) -> None:
        """Everything of one source."""
        for item in sorted(source["objects"], key=load_order):
            with self._named(f"{item['type']} {object_name(item)}"):
                self.one(item)
        if source["kind"] == "postgresql":
            self.write_load()

    def _named(self, what: str) -> failed_object:
        return failed_object(self.verdict, what)

    def one(self, item: Json) -> None:
        """One object, by its type."""
        match item["type"]:
            case "pg.globals":
                self.write("globals.sql", item["sql"])
            case "pg.database":
                self.database(item)
            case "pg.schema":
                name = self.next_name(f"{item['database']}.{item['section']}") + ".sql"
                self.write(name, item["sql"])
                self._part(item["database"]).append(f"\\i {name}")
            case "pg.table":
                self.table(item)
            case "pg.sequence":
                self._part(item["database"]).append(setval(item))
            case "pg.largeobjects":
                self.large_objects(item)
            case "sqlite.database":
                self.sqlite(item)
            case "files.tree":
                self.files_tree(item, self.next_name(item["name"]))
            case "command.output":
                _, problems = self.whole_file(item)
                self.verdict.say(f"output {item['file']}", problems, f"{item['size']} bytes")

    def _part(self, database: str) -> list[str]:
        return self.parts.setdefault(database, [])

    # PostgreSQL

    def database(self, item: Json) -> None:
        """Creation, settings and session of one database."""
        name = self.next_name(item["database"]) + ".settings.sql"
        self.write(name, item["settings"])
        lines = self._part(item["database"])
        lines += [f"-- extension {quote_comment(' '.join(e))}" for e in item["extensions"]]
        if item["database"] not in ("postgres", "template1"):
            lines.append(
                f"CREATE DATABASE {quote_name(item['database'])} TEMPLATE template0"
                f" ENCODING {quote_text(item['encoding'])} LC_COLLATE {quote_text(item['collate'])}"
                f" LC_CTYPE {quote_text(item['ctype'])} OWNER {quote_name(item['owner'])};"
            )
        if item["comment"] is not None:
            comment = quote_text(item["comment"])
            lines.append(f"COMMENT ON DATABASE {quote_name(item['database'])} IS {comment};")
        lines += [f"\\i {name}", *session(item["database"])]

    def table(self, item: Json) -> None:
        """COPY data with its row tree; the line of load.sql that loads it."""
        what = f"{item['database']}.{item['schema']}.{item['name']}"
        name = self.next_name(f"{item['schema']}.{item['name']}") + ".copy"
        proof = RowProof(self.folder)
        quoted = f"{quote_name(item['schema'])}.{quote_name(item['name'])}"
        columns = ", ".join(quote_name(column) for column, _ in item["columns"])
        with new_file(self.folder / name) as file:
            for chunk in self.chunks(item["data"], 1):
                file.write(chunk)
                proof.update(chunk)
        if columns and not re.search(r"[\r\n]", quoted + columns):
            line = f"\\copy {quoted} ({columns}) from {quote_text(name)}"
        else:  # \copy is one line, and does not know an empty list of columns
            columns = f" ({columns})" if columns else ""
            (self.folder / f"{name}.sql").write_text(f"COPY {quoted}{columns} FROM STDIN;\n")
            append_file(self.folder / f"{name}.sql", self.folder / name, b"\\.\n")
            line = f"\\i {name}.sql"
        self._part(item["database"]).append(line)
        problems = check_rows(proof, item, Cursor(self.chunks(item["groups"])))
        self.verdict.say(f"table {what}", problems, f"{proof.rows} rows")

    def large_objects(self, item: Json) -> None:
        """A script that creates each large object under its own oid."""
        name = self.next_name(f"{item['database']}.largeobjects") + ".sql"
        content, tree, problems = Cursor(self.chunks(item["content"], 1)), Tree(), []
        with new_file(self.folder / name) as file:
            file.write(b"BEGIN;\n")
            for entry in large_objects(Cursor(self.chunks(item["entries"])), tree):
                file.write(b"SELECT pg_catalog.lo_create(%d);\n" % entry.oid)
                digest, at = blake3(), 0
                while at < entry.size:
                    part = content.take(min(65536, entry.size - at))
                    digest.update(part)
                    line = f"SELECT pg_catalog.lo_put({entry.oid}, {at}, '\\x{part.hex()}');\n"
                    file.write(line.encode())
                    at += len(part)
                if digest.digest() != entry.blake3:
                    problems.append(f"large object {entry.oid}: content differs")
                file.write(owner_and_grants(entry).encode())
            file.write(b"COMMIT;\n")
        self._part(item["database"]).append(f"\\i {name}")
        if not content.at_end():
            problems.append("content is longer than its entries say")
        problems += differs("root", item["root"], tree.root().hex())
        problems += differs("count", item["count"], tree.size)
        self.verdict.say(f"large objects of {item['database']}", problems, f"{tree.size} objects")

    def write_load(self) -> None:
        """load.sql: everything in the order of archive.md 9."""
        lines = [
            "-- Loads this register into an empty server. From inside this folder:",
            "--     psql -X -d postgres -f load.sql",
            "\\set ON_ERROR_STOP off",
            "-- Roles that exist already are reported here and are no harm.",
        ]
        if (self.folder / "globals.sql").is_file():
            lines.append("\\i globals.sql")
        lines.append("\\set ON_ERROR_STOP on")
        for database, part in self.parts.items():
            lines += [connect("postgres"), f"-- database {quote_comment(database)}", *part]
            # A later database starts from a clean session whatever this one set.
        (self.folder / "load.sql").write_text("\n".join(lines) + "\n", encoding="utf-8")

    # SQLite, files and output of commands

    def whole_file(self, item: Json) -> tuple[Path, list[str]]:
        """An object that is one file: where it lies now, and how it differs."""
        plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,80}", item["file"])
        name = item["file"] if plain else self.next_name(item["file"])
        digest, size = blake3(), 0
        with new_file(self.folder / name) as file:
            for chunk in self.chunks(item["data"], 1):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        problems = differs("blake3", item["blake3"], digest.hexdigest())
        return self.folder / name, problems + differs("size", item["size"], size)

    def sqlite(self, item: Json) -> None:
        """The database file; its hash, size and row counts."""
        path, problems = self.whole_file(item)
        problems = problems or sqlite_counts(path, item["tables"])
        self.verdict.say(f"sqlite {item['file']}", problems, f"{item['size']} bytes, row counts")

    def files_tree(self, item: Json, name: str) -> None:
        """A file tree with its attributes."""
        tree, writer = Tree(), TreeWriter(os.fsencode(self.folder / name), self.verdict)
        content, problems = Cursor(self.chunks(item["content"], 1)), []
        for entry in file_entries(Cursor(self.chunks(item["entries"])), tree):
            problems += writer.write(entry, content)
        writer.finish()
        if not content.at_end():
            problems.append("content is longer than its entries say")
        problems += differs("tree root", item["tree_root"], tree.root().hex())
        problems += differs("count", item["count"], tree.size)
        self.verdict.say(f"files {item['name']}", problems, f"{tree.size} entries")


def facts_of(register: Json) -> Json:
    """A register without what is written beside it."""
    sources = [
        {key: value for key, value in source.items() if key != "objects"}
        for source in register["sources"]
    ]
    facts = {k: v for k, v in register.items() if k not in ("artefacts", "runbook")}
    return facts | {"sources": sources}


class failed_object(suppress):
    """Names an object that could not be written, and lets the others go on."""

    def __init__(self, verdict: Verdict, what: str) -> None:
        super().__init__(ReaderError, OSError, sqlite3.Error)
        self._verdict, self._what = verdict, what

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        swallowed = super().__exit__(kind, error, trace)
        if swallowed and error is not None:
            self._verdict.say(self._what, [f"{type(error).__name__}: {error}"], "not read")
        return bool(swallowed)


def load_order(item: Json) -> tuple[int, str]:
    """Globals, database, pre-data, data, sequences, large objects, post-data (archive.md 9)."""
    kinds = ["pg.globals", "pg.database", "pg.table", "pg.sequence", "pg.largeobjects"]
    place = {kind: 2 * number for number, kind in enumerate(kinds)}
    if item["type"] == "pg.schema":
        return (3 if item["section"] == "pre-data" else 99), item["database"]
    return place.get(item["type"], 100), str(item.get("database", ""))


def object_name(item: Json) -> str:
    """What a person would call it."""
    names = ("database", "section", "schema", "name", "file")
    return ".".join(str(item[name]) for name in names if name in item)


def differs(what: str, expected: Json, got: Json) -> list[str]:
    """A difference, if there is one."""
    return [] if expected == got else [f"{what}: expected {expected}, got {got}"]


def new_file(path: Path) -> BinaryIO:
    """A file that did not exist, for this user only."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def append_file(path: Path, source: Path, end: bytes) -> None:
    """Append a file and some bytes."""
    with path.open("ab") as out, source.open("rb") as data:
        shutil.copyfileobj(data, out)
        out.write(end)


def quote_name(name: str) -> str:
    """SQL identifier."""
    if "\0" in name:
        raise EntryRefused("name: holds NUL")
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """SQL literal under standard_conforming_strings."""
    return "'" + text.replace("'", "''") + "'"


def quote_comment(text: str) -> str:
    """Text that cannot leave a comment's line."""
    return repr(text)


def connect(database: str) -> str:
    r"""psql's \connect by a connection string, so that no name is taken for one."""
    if re.search(r"[\r\n\0]", database):
        raise EntryRefused(f"database {database!r}: psql cannot connect to such a name")
    value = database.replace("\\", "\\\\").replace("'", "\\'")
    return "\\connect -reuse-previous=on " + quote_name(f"dbname='{value}'")


def session(database: str) -> list[str]:
    """Connects and pins what COPY's text depends on (archive.md 6)."""
    pinned = {
        "client_encoding": "UTF8", "standard_conforming_strings": "on", "TimeZone": "UTC",
        "DateStyle": "ISO", "IntervalStyle": "iso_8601", "lc_monetary": "C",
        "xmlbinary": "base64", "xmloption": "content", "row_security": "off",
        "statement_timeout": "0", "lock_timeout": "0", "check_function_bodies": "off",
        "client_min_messages": "warning",
    }  # fmt: skip
    read_write = "SET default_transaction_read_only = off;"
    return [connect(database), "\\encoding UTF8", read_write] + [
        f"SET {name} = {quote_text(value)};" for name, value in pinned.items()
    ]


def setval(item: Json) -> str:
    """Puts a sequence where it was."""
    name = quote_text(f"{quote_name(item['schema'])}.{quote_name(item['name'])}")
    called = str(item["is_called"]).lower()
    return f"SELECT pg_catalog.setval({name}, {item['last_value']}, {called});"


def owner_and_grants(entry: LargeObject) -> str:
    """Owner and privileges of a large object, from the ACL as PostgreSQL prints it."""
    lines = [f"ALTER LARGE OBJECT {entry.oid} OWNER TO {quote_name(entry.owner)};"]
    if entry.acl:
        target = f"ON LARGE OBJECT {entry.oid}"
        lines.append(f"REVOKE ALL {target} FROM {quote_name(entry.owner)};")
        for grantee, privileges in parse_acl(entry.acl):
            to = quote_name(grantee) if grantee else "PUBLIC"
            for letter, star in re.findall(r"([a-zA-Z])(\*?)", privileges):
                verb = {"r": "SELECT", "w": "UPDATE"}.get(letter)
                if verb is None:
                    raise EntryRefused(f"large object {entry.oid}: privilege {letter} is unknown")
                option = " WITH GRANT OPTION" if star else ""
                lines.append(f"GRANT {verb} {target} TO {to}{option};")
    return "\n".join(lines) + "\n"


def parse_acl(text: str) -> Iterator[tuple[str, str]]:
    """Grantee and privileges of each item of an aclitem[] as text."""
    if not (text.startswith("{") and text.endswith("}")):
        raise EntryRefused("acl: expected {...}")
    item = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|([^",]*))(?:,|$)', re.DOTALL)
    at, inner = 0, text[1:-1]
    while at < len(inner):
        match = item.match(inner, at)
        if match is None or match.end() == at:
            raise EntryRefused("acl: not an array")
        at = match.end()
        plain = re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]
        form = re.fullmatch(r'(?:"((?:[^"]|"")*)"|([^"=]*))=([a-zA-Z*]*)/.*', plain, re.DOTALL)
        if form is None:
            raise EntryRefused("acl: an item is not grantee=privileges/grantor")
        yield (form[2] if form[1] is None else form[1].replace('""', '"')), form[3]


def sqlite_counts(path: Path, tables: list[list[Json]]) -> list[str]:
    """Row counts of a SQLite file, opened read-only and unchangeable."""
    problems = []
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        for name, rows in tables:
            query = f"SELECT count(*) FROM {quote_name(name)}"  # noqa: S608  quoted
            problems += differs(f"table {name}", rows, connection.execute(query).fetchone()[0])
    except sqlite3.Error as error:
        problems.append(f"sqlite: {error}")
    finally:
        connection.close()
    return problems


class TreeWriter:
    """Writes a file tree below a new folder. `file_entries` has checked that no path leaves it."""

    ZEROS = bytes(1 << 20)

    def __init__(self, top: bytes, verdict: Verdict) -> None:
        self._top, self._verdict = top, verdict
        self._folders: list[FileEntry] = []

    def _path(self, relative: bytes) -> bytes:
        return self._top + b"/" + relative if relative else self._top

    def write(self, entry: FileEntry, content: Cursor) -> list[str]:
        """One entry; returns differences. Content is consumed even when it cannot be written."""
        path = self._path(entry.path)
        if entry.type == REGULAR:
            problems = self._regular(path, entry, content)
        else:
            try:
                self._special(path, entry)
                problems = []
            except OSError as error:
                problems = [f"{entry.path!r}: not written: {error}"]
        if entry.type == FOLDER:
            self._folders.append(entry)  # modes later: a read-only folder takes no files
        elif entry.type != HARDLINK and not problems:
            self._attributes(path, entry)
        return problems

    def _special(self, path: bytes, entry: FileEntry) -> None:
        match entry.type:
            case 2:
                os.mkdir(path, 0o700)  # noqa: PTH102  names are bytes here and below
            case 3:
                os.symlink(entry.target, path)  # noqa: PTH211
            case 4:
                os.link(self._path(entry.target), path, follow_symlinks=False)
            case 5:
                os.mkfifo(path, 0o600)

    def _regular(self, path: bytes, entry: FileEntry, content: Cursor) -> list[str]:
        digest, at, problems = blake3(), 0, []
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            target = os.open(path, flags, 0o600)
        except OSError as error:  # the content must be read past all the same
            problems.append(f"{entry.path!r}: not written: {error}")
            target = os.memfd_create("unwritable")
        with os.fdopen(target, "wb") as file:
            for offset, length in entry.extents:
                self._hash_zeros(digest, offset - at)
                file.seek(offset)
                for part in content.parts(length):
                    digest.update(part)
                    file.write(part)
                at = offset + length
            file.truncate(entry.size)
        self._hash_zeros(digest, entry.size - at)
        same = digest.digest() == entry.blake3
        return problems + ([] if same else [f"{entry.path!r}: content differs"])

    def _hash_zeros(self, digest: Any, count: int) -> None:
        while count:
            part = min(count, len(self.ZEROS))
            digest.update(self.ZEROS[:part])
            count -= part

    def _attributes(self, path: bytes, entry: FileEntry) -> None:
        link = entry.type == SYMLINK
        for name, value in entry.xattrs:
            setter = functools.partial(os.setxattr, path, name, value, follow_symlinks=False)
            self._try(entry, name, setter)
        if os.geteuid() == 0:
            self._try(entry, b"owner", lambda: os.chown(
                path, entry.uid, entry.gid, follow_symlinks=False))  # fmt: skip
        if not link:  # after chown, which clears set-id bits; a link has no mode of its own
            self._try(entry, b"mode", lambda: os.chmod(path, entry.mode))  # noqa: PTH101
        times = (entry.mtime_ns, entry.mtime_ns)
        self._try(entry, b"time", lambda: os.utime(path, ns=times, follow_symlinks=False))

    def _try(self, entry: FileEntry, what: bytes, action: Callable[[], None]) -> None:
        try:
            action()
        except (OSError, OverflowError) as error:
            self._verdict.lines.append(f"  note    {entry.path!r}: {what!r} not set: {error}")

    def finish(self) -> None:
        """Folders' attributes, deepest first."""
        for entry in reversed(self._folders):
            self._attributes(self._path(entry.path), entry)


# ------------------------------------------------------------------ printed.md: sheets

SHEET_LINE = re.compile(r"EXCLAVE1/([0-9A-F]{64})/([1-9][0-9]?)/([1-9][0-9]?)/([A-Z2-7]+)")


def join_sheet(lines: Iterable[str]) -> bytes:
    """printed.md 2: the file whose symbols' texts these are."""
    heads: set[tuple[str, str]] = set()
    parts: dict[int, bytes] = {}
    for line in filter(None, map(str.strip, lines)):
        match = SHEET_LINE.fullmatch(line)
        if match is None or int(match[2]) > int(match[3]):
            raise Malformed("sheet: a line that is no part, or a piece of one")
        text = match[4]
        try:
            part = base64.b32decode(text + "=" * (-len(text) % 8))
        except ValueError:
            raise Malformed(f"sheet: part {match[2]} is not whole") from None
        if base64.b32encode(part).decode().rstrip("=") != text:
            raise Malformed(f"sheet: part {match[2]} has other last bits than zeros")
        heads.add((match[1], match[3]))
        if len(heads) > 1 or parts.setdefault(int(match[2]), part) != part:
            raise Malformed("sheet: parts of several files, or one part twice and different")
    if not heads:
        raise Malformed("sheet: no part")
    ((name, total),) = heads
    missing = sorted(set(range(1, int(total) + 1)) - parts.keys())
    if missing:
        raise Malformed(f"sheet: parts {missing} of {total} are missing")
    stream = zlib.decompressobj()
    try:
        file = stream.decompress(b"".join(parts[number] for number in sorted(parts)), 4 * 2**20)
    except zlib.error:
        raise Malformed("sheet: no zlib stream") from None
    if not stream.eof or stream.unused_data:
        raise Malformed("sheet: not one whole zlib stream of at most 4 MiB")
    if hashlib.sha256(file).hexdigest().upper() != name:
        raise Malformed("sheet: not the file that is named")
    return file


def sheet_command(args: argparse.Namespace) -> int:
    """Make a file again from the texts of its symbols."""
    file = join_sheet(args.texts.read_text(encoding="ascii").splitlines())
    with args.out.open("xb") as out:
        out.write(file)
    print(f"{args.out}: {len(file)} bytes")
    return 0


# ------------------------------------------------------------------ commands


def pick_mission(missions: list[Mission], wanted: str | None) -> Mission:
    """The only mission, or the wanted one."""
    chosen = [m for m in missions if wanted is None or m.id.hex().startswith(wanted)]
    if len(chosen) != 1:
        names = ", ".join(m.id.hex() for m in missions)
        raise NothingFound(f"mission: expected one, got {len(chosen)} of: {names}")
    return chosen[0]


def print_mission(mission: Mission) -> bool:
    """What the folders hold of a mission; True when nothing was wrong."""
    state = mission.charter["state"]
    print(f"mission {mission.id.hex()} checksum {card_checksum(mission.id)}")
    print(f"  state {state['code']} {state['name']!r}, compare both numbers with a card")
    for envelope in mission.charters:
        body = envelope.body
        spread = body["dispersal"]
        print(
            f"  charter era {body['era']} version {body['version']} {envelope.statement.hex()}:"
            f" any {spread['k']} of {spread['n']} vaults"
        )
    for epoch in mission.charter["recovery"]:
        groups = "; ".join(
            f"{g['name']!r} {g['threshold']}/{g['members']}" for g in epoch["groups"]
        )
        print(f"  epoch {epoch['epoch']}: {epoch['group_threshold']} groups of: {groups}")
    for vault in mission.vaults:
        print(f"  seat {vault.seat}: {vault.what}, {vault.path}")
    statements = sorted(mission.records, key=lambda name: mission.order[name])
    for name in statements:
        print_deposit(mission, name)
    if mission.attestations:
        alone = sum(not value["sealed"] for value in mission.attestations.values())
        count = len(mission.attestations) - alone
        print(f"  {count} certificates, sealed: `extract` opens them; {alone} by their hash alone")
    problems = mission.problems + forks(mission)
    problems += [f"seat {v.seat}: {text}" for v in mission.vaults for text in v.problems]
    for text in problems:
        print(f"  PROBLEM {text}")
    return not problems


def print_deposit(mission: Mission, name: str) -> None:
    """One deposit and whether it can be brought back."""
    record = mission.records[name]
    line = f"  deposit {record['deposit']} {record['depositor']} #{record['sequence']}"
    line += f" claims {record['claimed_time']}"
    try:
        live = mission.live(name)
        seats, enough = reconstructable(mission, name)
        size = sum(pack["length"] for pack in live.values())
        line += f": {len(live)} packs, {size} bytes, whole at seats {seats}"
        line += "" if name in mission.lodged else ", not lodged"
        line += "" if enough else ", NOT ENOUGH SHARDS HERE"
    except ReaderError as error:
        line += f": PROBLEM {error}"
    print(line)


def list_command(args: argparse.Namespace) -> int:
    """`list`."""
    results = [print_mission(mission) for mission in load_missions(args.folders)]
    return 0 if all(results) else 1


def read_cards(paths: Sequence[Path] | None) -> list[Card]:
    """Cards from files, or from standard input."""
    if paths:
        texts = [read_file(path, "card").decode("utf-8", "replace") for path in paths]
    else:
        print("type or paste the cards, then end the input (Ctrl-D):", file=sys.stderr)
        texts = [sys.stdin.read()]
    return [card for text in texts for card in parse_cards(text)]


def extract_command(args: argparse.Namespace) -> int:
    """`extract`."""
    mission = pick_mission(load_missions(args.folders), args.mission)
    statement = choose_deposit(mission, args.deposit)
    record, live = mission.records[statement], mission.live(statement)
    epochs = mission.charter_of(record)["recovery"]
    keys = recover_keys(read_cards(args.cards), epochs, mission.id)
    give_seat_keys(mission, [read_seat_key(path) for path in args.seat_keys or ()])
    store = PackStore(mission, live, record, keys)
    text, manifest = store.manifest()
    registers = [r for r in manifest["registers"] if args.register in (None, r["id"])]
    if not registers and (args.register or manifest["registers"]):
        raise NothingFound(f"register {args.register}: not in the deposit")
    args.out.mkdir(mode=0o700)  # refuses a folder that exists
    (args.out / "manifest.json").write_bytes(text)
    top = Extraction(store, args.out, Verdict("plan", ""))
    with failed_object(top.verdict, "plan"):
        top.write("registers.toml", manifest["plan"])
    verdicts = [top.verdict]
    for register in registers:
        verdict = Verdict(register["id"], register["title"])
        Extraction(store, args.out / f"register-{register['id']}", verdict).extract(register)
        verdicts.append(verdict)
    problems = mission.problems + [t for v in mission.vaults for t in v.problems] + store.warnings
    shown = list(write_certificates(mission, keys, args.out / "certificates", problems))
    report = verdict_text(mission, record, verdicts, problems, shown)
    (args.out / "VERDICT.txt").write_text(report, encoding="utf-8")
    print(report, end="")
    return 1 if any(v.failures for v in verdicts) else 0


def write_certificates(
    mission: Mission, keys: dict[int, XWingKey], folder: Path, problems: list[str]
) -> Iterator[str]:
    """Every certificate that these cards open, each in a file; a line for each."""
    for name, value in sorted(mission.attestations.items(), key=lambda item: item[1]["time"]):
        if not value["sealed"]:
            yield f"certificate {name}: its hash alone was logged, {value['time']}"
        if value["epoch"] not in keys or not value["sealed"]:
            continue
        try:
            envelope, data = open_attested(value, keys[value["epoch"]])
            body = check_results(envelope.kind, envelope.body)
        except ReaderError as error:
            problems.append(f"certificate {name}: {error}")
            continue
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"{envelope.kind}-{name}.json").write_bytes(data)
        said = "passed" if body["passed"] else "NOT PASSED"
        yield f"certificate {envelope.kind} {name}: {said}, ended {body['ended']}"


def verdict_text(
    mission: Mission,
    record: Json,
    verdicts: Sequence[Verdict],
    problems: Sequence[str],
    certificates: Sequence[str] = (),
) -> str:
    """What VERDICT.txt says."""
    lines = [
        f"mission {mission.id.hex()}",
        f"deposit {record['deposit']}, claimed time {record['claimed_time']}",
    ]
    for verdict in verdicts[1:]:
        result = "DIFFERENT" if verdict.failures else "equal to what was captured"
        lines += [f"register {verdict.register} ({verdict.title!r}): {result}", *verdict.lines]
    for verdict in verdicts:
        lines += [f"DIFFERENCE {verdict.register}: {failure}" for failure in verdict.failures]
    lines += certificates
    lines += [f"WARNING {problem}" for problem in problems]
    return "\n".join(map(printable, lines)) + "\n"


def printable(text: str) -> str:
    """Text from a deposit without what could steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def receipt_command(args: argparse.Namespace) -> int:
    """`verify-receipt`: a receipt against the charter chain of a vault's folder."""
    mission = pick_mission(load_missions([args.folder]), args.mission)
    data = read_file(args.receipt, "receipt")
    entry, checkpoint, witnesses = verify_receipt(data, mission.charter, mission.id)
    needed = mission.charter["witness"]["q"]
    print(f"entry {entry['type']} {entry['hash']} logged {entry['logged']}")
    print(f"in the log {checkpoint.origin} of {checkpoint.size} entries: proved")
    enough = len(witnesses) >= needed
    standing = "cosigned" if enough else "provisional"
    print(f"{len(witnesses)} witnesses cosigned, {needed} are needed: {standing}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Command line."""
    top = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    commands = top.add_subparsers(required=True)
    verify = commands.add_parser("verify-vectors", help="test this reader")
    verify.add_argument("folder", type=Path)
    verify.add_argument("--strict", action="store_true", help="fail on vectors that were not run")
    verify.set_defaults(run=vectors_command)
    show = commands.add_parser("list", help="what is in vault folders")
    show.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    show.set_defaults(run=list_command)
    extract = commands.add_parser("extract", help="bring registers back")
    extract.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    extract.add_argument("--cards", type=Path, nargs="+", metavar="FILE")
    extract.add_argument("--seat-keys", type=Path, nargs="+", metavar="FILE", help="for bags")
    extract.add_argument("--out", type=Path, required=True, help="a new folder")
    for name in ("deposit", "register", "mission"):
        extract.add_argument(f"--{name}")
    extract.set_defaults(run=extract_command)
    sheet = commands.add_parser("read-sheet", help="a file from the texts of its printed symbols")
    sheet.add_argument("texts", type=Path)
    sheet.add_argument("out", type=Path, help="a new file")
    sheet.set_defaults(run=sheet_command)
    paper = commands.add_parser("verify-certificate", help="check a certificate, without folders")
    paper.add_argument("certificate", type=Path)
    paper.add_argument("--charters", type=Path, nargs="+", required=True, metavar="FILE")
    paper.add_argument("--warrant", type=Path, help="of a drill")
    paper.set_defaults(run=certificate_command)
    receipt = commands.add_parser("verify-receipt", help="check a receipt")
    receipt.add_argument("receipt", type=Path)
    receipt.add_argument("folder", type=Path, help="a vault's folder, for the charters")
    receipt.add_argument("--mission")
    receipt.set_defaults(run=receipt_command)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; refusals are one line."""
    args = parser().parse_args(arguments)
    os.umask(0o077)
    try:
        return int(args.run(args))
    except (ReaderError, OSError) as error:
        print(printable(f"{type(error).__name__}: {error}"), file=sys.stderr)
        return 2


# ------------------------------------------------------------------ vectors/README.md: test vectors

Operation = Callable[[Json], Json]


def _bytes(value: Json) -> bytes:
    """Hex, or one of the two shorthands for long byte strings."""
    if isinstance(value, dict) and "shake256" in value:
        return hashlib.shake_256(bytes.fromhex(value["shake256"])).digest(value["length"])
    if isinstance(value, dict):
        return bytes.fromhex(value["head"]) + bytes(value["zeros"]) + bytes.fromhex(value["tail"])
    return bytes.fromhex(value)


def _run_xwing(i: Json, expect: Json) -> Json:
    # Encapsulation with given randomness is the depositor's; a reader decapsulates.
    key = XWingKey.from_seed(_bytes(i["seed"]))
    read_public_key(key.public())
    shared = key.decapsulate(_bytes(expect["enc"]))
    return {"public": key.public().hex(), "enc": expect["enc"], "shared_secret": shared.hex()}


def _run_expand(i: Json) -> Json:
    seed = _bytes(i["seed"])
    public = XWingKey.from_seed(seed).public()
    name = key_hash(public)
    return {
        "public": public.hex(), "key_hash": name.hex(), "key_check": key_check(seed, name).hex(),
    }  # fmt: skip


def _run_key_check(i: Json) -> Json:
    if key_check(_bytes(i["seed"]), _bytes(i["key_hash"])) != _bytes(i["key_check"]):
        raise KeyCheckFailed("key-check value differs")
    return {}


def _run_unseal(i: Json) -> Json:
    key, name, sealed = XWingKey.from_seed(_bytes(i["seed"])), _bytes(i["key_hash"]), i["sealed"]
    if key_hash(key.public()) != name:
        raise KeyCheckFailed("sealed to another key")
    info = deposit_secret_info(_bytes(i["mission"]), _bytes(i["deposit"]), i["epoch"], name)
    secret = open_32(key, _bytes(sealed), info)
    return {"secret": secret.hex(), "secret_id": sha256(_bytes(sealed)).hex()}


def _run_unseal_reader(i: Json) -> Json:
    info = b"exclave/1/unsealed\0" + _bytes(i["mission"]) + _bytes(i["secret_id"])
    key = XWingKey.from_seed(_bytes(i["seed"]))
    return {"secret": open_32(key, _bytes(i["sealed"]), info).hex()}


def _run_unseal_veil(i: Json) -> Json:
    key = XWingKey.from_seed(_bytes(i["seed"]))
    where = (_bytes(i["mission"]), _bytes(i["pack_root"]), i["seat"])
    return {"share": unseal_veil_share(key, _bytes(i["sealed"]), *where).hex()}


def _run_annex(i: Json) -> Json:
    key = XWingKey.from_seed(_bytes(i["seed"]))
    info = b"exclave/1/annex\0" + key_hash(key.public())
    return {"annex": hpke_open(key, _bytes(i["sealed"]), info).hex()}


def _run_open_pack(i: Json) -> Json:
    sealed = _bytes(i["sealed"])
    h = parse_pack_header(sealed)
    plain = open_pack(sealed, _bytes(i["secret"]), _bytes(i["veil"]))
    return {
        "kind": h.kind, "k": h.k, "epoch": h.epoch, "mission": h.mission.hex(),
        "deposit": h.deposit.hex(), "key_hash": h.key_hash.hex(),
        "sealed_secret": h.sealed_secret.hex(), "salt": h.salt.hex(), "plaintext": plain.hex(),
    }  # fmt: skip


def _run_parse_shard(i: Json) -> Json:
    s = parse_shard(_bytes(i["shard"]), _bytes(i["root"]))
    return {
        "k": s.k, "seat": s.seat, "mission": s.mission.hex(), "pack_root": s.pack_root.hex(),
        "length": s.length, "veil_share": s.veil_share.hex(),
    }  # fmt: skip


def _run_unseal_shard(i: Json) -> Json:
    key = XWingKey.from_seed(_bytes(i["seed"]))
    return {"veil_share": unseal_shard(key, _bytes(i["sealed"]), _bytes(i["root"]))[:32].hex()}


def _run_rebuild(i: Json) -> Json:
    shards = [parse_shard(_bytes(shard), _bytes(root)) for shard, root in i["shards"]]
    pack, _ = rebuild_pack(shards)
    veil = join_veil(i["k"], [(s.seat, s.veil_share) for s in shards])
    return {"pack": pack.hex(), "veil": veil.hex()}


def _run_decode(i: Json) -> Json:
    bodies = {int(seat): _bytes(body) for seat, body in i["bodies"].items()}
    return {"pack": decode_bodies(i["k"], i["length"], bodies).hex()}


def _run_stream(i: Json) -> Json:
    def fetch(ref: Ref, role: int, kind: int) -> bytes:
        node = _bytes(i["nodes"][ref[1]])
        if (role, kind, ref[3]) != (1, 2, len(node)):
            raise StreamRefused("node: another length than its reference says")
        return node

    refs = list(stream_refs(i["stream"], fetch))
    packed = b"".join(struct.pack(">IIIIB", *ref) for ref in refs)
    return {"count": len(refs), "refs_sha256": sha256(packed).hex()}


def _run_pack(i: Json) -> Json:
    plain = _bytes(i["plaintext"])
    directory = parse_directory(plain, i["kind"])
    start = struct.unpack_from(">I", plain, len(plain) - 16)[0]
    ids = [plain[start + 48 * n :][:32].hex() for n in range(len(directory.entries))]
    return {"ids": ids, "length": len(plain)}


def _run_row_tree(i: Json) -> Json:
    numbers = range(i.get("decimal_rows", 0))
    lines = i.get("lines") or [str(number).zfill(i["width"]) for number in numbers]
    rows = RowGroups()
    groups = b"".join([*(rows.add(line.encode() + b"\n") for line in lines), rows.finish()])
    root = tree_root([groups[at : at + 36] for at in range(0, len(groups), 36)])
    return {"rows": len(lines), "row_root": root.hex(), "groups": groups.hex()}


def _run_chunk(i: Json) -> Json:
    stored, plain, codec = i["entry"]
    if len(data := _bytes(i["stored"])) != stored:
        raise StreamRefused("chunk: stored length differs")
    return {"plain": decode_chunk(data, plain, codec).hex()}


def _run_large_objects(i: Json) -> Json:
    tree = Tree()
    oids = [entry.oid for entry in large_objects(Cursor([_bytes(i["entries"])]), tree)]
    return {"oids": oids, "root": tree.root().hex()}


def _run_file_tree(i: Json) -> Json:
    tree = Tree()
    paths = [entry.path.hex() for entry in file_entries(Cursor([_bytes(i["entries"])]), tree)]
    return {"paths": paths, "tree_root": tree.root().hex()}


def _run_manifest(i: Json) -> Json:
    manifest = check_manifest(i["manifest"].encode())
    registers = manifest["registers"]
    return {
        "registers": [r["id"] for r in registers],
        "packs": len(decode_base64(manifest["packs"])) // 32,
        "objects": [len(objects_of(r)) for r in registers],
        "sources": [[s["kind"] for s in r["sources"]] for r in registers],
    }


def _run_checkpoint(i: Json) -> Json:
    name, kind, key = parse_vkey(i["vkey"])
    if kind != 1:
        raise LogRefused("vkey: not of a log")
    return {"size": verify_checkpoint(parse_note(i["checkpoint"].encode()), name, key).size}


def _run_receipt(i: Json) -> Json:
    receipt = parse_receipt(i["receipt"].encode())
    name, _, key = parse_vkey(i["vkey"])
    checkpoint = verify_checkpoint(receipt.note, name, key)
    leaf = hash_leaf(receipt.entry)
    if inclusion_root(leaf, receipt.index, checkpoint.size, receipt.path) != checkpoint.root:
        raise LogRefused("receipt: the path leads to another root")
    return {"size": parse_entry(receipt.entry)["size"]}


def _counted(note: Note, checkpoint: Checkpoint, witnesses: list[list[str]]) -> Json:
    counted = []
    for number, vkeys in enumerate(witnesses, 1):
        keys = [parse_vkey(vkey) for vkey in vkeys]
        stamps = [
            key_stamps(note, checkpoint, name, {4: "ed25519", 6: "ml-dsa-44"}[kind], raw)
            for name, kind, raw in keys
        ]
        if common := set.intersection(*stamps):
            counted.append([number, int.from_bytes(max(common), "big")])
    return counted


def _run_cosignature(i: Json) -> Json:
    name, _, key = parse_vkey(i["vkey"])
    note = parse_note(i["checkpoint"].encode(), MOST_COSIGNED)
    checkpoint = verify_checkpoint(note, name, key)
    return {"counted": _counted(note, checkpoint, i["witnesses"])}


def _run_cosigned_receipt(i: Json) -> Json:
    found = _run_receipt(i)
    note = parse_receipt(i["receipt"].encode()).note
    counted = _counted(note, parse_checkpoint(note.text), i["witnesses"])
    return {**found, "counted": counted, "cosigned": len(counted) >= i["quorum"]}


def _run_add_checkpoint(i: Json) -> Json:
    """What a witness would answer: vault-http.md 7."""
    name, _, key = parse_vkey(i["vkey"])
    before = Checkpoint(name, 0, sha256(b""))
    if i["kept"] is not None:
        before = parse_checkpoint(parse_note(i["kept"].encode()).text)
    head, gap, text = i["request"].encode().partition(b"\n\n")
    old, *lines = head.decode("utf-8", "replace").split("\n")
    found = {"status": 400, "kept": None, "fork": False}
    if not gap or not re.fullmatch(r"old (0|[1-9][0-9]{0,15})", old) or len(lines) > 63:
        return found
    try:
        note = parse_note(text)
        new, proof = parse_checkpoint(note.text), [decode_base64(line) for line in lines]
    except ReaderError:
        return found
    if new.origin != name:
        return {**found, "status": 404}
    try:
        verify_checkpoint(note, name, key)
    except ReaderError:
        return {**found, "status": 403}
    if int(old[4:]) > new.size:
        return found
    found["fork"] = new.size == before.size and new.root != before.root
    if int(old[4:]) != before.size:
        return {**found, "status": 409, "kept": before.size}
    try:
        verify_consistency(before.size, new.size, before.root, new.root, proof)
    except ReaderError:
        return {**found, "status": 422}
    return {**found, "status": 200}


def _run_evidence(i: Json) -> Json:
    """ledger.md 8."""
    payload = decode_json(i["payload"].encode())
    shape = {
        "kind": one_of("evidence"), "mission": HASH, "seat": count_from(1, 255),
        "cause": one_of("fork"), "notes": lambda v: isinstance(v, list) and len(v) == 2,
    }  # fmt: skip
    check_shape("evidence", payload, shape)
    _, _, key = parse_vkey(i["vkey"])
    origin = f"exclave/{payload['mission']}/{payload['seat']}"
    first, second = (
        verify_checkpoint(parse_note(decode_base64(text)), origin, key) for text in payload["notes"]
    )
    if first.size > second.size or first.root == second.root:
        raise LogRefused("evidence: its notes contradict each other in nothing")
    return {"sizes": [first.size, second.size]}


def _run_consistency(i: Json) -> Json:
    roots = _bytes(i["old_root"]), _bytes(i["new_root"])
    verify_consistency(i["old"], i["new"], *roots, [_bytes(node) for node in i["proof"]])
    return {}


def _run_growth(i: Json) -> Json:
    entries = [text.encode() for text in i["entries"]]
    files, hashes, level = {}, [hash_leaf(entry) for entry in entries], 0
    bundles = [struct.pack(">H", len(entry)) + entry for entry in entries]
    while hashes:
        roots = []
        for n in range(-(-len(hashes) // 256)):
            part, tree = hashes[256 * n : 256 * n + 256], Tree()
            name = tile_number(n) + ("" if len(part) == 256 else f".p/{len(part)}")
            files[f"tile/{level}/{name}"] = hash_leaf(b"".join(part)).hex()
            if level == 0:
                data = b"".join(bundles[256 * n : 256 * n + 256])
                files[f"tile/entries/{name}"] = hash_leaf(data).hex()
            for item in part:
                tree.add(item)
            roots += [tree.root()] if len(part) == 256 else []
        hashes, level = roots, level + 1
    return {"root": tree_root(entries).hex(), "files": files}


def _run_envelope(i: Json) -> Json:
    envelope = parse_envelope(i["envelope"].encode())
    signed = pae(f"application/vnd.exclave.{envelope.kind}.v1+json", envelope.payload)
    return {"hash": envelope.statement.hex(), "pae": sha256(signed).hex()}


def _run_alarm(i: Json) -> Json:
    body = check_shape("alarm", decode_json(i["payload"].encode()), ALARM)
    return {"cause": body["cause"], "began": body["began"]}


def _run_swept(i: Json) -> Json:
    body = check_shape("swept", decode_json(i["payload"].encode()), SWEPT)
    if not body["shards"] or not ascending(body["shards"]):
        raise Malformed("swept: shards: expected at least one, ascending")
    return {"shards": len(body["shards"])}


def _run_parts(i: Json) -> Json:
    file = join_sheet(i["lines"])
    return {"sha256": hashlib.sha256(file).hexdigest(), "bytes": len(file)}


def _run_inventory(i: Json) -> Json:
    data = i["inventory"].encode()
    value = check_inventory(data)
    size = sum(item[2] for item in value["items"])
    return {"hash": sha256(data).hex(), "items": len(value["items"]), "content": size}


def _run_seat_key(i: Json) -> Json:
    data = i["file"].encode()
    key = open_seat_key(data, "key file", lambda: i["passphrase"])
    return {"id": decode_json(data)["id"], "key_hash": sha256(key.public()).hex()}


def _run_block(i: Json) -> Json:
    block = parse_block(_bytes(i["block"]))
    return {
        "kind": block.kind, "seat": block.seat, "volume": block.volume, "number": block.number,
        "offset": block.offset, "size": block.size, "data": sha256(block.data).hex(),
    }  # fmt: skip


def _run_results(kind: str, i: Json) -> Json:
    return {"passed": check_results(kind, decode_json(i["payload"].encode()))["passed"]}


def _run_standing(i: Json) -> Json:
    value = check_standing(decode_json(i["payload"].encode()))
    return {"registers": len(value["registers"]), "deposits": len(value["deposits"])}


def _run_attestation(i: Json) -> Json:
    value = check_shape("attestation", decode_json(i["payload"].encode()), ATTESTATION)
    envelope, _ = open_attested(value, XWingKey.from_seed(_bytes(i["seed"])))
    passed = check_results(envelope.kind, envelope.body)["passed"]
    return {"certificate": envelope.statement.hex(), "passed": passed}


def _run_signature(i: Json) -> Json:
    algorithm, raw = i["alg"], _bytes(i["key"])
    if not is_raw_key(algorithm, raw):
        raise KeyRefused(f"{algorithm} key: not a key of this algorithm")
    verify_signature(algorithm, raw, _bytes(i["signature"]), _bytes(i["message"]))
    return {"keyid": key_id({"alg": algorithm, "key": base64.b64encode(raw).decode()})}


def _run_detached(i: Json) -> Json:
    value = parse_detached(i["signatures"].encode())
    return {"statement": value["statement"], "count": len(value["signatures"])}


def _run_charter(i: Json) -> Json:
    payload = i["payload"].encode()
    if check_charter(decode_json(payload))["mission"] is not None:
        raise CharterRefused("charter 1 names no mission")
    return {"mission": sha256(payload).hex()}


def _run_chain(i: Json) -> Json:
    envelopes = [parse_envelope(text.encode(), "charter") for text in i["charters"]]
    chain, problems = walk_charters(envelopes, _bytes(i["mission"]))
    if problems:
        raise CharterRefused(problems[0])
    return {"mission": chain[0].statement.hex()}


def _run_warrant(i: Json) -> Json:
    charter = parse_envelope(i["charter"].encode(), "charter")
    warrant = parse_envelope(i["warrant"].encode(), "warrant")
    mission = check_charter(charter.body)["mission"] or charter.statement.hex()
    return {"deposits": verify_warrant(warrant, charter, _bytes(mission))["deposits"]}


def _run_order(i: Json) -> Json:
    envelope = parse_envelope(i["envelope"].encode())
    return {"kind": check_order(envelope)["kind"], "hash": envelope.statement.hex()}


def _run_published_log(i: Json) -> Json:
    name, kind, key = parse_vkey(i["vkey"])
    if "request" in i:  # its log signs as witnesses do
        note = parse_note(i["request"].encode().partition(b"\n\n")[2])
        if kind != 6 or not key_stamps(note, parse_checkpoint(note.text), name, "ml-dsa-44", key):
            raise LogRefused("note: signed by another key")
        return {}
    notes = [i["note"]] if "note" in i else list(i["checkpoints"].values())
    for text in notes:
        note = parse_note(text.encode())
        for signer, keyid, signature in note.signatures:
            if (signer, keyid) != (name, note_key_id(name, 1, key)):
                raise LogRefused("note: signed by another key")
            verify_signature("ed25519", key, signature, note.text)
        if "checkpoints" in i:
            verify_checkpoint(note, name, key)
    return {}


def run_slip39(cases: Json) -> str | None:
    """SatoshiLabs' vectors: title, mnemonics, secret or nothing; passphrase TREZOR."""
    for title, mnemonics, secret, *_ in cases:
        try:
            found = recombine([parse_share(m.split()) for m in mnemonics], b"TREZOR").hex()
        except CardRefused:
            found = ""
        if found != secret:
            return f"differs in {title}"
    return None if cases else "no cases"


def _run_live_set(i: Json) -> Json:
    mission = Mission(b"", [])
    names = [sha256(payload.encode()).hex() for payload in i["payloads"]]
    for name, payload in zip(names, i["payloads"], strict=True):
        mission.records[name] = check_record(decode_json(payload.encode()))
    return {"live": sorted(mission.live(names[-1]))}


def _run_card(i: Json) -> Json:
    card = parse_card(i["card"])
    header = card.header
    return {
        "group": int(header["group"]), "member": int(header["member"]), "words": card.words,
    }  # fmt: skip


def _run_words(i: Json) -> Json:
    words = read_words(i["text"])
    parse_card_share(words)
    return {"words": words}


OPERATIONS: dict[str, Operation] = {
    "expand-key": _run_expand,
    "verify-key-check": _run_key_check,
    "read-public-key": lambda i: {"public": read_public_key(_bytes(i["public"])).hex()},
    "unseal-deposit-secret": _run_unseal,
    "unseal-for-reader": _run_unseal_reader,
    "unseal-veil-share": _run_unseal_veil,
    "unseal-annex": _run_annex,
    "open-pack": _run_open_pack,
    "pack-root": lambda i: {"root": pack_root(i["k"], _bytes(i["pack"])).hex()},
    "code-row": lambda i: {"row": code_row(i["k"], i["seat"])},
    "decode-bodies": _run_decode,
    "join-veil": lambda i: {
        "veil": join_veil(i["k"], [(s, _bytes(v)) for s, v in i["shares"]]).hex()
    },
    "parse-shard": _run_parse_shard,
    "unseal-shard": _run_unseal_shard,
    "rebuild-pack": _run_rebuild,
    "chunk": _run_chunk,
    "chunk-id": lambda i: {"id": blake3(_bytes(i["plain"]), key=_bytes(i["key"])).hexdigest()},
    "file-tree": _run_file_tree,
    "ladder": lambda i: {"rung": next(rung for rung in LADDER if rung >= i["size"])},
    "large-objects": _run_large_objects,
    "manifest": _run_manifest,
    "pack": _run_pack,
    "row-tree": _run_row_tree,
    "stream": _run_stream,
    "checkpoint": _run_checkpoint,
    "consistency": _run_consistency,
    "entry": lambda i: {"size": parse_entry(i["entry"].encode())["size"]},
    "growth": _run_growth,
    "tile-path": lambda i: dict(
        zip(("level", "index", "width"), parse_tile_path(i["path"]), strict=True)
    ),
    "receipt": _run_receipt,
    "cosignature": _run_cosignature,
    "cosigned-receipt": _run_cosigned_receipt,
    "add-checkpoint": _run_add_checkpoint,
    "evidence": _run_evidence,
    "parse-envelope": _run_envelope,
    "parse-alarm": _run_alarm,
    "parse-swept": _run_swept,
    "parse-inventory": _run_inventory,
    "join-parts": _run_parts,
    "parse-block": _run_block,
    "seat-key": _run_seat_key,
    "parse-custody": lambda i: {"act": check_custody(decode_json(i["payload"].encode()))["act"]},
    "parse-proof": lambda i: _run_results("proof", i),
    "parse-drill": lambda i: _run_results("drill", i),
    "open-attestation": _run_attestation,
    "parse-standing": _run_standing,
    "verify-signature": _run_signature,
    "parse-detached": _run_detached,
    "parse-charter": _run_charter,
    "verify-chain": _run_chain,
    "verify-warrant": _run_warrant,
    "parse-order": _run_order,
    "published-log": _run_published_log,
    "live-set": _run_live_set,
    "parse-card": _run_card,
    "read-words": _run_words,
}


def run_vector(case: Json) -> str | None:
    """None when a vector passes, "not run" when its operation is unknown, else what differs."""
    if isinstance(case, list):
        return run_slip39(case)
    if "source" in case:  # published by others, in their own form
        case = {"operation": "published-log", "input": case, "expect": {}}
    name, inputs, expect = case["operation"], case["input"], case["expect"]
    refused = "refused" in expect
    if name == "x-wing":
        operation: Operation = lambda i: _run_xwing(i, expect)  # noqa: E731
    elif name in OPERATIONS:
        operation = OPERATIONS[name]
    else:
        return "not run"
    try:
        result = operation(inputs)
    except ReaderError as error:
        return None if refused else f"refused: {error}"
    if refused:
        return f"accepted, expected a refusal: {expect['why']}"
    wrong = [key for key in expect if result.get(key) != expect[key]]
    return f"differs in {', '.join(wrong)}" if wrong else None


def vectors_command(args: argparse.Namespace) -> int:
    """`verify-vectors`."""
    counts: dict[str, Counter[str]] = {}
    for path in sorted(args.folder.rglob("*.json")):
        count = counts.setdefault(str(path.parent.relative_to(args.folder)), Counter())
        case = json.loads(path.read_bytes())
        result = run_vector(case)
        kind = {None: "passed", "not run": "not run"}.get(result, "failed")
        count[kind] += 1
        if result is not None:
            why = f": {result}" if kind == "failed" else ""
            print(f"{kind}: {path.relative_to(args.folder)}{why}")
    total: Counter[str] = sum(counts.values(), Counter())
    for folder, count in [*counts.items(), ("total", total)]:
        passed, failed, left = (count[kind] for kind in ("passed", "failed", "not run"))
        print(f"{folder}: {passed} passed, {failed} failed, {left} not run")
    bad = total["failed"] or not total["passed"] or (args.strict and total["not run"])
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
