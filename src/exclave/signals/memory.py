"""What the alerter keeps between two runs, as bytes (spec/signals.md 5).

Read and written whole, canonical, nothing else accepted: whoever cannot read it begins anew and
tells everything once more, which is the safe side. A later version's is refused and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exclave.authority.fields import Node, require_ascending
from exclave.clock import format_time
from exclave.encoding import JsonObject, canonical_json, parse_canonical_json
from exclave.errors import IntegrityError
from exclave.signals.book import Book, Entry, Failure, Mention
from exclave.signals.cause import Cause, Severity

__all__ = ["book_bytes", "parse_book"]

_KIND: Final = "alerts-memory"
_VERSION: Final = 1


def book_bytes(book: Book) -> bytes:
    """The book as canonical JSON and LF."""
    payload: JsonObject = {
        "kind": _KIND,
        "version": _VERSION,
        "causes": [_entry_json(entry) for _, entry in sorted(book.entries.items())],
        "failures": [
            [name, item.count, format_time(item.again)]
            for name, item in sorted(book.failures.items())
        ],
    }
    return canonical_json(payload) + b"\n"


def parse_book(data: bytes) -> Book:
    """The inverse; raises `IntegrityError`, `FormatTooNew` among them."""
    value = parse_canonical_json(data.removesuffix(b"\n"), subject="alerts memory")
    fields = Node(value, "alerts memory").versioned(_KIND, _VERSION, "causes", "failures")
    entries = fields["causes"].each(_entry)
    failures = fields["failures"].each(_failure)
    require_ascending("causes", [entry.cause.key for entry in entries])
    require_ascending("failures", [name for name, _ in failures])
    book = Book(entries={item.cause.key: item for item in entries}, failures=dict(failures))
    if book_bytes(book) != data:
        raise IntegrityError("alerts memory: not in canonical form")
    return book


def _entry_json(entry: Entry) -> JsonObject:
    return {
        "key": entry.cause.key,
        "severity": entry.cause.severity,
        "summary": entry.cause.summary,
        "hint": entry.cause.hint,
        "began": format_time(entry.began),
        "ended": None if entry.ended is None else format_time(entry.ended),
        "told": [
            [name, mention.severity, format_time(mention.moment)]
            for name, mention in sorted(entry.told.items())
        ],
        "cleared": [*sorted(entry.cleared)],
    }


def _entry(node: Node) -> Entry:
    fields = node.fields("key", "severity", "summary", "hint", "began", "ended", "told", "cleared")
    told = fields["told"].each(_mention)
    cleared = fields["cleared"].each(Node.slug)
    require_ascending("told", [name for name, _ in told])
    require_ascending("cleared", cleared)
    return Entry(
        cause=Cause(
            key=fields["key"].text(),
            severity=_severity(fields["severity"]),
            summary=fields["summary"].text(),
            hint=fields["hint"].optional(Node.text),
        ),
        began=fields["began"].time(),
        ended=fields["ended"].optional(Node.time),
        told=dict(told),
        cleared=frozenset(cleared),
    )


def _mention(node: Node) -> tuple[str, Mention]:
    name, severity, moment = node.items(least=3, most=3)
    return name.slug(), Mention(severity=_severity(severity), moment=moment.time())


def _failure(node: Node) -> tuple[str, Failure]:
    name, count, again = node.items(least=3, most=3)
    return name.slug(), Failure(count=count.integer(1), again=again.time())


_SEVERITIES: Final[Mapping[str, Severity]] = {"critical": "critical", "warning": "warning"}


def _severity(node: Node) -> Severity:
    return _SEVERITIES[node.literal(*_SEVERITIES)]
