"""The depositing machine: its bundle, journal, spool, catalogue and lines, opened for one command.

The bundle is the folder that `exclave found` made for it: `keys.json`, `identity.pem`,
`charter.json`. One command at a time: a lock beside the journal keeps a second one out.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.authority.envelope import Kind, parse_envelope
from exclave.clock import now
from exclave.deposit.depositor import DepositorParty
from exclave.durable import make_path
from exclave.errors import ConfigurationError, ExclaveError, UsageError
from exclave.file_lock import lock_file
from exclave.ids import Seat
from exclave.plan import Plan, load_plan
from exclave.signer.bundle import Purpose
from exclave.signer.file import load_key_file
from exclave.signer.parties import DEDUP_SECRET
from exclave.values import dataclass, replace
from exclave.vault.line.identity_file import read_certificate
from exclave.wiring.files import load_charter
from exclave.wiring.seat_places import reached
from exclave.wiring.settings import DepositSettings, load_deposit_settings

if TYPE_CHECKING:
    from exclave.deposit.capture import DepositProgress
    from exclave.deposit.catalogue import Catalogue
    from exclave.deposit.remembered import Remembering
    from exclave.deposit.run import DepositOutcome, Workplace
    from exclave.deposit.spool import Spool
    from exclave.journal.store import Journal
    from exclave.proof.serving import Prover
    from exclave.proof.values import ProofFindings
    from exclave.vault.line.identity import Identity

__all__ = [
    "ASKING_SECONDS",
    "DepositBusy",
    "Home",
    "StateForeign",
    "open_home",
    "open_stores",
    "run_catch_up",
    "run_deposit",
]

_IDENTITY = "identity.pem"
ASKING_SECONDS = 5
"""How long a vault is waited for that is only asked how it stands."""


class StateForeign(ConfigurationError):
    """Journal or catalogue are of other keys under the same id."""


class DepositBusy(UsageError):
    """Another command of this depositor is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Everything that `deposit.toml` names, read and checked."""

    settings: DepositSettings
    plan: Plan
    party: DepositorParty

    def identity(self) -> Identity:
        """What a deposit shows to vaults; raises `ConfigurationError`."""
        # Who only looks at home is spared X.509, which is a tenth of his time.
        from exclave.vault.line.identity import load_identity

        return load_identity(self.settings.depositor / _IDENTITY)

    @property
    def on_line(self) -> frozenset[Seat]:
        """Seats to which there is a line; the others are safes, which bags alone reach."""
        seats = {entry.seat: entry for entry in self.party.charter.active_seats}
        return frozenset(reached(seats, {*self.settings.addresses, *self.settings.folders}))


def open_home(config: Path) -> Home:
    """Read settings, plan and bundle; raises on the first file that is not as it must be."""
    settings = load_deposit_settings(config)
    plan = load_plan(settings.plan)
    if not settings.depositor.is_dir():
        raise ConfigurationError(
            f"{settings.depositor}: expected the depositor's bundle, got no folder",
            hint="it is depositors/<id> of what exclave found wrote",
        )
    charter = load_charter(settings.depositor / "charter.json")
    keys = load_key_file(settings.depositor / "keys.json")
    certificate = read_certificate(settings.depositor / _IDENTITY)
    if keys.purpose is not Purpose.DEPOSITOR:
        raise ConfigurationError(
            f"keys of {keys.id}: expected a depositor's, got a {keys.purpose}'s"
        )
    entry = next((item for item in charter.depositors if item.id == keys.id), None)
    if entry is None:
        raise ConfigurationError(
            f"depositor {keys.id}: the charter of {settings.depositor} seats no such depositor",
            hint="put the charter that seats it into charter.json",
        )
    if entry.keys != keys.public or entry.identity != certificate:
        raise ConfigurationError(
            f"depositor {keys.id}: the charter seats other keys than those of {settings.depositor}"
        )
    party = DepositorParty(
        id=keys.id,
        charter=charter,
        signers=keys.signers,
        dedup_key=keys.secret(DEDUP_SECRET),
    )
    return Home(settings=settings, plan=plan, party=party)


def run_deposit(
    home: Home,
    registers: tuple[str, ...],
    progress: DepositProgress,
    *,
    read_everything: bool = False,
    prove: bool = False,
    bag_for: Collection[int] = (),
) -> DepositOutcome:
    """Deposit the named registers, or all; files that stand as they did are not read again.

    With `prove` it is proven before its secret is forgotten, which never undoes it. Seats of
    `bag_for` are sent nothing: what they lack lies in the spool, for a bag.
    """
    # Commands that only look at home are spared what deposits need: it is half of their time.
    from exclave.deposit.run import deposit
    from exclave.wiring.registers import task_of

    tasks = [task_of(register) for register in home.plan.select(registers)]
    prover = _prover(home) if prove else None
    carried = {home.party.charter.seat(Seat(seat)).seat for seat in bag_for}
    with _workplace(
        home, progress, read_everything=read_everything, prover=prover, carried=carried
    ) as place:
        outcome = deposit(
            tasks,
            party=home.party,
            place=place,
            plan_text=home.plan.text,
            declared=[register.id for register in home.plan.registers],
        )
    _deliver_waiting(home)
    return outcome if outcome.proof is None else _kept(home, outcome, outcome.proof)


def _prover(home: Home) -> Prover:
    from exclave.wiring.proofs import prover_of

    return prover_of(home.settings)


def _kept(home: Home, outcome: DepositOutcome, found: ProofFindings) -> DepositOutcome:
    """With its certificate; a proof of which none could be kept is none."""
    from exclave.wiring.proofs import keep_proof

    try:
        kept = keep_proof(home, outcome.entry, found)
    except (ExclaveError, OSError) as error:
        problem = f"the certificate of the proof could not be kept: {error}"
        return replace(outcome, proof=replace(found, problem=found.problem or problem))
    return replace(outcome, certificate=kept.path, attested=kept.logged, unattested=kept.unlogged)


def run_catch_up(home: Home, progress: DepositProgress) -> Mapping[Seat, str]:
    """Only bring late seats up to date; returns reasons of those still late."""
    from exclave.deposit.run import catch_up

    with _workplace(home, progress) as place:
        late = catch_up(home.party, place)
    _deliver_waiting(home)
    return late


def _deliver_waiting(home: Home) -> None:
    """Certificates that some vault could not log yet; nobody has a folder of a seat open now."""
    if not (home.settings.evidence / "waiting").is_dir():
        return  # as ever: what it would load is spared
    from exclave.wiring.attesting import deliver_waiting

    deliver_waiting(home)


@contextmanager
def open_stores(home: Home) -> Iterator[tuple[Journal, Spool]]:
    """Journal and spool alone, for what needs no line; nobody else has them meanwhile."""
    from exclave.deposit.spool import Spool
    from exclave.journal.store import Journal

    settings, party = home.settings, home.party
    with _lock(settings.journal):
        journal = Journal.open(
            settings.journal, mission=party.mission, depositor=party.id, epoch=party.epoch
        )
        try:
            yield journal, Spool(settings.spool, limit=settings.spool_limit)
        finally:
            journal.close()


@contextmanager
def _workplace(
    home: Home,
    progress: DepositProgress,
    *,
    read_everything: bool = False,
    carried: Collection[Seat] = (),
    prover: Prover | None = None,
) -> Iterator[Workplace]:
    from exclave.deposit.catalogue import Catalogue
    from exclave.deposit.rebuild import rebuild_journal
    from exclave.deposit.spool import Spool
    from exclave.deposit.workplace import Workplace
    from exclave.journal.store import Journal
    from exclave.lines import LoopThread
    from exclave.wiring.lines import Lines

    settings, party = home.settings, home.party
    with ExitStack() as stack:
        stack.enter_context(_lock(settings.journal))
        scratch = stack.enter_context(_scratch(settings.scratch))
        spool = Spool(settings.spool, limit=settings.spool_limit)
        catalogue = Catalogue(settings.catalogue)
        fresh = not settings.journal.exists()
        journal = Journal.open(
            settings.journal, mission=party.mission, depositor=party.id, epoch=party.epoch
        )
        stack.callback(journal.close)
        _require_own(home, catalogue, journal)
        if fresh and (packs := rebuild_journal(catalogue, journal, spool)):
            progress.phase(f"journal rebuilt from the catalogue: {packs} packs")
        loop = LoopThread()
        stack.callback(loop.close)
        lines = stack.enter_context(
            Lines(
                party.charter,
                loop=loop,
                clock=now,
                identity=home.identity(),
                addresses=settings.addresses,
                folders=settings.folders,
                limits=settings.limits,
            )
        )
        yield Workplace(
            loop=loop,
            lines={seat: line for seat, line in lines.seats.items() if seat not in carried},
            journal=journal,
            spool=spool,
            catalogue=catalogue,
            scratch=scratch,
            clock=now,
            random=os.urandom,
            progress=progress,
            remembering=_remembering(home, read_everything=read_everything),
            prover=prover,
        )


def _remembering(home: Home, *, read_everything: bool) -> Remembering:
    from exclave.deposit.remembered import Remembering

    return Remembering(
        home.settings.journal.with_name(f"remembered-{home.settings.journal.name}"),
        mission=home.party.mission,
        dedup_key=home.party.dedup_key,
        clock=now,
        random=os.urandom,
        read_all_after=home.settings.read_all_after,
        read_everything=read_everything,
    )


def _require_own(home: Home, catalogue: Catalogue, journal: Journal) -> None:
    """New keys share nothing with old ones: their chain, dedup key and state are their own."""
    newest, entries = journal.newest_record(), catalogue.entries()
    kept = {
        home.settings.journal: None if newest is None else newest.envelope,
        home.settings.catalogue: catalogue.envelope(entries[-1].sequence) if entries else None,
    }
    for place, data in kept.items():
        if data is None:
            continue
        envelope = parse_envelope(data, kinds=[Kind.RECORD])
        if any(envelope.signature_of(s.key.key_id) is None for s in home.party.signers):
            raise StateForeign(
                f"{place}: expected records of the keys in {home.settings.depositor}, got others'",
                hint="new keys begin anew: name another journal, catalogue and spool",
            )


@contextmanager
def _lock(journal: Path) -> Iterator[None]:
    make_path(journal.parent)
    with lock_file(Path(f"{journal}.lock")) as held:
        if held is None:
            raise DepositBusy(
                f"{journal}: another exclave deposit is at work", hint="wait until it has ended"
            )
        yield


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    import shutil
    import tempfile

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in folder.glob("run-*"):
        # Of a run that was killed: the lock says that nobody works here now.
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as place:
        yield Path(place)
