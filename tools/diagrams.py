"""`python -m tools.diagrams`: writes docs/transitions.md from the transition table.

What is drawn is `exclave.standing.phases.TRANSITIONS` and nothing else; tests/structure fails when
the committed page differs from what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from exclave.standing.phases import FINAL, TRANSITIONS, Event, Phase, Sort, step

PAGE = Path(__file__).resolve().parent.parent / "docs" / "transitions.md"
_TOP = """\
# Transitions of loosening statements

Made by `python -m tools.diagrams` from the table in `src/exclave/standing/phases.py`. The words
are those of [standing.md](../spec/standing.md): what an event is stands there. The table is total:
what it does not name leaves a statement in its phase.
"""
_NAMES = {
    Sort.CHARTER: "Charters",
    Sort.WARRANT: "Warrants",
    Sort.ORDER: "Orders (release, lift, narrow, unlock, terminate)",
    Sort.AGREEMENT: "Agreements",
}


def transitions_page() -> str:
    """The whole page."""
    parts = [_TOP, *(_diagram(sort) for sort in Sort), "\n".join(_table()) + "\n"]
    return "\n".join(parts)


def _diagram(sort: Sort) -> str:
    lines = ["    [*] --> incomplete"]
    for phase in Phase:
        by_target: dict[Phase, list[str]] = {}
        for event in Event:
            after = step(sort, phase, event)
            if after is not phase:
                by_target.setdefault(after, []).append(event.value)
        lines += [
            f"    {phase.value} --> {to.value}: {', '.join(e)}" for to, e in by_target.items()
        ]
    lines += [f"    {phase.value} --> [*]" for phase in Phase if _ends(sort, phase)]
    return "\n".join([f"## {_NAMES[sort]}", "```mermaid", "stateDiagram-v2", *lines, "```", ""])


def _ends(sort: Sort, phase: Phase) -> bool:
    reached = {row.to for row in TRANSITIONS if sort in row.sorts}
    return phase in FINAL and phase in reached


def _table() -> Iterator[str]:
    yield "## The table"
    yield "| sorts | from | event | to |"
    yield "|---|---|---|---|"
    for row in TRANSITIONS:
        sorts = "all" if len(row.sorts) == len(Sort) else ", ".join(s.value for s in row.sorts)
        phases = ", ".join(phase.value for phase in row.phases)
        yield f"| {sorts} | {phases} | {row.event.value} | {row.to.value} |"
    yield ""
    yield "Final, for every sort: " + ", ".join(p.value for p in Phase if p in FINAL) + "."


def main() -> int:
    """Write the page."""
    PAGE.write_text(transitions_page(), encoding="utf-8")
    print(f"diagrams: wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
