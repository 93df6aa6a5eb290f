"""What a drill of a real mission finds: registers as they come back, and what holds of them.

A `Rehearsal` follows the reconstruction: as soon as a register is restored and compared its
assertions run, before the next one is begun, since what a register depends on comes before it.
Rules: times are this machine's monotonic clock, but for the warrant's, which another machine may
have made; the certificate says what was found and nothing better.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from exclave.archive.manifest import Manifest
from exclave.certificate.drill import DrilledRegister
from exclave.certificate.results import AssertionOutcome, RegisterResult, one_line
from exclave.clock import Clock, parse_time
from exclave.drill.targets import DrillTargets
from exclave.plan import Plan
from exclave.reconstruct.assertions import run_assertions
from exclave.reconstruct.report import RegisterOutcome
from exclave.reconstruct.run import ReconstructProgress

__all__ = ["Rehearsal"]

Forecast = Callable[[str], float | None]
"""Seconds of work that were forecast for a register by itself."""

_NOTES: Final = 4096


class Rehearsal:
    """Follows one reconstruction into a quarantine (`ReconstructProgress`)."""

    def __init__(
        self,
        plan: Plan,
        targets: DrillTargets,
        shown: ReconstructProgress,
        *,
        issued: datetime,
        clock: Clock,
        forecast: Forecast = lambda _: None,
    ) -> None:
        self._plan = {register.id: register for register in plan.registers}
        self._targets = targets
        self._shown = shown
        self._issued = issued
        self._clock = clock
        self._forecast = forecast
        self._held: tuple[str, ...] = ()
        self._begun = time.monotonic()
        self._foreseen: float | None = 0.0  # for all that has ended; None: one had no forecast
        self.found: list[DrilledRegister] = []

    @property
    def declared(self) -> tuple[str, ...]:
        """The plan's registers and the deposit's: a shorter plan makes no drill easier."""
        return tuple(dict.fromkeys([*self._plan, *self._held]))

    def opened(self, manifest: Manifest) -> None:
        """What the deposit holds, also of what is not restored."""
        self._held = tuple(register.id for register in manifest.registers)

    def begin(self) -> None:
        """Work begins now: what was waited for before is no part of it."""
        self._begun = time.monotonic()

    def register_started(self, register: str, title: str) -> None:
        """As in `ReconstructProgress`."""
        self._shown.register_started(register, title)

    def restored(self, register: str, what: str, units: int, size: int) -> None:
        """As in `ReconstructProgress`."""
        self._shown.restored(register, what, units, size)

    def compared(self, register: str, what: str, units: int, size: int) -> None:
        """As in `ReconstructProgress`."""
        self._shown.compared(register, what, units, size)

    def register_ended(self, outcome: RegisterOutcome) -> None:
        """A register is there: what has to hold of it is asked now."""
        asserted = self._asserted(outcome.id)
        planned = self._plan.get(outcome.id)
        work = round((time.monotonic() - self._begun) * 1000)
        self._foreseen = _joined(self._foreseen, self._forecast(outcome.id))
        waited = round((self._clock() - self._issued).total_seconds() * 1000)
        self.found.append(
            DrilledRegister(
                result=_result(outcome, asserted),
                rto=outcome.rto if planned is None else planned.rto,
                # One after the other: what came before is part of the work, and of its forecast.
                forecast=None if self._foreseen is None else math.ceil(self._foreseen),
                restore_ms=outcome.restore_ms,
                compare_ms=outcome.compare_ms,
                work_ms=work,
                # The machine that made the warrant may have had another clock.
                rto_ms=max(work, waited),
            )
        )
        self._shown.register_ended(outcome)

    def _asserted(self, register: str) -> tuple[AssertionOutcome, ...]:
        planned = self._plan.get(register)
        if planned is None:
            return ()
        return run_assertions(
            planned.assertions,
            self._targets.restored(register),
            quarantine=self._targets.quarantine,
        )


def _joined(before: float | None, more: float | None) -> float | None:
    return None if before is None or more is None else before + more


def _result(outcome: RegisterOutcome, asserted: tuple[AssertionOutcome, ...]) -> RegisterResult:
    return RegisterResult(
        id=outcome.id,
        title=one_line(outcome.title),
        captured=parse_time(outcome.captured),
        rows=outcome.rows,
        files=outcome.files,
        objects=outcome.objects,
        differences=len(outcome.differences),
        not_compared=tuple(one_line(text) for text in outcome.not_compared[:_NOTES]),
        assertions=asserted,
    )
