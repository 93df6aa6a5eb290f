"""The real depositing process, interrupted; three vaults that it deposits to; what must then hold.

    stage = DepositStage.new(embassy, second=False)    # registers, settings; a snapshot of all
    stage.reset()                                      # everything as it was then
    run, lodged = stage.play(work, warm, kill)         # until it ends or is killed
    stage.check(lodged=lodged); stage.complete(out)    # the next run; reconstructed and compared

During a first deposit seat 3 is down, and what it lacks goes into the spool; a second one finds it
up again and catches it up. Vaults run in this process and are not interrupted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from exclave.deposit.run import DepositOutcome
from exclave.deposit.spool import Spool
from exclave.dispersal.sealed_shard import parse_sealed_shard
from exclave.dispersal.shard import parse_shard
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.journal.store import Journal
from exclave.ledger.checkpoint import log_verifier
from exclave.ledger.receipt import parse_receipt, verify_receipt
from exclave.vault.interface import State
from exclave.vault.kept.storage import shard_key
from exclave.wiring.depositor import open_home, run_deposit
from tests.support.embassy import Embassy, QuietDeposit, Survey
from tests.support.systrace import Kill, Traced, Warm

CHILD = Path(__file__).with_name("run_deposit.py")
LATE = 3

SETTINGS = """
depositor = "keys"
plan = "registers.toml"
journal = "state/journal.db"
catalogue = "state/catalogue"
spool = "state/spool"
spool_limit = "1GiB"
scratch = "state/scratch"
"""
REGISTER = """
[[register]]
id = "{id}"
title = "Register {id}"
owner = "nobody"
classification = "none"
rpo = "1h"
rto = "1h"
[register.source]
kind = "{kind}"
path = "registers/{path}"
"""


@dataclass(kw_only=True)
class DepositStage:
    """See the module."""

    embassy: Embassy
    snapshot: Path
    second: bool

    @classmethod
    def new(cls, embassy: Embassy, *, second: bool) -> DepositStage:
        """Registers and settings at home; with `second`, a deposit was made without seat 3."""
        home = embassy.home
        embassy.write_registers(mib=0.2)
        (home / "deposit.toml").write_text(SETTINGS)
        (home / "registers.toml").write_text(
            REGISTER.format(id="scans", kind="files", path="scans")
            + REGISTER.format(id="gazette", kind="sqlite", path="gazette.sqlite")
        )
        stage = cls(embassy=embassy, snapshot=embassy.folder / "snapshot", second=second)
        (home / "state").mkdir(mode=0o700)
        if second:
            embassy.stop_vault(LATE)
            assert set(stage.deposit().late) == {LATE}
            embassy.write_registers(mib=0.2, seed=2)
        for seat in (1, 2, 3):
            embassy.stop_vault(seat)
        for part in ("home", "vaults"):
            shutil.copytree(embassy.folder / part, stage.snapshot / part)
        return stage

    def reset(self) -> None:
        """Everything as it was when the stage was made; the vaults run, in a first deposit two."""
        for seat in (1, 2, 3):
            self.embassy.stop_vault(seat)
        for part in ("home", "vaults"):
            shutil.rmtree(self.embassy.folder / part, ignore_errors=True)
            shutil.copytree(self.snapshot / part, self.embassy.folder / part)
        for seat in self.up:
            self.embassy.start_vault(seat)

    @property
    def up(self) -> list[int]:
        """Seats that run while the process does: seat 3 comes back for the second deposit."""
        return [1, 2, LATE] if self.second else [1, 2]

    @property
    def watched(self) -> Path:
        """The folder whose writes are traced."""
        return self.embassy.home / "state"

    def play(self, out: Path, warm: Warm, kill: Kill | None = None) -> tuple[Traced, bool]:
        """The process until it ends or is killed; whether it said that the deposit is lodged."""
        config = str(self.embassy.home / "deposit.toml")
        run = warm.trace([config], watch=self.watched, out=out, kill=kill)
        said = run.stdout.read()
        run.wait()
        return run, bool(said) and json.loads(said)["lodged"] == self.up

    def lose_power(self, leave: Callable[[Path], None]) -> None:
        """Put what a power cut leaves in place of the depositor's disk."""
        shutil.rmtree(self.watched)
        leave(self.watched)
        self.watched.mkdir(exist_ok=True)

    def deposit(self) -> DepositOutcome:
        """The next run, in this process."""
        return run_deposit(open_home(self.embassy.home / "deposit.toml"), (), QuietDeposit())

    # What must hold

    def check(self, *, lodged: bool) -> None:
        """What the journal says is so, and what the vaults list is whole."""
        self._journal_is_true()
        survey = self.embassy.survey()
        for seat in self.embassy.running():
            self._lodged_is_whole(seat, survey)
        if lodged:
            newest = survey.newest.statement_hash
            assert survey.newest.sequence == (2 if self.second else 1)
            assert [self._states(seat)[newest] for seat in self.up] == [State.LODGED] * len(self.up)

    def complete(self, out: Path, *, rebuilt: bool = True) -> None:
        """The late seat comes back, the next run lodges everything, two seats give it back.

        Without `rebuilt` only what is lodged is read, whole.
        """
        embassy = self.embassy
        if LATE not in embassy.running():
            embassy.start_vault(LATE)
        outcome = self.deposit()
        assert set(outcome.lodged) == {1, 2, 3}, outcome.late
        assert not outcome.late
        numbers = [record.sequence for record in embassy.survey().records]
        assert numbers == list(range(len(numbers), 0, -1)), "records do not form one chain"
        for seat in (1, 2, 3):
            assert set(self._states(seat).values()) == {State.LODGED}
        self.check(lodged=False)
        if not rebuilt:
            return
        embassy.stop_vault(2)
        assert embassy.reconstruct(out, seats=(1, 3)).proven
        self._same(out)

    def _journal_is_true(self) -> None:
        embassy, state = self.embassy, self.watched
        if not (state / "journal.db").exists():
            return
        party = embassy.party()
        with closing(
            Journal.open(
                state / "journal.db", mission=party.mission, depositor=party.id, epoch=party.epoch
            )
        ) as journal:
            rows = journal._rows(
                "SELECT s.seat, s.root, s.held, p.root FROM shards s JOIN packs p ON p.n = s.pack"
            )
            spool = Spool(state / "spool", limit=2**30) if rows else None
            for seat, root, held, pack in rows:
                if held:
                    self._stored_whole(Seat(seat), ShardRoot(root))
                else:
                    assert spool is not None
                    sealed = spool.get(Seat(seat), ShardRoot(root))
                    assert sealed is not None, "a shard is neither held nor spooled"
                    assert parse_sealed_shard(sealed).header.pack_root == pack
            for seat, receipt in journal._rows("SELECT seat, receipt FROM lodgings"):
                key = embassy.charter.seat(Seat(seat)).log_key.raw
                verifier = log_verifier(embassy.mission, Seat(seat), key)
                verify_receipt(parse_receipt(receipt.encode()), verifier)

    def _states(self, seat: int) -> dict[StatementHash, State]:
        status = self.embassy.loop.run(self.embassy.client(seat).status())
        assert not status.forks
        return {item.statement: item.state for item in status.records}

    def _lodged_is_whole(self, seat: Seat, survey: Survey) -> None:
        for statement, state in self._states(seat).items():
            if state is State.LODGED:
                for pack in survey.live(survey.known[statement]).packs.values():
                    for number, root in pack.shards:
                        if number == seat:
                            self._stored_whole(seat, root)

    def _stored_whole(self, seat: Seat, root: ShardRoot) -> None:
        file = self.embassy.mission_folder(seat) / shard_key(root)
        assert file.exists(), f"seat {seat} does not have a shard that it is said to hold"
        parse_shard(file.read_bytes(), root)

    def _same(self, out: Path) -> None:
        scans = self.embassy.home / "registers" / "scans"
        files = [path.relative_to(scans) for path in scans.rglob("*") if path.is_file()]
        assert len(files) > 20
        for file in files:
            assert (out / "scans" / file).read_bytes() == (scans / file).read_bytes()
