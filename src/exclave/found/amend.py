"""The next charter from the one in force and a file of changes; a new era for exile.

Signatures come later, elsewhere (`exclave sign`), and vaults ask for more than this: whether the
charter before is the right one, and who counts, their logs say.

Order, and why:
 1. the charter before is read, and the file must be made against it;
 2. every change is tried; what does not fit is refused together, before a seed exists;
 3. a new epoch's key is drawn, shared and tried out;
 4. the charter is made, which checks its rules;
 5. everything is written where nobody looks for it;
 6. cards go out one by one;
 7. the folder appears under its name.
Whatever fails before 7 leaves nothing; cards that went out by then are worthless, since no charter
names their key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from exclave.authority.annex import AnnexEntry, annex_bytes, parse_annex, verify_annex
from exclave.authority.charter import Charter, charter_payload, parse_charter
from exclave.authority.charter_parts import Depositor, RecoveryEpoch, Role, RoleName, SeatEntry
from exclave.authority.charter_settings import Delays, Dispersal, Quotas, Settings, Witness
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.errors import AuthorityError, ConfigurationError
from exclave.found.cards import CardOutlet
from exclave.found.change_desk import ChangeDesk, Persons
from exclave.found.change_parts import (
    change_depositors,
    change_dispersal,
    change_expiry,
    change_seats,
    change_settings,
    change_witness,
    changed_delays,
    changed_quotas,
)
from exclave.found.change_persons import change_persons, change_rosters
from exclave.found.change_recovery import check_recovery, draw_recovery, holders
from exclave.found.changes import load_changes
from exclave.found.output import CHARTER, OutputExists, staged
from exclave.found.recovery import NewRecovery, hand_out
from exclave.found.summary import summary
from exclave.ids import StatementHash
from exclave.sealing.secret import seal_annex
from exclave.signer.file import write_once
from exclave.signer.interface import Signer, sign_envelope
from exclave.values import dataclass, replace

__all__ = [
    "ANNEX",
    "PREVIOUS",
    "SEALED_ANNEX",
    "Amended",
    "Successor",
    "amend",
]

PREVIOUS = "previous.json"
ANNEX = "annex.json"
SEALED_ANNEX = "annex.sealed"
_RULE = re.compile(r"charter\.([a-z_0-9.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """What is amended, and how."""

    changes: Path
    charter: Path  # the one before
    annex: Path | None
    era: bool  # a new era, which exile opens, in place of the next version
    above: int | None = None  # a new era above this one: a vault may know more than `charter`


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """The next charter as it lies in the folder."""

    before: Charter
    charter: Charter
    cards: int
    lines: tuple[str, ...]  # the summary in plain words


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    charter: Charter
    persons: Persons
    annex: bytes | None  # sealed; None when it stays that of the charter before
    recovery: NewRecovery | None


def amend(
    what: Successor,
    *,
    out: Path,
    outlet: CardOutlet | None,
    signers: Sequence[Signer],
    now: datetime,
    random: Callable[[int], bytes],
) -> Amended:
    """Draft the next charter into a new folder; raises `ChangesRefused` or the rule it breaks."""
    if out.exists():
        raise OutputExists(f"{out}: expected no such file or folder, got one")
    changes, places = load_changes(what.changes)
    data = _read(what.charter)  # 1
    before = parse_charter(parse_envelope(data, kinds=[Kind.CHARTER]))
    annex = None if what.annex is None else _read_annex(what.annex, before)
    desk = ChangeDesk(
        before=before,
        changes=changes,
        places=places,
        folder=what.changes.parent,
        random=random,
    )
    draft = _draft(desk, annex, era=_era(what, before), outlet=outlet, now=now)
    envelope = Envelope(payload=charter_payload(draft.charter), kind=Kind.CHARTER)
    envelope = sign_envelope(envelope, signers)
    lines = summary(before, draft.charter, draft.persons.names or {})
    cards = 0
    with staged(out) as stage:
        write_once(stage / CHARTER, envelope.to_bytes())  # 5
        write_once(stage / PREVIOUS, data)
        write_once(stage / "summary.txt", "".join(f"{line}\n" for line in lines).encode("utf-8"))
        if draft.annex is not None:
            write_once(stage / ANNEX, annex_bytes(_ascending(draft.persons)))
            write_once(stage / SEALED_ANNEX, draft.annex)
        if draft.recovery is not None and changes.recovery is not None and outlet is not None:
            cards = hand_out(  # 6
                draft.recovery.shares,
                draft.charter,
                changes.recovery.group,
                holders(desk, changes.recovery, draft.persons),
                reader=changes.recovery.reader,
                outlet=outlet,
            )
    return Amended(before=before, charter=draft.charter, cards=cards, lines=lines)  # 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    dispersal: Dispersal
    depositors: tuple[Depositor, ...]
    settings: Settings
    delays: Delays
    quotas: Quotas
    witness: Witness
    advisory_expiry: datetime
    seats: tuple[SeatEntry, ...]
    rosters: tuple[tuple[RoleName, Role], ...]


def _draft(
    desk: ChangeDesk,
    annex: tuple[AnnexEntry, ...] | None,
    *,
    era: int | None,
    outlet: CardOutlet | None,
    now: datetime,
) -> _Draft:
    before, moment = desk.before, now.replace(microsecond=0)
    _check_against(desk)
    persons = change_persons(desk, annex)  # 2
    parts = _parts(desk, persons, moment)
    check_recovery(desk, persons, era=era is not None)
    desk.refuse()
    recovery = draw_recovery(desk, outlet)  # 3
    epochs = before.recovery if recovery is None else _one_more(before, recovery.epoch)
    names = _ascending(persons)
    sealed = None
    if annex is not None and (recovery is not None or names != annex):
        sealed = seal_annex(epochs[-1].key.xwing, annex_bytes(names))
    try:
        charter = _charter(desk, persons, parts, era=era, epochs=epochs, moment=moment)  # 4
    except AuthorityError as error:
        raise _located(desk, error) from error
    if sealed is not None:
        charter = replace(charter, annex=hashlib.sha256(sealed).digest())
    return _Draft(charter=charter, persons=persons, annex=sealed, recovery=recovery)


def _parts(desk: ChangeDesk, persons: Persons, moment: datetime) -> _Parts:
    seats = change_seats(desk)
    return _Parts(
        dispersal=change_dispersal(desk, seats),
        depositors=change_depositors(desk),
        settings=change_settings(desk, seats),
        delays=changed_delays(desk),
        quotas=changed_quotas(desk),
        witness=change_witness(desk),
        advisory_expiry=change_expiry(desk, moment),
        seats=seats,
        rosters=change_rosters(desk, persons),
    )


def _charter(
    desk: ChangeDesk,
    persons: Persons,
    parts: _Parts,
    *,
    era: int | None,
    epochs: tuple[RecoveryEpoch, ...],
    moment: datetime,
) -> Charter:
    before, notice = desk.before, desk.changes.notice
    return replace(
        before,
        mission=before.mission_id,
        era=before.era if era is None else era,
        version=before.version + 1 if era is None else 1,
        previous=StatementHash(before.statement_hash),
        notice=before.notice if notice is None else notice,
        issued=moment,
        advisory_expiry=parts.advisory_expiry,
        dispersal=parts.dispersal,
        seats=parts.seats,
        recovery=epochs,
        officials=tuple(persons.officials[person] for person in sorted(persons.officials)),
        rosters=parts.rosters,
        delays=parts.delays,
        witness=parts.witness,
        depositors=parts.depositors,
        quotas=parts.quotas,
        settings=parts.settings,
    )


def _era(what: Successor, before: Charter) -> int | None:
    """The number of the era that is opened; None: it is the next version."""
    if not what.era and what.above is None:
        return None
    return max(before.era, what.above or 0) + 1


def _check_against(desk: ChangeDesk) -> None:
    before, changes = desk.before, desk.changes
    if changes.mission != before.mission_id.hex():
        desk.complain(
            ("mission",), f"expected {before.mission_id.hex()} of the charter, got another"
        )
    order = f"{before.era}.{before.version}"
    if changes.after != order:
        desk.complain(
            ("after",),
            f"expected {order}, the charter that was given, got {changes.after}: changes are made "
            "against the charter in force",
        )


def _one_more(before: Charter, new: RecoveryEpoch) -> tuple[RecoveryEpoch, ...]:
    return (*(replace(epoch, current=False) for epoch in before.recovery), new)


def _ascending(persons: Persons) -> tuple[AnnexEntry, ...]:
    names = persons.names or {}
    return tuple(names[person] for person in sorted(names))


def _located(desk: ChangeDesk, error: AuthorityError) -> AuthorityError:
    """The rule's own error, with the line of the file that it concerns."""
    match = _RULE.search(error.message)
    path: tuple[str, ...] = tuple(match[1].rstrip(".").split(".")) if match else ()
    singular = {"seats": "seat", "officials": "official", "depositors": "depositor"}
    place = tuple(singular.get(part, part) for part in path)
    line = desk.places.line(place)
    return type(error)(f"{desk.places.name}:{line}: {error.message}", hint=error.hint)


def _read_annex(path: Path, before: Charter) -> tuple[AnnexEntry, ...]:
    entries = parse_annex(_read(path))
    verify_annex(entries, before)
    return entries


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
