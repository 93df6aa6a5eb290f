"""Rounds of cosigning: a log's newest checkpoint goes to its fellows, their answers come back.

One task a mission. A round begins when the log has grown, and at every heartbeat, a quarter of the
charter's freshness (spec/ledger.md 7); sooner when somebody failed. What is accepted, kept and
logged is decided by `exclave.vault.mission.cosigning`.

Rules
- Nothing waits for a round: a fellow that is silent or lies costs its own answer and no more.
- The first quorum is kept at once; answers that come later replace it by a larger one.
- A witness's failure is named once, and again when it changes; so is its return.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Final

from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.ledger.cosignature import Cosigned, WitnessParty, WitnessQuorumMissing
from exclave.ledger.note import NoteSignature
from exclave.ledger.witness import Answer, parse_kept_size
from exclave.values import dataclass, field
from exclave.vault.interface import Witness
from exclave.vault.mission.cosigning import (
    LogHead,
    WitnessFailed,
    check_lines,
    head_of,
    keep_cosigned,
    own_lines,
    request_for,
)
from exclave.vault.mission.mission import Mission
from exclave.vault.server.hosting import Hosted, Hosting

__all__ = ["Rounds"]

_LOG = logging.getLogger(__name__)
_ANSWER_SECONDS: Final = 10.0
_SHORTEST: Final = 0.25
_SOON, _LATEST = 1.0, 300.0
"""Seconds until a round in which somebody failed is repeated: doubling from one to the other."""
_TRIES: Final = 3
"""A witness that has seen another size says so; twice, when other requests come in between."""


@dataclass(kw_only=True)
class Rounds:
    """The rounds of one mission; `fellows` may change between two of them."""

    hosting: Hosting
    hosted: Hosted
    fellows: Mapping[Seat, Witness]
    _seen: dict[Seat, int] = field(default_factory=dict)  # what each fellow cosigned last
    _named: dict[str, str] = field(default_factory=dict)  # failures as last logged, by label

    async def run(self) -> None:
        """Rounds until cancelled."""
        again = _SOON
        while True:
            size, heartbeat = self.hosted.mission.log.size, _LATEST
            try:
                head = await self.hosting.run(head_of, self.hosted.mission)
                size = head.checkpoint.size
                heartbeat = max(_SHORTEST, head.witnesses.freshness / 4)
                await self.round(head)
            except ExclaveError as error:
                self._failed("this log", error.message)
            again = min(again * 2, _LATEST) if self._named else _SOON
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(heartbeat, again) if self._named else heartbeat):
                    await self.hosted.news(size)

    async def round(self, head: LogHead) -> Cosigned | None:
        """Ask everybody once; the newest that was kept, None without a quorum."""
        mission, run = self.hosted.mission, self.hosting.run
        lines = list(await run(own_lines, mission, head))
        asked = [
            asyncio.create_task(self._ask(head, party, self.fellows[party.seat]))
            for party in head.witnesses.parties
            if party.seat is not None and party.seat in self.fellows
        ]
        kept = await self._keep(head, lines)
        try:
            for answer in asyncio.as_completed(asked):
                more = await answer
                if more:
                    lines.extend(more)
                    kept = await self._keep(head, lines) or kept
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if kept is None:
            self._failed("witness quorum", f"not reached for size {head.checkpoint.size}")
        else:
            self._well("witness quorum")
            self._well("this log")
        return kept

    async def _keep(self, head: LogHead, lines: list[NoteSignature]) -> Cosigned | None:
        mission = self.hosted.mission
        try:
            cosigned = await self.hosting.run(keep_cosigned, mission, head, list(lines))
        except WitnessQuorumMissing:
            return None
        if mission.log.size > head.checkpoint.size:
            await self.hosted.tell()  # it was logged as witnessed
        return cosigned

    async def _ask(
        self, head: LogHead, party: WitnessParty, fellow: Witness
    ) -> tuple[NoteSignature, ...]:
        """One fellow's lines; none when it fails, which is named."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                lines = await self._lines(head, party, fellow)
        except TimeoutError:
            self._failed(party.label, f"no answer within {_ANSWER_SECONDS:g} seconds")
        except ExclaveError as error:
            self._failed(party.label, error.message)
        else:
            self._well(party.label)
            return lines
        return ()

    async def _lines(
        self, head: LogHead, party: WitnessParty, fellow: Witness
    ) -> tuple[NoteSignature, ...]:
        mission: Mission = self.hosted.mission
        old = self._seen.get(fellow.seat, 0)
        for _ in range(_TRIES):
            request = await self.hosting.run(request_for, mission, head, old)
            reply = await fellow.add_checkpoint(request)
            if reply.status == Answer.COSIGNED:
                self._seen[fellow.seat] = head.checkpoint.size
                now = mission.clock()
                return await self.hosting.run(check_lines, head, party, reply.body, now)
            if reply.status != Answer.OTHER_SIZE:
                raise WitnessFailed(f"{party.label}: expected cosignatures, got {reply.status}")
            old = self._seen[fellow.seat] = parse_kept_size(reply.body)
        raise WitnessFailed(f"{party.label}: says of every size that it has seen another")

    def _failed(self, label: str, message: str) -> None:
        message = message.removeprefix(f"{label}: ")
        if self._named.get(label) != message:
            self._named[label] = message
            mission = self.hosted.mission
            _LOG.warning(
                "log of seat %d, mission %s: %s: %s",
                mission.seat, mission.mission.hex()[:16], label, message,
            )  # fmt: skip

    def _well(self, label: str) -> None:
        if self._named.pop(label, None) is not None:
            _LOG.info("log of seat %d: %s: as it should be again", self.hosted.mission.seat, label)
