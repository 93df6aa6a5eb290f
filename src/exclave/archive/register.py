"""A register as a manifest describes it, and each source that it was captured from.

A register is one thing to people and may be several to the programs that read it: documents in a
folder and the database that points at them. Each source is one consistent state of its own; what
holds of them together is the order in which they were captured.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias, cast

from exclave.archive._fields import (
    Fields,
    FieldTypeWrong,
    require,
    require_integer,
    require_slug,
)
from exclave.archive.object_reader import object_from_json
from exclave.archive.objects import (
    FilesTree,
    ManifestObject,
    PgTable,
    manifest_stream,
)
from exclave.archive.reference import StreamRef
from exclave.clock import format_time
from exclave.encoding import JsonObject, JsonValue
from exclave.errors import MalformedData
from exclave.values import dataclass, replace

__all__ = ["ObjectForeign", "Register", "RegisterSource", "SourceKind", "read_register"]

SourceKind: TypeAlias = Literal["postgresql", "sqlite", "files", "command"]

_PREFIXES: Final[dict[str, str]] = {
    "postgresql": "pg.",
    "sqlite": "sqlite.",
    "files": "files.",
    "command": "command.",
}
_REGISTER_FIELDS: Final = (
    "id",
    "title",
    "owner",
    "classification",
    "rpo",
    "rto",
    "depends_on",
    "runbook",
    "artefacts",
    "started",
    "ended",
    "notes",
    "sources",
)
_SOURCE_FIELDS: Final = ("name", "kind", "started", "ended", "facts", "objects")


class ObjectForeign(MalformedData):
    """A source holds an object of another kind of source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSource:
    """One source as captured. `facts` are (key, text), sorted."""

    name: str
    kind: SourceKind
    started: datetime
    ended: datetime
    facts: tuple[tuple[str, str], ...]
    objects: tuple[ManifestObject, ...]

    def __post_init__(self) -> None:
        require_slug(self.name, "source: name")
        require(self.kind in _PREFIXES, f"source {self.name}: kind {self.kind[:40]!r} is not known")
        require(
            len(dict(self.facts)) == len(self.facts), f"source {self.name}: expected distinct facts"
        )
        for item in self.objects:
            # A table's JSON is large, and its type is known.
            kind = str(item.to_json()["type"]) if not isinstance(item, PgTable) else "pg.table"
            if not kind.startswith(_PREFIXES[self.kind]):
                raise ObjectForeign(
                    f"source {self.name}: expected objects of {self.kind}, got {kind}"
                )

    def to_json(self) -> JsonObject:
        """The source as it stands in the manifest."""
        return {
            "name": self.name,
            "kind": self.kind,
            "started": format_time(self.started),
            "ended": format_time(self.ended),
            "facts": dict(self.facts),
            "objects": [item.to_json() for item in self.objects],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One register as captured. `rpo` and `rto` in seconds; sources in the order of capture."""

    id: str
    title: str
    owner: str
    classification: str
    rpo: int
    rto: int
    depends_on: tuple[str, ...]
    runbook: StreamRef | None
    artefacts: FilesTree | None
    started: datetime
    ended: datetime
    notes: tuple[str, ...]
    sources: tuple[RegisterSource, ...]

    def __post_init__(self) -> None:
        require_slug(self.id, "register: id")
        require_integer(self.rpo, f"register {self.id}: rpo")
        require_integer(self.rto, f"register {self.id}: rto")
        names = {source.name for source in self.sources}
        require(bool(names), f"register {self.id}: expected at least one source, got none")
        require(
            len(names) == len(self.sources),
            f"register {self.id}: expected sources with names of their own",
        )
        if self.runbook is not None:
            manifest_stream(self.runbook, f"register {self.id}: runbook")

    @property
    def kind(self) -> str:
        """The kinds of its sources, in order, as people read it."""
        return "+".join(dict.fromkeys(source.kind for source in self.sources))

    @property
    def objects(self) -> tuple[ManifestObject, ...]:
        """Of all sources, in order."""
        return tuple(item for source in self.sources for item in source.objects)

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Of all sources, in order."""
        return tuple(fact for source in self.sources for fact in source.facts)

    def part(self, source: RegisterSource) -> Register:
        """The register reduced to one of its sources: what one target takes."""
        return replace(self, sources=(source,))

    def to_json(self) -> JsonObject:
        """The register as it stands in the manifest."""
        return {
            "id": self.id,
            "title": self.title,
            "owner": self.owner,
            "classification": self.classification,
            "rpo": self.rpo,
            "rto": self.rto,
            "depends_on": list(self.depends_on),
            "runbook": None if self.runbook is None else self.runbook.to_json(),
            "artefacts": None if self.artefacts is None else self.artefacts.to_json(),
            "started": format_time(self.started),
            "ended": format_time(self.ended),
            "notes": list(self.notes),
            "sources": [source.to_json() for source in self.sources],
        }


def read_register(value: JsonValue, subject: str) -> Register:
    """Read one register of a manifest; strict."""
    fields = Fields.of(value, subject, _REGISTER_FIELDS)
    runbook = fields.value["runbook"]
    return Register(
        id=fields.text("id"),
        title=fields.text("title"),
        owner=fields.text("owner"),
        classification=fields.text("classification"),
        rpo=fields.integer("rpo"),
        rto=fields.integer("rto"),
        depends_on=fields.texts("depends_on"),
        runbook=None if runbook is None else StreamRef.from_json(runbook, subject=subject),
        artefacts=_artefacts(fields),
        started=fields.time("started"),
        ended=fields.time("ended"),
        notes=fields.texts("notes"),
        sources=tuple(
            _source(item, f"{subject}: source {number}")
            for number, item in enumerate(fields.items("sources"), 1)
        ),
    )


def _source(value: JsonValue, subject: str) -> RegisterSource:
    fields = Fields.of(value, subject, _SOURCE_FIELDS)
    return RegisterSource(
        name=fields.text("name"),
        kind=cast(SourceKind, fields.choice("kind", _PREFIXES)),
        started=fields.time("started"),
        ended=fields.time("ended"),
        facts=_facts(fields),
        objects=tuple(
            object_from_json(item, f"{subject}: object {number}")
            for number, item in enumerate(fields.items("objects"), 1)
        ),
    )


def _artefacts(fields: Fields) -> FilesTree | None:
    value = fields.value["artefacts"]
    if value is None:
        return None
    item = object_from_json(value, f"{fields.subject}: artefacts")
    if not isinstance(item, FilesTree):
        raise ObjectForeign(f"{fields.subject}: expected artefacts of type files.tree")
    return item


def _facts(fields: Fields) -> tuple[tuple[str, str], ...]:
    value = fields.value["facts"]
    if not isinstance(value, dict):
        raise FieldTypeWrong(f"{fields.subject}: expected facts to be an object of strings")
    facts: list[tuple[str, str]] = []
    for key, text in value.items():
        if not isinstance(text, str):
            raise FieldTypeWrong(f"{fields.subject}: expected facts to be an object of strings")
        facts.append((key, text))
    return tuple(facts)
