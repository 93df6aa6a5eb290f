"""A whole mission in a temporary folder, small and quick: for attacks, faults and end-to-end tests.

    with found_embassy(tmp_path) as embassy:           # 2-of-3, no read delay, real TLS servers
        embassy.write_registers(mib=2)                 # a folder and an SQLite file under home/
        embassy.deposit()                              # real workflow; returns DepositOutcome
        embassy.lose_vault(1)                          # stopped, folder removed
        embassy.lose_home()                            # journal, spool, keys, registers gone
        report = embassy.reconstruct(tmp_path / "out") # with warrant and unsealing
        assert report.proven

Functions
    found_embassy(folder, n=3, k=2, h=None, delay=0, processes=False, safes=(), whole_bags=False)
                                                       real ceremony; cards/; some seats are safes
    embassy.deposit(registers=None, plan_text=..., prover=None)    default: all of embassy.registers
    embassy.prover(timeout=..., server=...)            to prove a deposit with
    embassy.deposit_process()                          `exclave deposit` as a process (Popen)
    embassy.write_registers(mib, seed)                 makes or changes home/registers
    embassy.add_register(register)                     e.g. `postgres_register(...)`
    embassy.stop_vault(seat) / start_vault(seat)       the server; its folder stays
    embassy.lose_vault(seat)                           stop and remove the folder
    embassy.new_vault(seat) / enrol_vault(seat, file)  one that joins; its seat request
    embassy.lose_home() / lose_journal() / lose_catalogue()
    embassy.vault_folder(seat), embassy.mission_folder(seat)   for readers and thieves of disks
    embassy.card_files(groups=(2, 3))                  texts of enough cards of these groups
    embassy.survey(seats)                              records from the vaults' logs alone
    embassy.authorise(folder)                          warrant prepared, signed, released: a Reading
    embassy.unseal(reading)                            what the officials' cards give out
    embassy.reconstruct(out, seats=..., scope=..., targets=...)    all of it; a report
    embassy.charter, .mission, .officials, .depositor, .recovery_private()

Servers run in this process, in a thread of their own, on loopback; with `processes=True` each is
`exclave vault serve` (then `embassy.kill_vault(seat)` is kill -9). Every vault's folder is as
spec/vault-folder.md says. `home`, `abroad` and `vaults` are subfolders of the folder given.
"""

from tests.support.embassy.founding import found_at, found_embassy
from tests.support.embassy.mission import Embassy
from tests.support.embassy.processes import PROGRAM, free_ports
from tests.support.embassy.progress import Quiet, QuietDeposit, QuietReconstruction
from tests.support.embassy.reading import Reading, Survey
from tests.support.embassy.registers import (
    AnyRegister,
    HomeRegister,
    PlannedRegister,
    default_target,
    files_register,
    planned_register,
    postgres_register,
    sqlite_register,
    write_files,
    write_sqlite,
)
from tests.support.embassy.vault import TestVault, seat_beside, vault_at

__all__ = [
    "PROGRAM",
    "AnyRegister",
    "Embassy",
    "HomeRegister",
    "PlannedRegister",
    "Quiet",
    "QuietDeposit",
    "QuietReconstruction",
    "Reading",
    "Survey",
    "TestVault",
    "default_target",
    "files_register",
    "found_at",
    "found_embassy",
    "free_ports",
    "planned_register",
    "postgres_register",
    "seat_beside",
    "sqlite_register",
    "vault_at",
    "write_files",
    "write_sqlite",
]
