"""Causes to tell somebody, and the messages that carry them (spec/signals.md 1, 2).

Values and their words; nothing is sent here. Rule: whatever text comes in goes out as one line of
bounded length, since it may be another machine's answer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from exclave.clock import format_time
from exclave.encoding import JsonObject, JsonValue
from exclave.values import dataclass

__all__ = ["Cause", "Message", "Severity", "Told", "one_line"]

Severity = Literal["warning", "critical"]
_LINE: Final = 500
_NAMED: Final = 100
"""Causes of one kind that a message spells out."""


def one_line(text: str) -> str:
    """Text without control characters, at most 500 characters of it."""
    clean = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text[: 4 * _LINE])
    return clean[:_LINE].strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that is not as it must be.

    `key` says which one it is, the same each time it is noticed; `summary` may change meanwhile.
    """

    key: str
    severity: Severity
    summary: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A cause as a message has it: since when, and until when if it is over."""

    cause: Cause
    began: datetime
    ended: datetime | None = None

    @property
    def line(self) -> str:
        """As people read it."""
        since = format_time(self.began)
        if self.ended is not None:
            return f"{one_line(self.cause.summary)} (from {since} to {format_time(self.ended)})"
        return f"{self.cause.severity.upper()}: {one_line(self.cause.summary)} (since {since})"

    def to_json(self) -> JsonObject:
        """As a message carries it."""
        hint = self.cause.hint
        return {
            "key": one_line(self.cause.key),
            "severity": self.cause.severity,
            "summary": one_line(self.cause.summary),
            "hint": None if hint is None else one_line(hint),
            "began": format_time(self.began),
            "ended": None if self.ended is None else format_time(self.ended),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one target is told at once: what is new, what goes on, what is over."""

    source: str  # who speaks
    moment: datetime
    new: tuple[Told, ...]
    standing: tuple[Told, ...]
    over: tuple[Told, ...]

    @property
    def state(self) -> Severity | Literal["good"]:
        """The worst of what stands now."""
        severities = {item.cause.severity for item in (*self.new, *self.standing)}
        if "critical" in severities:
            return "critical"
        return "warning" if severities else "good"

    @property
    def subject(self) -> str:
        """One line for all of it."""
        source = one_line(self.source)
        if self.state == "good":
            return f"[{source}] all clear"
        word, about = "still", self.standing
        if self.new:
            word, about = "new", self.new
        elif self.over:
            word, about = "over", self.over
        # The worst of them, since this may be all that somebody reads; the state is that of all.
        leading = min(about, key=lambda item: item.cause.severity != "critical").cause
        said = leading.severity if word == "new" else f"{self.state}: {word}"
        more = len(self.new) + len(self.standing) - (word != "over")
        rest = f" and {more} more" if more > 0 else ""
        return one_line(f"[{source}] {said}: {leading.summary}{rest}")

    @property
    def text(self) -> str:
        """All of it for people."""
        parts = (("New", self.new), ("Goes on", self.standing), ("Over", self.over))
        blocks = ["\n".join([f"{word}:", *_lines(items)]) for word, items in parts if items]
        end = "Nothing else stands." if self.state == "good" else ""
        return "\n\n".join([*blocks, *([end] if end else [])]) + "\n"

    def to_json(self) -> JsonObject:
        """As a webhook or command gets it."""
        return {
            "kind": "exclave-alert",
            "version": 1,
            "source": one_line(self.source),
            "moment": format_time(self.moment),
            "state": self.state,
            "text": f"{self.subject}\n\n{self.text}",
            "new": _values(self.new),
            "standing": _values(self.standing),
            "over": _values(self.over),
        }


def _values(items: Sequence[Told]) -> list[JsonValue]:
    return [item.to_json() for item in items]


def _lines(items: Sequence[Told]) -> list[str]:
    lines: list[str] = []
    for item in items[:_NAMED]:
        lines.append(f"- {item.line}")
        if item.cause.hint is not None and item.ended is None:
            lines.append(f"  hint: {one_line(item.cause.hint)}")
    if len(items) > _NAMED:
        lines.append(f"- and {len(items) - _NAMED} more")
    return lines
