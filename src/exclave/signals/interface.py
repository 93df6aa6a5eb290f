"""What the alerter asks of a target: a mailbox, a webhook, a command.

Rules
- `send` returns once the other side took the message, and raises `AlertUndelivered` otherwise.
- It takes a bounded time, whatever the other side does, and never tries twice: the alerter does.
- What is raised or logged holds no credential, key or web address: an address may be the secret.
"""

from __future__ import annotations

from typing import Protocol

from exclave.errors import ExclaveError
from exclave.signals.cause import Message

__all__ = ["AlertUndelivered", "Target"]


class AlertUndelivered(ExclaveError):
    """A target did not take a message now."""


class Target(Protocol):
    """Where messages go."""

    @property
    def name(self) -> str:
        """What the settings call it."""

    def send(self, message: Message) -> None:
        """Hand over a message; raises `AlertUndelivered`."""
