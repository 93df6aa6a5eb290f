"""One table's rows: from COPY to a stream and a row tree, in blocks of whole lines."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Final

import psycopg

from exclave.archive.objects import PgTable
from exclave.source.interface import ArchiveSink, Progress, StreamPurpose, StreamSink
from exclave.source.postgresql.catalog import ListedTable
from exclave.source.postgresql.config import PostgresConfig, TableOrder
from exclave.source.postgresql.connect import Connection, qualified
from exclave.source.postgresql.errors import CopyFailed, reason
from exclave.source.postgresql.reading import RowReader
from exclave.source.postgresql.rowtree import CopyPlan, RowTreeBuilder, plan_copy
from exclave.source.postgresql.snapshot import Snapshot, Watch

__all__ = ["RateLimit", "TableCopier", "plan_table"]

# A sort by key of a large table merges in one pass instead of several; two sessions sort at a time.
# Read through an index of another order, each row is a page looked for anew: the planner, which
# counts on a cache for them, is told of none, so that it sorts then.
_SORTING: Final = "SET LOCAL work_mem = '64MB'; SET LOCAL effective_cache_size = '1MB'"


class RateLimit:
    """Bytes per second over all sessions together; thread-safe."""

    def __init__(self, bytes_per_second: int | None) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def spend(self, count: int) -> None:
        """Wait until so many bytes may pass."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self._rate
            wait = self._free_at - now
        time.sleep(wait)


def plan_table(
    config: PostgresConfig, table: ListedTable, database: str, encoding: str
) -> CopyPlan:
    """Decide order and command for one table (see `TableOrder`)."""
    shape = table.shape
    order = config.orders.get(f"{database}.{shape.label}") or config.orders.get(
        shape.label, TableOrder.AUTOMATIC
    )
    small = table.size <= config.key_order_limit
    return plan_copy(
        schema=shape.schema,
        name=shape.name,
        columns=shape.columns,
        n_key=len(shape.key),
        by_key=order is TableOrder.KEY or (order is TableOrder.AUTOMATIC and small),
        encoding=encoding,
    )


class TableCopier:
    """Copies tables of one snapshot; one object serves all worker threads."""

    def __init__(
        self,
        config: PostgresConfig,
        snapshot: Snapshot,
        sink: ArchiveSink,
        progress: Progress,
        *,
        reader: RowReader,
        encoding: str,
        watch: Watch,
        stopped: threading.Event,
    ) -> None:
        self._config = config
        self._snapshot = snapshot
        self._sink = sink
        self._progress = progress
        self._reader = reader
        self._encoding = encoding
        self._watch = watch
        self._stopped = stopped
        self._rate = RateLimit(config.bytes_per_second)

    def copy(self, session: Connection, table: ListedTable) -> PgTable:
        """Copy one table with this session; raises `CopyFailed` and its siblings."""
        label = f"{self._snapshot.database}.{table.shape.label}"
        self._watch(f"copying {label}")
        plan = plan_table(self._config, table, self._snapshot.database, self._encoding)
        try:
            self._same_object(session, table, label)
            result = self._run(session, table, plan)
            self._same_object(session, table, label)
        except psycopg.errors.QueryCanceled as error:
            self._snapshot.remaining()
            raise CopyFailed(f"table {label}: reading was cancelled") from error
        except psycopg.Error as error:
            raise CopyFailed(
                f"table {label}: expected to read all rows, got: {reason(error)}",
                hint="nothing of it was lodged; when the server reads the table again, run again",
            ) from error
        return result

    def cancel(self) -> None:
        """End what other programs read for us; the sessions are the caller's."""
        self._reader.cancel()

    def _run(self, session: Connection, table: ListedTable, plan: CopyPlan) -> PgTable:
        purpose = StreamPurpose.TABLE_ORDERED if plan.n_key else StreamPurpose.TABLE_HEAP
        data = self._sink.open_stream(purpose, expected_size=table.size)
        groups = self._sink.open_stream(StreamPurpose.ROW_GROUPS)
        builder = RowTreeBuilder(plan, groups.write)
        self._pump(session, table, plan, data, builder)
        tree = builder.finish()
        shape = table.shape
        return PgTable(
            database=self._snapshot.database,
            schema=shape.schema,
            name=shape.name,
            columns=tuple((column.name, column.type) for column in shape.columns),
            key=shape.key,
            order=plan.order,
            rows=tree.rows,
            row_root=tree.root,
            groups=groups.finish(),
            data=data.finish(),
        )

    def _pump(
        self,
        session: Connection,
        table: ListedTable,
        plan: CopyPlan,
        data: StreamSink,
        builder: RowTreeBuilder,
    ) -> None:
        label = f"{self._snapshot.database}.{table.shape.label}"
        milliseconds = max(1, round(self._snapshot.remaining() * 1000))
        reading = self._reader.read(
            session,
            qualified(table.shape.schema, table.shape.name),
            plan.command,
            size=table.size,
            settings=f"SET LOCAL statement_timeout = {milliseconds}; {_SORTING}",
        )
        with closing(reading) as blocks:
            for block in blocks:
                if self._stopped.is_set():
                    raise CopyFailed(f"table {label}: stopped, since another table failed")
                self._snapshot.remaining()
                rows = builder.take(block)
                data.write(block)
                self._rate.spend(len(block))
                self._progress(label, rows, len(block))

    def _same_object(self, session: Connection, table: ListedTable, label: str) -> None:
        """Raise `CopyFailed` unless the name still means the locked table.

        A table's own name cannot change under our lock, but its schema's can.
        """
        name = qualified(table.shape.schema, table.shape.name)
        row = session.execute(
            "SELECT pg_catalog.to_regclass(%s::pg_catalog.text)::pg_catalog.oid::pg_catalog.int8",
            (name,),
        ).fetchone()
        if row is None or row[0] != table.shape.oid:
            raise CopyFailed(f"table {label}: its schema was renamed during the capture")
