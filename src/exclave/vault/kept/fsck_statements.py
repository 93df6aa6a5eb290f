"""What `fsck` asks of a log's statements, beyond their bytes being there (spec/ledger.md 1, 7, 8).

Follows the log by the same rules as the vault does. It decides nothing: what is wrong is said, and
the rest goes on as the vault itself would.

Rules
- `witnessed` bodies and `log/cosigned` are checkpoints of this very log, cosigned by a quorum of
  the charter that was in force when they were made or when they were logged.
- A charter follows by the chain's rules; a warrant or order was signed by somebody who counted when
  it was logged. Who has left since is no fault.
- Evidence proves what it says by the named seat's log key; alarms and sweeps can be read.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable
from typing import TypeVar

from exclave.authority.alarm import parse_alarm
from exclave.authority.attestation import verify_attestation
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain, verify_chain, verify_successor
from exclave.authority.custody import verify_custody
from exclave.authority.envelope import ORDERS, TIGHTENING, Kind, parse_envelope
from exclave.authority.evidence import parse_evidence
from exclave.authority.record import parse_record
from exclave.authority.swept import parse_swept
from exclave.authority.witnesses import log_verifiers, witnesses_of
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat
from exclave.ledger.checkpoint import Checkpoint, open_checkpoint, origin_for
from exclave.ledger.consistency import verify_consistency
from exclave.ledger.cosignature import Witnesses, count_witnesses, open_cosigned
from exclave.ledger.entry import EntryType, LogEntry
from exclave.ledger.note import MAX_COSIGNED_LINES, NoteVerifier, parse_note
from exclave.ledger.tiles import TileReader
from exclave.standing.counting import may_tighten, place_members
from exclave.values import dataclass, field
from exclave.vault.kept.hearing import FOLLOWED, EnvelopeSigners, Hearing, value_of

__all__ = ["StatementCheck", "StatementUnfounded"]

T = TypeVar("T")


class StatementUnfounded(IntegrityError):
    """A log has a statement that nobody who counts has signed, or that proves nothing."""


@dataclass(kw_only=True)
class StatementCheck:
    """Follows one log, entry by entry."""

    mission: MissionId
    seat: Seat
    log: NoteVerifier
    checkpoint: Checkpoint  # the newest, to which the whole log leads
    tree: TileReader
    _hearing: Hearing = field(init=False)
    _chain: CharterChain | None = None
    _since: list[int] = field(default_factory=list)  # entries from which the next was in force
    _charters: list[Charter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._hearing = Hearing(self.seat)

    def entry(self, number: int, entry: LogEntry, body: bytes) -> None:
        """The next entry, whose body has the right bytes; raises what is wrong with it."""
        if entry.type not in FOLLOWED:
            self._told(entry, body)
            return
        try:
            self._decides(number, entry, body)
        except ExclaveError:
            # As the vault does: it counts for nothing where it cannot be followed.
            with contextlib.suppress(ExclaveError):
                self._follow(number, entry, body)
            raise
        self._follow(number, entry, body)

    def cosigned(self, note: bytes, now: int) -> Checkpoint:
        """`log/cosigned`, judged at a service time; raises what is wrong with it."""
        self._look(self.checkpoint.size, now)
        return self._quorum(note)

    def kept(self, note: bytes, seat: Seat) -> None:
        """What this seat's witness keeps of a seat's log; its own is also held to the tree."""
        origin = origin_for(self.mission, seat)
        checkpoint = self._by_any(origin, lambda key: open_checkpoint(note, key))
        if origin == self.log.name:
            self._goes_on(checkpoint)
        for charter in self._charters:
            for party in witnesses_of(charter).parties:
                alone = Witnesses(quorum=1, parties=(party,), freshness=1)
                if party.seat == self.seat and count_witnesses(parse_note(note), alone):
                    return
        raise StatementUnfounded(f"checkpoint: expected cosignatures of seat {self.seat}, got none")

    def _decides(self, number: int, entry: LogEntry, body: bytes) -> None:
        if number:
            self._look(number, entry.service)
        if entry.type is EntryType.WITNESSED:
            if self._quorum(body).size > number:
                raise StatementUnfounded(f"witnessed: expected at most {number} entries, got more")
        elif entry.type in {EntryType.CHARTER, EntryType.CONFLICT}:
            self._charter(entry, body)
        else:
            self._signed(entry, body)

    def _follow(self, number: int, entry: LogEntry, body: bytes) -> None:
        self._hearing.hear(number, entry, body)
        self._look(number + 1, entry.service)

    def _look(self, number: int, service: int) -> None:
        """Note which charter is in force before that entry, at a service time."""
        charter = self._hearing.seen_at(service).charter
        if not self._charters or self._charters[-1] is not charter:
            self._since.append(number)
            self._charters.append(charter)

    def _quorum(self, note: bytes) -> Checkpoint:
        """A checkpoint of this log with cosignatures of a quorum; raises what is missing."""
        checkpoint = open_checkpoint(note, self.log, most=MAX_COSIGNED_LINES)
        self._goes_on(checkpoint)
        first = max(0, bisect_right(self._since, checkpoint.size) - 1)
        quorums = [witnesses_of(charter) for charter in self._charters[first:]]
        found = [open_cosigned(note, self.log, witnesses) for witnesses in quorums]
        if not any(cosigned.complete for cosigned in found):
            found[-1].require_quorum()
        return checkpoint

    def _goes_on(self, old: Checkpoint) -> None:
        """Raises `LogForked` when this log does not go on from a checkpoint."""
        if old.size > self.checkpoint.size:
            raise StatementUnfounded(
                f"checkpoint: expected at most {self.checkpoint.size} entries, got {old.size}"
            )
        verify_consistency(
            old_size=old.size,
            old_root=old.root,
            new_size=self.checkpoint.size,
            new_root=self.checkpoint.root,
            proof=self.tree.consistency_proof(old.size),
        )

    def _charter(self, entry: LogEntry, body: bytes) -> None:
        envelope = parse_envelope(body)
        if self._chain is None:
            self._chain = verify_chain([envelope], self.mission)
            return
        longer = verify_successor(self._chain, envelope)
        if entry.type is EntryType.CHARTER:
            self._chain = longer

    def _signed(self, entry: LogEntry, body: bytes) -> None:
        """A warrant or order, or more signatures: of somebody who counts now."""
        envelope = parse_envelope(body, kinds={Kind.CHARTER, Kind.WARRANT, *ORDERS})
        if entry.statement != envelope.statement_hash:
            raise StatementUnfounded("statement: its hash is not the one that the entry names")
        value, signers = value_of(envelope), EnvelopeSigners(envelope)
        standing = self._hearing.seen_at(entry.service)
        counted = place_members(standing, value, signers)
        if envelope.kind in TIGHTENING:
            counted |= may_tighten(standing, value, signers)
        # A charter's more signatures may be of those whom only it, or its predecessor, knows.
        if not counted and envelope.kind is not Kind.CHARTER:
            raise StatementUnfounded(
                f"{envelope.kind}: expected a signature of somebody who counted then, got none"
            )

    def _told(self, entry: LogEntry, body: bytes) -> None:
        match entry.type:
            case EntryType.ALARM:
                parse_alarm(parse_envelope(body))
            case EntryType.SWEPT:
                parse_swept(parse_envelope(body))
            case EntryType.RECORD:
                parse_record(parse_envelope(body))
            case EntryType.EVIDENCE:
                self._evidence(body)
            case EntryType.CUSTODY:
                verify_custody(parse_envelope(body), self._charters)
            case EntryType.ATTESTATION:
                verify_attestation(parse_envelope(body), self._charters)
            case _:
                pass

    def _evidence(self, body: bytes) -> None:
        evidence = parse_evidence(parse_envelope(body))
        self._by_any(origin_for(self.mission, evidence.seat), evidence.verify)

    def _by_any(self, origin: str, read: Callable[[NoteVerifier], T]) -> T:
        """By one of the keys that a log of the mission has had."""
        keys = [log_verifiers(charter).get(origin) for charter in self._charters]
        for key in dict.fromkeys(keys):
            if key is not None:
                with contextlib.suppress(IntegrityError):
                    return read(key)
        raise StatementUnfounded(f"note: expected one signed by the key of {origin}, got another")
