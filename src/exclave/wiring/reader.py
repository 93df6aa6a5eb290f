"""The restoring machine: survey of vaults or folders, warrants, reconstruction.

The folder of a reconstruction (see `exclave.reconstruct.warranting`) also keeps `charter.json`, so
that after `warrant prepare` no card is needed to find the vaults. Vaults are asked under the
reader's own identity; without a released warrant they give no shard.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.authority.card import CardHead, parse_card_head
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain
from exclave.authority.charter_parts import RoleName
from exclave.authority.envelope import Envelope, Kind, envelope_for, parse_envelope
from exclave.authority.keys import X_WING
from exclave.authority.unsealing import parse_unsealed
from exclave.authority.warrant import parse_warrant, warranting_roster
from exclave.clock import now
from exclave.durable import replace_file
from exclave.errors import ConfigurationError, ExclaveError, MalformedData, QuorumNotReached
from exclave.ids import MissionId, Seat, StatementHash
from exclave.lines import LoopThread
from exclave.reconstruct.choose import choose_deposit, live_of, path_of
from exclave.reconstruct.findings import Findings, findings
from exclave.reconstruct.warranting import ReaderParty, attach_warrant, load_reader, prepare_warrant
from exclave.signer.interface import sign_envelope
from exclave.values import dataclass
from exclave.vault.survey.survey import DepositView, MissionNotFound, MissionView, survey
from exclave.vault.survey.walking import CarriedRecord
from exclave.wiring.bag_sources import BagSources, open_bag_sources
from exclave.wiring.bootstrap import first_charter
from exclave.wiring.copies import joined
from exclave.wiring.files import load_charter, load_envelope, new_folder, read_file
from exclave.wiring.lines import Lines
from exclave.wiring.officials import store_charters
from exclave.wiring.registers import target_of
from exclave.wiring.seats import QUICK_SECONDS, QUICKLY, each_seat

if TYPE_CHECKING:
    from exclave.authority.record import DepositRecord
    from exclave.authority.record_chain import LiveSet
    from exclave.reconstruct.report import ReconstructionReport
    from exclave.reconstruct.run import Opened, ReconstructProgress, Scope, TargetFor
    from exclave.vault.interface import PublicRecord, ShardStore, StatementState
    from exclave.vault.line.identity import Identity
    from exclave.wiring.settings import TargetSettings

__all__ = [
    "NO_MEDIA",
    "AskAgain",
    "DepositUnknown",
    "Media",
    "Places",
    "Prepared",
    "Restoring",
    "load_card",
    "prepare",
    "rebuild",
    "run_reconstruction",
    "submit_warrant",
    "survey_card",
    "survey_charter",
    "survey_folders",
    "survey_source",
    "warrant_states",
    "write_report",
]

_CHARTER = "charter.json"


class DepositUnknown(ConfigurationError):
    """No vault that answered has a record of the deposit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What was carried to the restoring machine; `alone` where no vault is asked."""

    alone: bool = False
    vault_folders: tuple[Path, ...] = ()
    bags: tuple[Path, ...] = ()  # folders, and volumes


NO_MEDIA = Media()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A reconstruction's folder as it was made."""

    reader: ReaderParty
    deposit: DepositView
    charter: Charter
    findings: Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    records: Sequence[PublicRecord]
    stores: Mapping[Seat, ShardStore]


_NO_BAGS = BagSources(bags={})


def load_card(path: Path) -> CardHead:
    """A card from a file."""
    try:
        return parse_card_head(read_file(path).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedData(f"{path}: not a card: expected UTF-8") from error


def survey_card(card: CardHead) -> MissionView:
    """What the vaults on a card say, checked from the mission id on."""
    return survey_charter(first_charter(card)[1])


def survey_source(source: CardHead | Charter) -> MissionView:
    """What the vaults say that a card or a charter names."""
    return survey_card(source) if isinstance(source, CardHead) else survey_charter(source)


def survey_charter(charter: Charter, carried: Sequence[CarriedRecord] = ()) -> MissionView:
    """What the vaults of a charter say, and those of the one that is in force there.

    With what bags say that were `carried` here.
    """
    found: MissionView | None = None
    with _loop() as loop:
        # The seats of the charter in force may be others than those of charter 1: they are asked
        # then; seats that it has retired no longer are. A step that finds nobody leaves what was
        # found before.
        while found is None or found.charter.order > charter.order:
            charter = charter if found is None else found.charter
            with _lines(charter, loop, None) as sources:
                try:
                    found = loop.run(survey(sources.records, charter.mission_id, carried=carried))
                except MissionNotFound:
                    if found is None:
                        raise
                    break
    return found


def survey_folders(
    mission: MissionId, folders: Sequence[Path], carried: Sequence[CarriedRecord] = ()
) -> MissionView:
    """What vaults' folders and bags say, checked from the mission id on; asks nobody."""
    with _loop() as loop:
        return loop.run(survey(_disks(folders, mission)[0], mission, carried=carried))


def _disks(
    folders: Sequence[Path], mission: MissionId
) -> tuple[Sequence[PublicRecord], Mapping[Seat, ShardStore]]:
    if not folders:
        return (), {}
    from exclave.wiring.disks import open_disks

    disks = open_disks(folders, mission)
    return disks.vaults, disks.stores


def prepare(
    source: CardHead | Charter,
    folder: Path,
    *,
    deposit: str,
    purpose: str,
    life: timedelta,
    media: Media = NO_MEDIA,
) -> Prepared:
    """Make a reconstruction's folder; `deposit` may be `all`, which warrants every deposit.

    The vaults of a card or a charter are asked, unless the media are to be all.
    """
    new_folder(folder)
    mission = source.mission if isinstance(source, CardHead) else source.mission_id
    bags = _bags(media, mission)
    view, seats = bags.judged(_surveyed(source, mission, media, bags))
    everything = deposit == "all"
    chosen = choose_deposit(view, "latest" if everything else deposit, seats)
    reader = prepare_warrant(
        folder,
        charter=view.charter,
        record=chosen.record,
        live=live_of(chosen),
        records=path_of(view, chosen),
        deposits=None if everything else (chosen.deposit,),
        purpose=purpose,
        life=life,
        now=now(),
        random=os.urandom,
    )
    envelope = next(
        item
        for item in view.charter_envelopes
        if item.statement_hash == view.charter.statement_hash
    )
    replace_file(folder / _CHARTER, [envelope.to_bytes()], mode=0o600)
    store_charters(folder, view.charter_envelopes)
    return Prepared(
        reader=reader,
        deposit=chosen,
        charter=view.charter,
        findings=findings(view, chosen, seats),
    )


def _surveyed(
    source: CardHead | Charter, mission: MissionId, media: Media, bags: BagSources
) -> MissionView:
    if media.alone:
        return survey_folders(mission, media.vault_folders, bags.records)
    charter = first_charter(source)[1] if isinstance(source, CardHead) else source
    return survey_charter(charter, bags.records)


def _bags(media: Media, mission: MissionId) -> BagSources:
    if not media.bags:
        return _NO_BAGS
    return open_bag_sources(media.bags, mission)


def submit_warrant(place: Path, card: CardHead | None) -> Mapping[Seat, StatementState | str]:
    """Hand a signed warrant to every vault; a folder's unseal request gets it too."""
    charter = _charter_for(place, card)
    file = place / "warrant.json" if place.is_dir() else place
    envelope = load_envelope(file, Kind.WARRANT)
    if place.is_dir():
        attach_warrant(load_reader(place))
    return each_seat(charter, lambda record: record.submit(envelope.to_bytes()))


def warrant_states(place: Path, card: CardHead | None) -> Mapping[Seat, StatementState | str]:
    """Where a warrant stands at every vault."""
    charter = _charter_for(place, card)
    file = place / "warrant.json" if place.is_dir() else place
    statement = load_envelope(file, Kind.WARRANT).statement_hash
    return each_seat(charter, lambda record: record.statement(statement))


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What a reconstruction is told."""

    folder: Path
    answer: Path
    targets: TargetSettings
    scope: Scope
    media: Media = NO_MEDIA
    seat_keys: tuple[Path, ...] = ()  # for bags


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a reconstruction writes."""

    target_for: TargetFor
    state: Path  # progress, and scratch
    service: Path  # runbooks and artefacts
    opened: Opened = lambda _: None  # told what the deposit holds


AskAgain = Callable[[ExclaveError], Path]
"""Told why an answer is not the right one: gives another, or raises that error."""


def run_reconstruction(what: Restoring, progress: ReconstructProgress) -> ReconstructionReport:
    """Reconstruct; writes report.json (signed by the reader's key) and report.txt."""
    places = Places(
        target_for=lambda register, source: target_of(register, source, what.targets),
        state=_state_folder(what),
        service=what.folder / "service",
    )
    report = rebuild(what, progress, places)
    write_report(what.folder, report)
    return report


def write_report(folder: Path, report: ReconstructionReport) -> None:
    """Put report.json, which the reader's key signs, and report.txt into its folder."""
    from exclave.reconstruct.report import report_payload, report_text

    signers = load_reader(folder).keys.signers
    envelope = sign_envelope(envelope_for(report_payload(report)), signers)
    replace_file(folder / "report.json", [envelope.to_bytes()], mode=0o600)
    replace_file(folder / "report.txt", [report_text(report).encode()], mode=0o600)


def rebuild(
    what: Restoring,
    progress: ReconstructProgress,
    places: Places,
    *,
    ask: AskAgain | None = None,
) -> ReconstructionReport:
    """Fetch, restore and compare; `what.targets` says only which vaults lie in folders.

    With `ask`, an answer that does not open the deposit is refused and asked for again, before
    anything was restored.
    """
    from exclave.reconstruct.fetch import PackFetcher
    from exclave.reconstruct.plans import pack_plans
    from exclave.reconstruct.run import reconstruct

    reader = load_reader(what.folder)
    charter = load_charter(what.folder / _CHARTER)
    bags = _bags(what.media, charter.mission_id)
    carried = bags.stores(what.seat_keys)
    with _loop() as loop, _sources(what, charter, loop, reader.identity) as sources:
        view, seats = bags.judged(
            loop.run(survey(sources.records, charter.mission_id, carried=bags.records))
        )
        chosen = _recorded(view, reader.record)
        live = live_of(chosen)
        fetcher = PackFetcher(
            loop=loop,
            plans=pack_plans(live, view.supplements, mission=view.mission),
            stores=joined(sources.stores, carried) if carried else sources.stores,
            secrets=_secrets(what.answer, reader, chosen.record, live, ask),
        )
        return reconstruct(
            chosen.record,
            fetcher=fetcher,
            target_for=places.target_for,
            scope=what.scope,
            state=places.state,
            service=places.service,
            clock=now,
            progress=progress,
            warrant=reader.warrant.statement_hash,
            warrant_delay=_warrant_delay(reader.warrant, view.chain),
            findings=findings(view, chosen, seats),
            opened=places.opened,
        )


def _secrets(
    answer: Path,
    reader: ReaderParty,
    record: DepositRecord,
    live: LiveSet,
    ask: AskAgain | None,
) -> Mapping[bytes, bytes]:
    from exclave.reconstruct.plans import open_answer

    while True:
        try:
            opened = parse_unsealed(parse_envelope(read_file(answer), kinds=[Kind.UNSEALED]))
            return open_answer(opened, reader.keys.only(X_WING).xwing, record, live)
        except ExclaveError as error:
            if ask is None:
                raise
            answer = ask(error)


def _warrant_delay(envelope: Envelope, chain: CharterChain) -> int:
    """Seconds that the roster which signed waits before it may read; home's where none did."""
    named = chain.find(parse_warrant(envelope).charter)
    try:
        charter, roster = warranting_roster(envelope, named, chain.before(named))
    except QuorumNotReached:  # only disks are left, and a warrant that nobody signed
        charter, roster = named, RoleName.READ
    return charter.role(roster).delay


def _state_folder(what: Restoring) -> Path:
    """Where progress is kept: apart for other places, where nothing has been restored yet."""
    targets = what.targets
    named = {"default/server": targets.default_server, "default/folder": targets.default_folder}
    named |= targets.registers
    named |= {f"{register}/{source}": item for (register, source), item in targets.sources.items()}
    places = sorted((name, target.place) for name, target in named.items() if target)
    folder = what.folder / "state" / hashlib.sha256(repr(places).encode()).hexdigest()[:16]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _recorded(view: MissionView, statement: StatementHash) -> DepositView:
    for item in view.deposits:
        if item.statement == statement:
            return item
    raise DepositUnknown(
        f"record {statement.hex()[:16]}: no vault or folder that was asked has it",
        hint="\n".join(f"seat {item.seat}: {item.what}" for item in view.problems) or None,
    )


@contextmanager
def _sources(
    what: Restoring, charter: Charter, loop: LoopThread, identity: Identity
) -> Iterator[_Sources]:
    if not what.media.alone:
        with _lines(charter, loop, identity, what.targets.folders) as sources:
            yield sources
        return
    records, stores = _disks(what.media.vault_folders, charter.mission_id)
    yield _Sources(records=records, stores=stores)


@contextmanager
def _lines(
    charter: Charter,
    loop: LoopThread,
    identity: Identity | None,
    folders: Mapping[Seat, Path] | None = None,
) -> Iterator[_Sources]:
    with Lines(
        charter,
        loop=loop,
        clock=now,
        identity=identity,
        folders=folders,
        policy=QUICKLY,
        idle_seconds=QUICK_SECONDS,
    ) as lines:
        seats = lines.seats
        yield _Sources(
            records=[line.record for line in seats.values()],
            stores={seat: line.store for seat, line in seats.items()},
        )


def _charter_for(place: Path, card: CardHead | None) -> Charter:
    beside = place / _CHARTER if place.is_dir() else place.with_name(_CHARTER)
    if beside.is_file():
        return load_charter(beside, None if card is None else card.mission)
    if card is None:
        raise ConfigurationError(
            f"{place}: no {_CHARTER} beside it says where the vaults are", hint="give --card CARD"
        )
    return first_charter(card)[1]


@contextmanager
def _loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    try:
        yield loop
    finally:
        loop.close()
