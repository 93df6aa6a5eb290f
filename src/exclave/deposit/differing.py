"""How two deposits differ, by their outlines: pure, and no more exact than they are.

Rules
- Groups and files are compared as multisets: a group that is in both has not changed, wherever it
  stands. So rows that were added or taken away in the middle of a table change all groups behind
  them, since these begin elsewhere (spec/archive.md 6).
- Where one outline is coarser, the other is made as coarse; what is counted then is at most so many
  groups, and of folders whether they differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from exclave.deposit.outline import (
    FileOutline,
    ObjectOutline,
    RegisterOutline,
    SizedOutline,
    TableOutline,
    TreeOutline,
    Unit,
    coarser,
    coarser_units,
)
from exclave.values import dataclass

__all__ = [
    "FileDiff",
    "FolderDiff",
    "ObjectDiff",
    "RegisterDiff",
    "TableDiff",
    "TreeDiff",
    "diff_registers",
    "diff_tables",
    "diff_trees",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDiff:
    """A table; None where it is in one deposit only. Of large objects, their number."""

    name: str
    rows_before: int | None
    rows_after: int | None
    groups_before: int
    groups_after: int
    gone: int  # groups of before that are not in after
    new: int  # groups of after that are not in before
    exact: bool  # else `gone` and `new` are the most that it can be
    columns_changed: bool = False

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.gone or self.new or self.columns_changed) and (
            self.rows_before == self.rows_after
        )

    @property
    def share(self) -> float:
        """Of the groups after, those that are new; of an empty table, of those before."""
        if self.groups_after:
            return self.new / self.groups_after
        return 1.0 if self.gone else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDiff:
    """Files directly in a folder; or, where that was not kept, below it: then only counts."""

    folder: bytes
    before: int
    after: int
    added: int | None
    removed: int | None
    changed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeDiff:
    """A file tree; folders that differ, by path."""

    name: str
    files_before: int | None
    files_after: int | None
    exact: bool
    folders: tuple[FolderDiff, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.folders and self.files_before == self.files_after


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """A database file with its tables' rows, a program's output, or large objects."""

    name: str
    unit: str  # of the amounts: bytes or objects
    before: int | None
    after: int | None
    changed: bool
    tables: tuple[tuple[str, int | None, int | None], ...] = ()

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.changed


T = TypeVar("T")
ObjectDiff: TypeAlias = TableDiff | TreeDiff | FileDiff


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterDiff:
    """A register of both deposits, or of one (`only`: before or after)."""

    id: str
    only: str | None
    objects: tuple[tuple[str, ObjectDiff], ...]  # by source, each that is in one of them

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.only is None and all(item.same for _, item in self.objects)


def diff_registers(
    before: Sequence[RegisterOutline], after: Sequence[RegisterOutline]
) -> tuple[RegisterDiff, ...]:
    """By register, in the order of the later deposit, then those that are gone."""
    old = {item.id: item for item in before}
    new = {item.id: item for item in after}
    return tuple(_register(name, old.get(name), new.get(name)) for name in {**new, **old})


def _register(
    name: str, before: RegisterOutline | None, after: RegisterOutline | None
) -> RegisterDiff:
    only = "after" if before is None else "before" if after is None else None
    old, new = _objects(before), _objects(after)
    objects = [(key[0], _object(old.get(key), new.get(key))) for key in {**new, **old}]
    return RegisterDiff(id=name, only=only, objects=tuple(objects))


def _objects(
    register: RegisterOutline | None,
) -> dict[tuple[str, str, str], ObjectOutline]:
    if register is None:
        return {}
    return {(source, type(item).__name__, item.name): item for source, item in register.objects}


def _object(before: ObjectOutline | None, after: ObjectOutline | None) -> ObjectDiff:
    one = after if before is None else before
    assert one is not None
    if isinstance(one, TableOutline):
        return diff_tables(_as(TableOutline, before), _as(TableOutline, after))
    if isinstance(one, TreeOutline):
        return diff_trees(_as(TreeOutline, before), _as(TreeOutline, after))
    if isinstance(one, FileOutline):
        return _files(_as(FileOutline, before), _as(FileOutline, after))
    return _sized(_as(SizedOutline, before), _as(SizedOutline, after))


def _as(kind: type[T], item: object) -> T | None:
    return item if isinstance(item, kind) else None


def diff_tables(before: TableOutline | None, after: TableOutline | None) -> TableDiff:
    """Groups as multisets, at the level of the coarser outline."""
    level = max(item.level for item in (before, after) if item is not None)
    old, new = Counter(_weighed(before, level)), Counter(_weighed(after, level))
    one = after or before
    assert one is not None
    return TableDiff(
        name=one.name,
        rows_before=None if before is None else before.rows,
        rows_after=None if after is None else after.rows,
        groups_before=0 if before is None else before.groups,
        groups_after=0 if after is None else after.groups,
        gone=sum(groups * count for (_, groups), count in (old - new).items()),
        new=sum(groups * count for (_, groups), count in (new - old).items()),
        exact=level == 0,
        columns_changed=_columns(before) != _columns(after) and None not in (before, after),
    )


def _columns(table: TableOutline | None) -> str | None:
    return None if table is None else table.columns


def _weighed(table: TableOutline | None, level: int) -> Iterator[tuple[bytes, int]]:
    """A table's nodes at a level, each with the number of its groups."""
    if table is None:
        return
    nodes = table.nodes
    for _ in range(level - table.level):
        nodes = coarser(nodes)
    width = 2**level
    for number, node in enumerate(nodes):
        yield node, min(width, table.groups - number * width)


def diff_trees(before: TreeOutline | None, after: TreeOutline | None) -> TreeDiff:
    """By folder: of single files where both outlines have them."""
    depths = [item.depth for item in (before, after) if item is not None]
    known = [depth for depth in depths if depth is not None]
    one = after or before
    assert one is not None
    old = {} if before is None else before.units
    new = {} if after is None else after.units
    if known:
        old, new = coarser_units(old, min(known)), coarser_units(new, min(known))
        folders = tuple(_coarse(old, new))
    else:
        folders = tuple(_fine(old, new))
    return TreeDiff(
        name=one.name,
        files_before=None if before is None else before.files,
        files_after=None if after is None else after.files,
        exact=not known,
        folders=folders,
    )


def _fine(old: Mapping[bytes, Unit], new: Mapping[bytes, Unit]) -> Iterator[FolderDiff]:
    added, removed, changed = Counter[bytes](), Counter[bytes](), Counter[bytes]()
    before, after = Counter(map(_parent, old)), Counter(map(_parent, new))
    for path in {**old, **new}:
        if path not in old:
            added[_parent(path)] += 1
        elif path not in new:
            removed[_parent(path)] += 1
        elif old[path].digest != new[path].digest:
            changed[_parent(path)] += 1
    for folder in sorted({*added, *removed, *changed}):
        yield FolderDiff(
            folder=folder,
            before=before[folder],
            after=after[folder],
            added=added[folder],
            removed=removed[folder],
            changed=changed[folder],
        )


def _coarse(old: Mapping[bytes, Unit], new: Mapping[bytes, Unit]) -> Iterator[FolderDiff]:
    nothing = Unit(0, 0)
    for folder in sorted({*old, *new}):
        one, other = old.get(folder, nothing), new.get(folder, nothing)
        if one != other:
            yield FolderDiff(
                folder=folder,
                before=one.files,
                after=other.files,
                added=None,
                removed=None,
                changed=None,
            )


def _parent(path: bytes) -> bytes:
    return path[: path.rfind(b"/") + 1]


def _files(before: FileOutline | None, after: FileOutline | None) -> FileDiff:
    one = after or before
    assert one is not None
    old = {} if before is None else dict(before.tables)
    new = {} if after is None else dict(after.tables)
    return FileDiff(
        name=one.name,
        unit="bytes",
        before=None if before is None else before.size,
        after=None if after is None else after.size,
        changed=before is None or after is None or before.digest != after.digest,
        tables=tuple((name, old.get(name), new.get(name)) for name in {**old, **new}),
    )


def _sized(before: SizedOutline | None, after: SizedOutline | None) -> FileDiff:
    one = after or before
    assert one is not None
    return FileDiff(
        name=f"large objects of {one.name}",
        unit="objects",
        before=None if before is None else before.count,
        after=None if after is None else after.count,
        changed=before is None or after is None or before.digest != after.digest,
    )
