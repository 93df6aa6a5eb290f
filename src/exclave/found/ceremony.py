"""The founding of a mission, in one step or in two.

One step (`found`): enough officials' keys are at hand. Two steps: `prepare` hands out the cards and
leaves a charter without signatures, officials add theirs elsewhere (`sign_file`), `complete` checks
the threshold and writes the enrolments. Shares never wait on a disk: cards are handed out in the
first step, before anything else becomes visible.

Order, and why:
 1. inputs and share layout are checked before a seed exists;
 2. the seed is drawn, shared, and its shares are tried out in all combinations;
 3. the charter is made, which checks its rules, and signed: too few signatures stop here;
 4. everything is written where nobody looks for it;
 5. cards go out one by one;
 6. the folder appears under its name.
Whatever fails before 6 leaves nothing; cards that went out by then are worthless, since no charter
names their key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from exclave.authority.annex import annex_bytes
from exclave.authority.charter import Charter, charter_payload, parse_charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.charter_parts import RoleName
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.persons import require_threshold
from exclave.durable import replace_file
from exclave.errors import ConfigurationError
from exclave.found.cards import CardOutlet
from exclave.found.depositor import NewDepositor, new_depositor, write_bundle
from exclave.found.draft import Founders, draft_charter, read_founders
from exclave.found.output import (
    CHARTER,
    DEPOSITORS,
    ENROLMENTS,
    OutputExists,
    founding_enrolments,
    staged,
    write_enrolments,
    write_mission,
)
from exclave.found.plan import FoundingPlan
from exclave.found.recovery import hand_out, new_recovery
from exclave.ids import Epoch, MissionId
from exclave.sealing.secret import seal_annex
from exclave.shares import Trial
from exclave.signer.file import write_once
from exclave.signer.interface import Signer, sign_envelope
from exclave.values import dataclass

__all__ = ["Founded", "complete", "found", "prepare", "sign_file"]

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What came of it."""

    mission: MissionId
    charter: Charter
    trial: Trial
    cards: int


def found(
    plan: FoundingPlan,
    *,
    folder: Path,
    out: Path,
    outlet: CardOutlet,
    signers: Sequence[Signer],
    now: datetime,
    random: Random,
) -> Founded:
    """Found a mission in one step; `folder` is where the plan's paths start."""
    return _found(
        plan, folder=folder, out=out, outlet=outlet, signers=signers, now=now, random=random
    )


def prepare(
    plan: FoundingPlan,
    *,
    folder: Path,
    out: Path,
    outlet: CardOutlet,
    now: datetime,
    random: Random,
) -> Founded:
    """The first of two steps: cards go out, the charter waits for signatures."""
    return _found(plan, folder=folder, out=out, outlet=outlet, signers=None, now=now, random=random)


def sign_file(path: Path, signers: Sequence[Signer]) -> Envelope:
    """Add signatures to a statement's file, in place; returns what it holds now."""
    envelope = sign_envelope(parse_envelope(_read(path)), signers)
    replace_file(path, [envelope.to_bytes()], mode=0o600)
    return envelope


def complete(out: Path, signed: Sequence[Path] = ()) -> Charter:
    """The second step: join signatures gathered in other copies, check, write enrolments.

    Raises `QuorumNotReached` when signatures are missing; nothing is written then.
    """
    if (out / ENROLMENTS).exists():
        raise OutputExists(f"{out / ENROLMENTS}: expected none before completion, got a folder")
    envelope = parse_envelope(_read(out / CHARTER), kinds=[Kind.CHARTER])
    for path in signed:
        envelope = envelope.merge(parse_envelope(_read(path), kinds=[Kind.CHARTER]))
    charter = parse_charter(envelope)
    verify_chain([envelope], charter.mission_id)
    replace_file(out / CHARTER, [envelope.to_bytes()], mode=0o600)
    for depositor in charter.depositors:
        copy = out / DEPOSITORS / depositor.id / CHARTER
        if copy.parent.is_dir():
            replace_file(copy, [envelope.to_bytes()], mode=0o600)
    write_enrolments(out / ENROLMENTS, founding_enrolments(charter, envelope))
    return charter


def _found(
    plan: FoundingPlan,
    *,
    folder: Path,
    out: Path,
    outlet: CardOutlet,
    signers: Sequence[Signer] | None,
    now: datetime,
    random: Random,
) -> Founded:
    if out.exists():
        raise OutputExists(f"{out}: expected no such file or folder, got one")
    founders = read_founders(plan, folder, random)  # 1
    recovery = new_recovery(  # 2
        Epoch(1), founders.groups, plan.recovery.group_threshold, random=random
    )
    annex = seal_annex(recovery.epoch.key.xwing, annex_bytes(founders.annex))
    depositors = [new_depositor(item.id, now=now, random=random) for item in plan.depositor]
    charter = draft_charter(
        plan,
        founders,
        epoch=recovery.epoch,
        annex=annex,
        depositors=[
            made.entry(
                daily_bytes=item.daily_bytes, total_bytes=item.total_bytes, reserve=item.reserve
            )
            for made, item in zip(depositors, plan.depositor, strict=True)
        ],
        now=now,
    )
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    if signers is not None:  # 3
        envelope = sign_envelope(envelope, signers)
        require_threshold(envelope, charter, RoleName.GOVERN)
    with staged(out) as stage:
        _write(  # 4
            stage,
            charter=charter,
            envelope=envelope,
            founders=founders,
            annex=annex,
            depositors=depositors,
            random=random,
        )
        if signers is not None:
            write_enrolments(stage / ENROLMENTS, founding_enrolments(charter, envelope))
        cards = hand_out(  # 5
            recovery.shares,
            charter,
            plan.recovery.group,
            founders.keys,
            reader=plan.reader,
            outlet=outlet,
        )
    return Founded(  # 6
        mission=charter.mission_id, charter=charter, trial=recovery.trial, cards=cards
    )


def _write(
    stage: Path,
    *,
    charter: Charter,
    envelope: Envelope,
    founders: Founders,
    annex: bytes,
    depositors: Sequence[NewDepositor],
    random: Random,
) -> None:
    write_once(stage / CHARTER, envelope.to_bytes())
    write_once(stage / "annex.json", annex_bytes(founders.annex))
    write_once(stage / "annex.sealed", annex)
    write_mission(stage, charter)
    (stage / DEPOSITORS).mkdir(mode=0o700)
    for depositor in depositors:
        place = stage / DEPOSITORS / depositor.id
        place.mkdir(mode=0o700)
        write_bundle(place, depositor, random)
        write_once(place / CHARTER, envelope.to_bytes())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
