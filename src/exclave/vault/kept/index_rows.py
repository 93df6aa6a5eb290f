"""What rows of a mission's index mean, as values; and its errors.

StorageError
+-- IndexFailed
IntegrityError
+-- IndexConflict
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from exclave.dispersal.code import body_length
from exclave.dispersal.shard import PREFIX_SIZE
from exclave.errors import IntegrityError, StorageError
from exclave.ids import DepositId, PackRoot, ShardRoot, StatementHash
from exclave.values import dataclass
from exclave.vault.interface import RecordState, State

__all__ = [
    "IndexConflict",
    "IndexFailed",
    "NamedShard",
    "RecordRow",
    "blob",
    "index_errors",
    "record_row",
]


class IndexFailed(StorageError):
    """SQLite could not read or write the index."""


class IndexConflict(IntegrityError):
    """A row contradicts one that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedShard:
    """A shard of this seat as a record describes it, or as its own header does."""

    root: ShardRoot
    pack: PackRoot
    length: int  # of the sealed pack, in bytes
    k: int

    @property
    def size(self) -> int:
        """Bytes of such a shard."""
        return PREFIX_SIZE + body_length(self.length, self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow:
    """Where a record stands."""

    statement: StatementHash
    author: str  # its name: chains are of keys, not of ids alone
    depositor: str
    sequence: int
    deposit: DepositId
    previous: StatementHash | None
    full: bool
    number: int  # of its latest log entry
    logged: str
    lodged: bool
    forked: bool

    @property
    def state(self) -> State:
        """As the protocol names it."""
        if self.forked:
            return State.FORKED
        return State.LODGED if self.lodged else State.PENDING

    def listed(self) -> RecordState:
        """As the status lists it."""
        return RecordState(
            statement=self.statement,
            deposit=self.deposit,
            depositor=self.depositor,
            sequence=self.sequence,
            state=self.state,
            logged=self.logged,
        )


@contextmanager
def index_errors() -> Iterator[None]:
    """Turn an error of SQLite into `IndexFailed` or `IndexConflict`."""
    try:
        yield
    except apsw.ConstraintError as error:
        raise IndexConflict(f"index: {error}") from error
    except apsw.Error as error:
        raise IndexFailed(
            f"index: {error}", hint="state.db may be deleted while the vault is down"
        ) from error


def blob(value: object) -> bytes:
    """A column that holds bytes."""
    assert isinstance(value, bytes)
    return value


def record_row(row: tuple[object, ...]) -> RecordRow:
    """A record from the columns that `Index.records` asks for."""
    previous = row[5]
    return RecordRow(
        statement=StatementHash(blob(row[0])),
        author=str(row[1]),
        depositor=str(row[2]),
        sequence=int(str(row[3])),
        deposit=DepositId(blob(row[4])),
        previous=None if previous is None else StatementHash(blob(previous)),
        full=bool(row[6]),
        number=int(str(row[7])),
        logged=str(row[8]),
        lodged=row[9] is not None,
        forked=bool(row[10]),
    )
