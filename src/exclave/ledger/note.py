"""C2SP signed notes: text with signature lines below it (spec/ledger.md 3).

Holds no private key: signing is a callable that is passed in. Does not say what the text
means (`exclave.ledger.checkpoint` does).

Rules
- One encoding: what is parsed encodes to the same bytes.
- A signature is matched by name *and* key id. Unknown ones are ignored and kept; a known one
  that fails refuses the whole note; a note without a known signature is refused.
- Key ids are four bytes, names for keys and no proof: verifiers hold whole keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exclave.encoding import b64decode, b64encode
from exclave.errors import IntegrityError, MalformedData

__all__ = [
    "COSIGNATURE_ED25519",
    "COSIGNATURE_ML_DSA_44",
    "ED25519",
    "MAX_NOTE_SIZE",
    "MAX_SIGNATURES",
    "Note",
    "NoteForged",
    "NoteSignature",
    "NoteSigner",
    "NoteUnsigned",
    "NoteVerifier",
    "note_key_id",
    "parse_note",
    "parse_vkey",
    "sign_note",
    "verify_note",
]

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04
COSIGNATURE_ML_DSA_44 = 0x06
MAX_SIGNATURES = 16
MAX_NOTE_SIZE = 1 << 20

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
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise MalformedData(
                f"note: expected 1 to {MAX_SIGNATURES} signatures, got {len(self.signatures)}"
            )

    def encode(self) -> bytes:
        """The note's bytes."""
        return self.text + b"\n" + b"".join(line.encode() for line in self.signatures)


def parse_note(data: bytes) -> Note:
    """Read a note without verifying it; raises `MalformedData` or `NonCanonicalData`."""
    if len(data) > MAX_NOTE_SIZE:
        raise MalformedData(f"note: expected at most {MAX_NOTE_SIZE} bytes, got {len(data)}")
    split = data.rfind(b"\n\n")
    if split < 0:
        raise MalformedData("note: no empty line before the signatures")
    below = data[split + 2 :]
    if not below.endswith(b"\n"):
        raise MalformedData("note: the last signature line is not ended")
    lines = below[:-1].split(b"\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedData(f"note: expected up to {MAX_SIGNATURES} signatures, got {len(lines)}")
    return Note(text=data[: split + 1], signatures=tuple(_parse_line(line) for line in lines))


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
    """A key that is trusted under a name. Types: `ED25519` signs the text as it is;
    `COSIGNATURE_ED25519` a time and the text; `COSIGNATURE_ML_DSA_44` keys can be named only.
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
        if self.key_type == ED25519:
            self._verify_ed25519(text, signature)
        elif self.key_type == COSIGNATURE_ED25519 and len(signature) == 72:
            stamp = int.from_bytes(signature[:8], "big")
            message = b"cosignature/v1\ntime %d\n" % stamp + text
            self._verify_ed25519(message, signature[8:])
        else:
            # Also a type that is not verified yet: what cannot be checked is not trusted.
            raise NoteForged(f"note: signature by {self.name[:80]!r} cannot be verified")

    def _verify_ed25519(self, message: bytes, signature: bytes) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise NoteForged(f"note: signature by {self.name[:80]!r} does not verify") from error


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
