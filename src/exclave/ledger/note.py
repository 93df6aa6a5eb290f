"""C2SP signed notes: text with signature lines below it (spec/ledger.md 3).

Holds no private key: signing is a callable that is passed in. Does not say what the text
means (`exclave.ledger.checkpoint` does).

Rules
- One encoding: what is parsed encodes to the same bytes.
- A signature is matched by name *and* key id. Unknown ones are ignored and kept; a known one
  that fails refuses the whole note; a note without a known signature is refused.
- Key ids are four bytes, names for keys and no proof: verifiers hold whole keys.
- Sixteen signatures are enough but for cosigned notes, whose readers ask for more by `most`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from exclave.encoding import MAX_INTEGER, b64decode, b64encode
from exclave.errors import IntegrityError, MalformedData
from exclave.values import dataclass

__all__ = [
    "COSIGNATURE_ED25519",
    "COSIGNATURE_ML_DSA_44",
    "ED25519",
    "MAX_COSIGNED_LINES",
    "MAX_COSIGNED_NOTE",
    "MAX_NOTE_SIZE",
    "MAX_SIGNATURES",
    "Note",
    "NoteForged",
    "NoteSignature",
    "NoteSigner",
    "NoteUnsigned",
    "NoteVerifier",
    "cosigned_message",
    "encode_signatures",
    "note_key_id",
    "parse_note",
    "parse_signatures",
    "parse_vkey",
    "sign_note",
    "verify_note",
]

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04
COSIGNATURE_ML_DSA_44 = 0x06
MAX_SIGNATURES = 16
MAX_NOTE_SIZE = 1 << 20
MAX_COSIGNED_LINES = 1 + 2 * 255 + 64
"""Signature lines of a cosigned note: the log, two of each seat, external witnesses."""
MAX_COSIGNED_NOTE = 2 << 20

_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_STAMP_SIZE = 8
_MAX_STAMP = 2**63 - 1
_KEY_SIZES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_ML_DSA_44: 1312}
_DASH = "\N{EM DASH} "


class NoteForged(IntegrityError):
    """A known key's signature does not verify."""


class NoteUnsigned(IntegrityError):
    """No known key signed."""


def note_key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """Four bytes that name a key together with `name`."""
    return hashlib.sha256(name.encode("utf-8") + b"\n" + bytes([key_type]) + public_key).digest()[
        :4
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line; `signature` is without the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.key_id) != 4:
            raise MalformedData(f"note: key id: expected 4 bytes, got {len(self.key_id)}")

    def encode(self) -> bytes:
        """The line with its newline."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature)}\n".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note's text (UTF-8, ends in a newline) and its signatures in the order given."""

    text: bytes
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        _check_text(self.text)
        if not 1 <= len(self.signatures) <= MAX_COSIGNED_LINES:
            raise MalformedData(
                f"note: expected 1 to {MAX_COSIGNED_LINES} signatures, got {len(self.signatures)}"
            )

    def encode(self) -> bytes:
        """The note's bytes."""
        return self.text + b"\n" + encode_signatures(self.signatures)


def parse_note(data: bytes, *, most: int = MAX_SIGNATURES) -> Note:
    """Read a note without verifying it; raises `MalformedData` or `NonCanonicalData`.

    `most` signature lines are accepted: `MAX_COSIGNED_LINES` where witnesses may have signed.
    """
    largest = MAX_NOTE_SIZE if most <= MAX_SIGNATURES else MAX_COSIGNED_NOTE
    if len(data) > largest:
        raise MalformedData(f"note: expected at most {largest} bytes, got {len(data)}")
    split = data.rfind(b"\n\n")
    if split < 0:
        raise MalformedData("note: no empty line before the signatures")
    return Note(text=data[: split + 1], signatures=parse_signatures(data[split + 2 :], most=most))


def parse_signatures(data: bytes, *, most: int = MAX_SIGNATURES) -> tuple[NoteSignature, ...]:
    """Read signature lines alone, as a witness answers them."""
    if not data.endswith(b"\n"):
        raise MalformedData("note: the last signature line is not ended")
    lines = data[:-1].split(b"\n")
    if len(lines) > most:
        raise MalformedData(f"note: expected up to {most} signatures, got {len(lines)}")
    return tuple(_parse_line(line) for line in lines)


def encode_signatures(signatures: Iterable[NoteSignature]) -> bytes:
    """Signature lines one below the other."""
    return b"".join(line.encode() for line in signatures)


def _parse_line(line: bytes) -> NoteSignature:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedData("note: signature line: not UTF-8") from error
    name, space, encoded = text.removeprefix(_DASH).partition(" ")
    if not text.startswith(_DASH) or not space:
        raise MalformedData("note: signature line: expected an em dash, a name and base64")
    blob = b64decode(encoded, subject="note: signature")
    if len(blob) < 5:
        raise MalformedData(f"note: signature: expected more than 4 bytes, got {len(blob)}")
    return NoteSignature(name=name, key_id=blob[:4], signature=blob[4:])


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise MalformedData(f"note: key name: expected no spaces and no plus, got {name[:80]!r}")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedData("note: key name: holds a lone surrogate") from error


def _check_text(text: bytes) -> None:
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedData("note: not UTF-8") from error
    if any(c < " " and c != "\n" for c in decoded):
        raise MalformedData("note: holds a control character")
    if not decoded.endswith("\n"):
        raise MalformedData("note: the text does not end in a newline")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteVerifier:
    """A key that is trusted under a name. Types: `ED25519` signs the text as it is; the others
    sign `cosigned_message`, and their signatures begin with its time stamp.
    """

    name: str
    key_type: int = ED25519
    public_key: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        size = _KEY_SIZES.get(self.key_type)
        if size is None:
            raise MalformedData(f"note key: expected type 1, 4 or 6, got {self.key_type}")
        if len(self.public_key) != size:
            raise MalformedData(f"note key: expected {size} bytes, got {len(self.public_key)}")

    @property
    def key_id(self) -> bytes:
        """Four bytes, derived from name, type and key."""
        return note_key_id(self.name, self.key_type, self.public_key)

    def vkey(self) -> str:
        """The verifier key's text form."""
        key = b64encode(bytes([self.key_type]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def verify(self, text: bytes, signature: bytes) -> None:
        """Check one signature over a note's text; raises `NoteForged`."""
        message = text
        if self.key_type != ED25519:
            stamp, signature = signature[:_STAMP_SIZE], signature[_STAMP_SIZE:]
            if len(stamp) != _STAMP_SIZE:
                raise NoteForged(f"note: cosignature by {self.name[:80]!r} is cut off")
            message = cosigned_message(self.name, self.key_type, int.from_bytes(stamp), text)
        try:
            if self.key_type == COSIGNATURE_ML_DSA_44:
                MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
            else:
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise NoteForged(f"note: signature by {self.name[:80]!r} does not verify") from error


def cosigned_message(name: str, key_type: int, stamp: int, text: bytes) -> bytes:
    """What a cosigner signs for a checkpoint's text at a time (C2SP tlog-cosignature).

    Raises `NoteForged` for what no cosigner signs.
    """
    if not 0 <= stamp <= _MAX_STAMP:
        raise NoteForged(f"note: cosignature by {name[:80]!r}: no time stamp: {stamp}")
    if key_type == COSIGNATURE_ED25519:
        return b"cosignature/v1\ntime %d\n" % stamp + text
    origin, size, root = _tree_head(text)
    cosigner = name.encode("utf-8")
    if not 1 <= len(cosigner) <= 255 or not 1 <= len(origin) <= 255:
        raise NoteForged("note: cosignature: a name or origin is longer than 255 bytes")
    return b"".join(
        [
            b"subtree/v1\n\0",
            bytes([len(cosigner)]) + cosigner,
            stamp.to_bytes(8),
            bytes([len(origin)]) + origin,
            bytes(8),  # a checkpoint is the subtree from leaf 0
            size.to_bytes(8),
            root,
        ]
    )


def _tree_head(text: bytes) -> tuple[bytes, int, bytes]:
    # Not `parse_checkpoint`: other logs' checkpoints may go on, and what goes on is not signed.
    lines = text.split(b"\n")
    try:
        origin, size, root = lines[0], lines[1].decode("ascii"), lines[2].decode("ascii")
        if not _SIZE.fullmatch(size) or int(size) > MAX_INTEGER:
            raise MalformedData("note: cosignature: expected a size in the text's second line")
        return origin, int(size), b64decode(root, length=32, subject="note: cosignature: root")
    except (IndexError, UnicodeDecodeError, MalformedData) as error:
        raise NoteForged("note: cosigned, but its text is no checkpoint") from error


def parse_vkey(text: str) -> NoteVerifier:
    """Read a verifier key; its key id must be the derived one."""
    name, _, rest = text.partition("+")
    identifier, plus, encoded = rest.partition("+")
    blob = b64decode(encoded, subject="vkey")
    if not plus or len(blob) < 2:
        raise MalformedData("vkey: expected name+id+base64")
    verifier = NoteVerifier(name=name, key_type=blob[0], public_key=blob[1:])
    if verifier.key_id.hex() != identifier:
        raise MalformedData("vkey: the key id does not belong to the key")
    return verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigner:
    """An Ed25519 key that signs notes: its public half and a callable message -> signature."""

    name: str
    public_key: bytes
    sign: Callable[[bytes], bytes]

    def verifier(self) -> NoteVerifier:
        """What others verify with."""
        return NoteVerifier(name=self.name, public_key=self.public_key)


def sign_note(text: bytes, signers: Sequence[NoteSigner]) -> bytes:
    """A note's bytes with one line per signer; each signature is verified before it leaves."""
    _check_text(text)
    lines: list[NoteSignature] = []
    for signer in signers:
        verifier, signature = signer.verifier(), signer.sign(text)
        verifier.verify(text, signature)
        line = NoteSignature(name=signer.name, key_id=verifier.key_id, signature=signature)
        lines.append(line)
    return Note(text=text, signatures=tuple(lines)).encode()


def verify_note(note: Note, verifiers: Iterable[NoteVerifier]) -> tuple[NoteVerifier, ...]:
    """Who of `verifiers` signed; raises `NoteForged` or, when nobody did, `NoteUnsigned`."""
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    signed: list[NoteVerifier] = []
    for line in note.signatures:
        verifier = known.get((line.name, line.key_id))
        if verifier is None:
            continue
        verifier.verify(note.text, line.signature)
        if verifier not in signed:  # one key counts once
            signed.append(verifier)
    if not signed:
        raise NoteUnsigned(f"note: none of {len(known)} known keys signed")
    return tuple(signed)
