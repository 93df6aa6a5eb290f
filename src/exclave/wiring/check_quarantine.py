"""Checks of the quarantine in which deposits are proven: that a proof would find what it needs.

Nothing where none is named. Rules: nothing is made or dropped; a quarantine server that has a
database of the plan is bad, since it may be the register's own.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from exclave.deposit.catalogue_entry import CatalogueEntry
from exclave.errors import ExclaveError
from exclave.plain_words import size
from exclave.plan import PostgresqlSource, RegisterPlan
from exclave.wiring.check_results import CheckResult, Figure
from exclave.wiring.settings import QuarantineServerSettings, QuarantineSettings

__all__ = ["check_quarantine"]

_WHAT = "quarantine"
_SERVER = "quarantine server"


def check_quarantine(
    quarantine: QuarantineSettings | None,
    plans: Sequence[RegisterPlan],
    entries: Sequence[CatalogueEntry],
) -> Iterator[CheckResult]:
    """Folder, room for the largest register as it was deposited last, server."""
    if quarantine is None:
        return
    yield _folder(quarantine.path, entries)
    databases = [
        name
        for plan in plans
        for source in plan.sources
        if isinstance(source, PostgresqlSource)
        for name in source.databases
    ]
    if not databases:
        return
    if quarantine.postgresql is None:
        yield CheckResult(
            what=_SERVER, good=True, warns=True,
            said="none: PostgreSQL registers are decoded, but not restored, and no proof passes",
            hint="[quarantine.postgresql] with bin_dir, or with host and user",
        )  # fmt: skip
    elif quarantine.postgresql.host is None:
        yield _programs(Path(quarantine.postgresql.bin_dir or ""))
    else:
        yield _server(quarantine.postgresql, databases)


def _folder(place: Path, entries: Sequence[CatalogueEntry]) -> CheckResult:
    if place.exists() and (place.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)):
        return CheckResult(
            what=_WHAT, good=False, said=f"others of this machine may enter {place}",
            hint=f"chmod 700 {place}",
        )  # fmt: skip
    last = {item.id: item.bytes for entry in entries for item in entry.registers}
    needed = max(last.values(), default=0)
    there = next(item for item in (place, *place.parents) if item.exists())
    free = shutil.disk_usage(there).free
    return CheckResult(
        what=_WHAT,
        good=free >= needed,
        said=f"{size(free)} free, the largest register has {size(needed)}",
        hint=None if free >= needed else "name a folder with more room under [quarantine]",
        figures=(Figure(label="quarantine_free", value=free, unit="B", bad=needed, low=True),),
    )


def _programs(bin_dir: Path) -> CheckResult:
    missing = [name for name in ("initdb", "postgres") if not os.access(bin_dir / name, os.X_OK)]
    if missing:
        return CheckResult(
            what=_SERVER, good=False, said=f"{bin_dir} has no {' and no '.join(missing)}",
            hint="bin_dir is the folder with the server's own programs",
        )  # fmt: skip
    if os.geteuid() == 0:
        return CheckResult(
            what=_SERVER, good=False, said="PostgreSQL does not run as root",
            hint="deposit as another user, or name a server under [quarantine.postgresql]",
        )  # fmt: skip
    return CheckResult(what=_SERVER, good=True, said=f"made for each proof, from {bin_dir}")


def _server(settings: QuarantineServerSettings, databases: Sequence[str]) -> CheckResult:
    from exclave.quarantine.databases import databases_on, open_session
    from exclave.wiring.proofs import server_of

    server = server_of(settings)
    try:
        with open_session(server) as session:
            there = sorted(databases_on(session) & set(databases))
            may = session.execute(
                b"SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles"
                b" WHERE rolname = current_user"
            ).fetchone()
    except ExclaveError as error:
        return CheckResult(what=_SERVER, good=False, said=error.message, hint=error.hint)
    if there:
        return CheckResult(
            what=_SERVER, good=False, said=f"{server.host} has a database {there[0]} already",
            hint="it must be a server for proofs alone: is it the register's own?",
        )  # fmt: skip
    if may is None or not may[0]:
        return CheckResult(
            what=_SERVER, good=False, said=f"user {server.user} may make no database there",
            hint="ALTER ROLE ... CREATEDB CREATEROLE",
        )  # fmt: skip
    return CheckResult(
        what=_SERVER, good=True, said=f"{server.host}, without databases of the plan"
    )
