"""A bag read to its end without any key: every byte, and what its statements and shards say.

Rules
- What a hash of the inventory vouches for is still looked at: charters lead from the mission id,
  records are signed by depositors whom these charters seat, and every shard is one that a record
  names for this seat, with the header that the record makes of it.
- The veil share of a shard cannot be checked here: it is sealed to its seat.
"""

from __future__ import annotations

from exclave.authority.charter_chain import CharterChain, verify_chain, verify_successor
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record import DepositRecord, RecordPack, verify_record
from exclave.bag.interface import ReadableBag
from exclave.bag.packing import opens_alone
from exclave.carried.gathering import Finding, FindingCause
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.dispersal.sealed_shard import parse_sealed_shard
from exclave.dispersal.shard import ShardCorrupt
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import Seat, ShardRoot
from exclave.values import dataclass, field

__all__ = ["BagCheck", "CheckedBag", "check_bag"]


class NotOfThisBag(IntegrityError):
    """An item that is whole, and not what its class or its records make of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedBag:
    """What a bag turned out to be."""

    inventory: Inventory
    good: int
    bad: int
    bytes: int  # of good items
    records: tuple[DepositRecord, ...]
    whole_deposit: bool  # opens with the cards and the keys of its seats alone
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class BagCheck:
    """Looks at one good item after the other, in the order of the inventory."""

    inventory: Inventory
    records: list[DepositRecord] = field(default_factory=list)
    _chain: CharterChain | None = None
    _named: dict[ShardRoot, tuple[RecordPack, Seat]] = field(default_factory=dict)
    _depositors: dict[ShardRoot, str] = field(default_factory=dict)

    @property
    def whole_deposit(self) -> bool:
        """Whether the shards of its seats are enough for a pack of it."""
        return opens_alone((pack for pack, _ in self._named.values()), self.inventory.seats)

    def depositor_of(self, root: ShardRoot) -> str:
        """Whose a shard is that was good."""
        return self._depositors[root]

    def item(self, item: Item, data: bytes) -> None:
        """Raises what is wrong with an item whose bytes are as the inventory says."""
        match item.kind:
            case ItemClass.CHARTER:
                self._charter(item, data)
            case ItemClass.RECORD:
                self._record(item, data)
            case ItemClass.SHARD:
                self._shard(item, data)
            case ItemClass.STATEMENT:
                _require_name(item, parse_envelope(data).statement_hash)
            case ItemClass.ANNEX:
                _require_name(item, item.hash)
            case ItemClass.KIT:
                pass

    def _charter(self, item: Item, data: bytes) -> None:
        envelope = parse_envelope(data, kinds=[Kind.CHARTER])
        _require_name(item, envelope.statement_hash)
        if self._chain is None:
            self._chain = verify_chain([envelope], self.inventory.mission)
        else:
            self._chain = verify_successor(self._chain, envelope)

    def _record(self, item: Item, data: bytes) -> None:
        envelope = parse_envelope(data, kinds=[Kind.RECORD])
        _require_name(item, envelope.statement_hash)
        if self._chain is None:
            raise NotOfThisBag(f"{item}: no charter before it is good")
        record = verify_record(envelope, self._chain)
        self.records.append(record)
        for pack in record.packs_added:
            for seat, root in pack.shards:
                if seat in self.inventory.seats:
                    self._named[root] = pack, seat
                    self._depositors[root] = record.depositor

    def _shard(self, item: Item, data: bytes) -> None:
        header = parse_sealed_shard(data).header
        named = self._named.get(ShardRoot(bytes.fromhex(item.name)))
        if named is None:
            raise NotOfThisBag(f"{item}: no record of the bag names it for its seat")
        pack, seat = named
        found = header.mission, header.seat, header.pack_root, header.k, header.length
        if found != (
            self.inventory.mission, seat, pack.root, pack.k, pack.length,
        ):  # fmt: skip
            raise ShardCorrupt(f"{item}: its header is not what the record says")


def check_bag(bag: ReadableBag) -> CheckedBag:
    """Read everything; nothing is raised that one item alone is to blame for."""
    check = BagCheck(bag.inventory)
    good = size = 0
    own: list[Finding] = []
    for item, data in bag.items():
        try:
            check.item(item, data)
        except ExclaveError as error:
            own.append(Finding(cause=FindingCause.ITEM, what=f"{item}: {error.message}"))
        else:
            good, size = good + 1, size + len(data)
    return CheckedBag(
        inventory=bag.inventory,
        good=good,
        bad=len(bag.inventory.items) - good,
        bytes=size,
        records=tuple(check.records),
        whole_deposit=check.whole_deposit,
        findings=(*bag.findings, *own),
    )


def _require_name(item: Item, name: bytes) -> None:
    if name.hex() != item.name:
        raise NotOfThisBag(f"{item}: expected a statement of that hash, got {name.hex()}")
