"""Writes `vectors/ledger/*.json`: `python -m tools.make_vectors_ledger`, the same bytes each run.

The form is that of `vectors/README.md`. Keys are made of fixed seeds and sign nothing else.
`vectors/ledger/published/` is not made here.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exclave.encoding import JsonObject, JsonValue
from exclave.ids import MissionId, Seat, StatementHash
from exclave.ledger.checkpoint import Checkpoint, origin_for, sign_checkpoint
from exclave.ledger.consistency import consistency_proof
from exclave.ledger.entry import EntryType, LogEntry
from exclave.ledger.note import NoteSigner
from exclave.ledger.receipt import Receipt
from exclave.ledger.tiles import Tile, TreeEdge, grow
from exclave.merkle import inclusion_path, leaf_hash, tree_root
from tools.vector_cases import Case, refused, write

MISSION = MissionId(bytes(range(32)))


def signer(name: str, seed: int) -> NoteSigner:
    """An Ed25519 key of a fixed seed."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return NoteSigner(name=name, public_key=key.public_key().public_bytes_raw(), sign=key.sign)


LOG = signer(origin_for(MISSION, Seat(3)), 7)


def entry(number: int) -> LogEntry:
    """Entry `number` of the log that the vectors are about."""
    return LogEntry(
        type=EntryType.CHARTER if number == 0 else EntryType.RECORD,
        mission=MISSION,
        hash=bytes([number % 256]) * 32,
        size=1000 + number,
        statement=StatementHash(bytes([255 - number % 256]) * 32),
        logged=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        service=number * 250,
    )


def entries() -> Iterator[Case]:
    """Entries: the encoding, and what is refused."""
    good = entry(5).encode().decode()
    yield _entry("entry", "an entry of a record", good, {"size": 1005})
    bad = [
        ("space", "white space", good.replace(":1005", ": 1005"), "NonCanonicalData"),
        ("type", "an unknown type", good.replace('"record"', '"deed"'), "MalformedData"),
        ("field", "an unknown field", good.replace('{"', '{"a":1,"', 1), "MalformedData"),
        ("hash", "a short hash", good.replace("05" * 32, "05" * 31), "MalformedData"),
        ("negative", "a negative size", good.replace(":1005", ":-1"), "MalformedData"),
        ("time", "a time with an offset", good.replace("05Z", "05+00:00"), "MalformedData"),
        ("bool", "a truth value as size", good.replace(":1005", ":true"), "MalformedData"),
        ("long", "more than 4,096 bytes", good + " " * 4096, "MalformedData"),
    ]
    for name, why, text, error in bad:
        what = "an entry that must be refused"
        yield _entry(f"entry-{name}", what, text, refused(error, why))


def _entry(case: str, what: str, text: str, expect: JsonObject) -> Case:
    return Case(
        spec="ledger.md 1", case=case, operation="entry", what=what,
        given={"entry": text}, expect=expect,
    )  # fmt: skip


def checkpoints() -> Iterator[Case]:
    """Checkpoint notes under the log's key."""
    leaves = [leaf_hash(entry(n).encode()) for n in range(5)]
    state = Checkpoint(origin=LOG.name, size=5, root=tree_root(leaves))
    note = sign_checkpoint(state, LOG).decode()
    other = sign_checkpoint(state, signer(LOG.name, 8)).decode()
    head, line = note.split("\n\n")
    unknown = note + other.split("\n\n")[1]
    size: JsonObject = {"size": 5}
    yield _checkpoint("checkpoint", "a log of five", note, size)
    yield _checkpoint("checkpoint-unknown", "with an unknown key's signature too", unknown, size)
    larger, zero = note.replace("\n5\n", "\n6\n"), note.replace("\n5\n", "\n05\n")
    bad = [
        ("stranger", "signed by an unknown key only", other, "NoteUnsigned"),
        ("forged", "another size under the signature", larger, "NoteForged"),
        ("zero", "a size with a leading zero, unsigned", zero, "NoteForged"),
        ("unsplit", "no empty line", f"{head}\n{line}", "MalformedData"),
        ("unended", "the last line not ended", note[:-1], "MalformedData"),
        ("many", "seventeen signatures", note + line * 16, "MalformedData"),
        ("dash", "a hyphen in place of the dash", note.replace("\u2014", "-"), "MalformedData"),
    ]  # fmt: skip
    for name, why, text, error in bad:
        what = "a checkpoint that must be refused"
        yield _checkpoint(f"checkpoint-{name}", what, text, refused(error, why))


def _checkpoint(case: str, what: str, note: str, expect: JsonObject) -> Case:
    return Case(
        spec="ledger.md 3", case=case, operation="checkpoint", what=what,
        given={"checkpoint": note, "vkey": LOG.verifier().vkey()}, expect=expect,
    )  # fmt: skip


def receipts() -> Iterator[Case]:
    """Receipts for one entry in a log of 300."""
    data = [entry(n).encode() for n in range(300)]
    leaves = [leaf_hash(item) for item in data]
    note = sign_checkpoint(Checkpoint(origin=LOG.name, size=300, root=tree_root(leaves)), LOG)
    path = tuple(inclusion_path(leaves, 77))
    good = Receipt(entry=data[77], index=77, path=path, checkpoint=note).encode().decode()
    yield _receipt("receipt", "entry 77 of 300", good, {"size": 1077})
    cut = Receipt(entry=data[77], index=77, path=path[:-1], checkpoint=note).encode().decode()
    other = Receipt(entry=data[78], index=77, path=path, checkpoint=note).encode().decode()
    bad = [
        ("index", "another index", good.replace("index 77\n", "index 76\n"), "InclusionInvalid"),
        ("zero", "an index with a zero", good.replace("index 77", "index 077"), "MalformedData"),
        ("beyond", "an index beyond", good.replace("index 77", "index 300"), "InclusionInvalid"),
        ("cut", "a path one hash short", cut, "InclusionInvalid"),
        ("other", "another entry", other, "InclusionInvalid"),
        ("extra", "no entry", good.replace("extra ", "ex "), "MalformedData"),
        ("forged", "another size", good.replace("\n300\n", "\n301\n"), "NoteForged"),
    ]
    for name, why, text, error in bad:
        what = "a receipt that must be refused"
        yield _receipt(f"receipt-{name}", what, text, refused(error, why))


def _receipt(case: str, what: str, text: str, expect: JsonObject) -> Case:
    return Case(
        spec="ledger.md 5", case=case, operation="receipt", what=what,
        given={"receipt": text, "vkey": LOG.verifier().vkey()}, expect=expect,
    )  # fmt: skip


def proofs() -> Iterator[Case]:
    """Consistency proofs, good ones and one wrong in each part."""
    leaves = [leaf_hash(entry(n).encode()) for n in range(300)]
    for old, new in ((1, 2), (3, 7), (4, 7), (6, 8), (256, 300), (257, 300)):
        what = f"from {old} to {new} leaves"
        yield _consistency(f"{old}-{new}", what, _proof(leaves, old, new), {})
    good = _proof(leaves, 3, 7)
    proof = good["proof"]
    assert isinstance(proof, list)
    bad: list[tuple[str, JsonObject, str]] = [
        ("cut", {"proof": proof[:-1]}, "the proof's last hash is missing"),
        ("longer", {"proof": [*proof, proof[0]]}, "a hash too many"),
        ("old-root", {"old_root": tree_root(leaves[:4]).hex()}, "the old root is another one"),
        ("new-root", {"new_root": tree_root(leaves[:8]).hex()}, "the new root is another one"),
        ("shrunk", {"old": 7, "new": 3}, "the log shrank"),
    ]
    for name, change, why in bad:
        what = "a proof that must be refused"
        yield _consistency(name, what, {**good, **change}, refused("ConsistencyInvalid", why))


def _proof(leaves: list[bytes], old: int, new: int) -> JsonObject:
    hashes: list[JsonValue] = [node.hex() for node in consistency_proof(leaves[:new], old)]
    return {
        "old_root": tree_root(leaves[:old]).hex(), "new_root": tree_root(leaves[:new]).hex(),
        "old": old, "new": new, "proof": hashes,
    }  # fmt: skip


def _consistency(case: str, what: str, given: JsonObject, expect: JsonObject) -> Case:
    return Case(
        spec="ledger.md 4", case=f"consistency-{case}", operation="consistency", what=what,
        given=given, expect=expect,
    )  # fmt: skip


BAD_PATHS = (
    ("tile/0/1", "a number of one digit"),
    ("tile/0/x000/001", "a leading group of zeros"),
    ("tile/0/001.p/0", "a width of 0"),
    ("tile/0/001.p/256", "a full tile named as a partial one"),
    ("tile/00/001", "a level with a leading zero"),
    ("tile/8/001", "level 8"),
    ("tile/0/001.p/01", "a width with a leading zero"),
    ("tile/0/001/", "a slash too many"),
    ("tile/0/../001", "a way upwards"),
)


def paths() -> Iterator[Case]:
    """Paths of tiles."""
    for index, width in ((0, 256), (999, 1), (1000, 255), (1234067, 256)):
        path = Tile(level=0, index=index, width=width).path()
        expect: JsonObject = {"level": 0, "index": index, "width": width}
        yield _path(f"{index}-{width}", "the path of a tile", path, expect)
    for number, (path, why) in enumerate(BAD_PATHS):
        what = "a path that must be refused"
        yield _path(f"refused-{number}", what, path, refused("MalformedData", why))


def _path(case: str, what: str, path: str, expect: JsonObject) -> Case:
    return Case(
        spec="ledger.md 2", case=f"path-{case}", operation="tile-path", what=what,
        given={"path": path}, expect=expect,
    )  # fmt: skip


def growth() -> Iterator[Case]:
    """The tree and its files."""
    texts = [entry(n).encode() for n in range(300)]
    edge, files = grow(TreeEdge(), texts)
    hashes: JsonObject = {file.tile.path(): leaf_hash(file.data).hex() for file in files}
    yield Case(
        spec="ledger.md 2", case="growth", operation="growth", what="300 entries at once",
        given={"entries": [text.decode() for text in texts]},
        expect={"root": edge.root().hex(), "files": hashes},
    )  # fmt: skip


def folders() -> dict[str, list[Case]]:
    """All cases by folder of vectors/."""
    makers = (entries, checkpoints, receipts, proofs, paths, growth)
    return {"ledger": [case for make in makers for case in make()]}


if __name__ == "__main__":
    for folder, cases in folders().items():
        print(f"vectors/{folder}: {write(folder, cases)} cases")
