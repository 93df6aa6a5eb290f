"""Writes `vectors/ledger/*.json`: `python -m tools.make_vectors_ledger`, the same bytes each run.

The form is that of `vectors/README.md`. Keys are made of fixed seeds and sign nothing else.
`vectors/ledger/published/` is not made here.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from Crypto.PublicKey import MLDSA
from Crypto.Signature import mldsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from exclave.encoding import JsonObject, JsonValue, b64encode, canonical_json
from exclave.ids import MissionId, Seat, StatementHash
from exclave.ledger.checkpoint import Checkpoint, origin_for, sign_checkpoint
from exclave.ledger.consistency import consistency_proof
from exclave.ledger.cosignature import Cosigner, CosigningKey, cosign, witness_name
from exclave.ledger.entry import EntryType, LogEntry
from exclave.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    NoteSigner,
    encode_signatures,
    parse_note,
)
from exclave.ledger.receipt import Receipt
from exclave.ledger.tiles import Tile, TreeEdge, grow
from exclave.ledger.witness import AddCheckpoint
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


STAMP = 1_767_323_045


def cosigner(seat: int) -> Cosigner:
    """The two witness keys of a seat, of fixed seeds; signatures are the same on every run."""
    ed = signer(witness_name(MISSION, Seat(seat)), 20 + seat)
    pq = MLDSA.construct(param_set=MLDSA.ML_DSA_44, seed=bytes([40 + seat]) * 32)
    raw = MLDSA44PrivateKey.from_seed_bytes(bytes([40 + seat]) * 32).public_key()
    return Cosigner(
        name=ed.name,
        keys=(
            CosigningKey(key_type=COSIGNATURE_ED25519, public_key=ed.public_key, sign=ed.sign),
            CosigningKey(
                key_type=COSIGNATURE_ML_DSA_44,
                public_key=raw.public_bytes_raw(),
                # A second implementation, whose signatures need no randomness.
                sign=mldsa.new(pq, deterministic=True).sign,
            ),
        ),
    )


COSIGNERS = [cosigner(seat) for seat in (1, 2, 3)]


def _head(size: int, tag: int = 0) -> tuple[list[bytes], bytes]:
    data = [entry(n).encode() for n in range(size)]
    leaves = [leaf_hash(item + bytes(tag)) for item in data]
    return leaves, sign_checkpoint(
        Checkpoint(origin=LOG.name, size=size, root=tree_root(leaves)), LOG
    )


def _with(note: bytes, *seats: int, stamp: int = STAMP) -> str:
    text = parse_note(note).text
    lines = [line for seat in seats for line in cosign(text, COSIGNERS[seat - 1], stamp)]
    return (note + encode_signatures(lines)).decode()


def _witnesses() -> JsonObject:
    parties: list[JsonValue] = [
        [verifier.vkey() for verifier in item.verifiers()] for item in COSIGNERS
    ]
    return {"vkey": LOG.verifier().vkey(), "witnesses": parties}


def cosignatures() -> Iterator[Case]:
    """Who of three seats counts for a checkpoint of five entries."""
    note = _head(5)[1]
    good, later = _with(note, 1, 3), _with(note, 3, stamp=STAMP + 1)
    last = later.rstrip("\n").rsplit("\n", 1)[1] + "\n"
    lines = good.splitlines(keepends=True)
    yield _cosigned("cosignature", "seats 1 and 3 of three", good, [[1, STAMP], [3, STAMP]])
    yield _cosigned("cosignature-none", "the log alone", note.decode(), [])
    yield _cosigned(
        "cosignature-half", "seat 3 with one of its keys", "".join(lines[:-1]), [[1, STAMP]]
    )
    yield _cosigned(
        "cosignature-times", "seat 3 with two times", "".join([*lines[:-1], last]), [[1, STAMP]]
    )
    moved = good.replace("\n5\n", "\n6\n")
    yield _cosigned("cosignature-moved", "another size", moved, refused("NoteForged", "the size"))
    first = parse_note(good.encode(), most=600).signatures[-1]
    blob = first.signature[:-1] + bytes([first.signature[-1] ^ 1])
    bad = "".join(lines[:-1]) + replace(first, signature=blob).encode().decode()
    yield _cosigned("cosignature-forged", "a bit", bad, refused("NoteForged", "a signature's bit"))


def _cosigned(case: str, what: str, note: str, expect: JsonObject | list[list[int]]) -> Case:
    counted: list[JsonValue] = []
    if isinstance(expect, list):
        counted += [[seat, stamp] for seat, stamp in expect]
    result: JsonObject = expect if isinstance(expect, dict) else {"counted": counted}
    return Case(
        spec="ledger.md 7", case=case, operation="cosignature", what=what,
        given={"checkpoint": note, **_witnesses()}, expect=result,
    )  # fmt: skip


def cosigned_receipts() -> Iterator[Case]:
    """Receipts for entry 2 of five with a quorum of two, and with fewer."""
    leaves, note = _head(5)
    path, data = tuple(inclusion_path(leaves, 2)), entry(2).encode()
    for case, seats in (("receipt-cosigned", (1, 2)), ("receipt-one-witness", (2,))):
        receipt = Receipt(entry=data, index=2, path=path, checkpoint=_with(note, *seats).encode())
        counted: list[JsonValue] = [[seat, STAMP] for seat in seats]
        yield Case(
            spec="ledger.md 5", case=case, operation="cosigned-receipt",
            what=f"entry 2 of five, witnesses {seats}",
            given={"receipt": receipt.encode().decode(), "quorum": 2, **_witnesses()},
            expect={"size": 1002, "cosigned": len(seats) == 2, "counted": counted},
        )  # fmt: skip


def witness_requests() -> Iterator[Case]:
    """What a witness answers that has seen three entries, or none."""
    leaves, three = _head(3)[0], _head(3)[1].decode()
    seven_leaves, seven = _head(7)
    proof = tuple(consistency_proof(seven_leaves, 3))
    fork = _head(3, tag=1)[1]

    def body(old: int, note: bytes, nodes: tuple[bytes, ...] = ()) -> str:
        return AddCheckpoint(old=old, proof=nodes, note=note).encode().decode()

    spoilt = body(0, seven).replace("old 0", "old 00")
    other = signer(LOG.name, 8)
    root = Checkpoint(origin=LOG.name, size=3, root=tree_root(leaves))
    elsewhere = signer(origin_for(MISSION, Seat(4)), 7)
    foreign = sign_checkpoint(replace(root, origin=elsewhere.name), elsewhere)
    cases: list[tuple[str, str, str, str | None, int, int | None, bool]] = [
        ("first", "the first checkpoint", body(0, three.encode()), None, 200, None, False),
        ("later", "a later one", body(3, seven, proof), three, 200, None, False),
        ("heartbeat", "the same again", body(3, three.encode()), three, 200, None, False),
        ("malformed", "a leading zero", spoilt, None, 400, None, False),
        ("beyond", "old above the size", body(4, three.encode()), three, 400, None, False),
        ("stranger", "another key", body(0, sign_checkpoint(root, other)), None, 403, None, False),
        ("unknown", "another log", body(0, foreign), None, 404, None, False),
        ("unseen", "old not kept", body(2, seven), three, 409, 3, False),
        ("proof", "no proof", body(3, seven), three, 422, None, False),
        ("needless", "a proof from nothing", body(0, seven, proof), None, 422, None, False),
        ("fork", "another root", body(3, fork), three, 422, None, True),
        ("fork-elsewhere", "another root, old 0", body(0, fork), three, 409, 3, True),
    ]  # fmt: skip
    for name, what, request, kept, status, size, forked in cases:
        yield Case(
            spec="vault-http.md 7", case=f"add-checkpoint-{name}", operation="add-checkpoint",
            what=what,
            given={"request": request, "kept": kept, "vkey": LOG.verifier().vkey()},
            expect={"status": status, "kept": size, "fork": forked},
        )  # fmt: skip


def evidence() -> Iterator[Case]:
    """Two notes of one log that cannot both be true."""
    three, fork, five = _head(3)[1], _head(3, tag=1)[1], _head(5)[1]
    good: JsonObject = {
        "cause": "fork", "kind": "evidence", "mission": MISSION.hex(), "seat": 3,
        "notes": [b64encode(three), b64encode(fork)],
    }  # fmt: skip
    yield _evidence("evidence", "two roots of one size", good, {"sizes": [3, 3]})
    two: JsonObject = {**good, "notes": [b64encode(fork), b64encode(five)]}
    yield _evidence("evidence-sizes", "two sizes", two, {"sizes": [3, 5]})
    forged = fork.replace(b"\n3\n", b"\n2\n")
    bad: list[tuple[str, JsonObject, str, str]] = [
        ("same", {"notes": [b64encode(three)] * 2}, "EvidenceEmpty", "no contradiction"),
        ("order", {"notes": [b64encode(five), b64encode(fork)]}, "EvidenceEmpty", "the order"),
        ("seat", {"seat": 4}, "FieldInvalid", "another seat's log"),
        ("cause", {"cause": "doubt"}, "FieldInvalid", "an unknown cause"),
        ("one", {"notes": [b64encode(three)]}, "FieldInvalid", "one note"),
        ("forged", {"notes": [b64encode(forged), b64encode(three)]}, "NoteForged", "a signature"),
    ]
    for name, change, error, why in bad:
        what = "evidence that must be refused"
        yield _evidence(f"evidence-{name}", what, {**good, **change}, refused(error, why))


def _evidence(case: str, what: str, payload: JsonObject, expect: JsonObject) -> Case:
    text = canonical_json(payload).decode()
    return Case(
        spec="ledger.md 8", case=case, operation="evidence", what=what,
        given={"payload": text, "vkey": LOG.verifier().vkey()}, expect=expect,
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
    makers = (
        entries, checkpoints, receipts, cosignatures, cosigned_receipts, witness_requests, evidence,
        proofs, paths, growth,
    )  # fmt: skip
    return {"ledger": [case for make in makers for case in make()]}


if __name__ == "__main__":
    for folder, cases in folders().items():
        print(f"vectors/{folder}: {write(folder, cases)} cases")
