"""Checks of the seats: pinned keys, what stands there, room, clock, certificate, witnesses.

What a vault says of itself is a claim; its log and who cosigned it are checked (`exclave monitor`
looks at far more of that). A host's clock is compared because leaves and time stamps hang on it;
nothing of ours is decided by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from exclave.authority.charter_parts import SeatEntry
from exclave.authority.witnesses import witnesses_of
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.ledger.checkpoint import log_verifier
from exclave.ledger.cosignature import Cosigned, open_cosigned
from exclave.plain_words import duration, roughly, size
from exclave.vault.interface import Answer, MissionStatus, PublicRecord, State
from exclave.vault.line.identity import expiry
from exclave.wiring.asking import asking
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.depositor import Home
from exclave.wiring.overview import look_at_seats

__all__ = ["certificate_result", "check_seats", "clock_result", "room_result"]

_LOOK: Final = "if you do not know of it, ask the officials: exclave standing"
_PENDING: Final = frozenset({State.INCOMPLETE, State.WAITING, State.OVERRIDING, State.VETOED})
_CLOCK_WARN, _CLOCK_BAD = 30, 300  # seconds apart; leaves are made five minutes into the past
_LEAF_WARN, _LEAF_BAD = 2 * 86_400, 6 * 3600  # seconds left of a week
_DEPOSITS_WARN: Final = 30


def check_seats(home: Home, *, next_deposit: int, moment: datetime) -> Iterator[CheckResult]:
    """All seats to which there is a line; `next_deposit`: bytes that each would get."""
    states: set[str] = set()
    answers = look_at_seats(home)
    for seat, answer in answers.items():
        entry = home.party.charter.seat(seat)
        what = f"seat {seat} ({entry.state}, {entry.vault})"
        if isinstance(answer, str):
            yield CheckResult(what=what, good=False, said=answer)
        elif answer.status.seat != seat or answer.status.mission != home.party.mission:
            yield CheckResult(what=what, good=False, said="answers for another seat or mission")
        else:
            states.add(entry.state)
            yield room_result(what, answer.status, next_deposit)
            yield from _connection(what, answer, moment)
            yield from _standing(what, answer.status)
    h = home.party.charter.dispersal.h
    yield CheckResult(
        what="reachable states", good=len(states) >= h, said=f"{len(states)}, {h} required"
    )
    there = {seat for seat, answer in answers.items() if not isinstance(answer, str)}
    yield from _witnesses(home, there, moment)


def room_result(what: str, status: MissionStatus, next_deposit: int) -> CheckResult:
    """Whether the next deposit fits into disk and quota, and some more."""
    agreed = max(0, status.quota_bytes - status.shard_bytes - status.staged_bytes)
    room = min(agreed, status.free_bytes)
    limit = "agreed" if agreed < status.free_bytes else "free on its disk"
    said = f"{size(status.free_bytes)} free"
    if agreed < status.free_bytes:
        said += f", {size(agreed)} left of the agreed {size(status.quota_bytes)}"
    figure = Figure(
        label=f"seat{status.seat}_room", value=room, unit="B",
        warn=float(next_deposit * _DEPOSITS_WARN), bad=float(next_deposit), low=True,
    )  # fmt: skip
    if room < next_deposit:
        said += f": the next deposit needs {size(next_deposit)} there, {size(room)} are {limit}"
        return CheckResult(
            what=what, good=False, said=said, figures=(figure,),
            hint="a larger agreement or disk, or a release of old deposits",
        )  # fmt: skip
    few = bool(next_deposit) and room < next_deposit * _DEPOSITS_WARN
    if few:
        said += f": room for {room // next_deposit} more deposits like the next"
    return CheckResult(what=what, good=True, warns=few, said=said, figures=(figure,))


def clock_result(what: str, seat: Seat, date: str, moment: datetime) -> CheckResult | None:
    """How far a vault's wall clock is from ours; None where it says nothing readable."""
    try:
        there = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    apart = (there.astimezone(UTC) - moment).total_seconds()
    figure = Figure(
        label=f"seat{seat}_clock", value=round(abs(apart)), unit="s",
        warn=_CLOCK_WARN, bad=_CLOCK_BAD,
    )  # fmt: skip
    if abs(apart) <= _CLOCK_WARN:
        return CheckResult(what=f"{what}, clock", good=True, said="as ours", figures=(figure,))
    way = "ahead of" if apart > 0 else "behind"
    return CheckResult(
        what=f"{what}, clock", good=abs(apart) <= _CLOCK_BAD, warns=True, figures=(figure,),
        said=f"{roughly(abs(apart))} {way} ours",
        hint="compare both with a third clock; nothing expires by either of them",
    )  # fmt: skip


def certificate_result(what: str, seat: Seat, leaf: bytes, moment: datetime) -> CheckResult:
    """How long a vault's own TLS certificate is still good: it renews it by itself."""
    left = int((expiry(leaf) - moment).total_seconds())
    figure = Figure(
        label=f"seat{seat}_certificate", value=left, unit="s",
        warn=_LEAF_WARN, bad=_LEAF_BAD, low=True,
    )  # fmt: skip
    said = f"good for {roughly(max(0, left))}"
    if left >= _LEAF_WARN:
        return CheckResult(what=f"{what}, certificate", good=True, said=said, figures=(figure,))
    return CheckResult(
        what=f"{what}, certificate", good=left >= _LEAF_BAD, warns=True, said=said,
        figures=(figure,), hint="the host's server renews it by itself: it should be restarted",
    )  # fmt: skip


def _connection(what: str, answer: Answer, moment: datetime) -> Iterator[CheckResult]:
    clock = (
        None if answer.date is None else clock_result(what, answer.status.seat, answer.date, moment)
    )
    if clock is not None:
        yield clock
    if answer.leaf is not None:
        yield certificate_result(what, answer.status.seat, answer.leaf, moment)


def _standing(what: str, answer: MissionStatus) -> Iterator[CheckResult]:
    """What a custodian must hear of though he can deposit: nothing of it is his to end."""
    if answer.locked:
        yield CheckResult(
            what=what,
            about="locked",
            good=False,
            said="LOCKED DOWN: home is frozen there, only exile acts",
            hint=_LOOK,
        )
    if answer.frozen:
        yield CheckResult(
            what=what, about="frozen", good=False, said="FROZEN by two charters of one order",
            hint=_LOOK,
        )  # fmt: skip
    named = [("warrant", item.statement, item.state, item.seconds) for item in answer.warrants]
    named += [(one.kind, one.statement, one.state, one.seconds) for one in answer.standing]
    for kind, statement, state, seconds in named:
        if state in _PENDING or (kind == "warrant" and state is State.RELEASED):
            left = "" if seconds is None else f", {seconds} s left"
            about = statement.hex()[:16]
            said = f"{kind} {about} is {state.value}{left}"
            yield CheckResult(what=what, about=about, good=True, warns=True, said=said, hint=_LOOK)
    for alarm in answer.alarms:
        said = f"ALARM {alarm.cause} since {alarm.began}: {alarm.detail}"
        yield CheckResult(
            what=what, about=alarm.cause, good=False, said=said,
            hint="the host's guide says what it is",
        )  # fmt: skip


def _witnesses(home: Home, seats: set[Seat], moment: datetime) -> Iterator[CheckResult]:
    """How old the newest checkpoint of each log is that a witness quorum signed."""
    charter = home.party.charter
    if charter.witness.q < 2 or not seats:
        return  # a vault that witnesses itself alone proves nothing by it
    with asking(home) as (loop, records):
        notes = loop.run(_notes({seat: records[seat] for seat in seats if seat in records}))
    for seat, note in sorted(notes.items()):
        what = f"witnesses of seat {seat}"
        try:
            cosigned = _opened(home, charter.seat(seat), note)
        except ExclaveError as error:
            yield CheckResult(
                what=what, good=True, warns=True, said=error.message,
                hint="exclave monitor says which vaults do not answer each other",
            )  # fmt: skip
        else:
            yield _lag(what, seat, cosigned, charter.witness.freshness, moment)


def _lag(
    what: str, seat: Seat, cosigned: Cosigned, freshness: int, moment: datetime
) -> CheckResult:
    stamps = sorted((item.timestamp for item in cosigned.by), reverse=True)
    lag = max(0, int(moment.timestamp()) - stamps[cosigned.quorum - 1])
    figure = Figure(
        label=f"seat{seat}_witness_lag", value=lag, unit="s", warn=freshness / 2, bad=freshness
    )
    said = f"a quorum saw its log {roughly(lag)} ago, allowed is {duration(freshness)}"
    return CheckResult(
        what=what, good=lag <= freshness, warns=lag > freshness / 2, said=said, figures=(figure,),
        hint=None if lag <= freshness / 2 else "expiry time stands still without witnesses",
    )  # fmt: skip


async def _notes(records: Mapping[Seat, PublicRecord]) -> Mapping[Seat, bytes | ExclaveError]:
    import asyncio

    async def note(record: PublicRecord) -> bytes | ExclaveError:
        try:
            return await record.cosigned()
        except ExclaveError as error:
            return error

    found = await asyncio.gather(*(note(record) for record in records.values()))
    return dict(zip(records, found, strict=True))


def _opened(home: Home, entry: SeatEntry, note: bytes | ExclaveError) -> Cosigned:
    if isinstance(note, ExclaveError):
        raise note
    charter = home.party.charter
    key = log_verifier(home.party.mission, entry.seat, entry.log_key.raw)
    cosigned = open_cosigned(note, key, witnesses_of(charter))
    cosigned.require_quorum()
    return cosigned
