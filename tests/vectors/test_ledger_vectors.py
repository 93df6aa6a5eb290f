"""The ledger's vectors, ours and published ones, through our readers."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from exclave.authority.envelope import Envelope, Kind
from exclave.authority.evidence import evidence_payload, parse_evidence
from exclave.ids import Seat
from exclave.ledger.checkpoint import open_checkpoint
from exclave.ledger.consistency import verify_consistency
from exclave.ledger.cosignature import Witnesses, WitnessParty, open_cosigned
from exclave.ledger.entry import parse_entry
from exclave.ledger.note import Note, NoteForged, parse_note, parse_vkey, verify_note
from exclave.ledger.receipt import parse_receipt, verify_receipt, verify_witnessed_receipt
from exclave.ledger.tiles import TileReader, TreeEdge, grow, load_edge, parse_tile_path
from exclave.ledger.witness import Answer, decide, parse_add_checkpoint
from exclave.merkle import leaf_hash
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_ledger
from tools.vector_cases import ROOT

FOLDER = ROOT / "vectors" / "ledger"
Fields = dict[str, Any]


def run_entry(case: Fields) -> Fields:
    entry = parse_entry(case["entry"].encode())
    assert entry.encode() == case["entry"].encode()
    return {"size": entry.size}


def run_checkpoint(case: Fields) -> Fields:
    data = case["checkpoint"].encode()
    checkpoint = open_checkpoint(data, parse_vkey(case["vkey"]))
    assert parse_note(data).encode() == data
    return {"size": checkpoint.size}


def run_receipt(case: Fields) -> Fields:
    receipt = parse_receipt(case["receipt"].encode())
    entry = verify_receipt(receipt, parse_vkey(case["vkey"]))
    assert receipt.encode() == case["receipt"].encode()
    return {"size": entry.size}


def witnesses_in(case: Fields) -> Witnesses:
    keys = [tuple(parse_vkey(vkey) for vkey in vkeys) for vkeys in case["witnesses"]]
    parties = (
        WitnessParty(name=found[0].name, seat=Seat(number), verifiers=found)
        for number, found in enumerate(keys, 1)
    )
    return Witnesses(quorum=case.get("quorum", 2), parties=tuple(parties), freshness=60)


def run_cosignature(case: Fields) -> Fields:
    data, log = case["checkpoint"].encode(), parse_vkey(case["vkey"])
    cosigned = open_cosigned(data, log, witnesses_in(case))
    assert cosigned.note.encode() == data
    return {"counted": [[item.party.seat, item.timestamp] for item in cosigned.by]}


def run_cosigned_receipt(case: Fields) -> Fields:
    receipt = parse_receipt(case["receipt"].encode())
    assert receipt.encode() == case["receipt"].encode()
    proven = verify_witnessed_receipt(receipt, parse_vkey(case["vkey"]), witnesses_in(case))
    return {
        "size": proven.entry.size,
        "cosigned": proven.cosigned,
        "counted": [[item.party.seat, item.timestamp] for item in proven.by],
    }


def run_add_checkpoint(case: Fields) -> Fields:
    log, kept = parse_vkey(case["vkey"]), case["kept"]
    state = None if kept is None else kept.encode()
    decision = decide(case["request"].encode(), {log.name: log}, lambda _: state)
    assert (decision.accepted is not None) == (decision.answer is Answer.COSIGNED)
    return {
        "status": decision.answer,
        "kept": decision.kept,
        "fork": decision.fork is not None,
    }


def run_evidence(case: Fields) -> Fields:
    payload = case["payload"].encode()
    evidence = parse_evidence(Envelope(payload=payload, kind=Kind.EVIDENCE))
    evidence.verify(parse_vkey(case["vkey"]))
    assert evidence_payload(evidence) == payload
    return {"sizes": [checkpoint.size for checkpoint in evidence.checkpoints]}


def run_consistency(case: Fields) -> Fields:
    verify_consistency(
        old_size=case["old"],
        old_root=bytes.fromhex(case["old_root"]),
        new_size=case["new"],
        new_root=bytes.fromhex(case["new_root"]),
        proof=[bytes.fromhex(digest) for digest in case["proof"]],
    )
    return {}


def run_path(case: Fields) -> Fields:
    tile = parse_tile_path(case["path"])
    assert tile.path() == case["path"]
    return {"level": tile.level, "index": tile.index, "width": tile.width}


def run_growth(case: Fields) -> Fields:
    edge, files = grow(TreeEdge(), [entry.encode() for entry in case["entries"]])
    hashes = {file.tile.path(): leaf_hash(file.data).hex() for file in files}
    return {"root": edge.root().hex(), "files": hashes}


OPERATIONS: dict[str, Callable[[Fields], Fields]] = {
    "entry": run_entry,
    "checkpoint": run_checkpoint,
    "receipt": run_receipt,
    "cosignature": run_cosignature,
    "cosigned-receipt": run_cosigned_receipt,
    "add-checkpoint": run_add_checkpoint,
    "evidence": run_evidence,
    "consistency": run_consistency,
    "tile-path": run_path,
    "growth": run_growth,
}


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in load("ledger")} == set(OPERATIONS)


@pytest.mark.parametrize("case", load("ledger"), ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    require_expected(case, lambda: OPERATIONS[case.operation](case.given))


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_ledger.folders())


def published(name: str) -> Fields:
    fields: Fields = json.loads((FOLDER / "published" / name).read_text(encoding="utf-8"))
    assert fields["source"]
    return fields


def test_note_of_the_c2sp_specification() -> None:
    fields = published("signed-note.json")
    verifier = parse_vkey(fields["vkey"])
    assert verifier.vkey() == fields["vkey"]
    note = parse_note(fields["note"].encode())
    assert verify_note(note, [verifier]) == (verifier,)
    assert note.encode() == fields["note"].encode()


def test_log_of_tessera() -> None:
    fields = published("tessera-log.json")
    log = parse_vkey(fields["vkey"])
    tiles = {path: bytes.fromhex(data) for path, data in fields["tiles"].items()}
    assert all(parse_tile_path(path).path() == path for path in tiles)
    states = [open_checkpoint(note.encode(), log) for note in fields["checkpoints"].values()]
    assert len(states) == 16
    last = TileReader(max(state.size for state in states), tiles.get)
    edge = TreeEdge()
    for state in sorted(states, key=lambda state: state.size):
        if state.size == 0:
            continue
        assert load_edge(state.size, tiles.get).root() == state.root
        edge, files = grow(edge, [last.entry(n) for n in range(edge.size, state.size)])
        assert edge.root() == state.root
        assert all(tiles[file.tile.path()] == file.data for file in files)
        verify_consistency(
            old_size=state.size,
            old_root=state.root,
            new_size=last.size,
            new_root=last.root(),
            proof=last.consistency_proof(state.size),
        )


def test_ml_dsa_cosignature_of_torchwood() -> None:
    fields = published("torchwood-mldsa.json")
    log = parse_vkey(fields["vkey"])
    assert log.vkey() == fields["vkey"]
    request = parse_add_checkpoint(fields["request"].encode())
    assert request.encode() == fields["request"].encode()
    note = parse_note(request.note)
    assert verify_note(note, [log]) == (log,)
    decision = decide(request.encode(), {log.name: log}, lambda _: None)
    assert decision.answer is Answer.COSIGNED
    grown = Note(text=note.text.replace(b"\n1\n", b"\n2\n"), signatures=note.signatures)
    with pytest.raises(NoteForged):
        verify_note(grown, [log])
