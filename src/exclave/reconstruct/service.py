"""Runbook and artefacts of a register: what makes restored data a service again.

They are written into a folder of their own beside the reconstruction, `<register>/RUNBOOK` and
`<register>/artefacts/`, and compared like everything else. Nothing there is overwritten: what an
earlier run finished is only compared.
"""

from __future__ import annotations

from pathlib import Path

from exclave.archive.manifest import Register, RegisterSource
from exclave.durable import write_new_file
from exclave.source.files.errors import FolderNotEmpty
from exclave.source.files.restore import FilesTarget
from exclave.source.interface import ArchiveSupply, Compared, Difference
from exclave.values import replace

__all__ = ["restore_service"]


def restore_service(register: Register, supply: ArchiveSupply, folder: Path) -> Compared:
    """Write and compare what a register has of both; empty when it has neither."""
    differences: list[Difference] = []
    not_compared: tuple[str, ...] = ()
    place = folder / register.id
    if register.runbook is not None or register.artefacts is not None:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if register.runbook is not None:
        text = b"".join(supply.read_stream(register.runbook))
        differences += _runbook(register.id, place / "RUNBOOK", text)
    if register.artefacts is not None:
        found = _artefacts(register, supply, place / "artefacts")
        differences += found.differences
        not_compared = tuple(f"artefacts: {what}" for what in found.not_compared)
    return Compared(
        rows=0, files=0, objects=0, differences=tuple(differences), not_compared=not_compared
    )


def _runbook(register: str, file: Path, text: bytes) -> list[Difference]:
    if not file.exists():
        write_new_file(file, [text], mode=0o600)
    if file.read_bytes() == text:
        return []
    return [Difference(register=register, subject="RUNBOOK", what="content differs")]


def _artefacts(register: Register, supply: ArchiveSupply, folder: Path) -> Compared:
    assert register.artefacts is not None
    source = RegisterSource(
        name="artefacts",
        kind="files",
        started=register.started,
        ended=register.ended,
        facts=(),
        objects=(register.artefacts,),
    )
    tree = replace(register.part(source), runbook=None, artefacts=None)
    target = FilesTarget(folder)
    try:
        target.check_empty(tree)
    except FolderNotEmpty:
        pass  # finished by an earlier run: compared below, never written again
    else:
        target.restore(tree, supply, _silent)
    compared = target.compare(tree, supply, _silent)
    return replace(
        compared,
        differences=tuple(
            replace(item, subject=f"artefacts/{item.subject}") for item in compared.differences
        ),
    )


def _silent(what: str, units: int, size: int) -> None:
    del what, units, size
