"""Alarms: what a vault itself noticed: clocks, witnesses, disk, depositors (spec/ledger.md 9).

Reads and writes the statement; when a vault raises one is `exclave.vault.mission.alarms`'s matter.
Unsigned: the log signs for it.
"""

from __future__ import annotations

import enum
from datetime import datetime

from exclave.authority.envelope import Envelope, Kind, envelope_for, payload_object
from exclave.authority.fields import Node
from exclave.clock import format_time
from exclave.ids import MissionId
from exclave.values import dataclass

__all__ = ["Alarm", "AlarmCause", "alarm_envelope", "parse_alarm", "read_cause"]


class AlarmCause(enum.Enum):
    """Why an alarm is raised."""

    WALL_CLOCK_JUMP = "wall-clock-jump"
    CLOCK_BEHIND = "clock-behind"
    CLOCK_AHEAD = "clock-ahead"
    WITNESS_MINORITY = "witness-minority"
    WITNESS_QUORUM_LOST = "witness-quorum-lost"
    WITNESS_DUTY = "witness-duty"
    WITNESS_OWED = "witness-owed"
    ENGINE_CORRUPT = "engine-corrupt"
    UNDECLARED_RESTART = "undeclared-restart"
    DEPOSITS_SILENT = "deposits-silent"
    DEPOSIT_SHRANK = "deposit-shrank"
    DEPOSIT_GREW = "deposit-grew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm; `detail` is one line for people."""

    mission: MissionId
    cause: AlarmCause
    detail: str
    began: datetime

    def __post_init__(self) -> None:
        Node(self.detail, "alarm.detail").text()


def alarm_envelope(alarm: Alarm) -> Envelope:
    """The alarm as an unsigned statement."""
    return envelope_for(
        {
            "kind": Kind.ALARM.value,
            "mission": alarm.mission.hex(),
            "cause": alarm.cause.value,
            "detail": alarm.detail,
            "began": format_time(alarm.began),
        }
    )


def parse_alarm(envelope: Envelope) -> Alarm:
    """Read the alarm in an envelope."""
    fields = payload_object(envelope, Kind.ALARM).fields("kind", *Alarm.__slots__)
    return Alarm(
        mission=MissionId(fields["mission"].hex(32)),
        cause=read_cause(fields["cause"]),
        detail=fields["detail"].text(),
        began=fields["began"].time(),
    )


def read_cause(node: Node) -> AlarmCause:
    """The value as a cause of an alarm."""
    return AlarmCause(node.literal(*(cause.value for cause in AlarmCause)))
