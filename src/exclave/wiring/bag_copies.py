"""A vault's own shards packed as a bag: a copy of its seat, made where it stands (spec/bag.md 8).

For the disk that is lost one day, or for a safe near the vault. Everything is read from the
objects, also beside a running server, and nothing is changed: whoever has the folder could copy it
anyway, and gets here what opens at this seat only.

Rules
- Records and charters are those of the log, which must lead to its checkpoint.
- Every shard is hashed before it is packed; its veil share is sealed to the seat, as in a spool.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.record import DepositRecord, parse_record
from exclave.authority.record_chain import live_set, record_path
from exclave.bag.packing import gather_contents, seat_shards
from exclave.clock import now
from exclave.dispersal.sealed_shard import SealedShard, seal_shard
from exclave.dispersal.shard import parse_shard
from exclave.engine.file import FileEngine
from exclave.errors import ConfigurationError
from exclave.ids import BagId, DepositId, MissionId, Seat, ShardRoot
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.entry import EntryType, parse_entry
from exclave.ledger.tiles import TILE_WIDTH, TileReader
from exclave.sealing.recovery import XWingPublicKey
from exclave.values import dataclass
from exclave.vault.installation.install import VaultFolder
from exclave.vault.kept.storage import CHECKPOINT, ObjectStore, body_key, read_optional, shard_key
from exclave.wiring.bags import Carrier, PackedBag, kit_items, pack_with_papers
from exclave.wiring.host import enrolled_seat
from exclave.wiring.papers import require_no_papers
from exclave.wiring.seat_files import keys_of

__all__ = ["copy"]

_READ = frozenset({EntryType.CHARTER, EntryType.RECORD, EntryType.ANNEX})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Logged:
    """What a bag takes from a log."""

    charters: tuple[Envelope, ...]
    records: tuple[tuple[DepositRecord, Envelope], ...]  # each after its predecessor
    annexes: tuple[bytes, ...]


def copy(
    folder: Path,
    carrier: Carrier,
    papers: Path,
    *,
    mission: MissionId | None = None,
    deposit: DepositId | None = None,
) -> PackedBag:
    """Pack all shards of one mission, or those that one deposit needs."""
    vault = VaultFolder.open(folder)
    mission = _one_mission(vault, mission)
    seat = enrolled_seat(folder, mission)
    require_no_papers(papers, carrier.folder)
    keys = keys_of(vault.seat_of(mission)).public
    store: ObjectStore = FileEngine(vault.mission(mission), vault.tmp)
    logged = _read_log(store, mission, seat, keys[0].raw)
    records, wanted = _chosen(logged.records, seat, deposit)
    named = {root for record, _ in records for _, root in seat_shards(record, seat)}
    contents = gather_contents(
        mission=mission,
        bag=BagId(os.urandom(16)),
        seat=seat,
        packed=now(),
        charters=logged.charters,
        records=records,
        lying=_Sealing(store, keys[1].xwing).of(wanted),
        kit=kit_items(),
        held=frozenset(named - wanted),
        annexes=logged.annexes,
    )
    return pack_with_papers(contents, carrier, papers, logged.charters, records)


def _one_mission(vault: VaultFolder, wanted: MissionId | None) -> MissionId:
    known = [mission for mission, _ in vault.missions()]
    if wanted is not None:
        return wanted
    if len(known) != 1:
        raise ConfigurationError(
            f"{vault.path}: expected --mission, since it holds {len(known)} missions, got none",
            hint="exclave vault status says which",
        )
    return known[0]


def _chosen(
    records: Sequence[tuple[DepositRecord, Envelope]], seat: Seat, deposit: DepositId | None
) -> tuple[Sequence[tuple[DepositRecord, Envelope]], frozenset[ShardRoot]]:
    """Records, and the shards of the seat that are wanted: all that they name, or those live."""
    if deposit is None:
        return records, frozenset(
            root for record, _ in records for _, root in seat_shards(record, seat)
        )
    newest = next((record for record, _ in records if record.deposit == deposit), None)
    if newest is None:
        raise ConfigurationError(
            f"deposit {deposit.hex()}: expected one that this vault was told of, got none",
            hint="exclave vault status says which",
        )
    envelopes = {record.statement_hash: envelope for record, envelope in records}
    known = {record.statement_hash: record for record, _ in records}
    path = [(step, envelopes[step.statement_hash]) for step in record_path(newest, known)]
    packs = live_set(newest, known).packs.values()
    return path, frozenset(root for pack in packs for at, root in pack.shards if at == seat)


def _read_log(store: ObjectStore, mission: MissionId, seat: Seat, log_public: bytes) -> _Logged:
    """Charters, records and annexes of a log; raises unless it leads to its checkpoint."""
    bodies: dict[EntryType, list[bytes]] = {kind: [] for kind in _READ}
    for kind, digest in _entries(store, mission, seat, log_public):
        bodies[kind].append(store.get(body_key(digest)))
    found: dict[bytes, tuple[DepositRecord, Envelope]] = {}
    for body in bodies[EntryType.RECORD]:
        envelope = parse_envelope(body, kinds=[Kind.RECORD])
        found[envelope.statement_hash] = (parse_record(envelope), envelope)
    charters = [parse_envelope(data, kinds=[Kind.CHARTER]) for data in bodies[EntryType.CHARTER]]
    return _Logged(
        # A record that waited for its predecessor stands before it in the log.
        records=tuple(sorted(found.values(), key=lambda both: both[0].sequence)),
        charters=tuple({charter.statement_hash: charter for charter in charters}.values()),
        annexes=tuple(bodies[EntryType.ANNEX]),
    )


def _entries(
    store: ObjectStore, mission: MissionId, seat: Seat, log_public: bytes
) -> Iterator[tuple[EntryType, bytes]]:
    checkpoint = open_checkpoint(store.get(CHECKPOINT), log_verifier(mission, seat, log_public))
    tree = TileReader(checkpoint.size, lambda path: read_optional(store, f"log/{path}"))
    if tree.root() != checkpoint.root:
        raise ConfigurationError(
            f"log of seat {seat}: its tiles do not lead to its checkpoint",
            hint="exclave vault fsck says what is wrong",
        )
    for bundle in range(-(-checkpoint.size // TILE_WIDTH)):
        for data in tree.entries(bundle):
            entry = parse_entry(data)
            if entry.type in _READ:
                yield entry.type, entry.hash


class _Sealing:
    """Shards as they lie here, sealed to their seat, each with one sealed share.

    A bag is read twice while it is packed, and a share is sealed otherwise every time.
    """

    def __init__(self, store: ObjectStore, seat_key: XWingPublicKey) -> None:
        self._store = store
        self._key = seat_key
        self._shares: dict[ShardRoot, bytes] = {}

    def of(self, roots: frozenset[ShardRoot]) -> Mapping[ShardRoot, Callable[[], bytes]]:
        """How those of them that are here are read."""
        here = [root for root in roots if read_optional(self._store, shard_key(root), 0, 1)]
        return {root: partial(self._load, root) for root in here}

    def _load(self, root: ShardRoot) -> bytes:
        shard = parse_shard(self._store.get(shard_key(root)), root)
        share = self._shares.get(root)
        if share is None:
            share = self._shares[root] = seal_shard(shard, self._key).sealed_share
        sealed = SealedShard(sealed_share=share, header=shard.header, body=shard.body)
        return b"".join((sealed.prefix(), sealed.body))
