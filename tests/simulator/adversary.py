"""Two faulty vaults: they replay, withhold, lie about time, cosign unseen and fork their logs.

What they cannot do is sign for an official, or for the log of an honest vault. A log that a faulty
vault shows to a witness is the list of its entries; a witness keeps the newest that it saw, and
answers a list that does not continue it with evidence (spec/ledger.md 7, 8).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from exclave.ids import PersonId, StatementHash
from tests.simulator.world import FAULTY, QUORUM, World

Log = tuple[int, ...]


@dataclass
class Replayer:
    """Sends anything that was ever signed, with any of its signatures, to anybody."""

    ever: list[tuple[StatementHash, frozenset[PersonId]]] = field(default_factory=list)

    def replay(self, world: World, chance: random.Random) -> None:
        if not self.ever:
            return
        name, signers = chance.choice(self.ever)
        kept = frozenset(p for p in sorted(signers) if chance.random() < 0.7)
        target = chance.choice(world.honest)
        if target.up and kept and target.hear(name, kept):
            world.say(f"faulty vault replays {name.hex()[:6]} to vault {target.number}")


@dataclass
class Forker:
    """One faulty vault's logs, as the witnesses have seen them."""

    number: int
    logs: list[Log] = field(default_factory=lambda: [(0,)])
    kept: dict[int, Log] = field(default_factory=dict)
    cosigned: dict[Log, set[int]] = field(default_factory=dict)
    named: set[int] = field(default_factory=set)

    def act(self, world: World, chance: random.Random) -> None:
        """Grow a log, or branch one off, and show it to some honest witnesses."""
        at = chance.randrange(len(self.logs))
        log = self.logs[at]
        entry = (chance.getrandbits(30),)
        if chance.random() < 0.2:
            self.logs.append(log[: chance.randrange(1, len(log) + 1)] + entry)
        else:
            self.logs[at] = log + entry
        shown = chance.choice(self.logs)
        for site in world.honest:
            if site.up and chance.random() < 0.5:
                self.show(site.number, shown)
        # The faulty cosign whatever is asked of them.
        self.cosigned.setdefault(shown, set()).update(range(FAULTY))

    def show(self, witness: int, log: Log) -> None:
        """What an honest witness does with a checkpoint."""
        before = self.kept.get(witness, ())
        if log[: len(before)] == before:
            self.kept[witness] = log
            self.cosigned.setdefault(log, set()).add(witness)
        elif before[: len(log)] != log:
            self.named.add(witness)

    def compare(self) -> None:
        """What anybody does who reads the checkpoints that the honest witnesses keep."""
        for one, first in self.kept.items():
            for other, second in self.kept.items():
                if not consistent(first, second):
                    self.named |= {one, other}

    def check(self) -> None:
        """No two logs that exclude each other have a quorum; a fork that was seen is named."""
        quorums = [log for log, seats in self.cosigned.items() if len(seats) >= QUORUM]
        for one in quorums:
            for other in quorums:
                assert consistent(one, other), "two logs that exclude each other have a quorum"
        self.compare()
        seen = list(self.kept.values())
        forked = any(not consistent(a, b) for a in seen for b in seen)
        assert not forked or self.named, "a fork that honest witnesses saw is not named"


def consistent(one: Log, other: Log) -> bool:
    """Whether one of two logs continues the other."""
    least = min(len(one), len(other))
    return one[:least] == other[:least]


def lie(world: World, chance: random.Random, faulty: Iterable[int]) -> None:
    """Claim any time, and cosignatures for what was never seen."""
    for number in faulty:
        if chance.random() < 0.5:
            world.lies[number] = chance.choice([0.0, 1e6, world.now + 500])
            world.claims.add(number)
        else:
            world.lies[number] = 0.0  # withholds: answers nobody
            world.claims.discard(number)
