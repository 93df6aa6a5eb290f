"""Drills: a deposit reconstructed with real cards, for practice (spec/certificates.md 4).

Reads, writes and verifies the certificate; `exclave drill` makes it. Rules: the reader signed whom
a warrant of the officials names; fewer registers than the plan has are no passed drill, since the
verdict is computed, as is whether a register came in time and as forecast; what a drill says of one
register is `came_back`; writing a parsed one gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope, Kind, envelope_for, payload_object
from exclave.authority.fields import FieldInvalid, Node
from exclave.authority.persons import require_keys
from exclave.authority.warrant import Warrant, verify_warrant
from exclave.certificate.results import (
    COMMON,
    HEAD,
    MAX_NUMBER,
    MAX_REGISTERS,
    RESULTS,
    CertificateForeign,
    CertificateHead,
    RegisterResult,
    Results,
    VerdictUnfounded,
    head_json,
    read_head,
    read_register,
    read_results,
    register_json,
    require_mission,
    require_once,
    require_verdict,
    results_json,
)
from exclave.clock import format_time
from exclave.encoding import JsonObject
from exclave.ids import StatementHash
from exclave.values import dataclass

__all__ = ["Drill", "DrilledRegister", "drill_envelope", "parse_drill", "verify_drill"]

_TIMES = ("restore_ms", "compare_ms", "work_ms", "rto_ms")
_SHARE: Final = 300
"""Milliseconds of a forecast second by which the work may be off: 30 %."""
_LEAST: Final = 10_000
"""Milliseconds that are never off: forecasts are whole seconds, and beginning takes some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrilledRegister:
    """A register, and how long it took."""

    result: RegisterResult
    rto: int  # seconds, as planned
    forecast: int | None  # seconds of `work_ms`, as forecast
    restore_ms: int
    compare_ms: int
    work_ms: int  # from the begin of the reconstruction until its assertions had run
    rto_ms: int  # from the warrant until then

    def __post_init__(self) -> None:
        if self.rto_ms < self.work_ms:
            raise FieldInvalid("register.rto_ms: expected at least work_ms, got less")

    @property
    def in_time(self) -> bool:
        """Whether it was there within the RTO of the plan."""
        return self.rto_ms <= self.rto * 1000

    @property
    def foreseen(self) -> bool | None:
        """Whether the work took what was forecast, within 30 %; None where nothing was."""
        if self.forecast is None:
            return None
        off = abs(self.work_ms - self.forecast * 1000)
        return off <= max(_LEAST, self.forecast * _SHARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """What was reconstructed, under which warrant, and how long each register took."""

    head: CertificateHead
    warrant: StatementHash
    prepared: datetime  # when the warrant was issued
    delay: int  # seconds that its roster waits
    results: Results
    registers: tuple[DrilledRegister, ...]
    only: tuple[str, ...] = ()  # the registers that it was held of; none: all

    def __post_init__(self) -> None:
        require_once(register.result for register in self.registers)
        if len(set(self.only)) != len(self.only):
            raise FieldInvalid("drill.only: expected each once, got one twice")
        others = {item.result.id for item in self.registers} - set(self.only)
        if self.only and others:
            raise FieldInvalid(f"drill.registers: expected some of only, got {sorted(others)[0]}")
        works = [item.work_ms for item in self.registers]
        if works != sorted(works):
            raise FieldInvalid("drill.registers: expected work_ms to ascend, got others")

    @property
    def passed(self) -> bool:
        """The verdict (spec/certificates.md 2)."""
        return self.results.passed(register.result for register in self.registers)

    @property
    def late(self) -> tuple[str, ...]:
        """Registers that took longer than their RTO: no reason to fail, but to be said."""
        return tuple(item.result.id for item in self.registers if not item.in_time)

    @property
    def unforeseen(self) -> tuple[str, ...]:
        """Registers that took more or less work than forecast: to be said as well."""
        return tuple(item.result.id for item in self.registers if item.foreseen is False)

    def came_back(self, register: str) -> bool | None:
        """Whether a register came back whole and as asserted; None: it was not held of that one.

        Says nothing of the others: a passed drill is `passed`.
        """
        found = next((item for item in self.registers if item.result.id == register), None)
        if found is not None:
            return found.result.good
        asked = register in (self.only or self.results.declared)
        return False if asked else None

    def own_work(self, register: str) -> int | None:
        """Milliseconds of work on one register alone; None where it is not among those found."""
        before = 0
        for item in self.registers:
            if item.result.id == register:
                return max(item.work_ms - before, item.restore_ms + item.compare_ms)
            before = item.work_ms
        return None


def drill_envelope(drill: Drill) -> Envelope:
    """The certificate, unsigned."""
    return envelope_for(
        {
            "kind": Kind.DRILL.value,
            "warrant": drill.warrant.hex(),
            "prepared": format_time(drill.prepared),
            "delay": drill.delay,
            "only": list(drill.only),
            **head_json(drill.head),
            **results_json(drill.results, [item.result for item in drill.registers]),
            "registers": [_register_json(item) for item in drill.registers],
        }
    )


def _register_json(item: DrilledRegister) -> JsonObject:
    return register_json(item.result) | {
        "rto": item.rto,
        "forecast": item.forecast,
        "restore_ms": item.restore_ms,
        "compare_ms": item.compare_ms,
        "work_ms": item.work_ms,
        "rto_ms": item.rto_ms,
        "in_time": item.in_time,
        "foreseen": item.foreseen,
    }


def parse_drill(envelope: Envelope) -> Drill:
    """Read the drill in an envelope; signatures are not checked here."""
    names = ("warrant", "prepared", "delay", "only")
    found = payload_object(envelope, Kind.DRILL).fields(*HEAD, *RESULTS, *names)
    drill = Drill(
        head=read_head(found),
        warrant=StatementHash(found["warrant"].hex(32)),
        prepared=found["prepared"].time(),
        delay=found["delay"].integer(0, MAX_NUMBER),
        results=read_results(found),
        registers=found["registers"].each(_read_register),
        only=found["only"].each(Node.slug, most=MAX_REGISTERS),
    )
    require_verdict(found["passed"], drill.results, [item.result for item in drill.registers])
    return drill


def _read_register(node: Node) -> DrilledRegister:
    found = node.fields(*COMMON, "rto", "forecast", *_TIMES, "in_time", "foreseen")
    register = DrilledRegister(
        result=read_register(found),
        rto=found["rto"].integer(0, MAX_NUMBER),
        forecast=found["forecast"].optional(lambda item: item.integer(0, MAX_NUMBER)),
        restore_ms=found["restore_ms"].integer(0, MAX_NUMBER),
        compare_ms=found["compare_ms"].integer(0, MAX_NUMBER),
        work_ms=found["work_ms"].integer(0, MAX_NUMBER),
        rto_ms=found["rto_ms"].integer(0, MAX_NUMBER),
    )
    said = (found["in_time"].boolean(), found["foreseen"].optional(Node.boolean))
    if said != (register.in_time, register.foreseen):
        raise VerdictUnfounded(
            f"register {register.result.id}: expected in_time and foreseen by what was measured, "
            "got others"
        )
    return register


def verify_drill(
    envelope: Envelope, warrant: Envelope, charter: Charter, earlier: Iterable[Charter] = ()
) -> tuple[Drill, Warrant]:
    """Check a drill by its warrant, and that by the charter it names; raises an `AuthorityError`.

    `earlier` as of `exclave.authority.warrant.verify_warrant`.
    """
    # 1. the officials
    allowed = verify_warrant(warrant, charter, earlier)
    # 2. what it is a drill of
    drill = parse_drill(envelope)
    require_mission(drill.head, charter.mission_id, "drill")
    for name, got, expected in (
        ("charter", drill.head.charter, charter.statement_hash),
        ("warrant", drill.warrant, warrant.statement_hash),
    ):
        if got != expected:
            raise CertificateForeign(f"drill.{name}: expected {expected.hex()}, got {got.hex()}")
    if drill.prepared != allowed.issued:
        raise CertificateForeign(
            f"drill.prepared: expected {format_time(allowed.issued)} as the warrant says, "
            f"got {format_time(drill.prepared)}"
        )
    if not allowed.covers(drill.results.deposit):
        raise CertificateForeign(
            f"drill.deposit: {drill.results.deposit.hex()} is none that the warrant names"
        )
    # 3. the reader
    require_keys(envelope, [allowed.reader_key], party="the warrant's reader")
    return drill, allowed
