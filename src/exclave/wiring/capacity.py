"""What a vault's disk has room for, against what was agreed for all missions of an installation.

A warning and never a refusal: a disk can be made larger before what was agreed is used, and no
guest is told of the others' agreements.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from exclave.authority.agreement import Agreement
from exclave.plain_words import size
from exclave.values import dataclass
from exclave.vault.installation.install import VaultFolder
from exclave.vault.interface import MissionStatus
from exclave.wiring.seat_files import vault_config

__all__ = ["DiskRoom", "disk_room"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRoom:
    """Bytes of a vault's disk: `free`, `kept` of it for the log, `promised` and not yet stored."""

    free: int
    kept: int
    promised: int

    @property
    def short(self) -> int:
        """Bytes that were agreed on and that the disk has not; 0 when it has enough."""
        return max(0, self.promised - max(0, self.free - self.kept))

    @property
    def warning(self) -> str | None:
        """What to say when it is short."""
        if not self.short:
            return None
        return (
            f"agreed: {size(self.promised)} may still come, and the disk has room for "
            f"{size(max(0, self.free - self.kept))}: {size(self.short)} short"
        )


def disk_room(
    path: Path, missions: Sequence[MissionStatus], *, accepting: Agreement | None = None
) -> DiskRoom:
    """The room of a vault whose missions stand like this, with an agreement that is about to be."""
    promised = sum(_left(item, item.capacity_bytes) for item in missions)
    if accepting is not None:
        own = [item for item in missions if item.mission == accepting.head.mission]
        held = [item for item in own if item.seat in accepting.numbers]
        promised -= sum(_left(item, item.capacity_bytes) for item in held)
        promised += sum(_left(item, accepting.capacity) for item in held)
        if not own:
            promised += accepting.capacity  # of a guest that is not enrolled here yet
    folder = VaultFolder.open(path)
    return DiskRoom(
        free=shutil.disk_usage(folder.path).free,
        kept=vault_config(folder).min_free_bytes,
        promised=promised,
    )


def _left(item: MissionStatus, capacity: int | None) -> int:
    return 0 if capacity is None else max(0, capacity - item.shard_bytes)
