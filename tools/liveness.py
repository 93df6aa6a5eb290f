"""`python -m tools.liveness`: writes docs/liveness.md, what still works when vaults are lost.

Each row is a run of the table of `exclave.standing` with that many vaults, of which some are gone
for good: who is left logs a statement, and is asked when it takes effect. Depositing and receipts
follow from h and q alone. Delays are named and not given in seconds: they are the charter's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exclave.ids import StatementHash
from exclave.standing.phases import Phase
from tests.support.polity import Polity, Vantage, make_charter

PAGE = Path(__file__).resolve().parent.parent / "docs" / "liveness.md"
DELAY, DARK = 10, 30
_TOP = """\
# What still works when vaults are lost

Made by `python -m tools.liveness`, from runs of the transition table (`exclave.standing`) and the
numbers of a charter: n vaults, any k of which hold a deposit, h that a new one needs, q witnesses
that make a checkpoint count (spec/authority.md 2). *delay*: the roster's delay; *dark*:
`dark_factor` times as long, since no quorum of witnesses answers (spec/standing.md 1). A lockdown,
a veto, a hold and an extension need one vault that answers and no time at all.

- **Sweep** stands still without a witness quorum: no time passes that anything could expire by.
- **Exile** is the time from a lockdown to a charter of a new era in force, by `exile_1`; by
  `exile_2` it is that roster's delay. A warrant of exile takes as long.
- Every table ends at k vaults: with fewer, nothing is read at all, whoever signs.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The numbers of a charter."""

    n: int
    k: int
    h: int
    f: int

    @property
    def q(self) -> int:
        """The least witness quorum: more than half of n and f."""
        return (self.n + self.f) // 2 + 1


SHAPES = (
    Shape(n=1, k=1, h=1, f=0),
    Shape(n=3, k=2, h=2, f=0),
    Shape(n=5, k=3, h=4, f=1),
    Shape(n=7, k=4, h=5, f=2),
)


def liveness_page() -> str:
    """The whole page."""
    return _TOP + "\n" + "\n".join(line for shape in SHAPES for line in _table(shape))


def _table(shape: Shape) -> Iterator[str]:
    yield f"## n = {shape.n}: k = {shape.k}, h = {shape.h}, f = {shape.f}, q = {shape.q}"
    yield "| lost | deposit | cosigned receipt | warrant | charter change | exile | sweep |"
    yield "|---|---|---|---|---|---|---|"
    for lost in range(shape.n - shape.k + 1):
        left = shape.n - lost
        seen = left >= shape.q
        cells = (
            "yes" if left >= shape.h else "waits",
            "yes" if seen else "waits",
            *(_took(run(seen)) for run in (_warrant, _change, _exile)),
            "yes" if seen else "stands still",
        )
        yield f"| {lost} | {' | '.join(cells)} |"
    yield ""


def _took(seconds: int) -> str:
    return {DELAY: "delay", DARK: "dark"}[seconds]


def _vault(seen: bool) -> tuple[Polity, Vantage]:
    first = make_charter(dark_factor=DARK // DELAY)
    return Polity(first=first), Vantage(first, seen=seen)


def _until(vault: Vantage, name: StatementHash) -> int:
    for second in range(10 * DARK):
        if vault.standing.items[name].phase is Phase.EFFECTIVE:
            return second
        vault.pass_time(1)
    raise AssertionError("it never took effect")


def _warrant(seen: bool) -> int:
    polity, vault = _vault(seen)
    return _until(vault, vault.hear(polity.warrant(), "h1", "h2"))


def _change(seen: bool) -> int:
    polity, vault = _vault(seen)
    return _until(vault, vault.hear(polity.next(), "h1", "h2"))


def _exile(seen: bool) -> int:
    polity, vault = _vault(seen)
    vault.hear(polity.lockdown(), "h1")
    era = _until(vault, vault.hear(polity.era(), "a1", "a2"))
    read = _until(vault, vault.hear(polity.warrant(vault.standing.charter), "a1", "a2"))
    assert era == read
    return era


def main() -> int:
    """Write the page."""
    PAGE.write_text(liveness_page(), encoding="utf-8")
    print(f"liveness: wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
