"""Records as a survey keeps them: packs once, live sets when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from exclave.authority.record import DepositRecord, PackKindName, RecordPack, SealedSecret
from exclave.authority.record_chain import live_set, set_root
from exclave.ids import DepositId, Epoch, MissionId, PackRoot, Seat, ShardRoot, StatementHash
from exclave.vault.survey.records import Records

COUNT, FULL = 30, 11
SECRET = SealedSecret(deposit=DepositId(bytes(16)), sealed=bytes(1168))


def pack(number: int, kind: PackKindName) -> RecordPack:
    return RecordPack(
        root=PackRoot(number.to_bytes(32, "big")),
        length=2000,
        k=1,
        secret=SECRET.secret_id,
        kind=kind,
        shards=((Seat(1), ShardRoot(number.to_bytes(32, "little"))),),
    )


def data(number: int) -> RecordPack:
    return pack(100 + number, PackKindName.DATA)


def manifest(number: int) -> RecordPack:
    return pack(1000 + number, PackKindName.MANIFEST)


def statement(sequence: int) -> StatementHash:
    return StatementHash(sequence.to_bytes(32, "big"))


def record(sequence: int) -> DepositRecord:
    """Each adds a pack and a manifest; its predecessor's manifest goes."""
    full = sequence % FULL == 1
    live = [*map(data, range(1, sequence + 1)), manifest(sequence)]
    return DepositRecord(
        mission=MissionId(bytes(32)),
        charter=StatementHash(bytes(32)),
        depositor="home",
        deposit=DepositId(sequence.to_bytes(16, "big")),
        epoch=Epoch(1),
        sequence=sequence,
        previous=None if sequence == 1 else statement(sequence - 1),
        full=full,
        secrets_added=(SECRET,) if full else (),
        secrets_dropped=(),
        packs_added=tuple(live) if full else tuple(live[-2:]),
        packs_dropped=() if full else (manifest(sequence - 1).root,),
        set_root=set_root(item.root for item in live),
        manifest_packs=(manifest(sequence).root,),
        claimed_time=datetime(2026, 1, 1, tzinfo=UTC),
    )


def entered(chain: Mapping[StatementHash, DepositRecord]) -> Records:
    records = Records()
    for name, item in chain.items():
        records.enter(name, item)
    return records


def chained() -> dict[StatementHash, DepositRecord]:
    return {statement(sequence): record(sequence) for sequence in range(1, COUNT + 1)}


def test_live_sets_are_those_of_the_chain_in_whatever_order_they_are_asked_for() -> None:
    chain = chained()
    for order in (range(COUNT, 0, -1), range(1, COUNT + 1), (17, 3, 29, 3, 17, 18, 16)):
        records = entered(chain)
        for sequence in order:
            expected = live_set(chain[statement(sequence)], chain)
            assert records.live_set(records.known[statement(sequence)]) == expected


def test_packs_that_full_records_repeat_are_kept_once() -> None:
    chain = chained()
    records = entered(chain)
    assert records.known == chain
    named = [item for known in records.known.values() for item in known.packs_added]
    assert len({id(item) for item in named}) == len(set(named)) < len(named)


def test_a_pack_that_another_record_names_otherwise_stays_as_it_is() -> None:
    other = replace(data(1), length=4000)
    first, second = record(1), record(2)
    second = replace(second, packs_added=(other, manifest(2)))
    records = entered({statement(1): first, statement(2): second})
    assert records.known[statement(2)].packs_added[0] == other
    assert records.live_set(records.known[statement(2)]) is None, "it is live already"
    assert records.live_set(records.known[statement(1)]) is not None


def test_nothing_is_live_where_a_record_is_missing() -> None:
    chain = chained()
    del chain[statement(5)]
    records = entered(chain)
    asked = [number for number in range(1, COUNT + 1) if number != 5]
    missing = [n for n in asked if records.live_set(records.known[statement(n)]) is None]
    assert missing == list(range(6, FULL + 1))
