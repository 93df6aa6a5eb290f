"""Writes the vectors of orders: `python -m tools.make_vectors_orders`.

Every run writes the same bytes. One good order a kind, and one failure each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from exclave.authority.envelope import Kind
from tools import vector_authority as mission
from tools.vector_cases import Case, drawn, refused, write

Payload = dict[str, Any]
Bad = tuple[str, str, Kind, Payload, str, str]

__all__ = ["folders", "payload"]


def _names(label: str, count: int, size: int = 32) -> list[str]:
    return sorted(drawn(f"{label} {number}", size).hex() for number in range(count))


OWN: dict[Kind, Payload] = {
    Kind.VETO: {"target": drawn("target", 32).hex()},
    Kind.LOCKDOWN: {},
    Kind.HOLD: {"deposits": ["all"]},
    Kind.EXTEND: {"deposits": _names("deposit", 2, 16), "until": "2105-12-31T23:59:59Z"},
    Kind.COMPROMISE: {"depositors": ["registry-1", "registry-2"], "since": "2026-02-01T00:00:00Z"},
    Kind.RELEASE: {"packs": _names("pack", 3)},
    Kind.LIFT: {"holds": _names("hold", 2)},
    Kind.NARROW: {"compromise": drawn("compromise", 32).hex(), "since": None},
    Kind.UNLOCK: {"lockdowns": _names("lockdown", 2)},
    Kind.AGREEMENT: {
        "version": 1,
        "previous": None,
        "state": "XB",
        "key": mission.public("state").to_json(),
        "seats": [{"seat": 1, "addresses": [{"data": "10.0.0.5:8443", "public": "10.0.0.5:8080"}]}],
        "capacity": 10**12,
        "retention": 3650,
        "delays": {"govern": 100, "read": 50, "release": 100, "exile_change": 300},
        "witness": {"seats": [1], "freshness": 60},
        "maintenance": ["enter", "update-software"],
        "notice": 86400,
        "treaty": drawn("treaty", 32).hex(),
        "from": "2026-01-01T00:00:00Z",
        "until": None,
    },
    Kind.TERMINATE: {"agreement": drawn("agreement", 32).hex()},
    Kind.GRANT: {
        "seat": 1,
        "act": "enter",
        "from": "2026-05-01T00:00:00Z",
        "until": "2026-06-01T00:00:00Z",
    },
    Kind.DECLARE: {
        "seat": 1,
        "act": "restart",
        "from": "2026-05-01T00:00:00Z",
        "until": "2026-05-08T00:00:00Z",
    },
}
"""The fields of a good order of each kind beside the common ones."""


def payload(kind: Kind, **changes: Any) -> Payload:
    """A good order's payload with some fields changed."""
    return {
        "kind": kind.value, "mission": drawn("mission", 32).hex(),
        "charter": drawn("charter hash", 32).hex(), "nonce": drawn("nonce", 16).hex(),
        "issued": "2026-03-01T00:00:00Z", "reason": "vectors", **OWN[kind], **changes,
    }  # fmt: skip


def _without(kind: Kind, name: str) -> Payload:
    return {key: value for key, value in payload(kind).items() if key != name}


_LINE = "a reason is one line"
_BAD: list[Bad] = [
    ("nonce", "a nonce of 15 bytes", Kind.LOCKDOWN, payload(Kind.LOCKDOWN, nonce="00" * 15),
     "MalformedData", "nonce is not 16 bytes"),
    ("reason", "a reason of two lines", Kind.LOCKDOWN, payload(Kind.LOCKDOWN, reason="a\nb"),
     "FieldInvalid", _LINE),
    ("missing", "without its reason", Kind.LOCKDOWN, _without(Kind.LOCKDOWN, "reason"),
     "FieldMissing", "reason is missing"),
    ("unknown", "a lockdown with a target", Kind.LOCKDOWN, payload(Kind.LOCKDOWN, target="00" * 32),
     "FieldUnknown", "a lockdown has no field of its own"),
    ("time", "issued on a 30th of February", Kind.LOCKDOWN,
     payload(Kind.LOCKDOWN, issued="2026-02-30T00:00:00Z"), "FieldInvalid", "no such day"),
    ("target", "a target of 16 bytes", Kind.VETO, payload(Kind.VETO, target="00" * 16),
     "MalformedData", "target is no statement hash"),
    ("hold-none", "a hold of no deposit", Kind.HOLD, payload(Kind.HOLD, deposits=[]),
     "NamesOutOfBounds", "no deposit"),
    ("hold-all", "all and one more", Kind.HOLD, payload(Kind.HOLD, deposits=["00" * 16, "all"]),
     "MalformedData", "all stands alone"),
    ("hold-order", "deposits descending", Kind.HOLD,
     payload(Kind.HOLD, deposits=_names("deposit", 2, 16)[::-1]), "OrderBroken",
     "deposits do not ascend"),
    ("hold-many", "1,025 deposits", Kind.HOLD,
     payload(Kind.HOLD, deposits=_names("deposit", 1025, 16)), "NamesOutOfBounds",
     "more than 1,024 deposits"),
    ("extend-far", "until the first moment that is too far", Kind.EXTEND,
     payload(Kind.EXTEND, until="2106-01-01T00:00:00Z"), "UntilTooFar", "until is not before 2106"),
    ("compromise-none", "nobody's keys", Kind.COMPROMISE, payload(Kind.COMPROMISE, depositors=[]),
     "NamesOutOfBounds", "no depositor"),
    ("compromise-twice", "one depositor twice", Kind.COMPROMISE,
     payload(Kind.COMPROMISE, depositors=["registry-1", "registry-1"]), "OrderBroken",
     "a depositor stands twice"),
    ("compromise-slug", "a depositor in capitals", Kind.COMPROMISE,
     payload(Kind.COMPROMISE, depositors=["Registry"]), "FieldInvalid", "a depositor id is a slug"),
    ("release-all", "a release of all packs", Kind.RELEASE, payload(Kind.RELEASE, packs=["all"]),
     "MalformedData", "a release names its packs"),
    ("release-none", "a release of no pack", Kind.RELEASE, payload(Kind.RELEASE, packs=[]),
     "NamesOutOfBounds", "no pack"),
    ("lift-order", "holds descending", Kind.LIFT,
     payload(Kind.LIFT, holds=OWN[Kind.LIFT]["holds"][::-1]), "OrderBroken",
     "holds do not ascend"),
    ("narrow-since", "a compromise since never", Kind.NARROW, payload(Kind.NARROW, since="never"),
     "FieldInvalid", "since is neither a time nor null"),
    ("unlock-none", "an unlock of nothing", Kind.UNLOCK, payload(Kind.UNLOCK, lockdowns=[]),
     "NamesOutOfBounds", "no lockdown"),
    ("agreement-seats", "an agreement about no seat", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, seats=[]), "FieldInvalid", "no seat"),
    ("agreement-twice", "one seat twice", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, seats=[{"seat": 1, "addresses": []}] * 2), "OrderBroken",
     "a seat stands twice"),
    ("agreement-act", "permission to read", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, maintenance=["read"]), "FieldInvalid", "no such act on the list"),
    ("agreement-acts", "acts descending", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, maintenance=["power", "enter"]), "OrderBroken",
     "acts do not ascend"),
    ("agreement-until", "over before it begins", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, until="2026-01-01T00:00:00Z"), "FieldInvalid",
     "until is not after from"),
    ("agreement-first", "version 1 of another one", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, previous="00" * 32), "FieldInvalid", "version 1 follows none"),
    ("agreement-later", "version 2 of none", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, version=2), "FieldInvalid", "version 2 follows one"),
    ("agreement-key", "a receiving state with a sealing key", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, key=mission.x_wing_json("state")), "FieldInvalid",
     "an x-wing key does not sign"),
    ("agreement-capacity", "room for nothing", Kind.AGREEMENT,
     payload(Kind.AGREEMENT, capacity=0), "FieldInvalid", "capacity is from 1"),
    ("terminate-none", "the end of nothing", Kind.TERMINATE,
     payload(Kind.TERMINATE, agreement=None), "FieldInvalid", "agreement is no statement hash"),
    *(
        (f"grant-{act}", f"permission: {act}", Kind.GRANT, payload(Kind.GRANT, act=act),
         "FieldInvalid", "on no list")
        for act in ("read", "unlink", "set-clock", "export-keys", "restart")
    ),
    ("grant-long", "for a second more than 31 days", Kind.GRANT,
     payload(Kind.GRANT, until="2026-06-01T00:00:01Z"), "FieldInvalid", "longer than 31 days"),
    ("grant-over", "over as it begins", Kind.GRANT,
     payload(Kind.GRANT, until="2026-05-01T00:00:00Z"), "FieldInvalid", "until is not after from"),
    ("declare-enter", "declared, not asked: people at the rack", Kind.DECLARE,
     payload(Kind.DECLARE, act="enter"), "FieldInvalid", "that needs a grant"),
    ("declare-long", "for a second more than 7 days", Kind.DECLARE,
     payload(Kind.DECLARE, until="2026-05-08T00:00:01Z"), "FieldInvalid", "longer than 7 days"),
]  # fmt: skip


def orders() -> Iterator[Case]:
    """A good order of each kind, signed by one person; then what is refused."""
    for kind in OWN:
        envelope = mission.sign(kind, payload(kind), ["anna"])
        yield _case(
            kind.value, f"a good {kind}", envelope.to_bytes(),
            {"kind": kind.value, "hash": envelope.statement_hash.hex()},
        )  # fmt: skip
    later = mission.sign(
        Kind.NARROW, payload(Kind.NARROW, since="2026-02-02T00:00:00Z"), ["anna", "bela"]
    )
    yield _case(
        "narrow-later", "a compromise that began later", later.to_bytes(),
        {"kind": "narrow", "hash": later.statement_hash.hex()},
    )  # fmt: skip
    both = mission.sign(Kind.AGREEMENT, payload(
        Kind.AGREEMENT, version=2, previous=drawn("agreement", 32).hex(), seats=[
            {"seat": seat, "addresses": []} for seat in (1, 2)
        ], maintenance=[], until="2030-01-01T00:00:00Z",
    ), ["anna", "state"])  # fmt: skip
    yield _case(
        "agreement-later", "a version that follows another, signed by both states",
        both.to_bytes(), {"kind": "agreement", "hash": both.statement_hash.hex()},
    )  # fmt: skip
    for name, what, kind, value, error, why in _BAD:
        envelope = mission.sign(kind, value, ["anna"])
        yield _case(f"bad-{name}", what, envelope.to_bytes(), refused(error, why))
    warrant = mission.sign(Kind.WARRANT, mission.warrant("00" * 32, "11" * 32), ["anna"])
    yield _case("bad-kind", "a warrant", warrant.to_bytes(),
                refused("KindUnexpected", "a warrant is no order"))  # fmt: skip


def _case(name: str, what: str, envelope: bytes, expect: Payload) -> Case:
    return Case(
        spec="orders.md 1", case=name, operation="parse-order", what=what,
        given={"envelope": envelope.decode()}, expect=expect,
    )  # fmt: skip


def folders() -> dict[str, list[Case]]:
    """All cases by folder."""
    return {"orders": list(orders())}


if __name__ == "__main__":
    total = sum(write(folder, cases) for folder, cases in folders().items())
    print(f"{total} vectors of orders")
    sys.exit(0 if total else 1)
