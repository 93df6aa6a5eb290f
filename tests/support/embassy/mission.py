"""The whole mission: served, deposited, and read abroad."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from exclave import clock
from exclave.archive.manifest import Register
from exclave.authority.card import parse_card
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.record import DepositRecord, parse_record
from exclave.authority.record_chain import Author, newest_first
from exclave.authority.unsealing import UnsealAnswer, UnsealedSecret, parse_unseal_request
from exclave.demo.founding import READERS_ABROAD
from exclave.durable import replace_file
from exclave.ids import Seat, StatementHash
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.entry import EntryType, LogEntry, parse_entry
from exclave.ledger.tiles import TILE_WIDTH, TileReader
from exclave.reconstruct.fetch import PackFetcher
from exclave.reconstruct.plans import open_answer, pack_plans
from exclave.reconstruct.report import ReconstructionReport
from exclave.reconstruct.run import Scope, reconstruct
from exclave.reconstruct.warranting import attach_warrant, load_reader, prepare_warrant
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import DepositContext, seal_for_reader, unseal_deposit_secret
from exclave.shares import read_share, recombine
from exclave.signer.interface import sign_envelope
from exclave.source.interface import Target
from exclave.vault.client.client import HttpVault
from exclave.vault.interface import State
from exclave.vault.survey.survey import MissionView
from exclave.vault.survey.survey import survey as survey_mission
from tests.support.embassy.home import AtHome
from tests.support.embassy.progress import QuietReconstruction
from tests.support.embassy.reading import Reading, Survey
from tests.support.embassy.registers import default_target


class Embassy(AtHome):
    """A mission from its founding to its reconstruction: see the package."""

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
