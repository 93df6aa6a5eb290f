"""What test vectors are made of: one case a file, as vectors/README.md describes."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exclave.encoding import JsonObject, JsonValue

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test vector; `case` is also the file's name."""

    spec: str
    case: str
    operation: str
    what: str
    given: JsonObject
    expect: JsonObject

    def encode(self) -> str:
        """The file's text."""
        fields: dict[str, JsonValue] = {
            "spec": self.spec,
            "case": self.case,
            "operation": self.operation,
            "what": self.what,
            "input": self.given,
            "expect": self.expect,
        }
        return json.dumps(fields, indent=1, ensure_ascii=False) + "\n"


def refused(error: str, why: str) -> JsonObject:
    """Expectation of a case that must fail: our error's class, and the cause in plain words."""
    return {"refused": error, "why": why}


def drawn(label: str, size: int) -> bytes:
    """Bytes that look random and are the same on every run."""
    return hashlib.shake_256(b"exclave vectors " + label.encode()).digest(size)


def flipped(data: bytes, offset: int, mask: int = 1) -> bytes:
    """The bytes with one of them changed."""
    changed = bytearray(data)
    changed[offset] ^= mask
    return bytes(changed)


def write(folder: str, cases: Iterable[Case]) -> int:
    """Write all cases of one folder of vectors; the number written."""
    target = ROOT / "vectors" / folder
    target.mkdir(parents=True, exist_ok=True)
    texts = {case.case: case.encode() for case in cases}
    for name, text in texts.items():
        (target / f"{name}.json").write_text(text, encoding="utf-8")
    return len(texts)
