"""Bags in place of vaults, or beside them, on the restoring machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from exclave.authority.charter import parse_charter
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record_chain import LiveSet
from exclave.bag.interface import NoBag
from exclave.bag.shelf import ItemNotWhole, ShelvedBag, open_shelf, shards_of
from exclave.bag.store import BagStore
from exclave.carried.inventory import ItemClass
from exclave.errors import ConfigurationError, ExclaveError, IntegrityError
from exclave.ids import MissionId, Seat, ShardRoot, StatementHash
from exclave.ledger.entry import EntryType
from exclave.signer.bundle import PrivateKey, Purpose
from exclave.signer.file import load_key_file
from exclave.values import dataclass, replace
from exclave.vault.interface import ShardStore
from exclave.vault.survey.survey import MissionView
from exclave.vault.survey.walking import CarriedRecord

__all__ = ["BagSources", "SeatKeyMissing", "open_bag_sources"]


class SeatKeyMissing(ConfigurationError):
    """The key of a bag's seat was not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BagSources:
    """Bags of one mission, by seat."""

    bags: Mapping[Seat, tuple[ShelvedBag, ...]]

    @property
    def records(self) -> tuple[CarriedRecord, ...]:
        """What they say, for a survey."""
        return tuple(_record(bag, seat) for seat, bags in self.bags.items() for bag in bags)

    def stores(self, keys: Sequence[Path]) -> Mapping[Seat, ShardStore]:
        """Their shards, with the seats' key files; raises `SeatKeyMissing`."""
        held = [_seat_key(path) for path in keys]
        return {seat: self._store(seat, held) for seat in self.bags}

    def judged(self, view: MissionView) -> tuple[MissionView, Sequence[Seat]]:
        """A survey in which seats whose bags hold all of a deposit count as holding it.

        Also the seats at hand: those with a log that is theirs, and those with bags.
        """
        roots = {seat: self._roots(seat) for seat in self.bags}
        deposits = tuple(
            replace(item, lodged=tuple(sorted({*item.lodged, *_whole(item.live, roots)})))
            for item in view.deposits
        )
        verified = {seat.seat for seat in view.seats if seat.verified}
        return replace(view, deposits=deposits), sorted(verified | set(self.bags))

    def _roots(self, seat: Seat) -> frozenset[ShardRoot]:
        return frozenset(root for bag in self.bags[seat] for root in shards_of(bag))

    def _store(self, seat: Seat, held: Sequence[PrivateKey]) -> BagStore:
        wanted = {raw for bag in self.bags[seat] for raw in _public_keys(bag, seat)}
        for key in held:
            if key.key.raw in wanted:
                return BagStore(seat, self.bags[seat], key.xwing)
        raise SeatKeyMissing(
            f"bags of seat {seat}: expected the key of that seat, got "
            f"{len(held) or 'no'} key file{'' if len(held) == 1 else 's'} without it",
            hint="--seat-keys FILE: keys/vault.key of that vault or safe, which lies apart",
        )


def open_bag_sources(paths: Sequence[Path], mission: MissionId) -> BagSources:
    """Open bags; raises `NoBag` for one of another mission."""
    found: dict[Seat, list[ShelvedBag]] = {}
    for bag in open_shelf(paths):
        if bag.inventory.mission != mission:
            raise NoBag(
                f"bag {bag.inventory.bag.hex()}: expected one of mission {mission.hex()}, got one "
                f"of {bag.inventory.mission.hex()}"
            )
        for seat in bag.inventory.seats:
            found.setdefault(seat, []).append(bag)
    return BagSources(bags={seat: tuple(bags) for seat, bags in sorted(found.items())})


def _record(bag: ShelvedBag, seat: Seat) -> CarriedRecord:
    """The statements of a bag; one that is not whole is left out and named."""
    statements: list[tuple[EntryType, StatementHash, bytes]] = []
    faults: list[str] = []
    kinds = {ItemClass.CHARTER: EntryType.CHARTER, ItemClass.RECORD: EntryType.RECORD}
    for kind in (ItemClass.CHARTER, ItemClass.STATEMENT, ItemClass.RECORD):
        for item in bag.inventory.of_class(kind):
            try:
                data = bag.read(item)
                envelope = parse_envelope(data)
            except (ItemNotWhole, ExclaveError) as error:
                faults.append(error.message)
                continue
            named = kinds.get(kind)
            if named is None and envelope.kind is Kind.SUPPLEMENT:
                named = EntryType.SUPPLEMENT
            if named is not None:
                statements.append((named, envelope.statement_hash, data))
    return CarriedRecord(
        seat=seat,
        packed=bag.inventory.packed,
        statements=tuple(statements),
        faults=tuple(faults),
    )


def _public_keys(bag: ShelvedBag, seat: Seat) -> Collection[bytes]:
    """The seat keys that the bag's charters name; which one opens, the shards' roots show."""
    found: list[bytes] = []
    for item in bag.inventory.of_class(ItemClass.CHARTER):
        try:
            charter = parse_charter(parse_envelope(bag.read(item), kinds=[Kind.CHARTER]))
            found += [entry.seat_key.raw for entry in charter.seats if entry.seat == seat]
        except IntegrityError:
            continue
    return found


def _seat_key(path: Path) -> PrivateKey:
    keys = load_key_file(path)
    if keys.purpose is not Purpose.VAULT:
        raise ConfigurationError(
            f"{path}: expected the keys of a vault or safe, got a {keys.purpose}'s"
        )
    return keys.keys[1]  # in the order of `new_vault_key`


def _whole(live: LiveSet | None, roots: Mapping[Seat, frozenset[ShardRoot]]) -> list[Seat]:
    """Seats whose bags name a shard of every pack."""
    if live is None:
        return []
    return [
        seat
        for seat, here in roots.items()
        if all(dict(pack.shards).get(seat) in here for pack in live.packs.values())
    ]
