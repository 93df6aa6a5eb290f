"""Why a vault gives no answer, in words of its own and not in those of a library."""

from __future__ import annotations

import os
import socket
from typing import Final

from exclave.errors import VaultUnreachable
from exclave.ids import Seat

__all__ = ["no_answer", "why_silent"]

# Errors of the HTTP libraries by name: looking at a vault loads one of the two, not both.
_WORDS: Final = {
    "BadStatusLine": "it does not speak HTTP",
    "BadHttpMessage": "it does not speak HTTP",
    "ClientPayloadError": "it ended in the middle",
    "ClientResponseError": "it does not speak HTTP",
    "IncompleteRead": "it ended in the middle",
    "RemoteDisconnected": "it ended the line",
    "ServerDisconnectedError": "it ended the line",
}


def no_answer(seat: Seat, place: object, error: BaseException) -> VaultUnreachable:
    """The error of a line on which nothing, or nothing whole, came back."""
    return VaultUnreachable(f"seat {seat}: no answer from {place}: {why_silent(error)}")


def why_silent(error: BaseException) -> str:
    """`connection refused`, `took too long`; the name of the error where nothing is known of it.

    Libraries wrap what the system said: aiohttp keeps it as `os_error`.
    """
    cause = getattr(error, "os_error", error)
    if isinstance(cause, TimeoutError):
        return "it took too long"
    if isinstance(cause, socket.gaierror):
        return "no such host"
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
        return os.strerror(cause.errno).lower()
    return _WORDS.get(type(error).__name__, type(error).__name__)
