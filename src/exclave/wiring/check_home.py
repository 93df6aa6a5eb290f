"""Checks of the depositing machine itself: keys, clock, folders, room for what waits."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from exclave.clock import parse_time
from exclave.deposit.catalogue_entry import CatalogueEntry
from exclave.plain_words import roughly, size
from exclave.vault.line.identity import expiry
from exclave.vault.line.identity_file import read_certificate
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.overview import APART
from exclave.wiring.settings import DepositSettings

__all__ = ["check_clock", "check_folders", "check_keys", "check_room", "existing"]

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
        said="of the charter, readable by this user alone; identity "
        + (f"good for {roughly(left)}" if left > 0 else f"ended {roughly(-left)} ago"),
    )  # fmt: skip


def check_clock(entries: Sequence[CatalogueEntry], moment: datetime) -> Iterator[CheckResult]:
    """This machine's clock against its own past: nothing can have been deposited after now."""
    # Only the newest: whoever has set the clock right deposits again, and is not told for a year.
    for entry in entries[-1:]:
        ahead = (parse_time(entry.started) - moment).total_seconds()
        if ahead > APART:
            yield CheckResult(
                what="clock", good=False,
                said=f"the newest deposit began {roughly(ahead)} after now",
                hint="set this machine's clock; if it is right, it was wrong then: deposit again",
            )  # fmt: skip


def check_folders(
    settings: DepositSettings, *, may: Callable[[Path, int], bool] = os.access
) -> Iterator[CheckResult]:
    """That a deposit can write where it must; folders that are not made yet are made by it."""
    places = {
        "journal": settings.journal.parent,
        "catalogue": settings.catalogue,
        "spool": settings.spool,
        "scratch": settings.scratch,
        "evidence": settings.evidence,
    }
    closed = [
        f"{name} ({place})"
        for name, place in places.items()
        if not may(existing(place), os.W_OK | os.X_OK)
    ]
    yield CheckResult(
        what="folders",
        good=not closed,
        said=f"expected to write there, cannot: {', '.join(closed)}" if closed else "",
        hint="they belong to the user that deposits, on a disk that is mounted to be written"
        if closed
        else None,
    )


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


def existing(folder: Path) -> Path:
    """The folder, or the next above it that is there: it may not be made yet."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _free(folder: Path) -> int:
    """Bytes that its disk has left."""
    return shutil.disk_usage(existing(folder)).free
