"""Which modules a command loads: start-up is mostly imports, and a list of them does not flicker.

Each command runs in a process of its own. What it must not load is what took part of its start-up
before, or would: a name here stands for the module and all below it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave.cli.app import COMMANDS
from exclave.cli.tree import command_tree
from tests.support.embassy import Embassy, found_embassy

_NOWHERE = (
    "exclave.demo", "exclave.drill", "exclave.toml_lines", "hypothesis", "jsonschema", "numpy.ma",
    "pydantic", "uvloop",
)  # fmt: skip
"""Not even where something is deposited or restored."""
_NETWORK = ("aiohttp", "http.client", "exclave.vault.client.client", "exclave.vault.server.server")
_DATABASES = ("psycopg", "exclave.source.postgresql", "exclave.source.sqlite")
_BULK = ("blake3", "numpy", "pyfastcdc", "zstandard", "exclave.archive.chunker")
_LAW = ("exclave.standing", "exclave.vault.mission.mission", "exclave.vault.survey.survey")
_READING = ("exclave.reconstruct", "shamir_mnemonic")
_DRAWING = ("rich.console", "rich.progress")
_LINE = ("attrs", "cyclopts", "dataclasses", "docstring_parser", "inspect", "rich")
"""What takes half of a quick command's start: a library for its line, and one for its values."""
_ALL = (*_NETWORK, *_DATABASES, *_BULK, *_LAW, *_READING)
_OURS = (
    "exclave.authority", "exclave.sealing", "exclave.wiring", "apsw", "asyncio", "cryptography",
    "email", "subprocess", "tempfile",
)  # fmt: skip
_RUN = (
    "import json, sys; from exclave.cli import main; code = main(sys.argv[1:]); "
    "sys.stdout.flush(); print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
)


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    """One vault, served; it has one deposit."""
    with found_embassy(tmp_path_factory.mktemp("start-up"), n=1, k=1) as made:
        made.write_registers(mib=0.1)
        made.registers.pop()  # the folder is enough
        made.write_config()
        assert loads("deposit", "--config", str(config_of(made)))
        yield made


@pytest.fixture
def at_hand(embassy: Embassy, tmp_path: Path) -> Iterator[Path]:
    """A configuration under which nobody serves the vault: its rules run in the command."""
    embassy.stop_vault(1)
    config = tmp_path / "deposit.toml"
    place = f'\n[[seat]]\nseat = 1\nfolder = "{embassy.vault_folder(1)}"\n'
    config.write_text(config_of(embassy).read_text() + place)
    yield config
    embassy.start_vault(1)


def config_of(embassy: Embassy) -> Path:
    return embassy.home / "deposit.toml"


def loads(*words: str) -> list[str]:
    """The modules that a command loaded, which ended well."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words], capture_output=True, text=True, check=False
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr[-2000:]
    return [str(name) for name in modules]


def found_of(loaded: list[str], names: tuple[str, ...]) -> list[str]:
    """Which of these were loaded."""
    return [name for name in names if any(f"{m}.".startswith(f"{name}.") for m in loaded)]


def commands_of(loaded: list[str]) -> set[str]:
    """The modules of commands that were loaded."""
    parts = {place.partition(":")[0] for place, _ in COMMANDS.values()}
    return {part for part in parts if f"exclave.cli.{part}" in loaded}


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_the_list_of_commands_imports_none(words: tuple[str, ...]) -> None:
    loaded = loads(*words)
    assert found_of(loaded, (*_NOWHERE, *_ALL, *_OURS)) == []
    assert commands_of(loaded) == set()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("deposit", "--help"), "deposit"),
        (("--quiet", "sign", "--help"), "official"),
        (("vault", "serve", "--help"), "vault"),
        (("reconstruct", "--help"), "reconstruct"),
    ],
)
def test_a_command_explains_itself_alone(words: tuple[str, ...], part: str) -> None:
    loaded = loads(*words)
    assert found_of(loaded, (*_NOWHERE, *_ALL, *_OURS)) == []
    assert commands_of(loaded) == {part}


@pytest.mark.parametrize(
    ("words", "keys"), [(("deposits",), ("cryptography",)), (("show", "latest"), ())]
)
def test_looking_at_the_catalogue(
    embassy: Embassy, words: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    """Only where a record is read, keys are."""
    loaded = loads(*words, "--config", str(config_of(embassy)))
    unneeded = ("apsw", "asyncio", "exclave.journal.store", "exclave.deposit.run", *keys)
    assert found_of(loaded, (*_NOWHERE, *_ALL, *_DRAWING, *_LINE, *unneeded)) == []
    assert commands_of(loaded) == {"deposit"}


def test_looking_at_home(embassy: Embassy) -> None:
    loaded = loads("status", "--offline", "--config", str(config_of(embassy)))
    unneeded = (
        "_strptime", "asyncio", "cryptography.x509", "ctypes", "exclave.deposit.dispatch",
        "exclave.certificate", "exclave.deposit.run", "exclave.dispersal", "exclave.evidence",
        "exclave.exposition", "exclave.limits", "exclave.sealing.pack", "exclave.signals",
        "shutil", "socket", "tempfile",
    )  # fmt: skip
    assert found_of(loaded, (*_NOWHERE, *_ALL, *_DRAWING, *_LINE, *unneeded)) == []


def test_figures(embassy: Embassy) -> None:
    loaded = loads("metrics", "--offline", "--config", str(config_of(embassy)))
    unneeded = (
        "asyncio",
        "exclave.deposit.run",
        "exclave.own_process",
        "exclave.signals",
        "socket",
    )
    assert found_of(loaded, (*_NOWHERE, *_ALL, *_DRAWING, *unneeded)) == []


def test_asking_how_vaults_stand(embassy: Embassy) -> None:
    loaded = loads("status", "--config", str(config_of(embassy)))
    unneeded = (
        "aiohttp", "asyncio", "concurrent.futures", "cryptography.x509", "exclave.deposit.dispatch",
        "exclave.deposit.run", "exclave.ledger", "exclave.vault.client.client", "getpass",
        "logging", "shutil", "tempfile",
    )  # fmt: skip
    left_out = (*_DATABASES, *_BULK, *_LAW, *_READING, *_DRAWING, *_LINE, *unneeded)
    assert found_of(loaded, (*_NOWHERE, *left_out)) == []


def test_asking_how_a_vault_at_hand_stands(at_hand: Path) -> None:
    loaded = loads("status", "--config", str(at_hand))
    unneeded = ("exclave.deposit.dispatch", "exclave.deposit.run", "exclave.vault.survey.survey")
    assert (
        found_of(
            loaded, (*_NOWHERE, *_NETWORK, *_DATABASES, *_BULK, *_READING, *_DRAWING, *unneeded)
        )
        == []
    )


def test_depositing_over_the_line(embassy: Embassy) -> None:
    loaded = loads("deposit", "--config", str(config_of(embassy)))
    left_out = (*_DATABASES, *_LAW, *_READING, *_DRAWING, "cyclopts", "exclave.vault.server.server")
    assert found_of(loaded, (*_NOWHERE, *left_out)) == []


def test_depositing_into_a_folder(at_hand: Path) -> None:
    loaded = loads("deposit", "--config", str(at_hand))
    unneeded = ("cyclopts", "exclave.vault.survey.survey")
    left_out = (*_NETWORK, *_DATABASES, *_READING, *_DRAWING, *unneeded)
    assert found_of(loaded, (*_NOWHERE, *left_out)) == []


def test_a_vault_that_nobody_serves(at_hand: Path, embassy: Embassy) -> None:
    del at_hand
    loaded = loads("vault", "status", str(embassy.vault_folder(1)))
    left_out = (*_NETWORK, *_DATABASES, *_BULK, *_READING, *_DRAWING, "exclave.deposit")
    assert found_of(loaded, (*_NOWHERE, *left_out)) == []


def test_asking_what_stands(embassy: Embassy) -> None:
    card = embassy.folder / "cards" / "card-2-1.txt"
    loaded = loads("standing", "--card", str(card))
    unneeded = ("cyclopts", "exclave.deposit.run", "exclave.reconstruct.run", "exclave.source")
    assert found_of(loaded, (*_NOWHERE, *_DATABASES, *_BULK, *_DRAWING, *unneeded)) == []


def test_what_the_list_says_is_what_each_command_says_first() -> None:
    """The list has its lines from the table, the command from itself."""
    tree = command_tree()
    names = [name for name in tree if name not in (*tree.help_flags, *tree.version_flags)]
    assert names == list(COMMANDS)
    for name, (_, summary) in COMMANDS.items():
        # Asked for by name it says all that it says of itself, and nothing of the table.
        whole = command_tree([name])[name].help
        assert " ".join(whole.partition("\n\n")[0].split()) == summary, name
