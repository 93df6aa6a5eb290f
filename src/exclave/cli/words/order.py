"""What an order says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exclave.authority.agreement import Agreement, Terminate
from exclave.authority.orders import (
    Compromise,
    Extend,
    Hold,
    Lift,
    Lockdown,
    Narrow,
    Order,
    Release,
    Unlock,
    Veto,
)
from exclave.authority.permission import Declare, Grant
from exclave.cli.words.agreement import agreement_lines
from exclave.clock import format_time
from exclave.ids import DepositId
from exclave.plain_words import grouped

__all__ = ["order_lines"]


def order_lines(order: Order) -> Iterator[str]:
    """Lines."""
    head = order.head
    yield f"  mission {grouped(head.mission)}"
    yield f"  reason: {head.reason or 'none is given'}"
    yield f"  issued {format_time(head.issued)}"
    yield from _own(order)


def _own(order: Order) -> Iterator[str]:
    match order:
        case Veto():
            yield f"  against the statement {grouped(order.target)}"
        case Lockdown():
            yield "  home is locked down"
        case Hold():
            yield f"  holds {_deposits(order.deposits)}"
        case Extend():
            yield f"  keeps {_deposits(order.deposits)}"
            yield f"  at least until {format_time(order.until)}"
        case Compromise():
            yield f"  depositors: {', '.join(order.depositors)}"
            yield f"  compromised since {format_time(order.since)}, by the vaults' logs"
        case Release():
            yield from _list("packs to remove", order.packs)
        case Lift():
            yield from _list("holds that end", order.holds)
        case Narrow():
            yield f"  of the compromise {grouped(order.compromise)}"
            since = order.since
            yield "  IT NEVER WAS" if since is None else f"  it began only {format_time(since)}"
        case Unlock():
            yield from _list("lockdowns that end", order.lockdowns)
        case Agreement():
            yield from agreement_lines(order)
        case Grant() | Declare():
            verb = "the host may" if isinstance(order, Grant) else "the host will"
            yield f"  {verb} {order.act.value} at seat {order.seat}"
            yield f"  from {format_time(order.since)} until {format_time(order.until)}"
        case Terminate():
            yield f"  ends the agreement {grouped(order.agreement)}, and what came of it"


def _deposits(deposits: Sequence[DepositId] | None) -> str:
    if deposits is None:
        return "ALL deposits, present and future"
    return ", ".join(item.hex() for item in deposits)


def _list(what: str, names: Sequence[bytes]) -> Iterator[str]:
    yield f"  {what}: {len(names)}"
    for name in names:
        yield f"    {grouped(name)}"
