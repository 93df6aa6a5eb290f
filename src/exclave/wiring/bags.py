"""Bags at home and at a seat: packed from journal and spool, lodged into a vault's folder.

Packing asks no vault: it is what is left when lines are down. Lodging runs the vault's own rules:
on its folder, or in the server that has it open.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.authority.charter import parse_charter
from exclave.authority.charter_parts import SeatType
from exclave.authority.custody import Act
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.record import DepositRecord, parse_record
from exclave.bag.folder import FolderWriter
from exclave.bag.interface import BagWriter, ReadableBag
from exclave.bag.lodging import LodgedBag, lodge_bag, require_seat
from exclave.bag.packing import (
    Contents,
    choose_records,
    gather_contents,
    opens_alone,
    pack_bag,
    seat_shards,
)
from exclave.bag.stream import StreamWriter
from exclave.carried.inventory import ItemClass
from exclave.clock import now
from exclave.errors import ConfigurationError, ExclaveError, StorageError
from exclave.ids import BagId, DepositId, MissionId, Seat, ShardRoot
from exclave.values import dataclass
from exclave.vault.installation.install import VaultFolder, find_kit, kit_files
from exclave.wiring.depositor import Home, open_stores
from exclave.wiring.files import FileUnusable, load_envelope, read_file
from exclave.wiring.host import carried_to, enrolled_seat
from exclave.wiring.officials import CHARTERS
from exclave.wiring.papers import (
    Papers,
    add_paper,
    papers_of,
    require_mission,
    require_no_papers,
    require_same,
    require_signer,
)
from exclave.wiring.seat_files import keys_of

if TYPE_CHECKING:
    from exclave.deposit.spool import Spool
    from exclave.journal.store import Journal
    from exclave.signer.opening import SigningKeys

__all__ = [
    "Carrier",
    "PackedBag",
    "SettleRefused",
    "kit_items",
    "lodge",
    "pack",
    "pack_with_papers",
    "settle",
]


class SettleRefused(ConfigurationError):
    """Papers that do not say that everything of a bag arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """Where a bag is packed to: a folder, or volumes as they are asked for."""

    folder: Path | None = None
    next_volume: Callable[[int], Path | None] | None = None
    capacity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBag:
    """A bag that was packed."""

    contents: Contents
    records: int
    whole_deposit: bool


def pack(
    home: Home,
    seat: Seat,
    carrier: Carrier,
    papers: Path,
    *,
    deposit: DepositId | None = None,
    more: Sequence[Path] = (),
    further: Sequence[Seat] = (),
) -> PackedBag:
    """Pack what a seat lacks and lies in the spool, up to one deposit if it is named.

    With `further` seats, all of them safes, what these lack too.
    """
    seats = (seat, *further)
    for number in seats:
        home.party.charter.seat(number)
    require_no_papers(papers, carrier.folder)
    with open_stores(home) as (journal, spool):
        # Each seat's are the newest so many: the longest row has them all.
        records = max((_records(journal, spool, s, deposit) for s in seats), key=len)
        charters, annexes, statements = _carried(home, more)
        contents = gather_contents(
            mission=home.party.mission,
            bag=BagId(os.urandom(16)),
            seat=seat,
            further=further,
            packed=now(),
            charters=charters,
            records=records,
            lying={root: load for s in seats for root, load in _spooled(spool, s).items()},
            kit=kit_items(),
            held=frozenset(root for s in seats for root in journal.held_shards(s)),
            annexes=annexes,
            statements=statements,
        )
        return pack_with_papers(contents, carrier, papers, charters, records)


def pack_with_papers(
    contents: Contents,
    carrier: Carrier,
    papers: Path,
    charters: Sequence[Envelope],
    records: Sequence[tuple[DepositRecord, Envelope]],
) -> PackedBag:
    """Write a bag and begin its papers: both, or neither."""
    named = {item.name for item in contents.inventory.of_class(ItemClass.CHARTER)}
    chain = [c for c in charters if c.statement_hash.hex() in named]
    with papers_of(papers, contents.inventory, chain):
        pack_bag(contents, _writer(carrier, contents))
    return PackedBag(
        contents=contents,
        records=len(records),
        whole_deposit=opens_alone(
            (pack for record, _ in records for pack in record.packs_added),
            contents.inventory.seats,
        ),
    )


def lodge(folder: Path, bag: ReadableBag, papers: Papers | None) -> tuple[LodgedBag, Path | None]:
    """Lodge a bag into a vault's or safe's folder; its papers go into the log, one more is signed.

    Where its server runs, it is the server that takes all of it. `BagForeign` and `BagAstray` come
    before anything is read.
    """
    inventory = bag.inventory
    if papers is not None:
        require_same(papers, inventory)
    _require_enrolled(folder, bag)
    if papers is not None:
        require_signer(papers, _keys_at(folder, inventory.mission), Act.LODGED)
    return asyncio.run(_lodge(folder, bag, papers))


async def _lodge(
    folder: Path, bag: ReadableBag, papers: Papers | None
) -> tuple[LodgedBag, Path | None]:
    async with carried_to(folder, bag.inventory.mission) as vault:
        lodged = await lodge_bag(bag, vault)
        if papers is None:
            return lodged, None
        keys = _keys_at(folder, bag.inventory.mission)
        path, paper = add_paper(
            papers, keys, Act.LODGED, now=now(), good=lodged.good, bad=lodged.bad
        )
        for envelope in (*papers.envelopes, paper):
            await vault.submit(envelope.to_bytes())
        return lodged, path


def _keys_at(folder: Path, mission: MissionId) -> SigningKeys:
    return keys_of(VaultFolder.open(folder).seat_of(mission))


def settle(home: Home, papers: Papers) -> int:
    """Let the spool forget what a seat's own paper says it has; returns how many shards.

    A vault's receipt comes over the line once there is one; a safe's word is all there will be.
    Raises `PapersForeign`: papers bring their own charters, and any mission has a seat of a number.
    """
    require_mission(papers, home.party.mission)
    word = _lodged_paper(papers)
    done = 0
    with open_stores(home) as (journal, spool):
        for seat in papers.inventory.seats:
            for item in papers.inventory.of_class(ItemClass.SHARD):
                root = ShardRoot(bytes.fromhex(item.name))
                if spool.has(seat, root):
                    journal.mark_held(seat, root)
                    spool.delivered(seat, root)
                    done += 1
            if home.party.charter.seat(seat).type is SeatType.SAFE:
                _mark_lodged(journal, papers, word, seat)
    return done


def _lodged_paper(papers: Papers) -> Envelope:
    for paper, envelope in zip(papers.papers, papers.envelopes, strict=True):
        custody = paper.custody
        if (
            custody.act is Act.LODGED
            and custody.bad == 0
            and custody.good == len(papers.inventory.items)
            and custody.by.id == str(papers.inventory.seat)
            and custody.inventory == papers.inventory.hash
        ):
            return envelope
    raise SettleRefused(
        f"{papers.folder}: expected a paper by which seat {papers.inventory.seat} lodged all of "
        "it, got none",
        hint="what is in the spool stays there until then",
    )


def _mark_lodged(journal: Journal, papers: Papers, word: Envelope, seat: Seat) -> None:
    """Records of the bag of which the safe lacks no shard: its paper stands for a receipt."""
    carried = {item.name for item in papers.inventory.of_class(ItemClass.RECORD)}
    late = {root for _, root in journal.late_shards(seat)}
    for row in list(journal.records()):
        if row.statement.hex() not in carried or seat in row.lodged:
            continue
        record = parse_record(parse_envelope(row.envelope, kinds=[Kind.RECORD]))
        if not late & {root for _, root in seat_shards(record, seat)}:
            journal.mark_lodged(row.sequence, seat, word.to_bytes().decode("ascii"))


def _records(
    journal: Journal, spool: Spool, seat: Seat, deposit: DepositId | None
) -> Sequence[tuple[DepositRecord, Envelope]]:
    known: list[tuple[DepositRecord, Envelope, bool]] = []
    for row in journal.records():
        envelope = parse_envelope(row.envelope, kinds=[Kind.RECORD])
        known.append((parse_record(envelope), envelope, seat in row.lodged))
    roots = frozenset(root for _, root in spool.shards(seat))
    return choose_records(reversed(known), roots, seat=seat, deposit=deposit)


def _spooled(spool: Spool, seat: Seat) -> Mapping[ShardRoot, Callable[[], bytes]]:
    def load(root: ShardRoot) -> bytes:
        data = spool.get(seat, root)
        if data is None:
            raise StorageError(f"spool: shard {root.hex()[:16]} is gone while it is packed")
        return data

    return {root: partial(load, root) for _, root in spool.shards(seat)}


def _carried(
    home: Home, more: Sequence[Path]
) -> tuple[list[Envelope], list[bytes], list[Envelope]]:
    """Charters beside the bundle; and from files that were named, charters, annexes, statements.

    A file that is no statement must be the sealed annex of one of these charters: a bag holds
    nothing in clear.
    """
    bundle = home.settings.depositor
    files = [*sorted((bundle / CHARTERS).glob("*.json")), bundle / "charter.json"]
    charters = {e.statement_hash: e for e in (load_envelope(f, Kind.CHARTER) for f in files)}
    sealed: list[tuple[Path, bytes]] = []
    statements: dict[bytes, Envelope] = {}
    for path in more:
        data = read_file(path)
        try:
            envelope = parse_envelope(data)
        except ExclaveError as error:
            if data[:1] == b"{":
                raise FileUnusable(f"{path}: expected a statement, got: {error.message}") from error
            sealed.append((path, data))
            continue
        kept = charters if envelope.kind is Kind.CHARTER else statements
        kept[envelope.statement_hash] = envelope
    named = {parse_charter(charter).annex for charter in charters.values()}
    for path, data in sealed:
        if hashlib.sha256(data).digest() not in named:
            raise FileUnusable(
                f"{path}: expected a statement, or the sealed annex that a charter names, got "
                "something else",
                hint="a bag holds nothing in clear: papers and notes go beside it",
            )
    return list(charters.values()), [data for _, data in sealed], list(statements.values())


def kit_items() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for source, relative in kit_files(find_kit()):
        if source.stat().st_size:
            yield relative.as_posix(), source.read_bytes


def _writer(carrier: Carrier, contents: Contents) -> BagWriter:
    if carrier.folder is not None:
        return FolderWriter(carrier.folder, contents.inventory)
    assert carrier.next_volume is not None
    return StreamWriter(contents.inventory, carrier.next_volume, capacity=carrier.capacity)


def _require_enrolled(folder: Path, bag: ReadableBag) -> None:
    """Name a bag of another mission as that, and not as a vault that is not enrolled."""
    missions = [mission for mission, _ in VaultFolder.open(folder).missions()]
    if bag.inventory.mission not in missions and missions:
        require_seat(bag.inventory, missions[0], bag.inventory.seat)
    mission = bag.inventory.mission
    require_seat(bag.inventory, mission, enrolled_seat(folder, mission))
