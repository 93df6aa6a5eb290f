"""Papers of made-up bags, one after the other, without keys: what `judge_bags` takes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from exclave.authority.custody import Act, Custody, Party, PartyRole, custody_envelope
from exclave.carried.papers import Paper
from exclave.ids import BagId, MissionId, Seat, StatementHash

__all__ = ["COURIER", "HOME", "START", "Story", "party_of_seat"]

START = datetime(2026, 3, 1, tzinfo=UTC)
HOME = Party(PartyRole.DEPOSITOR, "home")
COURIER = Party(PartyRole.OFFICIAL, "p-0123456789abcdef")


def party_of_seat(seat: int) -> Party:
    """The seat itself as whoever has a bag."""
    return Party(PartyRole.SEAT, str(seat))


class Story:
    """One bag's papers; each a day after the one before unless a day is named."""

    def __init__(self, *, bag: int = 0, seat: int = 3) -> None:
        self.bag, self.seat = BagId(bytes([bag]) * 16), seat
        self.papers: list[Paper] = []

    def says(
        self,
        act: Act,
        by: Party,
        *,
        to: Party | None = None,
        marks: str = "lead 1",
        bad: int | None = None,
        after: int = -1,
        inventory: bytes = bytes(32),
        day: float | None = None,
    ) -> Story:
        """One paper more, after the newest or the one with that number."""
        counted = act in {Act.VERIFIED, Act.LODGED}
        previous = None
        if act is not Act.SEALED:
            previous = self.papers[after].statement if self.papers else StatementHash(bytes(32))
        custody = Custody(
            mission=MissionId(bytes(32)),
            bag=self.bag,
            inventory=inventory,
            seat=Seat(self.seat),
            act=act,
            by=by,
            to=to,
            previous=previous,
            marks=marks,
            good=9 if counted else None,
            bad=(bad or 0) if counted else None,
            time=START + timedelta(days=len(self.papers) if day is None else day),
        )
        statement = StatementHash(hashlib.sha256(custody_envelope(custody).payload).digest())
        self.papers.append(Paper(statement=statement, custody=custody))
        return self

    def lodged(self, *, day: float | None = None, bad: int = 0) -> Story:
        """Its own seat lodges it."""
        return self.says(Act.LODGED, party_of_seat(self.seat), day=day, bad=bad)
