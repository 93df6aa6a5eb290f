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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exclave.authority.annex import annex_bytes
from exclave.authority.card import card_for
from exclave.authority.charter import Charter, charter_payload, parse_charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.charter_parts import Depositor, RecoveryEpoch, RoleName
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.keys import ED25519, ML_DSA_65, X_WING, TypedKey
from exclave.authority.persons import require_threshold
from exclave.errors import ConfigurationError
from exclave.found.cards import CardOutlet
from exclave.found.draft import Founders, draft_charter, read_founders
from exclave.found.output import (
    CHARTER,
    DEPOSITORS,
    ENROLMENTS,
    OutputExists,
    replace_file,
    staged,
    write_enrolments,
    write_mission,
)
from exclave.found.plan import FoundingPlan
from exclave.ids import Epoch, MissionId
from exclave.sealing.recovery import XWingPrivateKey, generate_seed, key_check_value
from exclave.sealing.secret import seal_annex
from exclave.shares import ShareSet, Trial, split_seed, try_out
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import PublicKeys, save_key_file, write_once
from exclave.signer.interface import Signer, sign_envelope
from exclave.signer.parties import new_depositor_key
from exclave.vault.identity import Identity, new_identity, save_identity

__all__ = ["Founded", "complete", "found", "prepare", "sign_file"]

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What came of it."""

    mission: MissionId
    charter: Charter
    trial: Trial
    cards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recovery:
    epoch: RecoveryEpoch
    shares: ShareSet
    trial: Trial
    annex: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewDepositor:
    entry: Depositor
    keys: KeyBundle
    identity: Identity


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
    replace_file(path, envelope.to_bytes())
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
    replace_file(out / CHARTER, envelope.to_bytes())
    for depositor in charter.depositors:
        copy = out / DEPOSITORS / depositor.id / CHARTER
        if copy.parent.is_dir():
            replace_file(copy, envelope.to_bytes())
    write_enrolments(out, charter, envelope)
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
    recovery = _new_recovery(plan, founders, random)  # 2
    depositors = [_new_depositor(item.id, plan, now, random) for item in plan.depositor]
    charter = draft_charter(
        plan,
        founders,
        epoch=recovery.epoch,
        annex=recovery.annex,
        depositors=[item.entry for item in depositors],
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
            recovery=recovery,
            depositors=depositors,
            random=random,
        )
        if signers is not None:
            write_enrolments(stage, charter, envelope)
        cards = _hand_out(plan, founders, charter, recovery.shares, outlet)  # 5
    return Founded(  # 6
        mission=charter.mission_id, charter=charter, trial=recovery.trial, cards=cards
    )


def _new_recovery(plan: FoundingPlan, founders: Founders, random: Random) -> _Recovery:
    threshold = plan.recovery.group_threshold
    seed = generate_seed(random)
    private = XWingPrivateKey.from_seed(seed)
    public = private.public
    shares = split_seed(seed, founders.groups, threshold)
    trial = try_out(shares, founders.groups, threshold, seed)
    epoch = RecoveryEpoch(
        epoch=Epoch(1),
        key=TypedKey(X_WING, public.raw),
        check=key_check_value(seed, public.key_hash),
        share_set=shares.number,
        group_threshold=threshold,
        groups=founders.groups,
        current=True,
    )
    # Seed and private key end with this call; CPython frees them, but promises no wiping.
    return _Recovery(
        epoch=epoch,
        shares=shares,
        trial=trial,
        annex=seal_annex(public, annex_bytes(founders.annex)),
    )


def _new_depositor(id: str, plan: FoundingPlan, now: datetime, random: Random) -> _NewDepositor:
    keys = new_depositor_key(id, random)
    identity = new_identity(id, now)
    settings = next(item for item in plan.depositor if item.id == id)
    entry = Depositor(
        id=id,
        keys=(keys.only(ED25519).key, keys.only(ML_DSA_65).key),
        identity=identity.certificate,
        daily_bytes=settings.daily_bytes,
        total_bytes=settings.total_bytes,
        reserve=settings.reserve,
    )
    return _NewDepositor(entry=entry, keys=keys, identity=identity)


def _write(
    stage: Path,
    *,
    charter: Charter,
    envelope: Envelope,
    founders: Founders,
    recovery: _Recovery,
    depositors: Sequence[_NewDepositor],
    random: Random,
) -> None:
    write_once(stage / CHARTER, envelope.to_bytes())
    write_once(stage / "annex.json", annex_bytes(founders.annex))
    write_once(stage / "annex.sealed", recovery.annex)
    write_mission(stage, charter)
    (stage / DEPOSITORS).mkdir(mode=0o700)
    for depositor in depositors:
        place = stage / DEPOSITORS / depositor.entry.id
        place.mkdir(mode=0o700)
        save_key_file(place / "keys.json", depositor.keys, passphrase=None, random=random)
        save_identity(depositor.identity, place / "identity.pem")
        write_once(place / CHARTER, envelope.to_bytes())


def _hand_out(
    plan: FoundingPlan,
    founders: Founders,
    charter: Charter,
    shares: ShareSet,
    outlet: CardOutlet,
) -> int:
    count = 0
    for group in shares.groups:
        for share in group:
            card = card_for(
                charter,
                group=share.group,
                member=share.member,
                words=share.words,
                reader=plan.reader,
            )
            outlet.deliver(card, _holder(plan, founders, share.group, share.member))
            count += 1
    return count


def _holder(plan: FoundingPlan, founders: Founders, group: int, member: int) -> PublicKeys | None:
    holders = plan.recovery.group[group - 1].holders
    return founders.keys[holders[member - 1]] if holders else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
