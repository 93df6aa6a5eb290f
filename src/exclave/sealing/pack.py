"""Packs: header, key and encryption (spec/sealing.md 3 and 4).

A sealed pack is a header of 1,296 bytes and one Cobblestone-256 message. Its key derives from the
deposit secret and the veil together with what the header says, so neither the recovery key nor a
threshold of hosts opens a pack alone, and no field of the header can be changed.

It does not read what is inside a pack (`exclave.archive`) nor split it (`exclave.dispersal`). The
library draws the body's salt itself, so sealing twice gives different bytes; opening is
deterministic. Plaintext of a refused pack must not be used: with `out`, verified segments may
stand there.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from enum import IntEnum

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exclave.errors import IntegrityError, MalformedData
from exclave.ids import DepositId, Epoch, MissionId
from exclave.sealing.secret import SEALED_SECRET_SIZE, SECRET_SIZE, DepositContext, secret_id
from exclave.values import dataclass

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "PACK_OVERHEAD",
    "SALT_SIZE",
    "SEGMENT_SIZE",
    "SUITE",
    "VEIL_SIZE",
    "CommitmentMismatch",
    "HeaderInvalid",
    "NotAPack",
    "PackHeader",
    "PackKind",
    "PackRejected",
    "PackTruncated",
    "SegmentRejected",
    "UnknownSuite",
    "generate_salt",
    "open_pack",
    "plain_length",
    "seal_pack",
    "sealed_length",
]

MAGIC = b"EXCLAVEP"
SUITE = 1
HEADER_SIZE = 1296
SALT_SIZE = 32
VEIL_SIZE = 32
SEGMENT_SIZE = 16384
_TAG_SIZE = 16
_PREAMBLE_SIZE = 24 + 32  # salt24 || commitment
PACK_OVERHEAD = HEADER_SIZE + _PREAMBLE_SIZE
"""What stands before the first segment."""

_BOUND_SIZE = 96
_KEY_LABEL = b"exclave/1/pack\x00"
_LAYOUT = struct.Struct(">8sHBBI32s16s32s1168s32s")


class PackRejected(IntegrityError):
    """A sealed pack cannot be opened; subclasses say why."""


class NotAPack(PackRejected):
    """The bytes do not begin as a sealed pack does."""


class UnknownSuite(PackRejected):
    """Made with a suite that this software does not know."""


class HeaderInvalid(PackRejected):
    """A header field has a value that no sealer writes."""


class PackTruncated(PackRejected):
    """The length is none that a sealed pack can have: bytes are missing or added."""


class CommitmentMismatch(PackRejected):
    """The key does not fit: another secret or veil, or a changed header."""


class SegmentRejected(PackRejected):
    """A segment of the body was altered."""


class PackKind(IntEnum):
    """What a pack holds (spec/archive.md 3)."""

    DATA = 1
    MANIFEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PackHeader:
    """The first 1,296 bytes of a sealed pack; the suite is 1."""

    kind: PackKind
    k: int
    epoch: Epoch
    mission: MissionId
    deposit: DepositId
    key_hash: bytes
    sealed_secret: bytes
    salt: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.k <= 255:
            raise HeaderInvalid(f"pack header: expected k from 1 to 255, got {self.k}")
        if not 1 <= self.epoch < 2**32:
            raise HeaderInvalid(f"pack header: expected epoch from 1 to 2^32-1, got {self.epoch}")
        for name, value, size in (
            ("mission", self.mission, 32),
            ("deposit", self.deposit, 16),
            ("recovery key hash", self.key_hash, 32),
            ("sealed deposit secret", self.sealed_secret, SEALED_SECRET_SIZE),
            ("salt", self.salt, SALT_SIZE),
        ):
            if len(value) != size:
                raise HeaderInvalid(
                    f"pack header: expected {name} of {size} bytes, got {len(value)}"
                )

    def encode(self) -> bytes:
        """The header's one encoding, 1,296 bytes."""
        return _LAYOUT.pack(
            MAGIC,
            SUITE,
            self.kind,
            self.k,
            self.epoch,
            self.mission,
            self.deposit,
            self.key_hash,
            self.sealed_secret,
            self.salt,
        )

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> PackHeader:
        """Read exactly 1,296 bytes; raises a `PackRejected`."""
        _require_pack(data)
        if len(data) != HEADER_SIZE:
            raise PackTruncated(f"pack header: expected {HEADER_SIZE} bytes, got {len(data)}")
        _, _, kind, k, epoch, mission, deposit, key_hash, sealed, salt = _LAYOUT.unpack(data)
        try:
            known = PackKind(kind)
        except ValueError as error:
            raise HeaderInvalid(f"pack header: expected kind 1 or 2, got {kind}") from error
        return cls(
            kind=known,
            k=k,
            epoch=Epoch(epoch),
            mission=MissionId(mission),
            deposit=DepositId(deposit),
            key_hash=key_hash,
            sealed_secret=sealed,
            salt=salt,
        )

    @property
    def context(self) -> DepositContext:
        """What the sealed deposit secret must be bound to."""
        return DepositContext(
            mission=self.mission, deposit=self.deposit, epoch=self.epoch, key_hash=self.key_hash
        )

    @property
    def secret_id(self) -> bytes:
        """Name of the deposit secret that this pack needs, 32 bytes."""
        return secret_id(self.sealed_secret)


def generate_salt(random: Callable[[int], bytes]) -> bytes:
    """Draw the salt of one pack's header."""
    return random(SALT_SIZE)


def sealed_length(plain_length: int) -> int:
    """Length of the sealed pack with a plaintext of this many bytes."""
    return PACK_OVERHEAD + plain_length + _TAG_SIZE * (plain_length // SEGMENT_SIZE + 1)


def plain_length(sealed_length: int) -> int:
    """Length of the plaintext in a sealed pack; raises `PackTruncated` where none is possible."""
    segments, last = divmod(sealed_length - PACK_OVERHEAD, SEGMENT_SIZE + _TAG_SIZE)
    # A last segment of full size would be remainder zero: the rest was cut off (section 4).
    if segments < 0 or last < _TAG_SIZE:
        raise PackTruncated(f"sealed pack: {sealed_length} bytes, which no sealed pack has")
    return segments * SEGMENT_SIZE + last - _TAG_SIZE


def seal_pack(
    header: PackHeader,
    *,
    secret: bytes,
    veil: bytes,
    plaintext: bytes | bytearray | memoryview,
    out: bytearray | memoryview | None = None,
) -> memoryview:
    """Encrypt a pack into `out` (reused by the caller) or a new buffer; a view of the result.

    `out` must hold `sealed_length(len(plaintext))` bytes and not overlap the plaintext.
    """
    total = sealed_length(len(plaintext))
    buffer = memoryview(bytearray(total) if out is None else out)
    if len(buffer) < total:
        raise ValueError(f"out: expected at least {total} bytes, got {len(buffer)}")
    encoded = header.encode()
    key = _pack_key(encoded, secret, veil)
    encryptor = Cobblestone256Encryptor(key, hashlib.sha256(encoded).digest())
    buffer[:HEADER_SIZE] = encoded
    end = HEADER_SIZE + encryptor.update_into(plaintext, buffer[HEADER_SIZE:total])
    buffer[end:total] = encryptor.finalize()
    return buffer[:total]


def open_pack(
    sealed: bytes | bytearray | memoryview,
    *,
    secret: bytes,
    veil: bytes,
    out: bytearray | memoryview | None = None,
) -> tuple[PackHeader, memoryview]:
    """Verify and decrypt a sealed pack; a view of the plaintext in `out` or a new buffer.

    `out` must hold `plain_length(len(sealed))` bytes. Raises a `PackRejected`.
    """
    view = memoryview(sealed)
    # 1. The header says what it is; nothing after a refused header is read.
    header = PackHeader.decode(view[:HEADER_SIZE])
    # 2. The length is one that sealing gives, so no whole segment was cut off the end.
    total = plain_length(len(view))
    buffer = memoryview(bytearray(total) if out is None else out)
    if len(buffer) < total:
        raise ValueError(f"out: expected at least {total} bytes, got {len(buffer)}")
    # 3. The commitment holds before anything is decrypted.
    encoded = bytes(view[:HEADER_SIZE])
    key = _pack_key(encoded, secret, veil)
    decryptor = Cobblestone256Decryptor(key, hashlib.sha256(encoded).digest())
    try:
        decryptor.update(view[HEADER_SIZE:PACK_OVERHEAD])
    except InvalidTag as error:
        raise CommitmentMismatch(
            "sealed pack: deposit secret and veil do not fit",
            hint="another deposit's secret, shards that disagree, or a changed header",
        ) from error
    # 4. Every segment is authentic and in its place.
    try:
        end = decryptor.update_into(view[PACK_OVERHEAD:], buffer)
        buffer[end:total] = decryptor.finalize()
    except InvalidTag as error:
        raise SegmentRejected("sealed pack: a segment of the body was altered") from error
    return header, buffer[:total]


def _require_pack(data: bytes | bytearray | memoryview) -> None:
    if len(data) < 10:
        raise PackTruncated(f"pack header: expected {HEADER_SIZE} bytes, got {len(data)}")
    if bytes(data[:8]) != MAGIC:
        raise NotAPack(f"sealed pack: expected {MAGIC.decode()}, got {bytes(data[:8]).hex()}")
    suite = int.from_bytes(data[8:10], "big")
    if suite != SUITE:
        raise UnknownSuite(
            f"sealed pack: expected suite {SUITE}, got {suite}",
            hint="made by a newer version; the reader stored beside the pack knows its suite",
        )


def _pack_key(encoded: bytes, secret: bytes, veil: bytes) -> bytes:
    for name, value, size in (("secret", secret, SECRET_SIZE), ("veil", veil, VEIL_SIZE)):
        if len(value) != size:
            raise MalformedData(f"pack key: expected {name} of {size} bytes, got {len(value)}")
    info = _KEY_LABEL + encoded[:_BOUND_SIZE]
    return HKDF(algorithm=SHA512(), length=32, salt=encoded[-SALT_SIZE:], info=info).derive(
        secret + veil
    )
