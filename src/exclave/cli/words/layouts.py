"""How the packs of a deposit are spread over seats, in words and for `--json`.

Pure. A deposit keeps the k and the seats that each of its packs was made with, whatever later
charters say, so there may be several.
"""

from __future__ import annotations

from collections.abc import Mapping

from exclave.authority.record_chain import Layout
from exclave.cli.words.states import seats_words

__all__ = ["layouts_json", "layouts_words"]


def layouts_words(layouts: Mapping[Layout, int] | None) -> str:
    """`2-of-3 (seats 1, 2, 3)`; where packs differ, with how many are so."""
    if layouts is None:
        return "layout unknown: a record before it is missing here"
    said = [
        f"{layout.k}-of-{len(layout.seats)} ({seats_words([int(s) for s in layout.seats])})"
        for layout in layouts
    ]
    if len(said) == 1:
        return said[0]
    return ", ".join(
        f"{count} {'pack' if count == 1 else 'packs'} {words}"
        for words, count in zip(said, layouts.values(), strict=True)
    )


def layouts_json(layouts: Mapping[Layout, int] | None) -> list[dict[str, object]] | None:
    """Each with its k, seats and number of packs."""
    if layouts is None:
        return None
    return [
        {"k": layout.k, "seats": [int(seat) for seat in layout.seats], "packs": count}
        for layout, count in layouts.items()
    ]
