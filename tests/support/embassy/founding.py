"""The founding of a mission, small and quick."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from exclave import clock
from exclave.authority.envelope import parse_envelope
from exclave.demo.founding import OFFICIALS, founding_toml
from exclave.found.cards import UnsafeFolderOutlet
from exclave.found.ceremony import found
from exclave.found.plan import load_founding_plan
from exclave.ids import Seat
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import load_key_file, public_keys_bytes, write_once
from exclave.signer.parties import new_official_key
from exclave.vault.installation.install import VaultFolder, enrol
from exclave.vault.line.identity import load_identity
from tests.support.embassy.mission import Embassy
from tests.support.embassy.processes import free_ports
from tests.support.embassy.vault import TestVault, host_of, vault_of

DAILY = 2**40


@contextmanager
def found_embassy(
    folder: Path,
    *,
    n: int = 3,
    k: int = 2,
    h: int | None = None,
    delay: int = 0,
    processes: bool = False,
    safes: Sequence[int] = (),
    whole_bags: bool = False,
) -> Iterator[Embassy]:
    """Found a mission and serve its vaults; everything is stopped at the end."""
    ports = free_ports(2 * n)
    vaults = {
        Seat(i): vault_of(folder, host_of(i, safe=i in safes), ports[2 * i - 2 : 2 * i])
        for i in range(1, n + 1)
    }
    with found_at(folder, vaults, k=k, h=h, delay=delay, whole_bags=whole_bags) as embassy:
        embassy.processes = processes
        for seat, vault in vaults.items():
            if not vault.host.safe:
                embassy.start_vault(seat)
        yield embassy


@contextmanager
def found_at(
    folder: Path,
    vaults: dict[Seat, TestVault],
    *,
    k: int,
    h: int | None = None,
    delay: int = 0,
    whole_bags: bool = False,
) -> Iterator[Embassy]:
    """Found a mission at these vaults, also at those of another one, and serve none of them."""
    officials = {person.label: new_official_key(os.urandom) for person in OFFICIALS}
    embassy = _found(
        folder,
        vaults,
        officials,
        k=k,
        h=k if h is None else h,
        delay=delay,
        whole_bags=whole_bags,
    )
    try:
        yield embassy
    finally:
        embassy.close()


def _found(
    folder: Path,
    vaults: dict[Seat, TestVault],
    officials: Mapping[str, KeyBundle],
    *,
    k: int,
    h: int,
    delay: int,
    whole_bags: bool,
) -> Embassy:
    desk = folder / "founding"
    for name in ("officials", "requests"):
        (desk / name).mkdir(parents=True, exist_ok=True)
    for vault in vaults.values():
        if not vault.place.path.exists():
            vault.create()
        shutil.copy(vault.place.request, desk / "requests" / f"{vault.host.vault}.json")
    for label, bundle in officials.items():
        write_once(desk / "officials" / f"{label}.key.pub", public_keys_bytes(bundle))
    text = founding_toml(
        delay=delay,
        officials=desk / "officials",
        requests=desk / "requests",
        daily=DAILY,
        hosts=[vault.host for vault in vaults.values()],
        k=k,
        h=h,
    )
    if whole_bags:
        text = text.replace("whole_deposit_bags = false", "whole_deposit_bags = true")
    (desk / "founding.toml").write_text(text, encoding="utf-8")
    govern = ("chancellor", "minister", "registrar")
    founded = found(
        load_founding_plan(desk / "founding.toml"),
        folder=desk,
        out=desk / "mission",
        outlet=UnsafeFolderOutlet(folder / "cards"),
        signers=[signer for label in govern for signer in officials[label].signers],
        now=clock.now(),
        random=os.urandom,
    )
    for vault in vaults.values():
        data = (desk / "mission" / "enrolments" / f"{vault.host.vault}.json").read_bytes()
        log, seat = vault.keys.public[:2]
        installed = VaultFolder.open(vault.folder)
        enrol(installed, data, log_key=log, seat_key=seat, seat=vault.place)
    home = folder / "home"
    shutil.copytree(desk / "mission" / "depositors" / "home", home / "keys")
    return Embassy(
        folder=folder,
        charter=founded.charter,
        envelope=parse_envelope((desk / "mission" / "charter.json").read_bytes()),
        officials=officials,
        vaults=vaults,
        depositor=load_key_file(home / "keys" / "keys.json"),
        depositor_identity=load_identity(home / "keys" / "identity.pem"),
        delay=delay,
        processes=False,
    )
