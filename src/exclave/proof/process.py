"""The proving process: `python -P -m exclave.proof.process`, its two pipes as input and output.

It holds this deposit's secret and the dedup key, which come as the first frames, and nothing else
that is secret: no signing key, no veil but those that it joins, no secret of another deposit.

Rules
- It reads no file but what it writes into quarantine, and speaks to nobody but the depositing
  process and the quarantine server.
- It ends when the other process does, and whatever it started ends with it.
- No core file, no trace: an unexpected error is told by its name alone, since messages may quote
  what was decoded.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import threading
import time
from types import FrameType
from typing import Final

from exclave.errors import ExclaveError
from exclave.lines import LoopThread
from exclave.proof.prover import DepositProver
from exclave.proof.task import task_from_bytes
from exclave.proof.values import register_to_json
from exclave.proof.wire import Channel, Kind, WireBroken

__all__ = ["main"]

_GRACE: Final = 3.0
"""Seconds between asking this process to end and killing it."""

_NO_CORE: Final = 1
"""As `exclave.cli.core_dumps` has it: inherited, unless somebody starts this by hand."""


class _Ended(BaseException):
    """It is to end: what it started goes on the way out."""


def main() -> int:
    """Prove what standard input says; 0 when the findings were told."""
    resource.setrlimit(resource.RLIMIT_CORE, (_NO_CORE, _NO_CORE))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started it decides
    signal.signal(signal.SIGTERM, _end)
    channel, incoming = _open_channel()
    threading.Thread(target=_end_with, args=(incoming,), daemon=True).start()
    try:
        _prove(channel)
    except (WireBroken, _Ended):
        return 1
    return 0


def _end(_: int, __: FrameType | None) -> None:
    raise _Ended


def _open_channel() -> tuple[Channel, int]:
    """The pipes under other numbers, so that nothing that is printed or started gets at them."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    return Channel(incoming, outgoing), incoming


def _end_with(incoming: int) -> None:
    """Wait until the other end is closed; then nothing here has a reason to go on."""
    poll = select.poll()
    poll.register(incoming, 0)  # a hang-up is told without being asked for
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    if os.getpgrp() == os.getpid():  # as it is started: psql goes with it
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _prove(channel: Channel) -> None:
    task = task_from_bytes(channel.expect(Kind.TASK))
    secrets = channel.expect(Kind.SECRET)
    secret, dedup_key = bytes(secrets[:32]), bytes(secrets[32:])
    secrets[:] = bytes(len(secrets))
    loop = LoopThread()
    problem: str | None = None
    prover: DepositProver | None = None
    try:
        prover = DepositProver(task, secret=secret, dedup_key=dedup_key, channel=channel, loop=loop)
        for findings in prover.prove(lambda name: channel.tell(Kind.BEGUN, name.encode())):
            channel.tell(Kind.REGISTER, json.dumps(register_to_json(findings)).encode())
    except WireBroken:
        raise
    except ExclaveError as error:
        problem = error.message
    except Exception as error:  # told like any other end: the deposit stands
        problem = f"unexpected {type(error).__name__} in the proving process"
    ended = {
        "packs": 0 if prover is None else prover.packs,
        "pack_bytes": 0 if prover is None else prover.pack_bytes,
        "faults": [] if prover is None else prover.faults,
        "problem": problem,
    }
    channel.tell(Kind.ENDED, json.dumps(ended).encode())


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # threads that wait for what no longer comes must not hold it up
