"""What stands, and what each target has been told of it, as a value (spec/signals.md 4).

The rules of telling, without files, threads or targets: time is passed in.

Rules
- A target is told of a cause once: again when it gets worse, and after `remind_after` while it
  goes on.
- It is told when a cause it was told of is over; what came and went while it could not be reached
  is told as over.
- A target that fails is tried again after 1, 2, 4 ... minutes, an hour at most; clocks that are set
  back keep nothing silent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from exclave.signals.cause import Cause, Message, Severity, Told
from exclave.values import dataclass, field, replace

__all__ = ["Book", "Entry", "Failure", "Mention"]

_FIRST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(hours=1)
_DOUBLINGS: Final = 6
_MOST_OVER: Final = 1000
"""Ended causes that are kept for targets which do not answer; the oldest go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """When a target was last told of a cause, and how bad it was then."""

    severity: Severity
    moment: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One cause; `cleared` are the targets that know that it is over."""

    cause: Cause
    began: datetime
    ended: datetime | None = None
    told: Mapping[str, Mention] = field(default_factory=dict)
    cleared: frozenset[str] = frozenset()

    def as_told(self) -> Told:
        """For a message."""
        return Told(cause=self.cause, began=self.began, ended=self.ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A target that did not take the last `count` messages."""

    count: int
    again: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """All of it; entries by the keys of their causes."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    failures: Mapping[str, Failure] = field(default_factory=dict)

    def noted(
        self, causes: Collection[Cause], moment: datetime, *, targets: Collection[str]
    ) -> Book:
        """After a look that found just these causes."""
        found = {cause.key: cause for cause in causes}
        entries = {key: _noted(self.entries.get(key), found[key], moment) for key in found}
        for key, entry in self.entries.items():
            if key not in found:
                over = entry if entry.ended is not None else replace(entry, ended=moment)
                if not over.cleared.issuperset(targets):
                    entries[key] = over
        return Book(
            entries=_bounded(entries),
            failures={name: item for name, item in self.failures.items() if name in targets},
        )

    def message(
        self, target: str, moment: datetime, *, source: str, remind_after: timedelta
    ) -> Message | None:
        """What a target is to be told now; None when there is nothing, or it failed just before."""
        failure = self.failures.get(target)
        if failure is not None and timedelta() < failure.again - moment <= _LONGEST:
            return None
        new: list[Entry] = []
        standing: list[Entry] = []
        over: list[Entry] = []
        for entry in self.entries.values():
            if entry.ended is not None:
                over += [] if target in entry.cleared else [entry]
            else:
                (new if _is_news(entry, target) else standing).append(entry)
        remind = any(_is_old(entry.told[target], moment, remind_after) for entry in standing)
        if not (new or over or remind):
            return None
        return Message(
            source=source,
            moment=moment,
            new=tuple(entry.as_told() for entry in new),
            standing=tuple(entry.as_told() for entry in standing),
            over=tuple(entry.as_told() for entry in over),
        )

    def delivered(self, target: str, message: Message, *, targets: Collection[str]) -> Book:
        """After a target took a message."""
        entries = dict(self.entries)
        for item in (*message.new, *message.standing):
            entry = entries.get(item.cause.key)
            if entry is not None:
                mention = Mention(severity=item.cause.severity, moment=message.moment)
                entries[item.cause.key] = replace(entry, told={**entry.told, target: mention})
        for item in message.over:
            entry = entries.get(item.cause.key)
            if entry is not None:
                entries[item.cause.key] = _cleared(entry, target)
        return Book(
            entries={
                key: entry
                for key, entry in entries.items()
                if entry.ended is None or not entry.cleared.issuperset(targets)
            },
            failures={name: item for name, item in self.failures.items() if name != target},
        )

    def failed(self, target: str, moment: datetime) -> Book:
        """After a target did not take a message."""
        known = self.failures.get(target)
        count = 1 if known is None else known.count + 1
        wait = min(_LONGEST, _FIRST * 2 ** min(count - 1, _DOUBLINGS))
        failure = Failure(count=count, again=moment + wait)
        return replace(self, failures={**self.failures, target: failure})


def _noted(entry: Entry | None, cause: Cause, moment: datetime) -> Entry:
    if entry is None:
        return Entry(cause=cause, began=moment)
    if entry.ended is None:
        return replace(entry, cause=cause)
    # Back again: who never heard that it was over hears nothing new.
    return replace(entry, cause=cause, began=moment, ended=None, cleared=frozenset())


def _cleared(entry: Entry, target: str) -> Entry:
    told = {name: mention for name, mention in entry.told.items() if name != target}
    if entry.ended is None:  # it came back while the message was on its way
        return replace(entry, told=told)
    return replace(entry, told=told, cleared=entry.cleared | {target})


def _is_news(entry: Entry, target: str) -> bool:
    mention = entry.told.get(target)
    if mention is None:
        return True
    return entry.cause.severity == "critical" and mention.severity == "warning"


def _is_old(mention: Mention, moment: datetime, remind_after: timedelta) -> bool:
    return abs(moment - mention.moment) >= remind_after


def _bounded(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    over: Iterable[Entry] = (item for item in entries.values() if item.ended is not None)
    oldest_first = sorted(over, key=lambda item: str(item.ended))
    dropped = {item.cause.key for item in oldest_first[: max(0, len(oldest_first) - _MOST_OVER)]}
    return {key: entry for key, entry in entries.items() if key not in dropped}
