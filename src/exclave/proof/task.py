"""What a proving process is told before it begins; no secret is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from exclave.encoding import b64decode, b64encode
from exclave.errors import MalformedData

__all__ = ["QuarantineServer", "Task", "task_from_bytes", "task_to_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineServer:
    """A PostgreSQL server whose databases come and go with a proof."""

    host: str
    port: int
    user: str
    password_file: str | None = None
    bin_dir: str | None = None
    jobs: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One proof."""

    record: bytes  # the signed envelope
    secret: bytes  # secret id, 32 bytes
    folder: Path  # of this run, in quarantine (0700)
    server: QuarantineServer | None


def task_to_bytes(task: Task) -> bytes:
    """As it goes through the pipe."""
    value = {
        "record": b64encode(task.record),
        "secret": task.secret.hex(),
        "folder": str(task.folder),
        "server": None if task.server is None else asdict(task.server),
    }
    return json.dumps(value).encode()


def task_from_bytes(data: bytes | bytearray) -> Task:
    """The way back; raises `MalformedData`."""
    try:
        value: Mapping[str, object] = json.loads(data)
        server = value["server"]
        return Task(
            record=b64decode(str(value["record"]), subject="task: record"),
            secret=bytes.fromhex(str(value["secret"])),
            folder=Path(str(value["folder"])),
            server=QuarantineServer(**server) if isinstance(server, dict) else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedData("proof: expected a task, got something else") from error
