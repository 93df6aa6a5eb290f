"""Which agreement is in effect for a seat, and why no deposit is taken (spec/agreements.md).

    check_next(standing, agreement)        whether it may follow what is in effect; raises
    in_effect(standing, seat)              the agreement of a seat, whatever its time
    require_agreement(standing, seat, ...) raises why new deposits are not taken now

Questions about one standing; nothing is changed here. Rules: time is asked last and never changes
which agreement it is; every reason is an error of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from exclave.authority.agreement import (
    Agreement,
    AgreementNotNext,
    AgreementUnfit,
    Terminate,
    check_amendment,
    check_fits,
    unmet,
)
from exclave.authority.permission import Declare, Grant
from exclave.clock import format_time
from exclave.errors import AuthorityError
from exclave.ids import KeyId, Seat, StatementHash
from exclave.standing.phases import Phase
from exclave.standing.values import Item, Signers, Standing, Value
from exclave.values import dataclass

__all__ = [
    "ActUnlisted",
    "AgreementExpired",
    "AgreementIncomplete",
    "AgreementMissing",
    "AgreementNotBegun",
    "AgreementTerminated",
    "AgreementUnknown",
    "AgreementUnmet",
    "Asking",
    "Duty",
    "NoDeposits",
    "check_known",
    "check_listed",
    "check_next",
    "declared",
    "duty_of",
    "ends",
    "host_signed",
    "in_effect",
    "may_complete",
    "require_agreement",
]


class AgreementUnknown(AuthorityError):
    """An agreement that another statement needs is not in effect here (yet)."""


class ActUnlisted(AuthorityError):
    """A permission for an act that the agreement does not list."""


class NoDeposits(AuthorityError):
    """New deposits are not taken at a seat; all else goes on."""


class AgreementMissing(NoDeposits):
    """No agreement about this seat was handed in."""


class AgreementIncomplete(NoDeposits):
    """The newest agreement about this seat was signed by one state alone."""


class AgreementNotBegun(NoDeposits):
    """The agreement's time begins later."""


class AgreementExpired(NoDeposits):
    """The agreement's time is over."""


class AgreementTerminated(NoDeposits):
    """One of the states ended the agreement, and its notice has run."""


class AgreementUnmet(NoDeposits):
    """The charter, or the key, is not as it was agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What a vault knows beside its log when it asks for an agreement."""

    expiry: datetime
    pinned: KeyId | None = None  # the receiving state's key, where the vault's folder names one
    earlier: tuple[tuple[KeyId, int], ...] = ()  # keys before it, each up to a service time

    def admits(self, key: KeyId, effective: int | None) -> bool:
        """Whether an agreement with that key, in effect since then, is the pinned state's."""
        if self.pinned is None or key == self.pinned:
            return True
        return effective is not None and any(
            key == before and effective <= until for before, until in self.earlier
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What a seat owes the logs of its fellows."""

    logs: tuple[Seat, ...]
    freshness: int  # seconds
    since: int  # service time at which it took effect


def duty_of(standing: Standing, seat: Seat, moment: datetime) -> Duty | None:
    """Which logs a seat has to cosign by its agreement at a moment (spec/agreements.md 6)."""
    item = in_effect(standing, seat)
    if item is None or item.effective is None:
        return None
    agreement, end = _value(item), ends(standing, item)
    begun = agreement.since <= moment and (agreement.until is None or moment < agreement.until)
    logs = tuple(log for log in agreement.witness.seats if log != seat)
    if not logs or not begun or (end is not None and standing.now >= end):
        return None
    return Duty(logs=logs, freshness=agreement.witness.freshness, since=item.effective)


def in_effect(standing: Standing, seat: Seat) -> Item | None:
    """The agreement about a seat that came last, of those in effect; terminated ones too."""
    found = [item for item in _effective(standing) if seat in _value(item).numbers]
    return max(found, key=lambda item: (item.effective or 0, item.number), default=None)


def ends(standing: Standing, item: Item) -> int | None:
    """When a terminated agreement takes no more deposits, in service time; None: not terminated."""
    chain = set(_chain(standing, item))
    times = [
        other.effective
        for other in standing.items.values()
        if isinstance(other.value, Terminate)
        and other.value.agreement in chain
        and other.phase is Phase.EFFECTIVE
        and other.effective is not None
    ]
    return min(times) + 1000 * _value(item).notice if times else None


def check_next(standing: Standing, agreement: Agreement) -> None:
    """Check that an agreement fits and is next.

    Raises `AgreementUnfit` or `AgreementUnknown` when that may still come, `AgreementNotNext` when
    it will not.
    """
    check_fits(agreement, standing.charter)
    if agreement.previous is None:
        _check_free(standing, agreement)
        return
    check_known(standing, agreement.previous)
    before = standing.items[agreement.previous]
    if not isinstance(before.value, Agreement) or before.phase is not Phase.EFFECTIVE:
        raise AgreementNotNext(
            f"agreement version {agreement.version}: another one has followed the one before it",
            hint="amend the version that is in effect",
        )
    if ends(standing, before) is not None:
        raise AgreementNotNext(
            f"agreement version {agreement.version}: the one before it was terminated",
            hint="propose a new one",
        )
    check_amendment(before.value, before.statement, agreement)
    _check_free(standing, agreement, before.statement)


def check_known(standing: Standing, name: StatementHash) -> None:
    """Check that an agreement is or was in effect here; raises `AgreementUnknown`."""
    item = standing.items.get(name)
    if item is None or not isinstance(item.value, Agreement) or item.effective is None:
        raise AgreementUnknown(
            f"agreement {name.hex()[:16]}: not in effect here",
            hint="hand it in first, with both signatures",
        )


def check_listed(standing: Standing, grant: Grant) -> None:
    """Check that the agreement about a seat lists the act that is permitted there.

    Raises `AgreementUnknown` where there is none, `ActUnlisted` where it is not listed.
    """
    item = in_effect(standing, grant.seat)
    if item is None:
        raise AgreementUnknown(
            f"grant: seat {grant.seat} has no agreement in effect",
            hint="what may be permitted stands in an agreement: hand it in first",
        )
    listed = _value(item).maintenance
    if grant.act not in listed:
        known = ", ".join(act.value for act in listed) or "none"
        raise ActUnlisted(
            f"grant: expected an act that the agreement about seat {grant.seat} lists, "
            f"got {grant.act.value}",
            hint=f"listed: {known}",
        )


def declared(standing: Standing, seat: Seat, first: datetime, last: datetime) -> bool:
    """Whether the host has declared an act at a seat for some moment of that time."""
    return any(
        isinstance(item.value, Declare)
        and item.value.seat == seat
        and item.phase is Phase.EFFECTIVE
        and item.value.since <= last
        and first <= item.value.until
        for item in standing.items.values()
    )


def may_complete(standing: Standing, agreement: Agreement) -> bool:
    """Whether an agreement that both signed would take effect now."""
    try:
        check_next(standing, agreement)
    except (AgreementUnfit, AgreementUnknown, AgreementNotNext):
        return False
    return True


def host_signed(standing: Standing, value: Value, signers: Signers) -> KeyId | None:
    """The host's key, when it signed an agreement, the end of one, or what it declares.

    The receiving state's, of a declaration the log key of its seat.
    """
    if isinstance(value, Declare):
        keys = [seat.log_key for seat in standing.charter.active_seats if seat.seat == value.seat]
        return next((key.key_id for key in keys if signers.has(key)), None)
    agreement = value if isinstance(value, Agreement) else None
    if isinstance(value, Terminate):
        agreement = next(
            (
                _value(item)
                for item in _effective(standing)
                if value.agreement in _chain(standing, item)
            ),
            None,
        )
    if agreement is None or not signers.has(agreement.key):
        return None
    return agreement.key.key_id


def require_agreement(standing: Standing, seat: Seat, asking: Asking) -> Agreement:
    """The agreement in force at a seat; raises the `NoDeposits` that says why there is none."""
    item = in_effect(standing, seat)
    if item is None:
        raise _none(standing, seat)
    agreement = _value(item)
    name = f"agreement {item.statement.hex()[:16]}"
    if asking.expiry < agreement.since:
        raise AgreementNotBegun(f"{name}: begins at {format_time(agreement.since)}")
    if agreement.until is not None and asking.expiry >= agreement.until:
        raise AgreementExpired(
            f"{name}: ran out at {format_time(agreement.until)}",
            hint="both states prolong it: exclave agreement amend",
        )
    end = ends(standing, item)
    if end is not None and standing.now >= end:
        raise AgreementTerminated(
            f"{name}: terminated, and its notice has run",
            hint="what is lodged stays; new deposits need a new agreement",
        )
    _check_kept(standing, item, asking, name)
    return agreement


def _check_kept(standing: Standing, item: Item, asking: Asking, name: str) -> None:
    agreement = _value(item)
    if not asking.admits(agreement.key.key_id, item.effective):
        assert asking.pinned is not None
        raise AgreementUnmet(
            f"{name}: expected key {asking.pinned[:16]} of the receiving state, "
            f"got {agreement.key.key_id[:16]}",
            hint="the key that this vault's folder names (spec/vault-folder.md 2)",
        )
    if missing := unmet(agreement, standing.charter):
        raise AgreementUnmet(
            f"{name}: the charter in force gives less than was agreed: {', '.join(missing)}",
            hint="a charter that keeps it has to be in force",
        )


def _none(standing: Standing, seat: Seat) -> NoDeposits:
    waiting = [
        item
        for item in standing.items.values()
        if isinstance(item.value, Agreement)
        and seat in item.value.numbers
        and item.effective is None
    ]
    if not waiting:
        return AgreementMissing(
            f"seat {seat}: expected an agreement of both states, got none",
            hint="exclave agreement propose",
        )
    newest = max(waiting, key=lambda item: item.number)
    host = host_signed(standing, newest.value, newest.signers) is not None
    lacks = "enough officials of the sending state" if host else "the receiving state"
    return AgreementIncomplete(
        f"agreement {newest.statement.hex()[:16]}: expected the signatures of both states, "
        f"got none of {lacks}",
        hint="hand it in again with both: exclave agreement accept",
    )


def _check_free(standing: Standing, agreement: Agreement, but: StatementHash | None = None) -> None:
    for item in _effective(standing):
        both = sorted(agreement.numbers & _value(item).numbers)
        if both and item.statement != but and ends(standing, item) is None:
            raise AgreementUnknown(
                f"agreement: seat {both[0]} has another one in effect, {item.statement.hex()[:16]}",
                hint="amend that one, or terminate it first",
            )


def _effective(standing: Standing) -> Iterator[Item]:
    return (
        item
        for item in standing.items.values()
        if isinstance(item.value, Agreement) and item.phase is Phase.EFFECTIVE
    )


def _chain(standing: Standing, item: Item) -> Iterator[StatementHash]:
    """An agreement and those before it."""
    name: StatementHash | None = item.statement
    while name is not None:
        yield name
        known = standing.items.get(name)
        value = None if known is None else known.value
        name = value.previous if isinstance(value, Agreement) else None


def _value(item: Item) -> Agreement:
    assert isinstance(item.value, Agreement)
    return item.value
