"""`status` in words and as JSON: every declared register, the seats, the spool."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from exclave.clock import format_time, now, parse_time
from exclave.plain_words import duration, roughly, size

if TYPE_CHECKING:
    from exclave.check.bags import SeatBags
    from exclave.evidence import Evidence
    from exclave.wiring.overview import Overview, RegisterState, SeatState

__all__ = ["overview_json", "overview_lines"]


def overview_json(found: Overview) -> dict[str, object]:
    """All of it for programs."""
    return {
        "good": found.good,
        "registers": [_register_json(item) for item in found.registers],
        "seats": [_seat_json(item) for item in found.seats],
        "spool": {
            "used": found.spool_used,
            "limit": found.spool_limit,
            "deposits_until_full": found.deposits_until_spool_full,
        },
        "full_deposit_bytes": found.full_deposit,
        "journal": found.journal_there,
        "catalogue": found.catalogue_there,
    }


def _register_json(item: RegisterState) -> dict[str, object]:
    return {
        "id": item.id,
        "title": item.title,
        "health": item.health.value,
        "deposit": None if item.last is None else item.last.deposit.hex(),
        "started": None if item.last is None else item.last.started,
        "age": item.age,
        "rpo": item.rpo,
        "rto": item.rto,
        "held": list(item.held),
        "service": item.service_gap is None,
        "proof": _evidence_json(item.proof),
        "drill": _evidence_json(item.drill),
        "too_late": item.too_late,
        "failed_needs": list(item.failed_needs),
    }


def _evidence_json(item: Evidence | str | None) -> dict[str, object] | None:
    if item is None:
        return None
    if isinstance(item, str):
        return {"problem": item}
    return {
        "deposit": item.deposit,
        "ended": item.ended,
        "passed": item.passed,
        "whole": item.whole,
        "seconds": item.seconds,
        "file": str(item.path),
    }


def _seat_json(item: SeatState) -> dict[str, object]:
    answer = item.answer
    alarms = () if answer is None or isinstance(answer, str) else answer.alarms
    return {
        "seat": item.seat,
        "state": item.state,
        "vault": item.name,
        "health": item.health.value,
        "late_shards": item.late_shards,
        "spooled": item.spooled,
        "problem": answer if isinstance(answer, str) else None,
        "alarms": [alarm.cause for alarm in alarms],
        "bags": _bags_json(item),
    }


def _bags_json(item: SeatState) -> dict[str, object] | None:
    if item.bags is None:
        return None
    return {
        "age": item.bag_age,
        "limit": item.bag_limit,
        "under_way": item.bags.under_way,
        "kept": item.bags.kept,
        "read": None if item.bags.read is None else format_time(item.bags.read),
        "troubles": sorted({str(notice.cause) for notice in item.bags.notices}),
    }


def overview_lines(found: Overview, moment: datetime | None = None) -> list[str]:
    """All of it for people."""
    moment = moment or now()
    lines = ["registers"]
    lines += [f"  {line}" for item in found.registers for line in _register_lines(item, moment)]
    lines.append("seats")
    lines += [f"  {_seat_line(item)}" for item in found.seats]
    lines.append(f"spool {size(found.spool_used)} of {size(found.spool_limit)}")
    if found.deposits_until_spool_full is not None:
        lines.append(f"  full after {found.deposits_until_spool_full} more deposits like the last")
    if not found.journal_there:
        again = "the next deposit rebuilds it from the catalogue"
        if not found.catalogue_there:
            again = "there is no catalogue either: the next deposit sends everything anew"
        lines.append(f"no journal: {again}")
    if found.full_deposit:
        lost = not (found.journal_there or found.catalogue_there)
        when = "the" if lost else "if journal and catalogue were lost, the"
        lines.append(
            f"{when} next deposit {'will' if lost else 'would'} send about "
            f"{size(found.full_deposit)} over all seats"
        )
    return lines


def _register_lines(item: RegisterState, moment: datetime) -> Iterator[str]:
    if item.last is None or item.age is None:
        yield f"{item.health.value:5} {item.id:24} NEVER DEPOSITED ({item.title})"
    else:
        held = ", ".join(map(str, item.held)) or "none known"
        age = f"{roughly(max(0, item.age))} old of RPO {duration(item.rpo)}"
        if item.to_come:
            age = f"BEGUN {roughly(-item.age)} AFTER NOW: this machine's clock is or was wrong"
        yield f"{item.health.value:5} {item.id:24} {age}, seats {held} ({item.title})"
        proof = _evidence_words("proven", item.proof, moment)
        yield f"      {proof}, {_evidence_words('drilled', item.drill, moment, rto=item.rto)}"
    if item.failed_needs:
        yield f"      depends on {', '.join(item.failed_needs)}: NOT BACK in the last drill"
    if item.service_gap is not None:
        yield f"      {item.service_gap}"


def _evidence_words(
    done: str, item: Evidence | str | None, moment: datetime, *, rto: int | None = None
) -> str:
    if item is None:
        return f"never {done}"
    if isinstance(item, str):
        return f"{done}: CANNOT BE READ: {item}"
    ago = f"{roughly(max(0, int((moment - parse_time(item.ended)).total_seconds())))} ago"
    if not item.passed:
        return f"{done} {ago}: NOT PASSED ({item.path.name})"
    if rto is None or item.seconds is None:
        return f"{done} {ago}"
    late = ": TOO LATE" if item.seconds > rto else ""
    return f"{done} {ago} in {roughly(int(item.seconds))} of RTO {duration(rto)}{late}"


def _seat_line(item: SeatState) -> str:
    text = f"{item.health.value:5} {item.seat} {item.state} {item.name}"
    if isinstance(item.answer, str):
        text += f": {item.answer}"
    elif item.answer is not None and item.answer.alarms:
        text += ": ALARM " + ", ".join(alarm.cause for alarm in item.answer.alarms)
    if item.bags is not None:
        text += f": {_bag_words(item, item.bags)}"
    if item.late_shards:
        shards = "shard" if item.late_shards == 1 else "shards"
        text += f": {item.late_shards} {shards} behind, {size(item.spooled)} in the spool"
    return text


def _bag_words(item: SeatState, bags: SeatBags) -> str:
    text = "no bag yet" if item.bag_age is None else f"newest bag {roughly(item.bag_age)} old"
    if item.bag_limit is not None:
        text += f" of {duration(item.bag_limit)}"
    if bags.under_way:
        text += f", {bags.under_way} under way"
    if bags.notices:
        causes = dict.fromkeys(notice.cause.upper() for notice in bags.notices)
        text += ", " + ", ".join(causes)
    return text
