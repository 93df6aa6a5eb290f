"""`agent.toml`: the example is good, and each mistake is named with its line."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exclave.agent.jobs import JobKind
from exclave.config import ConfigurationInvalid
from exclave.errors import ConfigurationError
from tests.support.agents import JOB, NOON, load, write_agent

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_the_example_is_good(tmp_path: Path) -> None:
    for name in ("agent.toml", "deposit.toml", "registers.toml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    settings = load(tmp_path / "agent.toml")
    assert [job.kind for job in settings.orders.jobs] == [
        JobKind.DEPOSIT,
        JobKind.CATCH_UP,
        JobKind.MONITOR,
        JobKind.PROVE,
        JobKind.CHECK,
    ]
    assert settings.orders.unserved == ()
    assert all("--json" in command for command in settings.commands.values())


def test_commands_and_registers(tmp_path: Path) -> None:
    jobs = JOB + 'registers = ["land"]\n[[job]]\nid = "p"\nkind = "prove"\nschedule = ["Sun"]\n'
    settings = load(write_agent(tmp_path, jobs + 'registers = ["land"]\n'))
    config = ["--config", str(tmp_path / "deposit.toml")]
    assert list(settings.commands["daily"][3:]) == ["--json", "--quiet", "deposit", "land", *config]
    assert list(settings.commands["p"][5:]) == ["deposit", "land", *config, "--prove"]
    assert settings.orders.rpo == {"land": 26 * 3600}
    assert settings.orders.unserved == ("gazette",)


def test_a_job_that_names_no_register_deposits_the_plan(tmp_path: Path) -> None:
    (job,) = load(write_agent(tmp_path)).orders.jobs
    assert job.registers == ("land", "gazette")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('schedule = ["2010-01-01"]', "again, got '2010-01-01', which lies in the past"),
        ('schedule = ["*-02-30"]', "again, got '*-02-30', which never comes"),
        ('schedule = ["*:*/5"]', "number, range, step or list, got '*/5'; write 0/5"),
        ('schedule = ["25:00"]', "hour: expected 0 to 23, got 25"),
        ('schedule = ["Sat..Mon"]', "weekdays: expected a range within Mon..Sun, got 'Sat..Mon'"),
        ('schedule = ["daily Mars/Olympus"]', "zone: expected one such as Europe/Tallinn"),
        ("schedule = [5]", "job[0].schedule[0]: expected a text such as"),
        ("schedule = []", "job[0].schedule: expected 1 or more items"),
        ('registers = ["lnad"]', "job[0].registers: expected registers of the plan, got 'lnad'"),
        ("tries = 0", "job[0].tries: expected greater than or equal to 1"),
        ('limit = "0s"', "job[0].limit: expected at least a second, got none"),
        ("before = []", "job[0].before: expected 1 or more items"),
        ('before = "snapshot make"', "job[0].before: expected a valid list"),
        ('jiter = "5min"', "job[0].jiter: expected no such key, got one"),
        ('kind = "depsoit"', "job[0].kind: expected 'deposit', 'prove'"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(line: str, expected: str, tmp_path: Path) -> None:
    key = line.split(" = ", maxsplit=1)[0]
    kept = [row for row in JOB.splitlines() if row and not row.startswith(f"{key} ")]
    kept.insert(3, line)
    path = write_agent(tmp_path, "\n".join(kept) + "\n")
    with pytest.raises(ConfigurationInvalid) as caught:
        load(path)
    assert f"{path}:4: job[0]." in caught.value.message
    assert expected in caught.value.message


def test_two_jobs_of_one_name_and_registers_where_none_belong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"another name for each job, got 'daily' twice"):
        load(write_agent(tmp_path, JOB + JOB))
    wrong = JOB.replace('"deposit"', '"monitor"') + 'registers = ["land"]\n'
    with pytest.raises(ConfigurationInvalid, match="expected none for a job of kind monitor"):
        load(write_agent(tmp_path, wrong))


def test_a_calendar_is_good_until_it_has_passed(tmp_path: Path) -> None:
    path = write_agent(tmp_path, JOB.replace("*-*-* 02:00", "2026-06-01"))
    assert load(path, now=NOON).orders.jobs
    with pytest.raises(ConfigurationError, match="lies in the past"):
        load(path, now=datetime(2026, 6, 2, tzinfo=UTC))
