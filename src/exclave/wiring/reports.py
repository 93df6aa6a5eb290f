"""Checks a reconstruction's report offline: who allowed it, and that their reader signed it.

Steps: the warrant carries the read threshold of the charter; the report names that warrant, this
mission and a deposit that the warrant covers; the warrant's reader key signed the report. What the
report says was found is the reader's word: whether it is true, only a reconstruction shows.
"""

from __future__ import annotations

from pathlib import Path

from exclave.authority.charter import Charter
from exclave.authority.envelope import Kind, payload_object
from exclave.authority.persons import require_keys
from exclave.authority.warrant import Warrant, verify_warrant
from exclave.encoding import hex_decode
from exclave.errors import AuthorityError
from exclave.ids import DepositId
from exclave.values import dataclass
from exclave.wiring.files import load_envelope

__all__ = ["CheckedReport", "ReportForeign", "verify_report_file"]


class ReportForeign(AuthorityError):
    """A report of another mission, warrant or deposit than the ones given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReport:
    """A report whose signature holds."""

    warrant: Warrant
    deposit: DepositId
    proven: bool


def verify_report_file(report: Path, charter: Charter, warrant: Path) -> CheckedReport:
    """Check a report's file; raises an `AuthorityError` or what is wrong with a file."""
    # 1. the officials
    allowed = load_envelope(warrant, Kind.WARRANT)
    checked = verify_warrant(allowed, charter)
    # 2. what it is a report of
    envelope = load_envelope(report, Kind.REPORT)
    said = payload_object(envelope, Kind.REPORT).value
    assert isinstance(said, dict)  # `payload_object` refuses anything else
    for name, expected in (
        ("mission", charter.mission_id.hex()),
        ("warrant", allowed.statement_hash.hex()),
    ):
        if said.get(name) != expected:
            raise ReportForeign(f"report.{name}: expected {expected}, got {said.get(name)!r:.80}")
    deposit = DepositId(
        hex_decode(str(said.get("deposit")), length=16, subject=f"{report}: deposit")
    )
    if not checked.covers(deposit):
        raise ReportForeign(f"report.deposit: {deposit.hex()} is none that the warrant names")
    # 3. the reader
    require_keys(envelope, [checked.reader_key], party="the warrant's reader")
    return CheckedReport(warrant=checked, deposit=deposit, proven=said.get("proven") is True)
