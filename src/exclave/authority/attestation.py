"""Attestations: what the vaults' logs keep of a certificate (spec/certificates.md 5).

Reads, writes and verifies one statement. What is sealed in it is `exclave.certificate.sealed`'s.
Rules: it names nothing that a vault may not learn; both keys of the depositor signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import Envelope, Kind, envelope_for, payload_object
from exclave.authority.persons import SignatureMissing, require_keys
from exclave.clock import format_time
from exclave.encoding import b64encode
from exclave.errors import AuthorityError
from exclave.ids import Epoch, MissionId, StatementHash
from exclave.values import dataclass

__all__ = [
    "MAX_ATTESTATION",
    "Attestation",
    "attestation_envelope",
    "parse_attestation",
    "verify_attestation",
]

MAX_ATTESTATION: Final = 65_536
"""Bytes of an envelope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """The hash of a certificate, and the certificate sealed; `time` is the depositor's claim.

    `sealed` is empty for an auditor's certificate: its hash alone is logged.
    """

    mission: MissionId
    depositor: str
    certificate: StatementHash
    epoch: Epoch
    sealed: bytes
    time: datetime


def attestation_envelope(attestation: Attestation) -> Envelope:
    """The statement, unsigned."""
    return envelope_for(
        {
            "kind": Kind.ATTESTATION.value,
            "mission": attestation.mission.hex(),
            "depositor": attestation.depositor,
            "certificate": attestation.certificate.hex(),
            "epoch": attestation.epoch,
            "sealed": b64encode(attestation.sealed),
            "time": format_time(attestation.time),
        }
    )


def parse_attestation(envelope: Envelope) -> Attestation:
    """Read the statement in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.ATTESTATION).fields("kind", *Attestation.__slots__)
    return Attestation(
        mission=MissionId(fields["mission"].hex(32)),
        depositor=fields["depositor"].slug(),
        certificate=StatementHash(fields["certificate"].hex(32)),
        epoch=Epoch(fields["epoch"].integer(1, 2**32 - 1)),
        sealed=fields["sealed"].base64(),
        time=fields["time"].time(),
    )


def verify_attestation(envelope: Envelope, charters: Iterable[Charter]) -> Attestation:
    """Check mission and both signatures by one of the charters, the first that fits."""
    attestation = parse_attestation(envelope)
    party, refused = f"depositor {attestation.depositor}", None
    for charter in charters:
        if attestation.mission != charter.mission_id:
            raise MissionMismatch(
                f"attestation: expected mission {charter.mission_id.hex()}, "
                f"got {attestation.mission.hex()}"
            )
        try:
            keys = charter.depositor(attestation.depositor).keys
            require_keys(envelope, keys, party=party)
        except AuthorityError as error:
            refused = refused or error
        else:
            return attestation
    raise refused or SignatureMissing(f"attestation: no charter to know {party} by")
