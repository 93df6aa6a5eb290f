"""Charters on their way: read from files, handed to the vaults of the seats that they name.

A charter goes to every seat of the charter before it and of itself, each under its pinned key; the
sealed annex follows where the charter was taken. Anybody may carry a charter: it says itself who
signed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.envelope import Envelope, Kind
from exclave.clock import now
from exclave.errors import ConfigurationError, ExclaveError
from exclave.found.amend import PREVIOUS, SEALED_ANNEX
from exclave.found.output import CHARTER
from exclave.ids import Seat
from exclave.lines import LoopThread
from exclave.values import dataclass
from exclave.vault.client.retrying import RetryPolicy
from exclave.vault.interface import PublicRecord
from exclave.wiring.files import load_envelope, read_file
from exclave.wiring.lines import Lines

__all__ = ["CharterForeign", "SeatAnswer", "load_charter_pair", "submit_folder"]

_POLICY = RetryPolicy(attempts=2)
_SECONDS = 10


class CharterForeign(ConfigurationError):
    """Two charters of different missions were to be compared or used together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatAnswer:
    """What a vault said to a charter and its annex."""

    taken: bool
    said: tuple[str, ...]


def load_charter_pair(file: Path, before: Path | None) -> tuple[Envelope, Charter, Charter | None]:
    """A charter, and one to compare it with; raises `CharterForeign`."""
    envelope = load_envelope(file, Kind.CHARTER)
    charter = parse_charter(envelope)
    if before is None:
        return envelope, charter, None
    old = parse_charter(load_envelope(before, Kind.CHARTER))
    if old.mission_id != charter.mission_id:
        raise CharterForeign(
            f"{before}: expected a charter of mission {charter.mission_id.hex()}, "
            f"got one of {old.mission_id.hex()}"
        )
    return envelope, charter, old


def submit_folder(folder: Path) -> Mapping[Seat, SeatAnswer]:
    """Hand in what `charter draft` wrote, as signed by now; an answer for every seat."""
    envelope, charter, before = load_charter_pair(folder / CHARTER, folder / PREVIOUS)
    assert before is not None
    sealed = folder / SEALED_ANNEX
    annex = read_file(sealed) if sealed.exists() else None
    answers: dict[Seat, SeatAnswer] = {}
    # The seats of the charter before first: they know the mission. Of a seat that both have, the
    # address before is asked, since that is where its vault still is.
    for seats in (before, charter):
        loop = LoopThread()
        try:
            with Lines(
                seats, loop=loop, clock=now, identity=None, policy=_POLICY, idle_seconds=_SECONDS
            ) as lines:
                records = [line.record for seat, line in lines.seats.items() if seat not in answers]
                answers |= loop.run(_everyone(records, envelope.to_bytes(), annex))
        finally:
            loop.close()
    return answers


async def _everyone(
    records: list[PublicRecord], charter: bytes, annex: bytes | None
) -> dict[Seat, SeatAnswer]:
    answers = await asyncio.gather(*(_one(record, charter, annex) for record in records))
    return {record.seat: answer for record, answer in zip(records, answers, strict=True)}


async def _one(record: PublicRecord, charter: bytes, annex: bytes | None) -> SeatAnswer:
    try:
        state = await record.submit(charter)
    except ExclaveError as error:
        hint = "" if error.hint is None else f" ({error.hint})"
        return SeatAnswer(taken=False, said=(f"charter: {error.message}{hint}",))
    wait = "" if state.seconds is None else f", {state.seconds} s left"
    said = [f"charter: {state.state.value}{wait}"]
    if annex is not None:
        try:
            said.append(f"annex: {(await record.submit(annex)).state.value}")
        except ExclaveError as error:
            said.append(f"annex: {error.message}")
    return SeatAnswer(taken=True, said=tuple(said))
