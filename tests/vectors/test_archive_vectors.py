"""Every case in vectors/archive through the archive package."""

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest

from exclave.archive import filetree, largeobjects, rows
from exclave.archive.manifest import manifest_to_bytes, parse_manifest
from exclave.archive.pack import chunk_id, decode_chunk, ladder_size, parse_directory
from exclave.archive.reference import Codec, Reference, StreamRef
from exclave.archive.stream import iter_references
from exclave.sealing.pack import PackKind
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_archive

Fields = dict[str, Any]


def run_chunk_id(case: Fields) -> Fields:
    return {"id": chunk_id(bytes.fromhex(case["key"]), bytes.fromhex(case["plain"])).hex()}


def run_chunk(case: Fields) -> Fields:
    stored, plain, codec = case["entry"]
    form = Reference(0, 0, stored, plain, Codec(codec))
    return {"plain": decode_chunk(form, bytes.fromhex(case["stored"])).hex()}


def run_ladder(case: Fields) -> Fields:
    return {"rung": ladder_size(case["size"])}


def run_pack(case: Fields) -> Fields:
    parts = case["plaintext"]
    data = bytes.fromhex(parts["head"]) + bytes(parts["zeros"]) + bytes.fromhex(parts["tail"])
    entries = parse_directory(data, kind=PackKind(case["kind"]))
    return {"ids": [entry.chunk_id.hex() for entry in entries], "length": len(data)}


def run_stream(case: Fields) -> Fields:
    stream = StreamRef.from_json(case["stream"])
    assert stream.to_json() == case["stream"]
    refs = list(iter_references(stream, lambda r: bytes.fromhex(case["nodes"][r.offset])))
    digest = hashlib.sha256(b"".join(struct.pack(">IIIIB", *r) for r in refs)).hexdigest()
    return {"count": len(refs), "refs_sha256": digest}


def run_manifest(case: Fields) -> Fields:
    data = case["manifest"].encode()
    manifest = parse_manifest(data)
    assert manifest_to_bytes(manifest) == data
    return {
        "registers": [register.id for register in manifest.registers],
        "packs": len(manifest.packs),
        "objects": [len(register.objects) for register in manifest.registers],
        "sources": [[s.kind for s in register.sources] for register in manifest.registers],
    }


def run_row_tree(case: Fields) -> Fields:
    numbers = range(case.get("decimal_rows", 0))
    lines = case.get("lines") or [str(i).zfill(case["width"]) for i in numbers]
    tree = rows.LineTree()
    for line in lines:
        block = line.encode() + b"\n"
        tree.add(block, rows.line_ends(block))
    done = tree.finish()
    return {"rows": done.rows, "row_root": done.root.hex(), "groups": done.groups.hex()}


def run_large_objects(case: Fields) -> Fields:
    data = bytes.fromhex(case["entries"])
    entries = list(largeobjects.decode_large_objects([data]))
    assert b"".join(largeobjects.encode_large_objects(entries)) == data
    root = largeobjects.large_objects_root(entries)
    return {"oids": [entry.oid for entry in entries], "root": root.hex()}


def run_file_tree(case: Fields) -> Fields:
    data = bytes.fromhex(case["entries"])
    entries = list(filetree.decode_entries([data]))
    assert b"".join(filetree.encode_entries(entries)) == data
    root = filetree.tree_root(entries)
    return {"paths": [entry.path.hex() for entry in entries], "tree_root": root.hex()}


OPERATIONS: dict[str, Callable[[Fields], Fields]] = {
    "chunk-id": run_chunk_id,
    "chunk": run_chunk,
    "ladder": run_ladder,
    "pack": run_pack,
    "stream": run_stream,
    "manifest": run_manifest,
    "row-tree": run_row_tree,
    "large-objects": run_large_objects,
    "file-tree": run_file_tree,
}


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in load("archive")} == set(OPERATIONS)


@pytest.mark.parametrize("case", load("archive"), ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    require_expected(case, lambda: OPERATIONS[case.operation](case.given))


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_archive.folders())
