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
from exclave.ledger.entry import EntryType
from exclave.vault.hosting import Hosted, Hosting
from exclave.vault.interface import PublicRecord, VaultRefused
from exclave.vault.mission import Mission
from exclave.vault.storage import read_optional

__all__ = ["mirror_to"]

_LOG = logging.getLogger(__name__)
_SENT: Final = frozenset(
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
_LONGEST: Final = 300.0
# A charter or a lockdown, say, that has to come first: it is on its way too.
_LATER: Final = frozenset({"unavailable", "rate", "no-space", "charter-gap", "not-open"})


async def mirror_to(hosting: Hosting, hosted: Hosted, fellow: PublicRecord) -> None:
    """Keep one fellow up to date until cancelled."""
    mission, key = hosted.mission, f"meta/mirrored-{fellow.seat}"
    position = await hosting.run(_position, mission, key)
    pause = 1.0
    while True:
        try:
            position = await _send_from(hosting, mission, fellow, position, key)
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
    hosting: Hosting, mission: Mission, fellow: PublicRecord, position: int, key: str
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
        await hosting.run(mission.store.replace_head, key, f"{position}\n".encode())
    return position


def _body_at(mission: Mission, number: int) -> bytes | None:
    with mission.lock:
        entry = mission.log.entry(number)
        return mission.log.body(entry.hash) if entry.type in _SENT else None


def _position(mission: Mission, key: str) -> int:
    text = (read_optional(mission.store, key) or b"0").decode("ascii", "replace").strip()
    return min(int(text), mission.log.size) if text.isdecimal() and len(text) < 20 else 0
