"""Vaults' folders that were carried to the restoring machine, some of them perhaps broken.

A folder that cannot be read is left out with a named fault and keeps no other back. Folders that
say they are one seat's are asked in turn: which of them tells the truth, the shards' roots show.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import MissionId, Seat
from exclave.values import dataclass
from exclave.vault.interface import ShardStore
from exclave.vault.kept.folder import FolderVault
from exclave.wiring.copies import Copies

__all__ = ["Disks", "FolderFault", "NoFolderReadable", "open_disks"]

_LOG = logging.getLogger(__name__)


class NoFolderReadable(ConfigurationError):
    """None of the folders is a vault's of this mission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFault:
    """A folder that was left out, and why."""

    folder: Path
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """The folders that could be opened."""

    vaults: tuple[FolderVault, ...]
    faults: tuple[FolderFault, ...]

    @property
    def stores(self) -> dict[Seat, ShardStore]:
        """Where each seat's shards are looked for."""
        return {
            vault.seat: Copies([copy for copy in self.vaults if copy.seat == vault.seat])
            for vault in self.vaults
        }


def open_disks(folders: Sequence[Path], mission: MissionId) -> Disks:
    """Open what can be opened; raises `NoFolderReadable` when that is nothing."""
    vaults: list[FolderVault] = []
    faults: list[FolderFault] = []
    for folder in folders:
        try:
            vaults.append(_open(folder, mission))
        except ExclaveError as error:
            faults.append(FolderFault(folder=folder, what=error.message))
            _LOG.warning("%s: left out: %s", folder, error.message)
    if not vaults:
        raise NoFolderReadable(
            f"vault folders: none of {len(folders)} is a vault's folder of the mission",
            hint="\n".join(f"{fault.folder}: {fault.what}" for fault in faults),
        )
    return Disks(vaults=tuple(vaults), faults=tuple(faults))


def _open(folder: Path, mission: MissionId) -> FolderVault:
    # Both a whole vault's folder and the one mission's in it are understood.
    inside = folder / "missions" / mission.hex()
    return FolderVault(inside if inside.is_dir() else folder, mission)
