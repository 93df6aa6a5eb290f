"""Proofs: a deposit restored from the packs as sent, without officials (spec/certificates.md 3).

Reads, writes and verifies the certificate; `exclave deposit --prove` makes it. Rules: both keys of
the depositor signed; writing a parsed proof gives the same bytes.
"""

from __future__ import annotations

from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope, Kind, envelope_for, payload_object
from exclave.authority.fields import Node
from exclave.authority.persons import require_keys
from exclave.certificate.results import (
    COMMON,
    HEAD,
    RESULTS,
    CertificateForeign,
    CertificateHead,
    RegisterResult,
    Results,
    head_json,
    read_head,
    read_register,
    read_results,
    register_json,
    require_mission,
    require_once,
    require_verdict,
    results_json,
)
from exclave.values import dataclass

__all__ = ["Proof", "ProvenRegister", "parse_proof", "proof_envelope", "verify_proof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenRegister:
    """A register, and where its bytes came from."""

    result: RegisterResult
    from_packs: int  # bytes that came out of packs of this deposit
    from_source: int  # bytes in packs of earlier ones, read again and matched by chunk id


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a depositor proved of a deposit; `declared` are the deposit's registers."""

    head: CertificateHead
    depositor: str
    results: Results
    registers: tuple[ProvenRegister, ...]

    def __post_init__(self) -> None:
        Node(self.depositor, "proof.depositor").slug()
        require_once(register.result for register in self.registers)

    @property
    def passed(self) -> bool:
        """The verdict (spec/certificates.md 2)."""
        return self.results.passed(register.result for register in self.registers)


def proof_envelope(proof: Proof) -> Envelope:
    """The certificate, unsigned."""
    return envelope_for(
        {
            "kind": Kind.PROOF.value,
            "depositor": proof.depositor,
            **head_json(proof.head),
            **results_json(proof.results, [item.result for item in proof.registers]),
            "registers": [
                register_json(item.result)
                | {"from_packs": item.from_packs, "from_source": item.from_source}
                for item in proof.registers
            ],
        }
    )


def parse_proof(envelope: Envelope) -> Proof:
    """Read the proof in an envelope; signatures are not checked here."""
    found = payload_object(envelope, Kind.PROOF).fields(*HEAD, *RESULTS, "depositor")
    proof = Proof(
        head=read_head(found),
        depositor=found["depositor"].slug(),
        results=read_results(found),
        registers=found["registers"].each(_read_register),
    )
    require_verdict(found["passed"], proof.results, [item.result for item in proof.registers])
    return proof


def _read_register(node: Node) -> ProvenRegister:
    found = node.fields(*COMMON, "from_packs", "from_source")
    return ProvenRegister(
        result=read_register(found),
        from_packs=found["from_packs"].integer(),
        from_source=found["from_source"].integer(),
    )


def verify_proof(envelope: Envelope, charter: Charter) -> Proof:
    """Check a proof against the charter that it names; raises an `AuthorityError`."""
    proof = parse_proof(envelope)
    require_mission(proof.head, charter.mission_id, "proof")
    if proof.head.charter != charter.statement_hash:
        raise CertificateForeign(
            f"proof.charter: expected {charter.statement_hash.hex()}, "
            f"got {proof.head.charter.hex()}"
        )
    keys = charter.depositor(proof.depositor).keys
    require_keys(envelope, keys, party=f"depositor {proof.depositor}")
    return proof
