"""The demonstration's agreements: each receiving state makes a key, vouches, and signs with home.

One file for each seat, signed by a quorum at home and then by the host's state, handed in by the
latter: from then on that vault takes deposits.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from exclave.demo.founding import OFFICIALS, Host
from exclave.demo.mission import PASSPHRASE, QUICK_SCRYPT, Home, HostedVault, keys_of
from exclave.demo.narration import Narrator
from exclave.demo.stage import Stage
from exclave.signer.file import public_keys_bytes, save_key_file, write_once
from exclave.signer.parties import new_state_key

__all__ = ["agree", "make_state_key", "vouch"]

_KEY: Final = "state.key"
_TERMS: Final = """\
state = "{state}"
key = "{key}.pub"
seats = [{seat}]
capacity = {capacity}
retention_days = 30
notice = "30d"
treaty = "treaty.txt"
begins = "2026-01-01"
maintenance = ["enter", "power", "update-software"]
[delays]
govern = "0s"
read = "0s"
release = "0s"
exile_change = "0s"
[witness]
seats = [1, 2, 3]
freshness = "1h"
"""
_TREATY: Final = "Article 1. The premises of the data embassy are inviolable.\n"
_CAPACITY: Final = 64 * 2**30


def make_state_key(folder: Path, host: Host) -> Path:
    """A receiving state's key file in that folder; returns its public part."""
    passphrase = secrets.token_urlsafe(24).encode()
    write_once(folder / PASSPHRASE, passphrase + b"\n")
    bundle = new_state_key(host.state, os.urandom)
    key = folder / _KEY
    save_key_file(key, bundle, passphrase=passphrase, random=os.urandom, n=QUICK_SCRYPT)
    public = folder / f"{_KEY}.pub"
    write_once(public, public_keys_bytes(bundle))
    return public


def vouch(stage: Stage, vaults: Sequence[HostedVault]) -> None:
    """Each state signs the seat request of its vault."""

    def one(vault: HostedVault) -> None:
        request = vault.folder / "seat-request.json"
        stage.run("agreement", "vouch", request, "--yes", *_state_words(vault))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, vaults))


def agree(stage: Stage, narrator: Narrator, home: Home, vaults: Sequence[HostedVault]) -> None:
    """Both states sign what they agree on, seat by seat."""
    (home.desk / "treaty.txt").write_text(_TREATY, encoding="utf-8")

    def one(vault: HostedVault) -> None:
        seat, key = vault.host.seat, vault.folder.parent / _KEY
        terms = home.desk / f"agreement-{seat}.toml"
        text = _TERMS.format(state=vault.host.state, key=key, seat=seat, capacity=_CAPACITY)
        terms.write_text(text, encoding="utf-8")
        file = home.desk / f"agreement-{seat}.json"
        stage.run(
            *("agreement", "propose", terms, "--charter", home.charter, "--out", file, "--yes"),
            *("--reason", "for the demonstration", *keys_of(stage, OFFICIALS[:3])),
        )
        stage.run(
            *("agreement", "accept", file, "--charter", home.charter, "--send", "--yes"),
            *_state_words(vault),
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, vaults))
    states = ", ".join(vault.host.state for vault in vaults)
    narrator.say(f"three agreements are signed by home and by {states}: vaults take deposits")


def _state_words(vault: HostedVault) -> tuple[str | Path, ...]:
    folder = vault.folder.parent
    return ("--key", folder / _KEY, "--passphrase-file", folder / PASSPHRASE)
