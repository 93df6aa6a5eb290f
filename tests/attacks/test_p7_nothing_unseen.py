"""P7: what a host does to its log is named, with its vault, by the others and by a monitor.

The attacker's powers: host's root of vault 2. He has its disk at any two moments, all its keys
(log, witnesses, TLS) and its process; he may stop it, put its disk back, edit it, serve one history
to one reader and another to the next, refuse what he likes, and move its clocks. He has no other
vault.
Where only some powers are used, the others would show more.

He can also read his own disk, and hand a shard to a reader whom no warrant names: no software sees
that (docs/threat-model.md 5), and fewer than k shards open nothing (P4).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from exclave import clock
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.orders import Lockdown, OrderHead, order_payload
from exclave.ids import Seat
from exclave.ledger.checkpoint import Checkpoint, origin_for, parse_checkpoint, sign_checkpoint
from exclave.ledger.entry import EntryType
from exclave.ledger.note import MAX_COSIGNED_LINES, NoteSigner, parse_note
from exclave.ledger.witness import AddCheckpoint
from exclave.monitor.judging import Judgement
from exclave.monitor.values import Finding, Level
from exclave.signer.interface import sign_envelope
from exclave.vault.interface import State, StatementState, VaultRefused
from exclave.vault.line.problems import refused
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.vault.server import handlers_public
from exclave.wiring.monitoring import watch_once
from tests.support.embassy import Embassy, found_embassy

TWO = 2
WITHIN = 60
"""Seconds until everything that vaults tell each other has been told."""


class Watch:
    """An embassy, and a monitor with a memory."""

    def __init__(self, embassy: Embassy, folder: Path) -> None:
        self.embassy = embassy
        self.folder = folder
        embassy.write_registers(mib=0.1)
        embassy.deposit()
        self.settle()

    def size(self, seat: int) -> int:
        note = self.embassy.loop.run(self.embassy.client(seat).checkpoint())
        return parse_checkpoint(parse_note(note).text).size

    def settle(self, *seats: int) -> None:
        """Wait until every log is cosigned as it is."""
        end = time.monotonic() + WITHIN
        for seat in seats or self.embassy.vaults:
            while self.cosigned(seat) != self.size(seat):
                assert time.monotonic() < end, f"seat {seat} was not cosigned"
                time.sleep(0.1)

    def cosigned(self, seat: int) -> int:
        try:
            note = self.embassy.loop.run(self.embassy.client(seat).cosigned())
        except VaultRefused:
            return 0
        return parse_checkpoint(parse_note(note, most=MAX_COSIGNED_LINES).text).size

    def judge(self, *, later: timedelta = timedelta(0), memory: bool = True) -> Judgement:
        def moment() -> datetime:
            return clock.now() + later

        return watch_once(self.embassy.charter, self.folder if memory else None, clock=moment)

    def look(self, *, later: timedelta = timedelta(0), memory: bool = True) -> list[Finding]:
        found = self.judge(later=later, memory=memory).findings
        return [item for item in found if item.level.value > Level.NOTICE.value]

    def named(self, cause: str, **how: object) -> list[Finding]:
        """What is found: of this cause there must be something, and of another vault nothing."""
        found = self.look(**how)  # type: ignore[arg-type]
        assert {(item.seat, item.vault, item.state) for item in found} == {(2, "vault-2", "XB")}
        assert cause in {item.cause.value for item in found}
        return found

    def disk(self) -> Path:
        """A copy of vault 2's disk, as it is now."""
        self.embassy.stop_vault(TWO)
        copy = self.folder / f"disk-{len(list(self.folder.glob('disk-*')))}"
        shutil.copytree(self.embassy.vault_folder(TWO), copy)
        self.embassy.start_vault(TWO)
        return copy

    def put_back(self, disk: Path) -> None:
        """The vault is started again from an older disk."""
        self.embassy.stop_vault(TWO)
        shutil.rmtree(self.embassy.vault_folder(TWO))
        shutil.copytree(disk, self.embassy.vault_folder(TWO))
        self.embassy.start_vault(TWO)

    def signed(self, size: int, root: bytes) -> bytes:
        """A checkpoint that the stolen log key signs."""
        keys = self.embassy.vaults[Seat(TWO)].seat_keys
        name = origin_for(self.embassy.mission, Seat(TWO))
        signer = NoteSigner(name=name, public_key=keys.log_public, sign=keys.sign)
        return sign_checkpoint(Checkpoint(origin=name, size=size, root=root), signer)

    def wait_for(self, seat: int, kind: EntryType) -> None:
        """Wait until a vault has logged something."""
        end = time.monotonic() + WITHIN
        while all(entry.type is not kind for entry in self.embassy.log_entries(seat)):
            assert time.monotonic() < end, f"seat {seat} has no {kind.value}"
            time.sleep(0.1)

    def another_deposit(self, seed: int) -> None:
        self.embassy.write_registers(mib=0.1, seed=seed)
        self.embassy.deposit()

    def lockdown(self) -> bytes:
        head = OrderHead(
            mission=self.embassy.mission,
            charter=self.embassy.charter.statement_hash,
            nonce=bytes(16),
            issued=clock.now(),
            reason="an attack test",
        )
        envelope = Envelope(payload=order_payload(Lockdown(head=head)), kind=Kind.LOCKDOWN)
        signers = self.embassy.officials["consul-a"].signers
        return sign_envelope(envelope, signers).to_bytes()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Three vaults, a deposit, and a monitor that found nothing wrong."""
    with found_embassy(tmp_path / "embassy") as embassy:
        (tmp_path / "monitor").mkdir()
        made = Watch(embassy, tmp_path / "monitor")
        assert made.judge().findings == ()
        assert made.judge(memory=False).findings == ()
        yield made


def test_a_log_that_is_put_back_is_named_and_finds_no_witness(watch: Watch) -> None:
    old = watch.disk()
    watch.another_deposit(seed=2)
    watch.settle()
    assert watch.look() == []
    seen = watch.size(TWO)
    watch.put_back(old)
    assert watch.size(TWO) < seen
    found = watch.named("rollback")
    assert f"signed {seen} before: kept by this monitor" in found[0].what
    # Whoever looks for the first time learns it from the fellows.
    found = watch.named("rollback", memory=False)
    assert "kept by seat 1, seat 3" in found[0].what
    # And nobody cosigns what it shows, whatever it says that they have seen.
    note = watch.embassy.loop.run(watch.embassy.client(TWO).checkpoint())
    for fellow in (1, 3):
        for claimed in (0, watch.size(TWO), seen):
            request = AddCheckpoint(old=claimed, proof=(), note=note).encode()
            client = watch.embassy.client(fellow)
            assert watch.embassy.loop.run(client.add_checkpoint(request)).status != 200


def test_another_history_for_another_reader_is_named(watch: Watch) -> None:
    old = watch.disk()
    watch.another_deposit(seed=2)
    watch.settle()
    assert watch.look() == []
    first = watch.size(TWO)
    # The second reader gets a log that goes on from the old disk, and is longer than the first.
    watch.put_back(old)
    seed = 3
    while watch.size(TWO) <= first:
        watch.another_deposit(seed=seed)
        seed += 1
    assert watch.cosigned(TWO) <= first
    found = watch.named("fork", memory=False)
    assert "shows another history than it signed before" in found[0].what
    # The reader who saw the first history knows it by himself.
    assert any("this monitor" in item.what for item in watch.named("fork"))


def test_two_histories_shown_to_a_witness_are_evidence_for_everybody(watch: Watch) -> None:
    size = watch.size(TWO)
    request = AddCheckpoint(old=size, proof=(), note=watch.signed(size, bytes(32))).encode()
    reply = watch.embassy.loop.run(watch.embassy.client(1).add_checkpoint(request))
    assert reply.status == 422
    watch.settle()
    (found,) = watch.named("fork", memory=False)
    assert "as the log of seat 1 proves in entry" in found.what
    assert [item.seat for item in watch.embassy.view().problems] == [2]


def test_a_withheld_entry_is_named(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def withholding(mission: Mission, body: bytes) -> StatementState:
        if mission.seat == TWO and parse_envelope(body).kind is Kind.LOCKDOWN:
            raise refused("unavailable", "later")
        return submit(mission, body)

    monkeypatch.setattr(handlers_public, "submit", withholding)
    watch.embassy.loop.run(watch.embassy.client(1).submit(watch.lockdown()))
    watch.wait_for(3, EntryType.ORDER)
    watch.settle()
    watch.look()
    watch.named("disagreement", later=timedelta(minutes=20))
    watch.named("lockdown", later=timedelta(minutes=20))


def test_a_truncated_log_is_named(watch: Watch) -> None:
    folder = watch.embassy.mission_folder(TWO) / "log" / "tile"
    removed = [path for path in folder.rglob("*") if path.is_file()]
    assert removed
    for path in removed:
        path.unlink()
    watch.named("truncated")


def test_bodies_that_are_removed_are_named(watch: Watch) -> None:
    bodies = watch.embassy.mission_folder(TWO) / "bodies"
    entries = watch.embassy.log_entries(TWO)
    record = next(entry for entry in entries if entry.type is EntryType.RECORD)
    (path,) = bodies.rglob(record.hash.hex())
    path.unlink()
    found = watch.named("missing-body")
    assert record.hash.hex()[:8] in found[0].what or "body" in found[0].what


def test_a_log_that_is_made_older_is_named_before_it_gives_anything(tmp_path: Path) -> None:
    with found_embassy(tmp_path / "embassy", delay=3600) as embassy:
        (tmp_path / "monitor").mkdir()
        watch = Watch(embassy, tmp_path / "monitor")
        warrant = embassy.authorise_later(
            tmp_path / "reader", signers=("ambassador-a", "ambassador-b")
        )
        watch.settle()
        waits = [item for item in watch.judge().findings if item.level is Level.NOTICE]
        assert [item.cause.value for item in waits] == ["waiting"]
        # A day of service time that nobody lived through.
        embassy.stop_vault(TWO)
        service = embassy.mission_folder(TWO) / "meta" / "service"
        service.write_text(f"{int(service.read_text()) + 86_400_000}\n")
        embassy.start_vault(TWO)
        state = embassy.loop.run(embassy.client(TWO).statement(warrant.statement_hash))
        assert state.state is State.RELEASED, "the attack works at that vault"
        watch.named("clock")
        assert embassy.loop.run(embassy.client(1).statement(warrant.statement_hash)).state is (
            State.WAITING
        )
