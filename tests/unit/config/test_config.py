"""Errors of a TOML file: all at once, each with file, line and key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from exclave.config import ConfigurationInvalid, ConfigurationUnreadable, load_toml, parse_toml
from exclave.shapes import Length


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disk:
    kind: Literal["disk"]
    path: str
    secret: Annotated[str, Length(least=30)] = "x" * 30


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tape:
    kind: Literal["tape"]
    drive: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    name: str
    ports: tuple[int, ...] = ()
    store: _Disk | _Tape


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    title: str
    site: tuple[_Site, ...]


GOOD = b"""\
title = "x # not a comment"
[[site]]
name = "one"
ports = [
  1, # one
  2,
]
[site.store]
kind = "disk"
path = '''
[not.a.table]
name = 3
'''
[[site]]
"name" = "two"
store = { kind = "tape", drive = 4 }
"""


def _errors(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_toml(text.encode(), _File, name="f.toml")
    assert caught.value.message == "\n".join(caught.value.errors)
    return caught.value.errors


def test_a_good_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(GOOD)
    assert load_toml(path, _File).site[1].store == _Tape(kind="tape", drive=4)


def test_all_errors_come_at_once_with_their_lines() -> None:
    text = GOOD.decode().replace('name = "one"', "name = 1").replace("drive = 4", 'drive = "4"')
    text = text.replace("  2,\n", "  'two',\n").replace("title =", "titel =")
    assert _errors(text) == (
        "f.toml:1: titel: expected no such key, got one",
        "f.toml:1: title: expected a value, got nothing",
        "f.toml:3: site[0].name: expected a valid string, got 1",
        "f.toml:4: site[0].ports[1]: expected a valid integer, got a string",
        "f.toml:16: site[1].store.drive: expected a valid integer, got a string",
    )


def test_a_mistyped_key_is_guessed() -> None:
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_toml(b"titel = 'x'\nsite = []\n", _File, name="f")
    assert caught.value.hint == "did you mean title for titel"


def test_a_wrong_choice_is_shown_and_a_secret_is_not() -> None:
    text = GOOD.decode().replace('kind = "disk"', 'kind = "dsik"')
    assert "dsik" in _errors(text)[0]
    text = GOOD.decode().replace('kind = "disk"', 'kind = "disk"\nsecret = "hunter2"')
    assert "hunter2" not in _errors(text)[0]


def test_what_lies_in_long_strings_is_no_key() -> None:
    text = GOOD.decode().replace('kind = "disk"', 'kind = "disk"\nsecret = 3')
    assert _errors(text) == ("f.toml:10: site[0].store.secret: expected a valid string, got 3",)
    text = GOOD.decode() + '[[site]]\nname = 5\nstore = { kind = "tape", drive = 4 }\n'
    assert _errors(text) == ("f.toml:18: site[2].name: expected a valid string, got 5",)


def test_broken_toml_names_the_line() -> None:
    with pytest.raises(ConfigurationUnreadable, match="line 2"):
        parse_toml(b"a = 1\nb =\n", _File, name="f.toml")
    with pytest.raises(ConfigurationUnreadable, match="UTF-8"):
        parse_toml(b"a = '\xff'", _File, name="f.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationUnreadable, match=r"none\.toml"):
        load_toml(tmp_path / "none.toml", _File)
