"""The plan: which registers are captured, from where, for whom (`registers.toml`).

`sources.py` says what can be captured, `values.py` what a register is, `reading.py` how the file is
read, `secrets.py` what must not stand in it.
"""

from exclave.plan.durations import Duration, Size, parse_duration, parse_size
from exclave.plan.reading import load_plan, parse_plan
from exclave.plan.secrets import PlanHoldsSecret
from exclave.plan.sources import (
    CommandSource,
    FilesSource,
    PlannedSource,
    PostgresqlSource,
    SqliteSource,
)
from exclave.plan.values import Assertion, Plan, RegisterPlan, needs

__all__ = [
    "Assertion",
    "CommandSource",
    "Duration",
    "FilesSource",
    "Plan",
    "PlanHoldsSecret",
    "PlannedSource",
    "PostgresqlSource",
    "RegisterPlan",
    "Size",
    "SqliteSource",
    "load_plan",
    "needs",
    "parse_duration",
    "parse_plan",
    "parse_size",
]
