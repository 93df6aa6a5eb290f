"""Mirroring: what is logged here is sent to the fellow vaults, again until each has it.

One task a fellow walks the log and hands every statement to the fellow's public listener
(spec/vault-http.md 6). A refusal with a reason settles that statement there; no answer, or
`unavailable`, is tried again later. Where it stands is kept in `meta/`, so that a restart
does not begin anew; losing that costs only repeated, idempotent requests.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from exclave.errors import ExclaveError, VaultUnreachable
from exclave.ids import Seat
from exclave.ledger.entry import EntryType
from exclave.vault.hosting import Hosted, Hosting
from exclave.vault.interface import PublicRecord, VaultRefused
from exclave.vault.mission import Mission
from exclave.vault.storage import read_optional

__all__ = ["MIRRORED", "mirror_to", "position_of"]

_LOG = logging.getLogger(__name__)
MIRRORED: Final = frozenset(
    {
        EntryType.RECORD,
        EntryType.CHARTER,
        EntryType.WARRANT,
        EntryType.SIGNATURES,
        EntryType.SUPPLEMENT,
        EntryType.ANNEX,
        EntryType.ORDER,
        EntryType.CONFLICT,
    }
)
"""Entries whose bodies the fellows get."""
_LONGEST: Final = 300.0
# A charter or a lockdown, say, that has to come first: it is on its way too.
_LATER: Final = frozenset({"unavailable", "rate", "no-space", "charter-gap", "not-open"})


async def mirror_to(hosting: Hosting, hosted: Hosted, fellow: PublicRecord) -> None:
    """Keep one fellow up to date until cancelled."""
    mission = hosted.mission
    position = await hosting.run(position_of, mission, fellow.seat)
    pause = 1.0
    while True:
        try:
            position = await _send_from(hosting, mission, fellow, position)
            pause = 1.0
        except (VaultUnreachable, VaultRefused) as error:
            _LOG.info("mirroring to seat %d waits: %s", fellow.seat, error.message)
            pause = min(pause * 2, _LONGEST)
        except ExclaveError as error:
            _LOG.error("mirroring to seat %d: %s", fellow.seat, error.message)
            pause = _LONGEST
        if position >= mission.log.size:
            await hosted.news(mission.log.size)
        else:
            await asyncio.sleep(pause)


async def _send_from(
    hosting: Hosting, mission: Mission, fellow: PublicRecord, position: int
) -> int:
    while position < mission.log.size:
        body = await hosting.run(_body_at, mission, position)
        if body is not None:
            try:
                await fellow.submit(body)
            except VaultRefused as error:
                if error.cause in _LATER:
                    raise
                _LOG.warning(
                    "seat %d refuses entry %d of seat %d: %s",
                    fellow.seat, position, mission.seat, error.cause,
                )  # fmt: skip
        position += 1
        await hosting.run(mission.store.replace_head, _key(fellow.seat), f"{position}\n".encode())
    return position


def _body_at(mission: Mission, number: int) -> bytes | None:
    with mission.lock:
        entry = mission.log.entry(number)
        return mission.log.body(entry.hash) if entry.type in MIRRORED else None


def position_of(mission: Mission, seat: Seat) -> int:
    """How many entries of this log a fellow needs no more, as it was last kept."""
    text = (read_optional(mission.store, _key(seat)) or b"0").decode("ascii", "replace").strip()
    return min(int(text), mission.log.size) if text.isdecimal() and len(text) < 20 else 0


def _key(seat: Seat) -> str:
    return f"meta/mirrored-{seat}"
