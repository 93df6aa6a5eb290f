"""Writes vectors/certificates: `python -m tools.make_vectors_certificates`; the same bytes always.

Certificates are made here from the fields of spec/certificates.md; nothing of
`exclave.certificate` is used.
"""

import hashlib
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from exclave.encoding import b64encode, canonical_json
from tests.oracles import sealing as oracle
from tools.vector_cases import Case, drawn, refused, write
from tools.vector_mission import DEPOSIT, EPOCH, MISSION, PUBLIC, SEED

Payload = dict[str, Any]

_ASSERTION: Payload = {"name": "owners", "held": True, "said": "t", "ms": 12}
_COMMON: Payload = {
    "id": "land", "title": "Land register", "captured": "2026-03-01T12:00:00Z", "rows": 1000,
    "files": 0, "objects": 12, "differences": 0, "not_compared": [], "assertions": [_ASSERTION],
}  # fmt: skip
_RESULTS: Payload = {
    "mission": MISSION.hex(), "charter": drawn("charter", 32).hex(),
    "salt": drawn("salt", 32).hex(),
    "software": "exclave/1.0", "plan": drawn("plan", 32).hex(), "declared": ["land", "scans"],
    "deposit": DEPOSIT.hex(), "record": drawn("record", 32).hex(), "failure": None, "passed": True,
    "started": "2026-03-02T09:00:00Z", "ended": "2026-03-02T09:10:00Z",
}  # fmt: skip
_PROVEN: Payload = {"from_packs": 4096, "from_source": 123_456}
_DRILLED: Payload = {
    "rto": 3600, "forecast": 600, "restore_ms": 200_000, "compare_ms": 90_000, "work_ms": 300_000,
    "rto_ms": 900_000, "in_time": True, "foreseen": False,
}  # fmt: skip


def _registers(more: Payload, **changes: Any) -> list[Payload]:
    """The land register, changed, and the scans beside it."""
    second = {"id": "scans", "title": "Scans", "rows": 0, "files": 7, "assertions": []}
    return [_COMMON | more | changes, _COMMON | more | second]


def _proof(**changes: Any) -> Payload:
    body = {"kind": "proof", "depositor": "home", "registers": _registers(_PROVEN)}
    return _RESULTS | body | changes


def _drill(**changes: Any) -> Payload:
    body = {
        "kind": "drill", "warrant": drawn("warrant", 32).hex(), "prepared": "2026-03-02T08:55:00Z",
        "delay": 172_800, "only": [], "registers": _registers(_DRILLED),
    }  # fmt: skip
    return _RESULTS | body | changes


def _verdicts(make: Any, more: Payload) -> Iterator[tuple[str, str, Payload, Payload]]:
    """The verdict follows from the rest, or is refused."""
    unheld = [_ASSERTION | {"held": False, "said": "f"}]
    unfounded = "the verdict is not what was found"
    yield "whole", "everything is good", make(), {"passed": True}
    for name, what, changes in (
        ("differs", "a register differs", {"registers": _registers(more, differences=1)}),
        ("unheld", "an assertion did not hold",
         {"registers": _registers(more, assertions=unheld)}),
        ("partial", "fewer registers than there have to be",
         {"registers": _registers(more)[:1]}),
        ("nothing", "no register", {"registers": []}),
        ("failure", "it was ended by a failure", {"failure": "no space left"}),
    ):  # fmt: skip
        yield f"{name}-not-passed", what, make(**changes, passed=False), {"passed": False}
        yield (
            f"{name}-passed",
            f"{what}, and yet it passed",
            make(**changes),
            refused("VerdictUnfounded", unfounded),
        )
    yield (
        "whole-not-passed",
        "everything is good, and yet it failed",
        make(passed=False),
        refused("VerdictUnfounded", unfounded),
    )


def _forms(make: Any, more: Payload) -> Iterator[tuple[str, str, Payload, Payload]]:
    """What is not the format."""
    yield (
        "twice",
        "a register twice",
        make(registers=[*_registers(more), *_registers(more)[:1]]),
        refused("FieldInvalid", "a register stands twice"),
    )
    yield (
        "declared-twice",
        "a declared register twice",
        make(declared=["land", "land", "scans"]),
        refused("FieldInvalid", "a declared register stands twice"),
    )
    yield (
        "declared-none",
        "no declared register",
        make(declared=[]),
        refused("FieldInvalid", "at least one has to be declared"),
    )
    yield (
        "ended",
        "ended before it started",
        make(ended="2026-03-02T08:59:59Z"),
        refused("FieldInvalid", "it ended before it started"),
    )
    yield (
        "title",
        "a title of two lines",
        make(registers=_registers(more, title="a\nb")),
        refused("FieldInvalid", "not one line"),
    )
    yield (
        "salt",
        "a salt of 16 bytes",
        make(salt="00" * 16),
        refused("MalformedData", "a salt has 32 bytes"),
    )
    yield "field", "a field more", make(note="x"), refused("FieldUnknown", "unknown field")
    lacking = make()
    lacking.pop("failure")
    yield "missing", "no failure field", lacking, refused("FieldMissing", "a field is missing")


def _times() -> Iterator[tuple[str, str, Payload, Payload]]:
    yield (
        "no-forecast",
        "a register without a forecast",
        _drill(registers=_registers(_DRILLED, forecast=None, foreseen=None)),
        {"passed": True},
    )
    yield (
        "only",
        "held of one register, which came back: no passed drill all the same",
        _drill(only=["land"], registers=_registers(_DRILLED)[:1], passed=False),
        {"passed": False},
    )
    measured = refused("VerdictUnfounded", "what follows from the figures is computed")
    for name, what, changes, expect in (
        ("late", "a register back after its RTO: passed",
         {"rto_ms": 3_600_001, "in_time": False}, {"passed": True}),
        ("late-in-time", "a register back after its RTO that says in time",
         {"rto_ms": 3_600_001}, measured),
        ("foreseen", "30 % less than forecast",
         {"forecast": 428, "work_ms": 300_000, "foreseen": True}, {"passed": True}),
        ("foreseen-not", "a little more than 30 % off that says foreseen",
         {"forecast": 429, "work_ms": 300_000, "foreseen": True}, measured),
        ("foreseen-least", "ten seconds off a forecast of one",
         {"forecast": 1, "work_ms": 11_000, "foreseen": True}, {"passed": True}),
        ("foreseen-null", "a forecast of which it is not said whether it held",
         {"foreseen": None}, measured),
        ("works", "the second register's work less than the first's",
         {"work_ms": 300_001}, refused("FieldInvalid", "work counts from the same begin")),
    ):  # fmt: skip
        yield name, what, _drill(registers=_registers(_DRILLED, **changes)), expect
    for name, what, only in (
        ("only-twice", "held of a register twice", ["land", "land", "scans"]),
        ("only-others", "a register that it was not held of", ["land"]),
    ):
        yield name, what, _drill(only=only), refused("FieldInvalid", what)
    yield (
        "rto",
        "less time since the warrant than work",
        _drill(registers=_registers(_DRILLED, rto_ms=299_999)),
        refused("FieldInvalid", "the warrant came first"),
    )


def certificates() -> Iterator[Case]:
    """Proofs and drills."""
    proofs = [*_verdicts(_proof, _PROVEN), *_forms(_proof, _PROVEN)]
    drills = [*_verdicts(_drill, _DRILLED), *_forms(_drill, _DRILLED), *_times()]
    for kind, section, cases in (("proof", 3, proofs), ("drill", 4, drills)):
        for name, what, payload, expect in cases:
            yield Case(
                spec=f"certificates.md {section}", case=f"{kind}-{name}", what=what, expect=expect,
                operation=f"parse-{kind}", given={"payload": canonical_json(payload).decode()},
            )  # fmt: skip


_OPEN: Payload = {
    "payload": canonical_json(_proof()).decode(),
    "payloadType": "application/vnd.exclave.proof.v1+json",
    "signatures": [{"keyid": drawn("key id", 32).hex(), "sig": b64encode(drawn("sig", 64))}],
}  # fmt: skip
_CERTIFICATE = hashlib.sha256(canonical_json(_proof())).digest()
_INFO = b"exclave/1/attestation\0" + MISSION + _CERTIFICATE + EPOCH.to_bytes(4)


def _filled(text: bytes, *, length: int = 0, end: bytes = b"") -> bytes:
    packed = zlib.compress(text, 9) + end
    data = (length + len(packed)).to_bytes(4) + packed
    return data + bytes(-len(data) % 4096)


def _sealed(plaintext: bytes, info: bytes = _INFO) -> str:
    return b64encode(oracle.hpke_seal(PUBLIC, plaintext, info, drawn("attestation enc", 64)))


def _sealed_standing() -> Payload:
    name = hashlib.sha256(canonical_json(_STANDING)).digest()
    info = b"exclave/1/attestation\0" + MISSION + name + EPOCH.to_bytes(4)
    shown = _OPEN | {
        "payload": canonical_json(_STANDING).decode(),
        "payloadType": "application/vnd.exclave.standing.v1+json",
    }
    return {"certificate": name.hex(), "sealed": _sealed(_filled(canonical_json(shown)), info)}


def attestations() -> Iterator[Case]:
    """What the logs keep, and what opens."""
    good = canonical_json(_OPEN)
    whole = {"certificate": _CERTIFICATE.hex(), "passed": True}
    statement: Payload = {
        "kind": "attestation", "mission": MISSION.hex(), "depositor": "home",
        "certificate": _CERTIFICATE.hex(), "epoch": EPOCH, "sealed": _sealed(_filled(good)),
        "time": "2026-03-02T09:11:00Z",
    }  # fmt: skip
    drill = _OPEN | {"payload": canonical_json(_drill()).decode()}
    more = drawn("another certificate", 32)
    other_info = b"exclave/1/attestation\0" + MISSION + more + EPOCH.to_bytes(4)
    cases: list[tuple[str, str, Payload, Payload]] = [
        ("attestation", "a certificate is opened", {}, whole),
        ("attestation-hash-alone", "nothing is sealed", {"sealed": ""},
         refused("NothingSealed", "it is of an auditor's certificate")),
        ("attestation-standing", "an auditor's certificate is sealed", _sealed_standing(),
         refused("KindUnexpected", "only its hash is logged")),
        ("attestation-field", "a field more", {"title": "Land"},
         refused("FieldUnknown", "unknown field")),
        ("attestation-epoch", "epoch 0", {"epoch": 0}, refused("FieldInvalid", "no epoch 0")),
        ("attestation-other-epoch", "bound to another epoch", {"epoch": EPOCH + 1},
         refused("SealedValueRejected", "the info has another epoch")),
        ("attestation-other-hash", "another hash than the sealed one's",
         {"certificate": more.hex()}, refused("SealedValueRejected", "the info has another hash")),
        ("attestation-mismatch", "sealed under the hash of another certificate",
         {"certificate": more.hex(), "sealed": _sealed(_filled(good), other_info)},
         refused("SealedMismatch", "the opened certificate has another hash")),
        ("attestation-short", "not filled up", {"sealed": _sealed(_filled(good)[:-1])},
         refused("MalformedData", "not a multiple of 4,096 bytes")),
        ("attestation-filled-twice", "a step more than needed",
         {"sealed": _sealed(_filled(good) + bytes(4096))},
         refused("MalformedData", "4,096 zeros too many")),
        ("attestation-padding", "something behind the length",
         {"sealed": _sealed(_filled(good, length=-1))},
         refused("MalformedData", "not zeros")),
        ("attestation-length", "longer than it is", {"sealed": _sealed(_filled(good, length=9999))},
         refused("MalformedData", "beyond the end")),
        ("attestation-trailing", "something behind the zlib stream",
         {"sealed": _sealed(_filled(good, end=b"x"))},
         refused("MalformedData", "more than one stream")),
        ("attestation-bomb", "more than 1 MiB",
         {"sealed": _sealed(_filled(b" " * (2**20 + 1)))},
         refused("MalformedData", "too long when opened")),
        ("attestation-spaces", "not canonical", {"sealed": _sealed(_filled(good + b" "))},
         refused("NonCanonicalData", "white space")),
        ("attestation-kind", "another kind than its payload's",
         {"sealed": _sealed(_filled(canonical_json(drill)))},
         refused("KindUnexpected", "the payload is a drill")),
    ]  # fmt: skip
    for name, what, change, expect in cases:
        yield Case(
            spec="certificates.md 5", case=name, operation="open-attestation", what=what,
            given={"seed": SEED.hex(), "payload": canonical_json(statement | change).decode()},
            expect=expect,
        )  # fmt: skip


_STANDING_REGISTER: Payload = {
    "id": "land", "title": "Land register", "owner": "Ministry of Justice",
    "classification": "restricted", "rpo": 86_400, "rto": 172_800,
    "record": drawn("record", 32).hex(), "captured": "2026-03-01T12:00:00Z", "proof": None,
    "drill": None,
}  # fmt: skip
_HELD: Payload = {
    "deposit": DEPOSIT.hex(), "record": drawn("record", 32).hex(), "k": 2, "n": 3,
    "held": [[1, b64encode(b"a receipt")], [2, b64encode(b"another")]],
}  # fmt: skip
_STANDING: Payload = {
    "kind": "standing", "mission": MISSION.hex(), "charter": drawn("charter", 32).hex(),
    "salt": drawn("salt", 32).hex(), "software": "exclave/1.0", "depositor": "home",
    "time": "2026-03-02T09:00:00Z", "plan": drawn("plan", 32).hex(),
    "registers": [_STANDING_REGISTER], "deposits": [_HELD], "statements": [],
}  # fmt: skip


def standings() -> Iterator[Case]:
    """The auditor's certificate: its form; what it carries is checked with charters."""
    never = _STANDING_REGISTER | {"id": "wills", "record": None, "captured": None}
    half = _STANDING_REGISTER | {"captured": None}
    turned = _HELD | {"held": _HELD["held"][::-1]}
    other = _HELD | {"record": drawn("other record", 32).hex()}
    enveloped = canonical_json({
        "payload": b64encode(canonical_json(_proof())),
        "payloadType": "application/vnd.exclave.proof.v1+json", "signatures": [],
    })  # fmt: skip
    foreign = enveloped.replace(b"exclave.proof", b"exclave.alarm")
    cases: list[tuple[str, str, Payload, Payload]] = [
        ("standing", "a register that is held", {}, {"registers": 1, "deposits": 1}),
        ("standing-never", "a register that was never deposited",
         {"registers": [_STANDING_REGISTER, never]}, {"registers": 2, "deposits": 1}),
        ("standing-carried", "a statement beside it", {"statements": [b64encode(enveloped)]},
         {"registers": 1, "deposits": 1}),
        ("standing-empty", "no register", {"registers": [], "deposits": []},
         refused("FieldInvalid", "at least one register")),
        ("standing-twice", "a register twice", {"registers": [_STANDING_REGISTER] * 2},
         refused("FieldInvalid", "a register stands twice")),
        ("standing-captured", "a record without its time", {"registers": [half]},
         refused("FieldInvalid", "record and captured are there together")),
        ("standing-unnamed", "a deposit that no register names",
         {"deposits": sorted([_HELD, other], key=lambda item: item["record"])},
         refused("FieldInvalid", "deposits are those that registers name")),
        ("standing-lacking", "a record whose deposit is not there", {"deposits": []},
         refused("FieldInvalid", "deposits are those that registers name")),
        ("standing-seats", "seats descending", {"deposits": [turned]},
         refused("OrderBroken", "seats do not ascend")),
        ("standing-kind", "a statement of another kind",
         {"statements": [b64encode(foreign)]},
         refused("KindUnexpected", "proofs, drills and warrants are carried")),
        ("standing-statements", "one statement twice",
         {"statements": [b64encode(enveloped)] * 2},
         refused("OrderBroken", "statements do not ascend")),
        ("standing-field", "a field more", {"note": "x"}, refused("FieldUnknown", "unknown field")),
    ]  # fmt: skip
    for name, what, change, expect in cases:
        yield Case(
            spec="certificates.md 6", case=name, operation="parse-standing", what=what,
            given={"payload": canonical_json(_STANDING | change).decode()}, expect=expect,
        )  # fmt: skip


def folders() -> dict[str, list[Case]]:
    """All cases by folder."""
    return {"certificates": [*certificates(), *attestations(), *standings()]}


if __name__ == "__main__":
    total = sum(write(folder, cases) for folder, cases in folders().items())
    print(f"{total} vectors of certificates")
    sys.exit(0 if total else 1)
