"""What `exclave limits` says is pinned: nothing may be dropped because it sounds bad."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from exclave.authority.charter import Charter
from exclave.authority.charter_settings import Dispersal
from exclave.found.cards import UnsafeFolderOutlet
from exclave.found.ceremony import prepare
from exclave.limits import duration, limits
from tests.founding import NOW, make_founding

ALWAYS = [
    "own-copy",
    "fatal-loss",
    "disks-and-shares",
    "warrant-delay",
    "garbage",
    "guess-confirmation",
    "swap",
    "old-shares",
    "old-deposits",
    "places-abroad",
    "advisory-expiry",
    "no-liar-tolerated",
    "logs-unwitnessed",
    "not-built",
]


@pytest.fixture(scope="module")
def charter(tmp_path_factory: pytest.TempPathFactory) -> Charter:
    """The charter of examples/founding.toml: 2 of 3 seats in three states."""
    folder = tmp_path_factory.mktemp("founding")
    founding = make_founding(folder, os.urandom)
    founded = prepare(
        founding.plan,
        folder=founding.folder,
        out=folder / "mission",
        outlet=UnsafeFolderOutlet(folder / "cards"),
        now=NOW,
        random=os.urandom,
    )
    return replace(founded.charter, notice="")


def names(charter: Charter) -> list[str]:
    """The limits' names."""
    return [item.name for item in limits(charter)]


def text(charter: Charter, name: str) -> str:
    """One limit's sentence."""
    return next(item.text for item in limits(charter) if item.name == name)


def test_what_holds_always(charter: Charter) -> None:
    """Every limit of the design's last paragraph on promises, with this charter's figures."""
    assert names(charter) == ALWAYS
    assert text(charter, "fatal-loss") == (
        "Any 2 of 3 seats give everything back; when 2 of 3 seats are destroyed, nothing does."
    )
    assert text(charter, "old-deposits").endswith("this charter's 2 of 3 holds for new ones.")
    assert "The disks of 2 hosts and enough cards (2 of 3 groups)" in text(
        charter, "disks-and-shares"
    )
    assert all(str(seat.operator) in text(charter, "own-copy") for seat in charter.active_seats)


def test_one_host(charter: Charter) -> None:
    """As Estonia in Luxembourg: allowed, and said."""
    one = replace(
        charter,
        seats=charter.seats[:1],
        dispersal=Dispersal(k=1, n=1, h=1),
        witness=replace(charter.witness, q=1),
    )
    assert names(one) == [*ALWAYS[:2], "single-host", "state-fatal", *ALWAYS[2:]]
    assert "when 1 seat is destroyed, nothing does" in text(one, "fatal-loss")


def test_whole_copies(charter: Charter) -> None:
    """k = 1 protects from loss only."""
    copies = replace(charter, dispersal=replace(charter.dispersal, k=1))
    assert "whole-copies" in names(copies)
    assert names(copies).count("state-suffices") == 3


def test_one_state_with_two_seats(charter: Charter) -> None:
    """Seats in one state fall together."""
    first, second, third = charter.seats
    together = replace(
        charter,
        seats=(first, replace(second, state=first.state), third),
        dispersal=replace(charter.dispersal, h=2),
    )
    assert text(together, "state-fatal").startswith(f"State {first.state} alone holds 2 of 3 seats")
    assert "state-suffices" in names(together)


def test_notice_is_repeated(charter: Charter) -> None:
    """What the charter itself confesses."""
    said = replace(charter, notice="a demonstration")
    assert text(said, "notice") == "The charter itself says: a demonstration"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (90, "90 s"), (7200, "2 h"), (172800, "2 d")]
)
def test_duration(seconds: int, said: str) -> None:
    """The largest unit that fits without rest."""
    assert duration(seconds) == said
