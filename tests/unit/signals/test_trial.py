"""A test of the targets: all are tried, it is said who took it, and nothing is remembered."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exclave.signals.cause import Message
from exclave.signals.interface import AlertUndelivered
from exclave.signals.trial import try_targets
from tests.scripts.conftest import call
from tests.support.agents import JOB, write_agent

MOMENT = datetime(2030, 1, 1, 12, tzinfo=UTC)


@dataclass
class Kept:
    """A target that keeps what it takes, and fails from a message on."""

    name: str
    fails_from: int = 9
    error: Exception = field(default_factory=lambda: AlertUndelivered("webhook: got 500"))
    taken: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        """As in `Target`."""
        if len(self.taken) >= self.fails_from:
            raise self.error
        self.taken.append(message)


def test_an_alert_and_its_all_clear() -> None:
    target = Kept("people")
    times = iter([MOMENT, MOMENT + timedelta(seconds=2)])
    (found,) = try_targets([target], source="registry", clock=lambda: next(times))
    assert found.accepted
    alert, clear = target.taken
    assert alert.subject == "[registry] warning: this is a test of alerts: nothing is wrong"
    assert (clear.state, clear.subject) == ("good", "[registry] all clear")
    assert "from 2030-01-01T12:00:00Z to 2030-01-01T12:00:02Z" in clear.text
    assert alert.new[0].cause.key == clear.over[0].cause.key == "test"


def test_each_target_is_tried_whatever_the_others_do() -> None:
    """A secret in what a library raises is not shown either."""
    down, odd = Kept("down", 0), Kept("odd", 0, RuntimeError("https://secret.example.org/key"))
    half, good = Kept("half", 1), Kept("good")
    found = try_targets([down, odd, half, good], source="s", clock=lambda: MOMENT)
    assert [(item.name, item.accepted, item.alert, item.clear) for item in found] == [
        ("down", False, "webhook: got 500", None),
        ("odd", False, "RuntimeError", None),
        ("half", False, None, "webhook: got 500"),
        ("good", True, None, None),
    ]


def test_the_command_says_who_took_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    keeps = f"import sys; open({str(log)!r}, 'ab').write(sys.stdin.buffer.read() + b'\\n')"
    target = '[[alerts.target]]\nkind = "command"\nname = "{}"\ncommand = {}\n'
    good = target.format("pager", json.dumps([sys.executable, "-c", keeps]))
    bad = target.format("broken", json.dumps(["false"]))
    config = write_agent(tmp_path, JOB + good + bad)
    ran = call("agent", "test-alerts", "-c", config)
    assert ran.code == 1
    assert "pager: alert and all-clear accepted" in ran.out
    assert "broken: NOT ACCEPTED: command: expected exit code 0, got 1" in ran.out
    sent = [json.loads(line) for line in log.read_text().splitlines()]
    assert [item["state"] for item in sent] == ["warning", "good"]
    assert not (tmp_path / "state" / "agent").exists(), "nothing is remembered"

    config = write_agent(tmp_path, JOB + good)
    said = call("--json", "agent", "test-alerts", "-c", config)
    assert (said.code, said.json["good"]) == (0, True)
    assert said.json["targets"][0] == {
        "name": "pager", "accepted": True, "alert": None, "clear": None
    }  # fmt: skip
    ran = call("agent", "test-alerts", "-c", write_agent(tmp_path))
    assert (ran.code, "expected a target of alerts to test, got none" in ran.err) == (3, True)
