"""What a drill has to show, and what it saw: each finding is checked, said and kept.

Rule: a drill passes only if it has findings and all of them hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from exclave.demo.narration import Narrator
from exclave.values import dataclass

__all__ = ["Book", "Finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that must hold."""

    scene: str
    what: str
    held: bool
    seen: str

    def to_json(self) -> Mapping[str, object]:
        """For the verdict."""
        return {"scene": self.scene, "what": self.what, "held": self.held, "seen": self.seen}


class Book:
    """Takes the findings of one drill, scene by scene."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._scene = ""
        self.findings: list[Finding] = []

    @contextmanager
    def scene(self, title: str) -> Iterator[None]:
        """A scene; its time is kept by the narrator."""
        self._scene = title
        with self._narrator.phase(title):
            yield

    def uses(self, text: str) -> None:
        """Who acts, and with what."""
        self._narrator.say(f"- {text}")

    def expect(self, what: str, held: bool, seen: str) -> None:
        """Check one thing; it is said even when quiet if it does not hold."""
        self.findings.append(Finding(scene=self._scene, what=what, held=held, seen=seen))
        if held:
            self._narrator.say(f"  held: {what} ({seen})")
        else:
            self._narrator.verdict(f"   FAILED: {what}; seen: {seen}")

    @property
    def good(self) -> bool:
        """Whether everything holds."""
        return bool(self.findings) and all(item.held for item in self.findings)
