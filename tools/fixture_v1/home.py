"""The fixture's home: four registers of all kinds, and the configuration files of its machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exclave.postgres_server.server import PostgresServer
from tests.support.embassy import Embassy

__all__ = ["DATABASE", "FILES", "SCHEMA", "write_files", "write_registers"]

DATABASE: Final = "register_v1"
SCHEMA: Final = r"""
CREATE TABLE public.person (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, share numeric,
  area double precision, at timestamptz, born date, doc jsonb, tags text[], seal bytea,
  twice numeric GENERATED ALWAYS AS (share * 2) STORED);
INSERT INTO public.person (name, share, area, at, born, doc, tags, seal) VALUES
  (E'Õnne\tPõder\\N', 1.00, 'NaN', '2000-02-29 00:00:00.000001+00', '0044-03-15 BC',
   '{"b": [1e400, "\u00e9"]}', ARRAY['', NULL, 'a"b\c'], '\x00ff5c0a'),
  ('', 'NaN', '-0', 'infinity', '-infinity', 'null', '{}', ''),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.person (name, share)
  SELECT 'person ' || g, g / 7.0 FROM generate_series(1, 500) g;
CREATE TABLE public.office (code text, year int, name text, PRIMARY KEY (code, year));
INSERT INTO public.office SELECT chr(65 + g % 26) || g, 1990 + g % 30, 'o' || g
  FROM generate_series(1, 100) g;
CREATE TABLE public.entry (who text, what int);
INSERT INTO public.entry SELECT 'same', g % 3 FROM generate_series(1, 50) g;
INSERT INTO public.entry VALUES (NULL, 1), ('', 1);
CREATE TABLE public.parcel (k int NOT NULL, at date NOT NULL, PRIMARY KEY (k, at))
  PARTITION BY RANGE (at);
CREATE TABLE public.parcel_old PARTITION OF public.parcel
  FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE public.parcel_new PARTITION OF public.parcel
  FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
INSERT INTO public.parcel SELECT g, date '2019-06-01' + g FROM generate_series(1, 400) g;
CREATE SEQUENCE public.docket START 100;
SELECT count(nextval('public.docket')) FROM generate_series(1, 5);
CREATE VIEW public.recent AS SELECT id, name FROM public.person WHERE id > 400;
SELECT lo_from_bytea(90001, decode(repeat('ab', 3000), 'hex'));
"""
PLAN: Final = """
[[register]]
id = "scans"
title = "Scanned deeds"
owner = "Land Board"
classification = "restricted"
rpo = "24h"
rto = "12h"
runbook = "registers/runbook.md"
artefacts = "registers/application"
[register.source]
kind = "files"
path = "registers/scans"
[[register.assertion]]
name = "latest"
command = ["test", "-e", "latest"]

[[register]]
id = "gazette"
title = "Gazette"
owner = "Chancellery"
classification = "public"
rpo = "7d"
rto = "24h"
depends_on = ["scans"]
[register.source]
kind = "sqlite"
path = "registers/gazette.sqlite"
[[register.assertion]]
name = "acts"
sql = "SELECT count(*) > 10 FROM act"

[[register]]
id = "persons"
title = "Register of persons"
owner = "Ministry of the Interior"
classification = "secret"
rpo = "24h"
rto = "12h"
[register.source]
kind = "postgresql"
host = "{host}"
port = {port}
user = "{user}"
password_file = "{passfile}"
databases = ["register_v1"]

[[register]]
id = "cadastre"
title = "Cadastre"
owner = "Land Board"
classification = "public"
rpo = "24h"
rto = "12h"
[[register.source]]
name = "plans"
kind = "files"
path = "registers/cadastre/plans"
[[register.source]]
name = "extract"
kind = "command"
command = ["cat", "extract/extract.txt"]
folder = "registers/cadastre"
file = "extract.txt"
"""
DEPOSIT: Final = """
depositor = "keys"
plan = "registers.toml"
journal = "state/journal.db"
catalogue = "state/catalogue"
spool = "state/spool"
spool_limit = "1GiB"
scratch = "state/scratch"
evidence = "state/evidence"
cards = "state/cards"

[quarantine]
path = "state/quarantine"
limit = "1GiB"
"""
SERVER: Final = """
[quarantine.postgresql]
host = "{host}"
port = {port}
user = "{user}"
password_file = "{passfile}"
"""
AGENT: Final = """
deposit = "deposit.toml"
state = "state/agent"

[[job]]
id = "registers"
kind = "deposit"
registers = ["scans", "gazette", "cadastre"]
schedule = ["*-*-* 01:00 UTC"]

[[job]]
id = "logs"
kind = "monitor"
schedule = ["*:0/15 UTC"]

[alerts]
source = "a fixture"

[[alerts.target]]
kind = "command"
name = "pager"
command = ["false"]
"""
FILES: Final[Mapping[str, str]] = {
    "registers/runbook.md": "Start the server, then ask for plot 7.\n",
    "registers/application/app.conf": "plots = 10\n",
    "registers/cadastre/plans/plan.txt": "plot 1: 7 ha\n",
    "registers/cadastre/extract/extract.txt": "7 ha\n",
}
_NOBODY: Final = {"host": "127.0.0.1", "port": 5432, "user": "exclave", "passfile": "pgpass"}


def write_registers(embassy: Embassy) -> None:
    """The files of all registers."""
    embassy.write_registers(mib=0.02)
    home = embassy.home
    for name, text in FILES.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    scans = home / "registers" / "scans"
    for number in range(4):
        (scans / f"deed-{number}.txt").write_text(f"plot {number}: Õnne Põder\n" * 20)
    (scans / "latest").symlink_to("deed-3.txt")
    os.link(scans / "deed-0.txt", scans / "same-as-0")
    with (scans / "sparse").open("wb") as stream:
        stream.seek(2**20)
        stream.write(b"after a hole")


def write_files(
    home: Path, source: PostgresServer | None = None, quarantine: PostgresServer | None = None
) -> Path:
    """`deposit.toml`, which is returned, plan and `agent.toml`, with paths relative to them.

    Without the servers they name one that is not there, as whoever unpacks the fixture finds them.
    """
    (home / "registers.toml").write_text(PLAN.format(**_NOBODY if source is None else _at(source)))
    server = "" if quarantine is None else SERVER.format(**_at(quarantine))
    (home / "deposit.toml").write_text(DEPOSIT + server)
    (home / "agent.toml").write_text(AGENT)
    for name in ("registers.toml", "deposit.toml", "agent.toml"):
        (home / name).chmod(0o600)
    return home / "deposit.toml"


def _at(server: PostgresServer) -> dict[str, object]:
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "passfile": server.passfile,
    }
