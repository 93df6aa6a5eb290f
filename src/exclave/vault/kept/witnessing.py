"""A vault as a witness of its mission's logs, its own included (spec/ledger.md 7).

What to answer is `exclave.ledger.witness`'s decision; here its state is kept. For each log the
newest accepted note lies in `meta/witness-<seat>`, this witness's cosignatures below it. Logging
the evidence of a fork is `exclave.vault.mission.cosigning`'s.

Rules
- Comparing and keeping are one step under a lock, durable before a cosignature leaves.
- What cannot be kept is not cosigned. State that cannot be read stops the witness of that log:
  to begin again would mean to cosign a fork.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from exclave.clock import Clock
from exclave.errors import ExclaveError, IntegrityError
from exclave.ledger.checkpoint import parse_checkpoint
from exclave.ledger.cosignature import Cosigner, cosign
from exclave.ledger.note import NoteSignature, NoteVerifier, parse_note
from exclave.ledger.witness import Decision, decide
from exclave.values import dataclass, replace
from exclave.vault.kept.storage import ObjectStore, read_optional

__all__ = ["WitnessStateBroken", "Witnessed", "Witnessing"]


class WitnessStateBroken(IntegrityError):
    """What this witness knew of a log cannot be read any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """What was decided, and the cosignatures when the checkpoint was accepted."""

    decision: Decision
    lines: tuple[NoteSignature, ...] = ()


class Witnessing:
    """The witness of one mission at one vault."""

    def __init__(self, store: ObjectStore, cosigner: Cosigner, clock: Clock) -> None:
        self._store = store
        self.cosigner = cosigner
        self._clock = clock
        self._lock = threading.Lock()

    def add_checkpoint(self, body: bytes, logs: Mapping[str, NoteVerifier]) -> Witnessed:
        """Answer a request; what was accepted is durable when this returns."""
        with self._lock:
            decision = decide(body, logs, self.newest)
            note = decision.accepted
            if note is None:
                return Witnessed(decision=decision)
            origin = parse_checkpoint(note.text).origin
            lines = cosign(note.text, self.cosigner, int(self._clock().timestamp()))
            kept = replace(note, signatures=(*note.signatures, *lines))
            self._store.replace_head(_key(origin), kept.encode())
            return Witnessed(decision=decision, lines=lines)

    def newest(self, origin: str) -> bytes | None:
        """The newest note of a log that was cosigned here, with the cosignatures.

        Raises `WitnessStateBroken` for state that is no note of that log.
        """
        data = read_optional(self._store, _key(origin))
        if data is None:
            return None
        try:
            kept = parse_checkpoint(parse_note(data).text).origin
        except ExclaveError as error:
            raise WitnessStateBroken(
                f"{_key(origin)}: {error.message}",
                hint="a witness that lost its state is given new witness keys by a charter",
            ) from error
        if kept != origin:
            raise WitnessStateBroken(f"{_key(origin)}: expected {origin!r}, got {kept[:120]!r}")
        return data


def _key(origin: str) -> str:
    # Origins come from a charter's seats alone, and so end in a number.
    return f"meta/witness-{origin.rsplit('/', 1)[1]}"
