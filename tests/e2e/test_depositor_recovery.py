"""What a depositor comes back from: lost or old memory at home, refused records, lost shards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exclave.authority.envelope import Envelope, Kind
from exclave.deposit import catching_up
from exclave.deposit.dispatch import TooFewSeats
from exclave.deposit.run import DepositOutcome, catch_up, deposit
from exclave.ids import DepositId, Seat, StatementHash
from exclave.journal.store import RecordRow
from exclave.vault.installation.install import VaultFolder, enrol
from exclave.vault.line.problems import refused
from exclave.vault.mission import submission
from exclave.vault.mission.mission import Mission
from tests.support.embassy import Embassy, QuietDeposit, found_embassy


class Heard(QuietDeposit):
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, name: str) -> None:
        self.phases.append(name)

    def said(self, text: str) -> bool:
        return any(text in phase for phase in self.phases)


def deposit_aloud(embassy: Embassy) -> tuple[DepositOutcome, Heard]:
    heard = Heard()
    with embassy.workplace() as place:
        object.__setattr__(place, "progress", heard)
        outcome = deposit(
            [register.task for register in embassy.registers],
            party=embassy.party(),
            place=place,
            plan_text=b"# plan\n",
        )
    return outcome, heard


def spooled(embassy: Embassy) -> int:
    with embassy.workplace() as place:
        return len(place.spool.shards())


def withdrawn(embassy: Embassy) -> list[int]:
    with embassy.workplace() as place:
        return [sequence for sequence, _, _ in place.journal.withdrawn()]


def forks(embassy: Embassy) -> set[StatementHash]:
    return {
        fork
        for seat in embassy.running()
        for fork in embassy.loop.run(embassy.client(seat).status()).forks
    }


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, seats: Container[int]) -> Iterator[None]:
    """These vaults refuse all records that come now, and the same ones later as well."""
    take: Callable[[Mission, Envelope, bytes], None] = submission._TAKE[Kind.RECORD]
    never: set[StatementHash] = set()
    now = True

    def refuse(mission: Mission, envelope: Envelope, data: bytes) -> None:
        if mission.seat in seats and (now or envelope.statement_hash in never):
            never.add(envelope.statement_hash)
            raise refused("quota", "quota of home: expected less")
        take(mission, envelope, data)

    monkeypatch.setitem(submission._TAKE, Kind.RECORD, refuse)
    yield
    now = False


# What only the spool has


def test_shards_of_a_late_seat_outlive_journal_and_catalogue(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        embassy.stop_vault(3)
        embassy.deposit()
        before = spooled(embassy)
        embassy.lose_journal()
        embassy.lose_catalogue()
        assert set(embassy.catch_up()) == {3}
        assert set(embassy.catch_up()) == {3}
        assert spooled(embassy) == before > 0
        embassy.start_vault(3)
        assert not embassy.catch_up()
        assert spooled(embassy) == 0
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out", seats=(2, 3)).proven


def test_a_rebuilt_journal_knows_what_earlier_records_want_of_a_late_seat(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        embassy.stop_vault(3)
        embassy.deposit()
        embassy.write_registers(mib=1, seed=2)
        embassy.deposit()
        embassy.lose_journal()
        embassy.rebuild_journal()
        with embassy.workplace() as place:
            late = {root for _, root in place.journal.late_shards(Seat(3))}
            assert late == {root for _, root in place.spool.shards()}
        assert set(embassy.catch_up()) == {3}
        embassy.start_vault(3)
        assert not embassy.catch_up()
        with embassy.workplace() as place:
            assert all(Seat(3) in row.lodged for row in place.journal.records())
            assert place.spool.used == 0


# Refused records


def test_a_record_that_nobody_took_is_withdrawn_and_its_number_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        first = embassy.deposit()
        embassy.write_registers(mib=0.5, seed=2)
        with refusing(monkeypatch, {1, 2, 3}), pytest.raises(TooFewSeats, match="quota of home"):
            embassy.deposit()
        outcome, heard = deposit_aloud(embassy)
        assert heard.said("record 2 withdrawn, no seat took it: seat 1: ")
        assert withdrawn(embassy) == [2]
        assert outcome.entry.sequence == 2
        assert outcome.entry.new == 0, "packs that were safe are used"
        assert outcome.lodged == (1, 2, 3)
        assert [record.sequence for record in embassy.survey().records] == [2, 1]
        assert embassy.survey().newest.previous == first.entry.statement
        assert not forks(embassy)
        with embassy.workplace() as place:
            assert [entry.sequence for entry in place.catalogue.entries()] == [1, 2]
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out").proven


def test_a_seat_that_was_never_sent_the_record_does_not_hold_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.2)
        embassy.stop_vault(3)
        with refusing(monkeypatch, {1, 2}), pytest.raises(TooFewSeats):
            embassy.deposit()
        assert set(embassy.deposit().late) == {3}
        assert withdrawn(embassy) == [1]
        embassy.start_vault(3)
        assert not embassy.catch_up()
        assert not forks(embassy)


@pytest.mark.parametrize("away", [False, True])
def test_a_record_that_a_seat_has_is_never_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.2)
        with refusing(monkeypatch, {1, 2}):
            with pytest.raises(TooFewSeats):
                embassy.deposit()
            if away:
                embassy.stop_vault(3)
            with pytest.raises(TooFewSeats):
                embassy.catch_up()
            assert withdrawn(embassy) == []
            monkeypatch.undo()
        if away:
            embassy.start_vault(3)
        assert embassy.deposit().entry.sequence == 2
        assert not forks(embassy)


# A home from a backup


def test_a_home_from_an_old_backup_goes_on_from_the_vaults(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        first = embassy.deposit()
        shutil.copytree(embassy.home / "state", tmp_path / "backup")
        embassy.write_registers(mib=1, seed=2)
        second = embassy.deposit()
        shutil.rmtree(embassy.home / "state")
        shutil.copytree(tmp_path / "backup", embassy.home / "state")
        third, heard = deposit_aloud(embassy)
        assert heard.said(
            "this machine's journal is older than the vaults: record 2 there, record 1"
        )
        assert third.entry.sequence == 3
        assert third.entry.new < first.entry.new, "what the old journal knew is still shared"
        newest = embassy.survey().newest
        assert newest.full
        assert newest.previous == second.entry.statement
        assert third.lodged == (1, 2, 3)
        assert not forks(embassy)
        _, heard = deposit_aloud(embassy)
        assert not heard.said("older")
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out").proven


def test_another_record_of_the_same_number_at_the_vaults_wins(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.2)
        embassy.deposit()
        with embassy.workplace() as place:
            place.journal.withdraw(1, "to be made again")
            own = RecordRow(
                sequence=1,
                statement=os.urandom(32),
                deposit=DepositId(os.urandom(16)),
                envelope=b"never sent",
                lodged=frozenset(),
            )
            place.journal.store_record(own, ())
        assert embassy.deposit().entry.sequence == 2
        assert withdrawn(embassy) == [1, 1]
        assert not forks(embassy)


def test_a_home_that_forked_its_chain_goes_on_from_the_lodged_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.2)
        first = embassy.deposit()
        shutil.rmtree(embassy.home / "state")
        with monkeypatch.context() as patch:
            patch.setattr(catching_up, "_follow_vaults", lambda party, place: None)
            with pytest.raises(TooFewSeats, match="record is forked there"):
                embassy.deposit()
        assert len(forks(embassy)) == 1
        outcome, heard = deposit_aloud(embassy)
        assert heard.said("older than the vaults: record 1 there, record 1 here")
        assert outcome.entry.sequence == 2
        assert outcome.entry.new == 0
        assert outcome.lodged == (1, 2, 3)
        assert embassy.survey().newest.previous == first.entry.statement
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out").proven


# Seats that lost what they had acknowledged


def empty_vault(embassy: Embassy, seat: int) -> None:
    """A vault whose disk was replaced: same keys, nothing on it."""
    vault = embassy.vaults[Seat(seat)]
    embassy.lose_vault(seat)
    vault.create()
    name = f"{vault.host.vault}.json"
    data = (embassy.folder / "founding" / "mission" / "enrolments" / name).read_bytes()
    log, key = vault.keys.public[:2]
    enrol(VaultFolder.open(vault.folder), data, log_key=log, seat_key=key)
    embassy.start_vault(seat)


@pytest.mark.parametrize("emptied", [(3,), (2, 3)])
def test_packs_whose_shards_were_lost_are_sealed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emptied: tuple[int, ...]
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        with refusing(monkeypatch, {1, 2, 3}), pytest.raises(TooFewSeats):
            embassy.deposit()
        for seat in emptied:
            empty_vault(embassy, seat)
        if len(emptied) == 1:
            outcome = embassy.deposit()
            assert "packs must be sealed again" in outcome.late[Seat(3)]
        else:
            with pytest.raises(TooFewSeats, match="packs must be sealed again"):
                embassy.deposit()
        again, _ = deposit_aloud(embassy)
        assert again.entry.sequence == 2
        assert again.lodged == (1, 2, 3)
        assert again.entry.new == again.entry.read
        assert embassy.survey().newest.full
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out", seats=(2, 3)).proven


def test_catching_up_finds_lost_shards_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.stop_vault(3)
        embassy.deposit()
        with embassy.workplace() as place:
            for seat, root in place.spool.shards():
                place.spool.delivered(seat, root)  # the spool is lost
                place.journal.mark_held(seat, root)
        embassy.start_vault(3)
        heard = Heard()
        with embassy.workplace() as place:
            object.__setattr__(place, "progress", heard)
            assert set(catch_up(embassy.party(), place)) == {3}
        assert heard.said("seat 3 lacks shards that lie nowhere else")
        assert embassy.deposit().lodged == (1, 2, 3)


# Seats without a line


def test_a_seat_without_a_line_is_late_and_its_shards_are_spooled(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.2)
        with embassy.workplace() as place:
            lines = {seat: line for seat, line in place.lines.items() if seat != 3}
            object.__setattr__(place, "lines", lines)
            outcome = deposit(
                [register.task for register in embassy.registers],
                party=embassy.party(),
                place=place,
                plan_text=b"# plan\n",
            )
        assert outcome.lodged == (1, 2)
        assert "has no line" in outcome.late[Seat(3)]
        assert spooled(embassy) > 0
        assert not embassy.catch_up(), "the line is there now"
