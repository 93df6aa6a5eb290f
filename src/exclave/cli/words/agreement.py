"""What an agreement says, and where one stands."""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.agreement import Agreement, unmet
from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.orders import parse_order
from exclave.authority.persons import signed_by
from exclave.clock import format_time
from exclave.plain_words import grouped, period, size

__all__ = ["agreement_lines", "host_line", "unmet_lines"]


def host_line(envelope: Envelope) -> str | None:
    """Whether the receiving state has signed an agreement; None of other statements."""
    if envelope.kind is not Kind.AGREEMENT:
        return None
    agreement = parse_order(envelope)
    assert isinstance(agreement, Agreement)
    signed = signed_by(envelope, agreement.key)
    return f"the receiving state {agreement.state} has {'' if signed else 'NOT '}signed"


def unmet_lines(agreement: Agreement, charter: Charter) -> Iterator[str]:
    """Where a charter gives less than is agreed, in capitals: vaults then take no deposit."""
    if less := unmet(agreement, charter):
        named = f"{charter.era}.{charter.version}"
        yield f"  CHARTER {named} GIVES LESS THAN IS AGREED: {', '.join(less)};"
        yield "  NO DEPOSIT IS TAKEN under this agreement until a charter gives it"


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
