"""Outlines: bounded, exact where they say so, and closed to whoever has only the catalogue."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exclave.archive.filetree import FileEntry, FileType, encode_entry
from exclave.deposit import outline as module
from exclave.deposit.differing import TreeDiff, diff_tables, diff_trees
from exclave.deposit.outline import (
    FileOutline,
    GroupBuilder,
    RegisterOutline,
    SizedOutline,
    TableOutline,
    TreeBuilder,
    TreeOutline,
)
from exclave.deposit.outlines import OutlineUnreadable, open_outline, parse_outline, seal_outline
from exclave.encoding import canonical_json
from exclave.errors import ExclaveError
from exclave.ids import DepositId, MissionId
from exclave.merkle import leaf_hash, tree_root

MISSION, DEPOSIT, KEY = MissionId(bytes(32)), DepositId(bytes(16)), bytes(range(32))


def group(value: int) -> bytes:
    return (1).to_bytes(4, "big") + hashlib.sha256(value.to_bytes(4, "big")).digest()


def table(groups: Sequence[int], *, rows: int | None = None, piece: int = 100) -> TableOutline:
    builder, data = GroupBuilder(), b"".join(map(group, groups))
    for at in range(0, len(data), piece):
        builder.write(data[at : at + piece])
    return TableOutline(
        name="d.s.t",
        rows=len(groups) if rows is None else rows,
        columns="00" * 16,
        groups=builder.groups,
        level=builder.level,
        nodes=builder.nodes(),
    )


def entry(path: str, content: str = "", *, kind: FileType = FileType.REGULAR) -> bytes:
    size = len(content)
    return encode_entry(
        FileEntry(
            type=kind,
            mode=0o755 if kind is FileType.FOLDER else 0o644,
            uid=0,
            gid=0,
            mtime=0,
            size=size,
            offset=0,
            blake3=hashlib.sha256(content.encode()).digest()
            if kind is FileType.REGULAR
            else bytes(32),
            path=path.encode(),
            owner="",
            group="",
            target=b"",
            extents=((0, size),) if size else (),
            xattrs=(),
        )
    )


def tree(files: dict[str, str], most: int = module.MAX_UNITS) -> TreeOutline:
    builder = TreeBuilder(most)
    folders = {"/".join(p.split("/")[:n]) for p in files for n in range(p.count("/") + 1)}
    records = [entry(name, kind=FileType.FOLDER) for name in folders]
    records += [entry(path, text) for path, text in files.items()]
    data = b"".join(len(record).to_bytes(4, "big") + record for record in records)
    for at in range(0, len(data), 97):
        builder.write(data[at : at + 97])
    return TreeOutline(name="t", files=builder.files, depth=builder.depth, units=builder.units)


# Tables


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 129, 1000])
def test_nodes_are_subtrees_of_the_row_tree(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """However many groups there are, few nodes; their root is the row tree's."""
    monkeypatch.setattr(module, "MAX_NODES", 8)
    made = table(range(count))
    assert len(made.nodes) <= 8
    assert made.groups == count
    assert tree_root(made.nodes) == tree_root(leaf_hash(group(n)) for n in range(count))
    assert made.level == 0 or len(made.nodes) > 3


numbers = st.lists(st.integers(0, 40), max_size=40)


@settings(deadline=None)
@given(before=numbers, after=numbers)
def test_few_groups_are_told_apart_exactly(before: list[int], after: list[int]) -> None:
    found = diff_tables(table(before), table(after))
    assert found.exact
    assert found.gone == sum((Counter(before) - Counter(after)).values())
    assert found.new == sum((Counter(after) - Counter(before)).values())
    assert found.same is (sorted(before) == sorted(after))


changes = st.lists(
    st.tuples(st.sampled_from(["append", "update", "delete"]), st.integers(0, 10**6)), max_size=4
)


@settings(deadline=None, max_examples=60)
@given(size=st.integers(0, 150), done=changes)
def test_many_groups_are_never_said_to_differ_less(size: int, done: list[tuple[str, int]]) -> None:
    """Appended, updated and deleted groups of a table whose outline is coarse."""
    before = list(range(size))
    after = list(before)
    for change, where in done:
        match change:
            case "append":
                after += [1000 + where % 999 + n for n in range(where % 9)]
            case "update" if after:
                after[where % len(after)] = 10_000 + where
            case _ if after:
                del after[where % len(after)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_NODES", 16)
        found = diff_tables(table(before), table(after))
    new = sum((Counter(after) - Counter(before)).values())
    gone = sum((Counter(before) - Counter(after)).values())
    assert found.exact is (max(size, len(after)) < 16)
    assert new <= found.new <= len(after)
    assert gone <= found.gone <= size
    assert (found.new + found.gone == 0) is (before == after)
    if found.exact:
        assert (found.new, found.gone) == (new, gone)


def test_an_append_to_a_large_table_costs_its_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NODES", 64)
    found = diff_tables(table(range(10_000)), table(range(10_100)))
    assert not found.exact
    assert found.new < 100 + 2 * 256
    updated = [*range(5000), 99_999, *range(5001, 10_000)]
    found = diff_tables(table(range(10_000)), table(updated))
    assert found.new == found.gone <= 256


# File trees


def words(found: TreeDiff) -> dict[str, tuple[int | None, int | None, int | None]]:
    return {f.folder.decode(): (f.added, f.removed, f.changed) for f in found.folders}


def test_files_are_told_apart_by_folder() -> None:
    before = {"a": "1", "b/c": "2", "b/d": "3", "e/f/g": "4"}
    after = {"a": "1", "b/c": "9", "b/n": "5", "e/f/g": "4", "e/f/h": "6"}
    found = diff_trees(tree(before), tree(after))
    assert found.exact
    assert words(found) == {"b/": (1, 1, 1), "e/f/": (1, 0, 0)}
    assert (found.files_before, found.files_after) == (4, 5)
    assert diff_trees(tree(before), tree(before)).same


paths = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4).map("/".join)
trees = st.dictionaries(paths, st.sampled_from("xyz"), max_size=30).map(
    # A name is either a file's or a folder's.
    lambda files: {p: t for p, t in files.items() if not any(o.startswith(p + "/") for o in files)}
)


@settings(deadline=None)
@given(before=trees, after=trees)
def test_few_files_are_told_apart_exactly(before: dict[str, str], after: dict[str, str]) -> None:
    found = diff_trees(tree(before), tree(after))
    changed = [p for p in before.keys() & after.keys() if before[p] != after[p]]
    assert sum(f.added or 0 for f in found.folders) == len(after.keys() - before.keys())
    assert sum(f.removed or 0 for f in found.folders) == len(before.keys() - after.keys())
    assert sum(f.changed or 0 for f in found.folders) == len(changed)
    assert found.same is (before == after)


@settings(deadline=None)
@given(before=trees, after=trees, most=st.integers(1, 12))
def test_of_many_files_folders_are(
    before: dict[str, str], after: dict[str, str], most: int
) -> None:
    one, other = tree(before, most), tree(after, most)
    assert len(one.units) <= most
    assert sum(unit.files for unit in one.units.values()) == len(before) == one.files
    found = diff_trees(one, other)
    assert found.exact is (one.depth is None and other.depth is None)
    if not found.exact:
        assert all(folder.added is None for folder in found.folders)
        assert (not found.folders) is (before == after)


# Kept


REGISTERS = (
    RegisterOutline(
        id="land",
        objects=(
            ("rows", table(range(20))),
            ("scans", tree({"persons/Planted Name.pdf": "x"})),
            ("old", tree({"a/b": "1", "a/c": "2", "d/e": "3"}, 2)),
            ("book", FileOutline(name="a.db", size=9, digest=bytes(32), tables=(("t", 3),))),
            ("rows", SizedOutline(name="d", count=2, digest=bytes([1]) * 32)),
        ),
    ),
    RegisterOutline(id="empty", objects=()),
)


def seal(deposit: DepositId = DEPOSIT) -> bytes:
    return seal_outline(REGISTERS, mission=MISSION, deposit=deposit, dedup_key=KEY, random=bytes)


def test_an_outline_comes_back_and_names_nothing_outside() -> None:
    data = seal()
    assert open_outline(data, mission=MISSION, deposit=DEPOSIT, dedup_key=KEY) == REGISTERS
    assert b"Planted" not in data
    assert b"land" not in data
    assert REGISTERS[0].objects[0][1].nodes[0] not in data  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("mission", "deposit", "key", "cut"),
    [
        (MissionId(bytes([1]) * 32), DEPOSIT, KEY, None),
        (MISSION, DepositId(bytes([1]) * 16), KEY, None),
        (MISSION, DEPOSIT, bytes(32), None),
        (MISSION, DEPOSIT, KEY, -1),
        (MISSION, DEPOSIT, KEY, 20),
        (MISSION, DEPOSIT, KEY, 0),
    ],
    ids=["mission", "deposit", "key", "cut", "cut-early", "empty"],
)
def test_another_ones_outline_is_refused(
    mission: MissionId, deposit: DepositId, key: bytes, cut: int | None
) -> None:
    with pytest.raises(OutlineUnreadable):
        open_outline(seal()[:cut], mission=mission, deposit=deposit, dedup_key=key)


def test_what_an_outline_may_not_say() -> None:
    good = ["table", "t", 1, "00" * 16, 1, 0, ""]
    for number, value in ((0, "view"), (2, -1), (3, "00"), (5, 64), (6, "AAAA"), (6, 7)):
        bad = [*good[:number], value, *good[number + 1 :]]
        text = canonical_json(
            {"registers": [{"id": "a", "objects": [{"source": "s", "outline": bad}]}]}  # type: ignore[list-item]
        )
        with pytest.raises(ExclaveError):
            parse_outline(text)


def test_the_largest_outlines_are_bounded() -> None:
    source = random.Random(1)
    files = {f"{source.randrange(300)}/{n:06}": str(n) for n in range(3000)}
    made = tree(dict(sorted(files.items())), 1000)
    assert made.depth == 1
    assert len(made.units) == len({path.split("/")[0] for path in files})
