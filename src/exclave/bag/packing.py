"""What goes into a bag, and writing it (spec/bag.md 1).

Everything is read twice: once to say in the inventory what it is, once to write it. What changed
between the two stops the packing.

Rules
- Shards are those that lie here for the seat, sealed to it; each is named by a record here.
- Records: all that name such a shard or that the seat has not lodged, back to the full record that
  they rest on, so that the seat can complete them; charters: those that records name, and all
  before them.
- A bag that opens alone, or is of several seats, is packed only where the charter allows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.charter_parts import SeatType
from exclave.authority.envelope import Envelope
from exclave.authority.record import DepositRecord, RecordPack
from exclave.bag.interface import BagWriter
from exclave.carried.inventory import Inventory, Item, ItemClass
from exclave.errors import ConfigurationError, IntegrityError
from exclave.ids import BagId, DepositId, MissionId, Seat, ShardRoot, StatementHash
from exclave.values import dataclass

__all__ = [
    "CharterMissing",
    "Contents",
    "ItemChanged",
    "NothingToPack",
    "WholeDepositNotAllowed",
    "choose_records",
    "gather_contents",
    "opens_alone",
    "pack_bag",
    "seat_shards",
]


class NothingToPack(ConfigurationError):
    """The seat lacks nothing that lies here."""


class CharterMissing(ConfigurationError):
    """A charter that a record names, or one before it, is not here."""


class WholeDepositNotAllowed(ConfigurationError):
    """A bag that opens alone, where the charter does not allow it."""


class ItemChanged(IntegrityError):
    """Something changed between being named in the inventory and being written."""


@dataclass(frozen=True, slots=True)
class _Source:
    item: Item
    load: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """An inventory, and where its items are read from."""

    inventory: Inventory
    sources: tuple[_Source, ...]
    absent: int  # shards that the seat has not acknowledged and that do not lie here


def choose_records(
    records: Iterable[tuple[DepositRecord, Envelope, bool]],
    roots: frozenset[ShardRoot],
    *,
    seat: Seat,
    deposit: DepositId | None = None,
) -> Sequence[tuple[DepositRecord, Envelope]]:
    """The records that a bag with these shards needs, oldest first.

    `records`: of one depositor, oldest first, each with whether the seat lodged it. With `deposit`
    nothing after that deposit's record.
    """
    known = list(records)
    if deposit is not None:
        at = next((n for n, (record, _, _) in enumerate(known) if record.deposit == deposit), None)
        if at is None:
            raise NothingToPack(f"deposit {deposit.hex()}: not one of this depositor's")
        known = known[: at + 1]
    wanted = [
        n
        for n, (record, _, lodged) in enumerate(known)
        if not lodged or any(root in roots for _, root in seat_shards(record, seat))
    ]
    if not wanted:
        return []
    first = min(wanted)
    while first and not known[first][0].full:
        first -= 1
    return [(record, envelope) for record, envelope, _ in known[first:]]


def gather_contents(
    *,
    mission: MissionId,
    bag: BagId,
    seat: Seat,
    further: Sequence[Seat] = (),
    packed: datetime,
    charters: Sequence[Envelope],
    records: Sequence[tuple[DepositRecord, Envelope]],
    lying: Mapping[ShardRoot, Callable[[], bytes]],
    kit: Iterable[tuple[str, Callable[[], bytes]]],
    held: frozenset[ShardRoot] = frozenset(),
    annexes: Sequence[bytes] = (),
    statements: Sequence[Envelope] = (),
) -> Contents:
    """Choose and name everything; raises `NothingToPack`, `CharterMissing`, and so on."""
    named = {root: pack for r, _ in records for pack in r.packs_added for _, root in pack.shards}
    seats = (seat, *sorted(further))
    wanted = [root for r, _ in records for s in seats for _, root in seat_shards(r, s)]
    taken = sorted({root for root in wanted if root in lying})
    if not taken:
        raise NothingToPack(
            f"seat {seat}: expected shards of its deposits that lie here, got none",
            hint="it lacks nothing, or what it lacks lies nowhere and is sealed again by the next "
            "deposit; what it has is copied at its vault (exclave bag copy)",
        )
    chain = _chain(charters, records, mission)
    _check_whole(chain[-1][1], (named[root] for root in taken), seats)
    sources = [
        *_loaded(ItemClass.KIT, sorted(kit)),
        *_kept(ItemClass.CHARTER, ((e.statement_hash, e.to_bytes()) for e, _ in chain)),
        *_kept(ItemClass.ANNEX, sorted((hashlib.sha256(a).digest(), a) for a in annexes)),
        *_kept(ItemClass.STATEMENT, ((e.statement_hash, e.to_bytes()) for e in statements)),
        *_kept(ItemClass.RECORD, ((e.statement_hash, e.to_bytes()) for _, e in records)),
        *_loaded(ItemClass.SHARD, ((root.hex(), lying[root]) for root in taken)),
    ]
    return Contents(
        inventory=Inventory(
            mission=mission,
            bag=bag,
            seat=seat,
            further=seats[1:],
            packed=packed.replace(microsecond=0),
            items=tuple(source.item for source in sources),
        ),
        sources=tuple(sources),
        absent=len(set(wanted) - set(taken) - held),
    )


def pack_bag(contents: Contents, writer: BagWriter) -> None:
    """Write all items; whatever stops it, nothing is left under the bag's name."""
    try:
        for source in contents.sources:
            data = source.load()
            if not source.item.matches(data):
                raise ItemChanged(
                    f"bag: {source.item} changed while it was packed",
                    hint="let no deposit or catch-up run beside it, then pack again",
                )
            writer.put(source.item, data)
        writer.finish()
    finally:
        writer.abandon()


def seat_shards(record: DepositRecord, seat: Seat) -> Iterator[tuple[Seat, ShardRoot]]:
    """The shards of one seat among the packs that a record adds."""
    return (both for pack in record.packs_added for both in pack.shards if both[0] == seat)


def _chain(
    charters: Sequence[Envelope],
    records: Sequence[tuple[DepositRecord, Envelope]],
    mission: MissionId,
) -> list[tuple[Envelope, Charter]]:
    """Charters from the first one to those that the records name, each after its predecessor."""
    known = {envelope.statement_hash: envelope for envelope in charters}
    wanted: dict[StatementHash, tuple[Envelope, Charter]] = {}
    for record, _ in records:
        name: StatementHash | None = record.charter
        while name is not None and name not in wanted:
            if name not in known:
                raise CharterMissing(
                    f"charter {name.hex()}: expected it among {len(known)} charters, got none",
                    hint="name its file with --with, or let a deposit reach the vaults once",
                )
            charter = parse_charter(known[name])
            wanted[name] = known[name], charter
            name = charter.previous
    chain = sorted(wanted.values(), key=lambda both: both[1].order)
    verify_chain((envelope for envelope, _ in chain), mission)
    return chain


def opens_alone(packs: Iterable[RecordPack], seats: Sequence[Seat]) -> bool:
    """Whether the shards of these seats are enough for one of the packs."""
    return any(sum(seat in seats for seat, _ in pack.shards) >= pack.k for pack in packs)


def _check_whole(charter: Charter, packs: Iterable[RecordPack], seats: Sequence[Seat]) -> None:
    if charter.settings.whole_deposit_bags:
        for seat in seats if len(seats) > 1 else ():
            if charter.seat(seat).type is not SeatType.SAFE:
                raise WholeDepositNotAllowed(
                    f"bag for seats {_named(seats)}: expected safes only, got a vault at {seat}",
                    hint="a vault lodges bags of its own seat alone",
                )
        return
    if len(seats) > 1:
        raise WholeDepositNotAllowed(
            f"bag for seats {_named(seats)}: expected one seat, got {len(seats)}",
            hint="what several seats hold apart may lie in one bag only where the charter has "
            "`bags.whole_deposit`",
        )
    if opens_alone(packs, seats):
        raise WholeDepositNotAllowed(
            f"bag for seat {seats[0]}: expected packs of which one shard is not enough, "
            "got some with k = 1",
            hint="such a bag opens with the cards and its seat's key alone: a charter with "
            "`bags.whole_deposit` allows it",
        )


def _named(seats: Sequence[Seat]) -> str:
    return ", ".join(map(str, seats))


def _kept(kind: ItemClass, things: Iterable[tuple[bytes, bytes]]) -> Iterator[_Source]:
    for name, data in things:
        yield _source(kind, name.hex(), data, partial(bytes, data))


def _loaded(
    kind: ItemClass, things: Iterable[tuple[str, Callable[[], bytes]]]
) -> Iterator[_Source]:
    for name, load in things:
        yield _source(kind, name, load(), load)


def _source(kind: ItemClass, name: str, data: bytes, load: Callable[[], bytes]) -> _Source:
    digest = hashlib.sha256(data).digest()
    return _Source(Item(kind=kind, name=name, size=len(data), hash=digest), load)
