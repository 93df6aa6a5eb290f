"""The manifest root: everything that one deposit holds (spec/archive.md 5).

`manifest_to_bytes` and `parse_manifest` are each other's inverse; registers are in
`exclave.archive.register`, their objects in `exclave.archive.objects`. A manifest refers to
streams; it does not hold their bytes.

Rules
- Canonical JSON, no unknown or missing field; one named error per cause.
- A register comes after all that it depends on; ids are unique.
- Listed chunks lie in packs that `packs` names.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from exclave.archive._fields import (
    FieldMissing,
    Fields,
    FieldTypeWrong,
    FieldUnknown,
    FieldValueInvalid,
    require,
    require_integer,
)
from exclave.archive.object_reader import ObjectTypeUnknown
from exclave.archive.objects import (
    CommandOutput,
    FilesTree,
    ManifestObject,
    PgDatabase,
    PgGlobals,
    PgLargeObjects,
    PgSchema,
    PgSequence,
    PgTable,
    SqliteDatabase,
    StreamMisplaced,
    manifest_stream,
)
from exclave.archive.reference import MANIFEST_PACK_BIT, StreamRef
from exclave.archive.register import (
    ObjectForeign,
    Register,
    RegisterSource,
    SourceKind,
    read_register,
)
from exclave.clock import format_time
from exclave.encoding import (
    JsonObject,
    b64decode,
    b64encode,
    canonical_json,
    parse_canonical_json,
)
from exclave.errors import MalformedData
from exclave.ids import DepositId, Epoch, MissionId, PackRoot
from exclave.values import dataclass

__all__ = [
    "CommandOutput",
    "DependencyOrder",
    "FieldMissing",
    "FieldTypeWrong",
    "FieldUnknown",
    "FieldValueInvalid",
    "FilesTree",
    "FormatUnknown",
    "Manifest",
    "ManifestObject",
    "ObjectForeign",
    "ObjectTypeUnknown",
    "PackUnknown",
    "PgDatabase",
    "PgGlobals",
    "PgLargeObjects",
    "PgSchema",
    "PgSequence",
    "PgTable",
    "Register",
    "RegisterSource",
    "SourceKind",
    "SqliteDatabase",
    "StreamMisplaced",
    "manifest_to_bytes",
    "parse_manifest",
    "register_streams",
    "streams_of",
]

_MANIFEST_FIELDS = (
    "format",
    "mission",
    "deposit",
    "epoch",
    "started",
    "ended",
    "software",
    "plan",
    "packs",
    "registers",
)


class FormatUnknown(MalformedData):
    """The manifest has a format number that this software does not know."""


class DependencyOrder(MalformedData):
    """A register comes before one of the same manifest that it depends on, or comes twice."""


class PackUnknown(MalformedData):
    """A listed chunk lies in a pack that `packs` does not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One deposit. `packs` are the roots of the data packs, in the order references count them."""

    mission: MissionId
    deposit: DepositId
    epoch: Epoch
    started: datetime
    ended: datetime
    software: str
    plan: StreamRef
    packs: tuple[PackRoot, ...]
    registers: tuple[Register, ...]

    def __post_init__(self) -> None:
        require(len(self.mission) == 32, "manifest: expected a mission id of 32 bytes")
        require(len(self.deposit) == 16, "manifest: expected a deposit id of 16 bytes")
        require_integer(self.epoch, "manifest: epoch", minimum=1, maximum=2**32 - 1)
        require(all(len(p) == 32 for p in self.packs), "manifest: expected pack roots of 32 bytes")
        require(len(set(self.packs)) == len(self.packs), "manifest: expected distinct packs")
        manifest_stream(self.plan, "manifest: plan")
        _check_order(self.registers)
        _check_packs(self)

    def to_json(self) -> JsonObject:
        """The manifest as a JSON value."""
        return {
            "format": 1,
            "mission": self.mission.hex(),
            "deposit": self.deposit.hex(),
            "epoch": self.epoch,
            "started": format_time(self.started),
            "ended": format_time(self.ended),
            "software": self.software,
            "plan": self.plan.to_json(),
            "packs": b64encode(b"".join(self.packs)),
            "registers": [register.to_json() for register in self.registers],
        }


def _check_order(registers: tuple[Register, ...]) -> None:
    here = {register.id for register in registers}
    seen: set[str] = set()
    for register in registers:
        for needed in register.depends_on:
            # What is not here lies in another deposit: registers may be deposited by themselves.
            if needed in here and needed not in seen:
                raise DependencyOrder(
                    f"register {register.id}: expected {needed[:80]!r} before it, got it later"
                )
        if register.id in seen:
            raise DependencyOrder(f"register {register.id}: expected once, got twice")
        seen.add(register.id)


def _check_packs(manifest: Manifest) -> None:
    for stream in streams_of(manifest):
        for reference in stream.refs:
            pack = reference.pack
            if not pack & MANIFEST_PACK_BIT and pack >= len(manifest.packs):
                raise PackUnknown(
                    f"manifest: chunk in data pack {pack}, but only {len(manifest.packs)} are named"
                )


def streams_of(manifest: Manifest) -> Iterator[StreamRef]:
    """Every stream that the manifest refers to."""
    yield manifest.plan
    for register in manifest.registers:
        yield from register_streams(register)


def register_streams(register: Register) -> Iterator[StreamRef]:
    """Every stream of one register."""
    if register.runbook is not None:
        yield register.runbook
    if register.artefacts is not None:
        yield from _object_streams(register.artefacts)
    for item in register.objects:
        yield from _object_streams(item)


def _object_streams(item: ManifestObject) -> tuple[StreamRef, ...]:
    match item:
        case PgGlobals() | PgSchema():
            return (item.sql,)
        case PgDatabase():
            return (item.settings,)
        case PgTable():
            return (item.groups, item.data)
        case PgLargeObjects() | FilesTree():
            return (item.entries, item.content)
        case SqliteDatabase() | CommandOutput():
            return (item.data,)
        case PgSequence():
            return ()


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """The manifest's one encoding."""
    return canonical_json(manifest.to_json())


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest root; raises an `IntegrityError` that names the cause."""
    value = parse_canonical_json(data, subject="manifest")
    if isinstance(value, dict) and "format" in value and value["format"] != 1:
        raise FormatUnknown(
            f"manifest: expected format 1, got {str(value['format'])[:40]}",
            hint="made by a newer version; the reader stored beside the packs knows it",
        )
    fields = Fields.of(value, "manifest", _MANIFEST_FIELDS)
    fields.integer("format", minimum=1, maximum=1)
    packs = b64decode(fields.text("packs"), subject="manifest: packs")
    require(len(packs) % 32 == 0, "manifest: expected packs of 32 bytes each")
    return Manifest(
        mission=MissionId(fields.hex("mission", 32)),
        deposit=DepositId(fields.hex("deposit", 16)),
        epoch=Epoch(fields.integer("epoch")),
        started=fields.time("started"),
        ended=fields.time("ended"),
        software=fields.text("software"),
        plan=StreamRef.from_json(fields.value["plan"], subject="manifest: plan"),
        packs=tuple(PackRoot(packs[i : i + 32]) for i in range(0, len(packs), 32)),
        registers=tuple(
            read_register(item, f"register {number}")
            for number, item in enumerate(fields.items("registers"), 1)
        ),
    )
