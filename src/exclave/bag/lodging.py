"""Lodge a bag: the same verbs of a vault as over the line, fed from what was carried (spec/bag.md).

Charters and records first, so that shards are named when they come; then the shards, each sealed,
opened and hashed by the vault itself. What the vault has already changes nothing, so a bag may be
lodged again, and a bag and the line may each bring a part. What is damaged is left out and named:
its record stays pending there until another bag or the line brings the rest.
"""

from __future__ import annotations

from exclave.bag.checking import BagCheck
from exclave.bag.interface import ReadableBag
from exclave.carried.gathering import Finding, FindingCause
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat, ShardRoot, StatementHash
from exclave.values import dataclass
from exclave.vault.interface import CarriedStore, State, VaultRefused

__all__ = ["BagAstray", "BagForeign", "LodgedBag", "lodge_bag", "require_seat"]


class BagForeign(IntegrityError):
    """A bag of another mission."""


class BagAstray(IntegrityError):
    """A bag for another seat of the mission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LodgedBag:
    """What came of lodging."""

    inventory: Inventory
    good: int
    bad: int
    new: int  # shards that the vault did not have
    records: tuple[tuple[StatementHash, State], ...]
    findings: tuple[Finding, ...]


def require_seat(inventory: Inventory, mission: MissionId, seat: Seat) -> None:
    """Raise unless a bag is for this seat; before anything of it is read."""
    if inventory.mission != mission:
        raise BagForeign(
            f"bag {inventory.bag.hex()}: expected one of mission {mission.hex()}, "
            f"got one of {inventory.mission.hex()}",
            hint="it is another state's: hand it on unopened",
        )
    if inventory.further:
        raise BagAstray(
            f"bag {inventory.bag.hex()}: expected one of seat {seat} alone, got one of seats "
            + ", ".join(map(str, inventory.seats)),
            hint="bags of several seats are kept in safes (exclave bag store)",
        )
    if inventory.seat != seat:
        raise BagAstray(
            f"bag {inventory.bag.hex()}: expected one for seat {seat}, got one for seat "
            f"{inventory.seat}",
            hint="its shards open at their own seat only: hand it on",
        )


async def lodge_bag(bag: ReadableBag, vault: CarriedStore) -> LodgedBag:
    """Give a vault everything that is good."""
    lodging = _Lodging(bag.inventory, vault)
    for item, data in bag.items():
        await lodging.item(item, data)
    statements = [(name, await vault.statement(name)) for name in lodging.taken]
    good = lodging.good
    return LodgedBag(
        inventory=bag.inventory,
        good=good,
        bad=len(bag.inventory.items) - good,
        new=lodging.new,
        records=tuple((name, answer.state) for name, answer in statements),
        findings=(*bag.findings, *lodging.findings),
    )


class _Lodging:
    def __init__(self, inventory: Inventory, vault: CarriedStore) -> None:
        self._check = BagCheck(inventory)
        self._vault = vault
        self.good = 0
        self.new = 0
        self.taken: list[StatementHash] = []
        self.findings: list[Finding] = []

    async def item(self, item: Item, data: bytes) -> None:
        """Hand one item in; what the vault refuses is named and stops nothing."""
        try:
            self._check.item(item, data)
            if item.kind is ItemClass.SHARD:
                await self._shard(item, data)
            elif item.kind is not ItemClass.KIT:
                answer = await self._vault.submit(data)
                if item.kind is ItemClass.RECORD:
                    self.taken.append(answer.statement)
        except VaultRefused as error:
            self._find(f"{item}: refused, {error.cause}: {error.message}")
        except IntegrityError as error:
            self._find(f"{item}: {error.message}")
        except ExclaveError as error:
            if item.kind is ItemClass.SHARD:
                raise  # no vault, no room: what follows would fare no better
            self._find(f"{item}: {error.message}")
        else:
            self.good += 1

    async def _shard(self, item: Item, data: bytes) -> None:
        root = ShardRoot(bytes.fromhex(item.name))
        depositor = self._check.depositor_of(root)
        self.new += await self._vault.put_carried_shard(depositor, root, [data])

    def _find(self, what: str) -> None:
        self.findings.append(Finding(cause=FindingCause.ITEM, what=what))
