"""Writes vectors/bag: `python -m tools.make_vectors_bag`; every run writes the same bytes.

Blocks are made here from the layout in spec/bag.md 3; nothing of `exclave.carried` is used.
"""

import hashlib
import struct
import sys
from collections.abc import Iterator
from typing import Any

from exclave.encoding import canonical_json
from tools.vector_cases import Case, drawn, refused, write
from tools.vector_mission import MISSION

Payload = dict[str, Any]

BAG = drawn("bag", 16)
_NAMES = sorted(drawn(f"bag item {number}", 32).hex() for number in range(4))
_HASH = drawn("bag bytes", 32).hex()
_ITEMS: list[list[Any]] = [
    ["kit", "reader/exclave_reader.py", 1000, _HASH],
    ["kit", "spec/bag.md", 2000, _HASH],
    ["charter", MISSION.hex(), 4000, _HASH],
    ["annex", _NAMES[0], 10, _HASH],
    ["statement", _NAMES[0], 500, _HASH],
    ["record", _NAMES[1], 3000, _HASH],
    ["shard", _NAMES[2], 5360, _HASH],
    ["shard", _NAMES[3], 5360, _HASH],
]
_INVENTORY: Payload = {
    "kind": "exclave-bag", "version": 1, "mission": MISSION.hex(), "bag": BAG.hex(), "seat": 3,
    "further": [], "packed": "2026-03-01T12:00:00Z", "items": _ITEMS,
}  # fmt: skip
_CUSTODY: Payload = {
    "kind": "custody", "mission": MISSION.hex(), "bag": BAG.hex(), "inventory": _HASH, "seat": 3,
    "act": "sealed", "by": "depositor home", "to": None, "previous": None, "marks": "lead 4711",
    "good": None, "bad": None, "time": "2026-03-01T12:00:00Z",
}  # fmt: skip


def inventories() -> Iterator[Case]:
    """Inventories: classes in order, each name once, what lodging needs."""
    data = canonical_json(_INVENTORY)
    yield _inventory("inventory", "an inventory of every class", {}, {
        "hash": hashlib.sha256(data).hexdigest(), "items": 8,
        "content": sum(item[2] for item in _ITEMS),
    })  # fmt: skip
    several = canonical_json(_INVENTORY | {"further": [4, 9]})
    yield _inventory("inventory-further", "of several seats", {"further": [4, 9]}, {
        "hash": hashlib.sha256(several).hexdigest(), "items": 8,
        "content": sum(item[2] for item in _ITEMS),
    })  # fmt: skip
    cases: list[tuple[str, str, Payload, Payload]] = [
        ("inventory-order", "a shard before a record", {"items": _moved(7, 5)},
         refused("FieldInvalid", "classes are not in their order")),
        ("inventory-further-own", "its own seat once more", {"further": [3]},
         refused("FieldInvalid", "further seats are other ones")),
        ("inventory-further-order", "further seats descending", {"further": [5, 4]},
         refused("OrderBroken", "further seats do not ascend")),
        ("inventory-further-0", "a further seat 0", {"further": [0]},
         refused("FieldInvalid", "seats are 1 to 255")),
        ("inventory-shards", "shards descending", {"items": _moved(7, 6)},
         refused("OrderBroken", "shards do not ascend")),
        ("inventory-twice", "one record twice", {"items": [*_ITEMS[:6], _ITEMS[5], *_ITEMS[6:]]},
         refused("FieldInvalid", "a record stands twice")),
        ("inventory-no-shard", "no shard", {"items": _ITEMS[:6]},
         refused("FieldInvalid", "a bag without shards")),
        ("inventory-no-charter", "no charter", {"items": _ITEMS[:2] + _ITEMS[3:]},
         refused("FieldInvalid", "a bag without a charter")),
        ("inventory-class", "an unknown class", {"items": [["key", "a", 1, _HASH], *_ITEMS]},
         refused("FieldInvalid", "no such class")),
        ("inventory-path-up", "a path that leads out", {"items": _kit("../vault.key")},
         refused("FieldInvalid", "a part of the path is ..")),
        ("inventory-path-root", "an absolute path", {"items": _kit("/etc/passwd")},
         refused("FieldInvalid", "a part of the path is empty")),
        ("inventory-path-deep", "a path of nine parts", {"items": _kit("/".join("abcdefghi"))},
         refused("FieldInvalid", "more than eight parts")),
        ("inventory-empty-item", "an item without bytes",
         {"items": [*_ITEMS[:7], ["shard", _NAMES[3], 0, _HASH]]},
         refused("FieldInvalid", "a size of 0")),
        ("inventory-large-kit", "a file of the kit above 4 MiB",
         {"items": [["kit", "a", 2**22 + 1, _HASH], *_ITEMS[2:]]},
         refused("FieldInvalid", "a file of the kit is too large")),
        ("inventory-large-item", "a shard above 128 MiB",
         {"items": [*_ITEMS[:7], ["shard", _NAMES[3], 2**27 + 1, _HASH]]},
         refused("FieldInvalid", "an item is too large")),
        ("inventory-seat", "seat 0", {"seat": 0}, refused("FieldInvalid", "no seat 0")),
        ("inventory-version", "another version", {"version": 2},
         refused("FormatTooNew", "a later version")),
        ("inventory-field", "a field more", {"title": "land register"},
         refused("FieldUnknown", "unknown field")),
    ]  # fmt: skip
    for name, what, change, expect in cases:
        yield _inventory(name, what, change, expect)


def blocks() -> Iterator[Case]:
    """Blocks: each proves itself, and says only what can be."""
    data = drawn("block", 100)
    good = {
        "kind": 2, "seat": 3, "volume": 2, "number": 5, "offset": 65_408, "size": 70_000,
        "data": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    yield _block("block", "a block of content", _raw(), good)
    end = good | {"kind": 3, "offset": 70_000, "data": hashlib.sha256(b"").hexdigest()}
    yield _block("block-end", "an end block", _raw(kind=3, offset=70_000, data=b""), end)
    label = good | {"kind": 0, "number": 0, "offset": 0, "size": 100}
    yield _block("block-label", "a label", _raw(kind=0, number=0, offset=0, size=100), label)
    bad: list[tuple[str, str, bytes]] = [
        ("block-magic", "other first bytes", b"EXCLAVES" + _raw()[8:]),
        ("block-hash", "a flipped bit", _flip(_raw(), 200)),
        ("block-head-hash", "a flipped bit in the head", _flip(_raw(), 20)),
        ("block-version", "version 2", _raw(version=2)),
        ("block-kind", "kind 4", _raw(kind=4)),
        ("block-seat", "seat 0", _raw(seat=0)),
        ("block-volume", "volume 0", _raw(volume=0)),
        ("block-zero", "reserved bytes that are not zero", _raw(zero=1)),
        ("block-beyond", "data beyond the size", _raw(size=65_507)),
        ("block-padding", "something behind the data", _raw(length=99)),
        ("block-length", "data longer than a block has", _raw(length=65_409)),
        ("block-empty", "content without data", _raw(data=b"")),
        ("block-end-data", "an end block with data", _raw(kind=3, offset=69_900)),
        ("block-end-offset", "an end block before the end", _raw(kind=3, data=b"")),
        ("block-label-late", "a label that is not block 0", _raw(kind=0, offset=0, size=100)),
        ("block-content-first", "content as block 0", _raw(number=0)),
    ]  # fmt: skip
    for name, what, raw in bad:
        yield _block(name, what, raw, refused("BlockDamaged", what))


def custody() -> Iterator[Case]:
    """Papers: which act has which fields, and whose word it is."""
    later = {"previous": drawn("paper", 32).hex()}
    cases: list[tuple[str, str, Payload, Payload]] = [
        ("custody", "sealed", {}, {"act": "sealed"}),
        ("custody-handed-over", "handed over to an official",
         {"act": "handed-over", "to": "official p-0123456789abcdef", **later},
         {"act": "handed-over"}),
        ("custody-lodged", "lodged by its seat",
         {"act": "lodged", "by": "seat 3", "good": 8, "bad": 0, **later}, {"act": "lodged"}),
        ("custody-act", "an unknown act", {"act": "burned"},
         refused("FieldInvalid", "no such act")),
        ("custody-sealed-by", "sealed by an official", {"by": "official p-0123456789abcdef"},
         refused("FieldInvalid", "a depositor seals")),
        ("custody-sealed-copy", "a copy, sealed by its seat", {"by": "seat 3"}, {"act": "sealed"}),
        ("custody-sealed-seat", "sealed by another seat", {"by": "seat 2"},
         refused("FieldInvalid", "only its own seat copies what it holds")),
        ("custody-lodged-by", "lodged by a depositor",
         {"act": "lodged", "good": 8, "bad": 0, **later},
         refused("FieldInvalid", "a seat lodges")),
        ("custody-sealed-previous", "sealed after something", later,
         refused("FieldInvalid", "sealed is the first")),
        ("custody-no-previous", "received after nothing", {"act": "received"},
         refused("FieldInvalid", "the statement before is not named")),
        ("custody-to", "received by two", {"act": "received", "to": "seat 3", **later},
         refused("FieldInvalid", "only who hands over names another")),
        ("custody-uncounted", "verified without counts", {"act": "verified", **later},
         refused("FieldInvalid", "how many are good is not said")),
        ("custody-counted", "sealed with counts", {"good": 8, "bad": 0},
         refused("FieldInvalid", "sealing counts nothing")),
        ("custody-party", "by nobody", {"by": "courier"},
         refused("FieldInvalid", "a party has a role and a name")),
        ("custody-seat-256", "handed over to seat 256",
         {"act": "handed-over", "to": "seat 256", **later},
         refused("FieldInvalid", "no seat 256")),
        ("custody-marks", "marks of two lines", {"marks": "lead\n4711"},
         refused("FieldInvalid", "the marks are not one line")),
        ("custody-field", "a field more", {"courier": "Jaan"},
         refused("FieldUnknown", "unknown field")),
    ]  # fmt: skip
    for name, what, change, expect in cases:
        payload = canonical_json(_CUSTODY | change).decode()
        yield Case(
            spec="bag.md 4", case=name, operation="parse-custody", what=what,
            given={"payload": payload}, expect=expect,
        )  # fmt: skip


def _inventory(name: str, what: str, change: Payload, expect: Payload) -> Case:
    text = canonical_json(_INVENTORY | change).decode()
    return Case(
        spec="bag.md 1", case=name, operation="parse-inventory", what=what,
        given={"inventory": text}, expect=expect,
    )  # fmt: skip


def _block(name: str, what: str, raw: bytes, expect: Payload) -> Case:
    head = raw.rstrip(b"\0")
    given: Payload = {"head": head.hex(), "zeros": len(raw) - len(head), "tail": ""}
    return Case(
        spec="bag.md 3", case=name, operation="parse-block", what=what,
        given={"block": given}, expect=expect,
    )  # fmt: skip


def _raw(
    *,
    version: int = 1,
    kind: int = 2,
    seat: int = 3,
    volume: int = 2,
    number: int = 5,
    offset: int = 65_408,
    size: int = 70_000,
    length: int | None = None,
    zero: int = 0,
    data: bytes | None = None,
) -> bytes:
    held = drawn("block", 100) if data is None else data
    head = struct.pack(
        ">8sHBBIQQIQI16s32s", b"EXCLAVEB", version, kind, seat, volume, number, offset,
        len(held) if length is None else length, size, zero, BAG, MISSION,
    )  # fmt: skip
    body = held + bytes(65_408 - len(held))
    return head + hashlib.sha256(head + body).digest() + body


def _flip(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


def _moved(source: int, target: int) -> list[list[Any]]:
    items = list(_ITEMS)
    items.insert(target, items.pop(source))
    return items


def _kit(path: str) -> list[list[Any]]:
    return [["kit", path, 10, _HASH], *_ITEMS[2:]]


def folders() -> dict[str, list[Case]]:
    """All cases by folder."""
    return {"bag": [*inventories(), *blocks(), *custody()]}


if __name__ == "__main__":
    total = sum(write(folder, cases) for folder, cases in folders().items())
    print(f"{total} vectors of bags")
    sys.exit(0 if total else 1)
