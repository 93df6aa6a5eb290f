"""Settings for every test: property tests are reproducible."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Here and nowhere else, so that all folders share one server of each major.
pytest_plugins = ["tests.pgfixtures"]

# `make test` samples with fixed seeds; `make soak` looks further (HYPOTHESIS_PROFILE=soak).
settings.register_profile(
    "fixed",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("soak", deadline=None, max_examples=5000, print_blob=True)
# Programs that tests start compile no module that another has compiled: a third of their time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "fixed")
settings.load_profile(PROFILE)


def _not_synced(fd: Any) -> None:
    os.fstat(fd if isinstance(fd, int) else fd.fileno())  # it must be open


if PROFILE == "fixed":
    # Waiting for the disk took a good part of the time. Whether all is synced that must be is
    # shown by tracing processes of their own (P12, P3, tests/faults): nothing here reaches them.
    os.fsync = os.fdatasync = _not_synced


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests say that they covered depends on the machine: it stands in every summary."""
    for report in terminalreporter.stats.get("passed", []):
        for name, text in report.user_properties:
            if name == "covered":
                terminalreporter.write_line(f"COVERED {text}")
