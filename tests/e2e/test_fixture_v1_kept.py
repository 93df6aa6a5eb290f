"""Everything else in the frozen fixture is read, verified and gone on from by today's program.

`test_fixture_v1.py` brings registers back; here are logs, orders, bags, certificates, keys and all
that a machine keeps between two runs. When a test fails, a format was broken.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from exclave.agent.memory import parse_memory
from exclave.agent.state import Result
from exclave.authority.annex import parse_annex, verify_annex
from exclave.authority.card import parse_card
from exclave.authority.custody import Act
from exclave.authority.detached import join_signatures, parse_detached
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.warrant import verify_warrant
from exclave.carried.printed import join_parts
from exclave.certificate.receipts import verify_seat_receipt
from exclave.deposit.catalogue import Catalogue
from exclave.dispersal.sealed_shard import parse_sealed_shard, unseal_shard
from exclave.found.cards import open_sealed_card
from exclave.ids import Seat, ShardRoot
from exclave.journal.store import Journal
from exclave.ledger.entry import EntryType
from exclave.monitor.memory import parse_memory as parse_watch
from exclave.sealing.secret import unseal_annex
from exclave.signals.memory import parse_book
from exclave.signer.file import decode_key_file, load_key_file, parse_public_keys
from exclave.standing.agreed import in_effect
from exclave.vault.survey.survey import SeatView
from exclave.wiring.bag_watch import kept_papers
from exclave.wiring.confirmations import parse_confirmation
from exclave.wiring.depositor import open_home
from tests.scripts.conftest import PASSPHRASE, call, free_ports, must
from tests.support.agents import NotifySocket
from tests.support.embassy import write_sqlite
from tests.support.fixture_v1 import (
    CARDS,
    EXPECTED,
    MISSION,
    SEATS,
    cards,
    chain,
    charters,
    no_network,
    read,
    recovery,
    survey_folders,
    unpack,
    vaults,
)

ORDERS = {
    "veto", "lockdown", "hold", "extend", "compromise", "release", "lift", "narrow", "unlock",
    "agreement", "terminate", "grant", "declare",
}  # fmt: skip


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture, for those that only read."""
    return unpack(tmp_path_factory.mktemp("v1"))


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    """The fixture, for those that go on from it."""
    return unpack(tmp_path / "v1")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reached."""
    no_network(monkeypatch)


# Logs


def test_charters_annex_and_cards(kept: Path) -> None:
    law, key = chain(kept), recovery(kept)
    assert [charter.order for charter in law.charters] == [(1, 1), (1, 2), (2, 1)]
    assert key.public.key_hash.hex() == EXPECTED["recovery_key"]
    names = (kept / "annex.json").read_bytes()
    verify_annex(parse_annex(names), law.charters[0])
    assert unseal_annex(key, (kept / "annex.sealed").read_bytes()) == names
    for file, (group, member) in zip(cards(kept), CARDS, strict=True):
        card = parse_card(file.read_text())
        assert (card.mission, card.group, card.member) == (MISSION, group, member)
    warrant = parse_envelope((kept / "reading" / "warrant.json").read_bytes())
    assert verify_warrant(warrant, law.newest).mission == MISSION


def test_every_vault_agrees_on_everything_that_was_ordered(kept: Path) -> None:
    view = survey_folders(kept)
    assert [seat.verified for seat in view.seats] == [True] * len(SEATS)
    for seat in view.seats:
        assert seat.standing is not None
        assert seat.standing.in_force == chain(kept).newest.statement_hash
        assert not seat.standing.open_lockdowns
        agreed = in_effect(seat.standing, Seat(1))
        assert agreed is not None
        assert agreed.value.version == 2
    assert set.union(*(_kinds(kept, seat) for seat in view.seats)) >= ORDERS


def _kinds(kept: Path, seat: SeatView) -> set[str]:
    folder = kept / "vaults" / f"vault-{seat.seat}" / "missions" / MISSION.hex() / "bodies"
    kinds = set[str]()
    for file in folder.glob("*/*"):
        try:
            kinds.add(parse_envelope(file.read_bytes()).kind.value)
        except Exception:  # notes and the sealed annex
            continue
    return kinds


def test_logs_records_and_receipts(kept: Path) -> None:
    view = survey_folders(kept)
    deposits = {item.deposit.hex(): item for item in view.deposits}
    assert set(deposits) == set(EXPECTED["deposits"])
    lodged = [sorted(deposits[name].lodged) for name in EXPECTED["deposits"]]
    assert lodged == [[1, 2, 3], [1, 2, 3], [1, 2, 6]]
    assert [deposits[name].statement.hex() for name in EXPECTED["deposits"]] == EXPECTED["records"]
    law = chain(kept).charters
    found = {}
    for file in sorted((kept / "receipts").iterdir()):
        kind, number, _, seat = file.stem.split("-")
        receipt = verify_seat_receipt(file.read_bytes(), law)
        assert receipt.seat == Seat(int(seat))
        assert receipt.entry.type is EntryType.LODGED
        envelope = deposits[EXPECTED["deposits"][int(number) - 1]].envelope
        assert receipt.entry.hash == hashlib.sha256(envelope.to_bytes()).digest()
        found.setdefault(kind, set()).add(receipt.cosigned)
    for file in ("record-2-seat-2.txt", "cosigned-2-seat-1.txt"):
        read("verify-receipt", kept / "receipts" / file, *vaults(kept, 2))
    assert found["cosigned"] >= {True}
    assert False in found["record"]


# Bags, certificates, keys


def test_bags_open_with_the_reader_alone(kept: Path, tmp_path: Path) -> None:
    """Those of two safes with their keys; everything of the deposit that was rehearsed."""
    bags = kept / "bags"
    keys = [folder / "keys" / "vault.key" for folder in vaults(kept, 4, 5)]
    read("extract", "--cards", *cards(kept), "--seat-keys", *keys, "--out", tmp_path / "out",
         "--deposit", EXPECTED["reconstructed"], bags / "safes")  # fmt: skip
    got = {
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (tmp_path / "out").rglob("*")
        if file.is_file() and not file.is_symlink()
    }
    assert set(EXPECTED["files"].values()) <= got


def test_a_bag_is_lodged_and_its_papers_say_where_it_is(v1: Path) -> None:
    bags = v1 / "bags"
    tapes = sorted((bags / "tapes").glob("*.tape"))
    for place in ([bags / "safe-4"], [bags / "safes"], tapes):
        must("bag", "verify", *place)
    [bag] = must("bag", "list", bags / "tapes-papers", "--json").json["bags"]
    assert (bag["holder"], bag["troubles"]) == ("seat 3", [])
    kept = kept_papers(open_home(v1 / "home" / "deposit.toml")).papers
    assert [paper.custody.act for paper in kept if paper.custody.act is Act.SEALED] == [Act.SEALED]
    lodged = must("bag", "lodge", *vaults(v1, 3), *tapes, "--json").json
    assert set(lodged["records"].values()) == {"lodged"}


def test_certificates_are_verified_by_both_programs(kept: Path) -> None:
    law = charters(kept)
    evidence = kept / "home" / "state" / "evidence"
    files = [*sorted(evidence.glob("*Z-????????????????.json")), kept / "standing.json"]
    assert [file.name.split("-")[0] for file in files] == ["drill", "proof", "standing.json"]
    for file in files:
        warrant = file.with_name(file.name.removesuffix(".json") + ".warrant.json")
        beside = ["--warrant", warrant] if warrant.exists() else []
        named = [part for charter in law for part in ("--charter", charter)]
        must("verify-certificate", file, *named, *beside)
        read("verify-certificate", file, "--charters", *law, *beside)


def test_keys_cards_and_signatures_that_travel(kept: Path) -> None:
    place = kept / "keys"
    data = (place / "ambassador-a.key").read_bytes()
    person = decode_key_file(data, PASSPHRASE.encode)
    assert parse_public_keys((place / "ambassador-a.key.pub").read_bytes()).keys == person.public
    sealed = (place / "card-2-1.sealed").read_bytes()
    text = open_sealed_card(person.only("x-wing").xwing, sealed, MISSION)
    assert text == cards(kept)[0].read_text()
    assert join_parts((place / "card.lines").read_text().splitlines()) == text.encode()
    warrant = parse_envelope((kept / "reading" / "warrant.json").read_bytes())
    apart = parse_detached((place / "signatures.json").read_bytes())
    assert join_signatures(warrant, apart, person.public) == warrant
    state = load_key_file(place / "state.key")
    assert chain(kept).newest.seat(Seat(1)).agreement == bytes.fromhex(state.public[0].key_id)
    request = (place / "depositor" / "depositor-request.json").read_bytes()
    assert parse_envelope(request).kind is Kind.DEPOSITOR_REQUEST
    confirmed = kept / "home" / "state" / "cards" / "card-2-1.json"
    assert parse_confirmation(confirmed.read_bytes()).card[1:] == (2, 1)


# What goes on


def test_the_depositors_journal_and_catalogue(v1: Path) -> None:
    state, law = v1 / "home" / "state", chain(v1).newest
    keys = load_key_file(v1 / "home" / "keys" / "keys.json")
    epoch = law.current_epoch.epoch
    journal = Journal.open(state / "journal.db", mission=MISSION, depositor=keys.id, epoch=epoch)
    try:
        assert [row.sequence for row in journal.records()] == [3, 2, 1]
        late = {root.hex() for _, root in journal.late_shards(Seat(3))}
        live = journal.live_roots()
    finally:
        journal.close()
    catalogue = Catalogue(state / "catalogue")
    assert [entry.deposit.hex() for entry in catalogue.entries()] == EXPECTED["deposits"]
    assert live <= {pack.root for pack in catalogue.packs()}
    spooled = {file.name: file for file in (state / "spool" / "3").iterdir()}
    assert set(spooled) == late
    seat = load_key_file(v1 / "vaults" / "vault-3" / "keys" / "vault.key").keys[1].xwing
    for name, file in spooled.items():
        root = ShardRoot(bytes.fromhex(name))
        assert unseal_shard(parse_sealed_shard(file.read_bytes()), seat, root).root == root


def test_deposits_are_told_apart(v1: Path) -> None:
    said = must("diff", *EXPECTED["deposits"][:2], "-c", v1 / "home" / "deposit.toml", "--json")
    changed = {register["id"]: not register["same"] for register in said.json["registers"]}
    assert changed == {"scans": True, "gazette": False, "persons": False, "cadastre": False}


def test_home_deposits_again_into_the_vaults_at_hand(v1: Path) -> None:
    """What waited for the vault that was away comes to it, and a fourth deposit to all."""
    home = v1 / "home"
    with (home / "deposit.toml").open("a") as stream:
        for seat, folder in zip(SEATS, vaults(v1, *SEATS), strict=True):
            stream.write(f'\n[[seat]]\nseat = {seat}\nfolder = "{folder}"\n')
    write_sqlite(home / "registers" / "gazette.sqlite", rows=20, seed=9)
    made = must("deposit", "gazette", "-c", home / "deposit.toml", "--json").json
    assert (made["sequence"], made["lodged"]) == (4, list(SEATS))
    lodged = {item.deposit.hex(): sorted(item.lodged) for item in survey_folders(v1).deposits}
    assert lodged[EXPECTED["deposits"][2]] == list(SEATS)
    assert call("status", "-c", home / "deposit.toml").code in {0, 1}


def test_what_agent_monitor_and_alerts_remember(kept: Path) -> None:
    agent = kept / "home" / "state" / "agent"
    state = parse_memory((agent / "memory.json").read_bytes())
    assert state.jobs["registers"].result is Result.FAILED
    assert state.late.keys() == {Seat(3)}
    book = parse_book((agent / "alerts.json").read_bytes())
    assert set(book.entries) == {"logs:silent:3"}
    watched = parse_watch((agent / "watch" / "memory.json").read_bytes(), MISSION)
    assert set(watched.seats) >= {Seat(1), Seat(2), Seat(6)}
    shown = call("agent", "status", "--config", kept / "home" / "agent.toml")
    assert shown.code == 1
    assert "seat 3: silent" in shown.out


def test_the_agent_goes_on_from_its_memory(v1: Path, tmp_path: Path) -> None:
    config = v1 / "home" / "agent.toml"
    text = (
        config.read_text()
        .replace("*-*-* 01:00 UTC", "2199-01-01")
        .replace("*:0/15 UTC", "2199-01-01")
    )
    config.write_text(text)
    memory = v1 / "home" / "state" / "agent" / "memory.json"
    before = parse_memory(memory.read_bytes())
    with NotifySocket(tmp_path) as notify:
        process = subprocess.Popen(
            [sys.executable, "-m", "exclave", "agent", "run", "--config", str(config)],
            env={**os.environ, **notify.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        notify.wait_for("READY")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    after = parse_memory(memory.read_bytes())
    assert after.jobs["registers"].good == before.jobs["registers"].good
    assert after.jobs["logs"].result is Result.LOST


@pytest.mark.parametrize("seat", [1, 6])
def test_a_host_opens_its_vault(v1: Path, seat: int) -> None:
    """The folder is checked, its index made from the objects, its state shown."""
    [vault] = vaults(v1, seat)
    reports = must("vault", "fsck", vault, "--rebuild", "--json").json["missions"]
    assert [report["bad"] for report in reports] == [[]] * len(reports)
    shown = _shown(vault)
    assert set(shown) == ({MISSION.hex(), EXPECTED["guest"]} if seat == 1 else {MISSION.hex()})
    assert shown[MISSION.hex()]["records"]["lodged"] == {1: 3, 6: 1}[seat]
    # A seat for another guest makes it a folder of the second format, with the first one's mission.
    must("vault", "seat", vault, "another", "--data", "127.9.9.9:1", "--public", "127.9.9.9:2")
    assert (vault / "VAULT").read_bytes() == b"exclave vault v2\n"
    again = _shown(vault)
    assert {m: again[m]["records"] for m in shown} == {m: shown[m]["records"] for m in shown}


def _shown(vault: Path) -> Mapping[str, dict[str, object]]:
    missions = call("vault", "status", vault, "--json").json["missions"]
    return {mission["mission"]: mission for mission in missions}


def test_todays_server_takes_the_folder(v1: Path) -> None:
    """The hub's, with both guests' seats."""
    [vault] = vaults(v1, 1)
    for file in (vault / "vault.toml", vault / "seats" / "guest" / "seat.toml"):
        data, public = free_ports(2)
        file.write_text(f'data = "127.0.0.1:{data}"\npublic = "127.0.0.1:{public}"\n')
    server = subprocess.Popen(
        [sys.executable, "-m", "exclave", "vault", "serve", str(vault)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert "ready" in json.loads(server.stdout.readline())
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert server.returncode == 0


def test_the_host_verifies_a_receipt(kept: Path) -> None:
    receipt = kept / "receipts" / "record-1-seat-2.txt"
    ran = call("verify-receipt", receipt, "--charter", charters(kept)[0])
    assert ran.out.startswith("valid: seat 2 logged a lodged entry"), ran
