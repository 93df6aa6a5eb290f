"""Proofs of this machine's deposits: what makes them, and the certificate that is kept of each.

Rules
- Every proof is kept, passed or not; its verdict is computed from what was found. Only then are the
  vaults asked to log its hash: one that does not is named, and undoes nothing.
- A register that was only decoded says so in its certificate; one that could not be compared at all
  is not among its registers. Neither can pass (spec/certificates.md 2).
- Keys and values of rows stay out of certificates: differences are counted there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exclave import __version__
from exclave.certificate.proof import Proof, ProvenRegister, proof_envelope
from exclave.certificate.results import CertificateHead, RegisterResult, Results, one_line
from exclave.clock import now, parse_time
from exclave.errors import ConfigurationError, ExclaveError, IntegrityError
from exclave.evidence import EvidenceStore
from exclave.ids import Seat, StatementHash
from exclave.proof.serving import Prover
from exclave.proof.task import OwnServer
from exclave.proof.values import ProofFindings, RegisterFindings, Verdict
from exclave.quarantine.note import QuarantineServer
from exclave.signer.interface import sign_envelope
from exclave.values import dataclass
from exclave.wiring.attesting import log_certificate

if TYPE_CHECKING:
    from exclave.deposit.catalogue import CatalogueEntry
    from exclave.wiring.depositor import Home
    from exclave.wiring.settings import DepositSettings, QuarantineServerSettings

__all__ = [
    "KeptProof",
    "QuarantineMissing",
    "certificate_of",
    "keep_proof",
    "prover_of",
    "server_of",
]

_DECODED = "rows and files: decoded chunk by chunk and matched by chunk id, not restored"


class QuarantineMissing(ConfigurationError):
    """A proof is asked for, and `deposit.toml` names no quarantine."""


def prover_of(settings: DepositSettings) -> Prover:
    """What proves deposits of this machine; raises `QuarantineMissing`."""
    quarantine = settings.quarantine
    if quarantine is None:
        raise QuarantineMissing(
            f"{settings.path}: expected [quarantine] to prove a deposit, got none",
            hint="name a folder with room for the largest register: examples/deposit.toml",
        )
    return Prover(
        quarantine=quarantine.path,
        limit=quarantine.limit,
        timeout=quarantine.timeout,
        server=None if quarantine.postgresql is None else _means(quarantine.postgresql),
        clock=now,
    )


def _means(settings: QuarantineServerSettings) -> QuarantineServer | OwnServer:
    if settings.host is None:
        assert settings.bin_dir is not None  # the settings have one of the two
        return OwnServer(bin_dir=settings.bin_dir, jobs=settings.jobs)
    return server_of(settings)


def server_of(settings: QuarantineServerSettings) -> QuarantineServer:
    """A quarantine server that is named by its host."""
    assert settings.host is not None
    assert settings.user is not None
    return QuarantineServer(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password_file=settings.password_file,
        bin_dir=settings.bin_dir,
        jobs=settings.jobs,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProof:
    """The certificate of a proof, and which vaults have logged its hash."""

    path: Path
    logged: tuple[Seat, ...]
    unlogged: Mapping[Seat, str]  # with the reason


def keep_proof(home: Home, entry: CatalogueEntry, found: ProofFindings) -> KeptProof:
    """Sign the certificate of a proof, keep it, then have the vaults log its hash.

    Nothing else of this depositor may have a vault in a folder open.
    """
    proof = certificate_of(home, entry, found, salt=os.urandom(32))
    if proof.passed is not found.passed:
        raise IntegrityError(
            f"certificate: expected passed {str(found.passed).lower()} by what the proof found, "
            f"got {str(proof.passed).lower()} by what stands in it"
        )
    envelope = sign_envelope(proof_envelope(proof), home.party.signers)
    path = EvidenceStore(home.settings.evidence).keep(envelope)
    try:
        answers = log_certificate(home, envelope)
    except ExclaveError as error:
        answers = dict.fromkeys(home.party.seats, error.message)
    return KeptProof(
        path=path,
        logged=tuple(sorted(s for s, answer in answers.items() if not isinstance(answer, str))),
        unlogged={seat: answer for seat, answer in answers.items() if isinstance(answer, str)},
    )


def certificate_of(
    home: Home, entry: CatalogueEntry, found: ProofFindings, *, salt: bytes
) -> Proof:
    """What a depositor says of a proof."""
    started = parse_time(found.started)
    reasons = [] if found.passed else _failures(found)
    return Proof(
        head=CertificateHead(
            mission=home.party.mission,
            charter=home.party.charter.statement_hash,
            salt=salt,
            software=f"exclave/{__version__}",
        ),
        depositor=home.party.id,
        results=Results(
            plan=hashlib.sha256(home.plan.text).digest(),
            declared=found.expected,
            deposit=entry.deposit,
            record=StatementHash(entry.statement),
            started=started,
            ended=_not_before(parse_time(found.ended), started),
            failure=one_line("; ".join(reasons)) or None,
        ),
        registers=tuple(
            _register(item)
            for item in found.registers
            if item.verdict is not Verdict.FAILED or item.differing or item.assertions
        ),
    )


def _failures(found: ProofFindings) -> list[str]:
    """Why it did not pass, as far as counts and assertions do not say it."""
    named = () if found.problem is None else (found.problem,)
    return [
        *named,
        *found.faults,
        *(
            f"register {item.id}: {item.problem}"
            for item in found.registers
            if item.problem is not None
        ),
    ]


def _register(item: RegisterFindings) -> ProvenRegister:
    left_out = item.not_compared if item.verdict is not Verdict.DECODED else (_DECODED,)
    return ProvenRegister(
        result=RegisterResult(
            id=item.id,
            title=one_line(item.title),
            captured=parse_time(item.captured),
            rows=item.rows,
            files=item.files,
            objects=item.objects,
            differences=item.differing,
            not_compared=tuple(map(one_line, left_out)),
            assertions=item.assertions,
        ),
        from_packs=item.from_packs.bytes,
        from_source=item.from_source.bytes,
    )


def _not_before(ended: datetime, started: datetime) -> datetime:
    """A clock that was set back makes no certificate impossible."""
    return max(ended, started)
