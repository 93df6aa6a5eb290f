"""What an agreement says, and where one stands."""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.agreement import Agreement
from exclave.clock import format_time
from exclave.plain_words import grouped, period, size

__all__ = ["agreement_lines"]


def agreement_lines(agreement: Agreement) -> Iterator[str]:
    """Lines."""
    yield f"  version {agreement.version}, with state {agreement.state}"
    if agreement.previous is not None:
        yield f"  follows {grouped(agreement.previous)}"
    yield f"  key of the receiving state: {agreement.key.alg} {agreement.key.key_id}"
    for item in agreement.seats:
        places = ", ".join(f"{one.data} (public {one.public})" for one in item.addresses)
        yield f"  seat {item.seat}: {places or 'no addresses'}"
    yield f"  capacity {size(agreement.capacity)} of shards at each seat"
    yield f"  deposits are kept for at least {agreement.retention} days"
    floors = agreement.delays
    yield (
        f"  delays of at least: govern {period(floors.govern)}, read {period(floors.read)}, "
        f"release {period(floors.release)}, exile_change {period(floors.exile_change)}"
    )
    logs = ", ".join(map(str, agreement.witness.seats)) or "none"
    yield f"  cosigns the logs of seats {logs}, within {period(agreement.witness.freshness)}"
    acts = ", ".join(act.value for act in agreement.maintenance) or "none"
    yield f"  maintenance for which permission can be given: {acts}"
    yield f"  notice {period(agreement.notice)}"
    yield f"  text of the treaty {grouped(agreement.treaty)}"
    until = "without end" if agreement.until is None else f"until {format_time(agreement.until)}"
    yield f"  from {format_time(agreement.since)} {until}"
