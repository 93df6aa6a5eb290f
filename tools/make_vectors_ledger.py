"""Writes `vectors/ledger/*.json`: one case per file, the same bytes at each run.

Shape: `spec`, `case`, `what`, the input's fields, and `expect` or `fails` (the error's name).
Keys are made of fixed seeds and sign nothing else.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exclave.ids import MissionId, Seat, StatementHash
from exclave.ledger.checkpoint import Checkpoint, origin_for, sign_checkpoint
from exclave.ledger.consistency import consistency_proof
from exclave.ledger.entry import EntryType, LogEntry
from exclave.ledger.note import NoteSigner
from exclave.ledger.receipt import Receipt
from exclave.ledger.tiles import Tile, TreeEdge, grow
from exclave.merkle import inclusion_path, leaf_hash, tree_root

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "ledger"
MISSION = MissionId(bytes(range(32)))
Case = dict[str, Any]


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
    yield {"case": "entry", "what": "an entry of a record", "entry": good, "expect": {"size": 1005}}
    refused = [
        ("space", "white space", good.replace(":1005", ": 1005"), "NonCanonicalData"),
        ("type", "an unknown type", good.replace('"record"', '"deed"'), "MalformedData"),
        ("field", "an unknown field", good.replace('{"', '{"a":1,"', 1), "MalformedData"),
        ("hash", "a short hash", good.replace("05" * 32, "05" * 31), "MalformedData"),
        ("negative", "a negative size", good.replace(":1005", ":-1"), "MalformedData"),
        ("time", "a time with an offset", good.replace("05Z", "05+00:00"), "MalformedData"),
        ("bool", "a truth value as size", good.replace(":1005", ":true"), "MalformedData"),
        ("long", "more than 4,096 bytes", good + " " * 4096, "MalformedData"),
    ]
    for name, what, text, fails in refused:
        yield {"case": f"entry-{name}", "what": what, "entry": text, "fails": fails}


def checkpoints() -> Iterator[Case]:
    """Checkpoint notes under the log's key."""
    leaves = [leaf_hash(entry(n).encode()) for n in range(5)]
    state = Checkpoint(origin=LOG.name, size=5, root=tree_root(leaves))
    note = sign_checkpoint(state, LOG).decode()
    other = sign_checkpoint(state, signer(LOG.name, 8)).decode()
    head, line = note.split("\n\n")
    unknown = note + other.split("\n\n")[1]
    yield _checkpoint("checkpoint", "a log of five", note)
    yield _checkpoint("checkpoint-unknown", "with an unknown key's signature too", unknown)
    larger, zero = note.replace("\n5\n", "\n6\n"), note.replace("\n5\n", "\n05\n")
    refused = [
        ("stranger", "signed by an unknown key only", other, "NoteUnsigned"),
        ("forged", "another size under the signature", larger, "NoteForged"),
        ("zero", "a size with a leading zero, unsigned", zero, "NoteForged"),
        ("unsplit", "no empty line", f"{head}\n{line}", "MalformedData"),
        ("unended", "the last line not ended", note[:-1], "MalformedData"),
        ("many", "seventeen signatures", note + line * 16, "MalformedData"),
        ("dash", "a hyphen in place of the dash", note.replace("\u2014", "-"), "MalformedData"),
    ]  # fmt: skip
    for name, what, text, fails in refused:
        case = _checkpoint(f"checkpoint-{name}", what, text)
        del case["expect"]
        yield {**case, "fails": fails}


def _checkpoint(case: str, what: str, note: str) -> Case:
    key = LOG.verifier().vkey()
    return {"case": case, "what": what, "checkpoint": note, "vkey": key, "expect": {"size": 5}}


def receipts() -> Iterator[Case]:
    """Receipts for one entry in a log of 300."""
    data = [entry(n).encode() for n in range(300)]
    leaves = [leaf_hash(item) for item in data]
    note = sign_checkpoint(Checkpoint(origin=LOG.name, size=300, root=tree_root(leaves)), LOG)
    path = tuple(inclusion_path(leaves, 77))
    good = Receipt(entry=data[77], index=77, path=path, checkpoint=note).encode().decode()
    key = LOG.verifier().vkey()
    yield {
        "case": "receipt", "what": "entry 77 of 300", "receipt": good, "vkey": key,
        "expect": {"size": 1077},
    }  # fmt: skip
    cut = Receipt(entry=data[77], index=77, path=path[:-1], checkpoint=note).encode().decode()
    other = Receipt(entry=data[78], index=77, path=path, checkpoint=note).encode().decode()
    refused = [
        ("index", "another index", good.replace("index 77\n", "index 76\n"), "InclusionInvalid"),
        ("zero", "an index with a zero", good.replace("index 77", "index 077"), "MalformedData"),
        ("beyond", "an index beyond", good.replace("index 77", "index 300"), "InclusionInvalid"),
        ("cut", "a path one hash short", cut, "InclusionInvalid"),
        ("other", "another entry", other, "InclusionInvalid"),
        ("extra", "no entry", good.replace("extra ", "ex "), "MalformedData"),
        ("forged", "another size", good.replace("\n300\n", "\n301\n"), "NoteForged"),
    ]
    for name, what, text, fails in refused:
        yield {
            "case": f"receipt-{name}", "what": what, "receipt": text, "vkey": key, "fails": fails
        }  # fmt: skip


def trees() -> Iterator[Case]:
    """Consistency proofs, tile paths and growth."""
    leaves = [leaf_hash(entry(n).encode()) for n in range(300)]
    for old, new in ((1, 2), (3, 7), (4, 7), (6, 8), (256, 300), (257, 300)):
        proof = consistency_proof(leaves[:new], old)
        yield {
            "case": f"consistency-{old}-{new}", "what": f"from {old} to {new} leaves",
            "old_root": tree_root(leaves[:old]).hex(), "new_root": tree_root(leaves[:new]).hex(),
            "old": old, "new": new, "proof": [digest.hex() for digest in proof],
            "expect": {},
        }  # fmt: skip
    for index, width in ((0, 256), (999, 1), (1000, 255), (1234067, 256)):
        path = Tile(level=0, index=index, width=width).path()
        expect = {"level": 0, "index": index, "width": width}
        yield {"case": f"path-{index}-{width}", "what": path, "path": path, "expect": expect}
    for number, path in enumerate(
        ("tile/0/1", "tile/0/x000/001", "tile/0/001.p/0", "tile/0/001.p/256", "tile/00/001",
         "tile/8/001", "tile/0/001.p/01", "tile/0/001/", "tile/0/../001")
    ):  # fmt: skip
        yield {
            "case": f"path-refused-{number}", "what": f"refused: {path}", "path": path,
            "fails": "MalformedData",
        }  # fmt: skip
    edge, files = grow(TreeEdge(), (entry(n).encode() for n in range(300)))
    hashes = {file.tile.path(): leaf_hash(file.data).hex() for file in files}
    yield {
        "case": "growth", "what": "300 entries at once: root and H(0x00 || bytes) of each file",
        "entries": [entry(n).encode().decode() for n in range(300)],
        "expect": {"root": edge.root().hex(), "files": hashes},
    }  # fmt: skip


def main() -> None:
    """Write all cases."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for make in (entries, checkpoints, receipts, trees):
        for case in make():
            whole = {"spec": "spec/ledger.md", **case}
            text = json.dumps(whole, indent=1, ensure_ascii=True) + "\n"
            (FOLDER / f"{case['case']}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
