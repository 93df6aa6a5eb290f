"""Proofs for tests: one deposit whose kept packs stay, and proving processes that misbehave.

with kept_deposit(embassy) as kept:           # deposits once; what a proof is made from stays
    findings = kept.prove(embassy.prover())   # as often as wanted
broken("...")                                 # a proving process with a change made to it first
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest

from exclave.deposit.kept import Kept
from exclave.proof.serving import Prover, ToProve
from exclave.proof.values import ProofFindings
from tests.support.embassy import Embassy

__all__ = ["Holding", "KeptDeposit", "broken", "kept_deposit"]

_BEGIN: Final = "from exclave.proof import process, prover, sent, wire\nimport os, time\n"
_END: Final = "\nos._exit(process.main())\n"


def broken(change: str) -> tuple[str, ...]:
    """The program of a proving process that makes a change to itself before it begins."""
    return (sys.executable, "-P", "-c", _BEGIN + change + _END)


@dataclass(kw_only=True)
class KeptDeposit:
    """What a proof of one deposit is made from."""

    what: ToProve
    kept: Kept
    begun: list[str] = field(default_factory=list)

    def prove(self, prover: Prover) -> ProofFindings:
        """Prove it."""
        self.begun.clear()
        return prover.prove(self.what, self.kept, self.begun.append)


class Holding(Prover):
    """Proves nothing, but holds on to what a proof would be made from."""

    __slots__ = ()
    held: list[KeptDeposit] = []  # noqa: RUF012

    def prove(self, what: ToProve, kept: Kept, begun: Callable[[str], None]) -> ProofFindings:
        """Keep it."""
        del begun
        copied = ToProve(
            record=what.record,
            secret_id=what.secret_id,
            secret=bytearray(what.secret),
            dedup_key=what.dedup_key,
            registers=what.registers,
        )
        self.held.append(KeptDeposit(what=copied, kept=kept))
        return ProofFindings(started="", ended="", expected=what.registers, problem="held")


@contextmanager
def kept_deposit(embassy: Embassy) -> Iterator[KeptDeposit]:
    """Deposit everything, and keep what its proof is made from."""
    prover = embassy.prover()
    holding = Holding(
        quarantine=prover.quarantine,
        limit=prover.limit,
        timeout=prover.timeout,
        server=None,
        clock=prover.clock,
    )
    with pytest.MonkeyPatch.context() as patch:
        close = Kept.close
        patch.setattr(Kept, "close", lambda self: None)
        embassy.deposit(prover=holding)
    kept = Holding.held.pop()
    try:
        yield kept
    finally:
        close(kept.kept)
