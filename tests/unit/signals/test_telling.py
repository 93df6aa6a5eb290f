"""Once per cause, an all-clear, reminders and back-off: the rules of telling, and their memory."""

import logging
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exclave.authority.fields import FormatTooNew
from exclave.errors import IntegrityError
from exclave.signals.alerter import Alerter, inline
from exclave.signals.cause import Cause, Message
from exclave.signals.interface import AlertUndelivered
from exclave.signals.memory import book_bytes, parse_book

START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATE = Cause(key="late land", severity="warning", summary="land is 25 h old", hint="look")
LOST = Cause(key="seat 2", severity="critical", summary="seat 2 does not answer")
FULL = Cause(key="spool", severity="warning", summary="the spool is nearly full")


class Box:
    """A target that keeps messages, or fails."""

    def __init__(self, name: str = "box") -> None:
        self.name = name
        self.messages: list[Message] = []
        self.fails: Exception | None = None
        self.tries = 0

    def send(self, message: Message) -> None:
        self.tries += 1
        if self.fails is not None:
            raise self.fails
        self.messages.append(message)

    def keys(self) -> list[tuple[list[str], list[str], list[str]]]:
        """Of each message: new, standing, over."""
        return [
            tuple([item.cause.key for item in part] for part in (m.new, m.standing, m.over))  # type: ignore[misc]
            for m in self.messages
        ]


def alerter(folder: Path, *boxes: Box) -> Alerter:
    return Alerter(
        boxes,
        memory=folder / "alerts" / "memory.json",
        source="example",
        remind_after=timedelta(hours=24),
        run=inline,
    )


def tell_each_minute(
    told: Alerter, causes: Collection[Cause], start: datetime, minutes: int
) -> datetime:
    for at in range(minutes):
        told.tell(causes, start + at * MINUTE)
    return start + minutes * MINUTE


def test_a_cause_is_told_once_and_its_end_once(tmp_path: Path) -> None:
    box = Box()
    told = alerter(tmp_path, box)
    moment = tell_each_minute(told, [], START, 3)
    moment = tell_each_minute(told, [LATE], moment, 5)
    moment = tell_each_minute(told, [replace(LATE, summary="land is 26 h old"), LOST], moment, 5)
    moment = tell_each_minute(told, [LOST], moment, 5)
    tell_each_minute(told, [], moment, 5)
    assert box.keys() == [
        (["late land"], [], []),
        (["seat 2"], ["late land"], []),
        ([], ["seat 2"], ["late land"]),
        ([], [], ["seat 2"]),
    ]
    assert [message.state for message in box.messages] == [
        "warning",
        "critical",
        "critical",
        "good",
    ]
    assert box.messages[-1].subject == "[example] all clear"


def test_the_subject_names_the_worst_of_what_is_new_or_what_is_over(tmp_path: Path) -> None:
    box = Box()
    told = alerter(tmp_path, box)
    for at, causes in enumerate(([LATE, LOST], [LATE], [LATE, FULL], [FULL], [FULL, LOST])):
        told.tell(causes, START + at * MINUTE)
    assert [message.subject for message in box.messages] == [
        f"[example] critical: {LOST.summary} and 1 more",
        f"[example] warning: over: {LOST.summary} and 1 more",
        f"[example] warning: {FULL.summary} and 1 more",
        f"[example] warning: over: {LATE.summary} and 1 more",
        f"[example] critical: {LOST.summary} and 1 more",
    ]


def test_what_gets_worse_is_told_again_and_what_gets_better_is_not(tmp_path: Path) -> None:
    box = Box()
    told = alerter(tmp_path, box)
    for at, severity in enumerate(("warning", "critical", "warning")):
        told.tell([replace(LATE, severity=severity)], START + at * MINUTE)
    assert [message.state for message in box.messages] == ["warning", "critical"]


def test_a_new_process_does_not_tell_it_again(tmp_path: Path) -> None:
    box = Box()
    alerter(tmp_path, box).tell([LATE], START)
    alerter(tmp_path, box).tell([LATE], START + MINUTE)
    alerter(tmp_path, box).tell([], START + 2 * MINUTE)
    assert box.keys() == [(["late land"], [], []), ([], [], ["late land"])]


def test_what_goes_on_is_told_again_after_a_day(tmp_path: Path) -> None:
    box = Box()
    told = alerter(tmp_path, box)
    for hour in range(72):
        told.tell([LATE], START + timedelta(hours=hour))
    assert box.keys() == [(["late land"], [], []), ([], ["late land"], []), ([], ["late land"], [])]
    assert "still: " in box.messages[1].subject


def test_a_target_that_is_down_is_tried_less_and_less_and_then_told_all_of_it(
    tmp_path: Path,
) -> None:
    down, up = Box("down"), Box("up")
    down.fails = AlertUndelivered("mail: connection refused")
    told = alerter(tmp_path, down, up)
    moment = tell_each_minute(told, [LATE, LOST], START, 60)
    moment = tell_each_minute(told, [LOST], moment, 540)  # 10 hours in all
    assert 10 <= down.tries <= 20  # 1, 2, 4 ... 60 minutes apart
    assert [state.failures for state in told.states()] == [down.tries, 0]
    assert len(up.messages) == 2
    down.fails = None
    tell_each_minute(told, [LOST], moment, 61)
    assert down.keys() == [(["seat 2"], [], ["late land"])]
    assert [state.failures for state in told.states()] == [0, 0]


def test_back_off_outlives_the_process_and_a_clock_that_is_set_back(tmp_path: Path) -> None:
    box = Box()
    box.fails = AlertUndelivered("mail: connection refused")
    alerter(tmp_path, box).tell([LATE], START)
    alerter(tmp_path, box).tell([LATE], START)
    assert box.tries == 1
    box.fails = None
    alerter(tmp_path, box).tell([LATE], START - timedelta(days=400))
    assert len(box.messages) == 1
    told = alerter(tmp_path, box)
    told.tell([LATE], START + timedelta(days=4000))
    told.tell([LATE], START)  # the clock is right again
    assert box.keys()[1:] == [([], ["late land"], []), ([], ["late land"], [])]


def test_a_cause_that_returns_is_told_anew(tmp_path: Path) -> None:
    box = Box()
    told = alerter(tmp_path, box)
    for at, causes in enumerate(([LATE], [], [LATE], [])):
        told.tell(causes, START + at * MINUTE)
    assert box.keys() == 2 * [(["late land"], [], []), ([], [], ["late land"])]


def test_whatever_a_target_raises_ends_nothing_and_names_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box()
    box.fails = KeyError("a secret")
    alerter(tmp_path, box).tell([LATE], START)
    assert "KeyError" in caplog.text
    assert "a secret" not in caplog.text


def test_a_memory_that_cannot_be_read_is_said_and_all_is_told_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Box()
    alerter(tmp_path, box).tell([LATE], START)
    (tmp_path / "alerts" / "memory.json").write_text("{}")
    told = alerter(tmp_path, box)
    assert "not known any more" in caplog.text
    told.tell([LATE], START + MINUTE)
    assert box.keys() == 2 * [(["late land"], [], [])]


def test_a_memory_of_a_later_version_is_refused_and_stays(tmp_path: Path) -> None:
    """What its program told is not told again by one that cannot read it."""
    memory = tmp_path / "alerts" / "memory.json"
    alerter(tmp_path, Box()).tell([LATE], START)
    later = memory.read_bytes().replace(b'"version":1', b'"version":2')
    memory.write_bytes(later)
    with pytest.raises(FormatTooNew, match="expected version 1 of alerts-memory") as refused:
        alerter(tmp_path, Box())
    assert "a later version of exclave made it" in str(refused.value.hint)
    assert memory.read_bytes() == later


def test_a_memory_that_cannot_be_written_keeps_nothing_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts").write_text("a file in the way")
    box = Box()
    told = alerter(tmp_path, box)
    tell_each_minute(told, [LATE], START, 3)
    assert box.keys() == [(["late land"], [], [])]
    assert "cannot be kept" in caplog.text


def test_without_targets_the_log_has_every_cause_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    told = alerter(tmp_path)
    moment = tell_each_minute(told, [LATE, LOST], START, 5)
    tell_each_minute(told, [], moment, 5)
    assert caplog.messages == [
        "warning: land is 25 h old",
        "critical: seat 2 does not answer",
        "over: land is 25 h old",
        "over: seat 2 does not answer",
    ]


def test_a_new_target_hears_what_stands_and_a_removed_one_holds_nothing(tmp_path: Path) -> None:
    first, second = Box("first"), Box("second")
    first.fails = AlertUndelivered("no")
    alerter(tmp_path, first).tell([LATE], START)
    alerter(tmp_path, second).tell([LATE], START + MINUTE)
    told = alerter(tmp_path, second)
    told.tell([], START + 2 * MINUTE)
    assert second.keys() == [(["late land"], [], []), ([], [], ["late land"])]
    assert "late land" not in (tmp_path / "alerts" / "memory.json").read_text()


def test_a_text_of_several_lines_becomes_one(tmp_path: Path) -> None:
    box = Box()
    cause = replace(LATE, key="k\n1", summary="one\r\nBcc: all@example.org\x00" + "x" * 5000)
    alerter(tmp_path, box).tell([cause], START)
    alerter(tmp_path, box).tell([cause], START + MINUTE)
    (message,) = box.messages
    assert "\n" not in message.subject
    assert len(message.new[0].cause.summary) == 500


def test_a_target_that_hangs_keeps_nobody_waiting(tmp_path: Path) -> None:
    box, work = Box(), []
    told = Alerter(
        [box],
        memory=tmp_path / "memory.json",
        source="example",
        remind_after=timedelta(days=1),
        run=work.append,
    )
    tell_each_minute(told, [LATE], START, 5)
    assert len(work) == 1  # one at a time
    told.tell([], START + 6 * MINUTE)  # over while it was on its way
    work.pop()()
    told.tell([], START + 7 * MINUTE)
    work.pop()()
    assert box.keys() == [(["late land"], [], []), ([], [], ["late land"])]
    told.close(seconds=0)


def test_the_memory_has_one_form(tmp_path: Path) -> None:
    up, down = Box("up"), Box("down")
    down.fails = AlertUndelivered("no")
    told = alerter(tmp_path, up, down)
    told.tell([LATE, LOST], START)
    told.tell([LOST], START + MINUTE)
    path = tmp_path / "alerts" / "memory.json"
    data = path.read_bytes()
    assert book_bytes(parse_book(data)) == data
    assert path.stat().st_mode & 0o077 == 0
    for wrong in (b"", data[:-1], data.replace(b"critical", b"dreadful"), data + b"\n"):
        with pytest.raises(IntegrityError):
            parse_book(wrong)
