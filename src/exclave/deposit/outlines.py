"""Outlines as the catalogue keeps them: encrypted, since they name files (spec/catalogue.md 4).

The key derives from the dedup key, as that of what is remembered of file trees: whoever takes the
catalogue alone reads no name and confirms no guess. With the dedup key he may confirm guesses,
which chunk ids let him do as well.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exclave.authority.fields import Node
from exclave.deposit.outline import (
    MAX_NODES,
    FileOutline,
    ObjectOutline,
    RegisterOutline,
    SizedOutline,
    TableOutline,
    TreeOutline,
    Unit,
)
from exclave.encoding import (
    JsonObject,
    JsonValue,
    b64encode,
    canonical_json,
    parse_canonical_json,
)
from exclave.errors import IntegrityError
from exclave.ids import DepositId, MissionId

__all__ = [
    "KEPT",
    "OutlineUnreadable",
    "open_outline",
    "outline_bytes",
    "parse_outline",
    "seal_outline",
]

KEPT: Final = 64
"""Outlines of so many deposits are kept: with the largest trees, half a gigabyte."""
_MAGIC: Final = b"EXCLOUT1"
_LABEL: Final = b"exclave/1/outline\x00"
_SALT: Final = 32
_UNIT: Final = struct.Struct(">HQ16s")


class OutlineUnreadable(IntegrityError):
    """An outline of other keys, of another deposit, or one that is damaged."""


def seal_outline(
    registers: Sequence[RegisterOutline],
    *,
    mission: MissionId,
    deposit: DepositId,
    dedup_key: bytes,
    random: Callable[[int], bytes],
) -> bytes:
    """A deposit's outline as it is kept."""
    plain = outline_bytes(registers)
    salt, info = random(_SALT), _info(mission, deposit)
    encryptor = Cobblestone256Encryptor(_key(dedup_key, salt, info), info)
    return b"".join((_MAGIC, salt, encryptor.update(plain), encryptor.finalize()))


def open_outline(
    data: bytes, *, mission: MissionId, deposit: DepositId, dedup_key: bytes
) -> tuple[RegisterOutline, ...]:
    """The registers of an outline; raises `OutlineUnreadable`."""
    start, info = len(_MAGIC) + _SALT, _info(mission, deposit)
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        raise OutlineUnreadable(f"outline of deposit {deposit.hex()[:8]}: not an outline")
    try:
        key = _key(dedup_key, data[len(_MAGIC) : start], info)
        decryptor = Cobblestone256Decryptor(key, info)
        plain = decryptor.update(data[start:]) + decryptor.finalize()
    except (InvalidTag, ValueError) as error:
        raise OutlineUnreadable(
            f"outline of deposit {deposit.hex()[:8]}: cannot be opened with this depositor's keys",
            hint="it is of earlier keys, or damaged; the deposit itself needs nothing of it",
        ) from error
    return parse_outline(plain)


def outline_bytes(registers: Sequence[RegisterOutline]) -> bytes:
    """What an outline says; `parse_outline` is the way back."""
    return canonical_json({"registers": [_register_json(item) for item in registers]})


def parse_outline(plain: bytes) -> tuple[RegisterOutline, ...]:
    """What an outline says, opened; raises `MalformedData`, `FieldInvalid` and the like."""
    node = Node(parse_canonical_json(plain, subject="outline"), "outline")
    return node.fields("registers")["registers"].each(_register)


def _info(mission: MissionId, deposit: DepositId) -> bytes:
    return b"\x00".join((_LABEL, mission, deposit))


def _key(dedup_key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA512(), length=32, salt=salt, info=info).derive(dedup_key)


def _register_json(register: RegisterOutline) -> JsonObject:
    objects: list[JsonValue] = [
        {"source": source, "outline": _object_json(item)} for source, item in register.objects
    ]
    return {"id": register.id, "objects": objects}


def _object_json(item: ObjectOutline) -> list[JsonValue]:
    match item:
        case TableOutline():
            nodes = b64encode(b"".join(item.nodes))
            return ["table", item.name, item.rows, item.columns, item.groups, item.level, nodes]
        case TreeOutline():
            units = b64encode(b"".join(map(_unit_bytes, sorted(item.units.items()))))
            return ["tree", item.name, item.files, item.depth, units]
        case FileOutline():
            tables: list[JsonValue] = [[name, rows] for name, rows in item.tables]
            return ["file", item.name, item.size, item.digest.hex(), tables]
        case SizedOutline():
            return ["sized", item.name, item.count, item.digest.hex()]


def _unit_bytes(both: tuple[bytes, Unit]) -> bytes:
    name, unit = both
    return _UNIT.pack(len(name), unit.files, unit.digest.to_bytes(16, "big")) + name


def _register(node: Node) -> RegisterOutline:
    fields = node.fields("id", "objects")
    return RegisterOutline(id=fields["id"].slug(), objects=fields["objects"].each(_object))


def _object(node: Node) -> tuple[str, ObjectOutline]:
    fields = node.fields("source", "outline")
    return fields["source"].string(), _outline(fields["outline"])


def _outline(node: Node) -> ObjectOutline:
    kind = node.items(least=1)[0].literal(*_READ)
    return _READ[kind](node)


def _table(node: Node) -> TableOutline:
    _, name, rows, columns, groups, level, nodes = node.items(least=7, most=7)
    data = nodes.base64()
    if len(data) % 32 or len(data) > 32 * MAX_NODES:
        raise nodes.refuse(f"at most {MAX_NODES} hashes of 32 bytes")
    return TableOutline(
        name=name.string(),
        rows=rows.integer(),
        columns=columns.hex(16).hex(),
        groups=groups.integer(),
        level=level.integer(0, 63),
        nodes=tuple(data[at : at + 32] for at in range(0, len(data), 32)),
    )


def _tree(node: Node) -> TreeOutline:
    _, name, files, depth, units = node.items(least=5, most=5)
    return TreeOutline(
        name=name.string(),
        files=files.integer(),
        depth=depth.optional(Node.integer),
        units=_units(units),
    )


def _file(node: Node) -> FileOutline:
    _, name, size, digest, tables = node.items(least=5, most=5)
    pairs = [item.items(least=2, most=2) for item in tables.items()]
    return FileOutline(
        name=name.string(),
        size=size.integer(),
        digest=digest.hex(32),
        tables=tuple((title.string(), rows.integer()) for title, rows in pairs),
    )


def _sized(node: Node) -> SizedOutline:
    _, name, count, digest = node.items(least=4, most=4)
    return SizedOutline(name=name.string(), count=count.integer(), digest=digest.hex(32))


_READ: Final[Mapping[str, Callable[[Node], ObjectOutline]]] = {
    "table": _table,
    "tree": _tree,
    "file": _file,
    "sized": _sized,
}


def _units(node: Node) -> dict[bytes, Unit]:
    data, found, at, last = node.base64(), dict[bytes, Unit](), 0, b""
    while at < len(data):
        if len(data) < at + _UNIT.size:
            raise node.refuse("whole units")
        length, files, digest = _UNIT.unpack_from(data, at)
        at += _UNIT.size
        name = data[at : at + length]
        at += length
        if len(name) != length or (found and name <= last):
            raise node.refuse("whole units in ascending order of path")
        last = name
        found[name] = Unit(files, int.from_bytes(digest, "big"))
    return found
