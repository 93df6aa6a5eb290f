"""Registers as a manifest has them, made from what an adapter captured."""

from __future__ import annotations

from datetime import UTC, datetime

from exclave.archive.manifest import Register, RegisterSource, SourceKind
from exclave.source.interface import Captured

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def register_of(captured: Captured, kind: SourceKind) -> Register:
    """The register that a deposit would write for this capture."""
    return Register(
        id="under-test",
        title="Under test",
        owner="nobody",
        classification="none",
        rpo=3600,
        rto=3600,
        depends_on=(),
        runbook=None,
        artefacts=None,
        started=MOMENT,
        ended=MOMENT,
        notes=captured.notes,
        sources=(
            RegisterSource(
                name=kind,
                kind=kind,
                started=MOMENT,
                ended=MOMENT,
                facts=captured.facts,
                objects=captured.objects,
            ),
        ),
    )


def silent(what: str, units: int, size: int) -> None:
    """A `Progress` that says nothing."""
    del what, units, size
