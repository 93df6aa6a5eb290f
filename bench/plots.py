"""Bars of medians as SVG, with the spread as a line: what docs/performance.md shows.

Drawn by hand, since a plotting library would be the largest dependency of the project.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.measuring import Run

__all__ = ["bars"]

_WIDTH, _LABEL, _BAR, _GAP, _HEAD = 720, 190, 14, 4, 26
_COLOURS: Final = ("#1b6ca8", "#5fa8d3", "#d1495b", "#edae49", "#8f8f8f", "#3d5a3c")


def bars(title: str, runs: Sequence[Run], steps: Sequence[str]) -> str:
    """One group of bars a step, one bar a tool, seconds from left to right."""
    tools = list(dict.fromkeys(run.contender for run in runs if run.step in steps))
    longest = max((run.seconds for run in runs if run.step in steps), default=1.0)
    scale = (_WIDTH - _LABEL - 70) / longest
    body: list[str] = [_text(8, 16, title, bold=True)]
    at = _HEAD
    for step in steps:
        body.append(_text(8, at + 12, step, bold=True))
        at += _BAR + _GAP
        for place, tool in enumerate(tools):
            times = [run.seconds for run in runs if (run.step, run.contender) == (step, tool)]
            if times:
                body += _bar(at, tool, times, scale, _COLOURS[place % len(_COLOURS)])
                at += _BAR + _GAP
        at += _GAP
    size = f'width="{_WIDTH}" height="{at}" viewBox="0 0 {_WIDTH} {at}"'
    style = 'font-family="sans-serif" font-size="12"'
    content = "\n".join(body)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{content}\n</svg>\n'


def _bar(at: int, tool: str, times: Sequence[float], scale: float, colour: str) -> Iterator[str]:
    median, middle = statistics.median(times), at + _BAR / 2
    left, right = (_LABEL + scale * edge for edge in (min(times), max(times)))
    yield _text(16, at + 11, tool)
    yield (
        f'<rect x="{_LABEL}" y="{at}" width="{scale * median:.1f}" height="{_BAR}" '
        f'fill="{colour}"/>'
    )
    yield (f'<line x1="{left:.1f}" y1="{middle}" x2="{right:.1f}" y2="{middle}" stroke="#222222"/>')
    yield _text(right + 6, at + 11, f"{median:.2f} s")


def _text(x: float, y: float, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}"{weight}>{escape(text)}</text>'
