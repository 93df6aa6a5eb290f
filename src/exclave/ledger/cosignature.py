"""Cosignatures: what witnesses sign below a log's checkpoint, and when they are a quorum.

C2SP tlog-cosignature (spec/ledger.md 7). Holds no private key and knows no charter: who the
witnesses are is a value (`Witnesses`), which `exclave.authority.witnesses` makes of a charter.

Rules
- A party counts once, when each of its keys signed and all with one time stamp, which is not 0.
- A known key's failing line refuses the whole note; unknown lines are ignored.
- Time stamps are returned, never judged against a clock: what is stale is said for a moment that
  the caller names.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from exclave.errors import AuthorityError, IntegrityError, MalformedData
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import Checkpoint, open_checkpoint, origin_for
from exclave.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    MAX_COSIGNED_LINES,
    Note,
    NoteForged,
    NoteSignature,
    NoteVerifier,
    cosigned_message,
    parse_note,
)
from exclave.values import dataclass

__all__ = [
    "Cosigned",
    "CosignedBy",
    "Cosigner",
    "CosigningKey",
    "TimeStampInvalid",
    "WitnessParty",
    "WitnessQuorumMissing",
    "Witnesses",
    "cosign",
    "count_witnesses",
    "open_cosigned",
    "seat_verifiers",
    "witness_name",
]

_LAST_STAMP = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
_COSIGNING = frozenset({COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44})


class WitnessQuorumMissing(AuthorityError):
    """Fewer witnesses than the charter asks for cosigned a checkpoint."""


class TimeStampInvalid(IntegrityError):
    """A cosignature's time is no moment, or a cosigner was asked to sign at none."""


def witness_name(mission: MissionId, seat: Seat) -> str:
    """The name under which a seat cosigns."""
    return f"{origin_for(mission, seat)}/witness"


def seat_verifiers(
    mission: MissionId, seat: Seat, *, ed25519: bytes, ml_dsa_44: bytes
) -> tuple[NoteVerifier, NoteVerifier]:
    """Verifiers for a seat's two witness keys, raw as in the charter."""
    name = witness_name(mission, seat)
    return (
        NoteVerifier(name=name, key_type=COSIGNATURE_ED25519, public_key=ed25519),
        NoteVerifier(name=name, key_type=COSIGNATURE_ML_DSA_44, public_key=ml_dsa_44),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessParty:
    """A seat, or an external witness, with all of its keys."""

    name: str  # of its lines
    seat: Seat | None  # None: external
    verifiers: tuple[NoteVerifier, ...]

    def __post_init__(self) -> None:
        if not self.verifiers:
            raise MalformedData(f"witness {self.name[:80]!r}: expected keys, got none")
        for verifier in self.verifiers:
            if verifier.name != self.name or verifier.key_type not in _COSIGNING:
                raise MalformedData(f"witness {self.name[:80]!r}: expected cosigning keys of it")

    @property
    def label(self) -> str:
        """For people: `seat 3`, or the name."""
        return self.name if self.seat is None else f"seat {self.seat}"

    @property
    def key(self) -> Seat | str:
        """The seat, or an external witness's name."""
        return self.name if self.seat is None else self.seat


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """Who may witness a mission's logs: `quorum` of them make a checkpoint count.

    A cosignature older than `freshness` seconds is stale.
    """

    quorum: int
    parties: tuple[WitnessParty, ...]
    freshness: int

    def __post_init__(self) -> None:
        if self.quorum < 1 or self.freshness < 1:
            raise MalformedData("witnesses: expected a quorum and a freshness of at least 1")
        if len({party.name for party in self.parties}) != len(self.parties):
            raise MalformedData("witnesses: expected each name once")

    def party(self, seat: Seat) -> WitnessParty | None:
        """The party of a seat; None when it is not one of them."""
        return next((party for party in self.parties if party.seat == seat), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignedBy:
    """A party that counts for a checkpoint, and its time stamp in seconds since 1970."""

    party: WitnessParty
    timestamp: int

    @property
    def moment(self) -> datetime:
        """The time stamp as a moment."""
        return datetime.fromtimestamp(self.timestamp, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """A log's checkpoint and who cosigned it."""

    checkpoint: Checkpoint
    note: Note
    by: tuple[CosignedBy, ...]
    quorum: int

    @property
    def complete(self) -> bool:
        """Whether they are a witness quorum; how fresh it is, is another question."""
        return len(self.by) >= self.quorum

    def require_quorum(self) -> None:
        """Raises `WitnessQuorumMissing`."""
        if not self.complete:
            raise WitnessQuorumMissing(
                f"witness quorum not reached: {len(self.by)} witnesses cosigned "
                f"{self.checkpoint.origin[:100]!r} at size {self.checkpoint.size}, "
                f"{self.quorum} required"
            )


def count_witnesses(note: Note, witnesses: Witnesses) -> tuple[CosignedBy, ...]:
    """Who counts for a note, in the order of `witnesses`; raises `NoteForged`."""
    known = {
        (verifier.name, verifier.key_id): verifier
        for party in witnesses.parties
        for verifier in party.verifiers
    }
    stamps: dict[NoteVerifier, set[int]] = {}
    for line in note.signatures:
        verifier = known.get((line.name, line.key_id))
        if verifier is not None:
            verifier.verify(note.text, line.signature)
            stamps.setdefault(verifier, set()).add(_stamp(line))
    found: list[CosignedBy] = []
    for party in witnesses.parties:
        common = set.intersection(*(stamps.get(v, set()) for v in party.verifiers))
        usable = [stamp for stamp in common if 0 < stamp <= _LAST_STAMP]
        if usable:
            found.append(CosignedBy(party=party, timestamp=max(usable)))
    return tuple(found)


def open_cosigned(note: bytes, log: NoteVerifier, witnesses: Witnesses) -> Cosigned:
    """Verify a cosigned note by the log's key and count its witnesses; few are no error here."""
    checkpoint = open_checkpoint(note, log, most=MAX_COSIGNED_LINES)
    parsed = parse_note(note, most=MAX_COSIGNED_LINES)
    by = count_witnesses(parsed, witnesses)
    return Cosigned(checkpoint=checkpoint, note=parsed, by=by, quorum=witnesses.quorum)


@dataclass(frozen=True, slots=True, kw_only=True)
class CosigningKey:
    """One of a cosigner's keys: its public half and a callable message -> signature."""

    key_type: int
    public_key: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """A witness that signs with all of its keys."""

    name: str
    keys: tuple[CosigningKey, ...]

    def verifiers(self) -> tuple[NoteVerifier, ...]:
        """What others verify with."""
        return tuple(
            NoteVerifier(name=self.name, key_type=key.key_type, public_key=key.public_key)
            for key in self.keys
        )


def cosign(text: bytes, cosigner: Cosigner, timestamp: int) -> tuple[NoteSignature, ...]:
    """A line for each key below a checkpoint's text; each is verified before it leaves."""
    if not 0 < timestamp <= _LAST_STAMP:
        raise TimeStampInvalid(f"cosignature: expected a time after 1970, got {timestamp}")
    lines: list[NoteSignature] = []
    for key, verifier in zip(cosigner.keys, cosigner.verifiers(), strict=True):
        message = cosigned_message(cosigner.name, key.key_type, timestamp, text)
        signature = timestamp.to_bytes(8) + key.sign(message)
        verifier.verify(text, signature)
        lines.append(NoteSignature(name=cosigner.name, key_id=verifier.key_id, signature=signature))
    return tuple(lines)


def _stamp(line: NoteSignature) -> int:
    if len(line.signature) < 8:
        raise NoteForged(f"note: cosignature by {line.name[:80]!r} is cut off")
    return int.from_bytes(line.signature[:8])
