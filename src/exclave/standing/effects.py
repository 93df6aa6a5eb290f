"""What orders in force amount to: holds, releases, extensions, compromises (spec/standing.md 7).

Questions about one standing, for the sweep, for quotas and for whoever chooses a deposit. Nothing
is decided here that the table did not decide.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exclave.authority.charter import Charter
from exclave.authority.orders import Compromise, Extend, Hold, Lift, Narrow, Release
from exclave.ids import DepositId, PackRoot, StatementHash
from exclave.standing.phases import Phase
from exclave.standing.values import Declared, Item, Kept, Standing, Tightened

__all__ = ["compromises", "extensions", "held", "lifted", "released_packs"]


def held(standing: Standing) -> frozenset[DepositId] | None:
    """Deposits that a hold covers; None when one covers all."""
    ended = lifted(standing)
    found: set[DepositId] = set()
    for order in _counting(standing):
        if isinstance(order.value, Hold) and order.statement not in ended:
            if order.value.deposits is None:
                return None
            found |= set(order.value.deposits)
    return frozenset(found)


def lifted(standing: Standing) -> frozenset[StatementHash]:
    """Holds that an effective lift names."""
    return frozenset(name for item in _effective(standing, Lift) for name in _lifts(item))


def released_packs(standing: Standing) -> dict[PackRoot, StatementHash]:
    """Packs that an effective release names, with the first that does."""
    found: dict[PackRoot, StatementHash] = {}
    for item in _effective(standing, Release):
        assert isinstance(item.value, Release)
        for pack in item.value.packs:
            found.setdefault(pack, item.statement)
    return found


def extensions(standing: Standing) -> tuple[Kept, ...]:
    """Every extension, as far as it counts."""
    found: list[Kept] = []
    for order in _counting(standing):
        if isinstance(order.value, Extend):
            until = order.value.until
            if not order.by_threshold:
                until = min(until, _cap(standing, order))
            found.append(Kept(deposits=order.value.deposits, until=until))
    return tuple(found)


def compromises(standing: Standing) -> tuple[Declared, ...]:
    """Every compromise that was not taken back, since when it counts now."""
    narrowed: dict[StatementHash, datetime | None] = {}
    for item in _effective(standing, Narrow):
        assert isinstance(item.value, Narrow)
        narrowed[item.value.compromise] = item.value.since
    found: list[Declared] = []
    for order in _counting(standing):
        if not isinstance(order.value, Compromise):
            continue
        since = narrowed.get(order.statement, order.value.since)
        if since is not None:
            found.append(
                Declared(
                    statement=order.statement,
                    charter=order.value.head.charter,
                    depositors=order.value.depositors,
                    since=since,
                )
            )
    return tuple(found)


def _effective(
    standing: Standing, kind: type[Lift] | type[Release] | type[Narrow]
) -> tuple[Item, ...]:
    """Orders of a kind in effect, in the order in which they took it."""
    items = (
        item
        for item in standing.items.values()
        if isinstance(item.value, kind) and item.phase is Phase.EFFECTIVE
    )
    return tuple(sorted(items, key=lambda item: (item.effective or 0, item.number)))


def _counting(standing: Standing) -> tuple[Tightened, ...]:
    orders = (order for order in standing.tightened.values() if order.persons)
    return tuple(sorted(orders, key=lambda order: order.number))


def _lifts(item: Item) -> tuple[StatementHash, ...]:
    assert isinstance(item.value, Lift)
    return item.value.holds


def _cap(standing: Standing, order: Tightened) -> datetime:
    """As far as one person extends: twice the retention of the charter in force at that entry."""
    in_force: Charter = standing.charter_of(standing.history[0][0])
    for name, since in standing.history:
        if since <= order.since:
            in_force = standing.charter_of(name)
    return order.logged + timedelta(days=2 * in_force.settings.retention_days)
