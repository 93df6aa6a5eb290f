"""What a proof found, as values, and as they pass from the proving process to the depositing one.

Rules
- A register is `proven` only when it was restored, compared whole, and all that was asserted held.
  One that was decoded only is `decoded`, which is never a pass.
- A proof passes when it ended by itself, no pack was at fault and each register that was captured
  is proven.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from exclave.certificate.results import AssertionOutcome
from exclave.errors import MalformedData
from exclave.values import asdict, dataclass

__all__ = [
    "ProofFindings",
    "RegisterFindings",
    "Share",
    "Verdict",
    "register_from_json",
    "register_to_json",
]


class Verdict(enum.StrEnum):
    """How far a register was proven."""

    PROVEN = "proven"
    DECODED = "decoded"  # every chunk came out as what its id says; it was not restored
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a register's chunks; bytes are plain."""

    chunks: int = 0
    bytes: int = 0

    def with_chunk(self, plain: int) -> Share:
        """With one more, of so many bytes."""
        return Share(self.chunks + 1, self.bytes + plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterFindings:
    """One register."""

    id: str
    title: str
    captured: str
    verdict: Verdict
    from_packs: Share = Share()  # out of packs of this deposit, as sent
    from_source: Share = Share()  # in older packs: given by the source, matched by chunk id
    lacking: Share = Share()  # in older packs, but no longer in the source as captured
    rows: int = 0
    files: int = 0
    objects: int = 0
    differing: int = 0  # differences in all
    differences: tuple[str, ...] = ()  # the first of them
    not_compared: tuple[str, ...] = ()
    assertions: tuple[AssertionOutcome, ...] = ()
    problem: str | None = None  # why it is not proven, where differences do not say it
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFindings:
    """A whole proof."""

    started: str
    ended: str
    expected: tuple[str, ...]  # registers that were captured
    registers: tuple[RegisterFindings, ...] = ()
    packs: int = 0  # of this deposit, opened and decoded chunk by chunk
    pack_bytes: int = 0  # sealed
    faults: tuple[str, ...] = ()  # of packs
    problem: str | None = None  # why it did not come to its end

    @property
    def passed(self) -> bool:
        """See the module's rules."""
        proven = [item.id for item in self.registers if item.verdict is Verdict.PROVEN]
        whole = sorted(proven) == sorted(self.expected) and len(proven) > 0
        return self.problem is None and not self.faults and whole

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass, in words; empty when it did."""
        found = [] if self.problem is None else [self.problem]
        found += self.faults
        found += [
            f"register {item.id}: {item.problem or _differences(item)}"
            for item in self.registers
            if item.verdict is not Verdict.PROVEN
        ]
        seen = {item.id for item in self.registers}
        missing = [name for name in self.expected if name not in seen]
        if missing and self.problem is None:
            found.append(f"registers {', '.join(missing)}: not looked at")
        return tuple(found)


def _differences(item: RegisterFindings) -> str:
    failed = [each.name for each in item.assertions if not each.held]
    if failed and not item.differing:
        return f"assertions that do not hold: {', '.join(failed)}"
    return f"{item.differing} differences, the first: {'; '.join(item.differences[:1])}"


def register_to_json(item: RegisterFindings) -> dict[str, Any]:
    """As it passes between the processes, and as `--json` prints it."""
    return asdict(item) | {"verdict": item.verdict.value}


def register_from_json(value: Mapping[str, Any]) -> RegisterFindings:
    """The way back; raises `MalformedData`."""
    try:
        return RegisterFindings(
            **{
                **value,
                "verdict": Verdict(value["verdict"]),
                "from_packs": _share(value["from_packs"]),
                "from_source": _share(value["from_source"]),
                "lacking": _share(value["lacking"]),
                "differences": tuple(value["differences"]),
                "not_compared": tuple(value["not_compared"]),
                "assertions": _assertions(value["assertions"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedData("proof: expected the findings of a register, got others") from error


def _share(value: Mapping[str, int]) -> Share:
    return Share(int(value["chunks"]), int(value["bytes"]))


def _assertions(value: Sequence[Mapping[str, Any]]) -> tuple[AssertionOutcome, ...]:
    return tuple(AssertionOutcome(**item) for item in value)
