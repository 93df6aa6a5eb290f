"""What one check says, and how bad it is; figures for programs that draw curves of them."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from exclave.values import dataclass

__all__ = ["CheckResult", "Figure", "Severity", "worst"]


class Severity(enum.IntEnum):
    """As programs that watch machines count: these are exit codes (docs/exit-codes.md)."""

    GOOD = 0
    WARNS = 1  # nothing would fail, and somebody should look
    BAD = 2
    UNKNOWN = 3  # it could not be found out


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured or forecast number, with the bounds beyond which it warns or is bad."""

    label: str
    value: float
    unit: str = ""  # "s", "B", or nothing for counts
    warn: float | None = None
    bad: float | None = None
    low: bool = False  # less than the bounds is what warns, as of room


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One thing that was tried."""

    what: str
    good: bool
    said: str = ""
    about: str = ""  # which of several things about `what`: both together name one cause
    warns: bool = False  # nothing would fail, and somebody should look
    hint: str | None = None
    figures: tuple[Figure, ...] = ()

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        if not self.good:
            return Severity.BAD
        return Severity.WARNS if self.warns else Severity.GOOD


def worst(results: Iterable[CheckResult]) -> Severity:
    """The worst of all."""
    return max((item.severity for item in results), default=Severity.GOOD)
