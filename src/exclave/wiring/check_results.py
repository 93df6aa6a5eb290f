"""What one check says."""

from __future__ import annotations

from exclave.values import dataclass

__all__ = ["CheckResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One thing that was tried."""

    what: str
    good: bool
    said: str = ""
    warns: bool = False  # nothing would fail, and somebody should look
    hint: str | None = None
