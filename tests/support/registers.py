"""Registers as a manifest has them, made from what an adapter captured."""

from __future__ import annotations

from datetime import UTC, datetime

from exclave.archive.manifest import Register, RegisterKind
from exclave.source.interface import Captured

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def register_of(captured: Captured, kind: RegisterKind) -> Register:
    """The register that a deposit would write for this capture."""
    return Register(
        id="under-test",
        title="Under test",
        kind=kind,
        owner="nobody",
        classification="none",
        rpo=3600,
        rto=3600,
        depends_on=(),
        runbook=None,
        artefacts=None,
        started=MOMENT,
        ended=MOMENT,
        source=captured.facts,
        notes=captured.notes,
        objects=captured.objects,
    )


def silent(what: str, units: int, size: int) -> None:
    """A `Progress` that says nothing."""
    del what, units, size
