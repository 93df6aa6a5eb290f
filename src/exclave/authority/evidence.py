"""Evidence: two checkpoints that a log signed and that cannot both be true (spec/ledger.md 8).

Unsigned: the two notes are the proof. Rules: both notes are of the named seat's log; which keys
signed them is the reader's to check, by the charters that it knows.
"""

from __future__ import annotations

from typing import Final

from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.fields import FieldInvalid, Node
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import Checkpoint, origin_for, parse_checkpoint
from exclave.ledger.note import NoteVerifier, parse_note, verify_note
from exclave.values import dataclass

__all__ = ["FORK", "Evidence", "EvidenceEmpty", "evidence_payload", "parse_evidence"]

FORK: Final = "fork"


class EvidenceEmpty(FieldInvalid):
    """Two notes that contradict each other in nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A fork of one seat's log; the earlier note, or the one seen first, comes first."""

    mission: MissionId
    seat: Seat
    cause: str
    notes: tuple[bytes, bytes]

    def __post_init__(self) -> None:
        if self.cause != FORK:
            raise FieldInvalid(f"evidence.cause: expected {FORK!r}, got {self.cause[:40]!r}")
        first, second = self.checkpoints
        origin = origin_for(self.mission, self.seat)
        for checkpoint in (first, second):
            if checkpoint.origin != origin:
                raise FieldInvalid(
                    f"evidence.notes: expected {origin!r}, got {checkpoint.origin[:120]!r}"
                )
        if first.size > second.size or first.root == second.root:
            raise EvidenceEmpty("evidence.notes: expected two roots, the smaller size first")

    @property
    def checkpoints(self) -> tuple[Checkpoint, Checkpoint]:
        """What the two notes say."""
        first, second = (parse_checkpoint(parse_note(note).text) for note in self.notes)
        return first, second

    @property
    def proves_alone(self) -> bool:
        """Whether the notes are of one size: then they prove the fork to everybody."""
        first, second = self.checkpoints
        return first.size == second.size

    def verify(self, log: NoteVerifier) -> None:
        """Check that the log's key signed both; raises `NoteForged` or `NoteUnsigned`."""
        for note in self.notes:
            verify_note(parse_note(note), [log])


def evidence_payload(evidence: Evidence) -> bytes:
    """The evidence as canonical JSON."""
    payload: JsonObject = {
        "kind": Kind.EVIDENCE.value,
        "mission": evidence.mission.hex(),
        "seat": evidence.seat,
        "cause": evidence.cause,
        "notes": [b64encode(note) for note in evidence.notes],
    }
    return canonical_json(payload)


def parse_evidence(envelope: Envelope) -> Evidence:
    """Read the statement in an envelope."""
    fields = payload_object(envelope, Kind.EVIDENCE).fields("kind", *Evidence.__slots__)
    first, second = fields["notes"].each(Node.base64, least=2, most=2)
    return Evidence(
        mission=MissionId(fields["mission"].hex(32)),
        seat=Seat(fields["seat"].integer(1, 255)),
        cause=fields["cause"].literal(FORK),
        notes=(first, second),
    )
