"""What a proof and a drill have in common: registers that were restored, and the verdict on them.

Rules: the verdict is never given, always computed (spec/certificates.md 2), so that nothing that
failed or is missing can be written down as passed; a read one that says otherwise is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.fields import FieldInvalid, Fields, Node, breaks_line
from exclave.clock import format_time
from exclave.encoding import JsonObject
from exclave.errors import AuthorityError
from exclave.ids import DepositId, MissionId, StatementHash
from exclave.values import dataclass

__all__ = [
    "COMMON",
    "HEAD",
    "MAX_NUMBER",
    "MAX_REGISTERS",
    "RESULTS",
    "AssertionOutcome",
    "CertificateForeign",
    "CertificateHead",
    "RegisterResult",
    "Results",
    "VerdictUnfounded",
    "head_json",
    "one_line",
    "read_head",
    "read_register",
    "read_results",
    "register_json",
    "require_mission",
    "require_once",
    "require_verdict",
    "results_json",
]

MAX_REGISTERS: Final = 4096
MAX_NUMBER: Final = 10**12
"""The largest count of milliseconds or seconds."""
HEAD: Final = ("kind", "mission", "charter", "salt", "software")
"""Fields of every certificate."""
RESULTS: Final = (
    *("plan", "declared", "deposit", "record", "started", "ended", "failure", "passed"),
    "registers",
)
"""Fields of every certificate with results."""
COMMON: Final = (
    *("id", "title", "captured", "rows", "files", "objects", "differences"),
    *("not_compared", "assertions"),
)
"""Fields of every register in one."""
_MAX_ASSERTIONS: Final = 1024
_MAX_NOTES: Final = 4096
_LONGEST: Final = 300


class VerdictUnfounded(FieldInvalid):
    """A certificate says that it passed, or did not, against what it says was found."""


class CertificateForeign(AuthorityError):
    """A certificate of another mission, warrant or deposit than the ones given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateHead:
    """What every certificate has; `salt` is random and makes its hash say nothing."""

    mission: MissionId
    charter: StatementHash
    salt: bytes
    software: str

    def __post_init__(self) -> None:
        if len(self.salt) != 32:
            raise FieldInvalid(f"certificate.salt: expected 32 bytes, got {len(self.salt)}")
        Node(self.software, "certificate.software").text()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionOutcome:
    """One assertion of a plan, as it ended; `said` is what came back, or what went wrong."""

    name: str
    held: bool
    said: str
    seconds: float

    def to_json(self) -> JsonObject:
        """As it stands in a certificate."""
        return {
            "name": self.name,
            "held": self.held,
            "said": self.said,
            "ms": round(self.seconds * 1000),
        }

    @classmethod
    def read(cls, node: Node) -> AssertionOutcome:
        """Read one."""
        found = node.fields("name", "held", "said", "ms")
        return cls(
            name=found["name"].slug(),
            held=found["held"].boolean(),
            said=found["said"].text(),
            seconds=found["ms"].integer(0, MAX_NUMBER) / 1000,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterResult:
    """One register, restored and compared, and what was asserted of it."""

    id: str
    title: str
    captured: datetime
    rows: int
    files: int
    objects: int
    differences: int
    not_compared: tuple[str, ...] = ()
    assertions: tuple[AssertionOutcome, ...] = ()

    def __post_init__(self) -> None:
        Node(self.id, "register.id").slug()
        Node(self.title, "register.title").text()
        for text in self.not_compared:
            Node(text, "register.not_compared").text()
        for outcome in self.assertions:
            Node(outcome.said, "register.assertions.said").text()

    @property
    def good(self) -> bool:
        """Nothing differs, and all that was asserted held."""
        return self.differences == 0 and all(outcome.held for outcome in self.assertions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What was looked at: a deposit's registers, and those that there have to be."""

    plan: bytes
    declared: tuple[str, ...]
    deposit: DepositId
    record: StatementHash
    started: datetime
    ended: datetime
    failure: str | None

    def __post_init__(self) -> None:
        if len(self.plan) != 32:
            raise FieldInvalid(f"certificate.plan: expected 32 bytes, got {len(self.plan)}")
        if not 1 <= len(self.declared) <= MAX_REGISTERS:
            raise FieldInvalid(
                f"certificate.declared: expected 1 to {MAX_REGISTERS} registers, "
                f"got {len(self.declared)}"
            )
        if len(set(self.declared)) != len(self.declared):
            raise FieldInvalid("certificate.declared: expected each once, got one twice")
        if self.ended < self.started:
            raise FieldInvalid("certificate.ended: expected not before started, got before")
        if self.failure is not None:
            Node(self.failure, "certificate.failure").text()

    def passed(self, registers: Iterable[RegisterResult]) -> bool:
        """The verdict: nothing failed, nothing is missing, everything is good."""
        found = tuple(registers)
        whole = set(self.declared) <= {register.id for register in found}
        return self.failure is None and whole and all(item.good for item in found)


def one_line(text: str) -> str:
    """Text of others, such as a database's error or a path, as a certificate can hold it."""
    # Paths that are no UTF-8 have lone surrogates, which no encoding takes.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    flat = "".join(" " if breaks_line(character) else character for character in text)
    return " ".join(flat.split())[:_LONGEST]


def require_mission(head: CertificateHead, mission: MissionId, kind: str) -> None:
    """Raise `MissionMismatch` unless it is this mission's."""
    if head.mission != mission:
        raise MissionMismatch(f"{kind}: expected mission {mission.hex()}, got {head.mission.hex()}")


def head_json(head: CertificateHead) -> JsonObject:
    """The fields of a head, beside the others."""
    return {
        "mission": head.mission.hex(),
        "charter": head.charter.hex(),
        "salt": head.salt.hex(),
        "software": head.software,
    }


def read_head(found: Fields) -> CertificateHead:
    """Read a head from among the others."""
    return CertificateHead(
        mission=MissionId(found["mission"].hex(32)),
        charter=StatementHash(found["charter"].hex(32)),
        salt=found["salt"].hex(32),
        software=found["software"].text(),
    )


def results_json(results: Results, registers: Iterable[RegisterResult]) -> JsonObject:
    """The fields of results with the verdict, but for the registers."""
    return {
        "plan": results.plan.hex(),
        "declared": list(results.declared),
        "deposit": results.deposit.hex(),
        "record": results.record.hex(),
        "started": format_time(results.started),
        "ended": format_time(results.ended),
        "failure": results.failure,
        "passed": results.passed(registers),
    }


def read_results(found: Fields) -> Results:
    """Read the results; the registers and the verdict are read beside them."""
    return Results(
        plan=found["plan"].hex(32),
        declared=found["declared"].each(Node.slug, least=1, most=MAX_REGISTERS),
        deposit=DepositId(found["deposit"].hex(16)),
        record=StatementHash(found["record"].hex(32)),
        started=found["started"].time(),
        ended=found["ended"].time(),
        failure=found["failure"].optional(Node.text),
    )


def require_verdict(node: Node, results: Results, registers: Iterable[RegisterResult]) -> None:
    """Raise `VerdictUnfounded` where a certificate's `passed` is not what its contents say."""
    said, is_so = node.boolean(), results.passed(registers)
    if said is not is_so:
        raise VerdictUnfounded(
            f"certificate.passed: expected {str(is_so).lower()} by what was found, "
            f"got {str(said).lower()}"
        )


def require_once(registers: Iterable[RegisterResult]) -> None:
    """Raise `FieldInvalid` where a register stands twice: the better one would hide the other."""
    names = [register.id for register in registers]
    if len(names) > MAX_REGISTERS or len(set(names)) != len(names):
        raise FieldInvalid(
            f"certificate.registers: expected at most {MAX_REGISTERS}, each once, got others"
        )


def register_json(register: RegisterResult) -> JsonObject:
    """The fields that every register has."""
    return {
        "id": register.id,
        "title": register.title,
        "captured": format_time(register.captured),
        "rows": register.rows,
        "files": register.files,
        "objects": register.objects,
        "differences": register.differences,
        "not_compared": list(register.not_compared),
        "assertions": [outcome.to_json() for outcome in register.assertions],
    }


def read_register(found: Fields) -> RegisterResult:
    """Read them."""
    return RegisterResult(
        id=found["id"].slug(),
        title=found["title"].text(),
        captured=found["captured"].time(),
        rows=found["rows"].integer(),
        files=found["files"].integer(),
        objects=found["objects"].integer(),
        differences=found["differences"].integer(),
        not_compared=found["not_compared"].each(Node.text, most=_MAX_NOTES),
        assertions=found["assertions"].each(AssertionOutcome.read, most=_MAX_ASSERTIONS),
    )
