"""What a founding leaves on disk, and how it gets there: all of it or nothing.

    charter.json             charter 1, with the signatures gathered so far
    mission.txt              mission id and checksum, to compare out of band
    annex.json               names of the officials: for home and the officials only
    annex.sealed             the same, sealed to the recovery key: for vaults
    depositors/<id>/         keys.json, identity.pem, charter.json: for that machine only
    enrolments/<vault>.json  one a seat, once the charter has its signatures

No share, card or seed is ever written here. Everything is made in a folder beside and renamed into
place, durable on return.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from exclave.authority.card import mission_checksum
from exclave.authority.charter import Charter
from exclave.authority.enrolment import Enrolment, enrolment_envelope
from exclave.authority.envelope import Envelope
from exclave.durable import sync_folder
from exclave.errors import ConfigurationError
from exclave.signer.file import write_once

__all__ = [
    "CHARTER",
    "DEPOSITORS",
    "ENROLMENTS",
    "OutputExists",
    "founding_enrolments",
    "staged",
    "sync_tree",
    "write_enrolments",
    "write_mission",
]

CHARTER = "charter.json"
DEPOSITORS = "depositors"
ENROLMENTS = "enrolments"


class OutputExists(ConfigurationError):
    """The folder to write is there already."""


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when the block ends well, and vanishes when it does not."""
    if out.exists():
        raise OutputExists(f"{out}: expected no such file or folder, got one")
    beside = out.with_name(f".{out.name}.new-{os.getpid()}")
    beside.mkdir(mode=0o700)
    try:
        yield beside
        sync_tree(beside)
        # A folder that appeared meanwhile is refused by rename unless it is empty.
        beside.rename(out)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    sync_folder(out.parent)


def write_mission(folder: Path, charter: Charter) -> None:
    """Write `mission.txt`."""
    mission = charter.mission_id
    text = f"{mission.hex()}\nchecksum {mission_checksum(mission)}\n"
    write_once(folder / "mission.txt", text.encode("ascii"))


def founding_enrolments(charter: Charter, envelope: Envelope) -> Sequence[Enrolment]:
    """An enrolment for each seat of charter 1."""
    return [
        Enrolment(mission=charter.mission_id, seat=seat.seat, vault=seat.vault, charter=envelope)
        for seat in charter.active_seats
    ]


def write_enrolments(folder: Path, enrolments: Iterable[Enrolment]) -> None:
    """Write each enrolment into the new `folder`, under its vault's name."""
    with staged(folder) as stage:
        for enrolment in enrolments:
            data = enrolment_envelope(enrolment).to_bytes()
            write_once(stage / f"{enrolment.vault}.json", data)


def sync_tree(folder: Path) -> None:
    """Make the names in a tree durable; its files are already."""
    for place, _, _ in os.walk(folder):
        sync_folder(Path(place))
