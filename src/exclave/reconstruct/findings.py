"""What a survey found that a reader must be told: problems, newer deposits left aside, forks.

Nothing here keeps a reconstruction back; silence about it would (P7: whoever lies is named).
"""

from __future__ import annotations

from collections.abc import Collection

from exclave.authority.record_chain import Fork, author_of, find_forks
from exclave.ids import DepositId, Seat
from exclave.reconstruct.choose import obstacle
from exclave.values import dataclass
from exclave.vault.survey.survey import DepositView, MissionView

__all__ = ["Findings", "findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is not as it should be, though no reason to stop."""

    problems: tuple[tuple[Seat, str], ...] = ()  # of seats, found by the survey
    passed_over: tuple[tuple[DepositId, str], ...] = ()  # newer than the one chosen, and why
    forks: tuple[Fork, ...] = ()
    doubt: str | None = None  # why the chosen deposit may not be rebuilt

    @property
    def lines(self) -> tuple[str, ...]:
        """Each as a sentence for people."""
        return (
            *(f"seat {seat}: {what}" for seat, what in self.problems),
            *(f"newer deposit {item.hex()} left aside: {why}" for item, why in self.passed_over),
            *(
                f"fork: depositor {fork.depositor} signed {len(fork.records)} different records "
                f"number {fork.sequence}: " + ", ".join(item.hex()[:16] for item in fork.records)
                for fork in self.forks
            ),
            *(() if self.doubt is None else (f"this deposit: {self.doubt}; tried all the same",)),
        )


def findings(view: MissionView, chosen: DepositView | None, seats: Collection[Seat]) -> Findings:
    """What to say of a survey, and of the choice from it if one was made."""
    records = [item.record for item in view.deposits]
    forks = find_forks(records, lambda record: author_of(record, view.chain))
    problems = tuple((item.seat, item.what) for item in view.problems)
    if chosen is None:
        return Findings(problems=problems, forks=forks)
    newer = view.deposits[: view.deposits.index(chosen)]
    return Findings(
        problems=problems,
        passed_over=tuple(
            (item.deposit, obstacle(item, seats) or "another one was asked for") for item in newer
        ),
        forks=forks,
        doubt=obstacle(chosen, seats),
    )
