"""Figures for programs that watch, in Prometheus' text format (version 0.0.4).

Values and their text; nobody is asked here, nothing is served. Rules, by Prometheus' conventions:
names begin with `exclave_` (a process's own with `process_`), units are seconds and bytes, counters
end with `_total`, and what is constant is an `_info` with the value 1. A figure that is not known
is left out, never zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from exclave.values import dataclass, replace

__all__ = ["CONTENT_TYPE", "Family", "Sample", "counter", "exposition", "gauge"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_NAME = re.compile(r"(exclave|process)(_[a-z0-9]+)+")
_LABEL = re.compile(r"[a-z][a-z_]*")
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
Value = int | float
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One figure of a family."""

    labels: Labels
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A name with its figures; `samples` may be none."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    samples: tuple[Sample, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.endswith("_total") is (self.kind == "gauge"):
            raise ValueError(f"metric {self.name!r}: not the name of a {self.kind}")
        for sample in self.samples:
            for label in sample.labels:
                if not _LABEL.fullmatch(label):
                    raise ValueError(f"metric {self.name}: no label {label!r}")

    def joined(self, other: Family) -> Family:
        """This family with the figures of another of its name."""
        if (other.name, other.kind) != (self.name, self.kind):
            raise ValueError(f"metric {self.name}: cannot be joined with {other.name}")
        return replace(self, samples=(*self.samples, *other.samples))


def gauge(name: str, help: str, *samples: tuple[Labels, Value | None]) -> Family:
    """What goes up and down; figures that are None are left out."""
    return Family(name=name, kind="gauge", help=help, samples=_known(samples))


def counter(name: str, help: str, *samples: tuple[Labels, Value | None]) -> Family:
    """What only grows while its process runs."""
    return Family(name=name, kind="counter", help=help, samples=_known(samples))


def exposition(families: Iterable[Family]) -> str:
    """The text; families without figures are left out."""
    return "".join(_text(family) for family in families if family.samples)


def _known(samples: Iterable[tuple[Labels, Value | None]]) -> tuple[Sample, ...]:
    return tuple(
        Sample(labels=labels, value=value) for labels, value in samples if value is not None
    )


def _text(family: Family) -> str:
    help = family.help.translate(_ESCAPES)
    lines = [f"# HELP {family.name} {help}", f"# TYPE {family.name} {family.kind}"]
    lines += [f"{family.name}{_labels(item.labels)} {item.value!r}" for item in family.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"
