"""Progress that says nothing."""

from __future__ import annotations

from exclave.reconstruct.report import RegisterOutcome


class Quiet:
    """Progress that says nothing: for deposits and reconstructions."""

    def phase(self, name: str) -> None:
        del name

    def register_started(self, register: str, title: str) -> None:
        del register, title

    def captured(self, register: str, what: str, units: int, size: int) -> None:
        del register, what, units, size

    restored = captured
    compared = captured


class QuietDeposit(Quiet):
    """For deposits."""

    def register_ended(self, register: str, rows: int, files: int) -> None:
        del register, rows, files


class QuietReconstruction(Quiet):
    """For reconstructions."""

    def register_ended(self, outcome: RegisterOutcome) -> None:
        del outcome
