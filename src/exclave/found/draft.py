"""From the founders' plan and the parties' public keys to the draft of charter 1.

Reads seat requests and public key files and refuses what does not fit together. Rules: every seat
request is verified; two seats never share a vault or a key; nothing is written here.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from exclave.authority.annex import AnnexEntry, name_hash
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import (
    Depositor,
    Official,
    Place,
    RecoveryEpoch,
    Role,
    RoleName,
    SeatEntry,
    SeatType,
    ShareGroup,
)
from exclave.authority.charter_settings import (
    Delays,
    Dispersal,
    ExternalWitness,
    Quotas,
    Settings,
    Witness,
)
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.keys import X_WING, TypedKey
from exclave.authority.layout import check_layout
from exclave.authority.seat_request import verify_seat_request
from exclave.encoding import b64decode
from exclave.errors import ConfigurationError, ExclaveError
from exclave.found.plan import FoundingPlan, GroupPlan, OfficialPlan, RolePlan
from exclave.ids import PersonId, Seat
from exclave.signer.bundle import Purpose
from exclave.signer.file import PublicKeys, parse_public_keys
from exclave.values import asdict, dataclass

__all__ = [
    "Founders",
    "FoundingInconsistent",
    "InputRefused",
    "draft_charter",
    "new_official",
    "read_founders",
    "read_public",
    "read_seat",
    "share_groups",
    "signing_set",
    "unpinned",
]


class FoundingInconsistent(ConfigurationError):
    """Parts of a founding plan contradict each other."""


class InputRefused(ConfigurationError):
    """A file that the plan names is not what it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founders:
    """All that the plan names, read and verified."""

    seats: tuple[SeatEntry, ...]
    officials: tuple[Official, ...]
    annex: tuple[AnnexEntry, ...]
    labels: Mapping[str, PersonId]
    keys: Mapping[str, PublicKeys]  # by label
    groups: tuple[ShareGroup, ...]


def read_founders(plan: FoundingPlan, folder: Path, random: Callable[[int], bytes]) -> Founders:
    """Read seat requests and public keys; checks the share layout before any seed exists."""
    _require_once("seat", [str(item.seat) for item in plan.seat])
    _require_once("official", [item.label for item in plan.official])
    _require_once("depositor", [item.id for item in plan.depositor])
    seats = tuple(read_seat(folder / item.request, item.seat, item.type) for item in plan.seat)
    _require_once("vault", [seat.vault for seat in seats])
    keys = {item.label: read_public(folder / item.keys) for item in plan.official}
    _require_once("official's key file", [public.id for public in keys.values()])
    named = [new_official(item, keys[item.label], random(32)) for item in plan.official]
    groups = share_groups(plan.recovery.group)
    check_layout(groups, plan.recovery.group_threshold, path="recovery")
    _check_holders(plan, keys)
    return Founders(
        seats=tuple(sorted(seats, key=lambda seat: seat.seat)),
        officials=tuple(sorted((item for item, _ in named), key=lambda item: item.id)),
        annex=tuple(sorted((item for _, item in named), key=lambda item: item.id)),
        labels={label: PersonId(public.id) for label, public in keys.items()},
        keys=keys,
        groups=groups,
    )


def draft_charter(
    plan: FoundingPlan,
    founders: Founders,
    *,
    epoch: RecoveryEpoch,
    annex: bytes,
    depositors: Sequence[Depositor],
    now: datetime,
) -> Charter:
    """Charter 1; raises the rule that it breaks. `annex` is the sealed annex."""
    if plan.agreements_required:
        _require_pins(founders.seats)
    moment = now.replace(microsecond=0)
    return Charter(
        mission=None,
        era=1,
        version=1,
        previous=None,
        state_code=plan.state.code,
        state_name=plan.state.name,
        notice=plan.notice,
        issued=moment,
        advisory_expiry=moment + timedelta(days=plan.advisory_expiry_days),
        dispersal=Dispersal(k=plan.dispersal.k, n=len(founders.seats), h=plan.dispersal.h),
        seats=founders.seats,
        recovery=(epoch,),
        officials=founders.officials,
        annex=hashlib.sha256(annex).digest(),
        rosters=_rosters(plan, founders),
        delays=Delays(**asdict(plan.delays)),
        witness=_witness(plan),
        depositors=tuple(sorted(depositors, key=lambda item: item.id)),
        quotas=Quotas(**asdict(plan.quotas)),
        settings=_settings(plan),
    )


def unpinned(seats: Iterable[SeatEntry]) -> tuple[Seat, ...]:
    """Vaults in use whose seat requests named no key of their state: no agreement can be made."""
    return tuple(
        seat.seat
        for seat in seats
        if seat.agreement is None and not seat.retired and seat.type is SeatType.VAULT
    )


def _require_pins(seats: Iterable[SeatEntry]) -> None:
    if without := unpinned(seats):
        raise FoundingInconsistent(
            "agreements_required: expected seat requests with the receiving state's key, "
            f"got none of seat {without[0]}",
            hint="the vault is set up with --state-key, and the state vouches for it",
        )


def share_groups(plans: Sequence[GroupPlan]) -> tuple[ShareGroup, ...]:
    """Share groups as a plan lays them out."""
    return tuple(
        ShareGroup(
            name=group.name,
            place=Place(group.place),
            state=group.state,
            threshold=group.threshold,
            members=group.members,
        )
        for group in plans
    )


def new_official(
    item: OfficialPlan, public: PublicKeys, salt: bytes
) -> tuple[Official, AnnexEntry]:
    """An official as charter and annex have him; `salt` is 32 random bytes."""
    official = Official(
        id=PersonId(public.id),
        place=Place(item.place),
        institution=item.institution,
        key_sets=(signing_set(public),),
        name_hash=name_hash(salt, item.name),
    )
    entry = AnnexEntry(id=official.id, name=item.name, contact=item.contact, salt=salt)
    return official, entry


def signing_set(public: PublicKeys) -> tuple[TypedKey, ...]:
    """The keys of a party that sign; the X-Wing key only opens sealed cards."""
    return tuple(key for key in public.keys if key.alg != X_WING)


def read_seat(path: Path, number: int, type: str) -> SeatEntry:
    """A seat from its vault's request; raises `InputRefused`."""
    try:
        request = verify_seat_request(parse_envelope(_read(path), kinds=[Kind.SEAT_REQUEST]))
    except ConfigurationError:
        raise
    except ExclaveError as error:
        raise InputRefused(f"{path}: {error.message}", hint=error.hint) from error
    return request.seated(Seat(number), SeatType(type))


def read_public(path: Path) -> PublicKeys:
    """An official's public keys; raises `InputRefused`."""
    try:
        public = parse_public_keys(_read(path))
    except ConfigurationError:
        raise
    except ExclaveError as error:
        raise InputRefused(f"{path}: {error.message}", hint=error.hint) from error
    if public.purpose is not Purpose.OFFICIAL:
        raise InputRefused(f"{path}: expected an official's keys, got a {public.purpose}'s")
    return public


def _settings(plan: FoundingPlan) -> Settings:
    return Settings(
        retention_days=plan.retention_days,
        drill_interval_days=plan.drill_interval_days,
        drill_cards_days=plan.drill_cards_days,
        whole_deposit_bags=plan.whole_deposit_bags,
        agreements_required=plan.agreements_required,
    )


def _rosters(plan: FoundingPlan, founders: Founders) -> tuple[tuple[RoleName, Role], ...]:
    rosters: dict[RoleName, RolePlan] = {
        RoleName.GOVERN: plan.rosters.govern,
        RoleName.READ: plan.rosters.read,
        RoleName.ALARM: plan.rosters.alarm,
        RoleName.RELEASE: plan.rosters.release,
        RoleName.OVERRIDE: plan.rosters.override,
        RoleName.EXILE_1: plan.rosters.exile_1,
        RoleName.EXILE_2: plan.rosters.exile_2,
    }
    return tuple((name, _role(name, item, founders)) for name, item in rosters.items())


def _role(name: RoleName, item: RolePlan, founders: Founders) -> Role:
    _require_once(f"member of {name}", item.members)
    for label in item.members:
        if label not in founders.labels:
            raise FoundingInconsistent(
                f"rosters.{name}.members: expected labels of officials, got {label!r}"
            )
    return Role(
        threshold=item.threshold,
        members=tuple(sorted(founders.labels[label] for label in item.members)),
        delay=item.delay,
        veto_window=item.veto_window,
    )


def _witness(plan: FoundingPlan) -> Witness:
    external = tuple(
        ExternalWitness(
            name=item.name,
            key=TypedKey(item.alg, b64decode(item.key, subject=f"witness {item.name}")),
        )
        for item in plan.witness.external
    )
    witness = plan.witness
    return Witness(f=witness.f, q=witness.q, external=external, freshness=witness.freshness)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read: {error.strerror}") from error


def _check_holders(plan: FoundingPlan, keys: Mapping[str, PublicKeys]) -> None:
    for group in plan.recovery.group:
        if group.holders and len(group.holders) != group.members:
            raise FoundingInconsistent(
                f"recovery.group {group.name!r}: expected {group.members} holders, "
                f"got {len(group.holders)}"
            )
        unknown = [label for label in group.holders if label not in keys]
        if unknown:
            raise FoundingInconsistent(
                f"recovery.group {group.name!r}: expected labels of officials as holders, "
                f"got {unknown[0]!r}"
            )
        _check_places(plan, group)
    holders = [label for group in plan.recovery.group for label in group.holders]
    _require_once("holder of a card", holders)


def _check_places(plan: FoundingPlan, group: GroupPlan) -> None:
    places = {official.label: official.place for official in plan.official}
    for label in group.holders:
        if places[label] != group.place:
            raise FoundingInconsistent(
                f"recovery.group {group.name!r}: expected holders {group.place}, "
                f"got {label} {places[label]}",
                hint="what counts as recombinable abroad must be held abroad",
            )


def _require_once(what: str, values: Sequence[str]) -> None:
    twice = sorted(value for value, count in Counter(values).items() if count > 1)
    if twice:
        raise FoundingInconsistent(
            f"founding plan: expected each {what} once, got {twice[0]} twice"
        )
