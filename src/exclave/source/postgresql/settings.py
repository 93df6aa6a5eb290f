"""SQL for what pg_dump says only together with CREATE DATABASE: settings and rights.

Rules
- Names and values are quoted here, never by string formatting elsewhere.
- Settings that are lists of names keep their form: each element is quoted by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from exclave.source.postgresql.connect import Connection, identifier

__all__ = ["database_settings", "literal"]

# Those that GUC_LIST_QUOTE marks in the server's sources (variable_is_guc_list_quote).
_LISTS: Final = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_PRIVILEGES: Final = frozenset({"CREATE", "CONNECT", "TEMPORARY"})
_ELEMENT: Final = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,\s"]+))\s*(?:,|$)')

_SETTINGS: Final = b"""
SELECT CASE WHEN s.setrole = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(s.setrole) END,
  pg_catalog.unnest(s.setconfig)
FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
WHERE d.datname = pg_catalog.current_database() ORDER BY 1, 2
"""
_RIGHTS: Final = b"""
SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
  a.privilege_type, a.is_grantable
FROM pg_catalog.pg_database d, LATERAL pg_catalog.aclexplode(d.datacl) a
WHERE d.datname = pg_catalog.current_database() ORDER BY 1, 2
"""
_LIMITS: Final = b"""
SELECT datconnlimit, pg_catalog.pg_get_userbyid(datdba), datacl IS NOT NULL
FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
"""


def database_settings(session: Connection, database: str) -> bytes:
    """Statements, one a line group, to run after the database was created."""
    return "".join(f"{line};\n" for line in _statements(session, identifier(database))).encode()


def _statements(session: Connection, name: str) -> Iterator[str]:
    row = session.execute(_LIMITS).fetchone()
    assert row is not None
    limit, owner, has_rights = row
    if int(limit) >= 0:
        yield f"ALTER DATABASE {name} CONNECTION LIMIT {int(limit)}"
    for role, setting in session.execute(_SETTINGS).fetchall():
        key, _, value = str(setting).partition("=")
        who = f"ROLE {identifier(str(role))} IN DATABASE {name}" if role else f"DATABASE {name}"
        yield f"ALTER {who} SET {_parameter(key)} TO {_value(key, value)}"
    if not has_rights:
        return
    yield f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"
    yield f"REVOKE ALL ON DATABASE {name} FROM {identifier(str(owner))}"
    for grantee, privilege, grantable in session.execute(_RIGHTS).fetchall():
        if privilege not in _PRIVILEGES:
            continue  # a privilege of a newer server than these statements are made for
        to = identifier(str(grantee)) if grantee else "PUBLIC"
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"GRANT {privilege} ON DATABASE {name} TO {to}{option}"


def _parameter(key: str) -> str:
    return ".".join(identifier(part) for part in key.split("."))


def _value(key: str, value: str) -> str:
    if key.lower() not in _LISTS:
        return literal(value)
    elements = [
        match[1].replace('""', '"') if match[1] is not None else match[2]
        for match in _ELEMENT.finditer(value)
    ]
    return ", ".join(map(literal, elements)) or "''"


def literal(text: str) -> str:
    """A quoted string, safe whatever standard_conforming_strings is."""
    quoted = text.replace("'", "''")
    if "\\" in quoted:
        escaped = quoted.replace("\\", "\\\\")
        return f" E'{escaped}'"
    return f"'{quoted}'"
