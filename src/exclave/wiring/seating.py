"""Enrolments of vaults that a later charter seats, made from the logs of the older ones.

Whoever makes them needs no key: all that they carry is signed. They are made once the charter is in
force at the older seats, by f+1 of their logs: a vault enrolled before would be alone with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exclave.authority.charter import Charter
from exclave.authority.enrolment import Enrolment
from exclave.errors import ConfigurationError
from exclave.found.output import write_enrolments
from exclave.vault.survey.seating import history_of
from exclave.vault.survey.survey import MissionView, SeatView

__all__ = ["NobodyJoins", "enrolments_of", "save_enrolments"]


class NobodyJoins(ConfigurationError):
    """Every seat of the charter in force was there from the beginning."""


def save_enrolments(view: MissionView, out: Path) -> Sequence[Enrolment]:
    """Write `out`/<vault>.json for each seat that joined; returns what was written."""
    made = enrolments_of(view)
    write_enrolments(out, made)
    return made


def enrolments_of(view: MissionView) -> Sequence[Enrolment]:
    """An enrolment for each seat of the charter in force that charter 1 does not have."""
    first = view.chain.charters[0]
    joined = [seat for seat in view.charter.active_seats if not first.seats_vault(seat.seat)]
    if not joined:
        order = f"{view.charter.era}.{view.charter.version}"
        raise NobodyJoins(
            f"charter {order}: in force at the vaults, and every seat of it was there from the "
            "beginning",
            hint="wait until the charter that has the new seat is in force: exclave standing",
        )
    witness = _witness(view, view.charter)
    standing, statements = witness.standing, witness.statements
    assert standing is not None
    return [
        Enrolment(
            mission=view.mission,
            seat=seat.seat,
            vault=seat.vault,
            charter=statements[first.statement_hash],
            history=history_of(standing, statements, seat.seat),
        )
        for seat in joined
    ]


def _witness(view: MissionView, charter: Charter) -> SeatView:
    """The seat whose log tells the history: one that was there as long as any, the longest log."""
    found = [
        seat
        for seat in view.seats
        if seat.standing is not None and seat.standing.in_force == charter.statement_hash
    ]
    return max(found, key=lambda seat: (-_joined_after(seat), seat.log_size))


def _joined_after(seat: SeatView) -> int:
    return 0 if seat.standing is None else seat.standing.seating
