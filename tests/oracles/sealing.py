"""Sealing once more, from spec/sealing.md and the documents it names, by other means.

Cobblestone-256 from AES-GCM and HKDF-Expand; HPKE's key schedule from RFC 9180 by HMAC;
X-Wing from pycryptodome. Unlike the real ones these take all randomness, so vectors can be made.
Nothing of `exclave` is imported.
"""

import hashlib
import hmac
import struct

from Crypto.PublicKey import Hybrid
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SEGMENT = 16384
_SUITE_ID = b"HPKE" + struct.pack(">HHH", 0x647A, 1, 2)


class OracleRefused(Exception):
    """The second implementation does not accept the bytes."""


def xwing_public(seed: bytes) -> bytes:
    """The X-Wing public key of a seed."""
    return bytes(_hybrid(seed)._pk)


def xwing_encapsulate(public: bytes, eseed: bytes) -> tuple[bytes, bytes]:
    """Shared secret and encapsulation for 64 bytes of randomness (EncapsulateDerand)."""
    key = Hybrid._construct(param_set=Hybrid.MLKEM768_X25519, pk=public)
    secret, enc = key._encaps(eseed)
    return secret, enc


def xwing_decapsulate(seed: bytes, enc: bytes) -> bytes:
    """The shared secret again."""
    return _hybrid(seed)._decaps(enc)


def hpke_key(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """AEAD key and nonce of the first message: RFC 9180 section 5.1, base mode."""
    context = b"\x00" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    secret = _extract(shared, b"secret", b"")
    return _expand(secret, b"key", context, 32), _expand(secret, b"base_nonce", context, 12)


def hpke_seal(public: bytes, plaintext: bytes, info: bytes, eseed: bytes) -> bytes:
    """A sealed value, with the encapsulation's randomness given."""
    shared, enc = xwing_encapsulate(public, eseed)
    key, nonce = hpke_key(shared, info)
    return enc + AESGCM(key).encrypt(nonce, plaintext, None)


def hpke_unseal(seed: bytes, sealed: bytes, info: bytes) -> bytes:
    """Open a sealed value."""
    key, nonce = hpke_key(xwing_decapsulate(seed, sealed[:1120]), info)
    return AESGCM(key).decrypt(nonce, sealed[1120:], None)


def pack_key(header: bytes, secret: bytes, veil: bytes) -> bytes:
    """spec/sealing.md 3: HKDF-SHA512 with the header's salt, by HMAC."""
    prk = hmac.digest(header[1264:1296], secret + veil, "sha512")
    info = b"exclave/1/pack\x00" + header[:96]
    return hmac.digest(prk, info + b"\x01", "sha512")[:32]


def cobblestone_seal(key: bytes, context: bytes, plaintext: bytes, salt24: bytes) -> bytes:
    """spec/sealing.md 4: the pack body."""
    aead, base, commitment = _cobblestone_keys(key, context, salt24)
    body = salt24 + commitment
    for index in range(len(plaintext) // SEGMENT + 1):
        piece = plaintext[index * SEGMENT : (index + 1) * SEGMENT]
        body += aead.encrypt(_nonce(base, index), piece, None)
    return body


def cobblestone_open(key: bytes, context: bytes, body: bytes) -> bytes:
    """The plaintext of a pack body; raises `OracleRefused` or InvalidTag."""
    aead, base, commitment = _cobblestone_keys(key, context, body[:24])
    if commitment != body[24:56]:
        raise OracleRefused("commitment")
    segments = body[56:]
    if len(segments) % (SEGMENT + 16) < 16:
        raise OracleRefused("length")
    plaintext = b""
    for index in range(len(segments) // (SEGMENT + 16) + 1):
        piece = segments[index * (SEGMENT + 16) : (index + 1) * (SEGMENT + 16)]
        plaintext += aead.decrypt(_nonce(base, index), piece, None)
    return plaintext


def seal_pack(header: bytes, secret: bytes, veil: bytes, plaintext: bytes, salt24: bytes) -> bytes:
    """A whole sealed pack."""
    key, context = pack_key(header, secret, veil), hashlib.sha256(header).digest()
    return header + cobblestone_seal(key, context, plaintext, salt24)


def open_pack(sealed: bytes, secret: bytes, veil: bytes) -> bytes:
    """The plaintext of a sealed pack; the header's fields are not judged."""
    header = sealed[:1296]
    key, context = pack_key(header, secret, veil), hashlib.sha256(header).digest()
    return cobblestone_open(key, context, sealed[1296:])


def _hybrid(seed: bytes) -> Hybrid.HybridKey:
    return Hybrid._construct(param_set=Hybrid.MLKEM768_X25519, seed=seed)


def _extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + _SUITE_ID + label + material, "sha256")


def _expand(key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    # One round of HKDF-Expand gives 32 bytes, as many as are ever wanted here.
    full = struct.pack(">H", length) + b"HPKE-v1" + _SUITE_ID + label + info
    return hmac.digest(key, full + b"\x01", "sha256")[:length]


def _cobblestone_keys(key: bytes, context: bytes, salt24: bytes) -> tuple[AESGCM, bytes, bytes]:
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt24 + context
    out = HKDFExpand(algorithm=SHA512(), length=76, info=info).derive(key)
    return AESGCM(out[:32]), out[32:44], out[44:]


def _nonce(base: bytes, index: int) -> bytes:
    return (int.from_bytes(base) ^ index).to_bytes(12)
