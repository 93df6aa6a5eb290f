"""A certificate as it travels to the vaults: sealed to the recovery key (spec/certificates.md 5).

Rules: what a vault sees is a hash, which a salt makes mute, and a length to 4 KiB; what is opened
has the hash under which it was sealed, or is refused. Of an auditor's certificate nothing is
sealed: its receipts are larger than what a log keeps, and stand in the logs themselves.
"""

from __future__ import annotations

import struct
import zlib
from datetime import datetime
from typing import Final

from exclave.authority.attestation import (
    MAX_ATTESTATION,
    Attestation,
    attestation_envelope,
)
from exclave.authority.charter import Charter
from exclave.authority.envelope import (
    MAX_SIGNATURES,
    MAX_SMALL_ENVELOPE,
    RESULTS,
    Envelope,
    Kind,
    media_type,
    payload_object,
    read_media_type,
    read_signatures,
    signatures_json,
)
from exclave.authority.fields import Node
from exclave.encoding import canonical_json, parse_canonical_json
from exclave.errors import IntegrityError, MalformedData
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import seal_certificate, unseal_certificate
from exclave.values import replace

__all__ = [
    "CertificateTooLarge",
    "NothingSealed",
    "SealedMismatch",
    "attest",
    "open_attested",
    "pack_certificate",
    "parse_packed_certificate",
]

_STEP: Final = 4096
_LENGTH: Final = struct.Struct(">I")
_SIGNED: Final = 8192
"""What both signatures of a depositor add to an envelope, generously."""


class CertificateTooLarge(MalformedData):
    """A certificate that does not fit into an attestation, compressed as it is."""


class SealedMismatch(IntegrityError):
    """What was sealed is not the certificate that the attestation names."""


class NothingSealed(IntegrityError):
    """An attestation of a hash alone was to be opened."""


def attest(envelope: Envelope, charter: Charter, *, depositor: str, now: datetime) -> Envelope:
    """The attestation of a certificate, unsigned, sealed to the charter's current recovery key.

    Of an auditor's certificate, its hash alone. Raises `CertificateTooLarge`.
    """
    epoch = charter.current_epoch
    sealed = b""
    if envelope.kind is not Kind.STANDING:
        sealed = seal_certificate(
            epoch.key.xwing,
            pack_certificate(envelope),
            mission=charter.mission_id,
            certificate=envelope.statement_hash,
            epoch=epoch.epoch,
        )
    found = attestation_envelope(
        Attestation(
            mission=charter.mission_id,
            depositor=depositor,
            certificate=envelope.statement_hash,
            epoch=epoch.epoch,
            sealed=sealed,
            time=now.replace(microsecond=0),
        )
    )
    if len(found.to_bytes()) + _SIGNED > MAX_ATTESTATION:
        raise CertificateTooLarge(
            f"{envelope.kind}: expected an attestation of at most {MAX_ATTESTATION} bytes, "
            f"got {len(found.to_bytes()) + _SIGNED}",
            hint="it is kept at home all the same; fewer registers or notes make it fit",
        )
    return found


def open_attested(attestation: Attestation, recovery: XWingPrivateKey) -> Envelope:
    """The certificate in an attestation, its signatures unverified.

    Raises `NothingSealed`, `SealedValueRejected`, `SealedMismatch` or what is wrong with its form.
    """
    if not attestation.sealed:
        raise NothingSealed(
            f"attestation of {attestation.certificate.hex()[:16]}: expected a sealed certificate, "
            "got its hash alone",
            hint="it is an auditor's: whoever has its file can show that it existed then",
        )
    packed = unseal_certificate(
        recovery,
        attestation.sealed,
        mission=attestation.mission,
        certificate=attestation.certificate,
        epoch=attestation.epoch,
    )
    envelope = parse_packed_certificate(packed)
    if envelope.statement_hash != attestation.certificate:
        raise SealedMismatch(
            f"attestation: expected certificate {attestation.certificate.hex()}, "
            f"got {envelope.statement_hash.hex()}"
        )
    return envelope


def pack_certificate(envelope: Envelope) -> bytes:
    """The open form, compressed and filled up."""
    text = canonical_json(
        {
            "payload": envelope.payload.decode("utf-8"),
            "payloadType": media_type(envelope.kind),
            "signatures": signatures_json(envelope.signatures),
        }
    )
    if len(text) > MAX_SMALL_ENVELOPE:
        raise CertificateTooLarge(
            f"{envelope.kind}: expected at most {MAX_SMALL_ENVELOPE} bytes, got {len(text)}"
        )
    packed = zlib.compress(text, 9)
    filled = _LENGTH.pack(len(packed)) + packed
    return filled + bytes(-len(filled) % _STEP)


def parse_packed_certificate(data: bytes) -> Envelope:
    """Read what `pack_certificate` made; signatures are not checked here."""
    if len(data) < _STEP or len(data) % _STEP:
        raise MalformedData(
            f"sealed certificate: expected a multiple of {_STEP} bytes, got {len(data)}"
        )
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    if end > len(data) or len(data) - end >= _STEP or any(data[end:]):
        raise MalformedData("sealed certificate: expected zeros after its length, got others")
    node = Node(parse_canonical_json(_unpacked(data[_LENGTH.size : end])), "certificate")
    fields = node.fields("payload", "payloadType", "signatures")
    kind = read_media_type(fields["payloadType"], RESULTS)
    envelope = Envelope(payload=fields["payload"].string().encode("utf-8"), kind=kind)
    payload_object(envelope, kind)
    signatures = read_signatures(fields["signatures"], most=MAX_SIGNATURES)
    return replace(envelope, signatures=signatures)


def _unpacked(packed: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(packed, MAX_SMALL_ENVELOPE)
    except zlib.error as error:
        raise MalformedData("sealed certificate: expected zlib, got something else") from error
    if not inflate.eof or inflate.unused_data:
        raise MalformedData(
            f"sealed certificate: expected one zlib stream of at most {MAX_SMALL_ENVELOPE} bytes"
        )
    return text
