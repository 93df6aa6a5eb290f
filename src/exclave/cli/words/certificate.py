"""Proofs and drills in words, and as JSON for programs."""

from __future__ import annotations

from exclave.certificate.drill import Drill, DrilledRegister
from exclave.certificate.proof import Proof
from exclave.certificate.results import RegisterResult, Results
from exclave.clock import format_time
from exclave.plain_words import count, duration, period

__all__ = ["drill_json", "drill_lines", "proof_json", "proof_lines"]


def drill_json(drill: Drill) -> dict[str, object]:
    """A drill for programs."""
    results = [item.result for item in drill.registers]
    return _results_json(drill.results, results, passed=drill.passed) | {
        "kind": "drill",
        "warrant": drill.warrant.hex(),
        "delay": drill.delay,
        "late": list(drill.late),
        "registers": [
            _register_json(item.result)
            | {
                "seconds": item.rto_ms / 1000,
                "work": item.work_ms / 1000,
                "rto": item.rto,
                "forecast": item.forecast,
            }
            for item in drill.registers
        ],
    }


def proof_json(proof: Proof) -> dict[str, object]:
    """A proof for programs."""
    results = [item.result for item in proof.registers]
    return _results_json(proof.results, results, passed=proof.passed) | {
        "kind": "proof",
        "depositor": proof.depositor,
        "registers": [
            _register_json(item.result)
            | {"from_packs": item.from_packs, "from_source": item.from_source}
            for item in proof.registers
        ],
    }


def _results_json(
    results: Results, registers: list[RegisterResult], *, passed: bool
) -> dict[str, object]:
    return {
        "passed": passed,
        "deposit": results.deposit.hex(),
        "started": format_time(results.started),
        "ended": format_time(results.ended),
        "failure": results.failure,
        "missing": _missing(results, registers),
    }


def _register_json(item: RegisterResult) -> dict[str, object]:
    return {
        "id": item.id,
        "good": item.good,
        "rows": item.rows,
        "files": item.files,
        "differences": item.differences,
        "assertions": [
            {"name": one.name, "held": one.held, "said": one.said, "seconds": one.seconds}
            for one in item.assertions
        ],
    }


def drill_lines(drill: Drill) -> list[str]:
    """A drill for people."""
    verdict = "PASSED" if drill.passed else "NOT PASSED"
    return [
        f"Drill of deposit {drill.results.deposit.hex()}: {verdict}",
        f"warrant prepared {format_time(drill.prepared)}, its roster waits {period(drill.delay)}",
        *(line for item in drill.registers for line in _drilled(item)),
        *_ends(drill.results, [item.result for item in drill.registers]),
    ]


def proof_lines(proof: Proof) -> list[str]:
    """A proof for people."""
    verdict = "PASSED" if proof.passed else "NOT PASSED"
    lines = [f"Proof of deposit {proof.results.deposit.hex()}: {verdict}"]
    for item in proof.registers:
        share = f"{item.from_packs} bytes from its packs, {item.from_source} from the register"
        lines += [f"{_found(item.result)}; {share}", *_asserted(item.result)]
    return [*lines, *_ends(proof.results, [item.result for item in proof.registers])]


def _drilled(item: DrilledRegister) -> list[str]:
    took = f"back {item.rto_ms / 1000:.0f} s after the warrant, {item.work_ms / 1000:.0f} s of work"
    allowed = f"RTO {duration(item.rto)}" + ("" if item.in_time else ", TOO LATE")
    forecast = "no forecast" if item.forecast is None else f"forecast {duration(item.forecast)}"
    return [f"{_found(item.result)}; {took}; {allowed}; {forecast}", *_asserted(item.result)]


def _found(item: RegisterResult) -> str:
    verdict = "proven" if item.differences == 0 else f"{item.differences} DIFFERENCES"
    return f"{item.id}: {verdict}, {count(item.rows, item.files)}"


def _asserted(item: RegisterResult) -> list[str]:
    if not item.assertions:
        return ["  nothing is asserted of it in the plan"]
    return [
        f"  {one.name}: {'holds' if one.held else 'DOES NOT HOLD'} ({one.said})"
        for one in item.assertions
    ]


def _ends(results: Results, registers: list[RegisterResult]) -> list[str]:
    lines = [f"{name}: NOT RESTORED" for name in _missing(results, registers)]
    return lines if results.failure is None else [*lines, f"ended by: {results.failure}"]


def _missing(results: Results, registers: list[RegisterResult]) -> list[str]:
    there = {item.id for item in registers}
    return [name for name in results.declared if name not in there]
