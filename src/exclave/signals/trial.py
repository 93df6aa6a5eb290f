"""A test of every target: an alert that says that it is one, and its all-clear (spec/signals.md 4).

Whoever set targets up sees that they reach people before something is wrong. Rules: no memory is
read or written, so that no cause comes of it and none is forgotten; a target that does not take the
alert keeps no other from being tried, and is sent no all-clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exclave.clock import Clock
from exclave.errors import ExclaveError
from exclave.signals.cause import Cause, Message, Told, one_line
from exclave.signals.interface import AlertUndelivered, Target
from exclave.values import dataclass

__all__ = ["Tried", "try_targets"]

_TEST: Final = Cause(
    key="test",
    severity="warning",
    summary="this is a test of alerts: nothing is wrong",
    hint="an all-clear follows at once",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one target."""

    name: str
    alert: str | None  # why it did not take the alert; None: it did
    clear: str | None  # why it did not take the all-clear; None: it did, or was not sent one

    @property
    def accepted(self) -> bool:
        """Whether it took both."""
        return self.alert is None and self.clear is None


def try_targets(targets: Sequence[Target], *, source: str, clock: Clock) -> tuple[Tried, ...]:
    """Send each an alert and, if it took that, the all-clear; one after the other."""
    return tuple(_tried(target, source, clock) for target in targets)


def _tried(target: Target, source: str, clock: Clock) -> Tried:
    began = clock().replace(microsecond=0)
    told = Told(cause=_TEST, began=began)
    alert = _sent(target, Message(source=source, moment=began, new=(told,), standing=(), over=()))
    if alert is not None:
        return Tried(name=target.name, alert=alert, clear=None)
    # The clock may have been set back.
    ended = max(began, clock().replace(microsecond=0))
    over = Told(cause=_TEST, began=began, ended=ended)
    clear = _sent(target, Message(source=source, moment=ended, new=(), standing=(), over=(over,)))
    return Tried(name=target.name, alert=None, clear=clear)


def _sent(target: Target, message: Message) -> str | None:
    """None when it was taken, else why not."""
    try:
        target.send(message)
    except ExclaveError as error:
        return error.message if isinstance(error, AlertUndelivered) else one_line(error.message)
    except Exception as error:
        # As in the alerter: a message may hold an address that is a secret, so its kind alone.
        return type(error).__name__
    return None
