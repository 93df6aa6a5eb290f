"""The agent as a process: it makes up for a missed deposit, tells nobody, and shows its figures."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exclave.agent.memory import memory_bytes, parse_memory
from exclave.agent.service import MEMORY
from exclave.agent.state import AgentState, JobState, Result
from exclave.clock import now
from tests.scripts.conftest import call, free_ports
from tests.support.agents import NotifySocket
from tests.support.embassy import Embassy, found_embassy

AGENT = """
metrics = "127.0.0.1:{port}"
[[job]]
id = "daily"
kind = "deposit"
schedule = ["*-*-* 02:00"]
before = ["{python}", "-c", "import os; assert os.environ['EXCLAVE_JOB'] == 'daily'"]
[[job]]
id = "late"
kind = "catch-up"
schedule = ["*:*:00"]
"""


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path, n=1, k=1) as made:
        made.stop_vault(1)
        made.write_registers(mib=0.1)
        yield made


def test_it_makes_up_for_what_was_missed(embassy: Embassy, tmp_path: Path) -> None:
    config = embassy.write_config()
    with config.open("a") as stream:
        stream.write(f'\n[[seat]]\nseat = 1\nfolder = "{embassy.vault_folder(1)}"\n')
    (port,) = free_ports(1)
    agent = config.with_name("agent.toml")
    agent.write_text(AGENT.format(port=port, python=sys.executable))
    memory = config.parent / "state" / "agent" / MEMORY
    memory.parent.mkdir(parents=True)
    away = now().replace(microsecond=0) - timedelta(days=3)
    kept = AgentState(seen=away, jobs={"daily": JobState(done=away), "late": JobState(done=away)})
    memory.write_bytes(memory_bytes(kept))
    with NotifySocket(tmp_path) as notify:
        process = subprocess.Popen(
            [sys.executable, "-m", "exclave", "agent", "run", "--config", str(agent)],
            env={**os.environ, **notify.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            done = set[str]()
            while done != {"daily", "late"}:
                notify.wait_for("STATUS")
                state = parse_memory(memory.read_bytes())
                done = {name for name, job in state.jobs.items() if job.good is not None}
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                figures = answer.read().decode()
        finally:
            process.terminate()
            _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert state.jobs["daily"].result is Result.GOOD
    assert state.captured.keys() == {register.plan.id for register in embassy.registers}
    assert 'exclave_job_failures{agent_job="daily"} 0' in figures
    assert 'exclave_job_last_good_timestamp_seconds{agent_job="daily"}' in figures
    assert "exclave_register_age_seconds" in figures
    assert len(call("--json", "deposits", "--config", config).json["deposits"]) == 1
    shown = call("agent", "status", "--config", agent)
    assert "no agent is at work" in shown.out
    assert "next" in shown.out
    assert shown.code == 1
