"""ECDSA on P-256 and P-384: points and signatures in one form each (spec/statements.md 3.1).

Keys are uncompressed points, signatures r || s with a small s. Rules: a point that is not on its
curve is refused when it is read; of the two values of s that verify, the smaller one counts, so
that nobody but the signer can make a second form of a signature.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from exclave.errors import MalformedData
from exclave.values import dataclass

__all__ = ["P256", "P384", "Curve", "PointInvalid"]


class PointInvalid(MalformedData):
    """Bytes that are no point of the curve, or not in the uncompressed form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One curve with its hash; `size` is that of a coordinate, in bytes."""

    name: str
    curve: ec.EllipticCurve
    hash: hashes.HashAlgorithm
    size: int
    order: int

    @property
    def point_size(self) -> int:
        """Bytes of a raw key."""
        return 2 * self.size + 1

    @property
    def signature_size(self) -> int:
        """Bytes of a signature."""
        return 2 * self.size

    def read_point(self, raw: bytes) -> ec.EllipticCurvePublicKey:
        """The key of a point; raises `PointInvalid`."""
        if len(raw) != self.point_size or raw[:1] != b"\x04":
            raise PointInvalid(
                f"{self.name} key: expected 0x04 and {2 * self.size} bytes, "
                f"got {len(raw)} bytes from 0x{raw[:1].hex()} on"
            )
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self.curve, raw)
        except ValueError as error:
            raise PointInvalid(
                f"{self.name} key: expected a point of the curve, got one beside it"
            ) from error

    def digest(self, message: bytes) -> bytes:
        """What the curve's arithmetic signs."""
        digest = hashes.Hash(self.hash)
        digest.update(message)
        return digest.finalize()

    def verify(self, raw: bytes, message: bytes, signature: bytes) -> None:
        """Check a signature in its one form; raises `InvalidSignature`."""
        r, s = self._split(signature)
        if not (1 <= r < self.order and 1 <= s <= self.order // 2):
            raise InvalidSignature
        encoded = encode_dss_signature(r, s)
        self.read_point(raw).verify(encoded, message, ec.ECDSA(self.hash))

    def settle(self, signature: bytes) -> bytes:
        """The form that counts of an r || s as a token made it."""
        r, s = self._split(signature)
        low = min(s, self.order - s)
        return r.to_bytes(self.size, "big") + low.to_bytes(self.size, "big")

    def _split(self, signature: bytes) -> tuple[int, int]:
        if len(signature) != self.signature_size:
            raise InvalidSignature
        r, s = signature[: self.size], signature[self.size :]
        return int.from_bytes(r, "big"), int.from_bytes(s, "big")


P256 = Curve(
    name="ecdsa-p256",
    curve=ec.SECP256R1(),
    hash=hashes.SHA256(),
    size=32,
    order=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
)
P384 = Curve(
    name="ecdsa-p384",
    curve=ec.SECP384R1(),
    hash=hashes.SHA384(),
    size=48,
    order=int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
        16,
    ),
)
"""Orders: FIPS 186-4, D.1.2.3 and D.1.2.4."""
