"""Proofs, drills and the auditor's certificate in words, and as JSON for programs."""

from __future__ import annotations

from exclave.certificate.drill import Drill, DrilledRegister
from exclave.certificate.proof import Proof
from exclave.certificate.receipts import SeatReceipt
from exclave.certificate.results import RegisterResult, Results
from exclave.certificate.standing import CheckedStanding, HeldDeposit, StandingRegister
from exclave.clock import format_time
from exclave.plain_words import count, duration, period

__all__ = [
    "drill_json",
    "drill_lines",
    "proof_json",
    "proof_lines",
    "standing_json",
    "standing_lines",
]


def drill_json(drill: Drill) -> dict[str, object]:
    """A drill for programs."""
    results = [item.result for item in drill.registers]
    return _results_json(drill.results, results, passed=drill.passed) | {
        "kind": "drill",
        "warrant": drill.warrant.hex(),
        "delay": drill.delay,
        "late": list(drill.late),
        "unforeseen": list(drill.unforeseen),
        "only": list(drill.only),
        "registers": [
            _register_json(item.result)
            | {
                "seconds": item.rto_ms / 1000,
                "work": item.work_ms / 1000,
                "rto": item.rto,
                "forecast": item.forecast,
                "in_time": item.in_time,
                "foreseen": item.foreseen,
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
    forecast = _foreseen(item)
    return [f"{_found(item.result)}; {took}; {allowed}; {forecast}", *_asserted(item.result)]


def _foreseen(item: DrilledRegister) -> str:
    if item.forecast is None:
        return "no forecast"
    within = "as it came" if item.foreseen else "OFF BY MORE THAN 30 %"
    return f"forecast {duration(item.forecast)}, {within}"


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


def standing_json(checked: CheckedStanding) -> dict[str, object]:
    """The auditor's certificate for programs."""
    standing = checked.standing
    return {
        "kind": "standing",
        "mission": standing.head.mission.hex(),
        "depositor": standing.depositor,
        "time": format_time(standing.time),
        "registers": [_standing_register(item, checked) for item in standing.registers],
        "deposits": [
            {
                "deposit": item.deposit.hex(),
                "k": item.k,
                "n": item.n,
                "held": [
                    {
                        "seat": receipt.seat,
                        "state": receipt.charter.seat(receipt.seat).state,
                        "since": format_time(receipt.entry.logged),
                        "cosigned": receipt.cosigned,
                        "witnesses": receipt.named(),
                    }
                    for receipt in checked.held[item.record]
                ],
            }
            for item in standing.deposits
        ],
    }


def _standing_register(item: StandingRegister, checked: CheckedStanding) -> dict[str, object]:
    proof = None if item.proof is None else checked.proofs[item.proof]
    drill = None if item.drill is None else checked.drills[item.drill]
    return {
        "id": item.id,
        "title": item.title,
        "owner": item.owner,
        "deposit": None if item.record is None else _deposit_of(item, checked).deposit.hex(),
        "captured": None if item.captured is None else format_time(item.captured),
        "proven": None if proof is None else format_time(proof.results.ended),
        "restored": None if drill is None else format_time(drill.results.ended),
        "seconds": None if drill is None else _seconds(item.id, drill),
    }


def standing_lines(checked: CheckedStanding) -> list[str]:
    """The auditor's certificate for people: what is proven, and what is the depositor's word."""
    standing = checked.standing
    lines = [
        f"Certificate of {format_time(standing.time)}, mission {standing.head.mission.hex()}",
        f"{len(standing.registers)} registers, by the word of depositor {standing.depositor}",
    ]
    for item in standing.registers:
        lines.append(f"{item.id} ({item.title}), of {item.owner}")
        lines += _standing_register_lines(item, checked)
    return lines


def _standing_register_lines(item: StandingRegister, checked: CheckedStanding) -> list[str]:
    if item.record is None or item.captured is None:
        return ["  NEVER DEPOSITED"]
    deposit = _deposit_of(item, checked)
    age = int((checked.standing.time - item.captured).total_seconds())
    rebuilt = f"any {deposit.k} of {deposit.n} seats rebuild it"
    lines = [
        f"  deposit {deposit.deposit.hex()}; {rebuilt}",
        f"  {period(max(0, age))} old (RPO {duration(item.rpo)})",
        *(f"  {_seat_line(receipt)}" for receipt in checked.held[item.record]),
    ]
    proof = None if item.proof is None else checked.proofs[item.proof]
    drill = None if item.drill is None else checked.drills[item.drill]
    lines.append(
        "  never proven"
        if proof is None
        else f"  last proven {format_time(proof.results.ended)}, by depositor {proof.depositor}"
    )
    if drill is None:
        return [*lines, "  NEVER RESTORED IN A DRILL"]
    took = period(round(_seconds(item.id, drill)))
    when = f"{format_time(drill.results.ended)}, {took} after the warrant, by its reader"
    return [*lines, f"  last restored {when} (RTO {duration(item.rto)})"]


def _seat_line(receipt: SeatReceipt) -> str:
    entry = receipt.charter.seat(receipt.seat)
    count = len(receipt.by)
    seen = f"cosigned by {count}" if receipt.cosigned else f"provisional, {count} witnesses"
    return (
        f"held at seat {receipt.seat}, {entry.vault} in {entry.state}, since "
        f"{format_time(receipt.entry.logged)} ({seen})"
    )


def _deposit_of(item: StandingRegister, checked: CheckedStanding) -> HeldDeposit:
    return next(one for one in checked.standing.deposits if one.record == item.record)


def _seconds(register: str, drill: Drill) -> float:
    return next(i.rto_ms for i in drill.registers if i.result.id == register) / 1000
