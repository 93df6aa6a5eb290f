"""Numbers, hashes and times as people read them; whole statements are `exclave.cli.words`'."""

from __future__ import annotations

__all__ = ["after", "count", "duration", "grouped", "of_seat", "period", "roughly", "size"]

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def grouped(value: bytes) -> str:
    """Hex in groups of eight, as cards print it: for comparing by eye and by telephone."""
    text = value.hex()
    return " ".join(text[start : start + 8] for start in range(0, len(text), 8))


def period(seconds: int) -> str:
    """Seconds as people say them, without rounding: `2 days`, `1 day 6 hours`."""
    parts: list[str] = []
    for unit, word in _UNITS:
        number, seconds = divmod(seconds, unit)
        if number:
            parts.append(f"{number} {word}" + "s" * (number > 1))
    return " ".join(parts) or "no time"


def duration(seconds: int) -> str:
    """Seconds as people say them: `2 d`, `90 min`, `45 s`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def after(seconds: int) -> str:
    """`after 2 days`, or `at once`."""
    return f"after {period(seconds)}" if seconds else "at once"


def size(number: int) -> str:
    """Bytes for people: `1.4 GiB`."""
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def count(rows: int, files: int) -> str:
    """`1,234 rows`, `56 files`, or both."""
    parts = [f"{number:,} {word}" for number, word in ((rows, "rows"), (files, "files")) if number]
    return ", ".join(parts) or "nothing"


def roughly(seconds: float) -> str:
    """Seconds in the largest unit of which there are two or more, rounded down: `3 d`, `90 min`."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{seconds:.0f} s"


def of_seat(seat: int, what: str) -> str:
    """What is said of a seat, which is named once: many an error names it itself."""
    name = f"seat {seat}: "
    return what if what.startswith(name) else name + what
