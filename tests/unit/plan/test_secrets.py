"""A secret in clear text is refused wherever it stands, and never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.plan import PlanHoldsSecret, load_plan
from tests.unit.plan.test_reading import FILES, SERVER, one, register

HIDDEN = "Hunter2Hunter2Hunter2"
COMMAND = 'kind = "command"\ncommand = [{}]\n'


def refused(tmp_path: Path, text: str) -> PlanHoldsSecret:
    """The refusal; it shows nothing of the secret."""
    file = tmp_path / "registers.toml"
    file.write_text(text)
    with pytest.raises(PlanHoldsSecret) as caught:
        load_plan(file)
    said = f"{caught.value.message} {caught.value.hint}"
    assert HIDDEN not in said
    assert caught.value.hint is not None
    assert "password_file" in caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "source",
    [
        SERVER.replace('"h"', f'"host=h password={HIDDEN}"'),
        SERVER.replace('"h"', f'"postgresql://exclave:{HIDDEN}@db.example/land"'),
        SERVER.replace('["a", "b"]', f'["dbname=a password = {HIDDEN}"]'),
        COMMAND.format(f'"env", "PGPASSWORD={HIDDEN}", "pg_dump"'),
        COMMAND.format(f'"mongodump", "--password={HIDDEN}"'),
        COMMAND.format(f'"mongodump", "--password", "{HIDDEN}"'),
        COMMAND.format(f'"/usr/bin/mysqldump", "-p{HIDDEN}", "land"'),
        COMMAND.format(f'"sh", "-c", "MYSQL_PWD={HIDDEN} mysqldump land"'),
        COMMAND.format(f'"curl", "https://exclave:{HIDDEN}@archive.example/dump"'),
        COMMAND.format('"curl", "-H", "X-Key: AKIA' + "A" * 16 + '"'),
        COMMAND.format('"curl", "-H", "Authorization: Bearer ghp_' + "a" * 36 + '"'),
        COMMAND.format(f'"curl", "-H", "Authorization: Basic {HIDDEN}"'),
        COMMAND.format(f'"curl", "-u", "exclave:{HIDDEN}", "https://archive.example/dump"'),
        COMMAND.format(f'"expdp", "system/{HIDDEN}@registry"'),
        COMMAND.format('"curl", "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2ln"'),
        FILES + f"# password: {HIDDEN}\n",
        FILES + f"# postgresql://exclave:{HIDDEN}@db.example/land\n",
        SERVER.replace('"h"', '"\\u0070assword=' + HIDDEN + '"'),
    ],
)
def test_refused(tmp_path: Path, source: str) -> None:
    refused(tmp_path, register("land", one(source)))


def test_each_is_named_by_file_line_and_key(tmp_path: Path) -> None:
    text = register(
        "land",
        one(COMMAND.format(f'"pg_dump", "--dbname=postgresql://u:{HIDDEN}@h/d"')),
        more=f'runbook = "token={HIDDEN}"\n',
    )
    text += f'[[register.assertion]]\nname = "x"\nsql = "SELECT password = \'{HIDDEN}\'"\n'
    text += f"# secret={HIDDEN}\n"
    places = {
        "8: register[0].runbook": "a password",
        "11: register[0].source.command[1]": "a connection URL with a password",
        "14: register[0].assertion[0].sql": "a password",
        "15: comment": "a password",
    }
    assert refused(tmp_path, text).errors == tuple(
        f"{tmp_path}/registers.toml:{place}: expected no secret in clear text, got {what}"
        for place, what in places.items()
    )


@pytest.mark.parametrize(
    "text",
    [
        register("land", one(SERVER + 'password_file = "secrets/pgpass"\n')),
        register("land", one(FILES)).replace('"T"', '"Tokens and passwords: the register"'),
        register("land", one(COMMAND.format('"pg_dump", "--no-password", "land"'))),
        register("land", one(COMMAND.format('"mysqldump", "--defaults-file=my.cnf", "land"'))),
        register("land", one(COMMAND.format('"fetch", "-u", "exclave", "land/dump@home"'))),
        register("land", one(COMMAND.format('"curl", "-u", "$USER:$WORD", "https://h/d"'))),
        register("land", one(COMMAND.format('"sh", "-c", "PGPASSWORD=$LAND pg_dump land"'))),
        register("land", one(SERVER))
        + '[[register.assertion]]\nname = "x"\nsql = "SELECT 0 FROM u WHERE password = \'\'"\n',
    ],
)
def test_not_mistaken(tmp_path: Path, text: str) -> None:
    """What only speaks of secrets, or says where they lie."""
    file = tmp_path / "registers.toml"
    file.write_text(text)
    assert load_plan(file).registers
