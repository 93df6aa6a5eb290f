"""What a proving process is told before it begins; no secret is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exclave.encoding import b64decode, b64encode
from exclave.errors import MalformedData
from exclave.quarantine.note import QuarantineServer
from exclave.values import asdict, dataclass, field

if TYPE_CHECKING:
    from exclave.reconstruct.assertions import Asserted

__all__ = [
    "OwnServer",
    "StatedAssertion",
    "Task",
    "task_from_bytes",
    "task_to_bytes",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnServer:
    """Programs of which a server is made for a proof."""

    bin_dir: str
    jobs: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedAssertion:
    """An assertion of the plan (`exclave.reconstruct.assertions.Asserted`)."""

    name: str
    source: str | None
    database: str | None
    sql: str | None
    command: tuple[str, ...] | None
    expect: str | None
    timeout: int

    @classmethod
    def of(cls, stated: Asserted) -> StatedAssertion:
        """As a plan states it."""
        return cls(
            name=stated.name,
            source=stated.source,
            database=stated.database,
            sql=stated.sql,
            command=stated.command,
            expect=stated.expect,
            timeout=stated.timeout,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One proof."""

    record: bytes  # the signed envelope
    secret: bytes  # secret id, 32 bytes
    folder: Path  # of this run, in quarantine (0700)
    server: QuarantineServer | None
    assertions: Mapping[str, tuple[StatedAssertion, ...]] = field(default_factory=dict)


def task_to_bytes(task: Task) -> bytes:
    """As it goes through the pipe."""
    value = {
        "record": b64encode(task.record),
        "secret": task.secret.hex(),
        "folder": str(task.folder),
        "server": None if task.server is None else asdict(task.server),
        "assertions": {
            name: [asdict(item) for item in stated] for name, stated in task.assertions.items()
        },
    }
    return json.dumps(value).encode()


def task_from_bytes(data: bytes | bytearray) -> Task:
    """The way back; raises `MalformedData`."""
    try:
        value: Mapping[str, Any] = json.loads(data)
        server = value["server"]
        return Task(
            record=b64decode(value["record"], subject="task: record"),
            secret=bytes.fromhex(value["secret"]),
            folder=Path(value["folder"]),
            server=None if server is None else QuarantineServer(**server),
            assertions={
                name: tuple(map(_assertion, stated)) for name, stated in value["assertions"].items()
            },
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedData("proof: expected a task, got something else") from error


def _assertion(value: Mapping[str, Any]) -> StatedAssertion:
    command = value["command"]
    return StatedAssertion(**{**value, "command": None if command is None else tuple(command)})
