"""Home's figures for Prometheus (spec/signals.md 6), from what `status` and `check` know.

Registers by id, seats by number; nothing is asked here. What vaults say of themselves is their
claim. Rule: a figure that is not known is absent, and rules for alerts say what absence means.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exclave import __version__
from exclave.clock import parse_time
from exclave.deposit.catalogue_entry import CatalogueEntry
from exclave.durable import replace_file
from exclave.exposition import Family, Labels, Value, counter, exposition, gauge
from exclave.vault.interface import MissionStatus
from exclave.wiring.check_results import CheckResult, Severity
from exclave.wiring.files import FileUnusable
from exclave.wiring.overview import Health, Overview, RegisterState, SeatState

if TYPE_CHECKING:
    from exclave.evidence import Evidence
    from exclave.signals.alerter import TargetState

__all__ = ["home_families", "write_metrics"]

_Figure = tuple[Labels, Value | None]


def home_families(
    found: Overview,
    moment: datetime,
    *,
    checks: Sequence[CheckResult] | None = None,
    targets: Collection[TargetState] = (),
) -> Iterator[Family]:
    """All of it at a moment; `checks` and `targets` where somebody looked."""
    yield gauge("exclave_build_info", "The software at home.", ({"version": __version__}, 1))
    yield gauge(
        "exclave_looked_timestamp_seconds", "When these figures were made.", ({}, _stamp(moment))
    )
    yield from _registers(found.registers)
    yield from _evidence(found.registers)
    yield from _seats(found.seats, moment)
    yield from _bags(found.seats)
    yield from _spool(found)
    yield from _last(found)
    if checks is not None:
        yield _checks(checks)
    yield gauge(
        "exclave_alert_target_failures",
        "Alerts in a row that a target did not take.",
        *(({"target": item.name}, item.failures) for item in targets),
    )


def write_metrics(path: Path, families: Sequence[Family]) -> None:
    """Put the exposition in place of a file, whole; others may read it. Raises `FileUnusable`.

    A collector that comes meanwhile reads the old one or the new one.
    """
    if not path.parent.is_dir():
        raise FileUnusable(f"{path}: expected an existing folder, got none")
    replace_file(path, [exposition(families).encode()], mode=0o644)


def _registers(registers: Sequence[RegisterState]) -> Iterator[Family]:
    def figures(name: str, help: str, *values: Value | None) -> Family:
        labels = [{"register": item.id} for item in registers]
        return gauge(f"exclave_register_{name}", help, *zip(labels, values, strict=True))

    yield figures("rpo_seconds", "How old it may become, by the plan.", *(r.rpo for r in registers))
    yield figures(
        "rto_seconds", "How long it may take until it is there again.", *(r.rto for r in registers)
    )
    yield figures(
        "deposited",
        "0 for a declared register that was never deposited.",
        *(int(r.last is not None) for r in registers),
    )
    yield figures(
        "age_seconds",
        "Age of its last deposit when these figures were made.",
        *(r.age for r in registers),
    )
    yield figures(
        "last_deposit_timestamp_seconds",
        "When the capture of its last deposit began.",
        *(None if r.last is None else _stamp(parse_time(r.last.started)) for r in registers),
    )
    yield figures(
        "seats_holding", "Seats that lodged its last deposit.", *(len(r.held) for r in registers)
    )
    yield figures(
        "reconstructible",
        "0 where runbook or artefacts are missing: its service would not come back.",
        *(int(r.service_gap is None) for r in registers),
    )
    yield figures("good", "1 if status says good.", *(_good(r.health) for r in registers))


def _evidence(registers: Sequence[RegisterState]) -> Iterator[Family]:
    for kind, help in (("proof", "proof by home itself"), ("drill", "drill with real cards")):
        newest = [(item.id, item.proof if kind == "proof" else item.drill) for item in registers]
        ended: list[_Figure] = []
        passed: list[_Figure] = []
        took: list[_Figure] = []
        for register, item in newest:
            label = {"register": register}
            passed.append((label, _passed(item)))
            if item is not None and not isinstance(item, str):
                ended.append((label, _stamp(parse_time(item.ended))))
                took.append((label, item.seconds))
        name = f"exclave_register_last_{kind}"
        yield gauge(f"{name}_timestamp_seconds", f"When the last {help} ended.", *ended)
        yield gauge(f"{name}_passed", f"Whether the last {help} passed; 0 if unreadable.", *passed)
        if kind == "drill":
            yield gauge(
                f"{name}_rto_seconds", "From the warrant until the register was there.", *took
            )


def _seats(seats: Sequence[SeatState], moment: datetime) -> Iterator[Family]:
    labels = {item.seat: {"seat": str(item.seat)} for item in seats}
    yield gauge(
        "exclave_seat_info",
        "A seat of the charter.",
        *(({**labels[item.seat], "state": item.state, "vault": item.name}, 1) for item in seats),
    )
    for name, help, values in (
        ("late_shards", "Shards that the seat lacks.", [s.late_shards for s in seats]),
        ("spool_bytes", "Bytes that wait for the seat.", [s.spooled for s in seats]),
        ("good", "1 if status says good.", [_good(s.health) for s in seats]),
        ("up", "Whether it answered, where it was asked.", [_up(s) for s in seats]),
    ):
        figures = zip(labels.values(), values, strict=True)
        yield gauge(f"exclave_seat_{name}", help, *figures)
    answers = [
        (labels[item.seat], item.answer) for item in seats if isinstance(item.answer, MissionStatus)
    ]
    yield from _answers(answers, moment)


def _bags(seats: Sequence[SeatState]) -> Iterator[Family]:
    """By the papers that are at home."""
    known = [({"seat": str(item.seat)}, item, item.bags) for item in seats if item.bags is not None]
    for name, help, values in (
        (
            "newest_bag_timestamp_seconds",
            "When what came there last by a bag was sealed; absent before the first.",
            [None if bags.newest is None else _stamp(bags.newest) for _, _, bags in known],
        ),
        (
            "newest_bag_limit_seconds",
            "How old that may become, at a safe.",
            [item.bag_limit for _, item, _ in known],
        ),
        (
            "bags_read_timestamp_seconds",
            "When that of the bags kept there was read back which was not for longest.",
            [None if bags.read is None else _stamp(bags.read) for _, _, bags in known],
        ),
        ("bags_kept", "Bags that are kept there.", [bags.kept for _, _, bags in known]),
        ("bags_under_way", "Bags on their way there.", [bags.under_way for _, _, bags in known]),
    ):
        labels = (label for label, _, _ in known)
        yield gauge(f"exclave_seat_{name}", help, *zip(labels, values, strict=True))
    counted = [(label, Counter(str(one.cause) for one in bags.notices)) for label, _, bags in known]
    yield gauge(
        "exclave_seat_bag_trouble",
        "Bags for the seat of which check says that.",
        *(({**label, "cause": c}, n) for label, causes in counted for c, n in causes.items()),
    )


def _answers(answers: Sequence[tuple[Labels, MissionStatus]], moment: datetime) -> Iterator[Family]:
    def figures(name: str, help: str, *values: Value | None) -> Family:
        labels = [label for label, _ in answers]
        return gauge(f"exclave_seat_{name}", help, *zip(labels, values, strict=True))

    said = [answer for _, answer in answers]
    yield figures("free_bytes", "Free on the vault's disk.", *(a.free_bytes for a in said))
    yield figures("stored_bytes", "Bytes of shards there.", *(a.shard_bytes for a in said))
    yield figures("quota_bytes", "What the charter grants there.", *(a.quota_bytes for a in said))
    yield figures("log_entries", "Entries of its log.", *(a.log_size for a in said))
    yield figures("locked", "1 while a lockdown is in force there.", *(int(a.locked) for a in said))
    yield figures("frozen", "1 while charters are in conflict.", *(int(a.frozen) for a in said))
    yield figures("forks", "Records that claim another's place.", *(len(a.forks) for a in said))
    yield figures(
        "witness_lag_seconds",
        "How long ago a witness quorum last cosigned its log; absent before the first.",
        *(None if a.witnessed is None else _age(moment, a.witnessed) for a in said),
    )
    yield gauge(
        "exclave_seat_alarm",
        "1 for each alarm that stands there.",
        *(({**label, "cause": alarm.cause}, 1) for label, a in answers for alarm in a.alarms),
    )


def _spool(found: Overview) -> Iterator[Family]:
    yield gauge("exclave_spool_bytes", "Bytes in the spool.", ({}, found.spool_used))
    yield gauge("exclave_spool_limit_bytes", "Bytes that it may have.", ({}, found.spool_limit))
    yield gauge(
        "exclave_spool_deposits_until_full",
        "Deposits like the last that still fit, while a seat is late.",
        ({}, found.deposits_until_spool_full),
    )


def _last(found: Overview) -> Iterator[Family]:
    entries = [item.last for item in found.registers if item.last is not None]
    newest: CatalogueEntry | None = max(entries, key=lambda e: e.sequence, default=None)
    if newest is None:
        return
    yield counter("exclave_deposits_total", "Deposits of these keys.", ({}, newest.sequence))
    for name, help, value in (
        ("duration_seconds", "How long the last deposit took.", newest.elapsed_ms / 1000),
        ("read_bytes", "What the last deposit read.", newest.read),
        ("new_bytes", "What of it no deposit had before.", newest.new),
        ("stored_bytes", "What it added in sealed packs.", newest.stored),
    ):
        yield gauge(f"exclave_last_deposit_{name}", help, ({}, value))
    yield gauge(
        "exclave_last_deposit_sent_bytes",
        "What the last deposit sent to a seat.",
        *(({"seat": str(seat)}, sent) for seat, sent in newest.sent),
    )


def _checks(results: Sequence[CheckResult]) -> Family:
    found = Counter(item.severity.name for item in results)
    return gauge(
        "exclave_check_results",
        "Results of the last check by severity.",
        *(({"severity": item.name.lower()}, found[item.name]) for item in Severity),
    )


def _passed(item: Evidence | str | None) -> int | None:
    if item is None:
        return None
    return 0 if isinstance(item, str) else int(item.passed)


def _good(health: Health) -> int:
    return int(health is Health.GOOD)


def _up(item: SeatState) -> int | None:
    return None if item.answer is None else int(not isinstance(item.answer, str))


def _age(moment: datetime, time: str) -> float:
    return max(0.0, (moment - parse_time(time)).total_seconds())


def _stamp(moment: datetime) -> float:
    return moment.timestamp()
