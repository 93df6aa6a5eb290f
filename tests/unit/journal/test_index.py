"""The dedup index: runs that hint, lists that say."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import apsw
import numpy as np
import pytest

from exclave.ids import ChunkId
from exclave.journal.index import RATIO
from exclave.journal.lists import (
    PIECE,
    ChunkList,
    cut_list,
    encode_list,
    find_in_piece,
    prefixes_of,
)
from exclave.journal.runs import Recent, Run, RunDamaged, RunRow, remove_run, write_run
from exclave.journal.store import Journal, JournalUnusable
from tests.support.indexing import CHUNKS, RECENT, chunk_of, made_pack, made_record, open_journal

PACKS = 60


def filled(folder: Path, packs: Iterable[int] = range(1, PACKS + 1)) -> Journal:
    journal = open_journal(folder)
    for number in packs:
        journal.add_safe_pack(made_pack(number))
    return journal


def found(journal: Journal, packs: Iterable[int]) -> list[bool]:
    """Whether all chunks of a pack are found where they are."""
    answers = []
    for number in packs:
        places = journal.lookup([chunk[0] for chunk in made_pack(number).chunks])
        answers.append(
            [place and place.offset for place in places] == [c[1] for c in made_pack(number).chunks]
        )
    return answers


def run_rows(folder: Path) -> list[RunRow]:
    rows = apsw.Connection(str(folder / "journal.db")).execute(
        "SELECT name, entries, bits FROM runs ORDER BY age"
    )
    return [RunRow(name=name, entries=entries, bits=bits) for name, entries, bits in rows]


def test_every_chunk_is_found_through_runs_and_nothing_else_is(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    assert run_rows(tmp_path), "runs were written"
    assert all(found(journal, range(1, PACKS + 1)))
    nowhere = [chunk_of(number) for number in range(10**6, 10**6 + 500)]
    assert journal.lookup(nowhere) == [None] * 500
    assert journal.chunk_count() == PACKS * CHUNKS


def test_runs_grow_geometrically_and_only_those_named_are_kept(tmp_path: Path) -> None:
    filled(tmp_path).close()
    rows = run_rows(tmp_path)
    for age, row in enumerate(rows):
        assert row.entries >= RATIO * sum(newer.entries for newer in rows[:age])
    assert sum(row.entries for row in rows) > PACKS * CHUNKS - RECENT - CHUNKS
    folder = tmp_path / "journal.index"
    assert {path.name for path in folder.iterdir()} == {row.name for row in rows}
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}


def test_reopening_reads_only_what_the_runs_do_not_reach(tmp_path: Path) -> None:
    filled(tmp_path).close()
    before = run_rows(tmp_path)
    journal = open_journal(tmp_path)
    assert all(found(journal, range(1, PACKS + 1)))
    assert run_rows(tmp_path) == before


def test_opening_reads_and_makes_no_index(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    assert not (tmp_path / "journal.index").exists()


@pytest.mark.parametrize("column", ["starts", "tags", "packs", "prefixes"])
def test_a_run_that_is_not_as_it_was_is_made_again(tmp_path: Path, column: str) -> None:
    filled(tmp_path).close()
    file = tmp_path / "journal.index" / run_rows(tmp_path)[-1].name / column
    file.write_bytes(file.read_bytes()[:-2])
    with pytest.raises(RunDamaged, match=column):
        Run(tmp_path / "journal.index", run_rows(tmp_path)[-1])
    assert all(found(open_journal(tmp_path), range(1, PACKS + 1)))


def test_a_lost_index_is_made_again_from_the_lists(tmp_path: Path) -> None:
    filled(tmp_path).close()
    for row in run_rows(tmp_path):
        remove_run(tmp_path / "journal.index", row.name)
    journal = open_journal(tmp_path)
    assert all(found(journal, range(1, PACKS + 1)))
    assert run_rows(tmp_path)


def test_a_lying_index_costs_dedup_and_never_names_a_wrong_place(tmp_path: Path) -> None:
    filled(tmp_path).close()
    for row in run_rows(tmp_path):
        file = tmp_path / "journal.index" / row.name / "packs"
        file.write_bytes((np.fromfile(file, "<u4")[::-1] + 1).astype("<u4").tobytes())
    journal = open_journal(tmp_path)
    for number in range(1, PACKS + 1):
        chunks = made_pack(number).chunks
        for place, chunk in zip(journal.lookup([c[0] for c in chunks]), chunks, strict=True):
            assert place is None or (place.pack, place.offset) == (number, chunk[1])


def test_an_older_journal_that_comes_back_names_its_own_runs(tmp_path: Path) -> None:
    filled(tmp_path, range(1, 20)).close()
    before = (tmp_path / "journal.db").read_bytes()
    filled(tmp_path, range(20, 60)).close()
    (tmp_path / "journal.db").write_bytes(before)
    journal = open_journal(tmp_path)
    for number in range(100, 130):
        journal.add_safe_pack(made_pack(number))
    assert all(found(journal, [*range(1, 20), *range(100, 130)]))
    assert not any(found(journal, range(20, 60)))


def test_packs_that_are_no_longer_named_leave_lists_and_runs(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    kept = [made_pack(number).root for number in range(1, PACKS + 1, 3)]
    journal.store_record(made_record(1), [made_pack(n).root for n in range(1, PACKS + 1)])
    journal.store_record(made_record(2), kept)
    assert journal.chunk_count() == len(kept) * CHUNKS
    assert found(journal, range(1, PACKS + 1)) == [n % 3 == 1 for n in range(1, PACKS + 1)]
    for number in range(200, 300):
        journal.add_safe_pack(made_pack(number))
    assert sum(row.entries for row in run_rows(tmp_path)) <= (len(kept) + 100) * CHUNKS
    assert all(found(journal, [*range(1, PACKS + 1, 3), *range(200, 300)]))


def test_a_chunk_of_a_dropped_pack_is_found_in_another(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    both = [made_pack(1), made_pack(2, range(CHUNKS, 2 * CHUNKS))]
    for pack in both:
        journal.add_safe_pack(pack)
    for pack in both:
        [place] = journal.lookup([chunk_of(CHUNKS)])
        assert place is not None
        [known] = journal.packs([place.pack])
        journal.mark_lost(known.shards[0][0], [known.shards[0][1]])
        del pack
    assert journal.lookup([chunk_of(CHUNKS)]) == [None]


def test_several_packs_enter_together_or_not_at_all(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    assert journal.add_safe_packs([made_pack(1), made_pack(2)]) == [1, 2]
    with pytest.raises(JournalUnusable):
        journal.add_safe_packs([made_pack(3), made_pack(1)])
    assert found(journal, [1, 2, 3]) == [True, True, False]


def test_looking_up_goes_on_while_packs_enter_and_runs_are_merged(tmp_path: Path) -> None:
    journal = filled(tmp_path, range(1, 10))
    missed: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            missed.extend(n for n, there in enumerate(found(journal, range(1, 10)), 1) if not there)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(10, 150):
        journal.add_safe_pack(made_pack(number))
    ended.set()
    for thread in threads:
        thread.join()
    assert not missed
    assert all(found(journal, range(1, 150)))


def test_a_journal_with_a_row_for_each_chunk_gets_lists(tmp_path: Path) -> None:
    journal = filled(tmp_path, [1, 2, 3])
    journal.store_record(made_record(1), [made_pack(n).root for n in (1, 2, 3)])
    journal.store_record(made_record(2), [made_pack(n).root for n in (1, 3)])
    journal.close()
    database = apsw.Connection(str(tmp_path / "journal.db"))
    database.execute("DROP TABLE pieces; DROP TABLE runs")
    database.execute(
        "CREATE TABLE chunks (id BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, "
        "stored INTEGER NOT NULL, plain INTEGER NOT NULL, codec INTEGER NOT NULL) WITHOUT ROWID"
    )
    for number in (1, 2, 3):
        database.executemany(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
            [(chunk[0], number, *chunk[1:]) for chunk in made_pack(number).chunks],
        )
    database.pragma("user_version", 1)
    database.close()
    for _ in range(2):
        journal = open_journal(tmp_path)
        assert found(journal, [1, 2, 3]) == [True, False, True]
        assert journal.chunk_count() == 2 * CHUNKS
        journal.close()


def test_a_journal_with_lists_in_one_piece_gets_them_cut(tmp_path: Path) -> None:
    filled(tmp_path, [1, 2]).close()
    large = made_pack(3, range(1000, 1000 + 4 * PIECE))
    database = apsw.Connection(str(tmp_path / "journal.db"))
    database.execute("DROP TABLE pieces")
    database.execute(
        "CREATE TABLE lists (pack INTEGER PRIMARY KEY, chunks INTEGER NOT NULL, "
        "ids BLOB NOT NULL, places BLOB NOT NULL)"
    )
    for number, pack in ((1, made_pack(1)), (2, large)):
        columns = encode_list(pack.chunks)
        database.execute("INSERT INTO lists VALUES (?, ?, ?, ?)", (number, 1, *columns))
    database.pragma("user_version", 2)
    database.close()
    for _ in range(2):
        journal = open_journal(tmp_path)
        assert found(journal, [1, 2]) == [True, False]
        places = journal.lookup([chunk[0] for chunk in large.chunks])
        assert [place and place.offset for place in places] == [c[1] for c in large.chunks]
        assert journal.chunk_count() == CHUNKS + 4 * PIECE
        journal.close()


def test_a_list_that_is_not_as_it_was_written_is_refused(tmp_path: Path) -> None:
    ids, places = encode_list(made_pack(1).chunks)
    assert len(ChunkList(1, ids, places)) == CHUNKS
    for damaged in ((ids[:-1], places), (ids, places[:-1]), (ids[:-32], places)):
        with pytest.raises(JournalUnusable, match="pack 1"):
            ChunkList(1, *damaged)
        with pytest.raises(JournalUnusable, match="pack 1"):
            find_in_piece(1, *damaged, made_pack(1).chunks[0][0])
    filled(tmp_path, [1]).close()
    database = apsw.Connection(str(tmp_path / "journal.db"))
    database.execute("UPDATE pieces SET places = substr(places, 2)")
    database.close()
    with pytest.raises(JournalUnusable, match="chunks of pack 1 are not as they were written"):
        open_journal(tmp_path).lookup([made_pack(1).chunks[0][0]])


@pytest.mark.parametrize("count", [1, PIECE - 1, PIECE, PIECE + 1, 7 * PIECE + 5])
def test_a_list_is_cut_into_pieces_by_the_first_bytes_of_an_id(count: int) -> None:
    """Each id is in the last piece that begins at or before its first four bytes."""
    columns = encode_list(made_pack(1, range(count)).chunks)
    pieces = list(cut_list(*columns))
    assert [b"".join(parts) for parts in zip(*(piece[1:] for piece in pieces), strict=True)] == [
        *columns
    ]
    assert all(len(ids) <= PIECE * 32 for _, ids, _ in pieces)
    for number in range(count):
        head = int.from_bytes(chunk_of(number)[:4], "big")
        _, ids, places = max(piece for piece in pieces if piece[0] <= head)
        place = find_in_piece(7, ids, places, chunk_of(number))
        assert place is not None
        assert (place.pack, place.offset) == (7, number)
    assert find_in_piece(7, *columns, chunk_of(count)) is None


def test_ids_that_begin_alike_are_in_one_piece(tmp_path: Path) -> None:
    alike = [ChunkId(bytes(4) + number.to_bytes(28, "big")) for number in range(3 * PIECE)]
    others = [chunk_of(number) for number in range(2 * PIECE)]
    chunks = tuple((name, n, 10, 20, 1) for n, name in enumerate([*alike, *others]))
    heads = [head for head, *_ in cut_list(*encode_list(chunks))]
    assert len(heads) == len(set(heads)) == 3
    journal = open_journal(tmp_path)
    journal.add_safe_pack(replace(made_pack(1), chunks=chunks))
    offsets = [place and place.offset for place in journal.lookup([c[0] for c in chunks])]
    # The first eight bytes tell chunks of one pack apart: the others of `alike` lose their dedup.
    assert offsets[len(alike) :] == list(range(len(alike), len(chunks)))


def test_one_chunk_of_a_pack_costs_a_piece_and_several_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = open_journal(tmp_path)
    packs = [made_pack(n, range(1000 * n, 1000 * n + 4 * PIECE)) for n in range(1, 21)]
    for pack in packs:
        journal.add_safe_pack(pack)
    read: list[int] = []

    class Counted(ChunkList):
        def __init__(self, pack: int, ids: bytes, places: bytes) -> None:
            super().__init__(pack, ids, places)
            read.append(pack)

    monkeypatch.setattr("exclave.journal.index.ChunkList", Counted)
    for at in (5, 300):
        places = journal.lookup([pack.chunks[at][0] for pack in packs])
        assert [place and place.offset for place in places] == [p.chunks[at][1] for p in packs]
    assert read == []
    assert None not in journal.lookup([chunk[0] for chunk in packs[3].chunks])
    assert read == [4]


def test_runs_hold_entries_of_any_number(tmp_path: Path) -> None:
    """Counts about the sizes of buckets and slices, ids at both ends, the same id in many packs."""
    random = np.random.default_rng(1)
    for count in (0, 1, 7, 8, 15, 16, 127, 128, 70_000, 140_000):
        ends = np.array([0, 0, 2**64 - 1], dtype=np.uint64)
        prefixes = np.concatenate([ends, random.integers(0, 2**64, count, dtype=np.uint64)])
        source = Recent.empty().with_packs([(5, np.sort(prefixes))])
        other = Recent.empty().with_packs([(7, ends)])
        shared = np.array([False] * 5 + [True, False, True])
        run = Run(tmp_path, write_run(tmp_path, [other, source], shared))
        assert run.entries == count + 6
        assert all(5 in run.packs_of(prefix) for prefix in prefixes[:500].tolist())
        assert sorted(run.packs_of(0)) == [5, 5, 7, 7]
        assert sorted(run.packs_of(2**64 - 1)) == [5, 7]
        again = Run(tmp_path, write_run(tmp_path, [run], shared & (np.arange(8) != 5)))
        assert again.entries == 3
        assert again.packs_of(0) == [7, 7]
        assert not [prefix for prefix in prefixes[3:500].tolist() if again.packs_of(prefix)]


def test_prefixes_are_the_first_eight_bytes() -> None:
    ids = [ChunkId(bytes([number]) * 32) for number in (0, 1, 255)]
    expected = [int.from_bytes(name[:8], "big") for name in ids]
    assert prefixes_of(b"".join(ids)).tolist() == expected


def test_a_full_disk_under_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(tmp_path, [1, 2])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("exclave.journal.runs.os.write", full)
        journal.add_safe_pack(made_pack(3))
        with pytest.raises(JournalUnusable, match="expected room, got a full disk"):
            journal.add_safe_pack(made_pack(4))
    assert list((tmp_path / "journal.index").iterdir()) == [], "nothing is left half written"
    assert journal.lookup([made_pack(4).chunks[0][0]]) != [None], "the pack itself is safe"
    journal.add_safe_pack(made_pack(20))
    assert run_rows(tmp_path)
    assert all(found(journal, [1, 2, 3, 20]))
