"""The same question to every vault of a charter at once, each answer or reason by seat.

For what must reach whoever can be reached: one vault that is silent, refuses or is a safe without
address keeps none of the others back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import SeatEntry
from exclave.clock import now
from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import Seat
from exclave.lines import LoopThread
from exclave.vault.client.retrying import RetryPolicy
from exclave.vault.interface import PublicRecord, StatementState
from exclave.wiring.lines import Lines

__all__ = ["QUICKLY", "QUICK_SECONDS", "Answers", "SeatNotInUse", "ask_records", "each_seat"]

Answers = Mapping[Seat, StatementState | str]
"""By seat: its answer, or why there is none."""

QUICKLY = RetryPolicy(attempts=2)
QUICK_SECONDS = 10
"""Somebody waits for the answer; a vault that is down must not make him wait for minutes."""
_SAFE = "has no address: carry the file to it (exclave vault submit)"


class SeatNotInUse(ConfigurationError):
    """A seat was named that the charter does not have in use."""


def each_seat(
    charter: Charter,
    call: Callable[[PublicRecord], Awaitable[StatementState]],
    *,
    seats: Collection[Seat] = (),
) -> Answers:
    """Ask all seats in use, or only `seats`; raises `SeatNotInUse`."""
    entries = _wanted(charter, seats)
    lines = [entry.seat for entry in entries if entry.addresses]
    answers: dict[Seat, StatementState | str] = {entry.seat: _SAFE for entry in entries}
    loop = LoopThread()
    try:
        with Lines(
            charter,
            loop=loop,
            clock=now,
            only=lines,
            policy=QUICKLY,
            idle_seconds=QUICK_SECONDS,
        ) as reached:
            records = [line.record for line in reached.seats.values()]
            answers |= loop.run(ask_records(records, call))
    finally:
        loop.close()
    return dict(sorted(answers.items()))


async def ask_records(
    records: Sequence[PublicRecord], call: Callable[[PublicRecord], Awaitable[StatementState]]
) -> Answers:
    """Ask these at once; an error of one is its answer's text."""

    async def one(record: PublicRecord) -> StatementState | str:
        try:
            return await call(record)
        except ExclaveError as error:
            return error.message

    answers = await asyncio.gather(*(one(record) for record in records))
    return {record.seat: answer for record, answer in zip(records, answers, strict=True)}


def _wanted(charter: Charter, seats: Collection[Seat]) -> Sequence[SeatEntry]:
    known = {entry.seat: entry for entry in charter.active_seats}
    unknown = sorted(set(seats) - set(known))
    if unknown:
        raise SeatNotInUse(
            f"seat {unknown[0]}: expected one of charter {charter.era}.{charter.version}, got none",
            hint="seats in use: " + ", ".join(map(str, sorted(known))),
        )
    return [known[seat] for seat in sorted(seats or known)]
