"""Checks of the depositing machine itself: whose keys, who may read them, room for what waits."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from exclave.plain_words import roughly, size
from exclave.vault.identity import expiry
from exclave.vault.identity_file import read_certificate
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.settings import DepositSettings

__all__ = ["check_keys", "check_room"]

_SECRET: Final = ("keys.json", "identity.pem")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_YEAR: Final = 365 * 86_400
_MARGIN: Final = 256 * 2**20  # bytes of scratch: external sorts, encrypted
_DAYS: Final = 7


def check_keys(folder: Path, depositor: str, moment: datetime) -> Iterator[CheckResult]:
    """The bundle: that nobody else reads it, and how long its identity is good."""
    what = f"keys of depositor {depositor}"
    open_to = [name for name in _SECRET if (folder / name).stat().st_mode & _OTHERS]
    if open_to:
        yield CheckResult(
            what=what, good=False, said=f"others of this machine may read {', '.join(open_to)}",
            hint=f"chmod 600 {folder / open_to[0]}",
        )  # fmt: skip
        return
    left = (expiry(read_certificate(folder / "identity.pem")) - moment).total_seconds()
    yield CheckResult(
        what=what, good=left > 0, warns=left < _YEAR,
        said=f"of the charter, readable by this user alone; identity good for {roughly(left)}",
    )  # fmt: skip


def check_room(settings: DepositSettings, *, next_deposit: int, used: int) -> Iterator[CheckResult]:
    """Spool and scratch; `next_deposit`: bytes that wait for each seat which cannot be reached."""
    limit = settings.spool_limit
    disk = _free(settings.spool)
    room = min(limit - used, disk)
    figure = Figure(
        label="spool_used", value=used, unit="B", bad=float(max(0, limit - next_deposit))
    )
    said = f"{size(used)} of {size(limit)}, {size(disk)} free on its disk"
    bounded = "its disk" if disk < limit - used else "spool_limit"
    if room < next_deposit:
        said += f": one seat's part of the next deposit is {size(next_deposit)}"
        yield CheckResult(
            what="spool", good=False, said=said, figures=(figure,),
            hint=f"{bounded} is too small for a seat that cannot be reached",
        )  # fmt: skip
    else:
        few = bool(next_deposit) and room // next_deposit < _DAYS
        if few:
            said += f": full after {room // next_deposit} deposits while a seat is away"
        yield CheckResult(what="spool", good=True, warns=few, said=said, figures=(figure,))
    scratch = _free(settings.scratch)
    yield CheckResult(
        what="scratch", good=scratch > 0, warns=scratch < _MARGIN, said=f"{size(scratch)} free",
        figures=(Figure(label="scratch_free", value=scratch, unit="B", warn=_MARGIN, low=True),),
    )  # fmt: skip


def _free(folder: Path) -> int:
    """Bytes that its disk has left; the folder may not be made yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
