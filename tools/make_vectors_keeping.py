"""Writes the vectors of what vaults say about keeping: alarms and sweeps.

`python -m tools.make_vectors_keeping`: every run writes the same bytes.
"""

import sys
from collections.abc import Iterator
from typing import Any

from exclave.encoding import canonical_json
from tools.vector_cases import Case, drawn, refused, write

Payload = dict[str, Any]

_ALARM: Payload = {
    "kind": "alarm",
    "mission": drawn("mission", 32).hex(),
    "cause": "wall-clock-jump",
    "detail": "wall clock: moved 3600 s in 30 s",
    "began": "2026-02-01T12:00:00Z",
}
_ROOTS = sorted(drawn(f"shard {number}", 32).hex() for number in range(3))
_SWEPT: Payload = {
    "kind": "swept",
    "mission": drawn("mission", 32).hex(),
    "release": drawn("release", 32).hex(),
    "expiry": "2027-02-01T12:00:00Z",
    "shards": _ROOTS,
}


def alarms() -> Iterator[Case]:
    """Alarms: one cause, one line, one moment."""
    good = {"cause": "wall-clock-jump", "began": "2026-02-01T12:00:00Z"}
    cases: list[tuple[str, str, Payload, Payload]] = [
        ("alarm", "an alarm", {}, good),
        ("alarm-cause", "an unknown cause", {"cause": "noise"},
         refused("FieldInvalid", "the cause is none of the six")),
        ("alarm-lines", "a detail of two lines", {"detail": "one\ntwo"},
         refused("FieldInvalid", "the detail is not one line")),
        ("alarm-time", "a fraction of a second", {"began": "2026-02-01T12:00:00.5Z"},
         refused("FieldInvalid", "the time has not the stored form")),
        ("alarm-field", "a field more", {"seat": 1}, refused("FieldUnknown", "unknown field")),
    ]  # fmt: skip
    for name, what, change, expect in cases:
        yield _case("parse-alarm", name, what, _ALARM | change, expect)


def sweeps() -> Iterator[Case]:
    """Statements `swept`: shards ascend, at least one."""
    cases: list[tuple[str, str, Payload, Payload]] = [
        ("swept", "three shards of a release", {}, {"shards": 3}),
        ("swept-staged", "what was staged", {"release": None}, {"shards": 3}),
        ("swept-none", "no shard", {"shards": []}, refused("FieldInvalid", "no shard")),
        ("swept-order", "shards descending", {"shards": _ROOTS[::-1]},
         refused("OrderBroken", "shards do not ascend")),
        ("swept-twice", "one shard twice", {"shards": [_ROOTS[0], *_ROOTS]},
         refused("OrderBroken", "a shard stands twice")),
        ("swept-short", "a root of 31 bytes", {"shards": [_ROOTS[0][2:]]},
         refused("MalformedData", "a root is not 32 bytes")),
    ]  # fmt: skip
    for name, what, change, expect in cases:
        yield _case("parse-swept", name, what, _SWEPT | change, expect)


_SPEC = {"parse-alarm": "ledger.md 9", "parse-swept": "vault-http.md 8"}


def _case(operation: str, name: str, what: str, payload: Payload, expect: Payload) -> Case:
    return Case(
        spec=_SPEC[operation], case=name, operation=operation, what=what,
        given={"payload": canonical_json(payload).decode()}, expect=expect,
    )  # fmt: skip


def folders() -> dict[str, list[Case]]:
    """All cases by folder."""
    return {"keeping": [*alarms(), *sweeps()]}


if __name__ == "__main__":
    total = sum(write(folder, cases) for folder, cases in folders().items())
    print(f"{total} vectors of keeping")
    sys.exit(0 if total else 1)
