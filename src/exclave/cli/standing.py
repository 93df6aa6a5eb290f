"""`standing`: what stands at each vault, by its own verified log."""

from __future__ import annotations

from pathlib import Path

from exclave.cli.options import Out

__all__ = ["standing"]


def standing(*, charter: Path | None = None, card: Path | None = None, terminal: Out) -> int:
    """Show what stands at each vault: charters, lockdowns, statements with their hashes, holds.

    Every log is checked from the mission id on. Service time, by which delays run, is each vault's
    claim. Ends with 1 when vaults differ or a log cannot be followed.

    Parameters
    ----------
    charter
        A charter whose vaults are asked; or give --card.
    card
        The head of a share card: the vaults on it are asked.
    """
    from exclave.cli.deposit import NOT_AS_IT_SHOULD_BE
    from exclave.cli.words.standing import listing_json, standing_lines
    from exclave.clock import now
    from exclave.plain_words import grouped
    from exclave.standing.listing import differences, listed
    from exclave.wiring.orders import view_for

    view = view_for(charter, card)
    listings = {
        seat.seat: listed(seat.standing) for seat in view.seats if seat.standing is not None
    }
    differing = differences(listings)
    terminal.result(
        {
            "mission": view.mission.hex(),
            "seats": {str(seat): listing_json(one) for seat, one in listings.items()},
            "differences": list(differing),
            "problems": [{"seat": item.seat, "what": item.what} for item in view.problems],
        },
        [f"mission {grouped(view.mission)}", *standing_lines(listings, differing, now())],
    )
    for item in view.problems:
        terminal.warning(f"seat {item.seat}: {item.what}")
    whole = len(listings) == len(view.seats) and not differing
    return 0 if whole else NOT_AS_IT_SHOULD_BE
