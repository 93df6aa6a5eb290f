"""A job's run: the hook before it, this program once more, the hook after it.

A job is a process of its own (docs/adr): what it takes of memory is given back, a crash is an exit
code, a hang is ended. Rules
- Arguments are lists; no shell reads them. No secret is among them.
- Each program has its own process group and a limit; beyond it the group gets SIGTERM, and SIGKILL
  when it is still there after `_GRACE`. A deposit that was killed is simply run again.
- A hook before that fails, hangs or cannot be started skips the run. The hook after runs in any
  case, and changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Final

from exclave.agent.jobs import Job
from exclave.agent.reading import outcome_of
from exclave.agent.state import Outcome, Result
from exclave.notify import ENVIRONMENT
from exclave.signals.cause import one_line
from exclave.values import dataclass, replace

__all__ = ["run_job"]

_LOG = logging.getLogger(__name__)
_GRACE: Final = 30.0
_MOST: Final = 4 * 2**20
"""Bytes of output that are kept: all findings of a mission fit in, a mad program does not."""
_STOPPED: Final = "the agent was stopped"
_NO_END: Final = "no end after"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """How a program ended; `code` None: it was ended by us, `why` says for what."""

    code: int | None
    why: str = ""
    out: bytes = b""
    err: bytes = b""


async def run_job(
    job: Job,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    stop: asyncio.Event,
    grace: float = _GRACE,
) -> Outcome:
    """Run a job to its end, or to that of its limit; when `stop` is set, end it soon."""
    inherited = {key: value for key, value in environment.items() if key not in ENVIRONMENT}
    mine = {**inherited, "EXCLAVE_JOB": job.id, "EXCLAVE_KIND": job.kind.value}
    outcome = await _before(job, mine, stop, grace)
    if outcome is None:
        said = await _run(command, inherited, job.limit, stop, grace)
        outcome = _outcome(job, said)
    if job.hooks.after:
        told = {**mine, "EXCLAVE_RESULT": outcome.result.value}
        # Not stopped with the job: it may undo what the hook before did.
        ended = await _run(job.hooks.after, told, job.hooks.limit, asyncio.Event(), grace)
        if ended.code != 0:
            why = ended.why or f"exit code {ended.code}"
            _LOG.warning("job %s: hook after: %s", job.id, why)
            outcome = replace(outcome, said=one_line(f"{outcome.said} (hook after: {why})"))
    return outcome


async def _before(
    job: Job, environment: Mapping[str, str], stop: asyncio.Event, grace: float
) -> Outcome | None:
    if not job.hooks.before:
        return None
    ended = await _run(job.hooks.before, environment, job.hooks.limit, stop, grace)
    if ended.code == 0:
        return None
    if ended.code is None and stop.is_set():
        return Outcome(result=Result.STOPPED, said=_STOPPED)
    why = ended.why or f"exit code {ended.code}"
    return Outcome(result=Result.SKIPPED, said=one_line(f"hook before: {why}"))


def _outcome(job: Job, ended: _Ended) -> Outcome:
    if ended.code is not None:
        return outcome_of(job, ended.code, ended.out, ended.err)
    if ended.why == _STOPPED:
        return Outcome(result=Result.STOPPED, said=_STOPPED)
    hung = ended.why.startswith(_NO_END)
    return Outcome(result=Result.HUNG if hung else Result.FAILED, said=one_line(ended.why))


async def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    limit: int,
    stop: asyncio.Event,
    grace: float,
) -> _Ended:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return _Ended(code=None, why=f"{command[0]} cannot be started: {error.strerror}")
    assert process.stdout is not None
    assert process.stderr is not None
    out = asyncio.create_task(_taken(process.stdout))
    err = asyncio.create_task(_taken(process.stderr))
    why = await _end_of(process, limit, stop)
    if why:
        await _end(process, grace)
    # Whoever left the group may hold the pipes open for ever: what it says then is not waited for.
    await asyncio.wait([out, err], timeout=grace)
    texts = [task.result() if task.done() else b"" for task in (out, err)]
    for task in (out, err):
        task.cancel()
    if why == _STOPPED and process.returncode == 0:
        why = ""  # it had ended by itself
    code = None if why else process.returncode
    return _Ended(code=code, why=why, out=texts[0], err=texts[1])


async def _end_of(process: Process, limit: int, stop: asyncio.Event) -> str:
    """Wait for the end; why it has to be ended by us, or nothing."""
    ending = asyncio.create_task(process.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([ending, stopping], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            return ""
        return _STOPPED if stop.is_set() else f"{_NO_END} {limit} s"
    finally:
        stopping.cancel()
        ending.cancel()


async def _end(process: Process, grace: float) -> None:
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(grace):
            await process.wait()
    except TimeoutError:
        pass
    # Also what it had started: whoever would not hear SIGTERM, or was left behind.
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def _taken(stream: asyncio.StreamReader) -> bytes:
    """Everything that comes, of which the last `_MOST` bytes are kept."""
    kept = bytearray()
    while piece := await stream.read(65536):
        kept += piece
        if len(kept) > 2 * _MOST:
            del kept[:-_MOST]
    return bytes(kept[-_MOST:])
