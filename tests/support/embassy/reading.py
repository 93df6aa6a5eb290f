"""What a survey and a warrant find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exclave.authority.envelope import Envelope
from exclave.authority.record import DepositRecord
from exclave.authority.record_chain import LiveSet, live_set, record_path
from exclave.ids import StatementHash
from exclave.reconstruct.warranting import ReaderParty
from exclave.vault.line.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the logs of some vaults say, newest record first."""

    records: tuple[DepositRecord, ...]
    envelopes: Mapping[StatementHash, Envelope]

    @property
    def known(self) -> Mapping[StatementHash, DepositRecord]:
        """Records by hash."""
        return {record.statement_hash: record for record in self.records}

    @property
    def newest(self) -> DepositRecord:
        """The record that is reconstructed by default."""
        return self.records[0]

    def live(self, record: DepositRecord | None = None) -> LiveSet:
        """What a record refers to."""
        return live_set(record or self.newest, self.known)

    def path(self, record: DepositRecord) -> tuple[Envelope, ...]:
        """Signed records from the last full one to this one."""
        path = record_path(record, self.known)
        return tuple(self.envelopes[item.statement_hash] for item in path)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A restoring machine whose warrant was signed and handed in."""

    reader: ReaderParty
    record: DepositRecord
    live: LiveSet
    warrant: StatementHash

    @property
    def identity(self) -> Identity:
        """The reader's TLS identity."""
        return self.reader.identity
