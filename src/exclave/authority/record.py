"""Deposit records: what makes packs a deposit (spec/records.md 2, 3).

Reads, writes and checks single records; how they follow each other is `record_chain`'s. A record is
in the clear to vaults and names nothing of the content.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from datetime import datetime

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain, MissionMismatch
from exclave.authority.charter_parts import Depositor
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.fields import Node, require_ascending
from exclave.authority.persons import require_keys
from exclave.clock import format_time
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.errors import AuthorityError
from exclave.ids import DepositId, Epoch, MissionId, PackRoot, Seat, ShardRoot, StatementHash
from exclave.values import dataclass

__all__ = [
    "FULL_EVERY",
    "DepositRecord",
    "PackKindName",
    "PackSeatsInvalid",
    "RecordInconsistent",
    "RecordPack",
    "SealedSecret",
    "SeatNotNamed",
    "ShardRootRepeated",
    "check_pack",
    "parse_record",
    "record_payload",
    "secret_id_of",
    "verify_record",
]

FULL_EVERY = 32
SEALED_SECRET_SIZE = 1168
_NO_PACKS = b'"packs_added":[]'


class RecordInconsistent(AuthorityError):
    """A record contradicts itself or the records before it."""


class PackSeatsInvalid(AuthorityError):
    """A pack's k or seats are not those of the charter that the record names."""


class SeatNotNamed(AuthorityError):
    """A pack has no shard for this seat."""


class ShardRootRepeated(RecordInconsistent):
    """A record names one shard root twice, for two packs or two seats."""


class PackKindName(enum.StrEnum):
    """What a pack holds."""

    DATA = "data"
    MANIFEST = "manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSecret:
    """A deposit secret as its packs carry it, and the deposit to which it is bound."""

    deposit: DepositId
    sealed: bytes

    @property
    def secret_id(self) -> bytes:
        """H(sealed)."""
        return secret_id_of(self.sealed)

    def to_json(self) -> JsonObject:
        """As it stands in a record or request."""
        return {"deposit": self.deposit.hex(), "sealed": b64encode(self.sealed)}

    @classmethod
    def read(cls, node: Node) -> SealedSecret:
        """Read one; its length admits nothing but a deposit secret."""
        fields = node.fields(*cls.__slots__)
        return cls(
            deposit=DepositId(fields["deposit"].hex(16)),
            sealed=fields["sealed"].base64(SEALED_SECRET_SIZE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPack:
    """A pack as vaults see it; `length` is the sealed pack's in bytes."""

    root: PackRoot
    length: int
    k: int
    secret: bytes
    kind: PackKindName
    shards: tuple[tuple[Seat, ShardRoot], ...]

    def __post_init__(self) -> None:
        require_ascending(f"pack {self.root.hex()[:16]}.shards", [seat for seat, _ in self.shards])
        if len(self.shards) < self.k:
            raise PackSeatsInvalid(
                f"pack {self.root.hex()[:16]}: expected at least {self.k} shards, "
                f"got {len(self.shards)}"
            )

    def shard(self, seat: Seat) -> ShardRoot:
        """The seat's shard root; raises `SeatNotNamed`."""
        for number, root in self.shards:
            if number == seat:
                return root
        raise SeatNotNamed(f"pack {self.root.hex()[:16]}: names no shard for seat {seat}")

    def to_json(self) -> JsonObject:
        """As it stands in a record."""
        return {
            "root": self.root.hex(),
            "length": self.length,
            "k": self.k,
            "secret": self.secret.hex(),
            "kind": self.kind.value,
            "shards": [[seat, root.hex()] for seat, root in self.shards],
        }

    @classmethod
    def read(cls, node: Node) -> RecordPack:
        """Read a pack."""
        fields = node.fields(*cls.__slots__)
        return cls(
            root=PackRoot(fields["root"].hex(32)),
            length=fields["length"].integer(1),
            k=fields["k"].integer(1, 255),
            secret=fields["secret"].hex(32),
            kind=PackKindName(fields["kind"].literal(*PackKindName)),
            shards=fields["shards"].each(_read_shard, least=1, most=255),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositRecord:
    """One record; checked on construction as far as it can be alone."""

    mission: MissionId
    charter: StatementHash
    depositor: str
    deposit: DepositId
    epoch: Epoch
    sequence: int
    previous: StatementHash | None
    full: bool
    secrets_added: tuple[SealedSecret, ...]
    secrets_dropped: tuple[bytes, ...]
    packs_added: tuple[RecordPack, ...]
    packs_dropped: tuple[PackRoot, ...]
    set_root: bytes
    manifest_packs: tuple[PackRoot, ...]
    claimed_time: datetime

    def __post_init__(self) -> None:
        _check_orders(self)
        _check_shards(self)
        _check_position(self)

    @property
    def statement_hash(self) -> StatementHash:
        """H(payload)."""
        return StatementHash(hashlib.sha256(record_payload(self)).digest())


def secret_id_of(sealed: bytes) -> bytes:
    """Name of a deposit secret: H(sealed secret)."""
    return hashlib.sha256(sealed).digest()


def record_payload(record: DepositRecord) -> bytes:
    """The record as canonical JSON.

    Packs are encoded one by one: all at once, as objects, would take ten times their bytes.
    """
    payload: JsonObject = {
        "kind": Kind.RECORD.value,
        "mission": record.mission.hex(),
        "charter": record.charter.hex(),
        "depositor": record.depositor,
        "deposit": record.deposit.hex(),
        "epoch": record.epoch,
        "sequence": record.sequence,
        "previous": None if record.previous is None else record.previous.hex(),
        "full": record.full,
        "secrets_added": [item.to_json() for item in record.secrets_added],
        "secrets_dropped": [*_hexes(record.secrets_dropped)],
        "packs_added": [],
        "packs_dropped": [*_hexes(record.packs_dropped)],
        "set_root": record.set_root.hex(),
        "manifest_packs": [*_hexes(record.manifest_packs)],
        "claimed_time": format_time(record.claimed_time),
    }
    # No text of a record holds a quotation mark, so this stands in it once.
    before, after = canonical_json(payload).split(_NO_PACKS)
    packs = b",".join(canonical_json(pack.to_json()) for pack in record.packs_added)
    return b"".join((before, _NO_PACKS[:-1], packs, b"]", after))


def parse_record(envelope: Envelope) -> DepositRecord:
    """Read the record in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.RECORD).fields("kind", *DepositRecord.__slots__)
    return DepositRecord(
        mission=MissionId(fields["mission"].hex(32)),
        charter=StatementHash(fields["charter"].hex(32)),
        depositor=fields["depositor"].slug(),
        deposit=DepositId(fields["deposit"].hex(16)),
        epoch=Epoch(fields["epoch"].integer(1, 2**32 - 1)),
        sequence=fields["sequence"].integer(1),
        previous=fields["previous"].optional(lambda node: StatementHash(node.hex(32))),
        full=fields["full"].boolean(),
        secrets_added=fields["secrets_added"].each(SealedSecret.read),
        secrets_dropped=fields["secrets_dropped"].each(lambda node: node.hex(32)),
        packs_added=fields["packs_added"].each(RecordPack.read),
        packs_dropped=fields["packs_dropped"].each(lambda node: PackRoot(node.hex(32))),
        set_root=fields["set_root"].hex(32),
        manifest_packs=fields["manifest_packs"].each(lambda node: PackRoot(node.hex(32)), least=1),
        claimed_time=fields["claimed_time"].time(),
    )


def verify_record(envelope: Envelope, chain: CharterChain) -> DepositRecord:
    """Check what can be checked of a record alone.

    A full record that continues a chain repeats packs made under older charters, with their k
    and seats; there only the seats' existence is checked, and which of its packs are new is left
    to who knows the records before (`record_chain.added_packs`, `check_pack`).
    """
    record = parse_record(envelope)
    if record.mission != chain.mission:
        raise MissionMismatch(
            f"record: expected mission {chain.mission.hex()}, got {record.mission.hex()}"
        )
    charter = chain.find(record.charter)
    depositor: Depositor = charter.depositor(record.depositor)
    require_keys(envelope, depositor.keys, party=f"depositor {depositor.id}")
    charter.epoch(record.epoch)
    known = {entry.seat for entry in charter.seats}
    for pack in record.packs_added:
        if record.full and record.previous is not None:
            _check_seats(pack, known)
        else:
            check_pack(pack, charter)
    return record


def check_pack(pack: RecordPack, charter: Charter) -> None:
    """Check a new pack against the charter under which it was made: k, seats, at least h."""
    name = f"pack {pack.root.hex()[:16]}"
    if pack.k != charter.dispersal.k:
        raise PackSeatsInvalid(f"{name}.k: expected {charter.dispersal.k}, got {pack.k}")
    _check_seats(pack, {entry.seat for entry in charter.active_seats})
    if len(pack.shards) < charter.dispersal.h:
        raise PackSeatsInvalid(
            f"{name}.shards: expected at least {charter.dispersal.h}, got {len(pack.shards)}"
        )


def _check_seats(pack: RecordPack, known: set[Seat]) -> None:
    strangers = [seat for seat, _ in pack.shards if seat not in known]
    if strangers:
        raise PackSeatsInvalid(
            f"pack {pack.root.hex()[:16]}.shards: expected seats of the charter, got {strangers[0]}"
        )


def _check_orders(record: DepositRecord) -> None:
    added = [item.secret_id.hex() for item in record.secrets_added]
    require_ascending("record.secrets_added", added)
    require_ascending("record.secrets_dropped", _hexes(record.secrets_dropped))
    require_ascending("record.packs_added", [pack.root.hex() for pack in record.packs_added])
    require_ascending("record.packs_dropped", _hexes(record.packs_dropped))
    if len(set(record.manifest_packs)) != len(record.manifest_packs):
        raise RecordInconsistent("record.manifest_packs: expected each pack once, got one twice")


def _check_shards(record: DepositRecord) -> None:
    # A shard's header holds pack root and seat, so that no shard belongs to two of them.
    found: set[ShardRoot] = set()
    for pack in record.packs_added:
        for seat, root in pack.shards:
            if root in found:
                raise ShardRootRepeated(
                    f"pack {pack.root.hex()[:16]}.shards: expected a shard of its own for "
                    f"seat {seat}, got {root.hex()[:16]} again"
                )
            found.add(root)


def _check_position(record: DepositRecord) -> None:
    if record.sequence % FULL_EVERY == 1 and not record.full:
        raise RecordInconsistent(
            f"record.full: expected true at sequence {record.sequence}, got false"
        )
    if record.previous is None and record.sequence != 1:
        raise RecordInconsistent(
            f"record.previous: expected a hash at sequence {record.sequence}, got null"
        )
    if record.full and (record.packs_dropped or record.secrets_dropped):
        raise RecordInconsistent("record: expected nothing dropped in a full one, got some")


def _hexes(values: Sequence[bytes]) -> list[str]:
    return [value.hex() for value in values]


def _read_shard(node: Node) -> tuple[Seat, ShardRoot]:
    seat, root = node.items(least=2, most=2)
    return Seat(seat.integer(1, 255)), ShardRoot(root.hex(32))
