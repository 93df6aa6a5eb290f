"""Writes the vectors of statements, charters, warrants, records, cards and SLIP-39.

`python -m tools.make_vectors_authority`: every run writes the same bytes. Signatures are Ed25519
and deterministic ECDSA; ML-DSA's are drawn afresh each time, and are tested elsewhere.
`vectors/slip39` is a published file and not made here.
"""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from exclave.authority.card import Card, CardSeat, card_text
from exclave.authority.envelope import Envelope, Kind, Signature
from exclave.authority.record import secret_id_of
from exclave.encoding import JsonValue, b64encode, canonical_json
from exclave.ids import Epoch, MissionId, Seat
from exclave.merkle import leaf_hash, tree_root
from exclave.shares import WORDS
from tools import vector_authority as mission
from tools import vector_signatures
from tools.vector_cases import Case, drawn, refused, write
from tools.vector_eras import branches, eras

Payload = dict[str, Any]
Change = Callable[[Payload], object]

# Member 1 of group 2 (2 of 3) of 3 groups, of which 2 are needed; made once by shamir-mnemonic.
SHARE = (
    "forward vexed beard leaf already anatomy hospital western twin coding rocky burden privacy "
    "minister speak hospital tadpole device numerous facility worthy nylon crowd glad minister "
    "primary filter tackle prevent trash unusual diagnose lily"
)


def _text(value: Payload) -> str:
    return canonical_json(value).decode("utf-8")


def _put(*path: str | int, value: Any) -> Change:
    def change(payload: Payload) -> None:
        node: Any = payload
        for part in path[:-1]:
            node = node[part]
        node[path[-1]] = value

    return change


def _with(payload: Payload, change: Change) -> Payload:
    changed = copy.deepcopy(payload)
    change(changed)
    return changed


def statements() -> Iterator[Case]:
    """Envelopes: their form, signatures and persons."""
    envelope = mission.sign(Kind.WARRANT, mission.warrant("00" * 32, "11" * 32), ["anna", "bela"])
    text = envelope.to_bytes().decode("utf-8")
    digest = {
        "hash": envelope.statement_hash.hex(),
        "pae": hashlib.sha256(envelope.pae).hexdigest(),
    }
    first, second = (item.key_id for item in envelope.signatures)
    cases: list[tuple[str, str, str, Payload]] = [
        ("envelope", "an envelope with two signatures", text, dict(digest)),
        (
            "envelope-unsigned",
            "the same without signatures: the hash stays",
            Envelope(payload=envelope.payload, kind=envelope.kind).to_bytes().decode(),
            dict(digest),
        ),
        ("envelope-space", "white space", text.replace('":"', '": "', 1),
         refused("NonCanonicalData", "not canonical JSON")),
        ("envelope-order", "signatures descending", _swapped(envelope, first, second),
         refused("OrderBroken", "signatures are not sorted by keyid")),
        ("envelope-twice", "one keyid twice", text.replace(second, first),
         refused("OrderBroken", "a keyid stands twice")),
        ("envelope-kind", "a media type that is not the payload's kind",
         text.replace("exclave.warrant.", "exclave.record."),
         refused("KindUnexpected", "payload's kind and media type differ")),
        ("envelope-reserved", "a reserved kind", text.replace("exclave.warrant.", "exclave.audit."),
         refused("KindUnexpected", "kind is reserved")),
        ("envelope-version", "version 2", text.replace(".v1+json", ".v2+json"),
         refused("KindUnexpected", "unknown media type")),
        ("envelope-field", "an unknown field", text[:-1] + ',"z":0}',
         refused("FieldUnknown", "unknown field")),
        ("envelope-keyid", "a short keyid", text.replace(first, first[:-2]),
         refused("MalformedData", "keyid is not 32 bytes")),
    ]  # fmt: skip
    for name, what, given, expect in cases:
        yield Case(
            spec="statements.md 1", case=name, operation="parse-envelope", what=what,
            given={"envelope": given}, expect=expect,
        )  # fmt: skip


def _swapped(envelope: Envelope, first: str, second: str) -> str:
    entries: list[JsonValue] = [
        {"keyid": i.key_id, "sig": b64encode(i.value)} for i in envelope.signatures
    ]
    text = envelope.to_bytes().decode()
    forward = canonical_json(entries).decode()
    assert forward in text
    return text.replace(forward, canonical_json(list(reversed(entries))).decode())


def charters() -> Iterator[Case]:
    """Charter 1: good, and one case a rule; then who signed."""
    good = mission.charter()
    digest = hashlib.sha256(canonical_json(good)).hexdigest()
    yield _charter("charter", "a charter of one seat", good, {"mission": digest})
    for name, what, change, error, why in _CHARTER_CASES:
        yield _charter(f"charter-{name}", what, _with(good, change), refused(error, why))
    quorums: list[tuple[str, list[str], Payload]] = [
        ("chain", ["anna", "cyril"], {"mission": digest}),
        ("chain-quorum", ["anna", "dora"],
         refused("QuorumNotReached", "one of three governors signed, two are required")),
    ]  # fmt: skip
    for name, labels, expect in quorums:
        envelope = mission.sign(Kind.CHARTER, good, labels)
        yield _chain(name, [envelope], digest, expect)
    signed = mission.sign(Kind.CHARTER, good, ["anna", "bela", "cyril"])
    spoilt = signed.to_bytes().replace(
        b64encode(signed.signatures[0].value).encode(), b"A" * 86 + b"=="
    )
    yield Case(
        spec="statements.md 4", case="chain-spoilt", operation="verify-chain",
        what="two good signatures and a known key's bad one",
        given={"mission": digest, "charters": [spoilt.decode()]},
        expect=refused("SignatureInvalid", "a known key's signature does not verify"),
    )  # fmt: skip
    yield _chain("chain-mission", [signed], "22" * 32,
                 refused("MissionMismatch", "charter 1 is not the mission's"))  # fmt: skip
    yield from _successors(good, digest, signed)
    yield from _mixed(good)


def _successors(good: Payload, digest: str, first: Envelope) -> Iterator[Case]:
    next_one = _with(good, lambda item: item.update(mission=digest, version=2, previous=digest))
    anna_out = _with(
        next_one,
        _put("rosters", "govern", "members",
             value=sorted(mission.official_id(label) for label in mission.HOME[1:])),
    )  # fmt: skip
    cases: list[tuple[str, Payload, list[str], Payload]] = [
        ("chain-two", next_one, ["anna", "bela"], {"mission": digest}),
        ("chain-old-quorum-only", anna_out, ["anna", "bela"],
         refused("QuorumNotReached", "the new charter's own threshold is not reached")),
        ("chain-gap", _with(next_one, _put("version", value=3)), ["anna", "bela"],
         refused("ChainGap", "version 2 is missing")),
        ("chain-previous", _with(next_one, _put("previous", value="33" * 32)), ["anna", "bela"],
         refused("ChainBroken", "previous is another hash")),
        ("chain-epoch", _with(next_one, _put("recovery", 0, "check", value="00" * 16)),
         ["anna", "bela"], refused("HistoryRewritten", "an epoch's key-check value was altered")),
    ]  # fmt: skip
    for name, payload, labels, expect in cases:
        yield _chain(name, [first, mission.sign(Kind.CHARTER, payload, labels)], digest, expect)
    for name, envelopes, expect in [*branches(next_one, first), *eras(next_one, first)]:
        yield _chain(name, envelopes, digest, expect)


def _mixed(good: Payload) -> Iterator[Case]:
    """Two governors sign with a security key and a card of P-384, one of them badly."""
    token, card = vector_signatures.token_key(), vector_signatures.card_key()
    mixed = copy.deepcopy(good)
    for label, key in (("anna", token), ("bela", card)):
        person = next(p for p in mixed["officials"] if p["id"] == mission.official_id(label))
        person["key_sets"] = [[key.to_json()]]
    digest = hashlib.sha256(canonical_json(mixed)).hexdigest()
    bare = Envelope(payload=canonical_json(mixed), kind=Kind.CHARTER)
    by_card = bare.with_signature(card, vector_signatures.sign_with_card(bare.pae))
    for name, flags, expect in (
        ("chain-mixed", 0x05, {"mission": digest}),
        ("chain-mixed-touched", 0x01, refused("HolderUnverified", "one only touched his key")),
    ):
        value = vector_signatures.Blob(flags=flags, message=bare.pae).encode()
        signatures = (*by_card.signatures, Signature(token.key_id, value))
        ordered = tuple(sorted(signatures, key=lambda item: item.key_id))
        yield _chain(name, [replace(bare, signatures=ordered)], digest, expect)


def _charter(name: str, what: str, payload: Payload, expect: Payload) -> Case:
    return Case(
        spec="authority.md 2", case=name, operation="parse-charter", what=what,
        given={"payload": _text(payload)}, expect=expect,
    )  # fmt: skip


def _chain(name: str, envelopes: list[Envelope], digest: str, expect: Payload) -> Case:
    return Case(
        spec="authority.md 3", case=name, operation="verify-chain",
        what="a chain of charters from the mission id on",
        given={"mission": digest, "charters": [item.to_bytes().decode() for item in envelopes]},
        expect=expect,
    )  # fmt: skip


def _add_home_to_exile(payload: Payload) -> None:
    payload["rosters"]["exile_1"]["members"].append(mission.official_id("anna"))
    payload["rosters"]["exile_1"]["members"].sort()


_CHARTER_CASES: list[tuple[str, str, Change, str, str]] = [
    ("missing", "without its drill", lambda p: p.pop("drill"), "FieldMissing",
     "a field is missing"),
    ("unknown", "with a field more", lambda p: p.update(extra=1), "FieldUnknown", "unknown field"),
    ("type", "a number as text", _put("era", value="1"), "FieldInvalid", "era is no integer"),
    ("suite", "suite 2", _put("suite", value=2), "FieldInvalid", "suite 2 is unknown"),
    ("line", "a name of two lines", _put("state", "name", value="a\nb"), "FieldInvalid",
     "text is one line"),
    ("address", "an address with a name", _put("seats", 0, "addresses", 0, "data", value="vault:1"),
     "FieldInvalid", "not an IP address"),
    ("first", "charter 1 with a mission", _put("mission", value="44" * 32), "FirstCharterInvalid",
     "charter 1 names no mission"),
    ("validity", "expires when issued", _put("advisory_expiry", value="2026-01-02T03:04:05Z"),
     "ValidityInverted", "advisory expiry is not after issued"),
    ("n", "n is not the number of seats", _put("dispersal", "n", value=2), "DispersalImpossible",
     "n is not the number of seats in use"),
    ("k", "k above h", _put("dispersal", "k", value=2), "DispersalImpossible", "k exceeds h"),
    ("threshold", "a threshold above the members", _put("rosters", "read", "threshold", value=4),
     "RosterInvalid", "threshold exceeds members"),
    ("member", "a member who is no official",
     _put("rosters", "alarm", "members", value=["p-0000000000000000"]), "RosterInvalid",
     "member is no official"),
    ("order", "members descending", lambda p: p["rosters"]["read"]["members"].reverse(),
     "OrderBroken", "members do not ascend"),
    ("key-twice", "an official's key is the log key",
     lambda p: p["officials"][0]["key_sets"].append([p["seats"][0]["log_key"]]), "KeyReused",
     "a key stands in two places"),
    ("key-renamed", "the log key, named an SSH key, is an official's too",
     lambda p: p["officials"][0]["key_sets"].append([p["seats"][0]["log_key"] | {"alg":
     "sshsig-ed25519"}]), "KeyReused", "a key stands in two places under two names"),
    ("key-ecdsa", "an official's ECDSA key beside its curve",
     lambda p: p["officials"][0]["key_sets"].append([{"alg": "ecdsa-p384",
     "key": b64encode(b"\x04" + bytes(96))}]), "KeyInvalid", "the point is not on the curve"),
    ("exile-overlap", "one person in both exile rosters",
     lambda p: p["rosters"]["exile_2"].update(p["rosters"]["exile_1"], delay=200),
     "ExileRostersOverlap", "exile rosters are not disjoint"),
    ("exile-home", "an exile member at home", _add_home_to_exile, "ExileMemberAtHome",
     "an exile member is at home"),
    ("exile-all", "an exile threshold of all", _put("rosters", "exile_1", "threshold", value=2),
     "ExileThresholdTooHigh", "threshold is not below the number of members"),
    ("exile-delay", "the second exile as quick as the first",
     _put("rosters", "exile_2", "delay", value=100), "ExileDelaysDisordered",
     "the delay of exile_2 does not exceed that of exile_1"),
    ("override", "an override as easy as reading",
     lambda p: p["rosters"]["override"].update(threshold=2), "OverrideTooWeak",
     "override's threshold exceeds neither read's nor its members"),
    ("epoch", "no current epoch", _put("recovery", 0, "current", value=False),
     "EpochsInconsistent", "the highest epoch is not current"),
    ("exile-groups", "too few groups abroad",
     _put("recovery", 0, "groups", 0, "place", value="home"),
     "ExileCannotRecombine", "groups abroad number less than the group threshold"),
    ("exile-state", "all groups abroad in one state",
     _put("recovery", 0, "groups", 0, "state", value="XC"), "ExileCannotRecombine",
     "groups abroad lie in one state"),
    ("group-copies", "a group of copies", _put("recovery", 0, "groups", 0, "threshold", value=1),
     "LayoutImpossible", "threshold 1 with three members"),
    ("witness-q", "a quorum beyond the witnesses", _put("witness", "q", value=2),
     "WitnessQuorumInvalid", "q exceeds the number of witnesses"),
    ("witness-f", "a liar among one", lambda p: p["witness"].update(f=1), "WitnessQuorumInvalid",
     "q is not above (w + f) / 2"),
    ("change-delay", "an exile-change delay below another",
     _put("delays", "exile_change", value=199), "ChangeDelayTooShort",
     "exile_change is not the longest delay"),
]  # fmt: skip


def warrants() -> Iterator[Case]:
    """Warrants under the charter of the vectors, and where they stand at a vault."""
    founding = mission.charter()
    digest = hashlib.sha256(canonical_json(founding)).hexdigest()
    signed = mission.sign(Kind.CHARTER, founding, ["anna", "bela"]).to_bytes().decode()
    good = mission.warrant(digest, digest)
    cases: list[tuple[str, Change, list[str], Payload]] = [
        ("warrant", lambda p: None, ["anna", "bela"], {"deposits": ["all"]}),
        ("warrant-one", _put("deposits", value=["55" * 16]), ["anna", "bela"],
         {"deposits": ["55" * 16]}),
        ("warrant-quorum", lambda p: None, ["anna"],
         refused("QuorumNotReached", "one of three readers signed, two are required")),
        ("warrant-exile", lambda p: None, ["dora"], {"deposits": good["deposits"]}),
        ("warrant-mission", _put("mission", value="66" * 32), ["anna", "bela"],
         refused("MissionMismatch", "another mission")),
        ("warrant-charter", _put("charter", value="66" * 32), ["anna", "bela"],
         refused("WarrantUnderOtherCharter", "names another charter")),
        ("warrant-expiry", _put("expires", value="2026-02-01T00:00:00Z"), ["anna", "bela"],
         refused("WarrantExpiryInverted", "expires when it is issued")),
        ("warrant-order", _put("deposits", value=["66" * 16, "55" * 16]), ["anna", "bela"],
         refused("OrderBroken", "deposits do not ascend")),
        ("warrant-none", _put("deposits", value=[]), ["anna", "bela"],
         refused("FieldInvalid", "no deposit")),
        ("warrant-key", lambda p: p.update(unseal_key=p["reader_key"]), ["anna", "bela"],
         refused("FieldInvalid", "unseal_key does not seal")),
    ]  # fmt: skip
    for name, change, labels, expect in cases:
        envelope = mission.sign(Kind.WARRANT, _with(good, change), labels)
        yield Case(
            spec="authority.md 6", case=name, operation="verify-warrant",
            what="a warrant against the charter that it names",
            given={"charter": signed, "warrant": envelope.to_bytes().decode()}, expect=expect,
        )  # fmt: skip


def records() -> Iterator[Case]:
    """Records, and the live sets of short chains."""
    first = _record(1, None, True, added=["a", "b"], live=["a", "b"])
    second = _record(2, _hash(first), False, added=["c"], dropped=["b"], live=["a", "c"])
    yield _records("record", [first], {"live": _roots(["a", "b"])})
    yield _records("record-next", [first, second], {"live": _roots(["a", "c"])})
    cases: list[tuple[str, list[Payload], str, str]] = [
        ("set-root", [first, _with(second, _put("set_root", value="00" * 32))], "SetRootMismatch",
         "set_root is not the live set's"),
        ("not-full", [_with(first, _put("full", value=False))], "RecordInconsistent",
         "sequence 1 is not full"),
        ("no-previous", [_with(second, _put("previous", value=None))], "RecordInconsistent",
         "sequence 2 without previous"),
        ("ancestor", [second], "AncestorMissing", "the record before is unknown"),
        ("drop-unknown", [first, _with(second, _put("packs_dropped", value=["77" * 32]))],
         "RecordInconsistent", "drops a pack that is not live"),
        ("secret-missing", [_with(first, _put("secrets_added", value=[]))], "RecordInconsistent",
         "a live pack names a secret that nobody added"),
        ("order", [_with(first, lambda p: p["packs_added"].reverse())], "OrderBroken",
         "packs do not ascend"),
        ("manifest", [_with(first, lambda p: p.update(manifest_packs=p["manifest_packs"] * 2))],
         "RecordInconsistent", "a manifest pack stands twice"),
        ("epoch", [first, _with(second, _put("epoch", value=2))], "RecordInconsistent",
         "live packs of another epoch"),
        ("sequence", [first, _with(second, _put("sequence", value=3))], "RecordInconsistent",
         "sequence 3 follows 1"),
        ("few-shards", [_with(first, lambda p: p["packs_added"][0].update(k=3))],
         "PackSeatsInvalid", "fewer shards than k"),
        ("shard-twice", [_with(first, lambda p: _share_root(p, 0, 1))], "ShardRootRepeated",
         "two packs name one shard root"),
        ("shard-seats", [_with(first, lambda p: _share_root(p, 0, 0))], "ShardRootRepeated",
         "two seats of a pack name one shard root"),
    ]  # fmt: skip
    for name, chain, error, why in cases:
        yield _records(f"record-{name}", chain, refused(error, why))


_SEALED = drawn("record secret", 1168)


def _share_root(payload: Payload, one: int, other: int) -> None:
    packs = payload["packs_added"]
    packs[other]["shards"][1][1] = packs[one]["shards"][0][1]


def _root(label: str) -> str:
    return drawn(f"record pack {label}", 32).hex()


def _roots(labels: list[str]) -> list[str]:
    return sorted(_root(label) for label in labels)


def _hash(payload: Payload) -> str:
    return hashlib.sha256(canonical_json(payload)).hexdigest()


def _record(
    sequence: int, previous: str | None, full: bool, *,
    added: list[str], live: list[str], dropped: tuple[str, ...] | list[str] = (),
) -> Payload:  # fmt: skip
    packs = [
        {
            "root": _root(label), "length": 4096, "k": 2, "secret": secret_id_of(_SEALED).hex(),
            "kind": "data" if label == "a" else "manifest",
            "shards": [[1, drawn(f"shard 1 {label}", 32).hex()],
                       [2, drawn(f"shard 2 {label}", 32).hex()]],
        }
        for label in added
    ]  # fmt: skip
    roots = [bytes.fromhex(root) for root in _roots(live)]
    return {
        "kind": "record", "mission": drawn("mission", 32).hex(),
        "charter": drawn("charter hash", 32).hex(), "depositor": "registry-1",
        "deposit": drawn(f"deposit {sequence}", 16).hex(), "epoch": 1, "sequence": sequence,
        "previous": previous, "full": full,
        "secrets_added": [{"deposit": drawn("deposit 1", 16).hex(), "sealed": b64encode(_SEALED)}]
        if full else [],
        "secrets_dropped": [],
        "packs_added": sorted(packs, key=lambda pack: str(pack["root"])),
        "packs_dropped": _roots(list(dropped)),
        "set_root": tree_root(leaf_hash(root) for root in roots).hex(),
        "manifest_packs": [_root(label) for label in live if label != "a"],
        "claimed_time": "2026-03-01T00:00:00Z",
    }  # fmt: skip


def _records(name: str, chain: list[Payload], expect: Payload) -> Case:
    return Case(
        spec="records.md 2", case=name, operation="live-set",
        what="the live set after the last of these records",
        given={"payloads": [_text(payload) for payload in chain]}, expect=expect,
    )  # fmt: skip


def cards() -> Iterator[Case]:
    """Cards and lists of words."""
    good = card_text(_card())
    yield _card_case("card", "a card", good, {"group": 2, "member": 1, "words": SHARE.split()})
    for name, what, text, error, why in [
        ("title", "of version 2", good.replace("card v1", "card v2"), "FormatTooNew", "version"),
        ("checksum", "a digit of the mission id changed", good.replace("mission: 0", "mission: 1"),
         "MissionChecksumWrong", "checksum does not fit"),
        ("order", "two lines exchanged", _exchanged(good, 4, 5), "CardMalformed", "order of lines"),
        ("space", "a space at a line's end", good.replace("epoch: 3\n", "epoch: 3 \n"),
         "CardMalformed", "not a number"),
        ("words", "a word missing", good.replace(" hospital", "", 1), "WordCountWrong", "32 words"),
        ("end", "without its last line end", good[:-1], "NonCanonicalData", "line end missing"),
    ]:  # fmt: skip
        yield _card_case(f"card-{name}", what, text, refused(error, why))
    mistyped = SHARE.replace("hospital", "hospitl", 1)
    lists: list[tuple[str, str, Payload]] = [
        ("words", SHARE, {"words": SHARE.split()}),
        ("words-short", " ".join(word[:4].upper() for word in SHARE.split()),
         {"words": SHARE.split()}),
        ("words-unknown", mistyped, refused("WordUnknown", "a word is not in the list")),
        ("words-count", SHARE + " lily", refused("WordCountWrong", "34 words")),
    ]  # fmt: skip
    for name, text, expect in lists:
        yield Case(
            spec="cards.md 2", case=name, operation="read-words", what="the words of a card",
            given={"text": text}, expect=expect,
        )  # fmt: skip


def _exchanged(text: str, one: int, other: int) -> str:
    lines = text.split("\n")
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _card_case(name: str, what: str, text: str, expect: Payload) -> Case:
    return Case(
        spec="cards.md 2", case=name, operation="parse-card", what=what, given={"card": text},
        expect=expect,
    )  # fmt: skip


def _card() -> Card:
    assert all(word in WORDS.words for word in SHARE.split())
    seat = CardSeat(
        seat=Seat(1), state="XB", data="10.0.0.1:7001", public="[fd00::1]:7002",
        log_key_id=drawn("log key id", 32).hex(), identity_hash=drawn("identity hash", 32),
    )  # fmt: skip
    return Card(
        mission=MissionId(bytes(range(32))), state_code="XA", state_name="Exemplia, the old",
        epoch=Epoch(3), share_set=11710, group=2, groups=3, group_name="west, needs care",
        threshold=2, members=3, member=1, groups_needed=2, recovery_key=drawn("key hash", 32),
        seats=(seat,), reader="beside the data", words=tuple(SHARE.split()),
    )  # fmt: skip


def folders() -> dict[str, list[Case]]:
    """All cases by folder."""
    return {
        "statements": [
            *statements(),
            *vector_signatures.detached_cases(),
            *vector_signatures.cases(),
        ],
        "charter": list(charters()),
        "warrant": list(warrants()),
        "records": list(records()),
        "cards": list(cards()),
    }


if __name__ == "__main__":
    total = sum(write(folder, cases) for folder, cases in folders().items())
    print(f"{total} vectors of authority")
    sys.exit(0 if total else 1)
