# long: a table of cases, mostly one entry each; apart they would need to import each other.
"""Writes `vectors/archive/*.json`, one case a file; the same bytes every time.

The form is that of `vectors/README.md`. Valid inputs come from the encoders; wrong ones are made
by changing them in one place. Frames of zstd are written by hand, so that no library's version
shows. `tests/vectors/test_archive_vectors.py` reads the cases and checks that this program still
writes them.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from blake3 import blake3

from exclave.archive import filetree, largeobjects, rows
from exclave.archive.filetree import FileEntry, FileType
from exclave.archive.largeobjects import LargeObjectEntry
from exclave.archive.manifest import (
    CommandOutput,
    Manifest,
    PgTable,
    Register,
    RegisterSource,
    manifest_to_bytes,
)
from exclave.archive.objects import FilesTree, PgSchema, PgSequence
from exclave.archive.pack import PackBuilder, Role, chunk_id
from exclave.archive.reference import (
    EMPTY_STREAM,
    MANIFEST_PACK_BIT,
    Codec,
    Reference,
    StreamRef,
)
from exclave.archive.stream import Node, StreamWriter, encode_node
from exclave.clock import parse_time
from exclave.encoding import canonical_json
from exclave.ids import DepositId, Epoch, MissionId, PackRoot
from tools.vector_cases import Case, refused, write

Fields = dict[str, Any]

KEY = bytes(range(32))
# One block of 64 times "a": magic, single segment with one byte of content size, RLE block.
FRAME = bytes.fromhex("28b52ffd204003020061")
BOMB = bytes.fromhex("28b52ffde0000000000001000003020061")  # claims 2^40 bytes


def case(section: int, operation: str, name: str, what: str, expect: Fields, **given: Any) -> Case:
    """One case; what is not named here is its input."""
    return Case(
        spec=f"archive.md {section}",
        case=f"{operation}-{name}",
        operation=operation,
        what=what,
        given=given,
        expect=expect,
    )


def failing(error: str, why: str) -> Fields:
    """What a case that must be refused states."""
    return {"expect": refused(error, why)}


# --- chunks and packs


def chunk_cases() -> Iterator[Case]:
    """Chunk ids and stored forms."""
    plain = b"Anna Tamm\t1970-01-01\n"
    yield case(
        2, "chunk-id", "keyed", "keyed BLAKE3 of the plaintext", key=KEY.hex(), plain=plain.hex(),
        expect={"id": chunk_id(KEY, plain).hex()},
    )  # fmt: skip
    good = [
        ("raw", plain, [len(plain), len(plain), 0], plain),
        ("zstd", FRAME, [10, 64, 1], b"a" * 64),
    ]
    for name, stored, form, result in good:
        yield case(
            1, "chunk", name, f"a chunk stored {name}", stored=stored.hex(), entry=form,
            expect={"plain": result.hex()},
        )  # fmt: skip
    bad = [
        ("other-length", FRAME, [10, 65, 1], "the frame decodes to 64 bytes, the entry says 65"),
        ("bomb", BOMB, [len(BOMB), 64, 1], "the frame claims 2^40 bytes, the entry says 64"),
        ("cut", FRAME[:-1], [9, 64, 1], "the frame's last byte is missing"),
        ("more", FRAME + b"\x00", [11, 64, 1], "a byte follows the frame"),
        ("two-frames", FRAME * 2, [20, 64, 1], "a second frame follows"),
        ("no-frame", b"a" * 10, [10, 64, 1], "there is no zstd magic"),
        ("short-raw", plain, [len(plain), 22, 0], "a raw chunk is one byte shorter than stated"),
        ("stored-length", plain, [20, 20, 0], "more stored bytes than the entry says"),
    ]
    for name, stored, form, why in bad:
        yield case(
            1, "chunk", name, "a stored chunk that must be refused", stored=stored.hex(),
            entry=form, **failing("ChunkCorrupt", why),
        )  # fmt: skip


def folded(data: bytes) -> Fields:
    """A pack's plaintext with its longest run of zeros given as a number."""
    tail = data[-16:]
    head = data[:-16].rstrip(b"\x00")
    return {"head": head.hex(), "zeros": len(data) - 16 - len(head), "tail": tail.hex()}


def sample_pack(count: int = 2, role: Role = Role.DATA, size: int = 21) -> bytes:
    """A pack of a few chunks, the last one compressed and of the given role."""
    builder = PackBuilder(65536)
    for number in range(count - 1):
        plain = bytes([97 + number]) * size
        builder.add(chunk_id(KEY, plain), len(plain), Codec.RAW, plain)
    builder.add(chunk_id(KEY, b"a" * 64), 64, Codec.ZSTD, FRAME, role)
    return bytes(builder.finish())


def patched(data: bytes, position: int, new: bytes) -> bytes:
    """The bytes with some of them replaced; a negative position counts from the end."""
    start = position % len(data)
    return data[:start] + new + data[start + len(new) :]


def pack_cases() -> Iterator[Case]:
    """Directories, the ladder, padding and roles."""
    for size in (1, 16384, 16385, 24577, 32769, 50331649):
        rung = next(
            r
            for r in sorted([*(16384 << j for j in range(13)), *(24576 << j for j in range(12))])
            if r >= size
        )
        yield case(
            3,
            "ladder",
            str(size),
            "smallest rung that holds so many bytes",
            size=size,
            expect={"rung": rung},
        )
    for name, data, kind in (
        ("two", sample_pack(), 1),
        ("node", sample_pack(role=Role.NODE), 2),
        ("next-rung", sample_pack(9, size=2048), 1),
    ):
        start, count = struct.unpack(">II", data[-16:-8])
        ids = [data[start + 48 * i : start + 48 * i + 32].hex() for i in range(count)]
        yield case(
            3, "pack", name, "a pack's plaintext", kind=kind, plaintext=folded(data),
            expect={"ids": ids, "length": len(data)},
        )  # fmt: skip
    yield from bad_packs()


def bad_packs() -> Iterator[Case]:
    """Packs with one thing wrong each."""
    good = sample_pack()
    entry = 31 + 48  # the second entry; chunks take 21 + 10 bytes
    bad = [
        ("magic", patched(good, -1, b"2"), "TrailerInvalid", "the trailer ends in EXCLDIR2"),
        ("count-zero", patched(good, -12, bytes(4)), "TrailerInvalid", "no entries"),
        ("count-huge", patched(good, -12, b"\xff" * 4), "TrailerInvalid", "more entries than fit"),
        (
            "outside",
            patched(good, -16, b"\x00\x00\x40\x00"),
            "TrailerInvalid",
            "directory begins outside",
        ),
        ("length", good + bytes(16), "PaddingInvalid", "16400 bytes are no rung"),
        ("rung", good[:-16] + bytes(8192) + good[-16:], "PaddingInvalid", "one rung too long"),
        (
            "padding",
            patched(good, 4000, b"\x01"),
            "PaddingInvalid",
            "a byte of padding is not zero",
        ),
        ("gap", patched(good, entry + 35, b"\x16"), "EntryInvalid", "one byte between two chunks"),
        ("codec", patched(good, entry + 44, b"\x02"), "EntryInvalid", "codec 2"),
        ("role", patched(good, entry + 45, b"\x03"), "EntryInvalid", "role 3"),
        ("reserved", patched(good, entry + 47, b"\x01"), "EntryInvalid", "reserved bytes not zero"),
        (
            "plain",
            patched(good, entry + 40, b"\x01\x00\x00\x01"),
            "EntryInvalid",
            "16 MiB and a byte",
        ),
        (
            "directory-early",
            patched(good, -16, struct.pack(">I", 30)),
            "EntryInvalid",
            "directory begins in a chunk",
        ),
        (
            "not-smaller",
            patched(good, entry + 40, struct.pack(">I", 10)),
            "EntryInvalid",
            "compressed, but not smaller",
        ),
        ("data-role", sample_pack(role=Role.NODE), "RoleNotAllowed", "a node in a data pack"),
    ]
    for name, data, error, why in bad:
        yield case(
            3, "pack", name, "a pack that must be refused", kind=1, plaintext=folded(data),
            **failing(error, why),
        )  # fmt: skip


# --- streams


def reference(number: int, *, manifest: bool = False) -> Reference:
    """A reference that differs with its number."""
    plain = 1 + number % 4999
    stored = plain if number % 3 == 0 or plain == 1 else plain // 2
    pack = number // 500 + (MANIFEST_PACK_BIT if manifest else 0)
    return Reference(pack, 7 * number, stored, plain, Codec.RAW if stored == plain else Codec.ZSTD)


def refs_digest(refs: list[Reference]) -> str:
    """SHA-256 over references, each four u32 and a u8."""
    return hashlib.sha256(b"".join(struct.pack(">IIIIB", *r) for r in refs)).hexdigest()


def written(count: int) -> tuple[StreamRef, list[bytes], list[Reference]]:
    """A stream of so many chunks, its nodes, and its references; node i has offset i."""
    nodes: list[bytes] = []

    def emit(node: bytes) -> Reference:
        nodes.append(node)
        return Reference(MANIFEST_PACK_BIT, len(nodes) - 1, len(node), len(node), Codec.RAW)

    refs = [reference(number) for number in range(count)]
    writer = StreamWriter(emit)
    for item in refs:
        writer.add(item)
    return writer.finish(), nodes, refs


def stream_case(name: str, what: str, stream: object, nodes: list[bytes], **rest: Any) -> Case:
    """A stream; a reference to a node has the node's number as its offset."""
    return case(
        4, "stream", name, what, stream=stream, nodes=[node.hex() for node in nodes], **rest
    )


def stream_cases() -> Iterator[Case]:
    """Lists and trees of references."""
    for count in (0, 1, 16, 17, 4097):
        stream, nodes, refs = written(count)
        yield stream_case(
            f"{count}-chunks", f"a stream of {count} chunks", stream.to_json(), nodes,
            expect={"count": count, "refs_sha256": refs_digest(refs)},
        )  # fmt: skip
    yield from bad_streams()
    yield from bad_fields()
    yield from bad_nodes()


def bad_streams() -> Iterator[Case]:
    """Streams with one thing wrong each."""
    stream, nodes, refs = written(17)
    good, node = stream.to_json(), nodes[0]
    listed = [list(map(int, r)) for r in refs]
    short = encode_node(Node(level=0, refs=tuple(refs[:16])))
    total = sum(r.plain for r in refs[:16])
    root = good["root"]
    bad: list[tuple[str, object, list[bytes], str, str]] = [
        (
            "list-of-17",
            {"length": stream.length, "refs": listed},
            [],
            "StreamInvalid",
            "17 references listed",
        ),
        (
            "sum",
            {"length": 3, "refs": listed[:1]},
            [],
            "LengthMismatch",
            "the chunk has 1 byte, not 3",
        ),
        (
            "needless-tree",
            {"length": total, "level": 0, "root": root},
            [short],
            "NodeNotCanonical",
            "16 chunks in a tree",
        ),
        ("level", {**good, "level": 1}, [node], "NodeNotCanonical", "the root is of level 0"),
        ("level-5", {**good, "level": 5}, [node], "StreamInvalid", "level 5"),
        (
            "tree-sum",
            {**good, "length": stream.length + 1},
            [node],
            "LengthMismatch",
            "one byte too long",
        ),
        (
            "node-in-data-pack",
            {**good, "root": [0, 0, 9, 9, 0]},
            [node],
            "StreamInvalid",
            "root in a data pack",
        ),
    ]
    for name, value, data, error, why in bad:
        yield stream_case(name, "a stream that must be refused", value, data, **failing(error, why))


def bad_fields() -> Iterator[Case]:
    """Streams whose JSON is not what it must be."""
    stream, nodes, _ = written(17)
    good, node = stream.to_json(), nodes[0]
    bad: list[tuple[str, object, list[bytes], str, str]] = [
        ("unknown-field", {**good, "more": 1}, [node], "FieldUnknown", "a field too many"),
        ("missing-field", {"length": 0}, [], "FieldMissing", "no refs"),
        (
            "not-integers",
            {"length": 1, "refs": [[0, 0, 1, 1, True]]},
            [],
            "FieldTypeWrong",
            "true as codec",
        ),
        ("codec-2", {"length": 1, "refs": [[0, 0, 1, 1, 2]]}, [], "ReferenceInvalid", "codec 2"),
        (
            "empty-chunk",
            {"length": 0, "refs": [[0, 0, 0, 0, 0]]},
            [],
            "ReferenceInvalid",
            "a chunk of 0 bytes",
        ),
    ]
    for name, value, data, error, why in bad:
        yield stream_case(name, "a stream that must be refused", value, data, **failing(error, why))


def bad_nodes() -> Iterator[Case]:
    """Trees with one node wrong each."""
    stream, nodes, _ = written(17)
    good, node = stream.to_json(), nodes[0]
    bad: list[tuple[str, object, list[bytes], str, str]] = [
        ("magic", good, [patched(node, 3, b"X")], "NodeInvalid", "magic EXNX"),
        (
            "node-reserved",
            good,
            [patched(node, 5, b"\x01")],
            "NodeInvalid",
            "reserved byte not zero",
        ),
        ("node-longer", good, [node + b"\x00"], "NodeInvalid", "a byte too many"),
        ("node-empty", good, [node[:8] + bytes(4)], "NodeInvalid", "no references"),
        ("node-codec", good, [patched(node, -1, b"\x02")], "NodeInvalid", "codec 2"),
        (
            "node-not-full",
            *not_full(),
            "NodeNotCanonical",
            "a node before the last has 20 references",
        ),
    ]
    for name, value, data, error, why in bad:
        yield stream_case(name, "a stream that must be refused", value, data, **failing(error, why))


def not_full() -> tuple[object, list[bytes]]:
    """A tree whose first node is not full."""
    refs = tuple(reference(n) for n in range(20))
    leaf = Node(level=0, refs=refs)
    at = [Reference(MANIFEST_PACK_BIT, n, 9, 9, Codec.RAW) for n in range(3)]
    root = Node(level=1, refs=(at[0], at[1]), spans=(leaf.length, leaf.length))
    stream = StreamRef(length=root.length, level=1, root=at[2])
    return stream.to_json(), [encode_node(leaf), encode_node(leaf), encode_node(root)]


# --- manifest


def inline(length: int, *, manifest: bool) -> StreamRef:
    """A stream of one chunk."""
    pack = MANIFEST_PACK_BIT if manifest else 1
    return StreamRef(length=length, refs=(Reference(pack, 0, length, length, Codec.RAW),))


def sample_manifest() -> Manifest:
    """Two registers with a few objects."""
    began, ended = parse_time("2026-11-23T22:00:00Z"), parse_time("2026-11-23T22:00:09Z")
    tree = rows.LineTree()
    block = b"1\tAnna\n2\tJ\xc3\xbcri\n"
    tree.add(block, rows.line_ends(block))
    done = tree.finish()
    table = PgTable(
        database="population", schema="public", name="person",
        columns=(("id", "int8"), ("name", "text")), key=("id",), order="key", rows=2,
        row_root=done.root, groups=inline(36, manifest=True), data=inline(15, manifest=False),
    )  # fmt: skip
    population = Register(
        id="population-register", title="Population register / Rahvastikuregister",
        owner="Ministry of the Interior", classification="restricted",
        rpo=86400, rto=14400, depends_on=(), runbook=inline(100, manifest=True), artefacts=None,
        started=began, ended=ended, notes=("two rows",),
        sources=(
            RegisterSource(
                name="postgresql", kind="postgresql", started=began, ended=ended,
                facts=(("server", "16.14"), ("timezone", "Europe/Tallinn")),
                objects=(
                    PgSchema(
                        database="population", section="pre-data", sql=inline(50, manifest=True)
                    ),
                    table,
                    replace(table, name="person_as_stored", order="stored"),
                    PgSequence(database="population", schema="public", name="person_id_seq",
                               last_value="9223372036854775807", is_called=True),
                ),
            ),
        ),
    )  # fmt: skip
    deeds = FilesTree(
        name="deeds", count=1, tree_root=filetree.tree_root([FOLDER_ENTRY]),
        entries=inline(len(b"".join(filetree.encode_entries([FOLDER_ENTRY]))), manifest=True),
        content=EMPTY_STREAM,
    )  # fmt: skip
    documents = RegisterSource(
        name="documents", kind="files", started=began, ended=ended, facts=(), objects=(deeds,)
    )
    ledger = CommandOutput(
        file="ledger.dump",
        blake3=blake3(b"entries\n").digest(),
        size=8,
        data=inline(8, manifest=False),
    )
    scans = replace(
        population, id="deeds", title="Deeds", depends_on=("population-register",),
        runbook=None, artefacts=deeds, notes=(),
        sources=(
            documents,
            replace(documents, name="ledger", kind="command", started=ended, objects=(ledger,)),
        ),
    )  # fmt: skip
    return Manifest(
        mission=MissionId(b"\x11" * 32), deposit=DepositId(b"\x22" * 16), epoch=Epoch(1),
        started=began, ended=ended, software="exclave/0.1.0", plan=inline(70, manifest=True),
        packs=(PackRoot(b"\x33" * 32), PackRoot(b"\x44" * 32)), registers=(population, scans),
    )  # fmt: skip


MANIFEST_CHANGES = (
    ("space", '"deposit":', '"deposit": ', "NonCanonicalData", "a space after a colon"),
    ("not-json", '"format":', '"format"', "MalformedData", "a colon is missing"),
    ("format-2", '"format":1', '"format":2', "FormatUnknown", "format 2"),
    ("missing", '"is_called":true,', "", "FieldMissing", "a sequence without is_called"),
    ("unknown", '"is_called"', '"is_asked":1,"is_called"', "FieldUnknown", "an unknown field"),
    ("type", '"is_called":true', '"is_called":1', "FieldTypeWrong", "1 where true or false stands"),
    ("epoch", '"epoch":1', '"epoch":0', "FieldValueInvalid", "epoch 0"),
    ("section", "pre-data", "mid-data", "FieldValueInvalid", "an unknown section"),
    ("slug", '"id":"deeds"', '"id":"Deeds"', "FieldValueInvalid", "an upper-case id"),
    (
        "sequence",
        "9223372036854775807",
        "9223372036854775808",
        "FieldValueInvalid",
        "beyond 64 bits",
    ),
    (
        "key",
        '"key":["id"]',
        '"key":["name"]',
        "FieldValueInvalid",
        "the key is not the first column",
    ),
    (
        "no-key",
        '"key":["id"]',
        '"key":[]',
        "FieldValueInvalid",
        "ordered by a key that is not there",
    ),
    ("object", "pg.sequence", "pg.sequences", "ObjectTypeUnknown", "an unknown object"),
    ("foreign", '"kind":"files"', '"kind":"sqlite"', "ObjectForeign", "files of SQLite"),
    ("source-twice", '"name":"ledger"', '"name":"documents"', "FieldValueInvalid", "a name twice"),
    ("output-size", '"size":8', '"size":9', "FieldValueInvalid", "a size that its data has not"),
    ("source-kind", '"kind":"command"', '"kind":"program"', "FieldValueInvalid", "unknown kind"),
    (
        "dependency",
        '["population-register"]',
        '["deeds"]',
        "DependencyOrder",
        "not after what it depends on",
    ),
    (
        "pack",
        '"refs":[[1,0,15,15,0]]',
        '"refs":[[2,0,15,15,0]]',
        "PackUnknown",
        "data pack 2 of 0 and 1",
    ),
    (
        "misplaced",
        "[[1,0,15,15,0]]",
        "[[2147483648,0,15,15,0]]",
        "StreamMisplaced",
        "rows in a manifest pack",
    ),
    ("time", "22:00:09Z", "22:00:61Z", "MalformedData", "second 61"),
    ("sum", '"length":15', '"length":16', "LengthMismatch", "15 bytes in chunks, 16 stated"),
)


def manifest_cases() -> Iterator[Case]:
    """The manifest root."""
    text = manifest_to_bytes(sample_manifest()).decode("utf-8")
    yield case(
        5, "manifest", "two-registers", "a manifest root, as text", manifest=text,
        expect={"registers": ["population-register", "deeds"], "packs": 2, "objects": [4, 2],
                "sources": [["postgresql"], ["files", "command"]]},
    )  # fmt: skip
    alone = manifest_to_bytes(replace(sample_manifest(), registers=sample_manifest().registers[1:]))
    yield case(
        5, "manifest", "dependency-elsewhere", "what it depends on is in another deposit",
        manifest=alone.decode("utf-8"),
        expect={"registers": ["deeds"], "packs": 2, "objects": [2],
                "sources": [["files", "command"]]},
    )  # fmt: skip
    sourceless = json.loads(text)
    sourceless["registers"][1]["sources"] = []
    yield case(
        5, "manifest", "no-source", "a manifest that must be refused",
        manifest=canonical_json(sourceless).decode(),
        **failing("FieldValueInvalid", "a register without sources"),
    )  # fmt: skip
    for name, old, new, error, why in MANIFEST_CHANGES:
        changed = text.replace(old, new)
        assert changed != text, name
        yield case(
            5, "manifest", name, "a manifest that must be refused", manifest=changed,
            **failing(error, why),
        )  # fmt: skip


# --- rows


def row_cases() -> Iterator[Case]:
    """Row trees."""
    three = ["1\tAnna", "2\tJüri\\n", "3\t\\N"]
    for name, lines in (
        ("empty", []),
        ("three", three),
        ("repeated", [*reversed(three), three[1]]),
    ):
        yield case(
            6, "row-tree", name, "a few rows, one group", lines=lines, expect=tree_of(lines)
        )  # fmt: skip
    for name, what, count, width in (
        ("20000", "rows are the decimal numbers from 0; several groups", 20000, 0),
        ("edge", "1024 rows of 64 bytes reach a group's end exactly", 2050, 63),
    ):
        yield case(
            6, "row-tree", name, what, decimal_rows=count, width=width,
            expect=tree_of([str(i).zfill(width) for i in range(count)]),
        )  # fmt: skip


def tree_of(lines: list[str]) -> Fields:
    """What a row tree must come out as."""
    block = "".join(line + "\n" for line in lines).encode()
    tree = rows.LineTree()
    tree.add(block, rows.line_ends(block))
    done = tree.finish()
    return {"rows": done.rows, "row_root": done.root.hex(), "groups": done.groups.hex()}


# --- large objects and files


def large_object_cases() -> Iterator[Case]:
    """Entries of large objects."""
    entries = [
        LargeObjectEntry(oid=16400, size=5, blake3=b"\x05" * 32, owner="registrar", acl=""),
        LargeObjectEntry(oid=16401, size=0, blake3=b"\x06" * 32, owner="õigus", acl="{a=r/b}"),
    ]
    one, two = map(largeobjects.encode_large_object, entries)
    yield case(
        7, "large-objects", "two", "two entries", entries=(one + two).hex(),
        expect={"oids": [16400, 16401], "root": largeobjects.large_objects_root(entries).hex()},
    )  # fmt: skip
    bad = [
        ("order", two + one, "LargeObjectOrder", "oids descend"),
        ("twice", one + one, "LargeObjectOrder", "the same oid twice"),
        ("cut", (one + two)[:-1], "LargeObjectInvalid", "the last byte is missing"),
        ("zero", bytes(4) + one[4:], "LargeObjectInvalid", "oid 0"),
        ("acl", one[:-4] + b"\xff" * 4, "LargeObjectInvalid", "an ACL of 4 GiB"),
        ("utf8", patched(one, 46, b"\xff"), "LargeObjectInvalid", "an owner that is not UTF-8"),
    ]
    for name, data, error, why in bad:
        yield case(
            7,
            "large-objects",
            name,
            "entries that must be refused",
            entries=data.hex(),
            **failing(error, why),
        )


FOLDER_ENTRY = FileEntry(type=FileType.FOLDER, path=b"", mode=0o750, uid=0, gid=0, mtime=0)


def regular(path: bytes, offset: int = 0, **rest: Any) -> FileEntry:
    """A file of nine bytes with data at both ends."""
    return FileEntry(
        type=FileType.REGULAR, path=path, mode=0o640, uid=1, gid=2, mtime=-1, size=9,
        offset=offset, blake3=b"\x08" * 32, owner="õ", group="g",
        extents=rest.pop("extents", ((0, 2), (7, 2))), **rest,
    )  # fmt: skip


def sample_tree() -> list[FileEntry]:
    """One of each type; a name that is not UTF-8; a name that sorts between folder and content."""
    folder = replace(FOLDER_ENTRY, path=b"a")
    link = replace(FOLDER_ENTRY, path=b"b\xff", type=FileType.SYMLINK, target=b"/etc/passwd")
    return [
        FOLDER_ENTRY,
        folder,
        regular(b"a-b", xattrs=((b"user.a", b"\x00"), (b"user.b", b""))),
        regular(b"a/c", 4),
        link,
        replace(FOLDER_ENTRY, path=b"c", type=FileType.HARDLINK, target=b"a/c"),
        replace(FOLDER_ENTRY, path=b"d", type=FileType.FIFO),
    ]


def record(data: bytes) -> bytes:
    """A record with its length."""
    return len(data).to_bytes(4, "big") + data


OUTSIDE = {
    "dotdot": b"../x",
    "absolute": b"/etc",
    "dot": b"./ab",
    "double": b"a//b",
    "nul": b"ab\x00c",
}


def file_cases() -> Iterator[Case]:
    """Records of files."""
    tree = sample_tree()
    yield case(
        8, "file-tree", "each-type", "one of each type",
        entries=b"".join(filetree.encode_entries(tree)).hex(),
        expect={"paths": [e.path.hex() for e in tree], "tree_root": filetree.tree_root(tree).hex()},
    )  # fmt: skip
    top = record(filetree.encode_entry(FOLDER_ENTRY))
    plain = filetree.encode_entry(regular(b"evil", extents=((0, 9),)))
    for name, path in OUTSIDE.items():
        data = top + record(plain.replace(b"\x00\x04evil", b"\x00\x04" + path))
        yield bad_files(name, data, "PathEscapes", f"the path is {path!r}")
    yield from misplaced_files(top)
    hole = filetree.encode_entry(regular(b"f"))
    bad = [
        ("empty", b"", "EntryOrder", "not even the tree's folder"),
        ("no-top", record(hole), "EntryOrder", "the first path is not empty"),
        ("cut", top[:-1], "FileRecordInvalid", "the last byte is missing"),
        (
            "more",
            record(top[4:] + b"\x00"),
            "FileRecordInvalid",
            "a byte after the record's fields",
        ),
        ("huge", b"\x01\x00\x00\x01", "FileRecordInvalid", "a record of 16 MiB and a byte"),
        ("type-0", record(b"\x00" + top[5:]), "FileRecordInvalid", "type 0"),
        (
            "mode",
            record(patched(top[4:], 3, b"\x10")),
            "FileRecordInvalid",
            "mode 0o10000 and more",
        ),
        (
            "folder-size",
            record(patched(top[4:], 28, b"\x01")),
            "FileRecordInvalid",
            "a folder with a size",
        ),
        (
            "offset",
            top + record(patched(hole, 36, b"\x01")),
            "FileRecordInvalid",
            "content offset 1 instead of 0",
        ),
        (
            "touching",
            top + record(patched(hole, -11, b"\x02")),
            "ExtentsInvalid",
            "extents 0..2 and 2..4 touch",
        ),
        (
            "beyond",
            top + record(patched(hole, -3, b"\x03")),
            "ExtentsInvalid",
            "extent ends after the file",
        ),
    ]
    for name, data, error, why in bad:
        yield bad_files(name, data, error, why)


def misplaced_files(top: bytes) -> Iterator[Case]:
    """Records that stand or lie where they cannot."""
    link = replace(FOLDER_ENTRY, path=b"a", type=FileType.SYMLINK, target=b"/etc")
    bad = [
        ("below-link", [link, regular(b"a/x")], "ParentMissing", "a file below a symbolic link"),
        ("below-file", [regular(b"a"), regular(b"a/x", 4)], "ParentMissing", "a file below a file"),
        ("no-parent", [regular(b"b/x")], "ParentMissing", "the folder b has no record"),
        ("order", [regular(b"b"), regular(b"a", 4)], "EntryOrder", "a after b"),
        ("twice", [regular(b"a"), regular(b"a", 4)], "EntryOrder", "the same path twice"),
    ]
    for name, entries, error, why in bad:
        records = b"".join(record(filetree.encode_entry(entry)) for entry in entries)
        yield bad_files(name, top + records, error, why)


def bad_files(name: str, data: bytes, error: str, why: str) -> Case:
    """A stream of records that must be refused."""
    return case(
        8, "file-tree", name, "records that must be refused", entries=data.hex(),
        **failing(error, why),
    )  # fmt: skip


def all_cases() -> Iterator[Case]:
    """Every case, in the order of the specification."""
    yield from chunk_cases()
    yield from pack_cases()
    yield from stream_cases()
    yield from manifest_cases()
    yield from row_cases()
    yield from large_object_cases()
    yield from file_cases()


def folders() -> dict[str, list[Case]]:
    """All cases by folder of vectors/."""
    return {"archive": list(all_cases())}


if __name__ == "__main__":
    for folder, cases in folders().items():
        print(f"vectors/{folder}: {write(folder, cases)} cases")
