"""The journal: dedup index, packs, records; what a crash or another epoch leaves of it."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from exclave.ids import ChunkId, DepositId, Epoch, MissionId, PackRoot, Seat, ShardRoot
from exclave.journal.database import FORMAT, unopened
from exclave.journal.rows import JournalTooNew
from exclave.journal.store import (
    Journal,
    JournalForeign,
    JournalUnusable,
    RecordRow,
    SafePack,
    ShardRow,
)

MISSION = MissionId(b"\x01" * 32)


def _open(path: Path, *, epoch: int = 1, depositor: str = "home") -> Journal:
    return Journal.open(path, mission=MISSION, depositor=depositor, epoch=Epoch(epoch))


def _pack(tag: int, *, late: bool = False) -> SafePack:
    return SafePack(
        root=PackRoot(bytes([tag]) * 32),
        length=1000,
        k=2,
        kind=1,
        secret=b"\x05" * 32,
        deposit=DepositId(b"\x06" * 16),
        sealed_secret=b"\x07" * 1168,
        shards=(
            ShardRow(seat=Seat(1), root=ShardRoot(bytes([tag, 1]) * 16), held=True),
            ShardRow(seat=Seat(2), root=ShardRoot(bytes([tag, 2]) * 16), held=not late),
        ),
        chunks=((ChunkId(bytes([tag]) + b"\x09" * 31), 0, 10, 20, 1),),
    )


def _record(sequence: int) -> RecordRow:
    return RecordRow(
        sequence=sequence,
        statement=bytes([sequence]) * 32,
        deposit=DepositId(bytes([sequence]) * 16),
        envelope=b"envelope",
        lodged=frozenset(),
    )


def test_a_safe_pack_is_found_after_reopening(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    number = journal.add_safe_pack(_pack(1))
    journal.close()
    journal = _open(tmp_path / "j.db")
    [place, nothing] = journal.lookup([_pack(1).chunks[0][0], ChunkId(b"\xff" * 32)])
    assert place is not None
    assert (place.pack, place.offset, place.stored, place.plain, place.codec) == (
        number, 0, 10, 20, 1,
    )  # fmt: skip
    assert nothing is None
    assert journal.sealed_secret(b"\x05" * 32) == (b"\x06" * 16, b"\x07" * 1168)


def test_chunks_of_dropped_packs_are_not_shared(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    first, second = _pack(1), _pack(2)
    journal.add_safe_pack(first)
    journal.store_record(_record(1), [first.root])
    journal.add_safe_pack(second)
    journal.store_record(_record(2), [second.root])
    assert journal.lookup([first.chunks[0][0]]) == [None]
    assert journal.lookup([second.chunks[0][0]]) != [None]
    assert journal.live_roots() == {second.root}
    assert [r.sequence for r in journal.records()] == [2, 1]


def test_a_safe_pack_without_record_is_adopted_by_the_next_attempt(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    journal.add_safe_pack(_pack(1))
    journal.store_record(_record(1), [_pack(1).root])
    journal.add_safe_pack(_pack(2))  # then killed
    assert journal.lookup([_pack(2).chunks[0][0]]) != [None]
    assert journal.live_roots() == {_pack(1).root}


def test_late_shards_until_held(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    pack = _pack(1, late=True)
    journal.add_safe_pack(pack)
    assert journal.late_shards(Seat(1)) == []
    assert journal.late_shards(Seat(2)) == [(pack.root, pack.shards[1].root)]
    journal.mark_held(Seat(2), pack.shards[1].root)
    assert journal.late_shards(Seat(2)) == []


def test_lodgings_are_remembered(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    journal.store_record(_record(1), [])
    journal.mark_lodged(1, Seat(3), "receipt")
    newest = journal.newest_record()
    assert newest is not None
    assert newest.lodged == {Seat(3)}


def test_dedup_never_crosses_epochs(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    journal.add_safe_pack(_pack(1))
    journal.store_record(_record(1), [_pack(1).root])
    journal.close()
    journal = _open(tmp_path / "j.db", epoch=2)
    assert journal.lookup([_pack(1).chunks[0][0]]) == [None]
    assert journal.live_roots() == frozenset()
    assert journal.newest_record() is not None


def test_a_foreign_journal_is_refused(tmp_path: Path) -> None:
    _open(tmp_path / "j.db").close()
    with pytest.raises(JournalForeign, match="belongs to depositor 'home'"):
        _open(tmp_path / "j.db", depositor="other")


def test_a_damaged_journal_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "j.db").write_bytes(b"not a database, certainly" * 100)
    with pytest.raises(JournalUnusable) as caught:
        _open(tmp_path / "j.db")
    assert caught.value.hint is not None
    assert "catalogue" in caught.value.hint


def test_a_journal_on_a_full_disk_is_not_to_be_moved_away(tmp_path: Path) -> None:
    said = unopened(tmp_path / "j.db", apsw.IOError(), free=0)
    assert said.message == "journal: expected room, got a full disk"
    assert said.hint == "free some space"


def test_a_journal_where_nobody_may_write_is_not_to_be_moved_away(tmp_path: Path) -> None:
    said = unopened(tmp_path / "j.db", PermissionError(13, "Permission denied"), free=2**30)
    assert said.message.endswith("j.db: expected to open it, got: Permission denied")
    assert "move" not in str(said.hint)
    with pytest.raises(JournalUnusable, match="got: No such file or directory"):
        _open(tmp_path / "nowhere" / "j.db")


def test_a_failed_transaction_changes_nothing(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    journal.add_safe_pack(_pack(1))
    with pytest.raises(JournalUnusable):
        journal.add_safe_pack(_pack(1))  # the root is there already
    assert journal.chunk_count() == 1
    journal.add_safe_pack(_pack(2))
    assert journal.chunk_count() == 2


def test_no_key_material_has_a_column(tmp_path: Path) -> None:
    _open(tmp_path / "j.db").close()
    import apsw

    names = {
        row[1]
        for table in ("meta", "packs", "shards", "secrets", "chunks", "records", "lodgings")
        for row in apsw.Connection(str(tmp_path / "j.db")).execute(f"PRAGMA table_info({table})")
    }
    assert not names & {"veil", "key", "seed", "plain_secret"} - {"key"}
    assert (tmp_path / "j.db").stat().st_mode & 0o077 == 0


def test_packs_of_another_layout_are_not_shared(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    journal.add_safe_pack(_pack(1))
    assert journal.keep_layout(2, [Seat(2), Seat(1)]) == 0
    assert not journal.full_wanted
    for k, seats in ((3, [Seat(1), Seat(2)]), (2, [Seat(1), Seat(3)])):
        journal.add_safe_pack(_pack(k * 10 + seats[1]))
        assert journal.keep_layout(k, seats) > 0
        assert journal.lookup([_pack(1).chunks[0][0]]) == [None]
    assert journal.full_wanted
    journal.store_record(_record(1), [])
    assert not journal.full_wanted


def test_a_withdrawn_record_leaves_its_number_and_its_packs(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    journal.add_safe_pack(_pack(1))
    journal.store_record(_record(1), [_pack(1).root])
    journal.note_asked(1, Seat(1))
    assert journal.may_have(1) == {Seat(1)}
    journal.note_refused(1, Seat(1))
    assert journal.may_have(1) == frozenset()
    journal.withdraw(1, "refused")
    assert journal.newest_record() is None
    assert journal.withdrawn() == [(1, _record(1).statement, "refused")]
    assert journal.live_roots() == frozenset()
    assert journal.lookup([_pack(1).chunks[0][0]]) != [None]
    assert journal.full_wanted


def test_lost_shards_make_a_pack_unshared(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    pack = _pack(1)
    journal.add_safe_pack(pack)
    assert journal.mark_lost(Seat(1), [ShardRoot(b"\xee" * 32)]) == 0
    assert journal.mark_lost(Seat(1), [pack.shards[0].root]) == 1
    assert journal.mark_lost(Seat(1), [pack.shards[0].root]) == 0
    assert journal.late_shards(Seat(1)) == [(pack.root, pack.shards[0].root)]
    assert journal.lookup([pack.chunks[0][0]]) == [None]


def test_a_pack_that_is_not_shared_is_known_for_its_late_shards(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    pack = _pack(1, late=True)
    journal.add_safe_pack(pack, shared=False)
    assert journal.late_shards(Seat(2)) == [(pack.root, pack.shards[1].root)]
    assert journal.lookup([pack.chunks[0][0]]) == [None]


def test_a_chain_is_whole_from_number_one_on(tmp_path: Path) -> None:
    journal = _open(tmp_path / "j.db")
    assert not journal.is_whole()
    journal.store_record(_record(1), [])
    assert journal.is_whole()
    journal.adopt_record(_record(3), "older")
    assert not journal.is_whole()


def test_a_journal_of_a_later_format_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    _open(path).close()
    database = apsw.Connection(str(path))
    database.pragma("user_version", FORMAT + 1)
    database.close()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(JournalTooNew, match=f"format {FORMAT} or earlier, got format {FORMAT + 1}"):
        _open(path)
    assert before == {file.name: file.read_bytes() for file in tmp_path.iterdir()}
