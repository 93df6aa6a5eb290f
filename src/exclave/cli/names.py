"""What people name on a line: a mission, a deposit, a statement, a moment, a duration.

Hex is read as it is printed, in groups and in either case.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from exclave.authority.envelope import Kind
    from exclave.ids import MissionId, StatementHash

__all__ = [
    "NameUnreadable",
    "named_duration",
    "named_hex",
    "named_mission",
    "named_moment",
    "named_statement",
]


class NameUnreadable(UsageError):
    """What should name a deposit, pack, statement or moment does not."""


def named_mission(text: str) -> MissionId:
    """A mission's id; raises `NameUnreadable`."""
    from exclave.ids import MissionId

    return MissionId(named_hex(text, 32, "--mission"))


def named_statement(name: str, kinds: Collection[Kind]) -> StatementHash:
    """A file's statement, or a hash as it is printed: with or without its spaces."""
    from exclave.ids import StatementHash
    from exclave.wiring.orders import statement_named

    if Path(name).is_file():
        return statement_named(Path(name), kinds)
    return StatementHash(named_hex(name, 32, "statement"))


def named_hex(text: str, length: int, what: str) -> bytes:
    """What long numbers mean as they are printed: hex, with or without its spaces."""
    from exclave.encoding import hex_decode
    from exclave.errors import MalformedData

    try:
        return hex_decode(text.replace(" ", "").lower(), length=length)
    except MalformedData as error:
        raise NameUnreadable(
            f"{what}: expected {2 * length} hex digits, got {text[:80]!r}",
            hint="a statement can be named by its file too" if what == "statement" else None,
        ) from error


def named_moment(text: str) -> datetime:
    """A day or a moment, as people write it."""
    from exclave.clock import parse_time
    from exclave.errors import MalformedData

    try:
        return parse_time(text if "T" in text else f"{text}T00:00:00Z")
    except MalformedData as error:
        raise NameUnreadable(
            f"time: expected a day such as 2030-01-31 or a moment such as 2030-01-31T12:00:00Z, "
            f"got {text[:40]!r}"
        ) from error


def named_duration(text: str, option: str) -> int:
    """Seconds of a duration such as `15min`; raises `UsageError`."""
    from exclave.plan import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}, got {text[:20]!r}") from error
