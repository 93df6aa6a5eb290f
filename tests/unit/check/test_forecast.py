"""A forecast from what earlier deposits took, and from sizes before there are any."""

from __future__ import annotations

import pytest

from exclave.archive.pack import Codec
from exclave.archive.reference import Reference
from exclave.check.forecast import Dispersed, make_forecast
from exclave.check.rates import ASSUMED
from exclave.deposit.catalogue_entry import CatalogueEntry, RegisterSummary
from exclave.ids import DepositId, Seat
from exclave.plan import FilesSource, RegisterPlan
from exclave.source.interface import SourceSize

TWO_OF_THREE = Dispersed(k=2, n=3)


def plan(id: str, *depends_on: str) -> RegisterPlan:
    """A register of files."""
    return RegisterPlan(
        id=id,
        title=id,
        owner="o",
        classification="none",
        rpo=3600,
        rto=3600,
        depends_on=depends_on,
        runbook=None,
        artefacts=None,
        sources=(FilesSource(kind="files", path=id),),
    )


def captured(id: str, size: int, stored: int, seconds: float) -> RegisterSummary:
    """A register as a deposit had it."""
    return RegisterSummary(
        id=id,
        title=id,
        kind="files",
        rpo=3600,
        rto=3600,
        rows=0,
        files=1,
        bytes=size,
        new=stored,
        stored=stored,
        capture_ms=int(seconds * 1000),
    )


def entry(
    *registers: RegisterSummary, elapsed: float, manifest: int = 0, sent: int = 0
) -> CatalogueEntry:
    """A deposit."""
    return CatalogueEntry(
        deposit=DepositId(bytes(16)),
        sequence=1,
        statement=bytes(32),
        started="2026-01-02T03:04:05Z",
        ended="2026-01-02T03:04:06Z",
        registers=registers,
        read=0,
        new=0,
        stored=0,
        sent=((Seat(1), sent), (Seat(2), sent // 2)),
        elapsed_ms=int(elapsed * 1000),
        manifest_root=Reference(2**31, 0, 9, 9, Codec.RAW),
        manifest_packs=(),
        manifest_bytes=manifest,
    )


def test_what_the_last_deposits_took() -> None:
    """The first stored everything, and says nothing once there is a second."""
    entries = [
        entry(captured("deeds", 1000, 900, 50), elapsed=60, manifest=100),
        entry(captured("deeds", 1100, 10, 4), elapsed=6, manifest=10),
        entry(captured("deeds", 1200, 30, 6), elapsed=8, manifest=30),
    ]
    found = make_forecast([plan("deeds")], entries, {}, {}, TWO_OF_THREE)
    (deeds,) = found.registers
    assert (deeds.basis, deeds.bytes, deeds.capture) == ("measured", 1200, 5)
    assert (deeds.seat, deeds.manifest) == (20, 20)  # (median 20 stored + 20 manifest) / k
    assert found.duration == 5 + 2  # what is beside the captures: 10, 2 and 2 seconds
    assert (found.uplink, found.seat, found.manifest) == (60, 20, 20)


def test_the_only_deposit_is_better_than_none() -> None:
    entries = [entry(captured("deeds", 1000, 900, 50), elapsed=60)]
    (deeds,) = make_forecast([plan("deeds")], entries, {}, {}, TWO_OF_THREE).registers
    assert (deeds.basis, deeds.capture, deeds.seat) == ("measured", 50, 450)


def test_what_seats_got_counts_with_its_padding() -> None:
    both = captured("a", 1, 30, 1), captured("b", 1, 10, 1)
    found = make_forecast(
        [plan("a"), plan("b")], [entry(*both, elapsed=2, sent=80)], {}, {}, TWO_OF_THREE
    )
    assert [item.seat for item in found.registers] == [60, 20]
    assert found.uplink == 240


def test_a_manifest_is_shared_by_what_was_read() -> None:
    both = captured("a", 300, 0, 1), captured("b", 100, 0, 1)
    found = make_forecast(
        [plan("a"), plan("b")], [entry(*both, elapsed=2, manifest=80)], {}, {}, TWO_OF_THREE
    )
    assert [item.manifest for item in found.registers] == [60, 20]


def test_sizes_and_assumed_rates_before_the_first_deposit() -> None:
    rates = ASSUMED.of("files")
    size = SourceSize(bytes=10 * rates.capture, files=3)
    found = make_forecast([plan("deeds")], [], {"deeds": size}, {}, TWO_OF_THREE)
    (deeds,) = found.registers
    assert (deeds.basis, deeds.restore_basis, found.assumed) == ("assumed", "assumed", True)
    assert deeds.capture == pytest.approx(10)
    assert found.duration == pytest.approx(10 + ASSUMED.capture_start)
    assert deeds.seat * 2 >= size.bytes * ASSUMED.stored
    assert deeds.restore == pytest.approx(size.bytes / rates.restore + ASSUMED.restore_start)


def test_what_nobody_can_know_is_said_and_not_counted_as_nothing() -> None:
    sizes = {"deeds": SourceSize(bytes=1000), "mail": None}
    found = make_forecast([plan("deeds"), plan("mail")], [], sizes, {}, TWO_OF_THREE)
    assert found.unknown == ("mail",)
    assert [item.basis for item in found.registers] == ["assumed", "unknown"]


def test_a_drill_says_it_better_than_a_rate() -> None:
    sizes = {"deeds": SourceSize(bytes=1000)}
    (deeds,) = make_forecast([plan("deeds")], [], sizes, {"deeds": 77}, TWO_OF_THREE).registers
    assert (deeds.restore, deeds.restore_basis) == (77, "measured")


def test_what_a_register_depends_on_is_restored_before_it() -> None:
    plans = [plan("a"), plan("b", "a"), plan("c", "b"), plan("d")]
    seconds = {"a": 10.0, "b": 20.0, "c": 30.0, "d": 1.0}
    sizes = dict.fromkeys(seconds, SourceSize(bytes=0))
    found = make_forecast(plans, [], sizes, seconds, TWO_OF_THREE)
    assert [item.restored_after for item in found.registers] == [10, 30, 60, 1]
    assert found.restore == 61


def test_a_line_that_is_slower_than_the_capture() -> None:
    entries = [entry(captured("deeds", 1000, 800, 5), elapsed=6)]
    found = make_forecast([plan("deeds")], entries, {}, {}, TWO_OF_THREE, line=10)
    assert found.duration == 400 * 3 / 10


def test_several_kinds_go_at_the_rate_of_the_slowest() -> None:
    both, tables = ASSUMED.of("files+postgresql"), ASSUMED.of("postgresql")
    assert both == tables
