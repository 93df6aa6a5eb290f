"""What the depositing machine of a mission does."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from exclave import clock
from exclave.demo.founding import deposit_toml
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.depositor import DepositorParty
from exclave.deposit.rebuild import rebuild_journal
from exclave.deposit.run import DepositOutcome, Workplace, catch_up, deposit
from exclave.deposit.seat_line import SeatLine
from exclave.deposit.spool import Spool
from exclave.ids import Seat
from exclave.journal.store import Journal
from exclave.ledger.checkpoint import log_verifier
from exclave.proof.serving import Prover
from exclave.signer.parties import DEDUP_SECRET
from tests.support.embassy.processes import PROGRAM
from tests.support.embassy.progress import QuietDeposit
from tests.support.embassy.registers import (
    AnyRegister,
    files_register,
    register_toml,
    sqlite_register,
    write_files,
    write_sqlite,
)
from tests.support.embassy.served import Served


class AtHome(Served):
    """A served mission that deposits."""

    def add_register(self, register: AnyRegister) -> None:
        """Another register for the next deposits."""
        self.registers.append(register)

    def write_registers(self, *, mib: float = 1.0, seed: int = 1) -> None:
        """Make `home/registers`: files and an SQLite file; with another seed, change a part."""
        folder = self.home / "registers"
        write_files(folder / "scans", int(mib * 2**20), seed)
        write_sqlite(folder / "gazette.sqlite", rows=int(2000 * mib), seed=seed)
        if not self.registers:
            self.add_register(files_register("scans", folder / "scans"))
            self.add_register(sqlite_register("gazette", folder / "gazette.sqlite"))

    def party(self) -> DepositorParty:
        """The depositor under the charter."""
        return DepositorParty(
            id=self.depositor.id,
            charter=self.charter,
            signers=self.depositor.signers,
            dedup_key=self.depositor.secret(DEDUP_SECRET),
        )

    @contextmanager
    def workplace(
        self, *, spool_limit: int = 2**30, prover: Prover | None = None
    ) -> Iterator[Workplace]:
        """What a deposit works with; the journal is closed at the end."""
        state = self.home / "state"
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / "scratch").mkdir(mode=0o700, exist_ok=True)
        journal = Journal.open(
            state / "journal.db",
            mission=self.mission,
            depositor=self.depositor.id,
            epoch=self.charter.current_epoch.epoch,
        )
        try:
            yield Workplace(
                loop=self.loop,
                lines={
                    seat: self.line(seat)
                    for seat, vault in self.vaults.items()
                    if not vault.host.safe
                },
                journal=journal,
                spool=Spool(state / "spool", limit=spool_limit),
                catalogue=Catalogue(state / "catalogue"),
                scratch=state / "scratch",
                clock=clock.now,
                random=os.urandom,
                progress=QuietDeposit(),
                prover=prover,
            )
        finally:
            journal.close()

    def line(self, seat: int) -> SeatLine:
        """A seat as the depositor sees it."""
        entry = self.charter.seat(Seat(seat))
        vault = self.client(seat, self.depositor_identity)
        return SeatLine(
            seat=entry.seat,
            state=entry.state,
            name=entry.vault,
            seat_key=entry.seat_key.xwing,
            log_verifier=log_verifier(self.mission, entry.seat, entry.log_key.raw),
            store=vault,
            record=vault,
        )

    def prover(self, **changes: Any) -> Prover:
        """Proves deposits in `home/state/quarantine`."""
        prover = Prover(
            quarantine=self.home / "state" / "quarantine",
            limit=2**30,
            timeout=120,
            server=None,
            clock=clock.now,
        )
        return replace(prover, **changes)

    def deposit(
        self,
        registers: Sequence[AnyRegister] | None = None,
        *,
        plan_text: bytes = b"# plan\n",
        prover: Prover | None = None,
    ) -> DepositOutcome:
        """One deposit of all registers, or of those given; with a prover it is proven."""
        chosen = self.registers if registers is None else registers
        with self.workplace(prover=prover) as place:
            return deposit(
                [register.task for register in chosen],
                party=self.party(),
                place=place,
                plan_text=plan_text,
                declared=[register.plan.id for register in self.registers],
            )

    def write_config(self) -> Path:
        """`home/deposit.toml` and `home/registers.toml`: for the program itself."""
        plan, config = self.home / "registers.toml", self.home / "deposit.toml"
        plan.write_text("\n".join(register_toml(item.plan) for item in self.registers))
        config.write_text(
            deposit_toml(plan=plan, depositor=self.home / "keys", state=self.home / "state")
        )
        return config

    def deposit_process(self) -> subprocess.Popen[bytes]:
        """`exclave deposit` of all registers in a process of its own."""
        return subprocess.Popen(
            [*PROGRAM, "--json", "deposit", "--config", str(self.write_config())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def catch_up(self) -> Mapping[Seat, str]:
        """Bring late seats up to date; reasons of those that stay late."""
        with self.workplace() as place:
            return catch_up(self.party(), place)

    def rebuild_journal(self) -> int:
        """Make an empty journal again from the catalogue; packs brought back."""
        with self.workplace() as place:
            return rebuild_journal(place.catalogue, place.journal, place.spool)

    def lose_journal(self) -> None:
        """The local index is lost."""
        for file in (self.home / "state").glob("journal.db*"):
            file.unlink()

    def lose_catalogue(self) -> None:
        """The local catalogue is lost."""
        shutil.rmtree(self.home / "state" / "catalogue")

    def lose_home(self) -> None:
        """The homeland is lost: registers, keys, journal, spool, catalogue."""
        shutil.rmtree(self.home)
