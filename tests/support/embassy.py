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

from __future__ import annotations

import os
import random as pseudo_random
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from exclave import clock
from exclave.archive.manifest import Register
from exclave.authority.card import parse_card
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Address as SeatAddress
from exclave.authority.envelope import Envelope, Kind, envelope_for, parse_envelope
from exclave.authority.record import DepositRecord, parse_record
from exclave.authority.record_chain import Author, LiveSet, live_set, newest_first, record_path
from exclave.authority.seat_request import SeatRequest, seat_request_payload
from exclave.authority.unsealing import UnsealAnswer, UnsealedSecret, parse_unseal_request
from exclave.demo.founding import (
    OFFICIALS,
    READERS_ABROAD,
    Host,
    deposit_toml,
    founding_toml,
)
from exclave.deposit.capture import RegisterTask
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.depositor import DepositorParty
from exclave.deposit.rebuild import rebuild_journal
from exclave.deposit.run import DepositOutcome, Workplace, catch_up, deposit
from exclave.deposit.seat_line import SeatLine
from exclave.deposit.spool import Spool
from exclave.durable import replace_file
from exclave.encoding import parse_canonical_json
from exclave.engine.file import FileEngine
from exclave.found.cards import UnsafeFolderOutlet
from exclave.found.ceremony import found
from exclave.found.plan import load_founding_plan
from exclave.ids import MissionId, Seat, StatementHash
from exclave.journal.store import Journal
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.entry import EntryType, LogEntry, parse_entry
from exclave.ledger.tiles import TILE_WIDTH, TileReader
from exclave.lines import LoopThread
from exclave.plan import FilesSource as FilesPlan
from exclave.plan import PlannedSource, RegisterPlan
from exclave.plan import PostgresqlSource as PostgresPlan
from exclave.plan import SqliteSource as SqlitePlan
from exclave.proof.serving import Prover
from exclave.reconstruct.fetch import PackFetcher
from exclave.reconstruct.plans import open_answer, pack_plans
from exclave.reconstruct.report import ReconstructionReport, RegisterOutcome
from exclave.reconstruct.run import Scope, reconstruct
from exclave.reconstruct.warranting import ReaderParty, attach_warrant, load_reader, prepare_warrant
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import DepositContext, seal_for_reader, unseal_deposit_secret
from exclave.shares import read_share, recombine
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import load_key_file, public_keys_bytes, save_key_file, write_once
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import DEDUP_SECRET, new_official_key, new_vault_key
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.files.restore import FilesTarget
from exclave.source.interface import Source, Target
from exclave.source.postgresql import PostgresConfig, PostgresSource
from exclave.vault.addresses import Address
from exclave.vault.client import HttpVault
from exclave.vault.config import VaultConfig
from exclave.vault.identity import Identity, load_identity, new_identity
from exclave.vault.install import VaultFolder, create_vault, enrol, open_missions
from exclave.vault.interface import State
from exclave.vault.mission import Mission, SeatKeys
from exclave.vault.seat_folder import SeatFolder, make_seat
from exclave.vault.server import VaultServer
from exclave.vault.survey import MissionView
from exclave.vault.survey import survey as survey_mission
from exclave.wiring.registers import task_of
from exclave.wiring.seat_files import seat_keys

__all__ = [
    "PROGRAM",
    "AnyRegister",
    "Embassy",
    "HomeRegister",
    "PlannedRegister",
    "Quiet",
    "Reading",
    "Survey",
    "TestVault",
    "files_register",
    "found_at",
    "found_embassy",
    "planned_register",
    "postgres_register",
    "sqlite_register",
    "vault_at",
]

DAILY = 2**40
PROGRAM = (sys.executable, "-c", "import sys; from exclave.cli import main; sys.exit(main())")
"""How tests run `exclave`."""


@dataclass(frozen=True, kw_only=True)
class HomeRegister:
    """A register at home: its entry in the plan and the adapter that reads it."""

    plan: RegisterPlan
    source: Source

    @property
    def task(self) -> RegisterTask:
        """As the deposit takes it."""
        return RegisterTask(plan=self.plan, sources=(self.source,), artefacts=None, runbook=None)


@dataclass(frozen=True, kw_only=True)
class PlannedRegister:
    """A register with the adapters that its plan asks for."""

    plan: RegisterPlan

    @property
    def task(self) -> RegisterTask:
        """As the deposit takes it."""
        return task_of(self.plan)


AnyRegister = HomeRegister | PlannedRegister


def planned_register(id: str, *sources: PlannedSource) -> PlannedRegister:
    """Several sources as one register."""
    return PlannedRegister(plan=replace(_plan(id, sources[0]), sources=sources))


def files_register(id: str, folder: Path) -> HomeRegister:
    """A folder as a register."""
    source = FilesSource(FilesConfig(folder=folder))
    return HomeRegister(plan=_plan(id, FilesPlan(kind="files", path=str(folder))), source=source)


def sqlite_register(id: str, path: Path) -> HomeRegister:
    """An SQLite file as a register."""
    from exclave.source.sqlite import SqliteConfig, SqliteSource

    source = SqliteSource(SqliteConfig(file=path))
    return HomeRegister(plan=_plan(id, SqlitePlan(kind="sqlite", path=str(path))), source=source)


def postgres_register(id: str, config: PostgresConfig) -> HomeRegister:
    """Databases of a server as a register."""
    plan = PostgresPlan(
        kind="postgresql",
        host=str(config.host),
        port=config.port or 5432,
        user=str(config.user),
        databases=config.databases,
    )
    return HomeRegister(plan=_plan(id, plan), source=PostgresSource(config))


def _plan(id: str, source: PlannedSource) -> RegisterPlan:
    return RegisterPlan(
        id=id,
        title=f"Register {id}",
        owner="nobody",
        classification="none",
        rpo=3600,
        rto=3600,
        depends_on=(),
        runbook=None,
        artefacts=None,
        sources=(source,),
    )


class Quiet:
    """Progress that says nothing: for deposits and reconstructions."""

    def phase(self, name: str) -> None:
        del name

    def register_started(self, register: str, title: str) -> None:
        del register, title

    def captured(self, register: str, what: str, units: int, size: int) -> None:
        del register, what, units, size

    restored = captured
    compared = captured


class QuietDeposit(Quiet):
    """For deposits."""

    def register_ended(self, register: str, rows: int, files: int) -> None:
        del register, rows, files


class QuietReconstruction(Quiet):
    """For reconstructions."""

    def register_ended(self, outcome: RegisterOutcome) -> None:
        del outcome


@dataclass(kw_only=True)
class TestVault:
    """One vault: its keys, its folder and, while it runs, its server."""

    __test__ = False  # not a test class, whatever its name

    host: Host
    folder: Path
    keys: KeyBundle
    identity: Identity
    address: SeatAddress
    guest: str | None = None  # the name of a further seat of an installation that is there
    mission: Mission | None = None
    server: VaultServer | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def seat(self) -> Seat:
        """The seat's number."""
        return Seat(self.host.seat)

    @property
    def seat_keys(self) -> SeatKeys:
        """What the mission needs of the keys."""
        return seat_keys(self.keys)

    @property
    def place(self) -> SeatFolder:
        """Where the seat's own files lie."""
        further = None if self.guest is None else self.folder / "seats" / self.guest
        return SeatFolder(further or self.folder, self.guest)

    def create(self) -> None:
        """Set up the folder as `exclave vault init` or `vault seat` does; its kit says nothing."""
        text = f'data = "{self.address.data}"\npublic = "{self.address.public}"\n'

        def save_keys(folder: Path) -> None:
            save_key_file(folder / "vault.key", self.keys, passphrase=None, random=os.urandom)

        if self.guest is not None:
            make_seat(
                self.folder,
                self.guest,
                identity=self.identity,
                seat_request=self.request(),
                settings=text,
                save_keys=save_keys,
            )
            return
        kit = self.folder.parent / ".kit"
        (kit / "spec").mkdir(parents=True, exist_ok=True)
        (kit / "spec" / "README.md").write_text("a kit for tests\n")
        create_vault(
            self.folder,
            identity=self.identity,
            seat_request=self.request(),
            save_keys=save_keys,
            kit=kit,
        )
        (self.folder / "vault.toml").write_text(text)

    def request(self) -> bytes:
        """The seat request that `found` consumes."""
        log, seat, first, second = self.keys.public
        request = SeatRequest(
            vault=self.host.vault,
            state=self.host.state,
            operator=self.host.operator,
            addresses=() if self.host.safe else (self.address,),
            identity=self.identity.certificate,
            log_key=log,
            seat_key=seat,
            witness_keys=(first, second),
            receiving_state_key=None,
            created=clock.now(),
        )
        payload = parse_canonical_json(seat_request_payload(request))
        assert isinstance(payload, dict)
        return sign_envelope(envelope_for(payload), self.keys.signers[:1]).to_bytes()


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What the logs of some vaults say, newest record first."""

    records: tuple[DepositRecord, ...]
    envelopes: Mapping[StatementHash, Envelope]

    @property
    def known(self) -> Mapping[StatementHash, DepositRecord]:
        """Records by hash."""
        return {record.statement_hash: record for record in self.records}

    @property
    def newest(self) -> DepositRecord:
        """The record that is reconstructed by default."""
        return self.records[0]

    def live(self, record: DepositRecord | None = None) -> LiveSet:
        """What a record refers to."""
        return live_set(record or self.newest, self.known)

    def path(self, record: DepositRecord) -> tuple[Envelope, ...]:
        """Signed records from the last full one to this one."""
        path = record_path(record, self.known)
        return tuple(self.envelopes[item.statement_hash] for item in path)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A restoring machine whose warrant was signed and handed in."""

    reader: ReaderParty
    record: DepositRecord
    live: LiveSet
    warrant: StatementHash

    @property
    def identity(self) -> Identity:
        """The reader's TLS identity."""
        return self.reader.identity


@dataclass(kw_only=True)
class Embassy:
    """See the module."""

    folder: Path
    charter: Charter
    envelope: Envelope
    officials: Mapping[str, KeyBundle]  # by label
    vaults: dict[Seat, TestVault]
    depositor: KeyBundle
    depositor_identity: Identity
    delay: int
    processes: bool
    registers: list[AnyRegister] = field(default_factory=list)
    servers: LoopThread = field(default_factory=LoopThread)
    loop: LoopThread = field(default_factory=LoopThread)
    clients: list[HttpVault] = field(default_factory=list)

    # Places

    @property
    def mission(self) -> MissionId:
        """The mission's id."""
        return self.charter.mission_id

    @property
    def home(self) -> Path:
        """The depositing machine's folder."""
        return self.folder / "home"

    def vault_folder(self, seat: int) -> Path:
        """A vault's folder."""
        return self.vaults[Seat(seat)].folder

    def mission_folder(self, seat: int) -> Path:
        """The mission's folder at a vault (spec/vault-folder.md)."""
        return self.vault_folder(seat) / "missions" / self.mission.hex()

    # Vaults

    def new_vault(self, seat: int) -> Path:
        """Set up a vault for a seat that a later charter will have; its seat request."""
        vault = _vault(self.folder, _host(seat), free_ports(2))
        vault.create()
        self.vaults[vault.seat] = vault
        return vault.folder / "seat-request.json"

    def enrol_vault(self, seat: int, enrolment: Path) -> None:
        """Pin the mission there, as `exclave vault enrol` does."""
        vault = self.vaults[Seat(seat)]
        log, seat_key = vault.keys.public[:2]
        data = enrolment.read_bytes()
        enrol(VaultFolder.open(vault.folder), data, log_key=log, seat_key=seat_key)

    def start_vault(self, seat: int) -> None:
        """Serve a vault's folder; again after `stop_vault`."""
        vault = self.vaults[Seat(seat)]
        if self.processes:
            vault.process = _serve_process(vault.folder)
            return
        (vault.mission,) = open_missions(
            VaultFolder.open(vault.folder), engine=FileEngine, keys=vault.seat_keys, clock=clock.now
        )
        vault.server = VaultServer(
            identity=vault.identity,
            missions=[vault.mission],
            config=VaultConfig(data=vault.address.data, public=vault.address.public),
            clock=clock.now,
        )
        self.servers.run(vault.server.start())

    def stop_vault(self, seat: int) -> None:
        """Stop a vault's server; nothing if it does not run."""
        vault = self.vaults[Seat(seat)]
        if vault.server is not None:
            self.servers.run(vault.server.stop())
        if vault.process is not None:
            vault.process.terminate()
            vault.process.communicate(timeout=20)
        vault.server = vault.mission = vault.process = None

    def kill_vault(self, seat: int) -> None:
        """End a vault's process with kill -9; only with `processes`. Its folder stays."""
        vault = self.vaults[Seat(seat)]
        assert vault.process is not None
        vault.process.kill()
        vault.process.communicate()
        vault.process = None

    def lose_vault(self, seat: int) -> None:
        """A receiving state is lost: server and disk."""
        self.stop_vault(seat)
        shutil.rmtree(self.vault_folder(seat))

    def client(self, seat: int, identity: Identity | None = None) -> HttpVault:
        """A client of a vault; without identity for the public record only."""
        vault = self.vaults[Seat(seat)]
        made = HttpVault(
            mission=self.mission,
            seat=vault.seat,
            anchor=vault.identity.certificate,
            public=_address(vault.address.public),
            data=None if identity is None else _address(vault.address.data),
            identity=identity,
            clock=clock.now,
        )
        self.clients.append(made)
        return made

    def running(self) -> tuple[Seat, ...]:
        """Seats whose server runs."""
        return tuple(seat for seat, vault in self.vaults.items() if vault.server or vault.process)

    # Home

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
            )

    def write_config(self) -> Path:
        """`home/deposit.toml` and `home/registers.toml`: for the program itself."""
        plan, config = self.home / "registers.toml", self.home / "deposit.toml"
        plan.write_text("\n".join(_register_toml(item.plan) for item in self.registers))
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

    # Abroad

    def card_files(self, groups: Sequence[int] = (2, 3)) -> list[str]:
        """Texts of the first two cards of each of these groups."""
        return [
            (self.folder / "cards" / f"card-{group}-{member}.txt").read_text()
            for group in groups
            for member in (1, 2)
        ]

    def recovery_private(self, groups: Sequence[int] = (2, 3)) -> XWingPrivateKey:
        """The recovery key, recombined from cards of these groups."""
        shares = [read_share(parse_card(text).words) for text in self.card_files(groups)]
        return XWingPrivateKey.from_seed(recombine(shares))

    def survey(self, seats: Sequence[int] | None = None) -> Survey:
        """Records from the logs of running vaults (or those given), each log checked."""
        chosen = self.running() if seats is None else [Seat(seat) for seat in seats]
        found: dict[StatementHash, DepositRecord] = {}
        envelopes: dict[StatementHash, Envelope] = {}
        for seat in chosen:
            vault = self.client(seat)
            for entry in self.log_entries(seat, vault):
                if entry.type is EntryType.RECORD:
                    body = self.loop.run(vault.body(entry.hash))
                    envelope = parse_envelope(body, kinds=[Kind.RECORD])
                    record = parse_record(envelope)
                    found.setdefault(record.statement_hash, record)
                    envelopes.setdefault(record.statement_hash, envelope)
        return Survey(
            records=newest_first(
                found.values(),
                lambda record: Author(depositor=record.depositor, keys=()),
                self.charter,
            ),
            envelopes=envelopes,
        )

    def log_entries(self, seat: int, vault: HttpVault | None = None) -> list[LogEntry]:
        """A vault's log, checked against its checkpoint."""
        client = vault or self.client(seat)
        entry = self.charter.seat(Seat(seat))
        verifier = log_verifier(self.mission, entry.seat, entry.log_key.raw)
        checkpoint = open_checkpoint(self.loop.run(client.checkpoint()), verifier)
        reader = TileReader(checkpoint.size, lambda path: self.loop.run(client.tile(path)))
        bundles = range(-(-checkpoint.size // TILE_WIDTH))
        return [parse_entry(data) for bundle in bundles for data in reader.entries(bundle)]

    def authorise(
        self,
        folder: Path,
        *,
        record: DepositRecord | None = None,
        signers: Sequence[str] = READERS_ABROAD,
        seats: Sequence[int] | None = None,
    ) -> Reading:
        """Prepare a warrant for a deposit, sign it, hand it in and wait until it is released."""
        survey = self.survey(seats)
        chosen = record or survey.newest
        warrant = self._prepare(folder, survey, chosen, signers)
        for seat in self.running() if seats is None else seats:
            self.await_release(seat, warrant)
        return Reading(
            reader=load_reader(folder),
            record=chosen,
            live=survey.live(chosen),
            warrant=warrant.statement_hash,
        )

    def authorise_later(self, folder: Path, *, signers: Sequence[str]) -> Envelope:
        """Prepare a warrant for the newest deposit, sign it and hand it in at every vault."""
        survey = self.survey()
        warrant = self._prepare(folder, survey, survey.newest, signers)
        for seat in self.running():
            self.loop.run(self.client(seat).submit(warrant.to_bytes()))
        return warrant

    def _prepare(
        self, folder: Path, survey: Survey, chosen: DepositRecord, signers: Sequence[str]
    ) -> Envelope:
        reader = prepare_warrant(
            folder,
            charter=self.charter,
            record=chosen,
            live=survey.live(chosen),
            records=survey.path(chosen),
            deposits=(chosen.deposit,),
            purpose="a test",
            life=timedelta(days=1),
            now=clock.now(),
            random=os.urandom,
        )
        warrant = reader.warrant
        for label in signers:
            warrant = sign_envelope(warrant, self.officials[label].signers)
        replace_file(folder / "warrant.json", [warrant.to_bytes()], mode=0o600)
        attach_warrant(load_reader(folder))
        return warrant

    def view(self, seats: Sequence[int] | None = None) -> MissionView:
        """What the vaults' logs show, as a reader surveys them."""
        chosen = self.running() if seats is None else seats
        return self.loop.run(survey_mission([self.client(s) for s in chosen], self.mission))

    def await_release(self, seat: int, warrant: Envelope) -> State:
        """Hand a warrant in and ask until it no longer waits; its state then."""
        import time

        client = self.client(seat)
        answer = self.loop.run(client.submit(warrant.to_bytes()))
        while answer.state is State.WAITING:
            time.sleep(0.05)
            answer = self.loop.run(client.statement(warrant.statement_hash))
        return answer.state

    def unseal(self, reading: Reading, groups: Sequence[int] = (2, 3)) -> Mapping[bytes, bytes]:
        """Deposit secrets by id, as the officials' offline machine gives them out."""
        file = reading.reader.folder / "unseal-request.json"
        request = parse_unseal_request(parse_envelope(file.read_bytes()))
        private = self.recovery_private(groups)
        epoch = self.charter.epoch(request.epoch)
        given: list[UnsealedSecret] = []
        for item in request.secrets:
            context = DepositContext(
                mission=request.mission,
                deposit=item.deposit,
                epoch=request.epoch,
                key_hash=epoch.key_hash,
            )
            secret = unseal_deposit_secret(private, item.sealed, context)
            sealed = seal_for_reader(request.to.xwing, secret, request.mission, item.secret_id)
            given.append(UnsealedSecret(secret_id=item.secret_id, sealed=sealed))
        answer = UnsealAnswer(
            mission=request.mission,
            epoch=request.epoch,
            secrets=tuple(sorted(given, key=lambda item: item.secret_id)),
        )
        one_time = next(key for key in reading.reader.keys.keys if key.alg == "x-wing").xwing
        return open_answer(answer, one_time, reading.record, reading.live)

    def fetcher(
        self,
        reading: Reading,
        secrets: Mapping[bytes, bytes],
        seats: Sequence[int] | None = None,
    ) -> PackFetcher:
        """Fetches packs as the reader from these seats (default: those that run)."""
        chosen = self.running() if seats is None else [Seat(seat) for seat in seats]
        return PackFetcher(
            loop=self.loop,
            plans=pack_plans(reading.live, mission=self.mission),
            stores={seat: self.client(seat, reading.identity) for seat in chosen},
            secrets=secrets,
        )

    def reconstruct(
        self,
        out: Path,
        *,
        seats: Sequence[int] | None = None,
        groups: Sequence[int] = (2, 3),
        record: DepositRecord | None = None,
        scope: Scope | None = None,
        targets: Callable[[Register], Target] | None = None,
        signers: Sequence[str] = READERS_ABROAD,
    ) -> ReconstructionReport:
        """Authorise, unseal, restore into `out`/<register id>, compare."""
        out.mkdir(parents=True, exist_ok=True)
        place = out / ".work"
        reading = self.authorise(place / "reader", record=record, seats=seats, signers=signers)
        secrets = self.unseal(reading, groups)
        return self.restore(
            reading,
            secrets,
            out=out,
            state=place,
            seats=seats,
            scope=scope,
            targets=targets,
        )

    def restore(
        self,
        reading: Reading,
        secrets: Mapping[bytes, bytes],
        *,
        out: Path,
        state: Path,
        seats: Sequence[int] | None = None,
        scope: Scope | None = None,
        targets: Callable[[Register], Target] | None = None,
    ) -> ReconstructionReport:
        """The last step of `reconstruct`, to be repeated after an interruption."""
        place = targets or partial(default_target, out)
        return reconstruct(
            reading.record,
            fetcher=self.fetcher(reading, secrets, seats),
            target_for=lambda register, source: place(register.part(source)),
            scope=scope or Scope(),
            state=state,
            service=state / "service",
            clock=clock.now,
            progress=QuietReconstruction(),
            warrant=reading.warrant,
            warrant_delay=self.delay,
        )

    def close(self) -> None:
        """Stop everything."""
        for client in self.clients:
            self.loop.run(client.close())
        self.clients.clear()
        for seat in self.vaults:
            self.stop_vault(seat)
        self.loop.close()
        self.servers.close()


def default_target(out: Path, register: Register) -> Target:
    """Files and SQLite registers go into `out`/<id>."""
    if register.kind == "files":
        folder = out / register.id
        folder.mkdir(exist_ok=True)
        return FilesTarget(folder)
    from exclave.source.sqlite import SqliteTarget

    return SqliteTarget(out / register.id)


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
        Seat(i): _vault(folder, _host(i, safe=i in safes), ports[2 * i - 2 : 2 * i])
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


def vault_at(folder: Path, seat: int, address: SeatAddress) -> TestVault:
    """A vault that listens there; its folder is made when a mission is founded."""
    made = _vault(folder, _host(seat), (0, 0))
    made.address = address
    return made


def seat_beside(vault: TestVault, guest: str, address: SeatAddress) -> TestVault:
    """A further seat of a vault's installation, for another mission."""
    made = _vault(vault.folder.parent.parent, vault.host, (0, 0))
    made.folder, made.guest, made.address = vault.folder, guest, address
    return made


def _host(seat: int, *, safe: bool = False) -> Host:
    return Host(
        seat=seat,
        vault=f"vault-{seat}",
        state=f"X{chr(64 + seat)}",
        operator=f"host {seat}",
        safe=safe,
    )


def _vault(folder: Path, host: Host, ports: Sequence[int]) -> TestVault:
    return TestVault(
        host=host,
        folder=folder / "vaults" / host.vault,
        keys=new_vault_key(host.vault, os.urandom),
        identity=new_identity(host.vault, clock.now()),
        address=SeatAddress(data=f"127.0.0.1:{ports[0]}", public=f"127.0.0.1:{ports[1]}"),
    )


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


def _serve_process(folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*PROGRAM, "vault", "serve", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"ready" in process.stdout.readline(), "the vault did not begin to serve"
    return process


def _register_toml(plan: RegisterPlan) -> str:
    """A register of `registers.toml`; files and SQLite only."""
    (source,) = plan.sources
    assert isinstance(source, FilesPlan | SqlitePlan)
    return (
        f'[[register]]\nid = "{plan.id}"\ntitle = "{plan.title}"\nowner = "{plan.owner}"\n'
        f'classification = "{plan.classification}"\nrpo = "{plan.rpo} s"\nrto = "{plan.rto} s"\n'
        f'[register.source]\nkind = "{source.kind}"\npath = "{source.path}"\n'
    )


def write_files(folder: Path, size: int, seed: int) -> None:
    """Files of `size` bytes in all; one in ten depends on the seed. Half of it compresses."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 20
    for i in range(count):
        source = pseudo_random.Random(i if i % 10 else 1000 * seed + i)
        half = max(1, size // count // 2)
        (folder / f"deed-{i:03}.bin").write_bytes(
            source.randbytes(half) + b"deed %d " % i * (half // 8)
        )
    (folder / "Ümläut").mkdir(exist_ok=True)
    (folder / "Ümläut" / "empty").write_bytes(b"")


def write_sqlite(path: Path, *, rows: int, seed: int) -> None:
    """A table of acts; rows that depend on the seed come after the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS act (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany(
            "INSERT OR REPLACE INTO act VALUES (?, ?)",
            [(i, f"act {i} " + "§ " * (i % 50)) for i in range(rows)] + [(10**6 + seed, "new")],
        )


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port))
