"""What holds of the ledger for all inputs."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exclave.errors import ExclaveError
from exclave.ledger.checkpoint import parse_checkpoint
from exclave.ledger.consistency import ConsistencyInvalid, consistency_proof, verify_consistency
from exclave.ledger.entry import parse_entry
from exclave.ledger.note import parse_note, parse_vkey
from exclave.ledger.receipt import parse_receipt
from exclave.ledger.tiles import (
    TileReader,
    TreeEdge,
    encode_bundle,
    grow,
    load_edge,
    parse_bundle,
    parse_tile_path,
    tiles_of,
)
from exclave.merkle import leaf_hash, node_hash, tree_root, verify_inclusion

LIMIT = 300
ENTRIES = [b"entry %d" % n for n in range(LIMIT)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def larger_half(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


@cache
def mth(low: int, high: int) -> bytes:
    """MTH of RFC 6962 section 2.1, as it is written there."""
    if high - low == 1:
        return LEAVES[low]
    middle = low + larger_half(high - low)
    return node_hash(mth(low, middle), mth(middle, high))


def path(index: int, low: int, high: int) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if high - low == 1:
        return []
    k = larger_half(high - low)
    if index < k:
        return [*path(index, low, low + k), mth(low + k, high)]
    return [*path(index - k, low + k, high), mth(low, low + k)]


def subproof(m: int, low: int, high: int, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 section 2.1.2."""
    n = high - low
    if m == n:
        return [] if whole else [mth(low, high)]
    k = larger_half(n)
    if m <= k:
        return [*subproof(m, low, low + k, whole), mth(low + k, high)]
    return [*subproof(m - k, low + k, high, False), mth(low, low + k)]


@pytest.fixture(scope="module")
def store() -> dict[str, bytes]:
    """The files of a log that grew by one entry at a time."""
    files: dict[str, bytes] = {}
    edge = TreeEdge()
    for entry in ENTRIES:
        edge, written = grow(edge, [entry])
        files.update((file.tile.path(), file.data) for file in written)
        assert all(tile.path() in files for tile in tiles_of(edge.size))
    return files


def test_tiles_prove_what_the_definition_says(store: dict[str, bytes]) -> None:
    for size in range(1, LIMIT + 1):
        reader = TileReader(size, store.get)
        root = mth(0, size)
        assert reader.root() == root == load_edge(size, store.get).root()
        for index in {0, 1, size // 2, size - 2, size - 1} & set(range(size)):
            proof = reader.inclusion_proof(index)
            assert proof == path(index, 0, size)
            verify_inclusion(LEAVES[index], index=index, size=size, path=proof, root=root)


def test_consistency_of_all_sizes(store: dict[str, bytes]) -> None:
    for new in range(1, LIMIT + 1):
        reader = TileReader(new, store.get)
        for old in range(1, new + 1):
            proof = reader.consistency_proof(old)
            assert proof == subproof(old, 0, new, True)
            verify_consistency(
                old_size=old, old_root=mth(0, old), new_size=new, new_root=mth(0, new), proof=proof
            )


@given(st.data())
def test_a_changed_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, LIMIT))
    old = data.draw(st.integers(1, new - 1))
    proof = consistency_proof(LEAVES[:new], old)
    at = data.draw(st.integers(0, len(proof) - 1))
    wrong = data.draw(
        st.sampled_from([
            [*proof[:at], bytes(32), *proof[at + 1 :]],
            proof[:at] + proof[at + 1 :],
            [*proof[:at], bytes(32), *proof[at:]],
        ])
    )  # fmt: skip
    with pytest.raises(ConsistencyInvalid):
        verify_consistency(
            old_size=old, old_root=mth(0, old), new_size=new, new_root=mth(0, new), proof=wrong
        )


@given(st.lists(st.integers(1, 290), min_size=1, max_size=12))
def test_growth_does_not_depend_on_steps(steps: list[int]) -> None:
    entries = [b"%d" % n for n in range(sum(steps))]
    files: dict[str, bytes] = {}
    edge, at = TreeEdge(), 0
    for step in steps:
        edge, written = grow(edge, entries[at : at + step])
        files.update((file.tile.path(), file.data) for file in written)
        at += step
    assert edge == grow(TreeEdge(), entries)[0]
    assert edge.root() == tree_root([leaf_hash(entry) for entry in entries])
    assert load_edge(edge.size, files.get) == edge
    assert all(tile.path() in files for tile in tiles_of(edge.size))
    full = {name: data for name, data in files.items() if ".p/" not in name}
    partial = {tile.path(): files[tile.path()] for tile in tiles_of(edge.size)}
    older = TileReader(max(1, edge.size - edge.size % 256 - 3), {**full, **partial}.get)
    if edge.size % 256 and edge.size > 256:  # a partial tile that is gone is read from the full one
        assert older.entry(older.size - 1) == entries[older.size - 1]


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles(entries: list[bytes]) -> None:
    assert parse_bundle(encode_bundle(entries), len(entries)) == entries


@given(st.binary(max_size=400))
def test_decoders_raise_only_our_errors(data: bytes) -> None:
    text = data.decode("latin-1")
    calls = [
        lambda: parse_entry(data),
        lambda: parse_note(data),
        lambda: parse_note(b"a\n\n" + "\N{EM DASH} ".encode() + data + b"\n"),
        lambda: parse_checkpoint(data),
        lambda: parse_receipt(data),
        lambda: parse_receipt(b"c2sp.org/tlog-proof@v1\nextra " + data),
        lambda: parse_bundle(data, 3),
        lambda: parse_vkey(text),
        lambda: parse_tile_path(text),
    ]
    for call in calls:
        try:
            call()
        except ExclaveError:
            continue
