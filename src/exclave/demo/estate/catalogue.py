"""The ten registers as a plan would list them, after Estonia's list of priority datasets.

The land register appears twice, as its database and as its folder of scanned deeds: eleven plan
entries for ten registers. Scans come before the database that points at them.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from exclave.demo.estate.model import (
    CAPTURE_ROLE,
    FilesSource,
    PostgresSource,
    Register,
    Source,
    SqliteSource,
)
from exclave.postgres_server.server import PostgresServer
from exclave.values import dataclass

Kind = Literal["postgresql", "sqlite", "files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is fixed about a register; `hours` are RPO and RTO."""

    id: str
    title: str
    owner: str
    classification: str
    hours: tuple[int, int]
    depends_on: tuple[str, ...] = ()
    kind: Kind = "postgresql"

    @property
    def database(self) -> str:
        return self.id.replace("-", "_")


PROFILES = (
    Profile(
        id="population-register",
        title="Population register",
        owner="Ministry of the Interior",
        classification="restricted",
        hours=(4, 24),
    ),
    Profile(
        id="identity-documents",
        title="Identity documents register",
        owner="Police and Border Guard Board",
        classification="secret",
        hours=(12, 24),
        depends_on=("population-register",),
    ),
    Profile(
        id="land-cadastre",
        title="Land cadastre",
        owner="Land Board",
        classification="public",
        hours=(24, 72),
    ),
    Profile(
        id="land-register-deeds",
        title="Land register: scanned deeds",
        owner="Centre of Registers",
        classification="restricted",
        hours=(24, 168),
        kind="files",
    ),
    Profile(
        id="land-register",
        title="Land register",
        owner="Centre of Registers",
        classification="restricted",
        hours=(12, 48),
        depends_on=("population-register", "land-cadastre", "land-register-deeds"),
    ),
    Profile(
        id="business-register",
        title="Business register",
        owner="Centre of Registers",
        classification="public",
        hours=(24, 72),
        depends_on=("population-register",),
    ),
    Profile(
        id="taxable-persons",
        title="Register of taxable persons",
        owner="Tax and Customs Board",
        classification="restricted",
        hours=(12, 48),
        depends_on=("population-register", "business-register"),
    ),
    Profile(
        id="treasury",
        title="Treasury information system",
        owner="Ministry of Finance",
        classification="restricted",
        hours=(4, 48),
    ),
    Profile(
        id="e-file",
        title="e-File of the courts",
        owner="Ministry of Justice",
        classification="secret",
        hours=(24, 72),
        depends_on=("population-register",),
    ),
    Profile(
        id="pension-insurance",
        title="Pension insurance register",
        owner="Social Insurance Board",
        classification="restricted",
        hours=(24, 96),
        depends_on=("population-register", "business-register"),
    ),
    Profile(
        id="state-gazette",
        title="State Gazette",
        owner="State Chancellery",
        classification="public",
        hours=(24, 72),
        kind="sqlite",
    ),
)


def make_register(profile: Profile, folder: Path, server: PostgresServer) -> Register:
    """The plan entry of a profile, its runbook and application artefacts written to `folder`."""
    runbook = folder / "runbooks" / f"{profile.id}.txt"
    runbook.parent.mkdir(parents=True, exist_ok=True)
    runbook.write_text(_runbook(profile), encoding="utf-8")
    application = folder / "applications" / profile.id
    _write_application(application, profile)
    return Register(
        id=profile.id,
        title=profile.title,
        owner=profile.owner,
        classification=profile.classification,
        rpo=timedelta(hours=profile.hours[0]),
        rto=timedelta(hours=profile.hours[1]),
        depends_on=profile.depends_on,
        source=_source(profile, folder, server),
        runbook=runbook,
        application=application,
    )


def _source(profile: Profile, folder: Path, server: PostgresServer) -> Source:
    if profile.kind == "sqlite":
        return SqliteSource(path=folder / "registers" / f"{profile.id}.sqlite")
    if profile.kind == "files":
        return FilesSource(path=folder / "registers" / profile.id)
    return PostgresSource(
        host=server.host,
        port=server.port,
        dbname=profile.database,
        user=CAPTURE_ROLE,
        passfile=folder / "capture.pgpass",
    )


def _runbook(profile: Profile) -> str:
    first = ", ".join(profile.depends_on) or "nothing"
    return (
        f"{profile.title}\nOwner: {profile.owner}\n\n"
        f"1. Restore first: {first}.\n"
        f"2. Restore this register and read the comparison report.\n"
        f"3. Unpack the application, edit conf/application.toml (host, port, credentials).\n"
        f"4. Start it read-only and let the duty registrar check three known entries.\n"
        f"5. Point registers.vanemar.example/{profile.id} at it.\n"
        "Kontrolli logi; проверьте журнал; 检查日志.\n"
    )


def _write_application(folder: Path, profile: Profile) -> None:
    """Small stand-ins for the software that serves the register."""
    (folder / "conf").mkdir(parents=True, exist_ok=True)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "conf" / "application.toml").write_text(
        f'register = "{profile.id}"\ndatabase = "{profile.database}"\nread_only = true\n',
        encoding="utf-8",
    )
    program = folder / "bin" / "serve"
    program.write_text(f'#!/bin/sh\necho "serving {profile.title}"\n', encoding="utf-8")
    program.chmod(0o755)
    (folder / "VERSION").write_text("4.2.1\n", encoding="utf-8")
