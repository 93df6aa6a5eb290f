"""What differs between two deposits, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from exclave.deposit.differing import FileDiff, TableDiff, TreeDiff
from exclave.plain_words import size

if TYPE_CHECKING:
    from exclave.deposit.differing import FolderDiff, ObjectDiff, RegisterDiff

__all__ = ["difference_json", "difference_lines"]

_SHOWN = 20
"""Folders that are named; --json has all of them."""
_SIDES = {"before": "in the earlier one only", "after": "in the later one only"}


def difference_json(register: RegisterDiff) -> dict[str, object]:
    """A register with all of its objects."""
    return {
        "id": register.id,
        "same": register.same,
        "only": register.only,
        "objects": [{"source": source, **_object_json(item)} for source, item in register.objects],
    }


def difference_lines(register: RegisterDiff) -> Iterator[str]:
    """A register and what differs in it."""
    if register.only is not None:
        yield f"{register.id}: {_SIDES[register.only]}"
        return
    if register.same:
        yield f"{register.id}: no difference"
        return
    yield f"{register.id}:"
    for _, item in register.objects:
        if not item.same:
            yield from (f"  {line}" for line in _object_lines(item))


def _object_json(item: ObjectDiff) -> dict[str, object]:
    match item:
        case TableDiff():
            return {
                "type": "table", "name": item.name, "same": item.same,
                "rows": [item.rows_before, item.rows_after],
                "groups": [item.groups_before, item.groups_after],
                "groups_gone": item.gone, "groups_new": item.new, "share": round(item.share, 6),
                "exact": item.exact, "columns_changed": item.columns_changed,
            }  # fmt: skip
        case TreeDiff():
            return {
                "type": "tree", "name": item.name, "same": item.same,
                "files": [item.files_before, item.files_after], "exact": item.exact,
                "folders": [_folder_json(folder) for folder in item.folders],
            }  # fmt: skip
        case FileDiff():
            return {
                "type": "file", "name": item.name, "same": item.same,
                item.unit: [item.before, item.after],
                "tables": [
                    {"name": name, "rows": [before, after]} for name, before, after in item.tables
                ],
            }  # fmt: skip


def _folder_json(folder: FolderDiff) -> dict[str, object]:
    return {
        "folder": _shown(folder.folder),
        "files": [folder.before, folder.after],
        "added": folder.added,
        "removed": folder.removed,
        "changed": folder.changed,
    }


def _object_lines(item: ObjectDiff) -> Iterator[str]:
    match item:
        case TableDiff():
            yield _table_line(item)
        case TreeDiff():
            yield f"{item.name}: {_amounts(item.files_before, item.files_after)} files"
            for folder in item.folders[:_SHOWN]:
                yield f"  {_folder_line(folder)}"
            if len(item.folders) > _SHOWN:
                yield f"  and {len(item.folders) - _SHOWN} folders more (--json)"
        case FileDiff():
            amounts = _sizes if item.unit == "bytes" else _amounts
            unit = "" if item.unit == "bytes" else f" {item.unit}"
            yield f"{item.name}: {amounts(item.before, item.after)}{unit}, changed"
            for name, before, after in item.tables:
                if before != after:
                    yield f"  {name}: {_amounts(before, after)} rows"


def _table_line(item: TableDiff) -> str:
    most = "" if item.exact else "at most "
    line = (
        f"{item.name}: {_amounts(item.rows_before, item.rows_after)} rows, {most}"
        f"{item.share:.1%} of its row groups changed ({most}{item.new} of {item.groups_after})"
    )
    return f"{line}, other columns" if item.columns_changed else line


def _folder_line(folder: FolderDiff) -> str:
    name = _shown(folder.folder)
    if folder.added is None:
        return f"{name}: differs, {_amounts(folder.before, folder.after)} files"
    return f"{name}: {folder.added} added, {folder.removed} removed, {folder.changed} changed"


def _amounts(before: int | None, after: int | None) -> str:
    if before == after:
        return str(after)
    return f"{'none' if before is None else before} -> {'none' if after is None else after}"


def _sizes(before: int | None, after: int | None) -> str:
    words = ["none" if amount is None else size(amount) for amount in (before, after)]
    return words[0] if before == after else " -> ".join(words)


def _shown(path: bytes) -> str:
    return f"./{path.decode('utf-8', 'backslashreplace')}"
