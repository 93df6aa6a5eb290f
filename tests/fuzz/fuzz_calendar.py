"""Fuzz target: calendars that somebody typed.

Invariant: any text is refused with `CalendarWrong`, or is a calendar whose next moments ascend.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from exclave.calendar import CalendarWrong, parse_calendar

MOMENT = datetime(2026, 10, 25, tzinfo=UTC)


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(CalendarWrong, UnicodeDecodeError):
        calendar = parse_calendar(data.decode())
        first = calendar.next_after(MOMENT)
        second = None if first is None else calendar.next_after(first)
        assert first is None or first > MOMENT
        assert first is None or second is None or second > first


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
