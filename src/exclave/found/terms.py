"""`agreement.toml`: what two states agree on, and the agreement that is drafted from it.

Nothing of weight has a default. Paths are relative to the file's folder. Addresses that are not
written out are those that the charter has for the seat.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Annotated

from exclave.authority.agreement import (
    Act,
    AgreedSeat,
    Agreement,
    DelayFloors,
    WitnessDuties,
    check_amendment,
)
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Address
from exclave.authority.keys import TypedKey
from exclave.authority.order_parts import OrderHead
from exclave.clock import parse_time
from exclave.config import load_toml
from exclave.errors import ConfigurationError, ExclaveError, MalformedData
from exclave.found.plan import Bytes, Days, Duration, StateCode
from exclave.ids import Seat, StatementHash
from exclave.shapes import Between, Checked, Length
from exclave.signer.bundle import Purpose
from exclave.signer.file import parse_public_keys
from exclave.values import dataclass

__all__ = ["AgreementTerms", "StateKeyUnfit", "TermsUnfit", "draft_agreement", "read_state_key"]

SeatNumber = Annotated[int, Between(1, 255)]


class StateKeyUnfit(ConfigurationError):
    """A file has not the public key of a receiving state."""


class TermsUnfit(ConfigurationError):
    """Terms name a seat that the charter does not have, or a file that cannot be read."""


def _moment(text: str) -> None:
    try:
        parse_time(_whole(text))
    except MalformedData as error:
        raise ValueError(
            "expected a day such as 2030-01-31 or a moment such as 2030-01-31T12:00:00Z"
        ) from error


def _act(text: str) -> None:
    if text not in set(Act):
        raise ValueError("expected one of " + ", ".join(Act))


def _whole(text: str) -> str:
    return text if "T" in text else f"{text}T00:00:00Z"


Moment = Annotated[str, Checked(_moment)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayTerms:
    """The least that the charter's rosters wait."""

    govern: Duration
    read: Duration
    release: Duration
    exile_change: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessTerms:
    """Whose logs the host's vault cosigns, and how quickly."""

    seats: tuple[SeatNumber, ...]
    freshness: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressTerms:
    """Where the sending state reaches a seat's vault."""

    seat: SeatNumber
    data: str
    public: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementTerms:
    """All of `agreement.toml`."""

    state: StateCode
    key: str  # the receiving state's public keys file
    seats: Annotated[tuple[SeatNumber, ...], Length(1)]
    capacity: Annotated[Bytes, Between(1)]
    retention_days: Days
    notice: Duration
    treaty: str  # the file with its text
    begins: Moment
    ends: Moment | None = None
    maintenance: tuple[Annotated[str, Checked(_act)], ...]
    delays: DelayTerms
    witness: WitnessTerms
    address: tuple[AddressTerms, ...] = ()


def draft_agreement(
    path: Path, law: Charter, head: OrderHead, before: tuple[StatementHash, Agreement] | None
) -> Agreement:
    """The agreement of a file's terms; of `before` the next version, which must weaken nothing."""
    terms = load_toml(path, AgreementTerms)
    _check(path, terms, head.issued)
    made = Agreement(
        head=head,
        version=1 if before is None else before[1].version + 1,
        previous=None if before is None else before[0],
        state=terms.state,
        key=read_state_key(path.parent / terms.key),
        seats=tuple(_seat(number, terms, law) for number in sorted(set(terms.seats))),
        capacity=terms.capacity,
        retention=terms.retention_days,
        delays=DelayFloors(
            govern=terms.delays.govern,
            read=terms.delays.read,
            release=terms.delays.release,
            exile_change=terms.delays.exile_change,
        ),
        witness=WitnessDuties(
            seats=tuple(map(Seat, sorted(set(terms.witness.seats)))),
            freshness=terms.witness.freshness,
        ),
        maintenance=tuple(map(Act, sorted(set(terms.maintenance)))),
        notice=terms.notice,
        treaty=hashlib.sha256(_read(path.parent / terms.treaty)).digest(),
        since=_time(terms.begins),
        until=None if terms.ends is None else _time(terms.ends),
    )
    if before is not None:
        check_amendment(before[1], before[0], made)
    return made


def read_state_key(path: Path) -> TypedKey:
    """The key of a receiving state's public keys file; raises `StateKeyUnfit`."""
    try:
        public = parse_public_keys(_read(path))
    except ConfigurationError:
        raise
    except ExclaveError as error:
        raise StateKeyUnfit(f"{path}: {error.message}", hint=error.hint) from error
    if public.purpose is not Purpose.STATE or len(public.keys) != 1:
        raise StateKeyUnfit(
            f"{path}: expected a receiving state's key, got keys for: {public.purpose}",
            hint="make one with exclave agreement key",
        )
    return public.keys[0]


def _check(path: Path, terms: AgreementTerms, issued: datetime) -> None:
    if terms.ends is not None and _time(terms.ends) <= issued:
        raise TermsUnfit(
            f"{path}: ends: expected a time to come, got {terms.ends}",
            hint="no deposit would be taken under it",
        )
    for item in terms.address:
        if item.seat not in terms.seats:
            raise TermsUnfit(
                f"{path}: address: expected one of the seats that are agreed on, got {item.seat}"
            )


def _seat(number: int, terms: AgreementTerms, law: Charter) -> AgreedSeat:
    known = [seat for seat in law.active_seats if seat.seat == number]
    if not known:
        raise TermsUnfit(f"seats: expected seats of the charter, got {number}")
    own = tuple(
        Address(data=item.data, public=item.public) for item in terms.address if item.seat == number
    )
    return AgreedSeat(seat=Seat(number), addresses=own or known[0].addresses)


def _time(text: str) -> datetime:
    return parse_time(_whole(text))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TermsUnfit(f"{path}: cannot be read: {error.strerror}") from error
