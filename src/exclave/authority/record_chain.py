"""How records follow each other: live sets, chains and forks (spec/records.md 2, 3, 5).

Pure functions over parsed records. A `LiveSet` is what a deposit refers to; applying the next
record gives the next one, and every claim of the record about it is checked. Nothing here refuses
a record for coming too early: what is missing is named, so that a vault keeps it pending.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from exclave.authority.charter import Charter, NotInCharter
from exclave.authority.charter_chain import CharterChain
from exclave.authority.record import (
    DepositRecord,
    PackKindName,
    RecordInconsistent,
    RecordPack,
    SealedSecret,
)
from exclave.errors import AuthorityError
from exclave.ids import Epoch, KeyId, PackRoot, Seat, StatementHash
from exclave.merkle import leaf_hash, tree_root
from exclave.values import dataclass, field, replace

__all__ = [
    "AncestorMissing",
    "Author",
    "Fork",
    "Layout",
    "LiveSet",
    "SetRootMismatch",
    "added_packs",
    "author_of",
    "find_forks",
    "live_set",
    "newest_first",
    "record_path",
    "seated_authors",
    "set_root",
]


class AncestorMissing(AuthorityError):
    """A record before this one is not known here yet."""

    def __init__(self, message: str, *, missing: StatementHash) -> None:
        super().__init__(message, hint="the record stays pending until it arrives")
        self.missing = missing


class SetRootMismatch(AuthorityError):
    """The live set that results is not the one that the record states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who makes a chain of records: a depositor with certain keys.

    The id alone would not do: a key that was revoked would stand for the one that replaced it.
    """

    depositor: str
    keys: tuple[KeyId, ...]

    @property
    def name(self) -> str:
        """One word for both; no depositor's id is as long."""
        return hashlib.sha256("\0".join((self.depositor, *self.keys)).encode()).hexdigest()

    def is_seated(self, charter: Charter) -> bool:
        """Whether a charter has this depositor with just these keys."""
        try:
            return _author(charter, self.depositor) == self
        except NotInCharter:
            return False


def author_of(record: DepositRecord, chain: CharterChain) -> Author:
    """The author by the charter that the record names; raises `NotInCharter`."""
    return _author(chain.find(record.charter), record.depositor)


def seated_authors(charter: Charter) -> tuple[Author, ...]:
    """The authors whom a charter seats."""
    return tuple(_author(charter, depositor.id) for depositor in charter.depositors)


def _author(charter: Charter, depositor: str) -> Author:
    keys = tuple(key.key_id for key in charter.depositor(depositor).keys)
    return Author(depositor=depositor, keys=keys)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Layout:
    """How packs are spread: any `k` of these seats give them back, fewer hold nothing."""

    k: int
    seats: tuple[Seat, ...]  # ascending


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSet:
    """Packs and sealed secrets that a deposit refers to, by root and secret id."""

    packs: Mapping[PackRoot, RecordPack] = field(default_factory=lambda: MappingProxyType({}))
    secrets: Mapping[bytes, SealedSecret] = field(default_factory=lambda: MappingProxyType({}))
    epoch: Epoch | None = None

    @property
    def roots(self) -> tuple[PackRoot, ...]:
        """Pack roots, ascending."""
        return tuple(sorted(self.packs))

    @property
    def layouts(self) -> Mapping[Layout, int]:
        """How the packs are spread, and how many of them so; ascending.

        More than one where a seat joined, or k changed, after some of the packs were made.
        """
        counts = Counter(
            Layout(k=pack.k, seats=tuple(seat for seat, _ in pack.shards))
            for pack in self.packs.values()
        )
        return MappingProxyType(dict(sorted(counts.items())))

    def apply(self, record: DepositRecord) -> LiveSet:
        """The live set after a record; raises when the record does not fit this one."""
        packs = {} if record.full else dict(self.packs)
        secrets = {} if record.full else dict(self.secrets)
        if not record.full and record.epoch != self.epoch:
            raise RecordInconsistent(
                f"record.epoch: expected {self.epoch} of the packs that live on, got {record.epoch}"
            )
        for root in record.packs_dropped:
            if packs.pop(root, None) is None:
                raise RecordInconsistent(f"record.packs_dropped: {root.hex()[:16]} is not live")
        for identity in record.secrets_dropped:
            if secrets.pop(identity, None) is None:
                raise RecordInconsistent(f"record.secrets_dropped: {identity.hex()[:16]} not live")
        _add(packs, secrets, record)
        _check_secrets(packs, secrets)
        _check_manifests(packs, record)
        return _checked(packs, secrets, record)


def _add(
    packs: dict[PackRoot, RecordPack], secrets: dict[bytes, SealedSecret], record: DepositRecord
) -> None:
    for pack in record.packs_added:
        if pack.root in packs:
            raise RecordInconsistent(f"record.packs_added: {pack.root.hex()[:16]} is live already")
        packs[pack.root] = pack
    for sealed in record.secrets_added:
        identity = sealed.secret_id
        if identity in secrets:
            raise RecordInconsistent(f"record.secrets_added: {identity.hex()[:16]} live already")
        secrets[identity] = sealed


def _check_secrets(
    packs: Mapping[PackRoot, RecordPack], secrets: Mapping[bytes, SealedSecret]
) -> None:
    named = {pack.secret for pack in packs.values()}
    lacking, idle = sorted(named - secrets.keys()), sorted(secrets.keys() - named)
    if lacking:
        raise RecordInconsistent(
            f"record: expected every live pack's secret, got none for {lacking[0].hex()[:16]}"
        )
    if idle:
        raise RecordInconsistent(
            f"record: expected live packs to name every secret, got none for {idle[0].hex()[:16]}"
        )


def _check_manifests(packs: Mapping[PackRoot, RecordPack], record: DepositRecord) -> None:
    stated = set(record.manifest_packs)
    live = {root for root, pack in packs.items() if pack.kind is PackKindName.MANIFEST}
    if stated != live:
        raise RecordInconsistent(
            f"record.manifest_packs: expected the {len(live)} live manifest packs, "
            f"got {len(stated)} others",
            hint="manifest packs of an earlier deposit are dropped by the next record",
        )


def _checked(
    packs: dict[PackRoot, RecordPack], secrets: dict[bytes, SealedSecret], record: DepositRecord
) -> LiveSet:
    got = set_root(packs)
    if got != record.set_root:
        raise SetRootMismatch(f"record.set_root: expected {got.hex()}, got {record.set_root.hex()}")
    return LiveSet(
        packs=MappingProxyType(packs), secrets=MappingProxyType(secrets), epoch=record.epoch
    )


def set_root(roots: Iterable[PackRoot]) -> bytes:
    """Tree root over pack roots in ascending order."""
    return tree_root(leaf_hash(root) for root in sorted(roots))


def record_path(
    record: DepositRecord, known: Mapping[StatementHash, DepositRecord]
) -> tuple[DepositRecord, ...]:
    """The records from the last full one to this one; raises `AncestorMissing`.

    Only these are needed for the live set. Whether older ancestors are here is for lodging:
    walk on with `previous`.
    """
    path = [record]
    while not path[-1].full:
        child = path[-1]
        assert child.previous is not None  # a record without one is number 1, hence full
        parent = known.get(child.previous)
        if parent is None:
            raise AncestorMissing(
                f"record {child.sequence} of {child.depositor}: expected the record before, "
                f"{child.previous.hex()[:16]}, got none",
                missing=child.previous,
            )
        _check_follows(parent, child)
        path.append(parent)
    return tuple(reversed(path))


def _check_follows(parent: DepositRecord, child: DepositRecord) -> None:
    if parent.depositor != child.depositor or parent.sequence + 1 != child.sequence:
        raise RecordInconsistent(
            f"record {child.sequence} of {child.depositor}: expected to follow "
            f"{child.sequence - 1} of {child.depositor}, got {parent.sequence} of "
            f"{parent.depositor}"
        )


def live_set(record: DepositRecord, known: Mapping[StatementHash, DepositRecord]) -> LiveSet:
    """The checked live set of a record, from its last full ancestor on."""
    result = LiveSet()
    for step in record_path(record, known):
        result = result.apply(step)
    return result


def added_packs(
    record: DepositRecord, known: Mapping[StatementHash, DepositRecord]
) -> tuple[RecordPack, ...]:
    """Packs of a record that were not live before it; raises `AncestorMissing`.

    Live packs that a full record repeats are the same in everything but seats, which may have
    joined since.
    """
    if not record.full or record.previous is None:
        return record.packs_added
    parent = known.get(record.previous)
    if parent is None:
        raise AncestorMissing(
            f"record {record.sequence} of {record.depositor}: expected the record before, "
            f"{record.previous.hex()[:16]}, got none",
            missing=record.previous,
        )
    before = live_set(parent, known).packs
    return tuple(pack for pack in record.packs_added if not _repeats(before.get(pack.root), pack))


def _repeats(before: RecordPack | None, pack: RecordPack) -> bool:
    return (
        before is not None
        and replace(pack, shards=before.shards) == before
        and set(before.shards) <= set(pack.shards)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Different records of one author with one sequence number, ascending by hash."""

    depositor: str
    sequence: int
    records: tuple[StatementHash, ...]


def find_forks(
    records: Iterable[DepositRecord], author: Callable[[DepositRecord], Author]
) -> tuple[Fork, ...]:
    """Every fork among records, by author and sequence."""
    places: dict[tuple[str, str, int], set[StatementHash]] = {}
    for record in records:
        place = (record.depositor, author(record).name, record.sequence)
        places.setdefault(place, set()).add(record.statement_hash)
    return tuple(
        Fork(depositor=depositor, sequence=sequence, records=tuple(sorted(hashes)))
        for (depositor, _, sequence), hashes in sorted(places.items())
        if len(hashes) > 1
    )


def newest_first(
    logged: Iterable[DepositRecord], author: Callable[[DepositRecord], Author], in_force: Charter
) -> tuple[DepositRecord, ...]:
    """Records in the order in which a reader prefers them (section 5).

    `logged` is in the order of the log; chains of authors whom the charter in force seats come
    first, of these the chain that began last, then higher sequences first.
    """
    order: dict[Author, int] = {}
    listed = [(record, author(record)) for record in logged]
    for _, who in listed:
        order.setdefault(who, len(order))
    listed.sort(
        key=lambda item: (not item[1].is_seated(in_force), -order[item[1]], -item[0].sequence)
    )
    return tuple(record for record, _ in listed)
