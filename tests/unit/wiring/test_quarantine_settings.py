"""`[quarantine]` of deposit.toml: what it says becomes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave.errors import ConfigurationError
from exclave.proof.task import OwnServer
from exclave.quarantine.note import QuarantineServer
from exclave.wiring.proofs import QuarantineMissing, prover_of
from exclave.wiring.settings import DepositSettings, load_deposit_settings

_HOME = """
depositor = "d"
plan = "p"
journal = "j"
catalogue = "c"
spool = "s"
spool_limit = "1GiB"
scratch = "t"
"""
_QUARANTINE = '[quarantine]\npath = "q"\n'


def _load(folder: Path, more: str) -> DepositSettings:
    file = folder / "deposit.toml"
    file.write_text(_HOME + more)
    return load_deposit_settings(file)


def test_a_folder_alone(tmp_path: Path) -> None:
    prover = prover_of(_load(tmp_path, _QUARANTINE))
    assert prover.quarantine == tmp_path / "q"
    assert prover.server is None


def test_a_server(tmp_path: Path) -> None:
    more = '[quarantine.postgresql]\nhost = "/run"\nuser = "u"\npassword_file = "pass"\n'
    server = prover_of(_load(tmp_path, _QUARANTINE + more)).server
    assert isinstance(server, QuarantineServer)
    assert server.password_file == str(tmp_path / "pass")


def test_programs_of_which_a_server_is_made(tmp_path: Path) -> None:
    more = '[quarantine.postgresql]\nbin_dir = "/usr/lib/postgresql/16/bin"\n'
    server = prover_of(_load(tmp_path, _QUARANTINE + more)).server
    assert server == OwnServer(bin_dir="/usr/lib/postgresql/16/bin")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("port = 5433", "expected a host, or bin_dir to make a server of, got neither"),
        ('host = "/run"', "expected a user of that server, got none"),
    ],
)
def test_a_server_that_is_none(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        _load(tmp_path, f"{_QUARANTINE}[quarantine.postgresql]\n{more}\n")


def test_none_at_all(tmp_path: Path) -> None:
    with pytest.raises(QuarantineMissing):
        prover_of(_load(tmp_path, ""))
