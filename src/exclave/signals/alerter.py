"""Tells people what is wrong: each cause once to each target, and when it is over.

Rules
- `tell` neither waits for a target nor raises: whoever deposits goes on, whatever mail does.
- What was told is on disk before the next look; where it cannot be written, the alerter goes on
  with what it has in memory, and says so in the log.
- Every cause stands in the log too, with or without targets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from exclave.authority.fields import FormatTooNew
from exclave.durable import make_path, replace_file
from exclave.errors import ExclaveError
from exclave.signals.book import Book
from exclave.signals.cause import Cause, Message, one_line
from exclave.signals.interface import AlertUndelivered, Target
from exclave.signals.memory import book_bytes, parse_book
from exclave.signals.settings import AlertsTable, open_targets
from exclave.values import dataclass

__all__ = ["Alerter", "TargetState", "inline", "open_alerter"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """How a target does; `failures` counts since it last took a message."""

    name: str
    failures: int


def _threaded(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="alerts", daemon=True).start()


def inline(work: Callable[[], None]) -> None:
    """Do it now: for tests and simulated time."""
    work()


class Alerter:
    """One installation's; thread-safe."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        memory: Path,
        source: str,
        remind_after: timedelta,
        run: Callable[[Callable[[], None]], None] = _threaded,
    ) -> None:
        """`memory` is the file that remembers, made when it is not there.

        Raises `FormatTooNew` where a later version made it: what that was told is not ours to lose.
        """
        self._targets = {target.name: target for target in targets}
        self._memory = memory
        self._source = source
        self._remind_after = remind_after
        self._run = run
        self._lock = threading.Condition(threading.RLock())
        self._busy: set[str] = set()
        self._book = self._load()

    def tell(self, causes: Collection[Cause], moment: datetime) -> None:
        """Say that just these causes stand now; returns at once."""
        try:
            with self._lock:
                before = self._book
                clean = [_clean(cause) for cause in causes]
                self._book = before.noted(clean, moment, targets=self._targets)
                _log_changes(before, self._book)
                self._save(before)
            for name in self._targets:
                self._begin(name, moment)
        except Exception as error:
            # Whatever it was: no alert is worth the end of the program that deposits.
            _LOG.error("alerts: %s", type(error).__name__)

    def states(self) -> tuple[TargetState, ...]:
        """Each target's."""
        with self._lock:
            failures = self._book.failures
            return tuple(
                TargetState(name=name, failures=failures[name].count if name in failures else 0)
                for name in self._targets
            )

    def close(self, seconds: float = 5.0) -> None:
        """Wait so long at most for what is on its way."""
        with self._lock:
            self._lock.wait_for(lambda: not self._busy, timeout=seconds)

    def _begin(self, name: str, moment: datetime) -> None:
        with self._lock:
            message = None
            if name not in self._busy:
                message = self._book.message(
                    name, moment, source=self._source, remind_after=self._remind_after
                )
            if message is None:
                return
            self._busy.add(name)
        told: Message = message
        self._run(lambda: self._deliver(name, told))

    def _deliver(self, name: str, message: Message) -> None:
        why: str | None = None
        try:
            self._targets[name].send(message)
        except ExclaveError as error:
            why = error.message if isinstance(error, AlertUndelivered) else one_line(error.message)
        except Exception as error:
            why = type(error).__name__
        with self._lock:
            before = self._book
            if why is None:
                self._book = before.delivered(name, message, targets=self._targets)
            else:
                self._book = before.failed(name, message.moment)
                count = self._book.failures[name].count
                _LOG.warning("alerts: target %s did not take it (%d times): %s", name, count, why)
            self._save(before)
            self._busy.discard(name)
            self._lock.notify_all()

    def _load(self) -> Book:
        try:
            return parse_book(self._memory.read_bytes())
        except FileNotFoundError:
            return Book()
        except FormatTooNew:
            raise
        except (OSError, ExclaveError) as error:
            _LOG.error("alerts: what was told is not known any more: %s", _said(error))
            return Book()

    def _save(self, before: Book) -> None:
        if before == self._book:
            return
        try:
            make_path(self._memory.parent)
            replace_file(self._memory, [book_bytes(self._book)], mode=0o600)
        except (OSError, ExclaveError) as error:
            _LOG.error("alerts: what was told cannot be kept: %s", _said(error))


def open_alerter(table: AlertsTable, folder: Path, memory: Path) -> Alerter:
    """The alerter of a configuration file's `[alerts]`; relative paths start at `folder`.

    Raises `ConfigurationError` when a secret's file cannot be used.
    """
    return Alerter(
        open_targets(table, folder),
        memory=memory,
        source=table.source,
        remind_after=timedelta(seconds=table.remind_after),
    )


def _clean(cause: Cause) -> Cause:
    return Cause(
        key=one_line(cause.key),
        severity="critical" if cause.severity == "critical" else "warning",
        summary=one_line(cause.summary),
        hint=None if cause.hint is None else one_line(cause.hint),
    )


def _log_changes(before: Book, after: Book) -> None:
    def standing(book: Book) -> dict[str, Cause]:
        return {key: entry.cause for key, entry in book.entries.items() if entry.ended is None}

    was, now = standing(before), standing(after)
    for key, cause in now.items():
        if key not in was or was[key].severity != cause.severity:
            level = logging.ERROR if cause.severity == "critical" else logging.WARNING
            _LOG.log(level, "%s: %s", cause.severity, cause.summary)
    for key, cause in was.items():
        if key not in now:
            _LOG.warning("over: %s", cause.summary)


def _said(error: OSError | ExclaveError) -> str:
    return error.message if isinstance(error, ExclaveError) else str(error.strerror)
