"""From a card to all seats of the charter in force, not only to those of charter 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from exclave.authority.charter import Charter
from exclave.engine.memory import MemoryEngine
from exclave.vault.mission.submission import submit
from exclave.wiring import reader
from tests.support.serving import open_mission
from tests.support.vault_world import SEATS, new_world, next_charter
from tests.unit.vault.test_survey import Seated


@pytest.mark.parametrize("silent", [False, True])
def test_seats_of_a_later_charter_are_asked(monkeypatch: pytest.MonkeyPatch, silent: bool) -> None:
    world = new_world()
    missions = [open_mission(world, MemoryEngine(), seat=seat) for seat in SEATS]
    _, data = next_charter(world, notice="the second")
    for mission in missions:
        submit(mission, data)
    asked: list[int] = []

    @contextmanager
    def lines(charter: Charter, *_: object) -> Iterator[SimpleNamespace]:
        asked.append(charter.version)
        there = missions[:1] if charter.version == 1 else [] if silent else missions
        yield SimpleNamespace(records=[Seated(mission) for mission in there])

    monkeypatch.setattr(reader, "first_charter", lambda _: (world.envelope, world.charter))
    monkeypatch.setattr(reader, "_lines", lines)
    view = reader.survey_card(SimpleNamespace())  # type: ignore[arg-type]
    assert asked == [1, 2]
    assert view.charter.version == 2
    assert [seat.seat for seat in view.seats] == list(SEATS[:1] if silent else SEATS)
