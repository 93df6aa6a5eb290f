"""Exclave and the standalone reader accept and refuse the same bytes.

Both were written from spec/; where they part, one of them or the page is wrong. Inputs are those
of the vectors and small changes to them, the same at every run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from exclave.archive.filetree import EntryOrder, FileType, decode_entries
from exclave.archive.largeobjects import decode_large_objects
from exclave.archive.manifest import parse_manifest
from exclave.archive.pack import parse_directory
from exclave.archive.reference import StreamRef
from exclave.archive.stream import decode_node
from exclave.authority.card import CardMalformed, parse_card
from exclave.authority.charter import parse_charter
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.record import parse_record
from exclave.authority.words import read_words
from exclave.dispersal.shard import ShardHasher
from exclave.encoding import parse_canonical_json
from exclave.errors import ExclaveError
from exclave.ledger.checkpoint import parse_checkpoint
from exclave.ledger.entry import parse_entry
from exclave.ledger.note import parse_note, parse_vkey
from exclave.ledger.receipt import parse_receipt
from exclave.ledger.tiles import parse_tile_path
from exclave.sealing.pack import HEADER_SIZE, PackHeader, PackKind
from exclave.shares import WORDS, read_share
from tests.fuzz.seeds import bytes_of, given, nodes, seeds_of, text_of
from tests.reader.loaded import load_reader
from tests.support.mutations import mutated, mutated_json

reader = load_reader()
Decoder = Callable[[bytes], object]
Mutator = Callable[[bytes, int, int], Iterator[bytes]]
EACH = 110  # changes of the seeds of each format


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One format: where to start, and its two decoders."""

    seeds: Callable[[], Iterator[bytes]]
    ours: Decoder
    theirs: Decoder
    mutators: tuple[Mutator, ...] = (mutated,)


def payload(kind: Kind, read: Callable[[Envelope], object]) -> Decoder:
    """A decoder of a statement's payload."""
    return lambda data: read(Envelope(payload=data, kind=kind))


def sparse(data: bytes) -> bytes:
    """A pack plaintext of the smallest rung, whose zeros were left out so that changes hit."""
    return data[:-16] + bytes(16384 - len(data)) + data[-16:]


def packs() -> Iterator[bytes]:
    """Small plaintexts without most of their zeros."""
    for data in given("archive", "pack", bytes_of("plaintext"))():
        if len(data) == 16384:
            yield data[:-16].rstrip(b"\0") + data[-16:]


def our_shard(data: bytes) -> object:
    """Any shard, whatever its root."""
    hasher = ShardHasher()
    hasher.feed(data)
    return hasher.finish()


def of_our_log(text: bytes) -> bytes:
    """A checkpoint with the origin of the vectors' log: another is refused by its verifier."""
    return b"exclave/" + bytes(range(32)).hex().encode() + b"/3\n" + text.partition(b"\n")[2]


def our_tree(data: bytes) -> object:
    """Records whose hard links lead to records, which Exclave finds out only when it links."""
    entries = list(decode_entries([data]))
    files = {e.path for e in entries if e.type not in (FileType.FOLDER, FileType.HARDLINK)}
    if any(e.type is FileType.HARDLINK and e.target not in files for e in entries):
        raise EntryOrder("hard link without its file")
    return entries


def our_card(data: bytes) -> object:
    """A card and the share in its words, which on a card stand whole."""
    card = parse_card(data.decode("utf-8", "replace"))
    if read_words(" ".join(card.words), WORDS) != card.words:
        raise CardMalformed("card: a word is abbreviated")
    return read_share(card.words)


def their_stream(data: bytes) -> object:
    """A stream of at most 16 chunks, or the root of a tree."""
    if not reader.is_stream(value := reader.decode_json(data)):
        raise reader.StreamRefused("stream: not of the form allowed")
    if "root" in value and value["root"][0] < 2**31:  # decided where nodes are fetched
        raise reader.StreamRefused("stream: its root lies in a data pack")
    return value


BOTH = (mutated, mutated_json)
PAIRS = {
    "json": Pair(
        seeds=given("ledger", "entry", text_of("entry")), mutators=BOTH,
        ours=parse_canonical_json, theirs=reader.decode_json,
    ),
    "envelope": Pair(
        seeds=given("statements", "parse-envelope", text_of("envelope")), mutators=BOTH,
        ours=parse_envelope, theirs=reader.parse_envelope,
    ),
    "charter": Pair(
        seeds=given("charter", "parse-charter", text_of("payload")), mutators=(mutated_json,),
        ours=payload(Kind.CHARTER, parse_charter),
        theirs=lambda data: reader.check_charter(reader.decode_json(data)),
    ),
    "record": Pair(
        seeds=lambda: iter(seeds_of("record")), mutators=(mutated_json,),
        ours=payload(Kind.RECORD, parse_record),
        theirs=lambda data: reader.check_record(reader.decode_json(data)),
    ),
    "shard": Pair(
        seeds=given("dispersal", "parse-shard", bytes_of("shard")),
        ours=our_shard,
        theirs=lambda data: reader.parse_shard(data, reader.shard_root(data)),
    ),
    "pack header": Pair(
        seeds=lambda: (data[:HEADER_SIZE] for data in seeds_of("pack_header")),
        ours=lambda data: PackHeader.decode(data[:HEADER_SIZE]),
        theirs=lambda data: reader.parse_pack_header(data + bytes(72) * (len(data) >= HEADER_SIZE)),
    ),
    "directory": Pair(
        seeds=packs,
        ours=lambda data: parse_directory(sparse(data), kind=PackKind.MANIFEST),
        theirs=lambda data: reader.parse_directory(sparse(data), 2),
    ),
    "node": Pair(seeds=nodes, ours=decode_node, theirs=reader.parse_node),
    "stream": Pair(
        seeds=lambda: iter(seeds_of("stream")), mutators=(mutated_json,),
        ours=lambda data: StreamRef.from_json(parse_canonical_json(data)),
        theirs=their_stream,
    ),
    "manifest": Pair(
        seeds=given("archive", "manifest", text_of("manifest")), mutators=BOTH,
        ours=parse_manifest, theirs=reader.check_manifest,
    ),
    "file tree": Pair(
        seeds=given("archive", "file-tree", bytes_of("entries")),
        ours=our_tree,
        theirs=lambda data: list(reader.file_entries(reader.Cursor([data]), reader.Tree())),
    ),
    "large objects": Pair(
        seeds=given("archive", "large-objects", bytes_of("entries")),
        ours=lambda data: list(decode_large_objects([data])),
        theirs=lambda data: list(reader.large_objects(reader.Cursor([data]), reader.Tree())),
    ),
    "entry": Pair(
        seeds=given("ledger", "entry", text_of("entry")), mutators=BOTH,
        ours=parse_entry, theirs=reader.parse_entry,
    ),
    "note": Pair(
        seeds=given("ledger", "checkpoint", text_of("checkpoint")),
        ours=parse_note, theirs=reader.parse_note,
    ),
    "checkpoint": Pair(
        seeds=lambda: iter(seeds_of("checkpoint")),
        ours=lambda data: parse_checkpoint(of_our_log(data)),
        theirs=lambda data: reader.parse_checkpoint(of_our_log(data)),
    ),
    "receipt": Pair(
        seeds=given("ledger", "receipt", text_of("receipt")),
        ours=parse_receipt,  # and the entry in it
        theirs=lambda data: reader.parse_entry(reader.parse_receipt(data).entry),
    ),
    "vkey": Pair(
        seeds=given("ledger", "checkpoint", text_of("vkey")),
        ours=lambda data: parse_vkey(data.decode("utf-8", "replace")),
        theirs=lambda data: reader.parse_vkey(data.decode("utf-8", "replace")),
    ),
    "tile path": Pair(
        seeds=given("ledger", "tile-path", text_of("path")),
        ours=lambda data: parse_tile_path(data.decode("utf-8", "replace")),
        theirs=lambda data: reader.parse_tile_path(data.decode("utf-8", "replace")),
    ),
    "card": Pair(
        seeds=given("cards", "parse-card", text_of("card")),
        ours=our_card,
        theirs=lambda data: reader.parse_card(data.decode("utf-8", "replace")),
    ),
}  # fmt: skip


def refusal(decode: Decoder, data: bytes, error: type[Exception]) -> str | None:
    """Why the bytes are refused, or None; any other exception is a bug and passes."""
    try:
        decode(data)
    except error as refused:
        return str(refused)
    return None


def inputs(pair: Pair) -> Iterator[bytes]:
    """The seeds, and as many changes as `EACH` says to those of them that are good."""
    seeds = list(pair.seeds())
    yield from seeds
    good = [seed for seed in seeds if refusal(pair.ours, seed, ExclaveError) is None]
    assert good
    share = -(-EACH // (len(good) * len(pair.mutators)))
    for number, seed in enumerate(good):
        for mutate in pair.mutators:
            yield from mutate(seed, share, number)


@pytest.mark.parametrize("name", PAIRS)
def test_both_accept_or_both_refuse(name: str) -> None:
    pair, accepted = PAIRS[name], 0
    for data in inputs(pair):
        ours = refusal(pair.ours, data, ExclaveError)
        theirs = refusal(pair.theirs, data, reader.ReaderError)
        assert (ours is None) == (theirs is None), (
            f"{name}: exclave: {ours or 'accepted'}; reader: {theirs or 'accepted'}: {data!r}"
        )
        accepted += ours is None
    assert accepted
