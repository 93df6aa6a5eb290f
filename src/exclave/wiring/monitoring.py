"""The monitor on its machine: the lines to the vaults, and the folder with what was seen before.

Anybody may run it: it needs a card's head or a charter, and no key. Rules: the memory is written
after each look, whole, durably; a folder serves one monitor at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from exclave.authority.card import CardHead
from exclave.authority.charter import Charter
from exclave.clock import Clock, now
from exclave.durable import replace_file
from exclave.errors import ConfigurationError
from exclave.ids import MissionId
from exclave.lines import LoopThread
from exclave.monitor.judging import Judgement, judge
from exclave.monitor.looking import look
from exclave.monitor.memory import Memory, memory_bytes, parse_memory
from exclave.monitor.values import Sight
from exclave.vault.survey.survey import MissionNotFound
from exclave.wiring.bootstrap import first_charter
from exclave.wiring.files import read_file
from exclave.wiring.lines import Lines
from exclave.wiring.seats import QUICK_SECONDS, QUICKLY

__all__ = ["MEMORY", "load_memory", "look_once", "watch_once"]

MEMORY: Final = "memory.json"


def watch_once(start: CardHead | Charter, folder: Path | None, *, clock: Clock = now) -> Judgement:
    """Look, judge and remember; without a folder nothing is remembered.

    Raises `MissionNotFound` or `CardUnanswered` when no vault shows the mission's charter.
    """
    mission = start.mission_id if isinstance(start, Charter) else start.mission
    memory = Memory(mission=mission) if folder is None else load_memory(folder, mission)
    charter = start if isinstance(start, Charter) else first_charter(start)[1]
    judgement = judge(look_once(charter, memory, clock=clock))
    if folder is not None:
        replace_file(folder / MEMORY, [memory_bytes(judgement.memory)], mode=0o600)
    return judgement


def look_once(charter: Charter, memory: Memory, *, clock: Clock = now) -> Sight:
    """One look from the seats of a charter on, to those of the one in force."""
    found: Sight | None = None
    loop = LoopThread()
    try:
        # Seats of a later charter are asked in another round, as `exclave.wiring.reader` does.
        while found is None or found.charter.order > charter.order:
            charter = charter if found is None else found.charter
            try:
                found = _look(loop, charter, memory, clock)
            except MissionNotFound:
                if found is None:
                    raise
                break
    finally:
        loop.close()
    return found


def load_memory(folder: Path, mission: MissionId) -> Memory:
    """What the folder remembers, which is made when it is not there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be used: {error.strerror}") from error
    path = folder / MEMORY
    if not path.exists():
        return Memory(mission=mission)
    return parse_memory(read_file(path), mission)


def _look(loop: LoopThread, charter: Charter, memory: Memory, clock: Clock) -> Sight:
    with Lines(
        charter,
        loop=loop,
        clock=clock,
        only=[seat.seat for seat in charter.active_seats if seat.addresses],
        policy=QUICKLY,
        idle_seconds=QUICK_SECONDS,
    ) as lines:
        records = [line.record for line in lines.seats.values()]
        return loop.run(look(records, charter.mission_id, memory=memory, clock=clock))
