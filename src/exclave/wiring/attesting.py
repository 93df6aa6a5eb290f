"""Puts a certificate's hash, and the certificate sealed, into the vaults' logs.

Whoever has home does that, for its own proofs, for the auditor's certificate (its hash alone), and
for drills that another machine held. One vault suffices: vaults mirror it. A vault that is silent
or refuses keeps none of the others back.
"""

from __future__ import annotations

from exclave.authority.envelope import Envelope
from exclave.certificate.sealed import attest
from exclave.clock import now
from exclave.lines import LoopThread
from exclave.signer.interface import sign_envelope
from exclave.vault.interface import StatementState
from exclave.wiring.depositor import Home
from exclave.wiring.lines import Lines
from exclave.wiring.seats import QUICK_SECONDS, QUICKLY, Answers, ask_records

__all__ = ["is_logged", "log_certificate"]


def log_certificate(home: Home, envelope: Envelope) -> Answers:
    """Hand the attestation of a signed certificate to every seat that has a vault.

    Raises `CertificateTooLarge`; what a vault answered, or why it did not, is in the answers. A
    vault in a folder is written to, so nothing else of this depositor may have it open.
    """
    party, settings = home.party, home.settings
    statement = attest(envelope, party.charter, depositor=party.id, now=now())
    data = sign_envelope(statement, party.signers).to_bytes()
    loop = LoopThread()
    try:
        with Lines(
            party.charter,
            loop=loop,
            clock=now,
            identity=home.identity(),
            addresses=settings.addresses,
            folders=settings.folders,
            policy=QUICKLY,
            idle_seconds=QUICK_SECONDS,
        ) as lines:
            records = [line.record for line in lines.seats.values()]
            return loop.run(ask_records(records, lambda record: record.submit(data)))
    finally:
        loop.close()


def is_logged(answers: Answers) -> bool:
    """Whether at least one vault has it."""
    return any(isinstance(answer, StatementState) for answer in answers.values())
