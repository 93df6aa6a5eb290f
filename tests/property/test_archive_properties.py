"""The archive's formats: round trips, one encoding each, and decoders that only refuse."""

import contextlib
import hashlib
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exclave.archive import filetree, largeobjects, rows
from exclave.archive.chunker import Chunker, ChunkerParams
from exclave.archive.filetree import FileEntry, FileType
from exclave.archive.largeobjects import LargeObjectEntry
from exclave.archive.manifest import parse_manifest
from exclave.archive.pack import (
    DirectoryEntry,
    PackBuilder,
    Role,
    choose_stored,
    chunk_id,
    decode_chunk,
    make_decompressor,
    parse_directory,
    read_chunk,
    view_chunk,
)
from exclave.archive.reference import MANIFEST_PACK_BIT, MAX_INLINE, Codec, Reference, StreamRef
from exclave.archive.stream import Node, StreamWriter, decode_node, encode_node, iter_references
from exclave.encoding import canonical_json
from exclave.errors import ExclaveError
from exclave.ids import ChunkId
from exclave.merkle import leaf_hash, tree_root

SMALL_ROWS = ChunkerParams(minimum=128, average=256, maximum=1024, row_aligned=True)
SMALL_BYTES = ChunkerParams(minimum=128, average=256, maximum=1024)


@st.composite
def references(draw: st.DrawFn, manifest: bool = False) -> Reference:
    plain = draw(st.integers(1, 2**24))
    raw = plain == 1 or draw(st.booleans())
    stored = plain if raw else draw(st.integers(1, plain - 1))
    pack = draw(st.integers(0, 2**31 - 1)) | (MANIFEST_PACK_BIT if manifest else 0)
    codec = Codec.RAW if raw else Codec.ZSTD
    return Reference(pack, draw(st.integers(0, 2**26)), stored, plain, codec)


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, start = [], 0
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    return [*pieces, data[start:]]


# --- chunker


@given(
    st.integers(0, 2**32), st.integers(0, 20_000), st.lists(st.integers(0, 3000), max_size=20),
    st.booleans(), st.integers(1, 200),
)  # fmt: skip
def test_chunks_do_not_depend_on_how_bytes_are_fed(
    seed: int, size: int, sizes: list[int], row_aligned: bool, row: int
) -> None:
    data = bytearray(hashlib.shake_128(seed.to_bytes(5, "big")).digest(size).replace(b"\n", b"."))
    data[row - 1 :: row] = b"\n" * len(data[row - 1 :: row])
    params = SMALL_ROWS if row_aligned else SMALL_BYTES
    whole, parts = Chunker(params), Chunker(params)
    expected = whole.feed(data) + whole.finish()
    got = [chunk for piece in split(bytes(data), sizes) for chunk in parts.feed(piece)]
    assert got + parts.finish() == expected
    assert b"".join(expected) == data
    assert all(expected)
    if row_aligned:
        assert all(chunk.endswith(b"\n") for chunk in expected[:-1])
    else:
        assert all(len(chunk) <= params.maximum for chunk in expected)


# --- packs


@given(st.binary(min_size=1, max_size=3000), st.booleans())
def test_chunk_round_trip(data: bytes, repeat: bool) -> None:
    plain = data * 40 if repeat else data
    codec, stored = choose_stored(plain)
    form = Reference(0, 0, len(stored), len(plain), codec)
    assert decode_chunk(form, stored) == plain
    assert codec is Codec.RAW or len(stored) < len(plain)


@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=30))
def test_pack_round_trip(chunks: list[bytes]) -> None:
    builder = PackBuilder(65536)
    for plain in chunks:
        codec, stored = choose_stored(plain)
        builder.add(chunk_id(bytes(32), plain), len(plain), codec, stored)
    plaintext = builder.finish()
    entries = parse_directory(plaintext)
    reused = make_decompressor()
    assert [read_chunk(plaintext, entry, reused) for entry in entries] == chunks
    views = [view_chunk(plaintext, entry, reused) for entry in entries]
    assert [bytes(view) for view in views] == chunks
    assert rebuild(plaintext, entries) == plaintext


@given(
    st.lists(st.binary(min_size=1, max_size=9000), min_size=1, max_size=9), st.integers(0, 70000)
)
def test_memory_that_held_another_pack_gives_the_same_pack(chunks: list[bytes], held: int) -> None:
    def built(builder: PackBuilder) -> memoryview:
        for plain in chunks:
            builder.add(chunk_id(bytes(32), plain), len(plain), Codec.RAW, plain)
        return builder.finish()

    assert built(PackBuilder(98304, memory=bytearray(b"\xff" * held))) == built(PackBuilder(98304))


def rebuild(plaintext: memoryview, entries: tuple[DirectoryEntry, ...]) -> memoryview:
    builder = PackBuilder(65536)
    for entry in entries:
        stored = plaintext[entry.offset : entry.offset + entry.stored]
        builder.add(entry.chunk_id, entry.plain, entry.codec, stored, entry.role)
    return builder.finish()


@given(st.integers(0, 16383), st.integers(0, 255))
def test_a_pack_with_a_changed_byte_is_refused_or_one_that_a_builder_writes(
    position: int, value: int
) -> None:
    builder = PackBuilder(16384)
    builder.add(ChunkId(bytes(32)), 300, Codec.RAW, b"a" * 300, Role.NODE)
    builder.add(ChunkId(bytes(32)), 900, Codec.ZSTD, b"b" * 200)
    plaintext = builder.finish()
    plaintext[-position - 1] = value
    with contextlib.suppress(ExclaveError):
        assert rebuild(plaintext, parse_directory(plaintext)) == plaintext


# --- streams


@given(st.integers(0, 3), st.data())
def test_node_round_trip(level: int, data: st.DataObject) -> None:
    refs = tuple(data.draw(st.lists(references(manifest=level > 0), min_size=1, max_size=40)))
    spans = tuple(data.draw(st.integers(1, 2**53)) for _ in refs) if level else ()
    node = Node(level=level, refs=refs, spans=spans)
    encoded = encode_node(node)
    assert decode_node(encoded) == node
    assert encode_node(decode_node(encoded)) == encoded


@given(st.sampled_from([0, 1, 15, 16, 17, 4095, 4096, 4097, 8192, 8193, 12000]))
def test_stream_round_trip(count: int) -> None:
    store: dict[int, bytes] = {}

    def emit(node: bytes) -> Reference:
        store[len(store)] = node
        return Reference(MANIFEST_PACK_BIT, len(store) - 1, len(node), len(node), Codec.RAW)

    refs = [Reference(i % 7, i, 1 + i % 99, 1 + i % 99, Codec.RAW) for i in range(count)]
    writer = StreamWriter(emit)
    for reference in refs:
        writer.add(reference)
    stream = writer.finish()
    assert stream.length == sum(r.plain for r in refs)
    assert (stream.root is None) == (count <= MAX_INLINE)
    assert stream.level == (1 if count > 4096 else 0)
    assert list(iter_references(stream, lambda r: store[r.offset])) == refs
    assert StreamRef.from_json(stream.to_json()) == stream


# --- rows

LINES = st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=60)


def naive_tree(lines: list[bytes]) -> tuple[bytes, bytes]:
    """The row tree exactly as spec/archive.md 6 words it."""
    groups: list[bytes] = []
    group: list[bytes] = []
    for place, line in enumerate(lines, 1):
        group.append(line + b"\n")
        if sum(map(len, group)) >= 65536 or place == len(lines):
            digest = hashlib.sha256(b"\x02" + b"".join(group)).digest()
            groups.append(len(group).to_bytes(4, "big") + digest)
            group.clear()
    return tree_root(leaf_hash(entry) for entry in groups), b"".join(groups)


@given(LINES)
def test_hashes_of_a_block_are_those_of_its_lines(lines: list[bytes]) -> None:
    block = b"".join(line + b"\n" for line in lines)
    assert rows.hash_lines(block) == [hashlib.sha256(b"\x00" + line).digest() for line in lines]


# Lines around the size of a group: some end it exactly, some are longer by themselves.
LENGTHS = st.lists(
    st.one_of(st.integers(0, 40), st.sampled_from([32767, 65535, 65536, 200_000])), max_size=40
)


@given(LENGTHS, st.lists(st.integers(1, 9), max_size=10))
def test_the_tree_of_rows_is_the_naive_one(lengths: list[int], sizes: list[int]) -> None:
    lines = [bytes([97 + i % 26]) * length for i, length in enumerate(lengths)]
    tree, start = rows.LineTree(), 0
    for size in [*sizes, len(lines)]:
        block = b"".join(line + b"\n" for line in lines[start : start + size])
        tree.add(block, rows.line_ends(block))
        start += size
    result = tree.finish()
    assert (result.root, result.groups) == naive_tree(lines)
    assert result.rows == len(lines)


TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)

# Fields that agree for long and differ late, or are equal.
FIELDS = st.one_of(
    st.sampled_from([b"", b"1", b"same", b"x" * 63 + b"a", b"x" * 63 + b"b", b"y" * 200]),
    st.binary(max_size=4).map(lambda b: b.replace(b"\n", b"").replace(b"\t", b"")),
)


@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS), max_size=60), st.integers(1, 3))
def test_a_repeated_key_is_found(found: list[tuple[bytes, bytes, bytes]], n_key: int) -> None:
    block = b"".join(b"\t".join(fields) + b"\n" for fields in found)
    keys = [fields[:n_key] for fields in found]
    repeats = any(one == two for one, two in itertools.pairwise(keys))
    assert rows.repeats_key(block, rows.line_ends(block), n_key) == repeats


# --- files and large objects

NAMES = st.binary(min_size=1, max_size=4).map(
    lambda b: b.replace(b"/", b"-").replace(b"\x00", b" ").replace(b".", b"_")
)


@st.composite
def trees(draw: st.DrawFn) -> list[FileEntry]:
    folders = {b""}
    for parts in draw(st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=8)):
        folders.update(b"/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    files = {
        (folder + b"/" + name).lstrip(b"/")
        for folder in sorted(folders)
        for name in draw(st.lists(NAMES, max_size=2))
    } - folders
    offset, entries = 0, []
    for path in sorted(folders | files):
        common = {"path": path, "mode": draw(st.integers(0, 0o7777)), "uid": 1, "gid": 2}
        mtime = draw(st.integers(-(2**63), 2**63 - 1))
        if path in folders:
            entry = FileEntry(type=FileType.FOLDER, mtime=mtime, **common)
        elif draw(st.booleans()):
            size = draw(st.integers(0, 50))
            extents = ((0, size),) if size else ()
            entry = FileEntry(
                type=FileType.REGULAR, mtime=mtime, size=size + draw(st.integers(0, 9)),
                offset=offset, extents=extents, blake3=b"\x07" * 32, **common,
            )  # fmt: skip
            offset += size
        else:
            xattrs = ((b"user.a", draw(st.binary(max_size=5))), (b"user.b", b""))
            entry = FileEntry(
                type=FileType.SYMLINK, mtime=mtime, target=b"../x", xattrs=xattrs, **common
            )
        entries.append(entry)
    return entries


@given(trees(), st.lists(st.integers(0, 60), max_size=10))
def test_file_tree_round_trip(entries: list[FileEntry], sizes: list[int]) -> None:
    encoded = b"".join(filetree.encode_entries(entries))
    assert list(filetree.decode_entries(split(encoded, sizes))) == entries
    assert filetree.tree_root(entries) == tree_root(map(filetree.entry_leaf, entries))


@given(st.lists(st.tuples(st.integers(1, 2**32 - 1), TEXT, TEXT), max_size=8), st.integers(0, 99))
def test_large_objects_round_trip(given: list[tuple[int, str, str]], piece: int) -> None:
    entries = [
        LargeObjectEntry(oid=oid, size=oid * 3, blake3=bytes(32), owner=owner, acl=acl)
        for oid, owner, acl in sorted({g[0]: g for g in given}.values())
    ]
    encoded = b"".join(largeobjects.encode_large_objects(entries))
    assert list(largeobjects.decode_large_objects(split(encoded, [piece, piece]))) == entries
    leaves = [leaf_hash(largeobjects.encode_large_object(entry)) for entry in entries]
    assert largeobjects.large_objects_root(entries) == tree_root(leaves)


# --- arbitrary bytes

FORM = Reference(0, 0, 40, 4000, Codec.ZSTD)
DECODERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "directory": (b"", lambda b: parse_directory(bytes(16384 - len(b)) + b)),
    "short directory": (b"", parse_directory),
    "node": (b"EXND\x00\x00\x00\x00\x00\x00\x00", decode_node),
    "upper node": (b"EXND\x01\x00\x00\x00\x00\x00\x00\x01", decode_node),
    "manifest": (b'{"format":1', parse_manifest),
    "chunk": (b"\x28\xb5\x2f\xfd", lambda b: decode_chunk(FORM, (b + bytes(40))[:40])),
    "file records": (b"\x00\x00\x00", lambda b: list(filetree.decode_entries([b]))),
    "file record": (b"\x02" + bytes(64), filetree.decode_entry),
    "large objects": (b"\x00\x00", lambda b: list(largeobjects.decode_large_objects([b]))),
    "groups": (b"", rows.decode_groups),
    "lines": (b"1\t\\", rows.hash_lines),
    "line ends": (b"1\t\\", rows.line_ends),
}


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_decoded_or_refused(name: str, data: bytes) -> None:
    prefix, decode = DECODERS[name]
    for candidate in (data, prefix + data):
        with contextlib.suppress(ExclaveError):
            decode(candidate)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(
            st.sampled_from(["format", "length", "refs", "root", "level", "registers"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_arbitrary_json_is_a_stream_or_refused(value: object) -> None:
    with contextlib.suppress(ExclaveError):
        assert StreamRef.from_json(value).to_json() == value  # type: ignore[arg-type]
    with contextlib.suppress(ExclaveError):
        parse_manifest(canonical_json(value))  # type: ignore[arg-type]
