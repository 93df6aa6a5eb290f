"""What a proof found, in words and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exclave.plain_words import count, size

if TYPE_CHECKING:
    from exclave.deposit.run import DepositOutcome
    from exclave.proof.values import ProofFindings, RegisterFindings, Share

__all__ = ["proof_json", "proof_words"]


def proof_json(found: ProofFindings, outcome: DepositOutcome) -> dict[str, object]:
    """All of it."""
    from exclave.proof.values import register_to_json

    return {
        "passed": found.passed,
        "started": found.started,
        "ended": found.ended,
        "packs": found.packs,
        "pack_bytes": found.pack_bytes,
        "faults": list(found.faults),
        "problem": found.problem,
        "certificate": None if outcome.certificate is None else str(outcome.certificate),
        "attested": list(outcome.attested),
        "registers": [register_to_json(item) for item in found.registers],
    }


def proof_words(found: ProofFindings, outcome: DepositOutcome) -> list[str]:
    """A line of the whole, one of each register, and where the certificate lies."""
    verdict = "PROVEN" if found.passed else "NOT PROVEN"
    packs = f"{found.packs} packs of {size(found.pack_bytes)} decoded as sent"
    lines = [f"{verdict}: {packs}", *map(_register, found.registers)]
    if outcome.certificate is not None:
        seats = ", ".join(map(str, outcome.attested)) or "none"
        lines.append(f"  certificate {outcome.certificate}, its hash logged at seats {seats}")
    return lines


def _register(item: RegisterFindings) -> str:
    shares = (
        f"{_share(item.from_packs)} from these packs, {_share(item.from_source)} from the source"
    )
    held = sum(each.held for each in item.assertions)
    asserted = f", {held} of {len(item.assertions)} assertions hold" if item.assertions else ""
    return f"  {item.verdict:8} {item.id:24} {count(item.rows, item.files)}: {shares}{asserted}"


def _share(share: Share) -> str:
    return f"{size(share.bytes)} in {share.chunks} chunks"
