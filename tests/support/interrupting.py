"""What tests of interruption share."""

from __future__ import annotations

import os

import pytest

from tests.support.systrace import TracingRefused

__all__ = ["require_tracing"]


def require_tracing(error: TracingRefused) -> None:
    """Without ptrace the promise is not tested: that is a failure unless it was asked for."""
    if os.environ.get("EXCLAVE_TEST_WITHOUT_PTRACE") == "1":
        pytest.skip(str(error))
    pytest.fail(f"{error}\nset EXCLAVE_TEST_WITHOUT_PTRACE=1 to leave P12 untested")
