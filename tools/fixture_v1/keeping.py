"""What else is kept of the fixture's mission: bags, papers, certificates, memories, keys, cards."""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Final
from unittest.mock import patch

import apsw

from exclave import clock
from exclave.agent.memory import memory_bytes
from exclave.agent.state import AgentState, JobState, Result
from exclave.authority.card import parse_card
from exclave.authority.detached import detach
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.carried.printed import split_parts
from exclave.found.cards import SealedOutlet
from exclave.found.depositor import new_depositor_bundle
from exclave.ids import Seat
from exclave.ledger.entry import EntryType
from exclave.postgres_server.server import PostgresServer
from exclave.signals.alerter import Alerter, inline
from exclave.signals.cause import Cause
from exclave.signer.file import PublicKeys, public_keys_bytes, save_key_file
from tests.scripts.conftest import PASSPHRASE, QUICK_SCRYPT, call, must
from tests.support.embassy import Embassy
from tools.fixture_v1.law import HostVault, hand_in

__all__ = ["carry", "copy_vaults", "drill", "keep_keys", "receipts", "remember"]

CARDS: Final = ((2, 1), (2, 2), (3, 1), (3, 2))


def drill(embassy: Embassy, reading: Path, config: Path, server: PostgresServer) -> None:
    """Rehearse a reading, with the cards."""
    targets = reading.parent / "drill-targets.toml"
    targets.write_text(
        f'[default.postgresql]\nkind = "postgresql"\nhost = "{server.host}"\nport = {server.port}\n'
        f'user = "{server.user}"\npassword_file = "{server.passfile}"\n'
    )
    folder = embassy.folder / "cards"
    cards = [part for g, m in CARDS for part in ("--card", folder / f"card-{g}-{m}.txt")]
    answer = reading / "answer.json"
    must("unseal", reading / "unseal-request.json", *cards, "--out", answer, "--yes")
    must("drill", reading, "--answer", answer, "-c", config, "--targets", targets)


def carry(embassy: Embassy, place: Path, config: Path) -> None:
    """A bag for a safe in a folder, one for the vault that was away on tapes, one of two safes.

    The tapes' papers go the whole way to the vault, and stand in the logs; the bag itself is not
    lodged, so that a test may.
    """
    keys, key = embassy.home / "keys" / "keys.json", embassy.vault_folder(3) / "keys" / "vault.key"
    tapes = [place / "tapes" / f"{number}.tape" for number in (1, 2, 3, 4)]
    tapes[0].parent.mkdir(parents=True)
    # The kit of a test's vault, not the whole one: specification and vectors are not frozen here.
    with patch("exclave.wiring.bags.find_kit", lambda: embassy.folder / "vaults" / ".kit"):
        for name, *words in (
            ("safe-4", "--seat", 4, "--folder", place / "safe-4"),
            ("tapes", "--seat", 3, "--volumes", *tapes, "--capacity", "512KiB"),
            ("safes", "--seat", 4, "--further", 5, "--folder", place / "safes"),
        ):
            must("bag", "pack", "-c", config, *words, "--papers", place / f"{name}-papers")
    papers = place / "tapes-papers"
    must("bag", "seal", papers, "--key", keys, "--marks", "lead 4711")
    must("bag", "hand-over", papers, "--key", keys, "--to", "seat 3")
    must("bag", "receive", papers, "--key", key, "--marks", "lead 4711")
    must("bag", "verify", *[tape for tape in tapes if tape.exists()], "--papers", papers,
         "--key", key)  # fmt: skip
    for paper in sorted(papers.glob("[0-9][0-9]-*.json")):
        hand_in(embassy, parse_envelope(paper.read_bytes()))


def remember(embassy: Embassy) -> None:
    """Memories of agent, alerts and monitor, with something in each field; a confirmed card."""
    agent = embassy.home / "state" / "agent"
    agent.mkdir(mode=0o700)
    now = clock.now().replace(microsecond=0)
    cause = Cause(key="logs:silent:3", severity="critical", summary="seat 3: silent", hint="ask")
    ran = JobState(
        done=now,
        fired=(now - timedelta(days=1), now),
        failures=2,
        retry=now + timedelta(minutes=2),
        started=now,
        ended=now,
        result=Result.FAILED,
        said="no vault answers",
        good=now - timedelta(days=1),
        causes=(cause,),
    )
    state = AgentState(
        seen=now,
        back=now - timedelta(days=2),
        jobs={"registers": ran, "logs": JobState(done=now, running=now)},
        captured={"scans": now, "gazette": now},
        late={Seat(3): now},
    )
    (agent / "memory.json").write_bytes(memory_bytes(state))
    (agent / "memory.json").chmod(0o600)
    told = Alerter(
        [],
        memory=agent / "alerts.json",
        source="a fixture",
        remind_after=timedelta(days=1),
        run=inline,
    )
    told.tell([cause], now)
    charter = embassy.home / "keys" / "charter.json"
    looked = call("monitor", "--charter", charter, "--state", agent / "watch")
    assert looked.code in {0, 1, 2}, looked  # a vault was away, and it says so
    checked = call("check", "-c", embassy.home / "deposit.toml")  # reads papers in the logs
    assert list((embassy.home / "state" / "papers").iterdir()), checked
    card = embassy.folder / "cards" / "card-2-1.txt"
    confirmed = embassy.home / "state" / "cards"
    confirmed.mkdir(mode=0o700)
    must(
        "card",
        "confirm",
        "--card",
        card,
        "--charter",
        charter,
        "--out",
        confirmed / "card-2-1.json",
    )


def keep_keys(embassy: Embassy, place: Path, warrant: Envelope) -> None:
    """Keys of an official and a state, a depositor's request, signatures that travel apart."""
    place.mkdir()
    person = embassy.officials["ambassador-a"]
    save_key_file(
        place / "ambassador-a.key",
        person,
        passphrase=PASSPHRASE.encode(),
        random=os.urandom,
        n=QUICK_SCRYPT,
    )
    (place / "ambassador-a.key.pub").write_bytes(public_keys_bytes(person))
    host = embassy.vaults[Seat(1)]
    assert isinstance(host, HostVault)
    save_key_file(place / "state.key", host.state_key, passphrase=None, random=os.urandom)
    new_depositor_bundle("later", place / "depositor", now=clock.now(), random=os.urandom)
    (place / "signatures.json").write_bytes(detach(warrant, person.public).to_bytes())
    text = (embassy.folder / "cards" / "card-2-1.txt").read_text()
    holder = PublicKeys(purpose=person.purpose, id=person.id, keys=person.public)
    SealedOutlet(place).deliver(parse_card(text), holder)
    (place / "card.lines").write_text("\n".join(split_parts(text.encode())) + "\n")


def receipts(embassy: Embassy, place: Path) -> None:
    """As the journal keeps them, and as a vault gives them when its fellows have cosigned."""
    place.mkdir()
    journal = apsw.Connection(str(embassy.home / "state" / "journal.db"))
    rows = journal.execute("SELECT sequence, seat, receipt FROM lodgings").fetchall()
    journal.close()
    for sequence, seat, text in rows:
        (place / f"record-{sequence}-seat-{seat}.txt").write_text(str(text))
    known = embassy.survey([1])
    for record in known.records:
        body = hashlib.sha256(known.envelopes[record.statement_hash].to_bytes()).digest()
        made = embassy.loop.run(embassy.client(1).receipt(EntryType.LODGED.value, body))
        (place / f"cosigned-{record.sequence}-seat-1.txt").write_text(made)


def copy_vaults(embassy: Embassy, place: Path) -> None:
    """Folders of all vaults, keys of all safes."""
    for seat, vault in embassy.vaults.items():
        # The index is no format: every version makes its own from the objects.
        index = shutil.ignore_patterns("state.db*", "vault.lock", "local.sock")
        shutil.copytree(vault.folder, place / f"vault-{seat}", ignore=index)
