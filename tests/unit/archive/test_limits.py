"""What the vectors cannot show: limits of builders, long rows, parameters, memory."""

import pytest

from exclave.archive import rows
from exclave.archive.chunker import (
    MAX_ROW_CHUNK,
    Chunker,
    ChunkerParams,
    content_params,
    heap_table_params,
    ordered_table_params,
)
from exclave.archive.pack import (
    LADDER,
    MAX_PACK,
    ChunkCorrupt,
    PackBuilder,
    ladder_size,
    parse_directory,
    read_chunk,
    view_chunk,
)
from exclave.archive.reference import (
    MANIFEST_PACK_BIT,
    MAX_CHUNK,
    Codec,
    Reference,
    ReferenceInvalid,
)
from exclave.archive.stream import Node, NodeInvalid, encode_node
from exclave.ids import ChunkId

ID = ChunkId(bytes(32))


def test_the_ladder_has_the_specified_rungs() -> None:
    assert LADDER[:6] == tuple(1024 * k for k in (16, 24, 32, 48, 64, 96))
    assert LADDER[-1] == 64 * 1024 * 1024
    with pytest.raises(ValueError, match="at most"):
        ladder_size(MAX_PACK + 1)


def test_a_full_pack_takes_no_more_and_stays_within_its_capacity() -> None:
    builder = PackBuilder(65536)
    count = 0
    while builder.fits(1000):
        builder.add(ID, 1000, Codec.RAW, bytes(1000))
        count += 1
    assert count == (65536 - 16) // 1048
    with pytest.raises(ValueError, match="full"):
        builder.add(ID, 1000, Codec.RAW, bytes(1000))
    assert len(builder.finish()) == 65536


def test_the_largest_chunk_fits_an_empty_pack_of_any_capacity() -> None:
    builder = PackBuilder(16384)
    assert builder.fits(MAX_CHUNK)
    builder.add(ID, MAX_CHUNK, Codec.RAW, bytes(MAX_CHUNK))
    plaintext = builder.finish()
    (entry,) = parse_directory(plaintext)
    assert len(read_chunk(plaintext, entry)) == MAX_CHUNK


def test_a_pack_ends_once_and_not_empty() -> None:
    builder = PackBuilder(16384)
    with pytest.raises(ValueError, match="without chunks"):
        builder.finish()
    builder.add(ID, 1, Codec.RAW, b"x")
    builder.finish()
    with pytest.raises(ValueError, match="finished"):
        builder.add(ID, 1, Codec.RAW, b"x")


def test_a_builder_refuses_what_a_reader_would() -> None:
    with pytest.raises(ReferenceInvalid):
        PackBuilder(16384).add(ID, 2, Codec.RAW, b"x")


def test_a_reference_beyond_the_pack_is_refused() -> None:
    with pytest.raises(ChunkCorrupt):
        read_chunk(bytes(16384), Reference(0, 16380, 5, 5, Codec.RAW))
    for stored, plain in ((5, 5), (3, 4)):
        with pytest.raises(ChunkCorrupt):
            view_chunk(memoryview(bytes(16384)), Reference(0, 16380, stored, plain, Codec.RAW))


def test_a_node_in_a_data_pack_is_refused() -> None:
    good = Reference(MANIFEST_PACK_BIT, 0, 9, 9, Codec.RAW)
    encode_node(Node(level=1, refs=(good,), spans=(5,)))
    for spans, reference in (((5,), good._replace(pack=0)), ((0,), good), ((), good)):
        with pytest.raises(NodeInvalid):
            encode_node(Node(level=1, refs=(reference,), spans=spans))


def test_long_rows_are_cut_inside_at_the_limit() -> None:
    params = ordered_table_params()
    data = b"a\n" + b"b" * (2 * MAX_ROW_CHUNK + 5) + b"\nc\n"
    whole, parts = Chunker(params), Chunker(params)
    expected = whole.feed(data) + whole.finish()
    got = [c for i in range(0, len(data), 70_001) for c in parts.feed(data[i : i + 70_001])]
    assert got + parts.finish() == expected
    assert b"".join(expected) == data
    assert max(map(len, expected)) == MAX_ROW_CHUNK


def test_equal_parts_become_equal_chunks() -> None:
    lines = [b"%d\tname %d\n" % (i, i * 7919 % 1000) for i in range(100_000)]
    chunker = Chunker(ordered_table_params())
    before = chunker.feed(b"".join(lines)) + chunker.finish()
    lines[50_000] = b"50000\tchanged and longer\n"
    lines.insert(70_000, b"a row between\n")
    chunker = Chunker(ordered_table_params())
    after = chunker.feed(b"".join(lines)) + chunker.finish()
    assert len(set(after) - set(before)) <= 6
    assert 8 * 1024 <= sum(map(len, before)) / len(before) <= 16 * 1024


@pytest.mark.parametrize("size", [None, 0, 10**6, 10**9, 10**11, 10**13])
def test_parameters_grow_with_the_source(size: int | None) -> None:
    for choose in (ordered_table_params, heap_table_params, content_params):
        params = choose(size)
        assert params.average >= choose(None).average
        assert (size or 0) // (params.average + params.minimum) < 2 * 10**7
    if size is None or size <= 10**9:
        assert ordered_table_params(size).average == 8 * 1024


def test_parameters_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="out of order"):
        ChunkerParams(minimum=4096, average=1024, maximum=8192)


def test_groups_can_be_taken_as_they_arise() -> None:
    block = b"".join(b"%d\n" % i for i in range(50_000))
    taken: list[bytes] = []
    streamed, kept = rows.LineTree(taken.append), rows.LineTree()
    for tree in (streamed, kept):
        tree.add(block, rows.line_ends(block))
    ours, theirs = streamed.finish(), kept.finish()
    assert (ours.root, b"".join(taken)) == (theirs.root, theirs.groups)
    assert sum(count for count, _ in rows.decode_groups(theirs.groups)) == 50_000


def test_one_byte_or_two_rows_exchanged_change_the_root() -> None:
    block = b"".join(b"%d\tx\n" % i for i in range(10_000))
    changed = block.replace(b"5000\tx", b"5000\ty")
    exchanged = block.replace(b"5000\tx\n5001\tx", b"5001\tx\n5000\tx")
    roots = set()
    for text in (block, changed, exchanged):
        tree = rows.LineTree()
        tree.add(text, rows.line_ends(text))
        roots.add(tree.finish().root)
    assert len(roots) == 3


def test_an_incomplete_line_is_refused() -> None:
    with pytest.raises(rows.LinesIncomplete):
        rows.hash_lines(b"1\tx\n2")
    with pytest.raises(rows.LinesIncomplete):
        rows.line_ends(b"1\tx\n2")
    assert rows.hash_lines(b"") == []
    assert len(rows.line_ends(b"")) == 0


def test_groups_of_a_wrong_form_are_refused() -> None:
    for raw in (bytes(35), bytes(36), (65537).to_bytes(4, "big") + bytes(32)):
        with pytest.raises(rows.GroupsInvalid):
            rows.decode_groups(raw)
