"""`exclave drill FOLDER`: a real mission's deposit, its officials and cards, for practice.

The folder is that of `warrant prepare`, signed, submitted and unsealed as for a reconstruction; so
what is rehearsed is what would be done. Ends in a certificate, whatever was found; only what makes
a drill impossible before anything was restored (a wrong answer, a quarantine that is unfit) leaves
none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from exclave import __version__
from exclave.authority.charter_chain import CharterChain, verify_chain
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.record import DepositRecord, parse_record
from exclave.authority.unsealing import parse_unseal_request
from exclave.authority.warrant import Warrant, parse_warrant, warranting_roster
from exclave.certificate.drill import Drill, drill_envelope, verify_drill
from exclave.certificate.results import CertificateHead, Results, one_line
from exclave.clock import now
from exclave.drill.rehearsal import Rehearsal
from exclave.drill.targets import DrillTargets
from exclave.durable import replace_file
from exclave.errors import DifferenceFound, ExclaveError, StorageError
from exclave.evidence import EvidenceStore
from exclave.ids import MissionId
from exclave.plan import Plan
from exclave.quarantine.databases import QuarantineOccupied
from exclave.quarantine.folder import QuarantineFull, open_quarantine
from exclave.quarantine.own_server import NoServer
from exclave.reconstruct.run import ReconstructProgress
from exclave.reconstruct.warranting import ReaderParty, load_reader
from exclave.signer.interface import sign_envelope
from exclave.values import dataclass
from exclave.wiring.files import load_envelope
from exclave.wiring.officials import CHARTERS
from exclave.wiring.reader import AskAgain, Places, Restoring, rebuild, write_report

if TYPE_CHECKING:
    from exclave.reconstruct.report import ReconstructionReport
    from exclave.wiring.depositor import Home

__all__ = ["CERTIFICATE", "SHOWN", "Drilling", "Held", "forecast_for", "hold_drill"]

CERTIFICATE: Final = "drill.json"
"""The certificate's name in the reconstruction's folder."""
SHOWN: Final = (
    "This shows that vaults, officials and cards gave the deposit back, and that every row and",
    "file is as it was captured. It does not show that runbooks work. A proof (deposit --prove)",
    "shows less, and every day: that packs as sent decode and restore; what lies in earlier packs",
    "it reads from the register again.",
)
"""What a drill proves, beside what a proof does."""
_UNFIT: Final = (QuarantineFull, NoServer, QuarantineOccupied)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilling:
    """What a drill is told; with fewer registers than all it cannot pass."""

    what: Restoring
    plan: Plan
    quarantine: Path
    forecast: Mapping[str, float] = MappingProxyType({})  # seconds of work on each by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A drill that was held, whatever came of it."""

    drill: Drill
    envelope: Envelope
    warrant: Envelope
    report: ReconstructionReport | None
    failure: ExclaveError | None

    @property
    def exit_code(self) -> int:
        """0 when it passed, else what its failure says, or that there are differences."""
        if self.drill.passed:
            return 0
        return DifferenceFound.exit_code if self.failure is None else self.failure.exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowed:
    """The warrant, and by whom."""

    reader: ReaderParty
    envelope: Envelope
    warrant: Warrant
    chain: CharterChain
    delay: int
    record: DepositRecord


def forecast_for(home: Home) -> Mapping[str, float]:
    """Seconds of work on each register alone, as `check` forecasts them; none of the unknown."""
    from exclave.wiring.check_evidence import rehearsed
    from exclave.wiring.check_forecast import forecast_of

    store = EvidenceStore(home.settings.evidence)
    known = rehearsed(home.plan.registers, store)
    return {
        item.id: item.restore
        for item in forecast_of(home, known.restore).registers
        if item.restore_basis != "unknown"
    }


def hold_drill(
    drilling: Drilling, shown: ReconstructProgress, *, ask: AskAgain | None = None
) -> Held:
    """Reconstruct into quarantine, prove, assert, and write the certificate into the folder.

    With `ask`, an answer that does not fit is refused and the drill goes on with the next one.
    Raises what makes a drill impossible, and `QuarantineLeft` when all but the removal was done.
    """
    allowed, given = _allowed(drilling.what.folder), drilling.what.targets.default_server
    with (
        open_quarantine(drilling.quarantine) as quarantine,
        closing(DrillTargets(quarantine, given)) as targets,
    ):
        rehearsal = Rehearsal(
            drilling.plan,
            targets,
            shown,
            issued=allowed.warrant.issued,
            clock=now,
            forecast=drilling.forecast.get,
        )
        started = now()
        report, failure = _rebuilt(drilling.what, rehearsal, targets, ask)
        drill = _drill(drilling, allowed, rehearsal, started=started, failure=failure)
        held = _signed(drill, allowed, report, failure)
        _write(drilling.what.folder, held)
    return held


def _rebuilt(
    what: Restoring, rehearsal: Rehearsal, targets: DrillTargets, ask: AskAgain | None
) -> tuple[ReconstructionReport | None, ExclaveError | None]:
    """What the reconstruction reports, or why it failed; raises what makes a drill impossible."""
    state = targets.quarantine / "state"
    state.mkdir(mode=0o700)
    places = Places(
        target_for=targets.target_for,
        state=state,
        service=targets.quarantine / "service",
        opened=rehearsal.opened,
    )
    asking = _Asking(ask, rehearsal)
    try:
        return rebuild(what, rehearsal, places, ask=asking), None
    except _UNFIT:
        raise
    except (ExclaveError, OSError) as error:
        if asking.refused:
            raise
        return None, error if isinstance(error, ExclaveError) else _no_disk(error)


def _drill(
    drilling: Drilling,
    allowed: _Allowed,
    rehearsal: Rehearsal,
    *,
    started: datetime,
    failure: ExclaveError | None,
) -> Drill:
    """All that the certificate says of it."""
    return Drill(
        head=CertificateHead(
            mission=allowed.warrant.mission,
            charter=allowed.warrant.charter,
            salt=os.urandom(32),
            software=f"exclave/{__version__}",
        ),
        warrant=allowed.envelope.statement_hash,
        prepared=allowed.warrant.issued,
        delay=allowed.delay,
        results=Results(
            plan=hashlib.sha256(drilling.plan.text).digest(),
            declared=rehearsal.declared,
            deposit=allowed.record.deposit,
            record=allowed.reader.record,
            started=started.replace(microsecond=0),
            # The clock may have been set back.
            ended=max(started, now()).replace(microsecond=0),
            failure=None if failure is None else one_line(failure.message),
        ),
        registers=tuple(rehearsal.found),
        only=tuple(dict.fromkeys(drilling.what.scope.registers)),
    )


class _Asking:
    """Remembers that an answer was refused and no other came: then there was no drill."""

    def __init__(self, ask: AskAgain | None, rehearsal: Rehearsal) -> None:
        self._ask = ask
        self._rehearsal = rehearsal
        self.refused = False

    def __call__(self, error: ExclaveError) -> Path:
        self.refused = True
        if self._ask is None:
            raise error
        answer = self._ask(error)
        self.refused = False
        self._rehearsal.begin()
        return answer


def _allowed(folder: Path) -> _Allowed:
    """Raises `QuorumNotReached` where officials did not sign enough: that would be no drill."""
    reader = load_reader(folder)
    files = sorted((folder / CHARTERS).glob("*.json"))
    charters = [load_envelope(file, Kind.CHARTER) for file in files]
    envelope = reader.warrant
    warrant = parse_warrant(envelope)
    chain = verify_chain(charters, MissionId(warrant.mission))
    named = chain.find(warrant.charter)
    charter, roster = warranting_roster(envelope, named, chain.before(named))
    return _Allowed(
        reader=reader,
        envelope=envelope,
        warrant=warrant,
        chain=chain,
        delay=charter.role(roster).delay,
        record=_record(reader),
    )


def _record(reader: ReaderParty) -> DepositRecord:
    request = parse_unseal_request(
        load_envelope(reader.folder / "unseal-request.json", Kind.UNSEAL_REQUEST)
    )
    found = (item for item in request.records if item.statement_hash == reader.record)
    return parse_record(next(found))


def _no_disk(error: OSError) -> ExclaveError:
    return StorageError(f"{error.filename or 'quarantine'}: {error.strerror or error}")


def _signed(
    drill: Drill,
    allowed: _Allowed,
    report: ReconstructionReport | None,
    failure: ExclaveError | None,
) -> Held:
    envelope = sign_envelope(drill_envelope(drill), allowed.reader.keys.signers)
    named = allowed.chain.find(allowed.warrant.charter)
    verify_drill(envelope, allowed.envelope, named, allowed.chain.before(named))
    return Held(
        drill=drill,
        envelope=envelope,
        warrant=allowed.envelope,
        report=report,
        failure=failure,
    )


def _write(folder: Path, held: Held) -> None:
    replace_file(folder / CERTIFICATE, [held.envelope.to_bytes()], mode=0o600)
    if held.report is not None:
        write_report(folder, held.report)
