"""The outline of a deposit: what two of them are told apart by, in bounded size.

Of a table the roots of equal subtrees of its row tree, of a file tree a digest of every file or,
where these are many, of every folder down to some depth (spec/catalogue.md 4). Values and how they
are built and written; where outlines are kept is `exclave.deposit.outlines`.

Rules
- Bounded: at most `MAX_NODES` subtrees of a table and `MAX_UNITS` digests of a tree, while they are
  built as well. What is coarser than single groups or files says so.
- An outline holds no row and no content. It holds names and hashes, which confirm guesses: it is
  kept encrypted only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from exclave.archive.filetree import FileType, record_leaf, record_path
from exclave.archive.manifest import (
    CommandOutput,
    FilesTree,
    ManifestObject,
    PgLargeObjects,
    PgTable,
    Register,
    SqliteDatabase,
)
from exclave.archive.reference import StreamRef
from exclave.merkle import leaf_hash, node_hash
from exclave.source.interface import StreamPurpose
from exclave.values import dataclass

__all__ = [
    "MAX_NODES",
    "MAX_UNITS",
    "FileOutline",
    "GroupBuilder",
    "ObjectOutline",
    "OutlinedStreams",
    "RegisterOutline",
    "SizedOutline",
    "TableOutline",
    "TreeBuilder",
    "TreeOutline",
    "Unit",
    "coarser",
    "coarser_units",
    "outline_of",
]

MAX_NODES: Final = 4096
MAX_UNITS: Final = 65_536
_GROUP: Final = 36
_WRAP: Final = 2**128
_FOLDER: Final = int(FileType.FOLDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOutline:
    """A table: nodes of `2**level` groups each, the last perhaps of fewer, in order."""

    name: str
    rows: int
    columns: str  # a hash
    groups: int
    level: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """Files that are counted together: one file, or those below a folder."""

    files: int
    digest: int  # sum of the digests of their records, modulo 2**128


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeOutline:
    """A file tree: units by path. `depth` None: of single files; else of folders so many deep.

    A folder's path ends in `/`; the tree's own is empty.
    """

    name: str
    files: int
    depth: int | None
    units: Mapping[bytes, Unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOutline:
    """An SQLite file, with the rows of its tables, or what a program put out."""

    name: str
    size: int
    digest: bytes
    tables: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedOutline:
    """Large objects of a database: how many, and their root."""

    name: str
    count: int
    digest: bytes


ObjectOutline: TypeAlias = TableOutline | TreeOutline | FileOutline | SizedOutline


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOutline:
    """A register's objects by source, as captured."""

    id: str
    objects: tuple[tuple[str, ObjectOutline], ...]


class GroupBuilder:
    """Subtree roots of a table, from its stream of groups."""

    def __init__(self) -> None:
        self.groups = 0
        self.level = 0
        self._left = b""
        self._edge: list[bytes | None] = []  # subtrees below `level` that wait for their sibling
        self._nodes: list[bytes] = []

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the stream."""
        held = self._left + bytes(data)
        whole = len(held) - len(held) % _GROUP
        for start in range(0, whole, _GROUP):
            self._add(leaf_hash(held[start : start + _GROUP]))
        self._left = held[whole:]

    def nodes(self) -> tuple[bytes, ...]:
        """All nodes; the last one is of the groups that are left."""
        last: bytes | None = None
        for waiting in self._edge:
            if waiting is not None:
                last = waiting if last is None else node_hash(waiting, last)
        return tuple(self._nodes if last is None else [*self._nodes, last])

    def _add(self, node: bytes) -> None:
        self.groups += 1
        for height in range(self.level):
            waiting = self._edge[height]
            if waiting is None:
                self._edge[height] = node
                return
            self._edge[height] = None
            node = node_hash(waiting, node)
        self._nodes.append(node)
        if len(self._nodes) == MAX_NODES:
            self._nodes = list(coarser(self._nodes))
            self.level += 1
            self._edge.append(None)


def coarser(nodes: Sequence[bytes]) -> tuple[bytes, ...]:
    """The nodes one level up; a last one without a sibling stays as it is (RFC 6962)."""
    pairs = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes) - 1, 2)]
    return (*pairs, nodes[-1]) if len(nodes) % 2 else tuple(pairs)


class TreeBuilder:
    """Units of a file tree, from its stream of records; written for millions of them."""

    def __init__(self, most: int = MAX_UNITS) -> None:
        self._most = most
        self._left = b""
        self.files = 0
        self.depth: int | None = None
        self._leaves: dict[bytes, bytes] = {}  # of files, until there are too many
        self._folders: dict[bytes, Unit] = {}
        self._last = (b"/", b"")  # a file's folder, and the unit that it counts in

    @property
    def units(self) -> Mapping[bytes, Unit]:
        """All of them."""
        if self.depth is not None:
            return self._folders
        return {name: Unit(1, _digest(leaf)) for name, leaf in self._leaves.items()}

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the stream."""
        held = self._left + bytes(data)
        at, most = 0, len(held)
        while most >= at + 4:
            start = at + 4
            end = start + int.from_bytes(held[at:start], "big")
            if most < end:
                break
            at = end
            record = held[start:end]
            if record[0] == _FOLDER:
                continue
            self.files += 1
            if self.depth is None:
                self._leaves[record_path(record)] = record_leaf(record)
                if len(self._leaves) > self._most:
                    self._gather()
            else:
                self._count(record_path(record), record_leaf(record))
        self._left = held[at:]

    def _count(self, path: bytes, leaf: bytes) -> None:
        """One more file of a folder."""
        assert self.depth is not None
        folder = path[: path.rfind(b"/") + 1]
        if folder != self._last[0]:
            self._last = folder, _folder(path, self.depth)
        place = self._last[1]
        self._folders[place] = _sum(self._folders.get(place), Unit(1, _digest(leaf)))
        if len(self._folders) > self._most:
            self._gather()

    def _gather(self) -> None:
        """Make it coarser until few enough units are left."""
        units = self.units
        while len(units) > self._most and self.depth != 0:
            deepest = max(name.count(b"/") for name in units)
            self.depth = deepest if self.depth is None else min(deepest, self.depth - 1)
            units = coarser_units(units, self.depth)
        self._folders, self._leaves = dict(units), {}
        self._last = (b"/", b"")  # no file's folder: it is looked up anew


def coarser_units(units: Mapping[bytes, Unit], depth: int) -> dict[bytes, Unit]:
    """Units of folders `depth` deep, from units of files or of deeper folders."""
    found: dict[bytes, Unit] = {}
    for name, unit in units.items():
        place = _folder(name, depth)
        found[place] = _sum(found.get(place), unit)
    return found


def _folder(name: bytes, depth: int) -> bytes:
    return b"".join(part + b"/" for part in name.split(b"/")[:-1][:depth])


def _digest(leaf: bytes) -> int:
    return int.from_bytes(leaf[:16], "big")


def _sum(one: Unit | None, other: Unit) -> Unit:
    if one is None:
        return other
    return Unit(one.files + other.files, (one.digest + other.digest) % _WRAP)


class OutlinedStreams:
    """Builders of a deposit's streams of groups and records, by what they became."""

    def __init__(self) -> None:
        self._built: dict[StreamRef, GroupBuilder | TreeBuilder] = {}

    def begin(self, purpose: StreamPurpose) -> GroupBuilder | TreeBuilder | None:
        """What is to be told of a stream's bytes, if anything is."""
        if purpose is StreamPurpose.ROW_GROUPS:
            return GroupBuilder()
        return TreeBuilder() if purpose is StreamPurpose.TREE_RECORDS else None

    def end(self, stream: StreamRef, builder: GroupBuilder | TreeBuilder) -> None:
        """The stream is finished; streams that are the same have the same outline."""
        self._built[stream] = builder

    def groups(self, stream: StreamRef) -> GroupBuilder:
        """What became of a stream of groups."""
        found = self._built.get(stream)
        return found if isinstance(found, GroupBuilder) else GroupBuilder()

    def records(self, stream: StreamRef) -> TreeBuilder:
        """What became of a stream of records."""
        found = self._built.get(stream)
        return found if isinstance(found, TreeBuilder) else TreeBuilder()


def outline_of(register: Register, streams: OutlinedStreams) -> RegisterOutline:
    """A register's outline, once it is captured."""
    objects = [
        (source.name, outline)
        for source in register.sources
        for item in source.objects
        for outline in _outlines(item, streams)
    ]
    if register.artefacts is not None:
        objects += [("artefacts", found) for found in _outlines(register.artefacts, streams)]
    return RegisterOutline(id=register.id, objects=tuple(objects))


def _outlines(item: ManifestObject, streams: OutlinedStreams) -> Iterator[ObjectOutline]:
    """Of what holds data; schemas, roles and sequences have none."""
    match item:
        case PgTable():
            yield _table(item, streams.groups(item.groups))
        case FilesTree():
            built = streams.records(item.entries)
            yield TreeOutline(
                name=item.name, files=built.files, depth=built.depth, units=built.units
            )
        case PgLargeObjects():
            yield SizedOutline(name=item.database, count=item.count, digest=item.root)
        case SqliteDatabase():
            yield FileOutline(
                name=item.file, size=item.size, digest=item.blake3, tables=item.tables
            )
        case CommandOutput():
            yield FileOutline(name=item.file, size=item.size, digest=item.blake3, tables=())
        case _:
            pass


def _table(table: PgTable, built: GroupBuilder) -> TableOutline:
    columns = "\n".join(f"{name} {kind}" for name, kind in table.columns)
    return TableOutline(
        name=f"{table.database}.{table.schema}.{table.name}",
        rows=table.rows,
        columns=hashlib.sha256(columns.encode()).hexdigest()[:32],
        groups=built.groups,
        level=built.level,
        nodes=built.nodes(),
    )
