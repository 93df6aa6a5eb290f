"""The units of systemd: what they say is valid, and what they start behaves as they expect.

Where systemd is installed its own check reads them. Nobody assumes that it runs here: a socket in
its place hears what is said, and the harness does what the unit says, ExecStart to SIGTERM.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from exclave.calendar import parse_calendar
from exclave.plan import parse_duration
from tests.scripts.conftest import call, free_ports, must
from tests.support.agents import JOB, NotifySocket, write_agent

FOLDER = Path(__file__).parents[2] / "examples" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
PROGRAM = "/opt/exclave/bin/exclave"
HOMES = {"exclave-agent": "/var/lib/exclave", "exclave-vault": "/var/lib/exclave-vault"}
HARDENED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectClock": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
    "LimitCORE": "0",
}


def test_there_are_two_units() -> None:
    assert [unit.stem for unit in UNITS] == sorted(HOMES)


def service(unit: Path) -> Mapping[str, str]:
    """The `[Service]` section; of a key that stands twice, the last."""
    section, found = "", dict[str, str]()
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = value
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_gives_no_more_rights_than_needed(unit: Path) -> None:
    said = service(unit)
    assert {key: said.get(key) for key in HARDENED} == HARDENED
    assert said["Type"] == "notify"
    assert said["User"] not in {"root", ""}
    assert said["Restart"] == "always"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="NOT COVERED: units are not read by systemd itself: no systemd-analyze here",
)
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_the_unit(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(PROGRAM, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


class Started:
    """What a unit starts, without systemd: its command and environment, in another home."""

    def __init__(self, unit: Path, home: Path, notify: NotifySocket) -> None:
        self.said = service(unit)
        self.notify = notify
        words = shlex.split(self.said["ExecStart"].replace(HOMES[unit.stem], str(home)))
        assert words[0] == PROGRAM
        self.command = [sys.executable, "-m", "exclave", *words[1:]]
        watchdog = parse_duration(self.said["WatchdogSec"])
        self.environment = {**os.environ, **notify.environment(watchdog=watchdog)}
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def through_its_life(self) -> None:
        """Ready, alive, killed, started again, told to stop; as `Restart=always` has it."""
        self.notify.wait_for("READY")
        self.notify.wait_for("WATCHDOG")
        self.process.kill()
        assert self.process.wait(30) == -signal.SIGKILL
        self.end()
        self.notify.hear()
        self.process = self.start()
        self.notify.wait_for("READY")
        self.notify.wait_for("WATCHDOG")
        self.process.terminate()
        self.notify.wait_for("STOPPING")
        assert self.process.wait(60) == 0

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def notify(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(tmp_path) as made:
        yield made


def test_the_agents_unit_through_its_life(
    tmp_path: Path, notify: NotifySocket, record_property: Callable[[str, object], None]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    config = write_agent(home)
    started = Started(FOLDER / "exclave-agent.service", home, notify)
    try:
        notify.wait_for("WATCHDOG")
        running = call("--json", "agent", "status", "--config", config)
        assert running.json["process"] == str(started.process.pid)
        second = call("agent", "run", "--config", config)
        assert second.code == 2
        assert f"got one at work: process {started.process.pid}" in second.err
        config.write_text(JOB.replace("daily", "nightly"))
        started.process.send_signal(signal.SIGHUP)
        notify.wait_for("RELOADING")
        started.through_its_life()
    finally:
        started.end()
    assert call("--json", "agent", "status", "--config", config).json["process"] is None
    record_property("covered", "units: by a notify socket in systemd's place, not by systemd")


def test_the_vaults_unit_through_its_life(tmp_path: Path, notify: NotifySocket) -> None:
    home = tmp_path / "home"
    home.mkdir()
    data, public = free_ports(2)
    must(
        "vault", "init", home / "vault", "--vault", "vault-1", "--state", "LU", "--operator", "x",
        "--data", f"127.0.0.1:{data}", "--public", f"127.0.0.1:{public}", "--without-agreement",
    )  # fmt: skip
    started = Started(FOLDER / "exclave-vault.service", home, notify)
    try:
        started.through_its_life()
    finally:
        started.end()


def test_what_the_example_says_of_calendars_is_so() -> None:
    for text in ("hourly", "daily", "weekly", "monthly", "quarterly", "yearly", "*-*~1", "*:0/15"):
        assert parse_calendar(text).text == text
