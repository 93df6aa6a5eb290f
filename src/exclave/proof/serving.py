"""The depositing side of a proof: starts the proving process, answers it, takes down what it found.

Rules
- The proof never fails a deposit, which stands already: whatever goes wrong is in the findings.
- The secret goes through the pipe and nowhere else; the caller wipes his own afterwards.
- The process has ended, and the quarantine is clear, when this returns. When its time is up, or it
  says what is no frame, it is asked to end, so that it ends what it started, and then killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exclave.clock import Clock, format_time
from exclave.deposit.kept import Kept
from exclave.errors import ExclaveError, IntegrityError, MalformedData
from exclave.ids import ShardRoot
from exclave.plain_words import duration
from exclave.proof.task import (
    OwnServer,
    StatedAssertion,
    Task,
    task_to_bytes,
)
from exclave.proof.values import ProofFindings, Verdict, register_from_json
from exclave.proof.wire import CHUNK_HEAD, PLACE, Channel, Kind, WireBroken
from exclave.quarantine.folder import hold_alone, open_quarantine
from exclave.quarantine.note import QuarantineServer
from exclave.values import dataclass, field, replace

if TYPE_CHECKING:
    from exclave.reconstruct.assertions import Asserted

__all__ = ["PROGRAM", "AssertionsLeftOut", "Prover", "ToProve"]

_GRACE: Final = 5.0
"""Seconds in which a process that is to end may end an assertion's program first."""
PROGRAM: Final = (sys.executable, "-P", "-m", "exclave.proof.process")


class AssertionsLeftOut(IntegrityError):
    """A proving process called a register proven without running all its assertions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToProve:
    """A deposit that was lodged, while its secret is still known."""

    record: bytes  # the signed envelope
    secret_id: bytes
    secret: bytearray = field(repr=False)  # lent: wiped by its owner
    dedup_key: bytes = field(repr=False)
    registers: tuple[str, ...]  # that were captured
    wants_server: bool = False  # whether one of them is PostgreSQL's
    assertions: Mapping[str, Sequence[Asserted]] = field(default_factory=dict)  # by register


@dataclass(frozen=True, slots=True, kw_only=True)
class Prover:
    """How deposits are proven here."""

    quarantine: Path
    limit: int  # bytes that may be kept for a proof
    timeout: int  # seconds for all of a proof
    server: QuarantineServer | OwnServer | None
    clock: Clock
    program: Sequence[str] = PROGRAM

    def prove(self, what: ToProve, kept: Kept, begun: Callable[[str], None]) -> ProofFindings:
        """Prove; `begun` is told each register. Raises nothing of its own."""
        conversation = _Conversation(kept, begun)
        started, problem = format_time(self.clock()), kept.problem
        if problem is None:
            try:
                with self._server(what) as (folder, server):
                    self._converse(conversation, what, folder, server)
            except ExclaveError as error:
                problem = error
            except OSError as error:
                problem = ExclaveError(
                    f"{self.quarantine}: cannot be used: {error.strerror or error}"
                )
        found = conversation.findings
        return replace(
            found,
            started=started,
            ended=format_time(self.clock()),
            expected=what.registers,
            problem=found.problem if problem is None else problem.message,
        )

    @contextmanager
    def _server(self, what: ToProve) -> Iterator[tuple[Path, QuarantineServer | None]]:
        """A folder in quarantine, and the server for databases, if there is one."""
        with hold_alone(self.quarantine), open_quarantine(self.quarantine) as folder:
            if not isinstance(self.server, OwnServer):
                yield folder, self.server
            elif not what.wants_server:
                yield folder, None
            else:
                from exclave.quarantine.own_server import quick_server

                bin_dir = Path(self.server.bin_dir)
                with quick_server(folder, bin_dir, jobs=self.server.jobs) as server:
                    yield folder, server

    def _converse(
        self,
        conversation: _Conversation,
        what: ToProve,
        folder: Path,
        server: QuarantineServer | None,
    ) -> None:
        task = Task(
            record=what.record,
            secret=what.secret_id,
            folder=folder,
            server=server,
            assertions={
                name: tuple(map(StatedAssertion.of, stated))
                for name, stated in what.assertions.items()
            },
        )
        with self._started() as (process, late):
            assert process.stdin is not None
            assert process.stdout is not None
            channel = Channel(process.stdout.fileno(), process.stdin.fileno())
            try:
                channel.tell(Kind.TASK, task_to_bytes(task))
                channel.tell(Kind.SECRET, what.secret, what.dedup_key)
                conversation.follow(channel)
                _require_asserted(conversation.findings, what.assertions)
            except WireBroken as error:
                if late.is_set():
                    raise ExclaveError(
                        f"proof: expected an end within {duration(self.timeout)}, got none"
                    ) from error
                raise ExclaveError(
                    "proof: the proving process ended before it had a result: " + error.message
                ) from error

    @contextmanager
    def _started(self) -> Iterator[tuple[subprocess.Popen[bytes], threading.Event]]:
        """The process, and whether its time was up; it and all that it started end with this."""
        late = threading.Event()
        process = subprocess.Popen(
            self.program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )

        def end() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(self.timeout, end)
        timer.daemon = True
        timer.start()
        try:
            yield process, late
        finally:
            timer.cancel()
            timer.join()
            _end(process)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


class _Conversation:
    """Answers what is asked and takes down what is told."""

    def __init__(self, kept: Kept, begun: Callable[[str], None]) -> None:
        self._kept = kept
        self._begun = begun
        self.findings = ProofFindings(started="", ended="", expected=())

    def follow(self, channel: Channel) -> None:
        """Until the other process says that it has ended."""
        while True:
            kind, payload = channel.receive()
            match kind:
                case Kind.SHARD:
                    shard = self._kept.shard(ShardRoot(bytes(payload)))
                    channel.tell(Kind.ANSWER, shard or b"")
                case Kind.CHUNKS:
                    channel.tell(Kind.ANSWER, *self._chunks(payload))
                case Kind.HOLDS:
                    held = (self._kept.has_chunk(*place) for place in _places(payload))
                    channel.tell(Kind.ANSWER, bytes(held))
                case Kind.BEGUN:
                    self._begun(payload.decode(errors="replace"))
                case Kind.REGISTER:
                    found = register_from_json(_object(payload))
                    registers = (*self.findings.registers, found)
                    self.findings = replace(self.findings, registers=registers)
                case Kind.ENDED:
                    self._ended(_object(payload))
                    return
                case _:
                    raise WireBroken(f"proof: expected a question, got {kind.name}")

    def _chunks(self, payload: bytearray) -> Iterator[bytes]:
        for place in _places(payload):
            chunk = self._kept.chunk(*place)
            if chunk is None:
                yield CHUNK_HEAD.pack(bytes(32), 0)
            else:
                yield CHUNK_HEAD.pack(chunk.id, len(chunk.plain))
                yield chunk.plain

    def _ended(self, value: dict[str, Any]) -> None:
        try:
            self.findings = replace(
                self.findings,
                packs=int(value["packs"]),
                pack_bytes=int(value["pack_bytes"]),
                faults=tuple(map(str, value["faults"])),
                problem=None if value["problem"] is None else str(value["problem"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedData("proof: expected an end, got something else") from error


def _require_asserted(found: ProofFindings, stated: Mapping[str, Sequence[Asserted]]) -> None:
    """Raise unless all that was stated of a proven register was looked at."""
    for item in found.registers:
        expected = [assertion.name for assertion in stated.get(item.id, ())]
        if item.verdict is Verdict.PROVEN and [a.name for a in item.assertions] != expected:
            raise AssertionsLeftOut(
                f"register {item.id}: expected {len(expected)} assertions to be run, "
                f"got {len(item.assertions)}"
            )


def _places(payload: bytearray) -> Iterator[tuple[int, int]]:
    if len(payload) % PLACE.size:
        raise WireBroken(f"proof: expected places of 8 bytes, got {len(payload)} bytes")
    return PLACE.iter_unpack(payload)


def _object(payload: bytearray) -> dict[str, Any]:
    try:
        value = json.loads(payload)
    except ValueError as error:
        raise MalformedData("proof: expected JSON from the proving process") from error
    if not isinstance(value, dict):
        raise MalformedData("proof: expected an object from the proving process")
    return value


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and its group; until it was waited for, its number is nobody else's."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
        descriptor = os.pidfd_open(process.pid)
        try:
            select.select([descriptor], [], [], _GRACE)
        finally:
            os.close(descriptor)
        os.killpg(process.pid, signal.SIGKILL)
