"""A job's process and the hooks around it: what they are told, and what comes of each end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exclave.agent.jobs import Hooks, Job, JobKind
from exclave.agent.running import run_job
from exclave.agent.state import Outcome, Result
from exclave.calendar import parse_calendar
from exclave.ids import Seat

JOB = Job(
    id="daily", kind=JobKind.DEPOSIT, schedule=(parse_calendar("daily"),), registers=("land",)
)
LODGED = json.dumps({"late": {}, "lodged": [1, 2, 3]})


def program(code: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", code)


def says(text: str, code: int = 0) -> tuple[str, ...]:
    return program(f"import sys; print({text!r}); sys.exit({code})")


def run(
    command: tuple[str, ...], job: Job = JOB, *, stop_after_start: Path | None = None
) -> Outcome:
    async def main() -> Outcome:
        stop = asyncio.Event()
        task = asyncio.create_task(
            run_job(job, command, environment=os.environ, stop=stop, grace=5)
        )
        if stop_after_start is not None:
            while not stop_after_start.exists() and not task.done():
                await asyncio.sleep(0.01)
            stop.set()
        return await task

    return asyncio.run(main())


def test_a_deposit_that_was_lodged() -> None:
    assert run(says(LODGED)) == Outcome(result=Result.GOOD, late={})


def test_a_deposit_with_a_seat_behind() -> None:
    said = run(says(json.dumps({"late": {"2": "no\nanswer"}, "lodged": [1, 3]})))
    assert said.result is Result.LATE
    assert said.late == {Seat(2): "no answer"}


def test_a_safe_is_not_behind_between_two_bags() -> None:
    said = run(says(json.dumps({"late": {"3": "no answer", "4": "no line"}, "carried": [4]})))
    assert said.late == {Seat(3): "no answer"}
    said = run(says(json.dumps({"late": {"4": "no line"}, "carried": [4]})))
    assert said == Outcome(result=Result.GOOD, late={})


def test_a_deposit_that_failed_says_why() -> None:
    code = "import sys; sys.stderr.write('noise\\nexclave: land: no connection\\nhint: x\\n'); "
    assert run(program(code + "sys.exit(4)")) == Outcome(
        result=Result.FAILED, said="land: no connection"
    )


def test_a_program_that_dies_or_says_nothing_has_failed() -> None:
    assert run(program("import os; os.kill(os.getpid(), 9)")).result is Result.FAILED
    assert run(program("")).result is Result.FAILED
    assert run(says("[1, 2]")).result is Result.FAILED
    said = run(("/nowhere/exclave",))
    assert said == Outcome(
        result=Result.FAILED,
        said="/nowhere/exclave cannot be started: No such file or directory",
    )


def test_a_program_that_hangs_is_ended_after_its_limit() -> None:
    # It would not hear SIGTERM either, and has a child that holds its output open.
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)']); "
        "time.sleep(600)"
    )

    async def main() -> Outcome:
        job = replace(JOB, limit=1)
        return await run_job(
            job, program(code), environment=os.environ, stop=asyncio.Event(), grace=0.1
        )

    assert asyncio.run(main()) == Outcome(result=Result.HUNG, said="no end after 1 s")


def test_a_run_is_stopped_with_the_agent(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    code = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(600)"
    said = run(program(code), stop_after_start=begun)
    assert said == Outcome(result=Result.STOPPED, said="the agent was stopped")


def test_hooks_are_told_which_job_and_what_came_of_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    note = program(
        f"import os, pathlib; p = pathlib.Path({str(told)!r}); "
        "p.write_text((p.read_text() if p.exists() else '') + ' '.join(f'{k}={v}' for k, v in "
        "sorted(os.environ.items()) if k.startswith('EXCLAVE_')) + '\\n')"
    )
    job = replace(JOB, hooks=Hooks(before=note, after=note))
    assert run(says(LODGED), job).result is Result.GOOD
    assert run(says("", 4), job).result is Result.FAILED
    assert told.read_text().splitlines() == [
        "EXCLAVE_JOB=daily EXCLAVE_KIND=deposit",
        "EXCLAVE_JOB=daily EXCLAVE_KIND=deposit EXCLAVE_RESULT=good",
        "EXCLAVE_JOB=daily EXCLAVE_KIND=deposit",
        "EXCLAVE_JOB=daily EXCLAVE_KIND=deposit EXCLAVE_RESULT=failed",
    ]


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (says("not tonight", 3), "hook before: exit code 3"),
        (("/nowhere/hook",), "hook before: /nowhere/hook cannot be started: No such file"),
        (program("import time; time.sleep(600)"), "hook before: no end after 1 s"),
    ],
)
def test_a_hook_that_fails_skips_the_run_and_says_so(
    hook: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    job = replace(JOB, hooks=Hooks(before=hook, limit=1))
    said = run(program(f"import pathlib; pathlib.Path({str(ran)!r}).touch()"), job)
    assert said.result is Result.SKIPPED
    assert said.said.startswith(why)
    assert not ran.exists()


def test_a_hook_after_that_fails_changes_nothing_and_says_so() -> None:
    job = replace(JOB, hooks=Hooks(after=says("", 9)))
    said = run(says(LODGED), job)
    assert said.result is Result.GOOD
    assert said.said == "(hook after: exit code 9)"


def test_no_child_speaks_to_the_supervisor_in_the_agents_name() -> None:
    code = "import os, json; print(json.dumps({'late': {}, 'x': [k for k in os.environ]}))"

    async def main() -> Outcome:
        environment = {**os.environ, "NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "1"}
        assert_code = program(
            "import os, sys; sys.exit(any(k in os.environ for k in "
            "('NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID')))"
        )
        job = replace(JOB, hooks=Hooks(before=assert_code))
        return await run_job(job, program(code), environment=environment, stop=asyncio.Event())

    assert asyncio.run(main()).result is Result.GOOD


def test_much_output_is_taken_and_its_end_kept() -> None:
    code = f"print('x' * (20 * 2**20)); print({LODGED!r})"
    assert run(program(code)).result is Result.GOOD


MONITOR = replace(JOB, id="logs", kind=JobKind.MONITOR, registers=())
CHECK = replace(JOB, id="renewals", kind=JobKind.CHECK, registers=())


def test_what_a_monitor_finds_is_told_under_keys_that_last() -> None:
    def finding(what: str, **more: object) -> dict[str, object]:
        usual = {"level": "notice", "cause": "waiting", "seat": None, "vault": None}
        return {**usual, "what": what, **more}

    first = [
        finding("warrant 0011223344556677 waits and takes effect at seat 1 in 3 days"),
        finding("no answer", level="critical", cause="silent", seat=2, vault="v-2"),
        finding("refused 3 rate", level="info", cause="refusals"),
    ]
    later = [finding("warrant 0011223344556677 waits and takes effect at seat 1 in 2 days")]
    other = [finding("warrant 8899aabbccddeeff waits and takes effect at seat 1 in 9 days")]
    said = run(says(json.dumps({"findings": first}), 2), MONITOR)
    assert said.result is Result.GOOD
    assert said.causes is not None
    assert [(c.key, c.severity) for c in said.causes] == [
        ("logs:waiting::0011223344556677", "warning"),
        ("logs:silent:2", "critical"),
    ]
    assert said.causes[1].summary == "v-2: no answer"
    keys = [run(says(json.dumps({"findings": f}), 1), MONITOR).causes for f in (later, other)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert keys[0][0].key == said.causes[0].key != keys[1][0].key


def test_a_monitor_that_could_find_out_nothing_has_failed() -> None:
    assert run(says("", 3), MONITOR).result is Result.FAILED
    assert run(says("", 0), MONITOR).result is Result.FAILED
    assert run(says("{}", 1), MONITOR).result is Result.FAILED


def test_what_a_check_finds_is_told() -> None:
    checks = [
        {"what": "register land", "severity": "good", "said": "", "hint": None},
        {"what": "cards", "severity": "warns", "said": "not confirmed", "hint": "ask"},
        {"what": "drill", "severity": "bad", "said": "none for a year", "hint": None},
    ]
    said = run(says(json.dumps({"checks": checks}), 1), CHECK)
    assert said.causes is not None
    assert [(c.key, c.severity) for c in said.causes] == [
        ("renewals:cards", "warning"),
        ("renewals:drill", "critical"),
    ]
    assert run(says(json.dumps({"checks": checks[:1]})), CHECK).causes == ()


def test_what_is_critical_is_not_hidden_by_something_else_at_the_same_place() -> None:
    checks = [
        {"what": "seat 1", "about": "locked", "severity": "bad", "said": "LOCKED DOWN"},
        {"what": "seat 1", "about": "0123456789abcdef", "severity": "warns", "said": "warrant"},
        {"what": "register land", "severity": "bad", "said": "no connection"},
        {"what": "register land", "severity": "warns", "said": "a lock"},
    ]
    said = run(says(json.dumps({"checks": checks}), 2), CHECK)
    assert said.causes is not None
    assert {c.key: c.severity for c in said.causes} == {
        "renewals:seat 1:locked": "critical",
        "renewals:seat 1:0123456789abcdef": "warning",
        "renewals:register land": "critical",
    }


def test_a_proof_that_found_a_difference_is_told_at_once_and_lodged_all_the_same() -> None:
    prove = replace(JOB, id="proof", kind=JobKind.PROVE)
    code = f"import sys; print({LODGED!r}); sys.stderr.write('exclave: NOT PROVEN: 1 row\\n'); "
    said = run(program(code + "sys.exit(1)"), prove)
    assert said.result is Result.GOOD
    assert said.causes is not None
    assert [(c.key, c.severity) for c in said.causes] == [("proof:proof", "critical")]
    assert said.causes[0].summary == "job proof: NOT PROVEN: 1 row"
    assert run(says(LODGED), prove).causes == ()
    assert run(says("", 1), prove).result is Result.FAILED
