"""The rules that a charter must obey beyond the form of its fields (spec/authority.md 2).

One small function and one error a rule, run in the order of the page. They are pure and know
nothing of signatures or other charters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from exclave.authority.charter_parts import Place, RecoveryEpoch, Role, RoleName
from exclave.authority.fields import require_ascending
from exclave.authority.keys import TypedKey
from exclave.authority.layout import check_layout
from exclave.errors import AuthorityError

if TYPE_CHECKING:
    from exclave.authority.charter import Charter

__all__ = [
    "ChangeDelayTooShort",
    "CharterRuleBroken",
    "DispersalImpossible",
    "EpochsInconsistent",
    "ExileDelaysDisordered",
    "ExileMemberAtHome",
    "ExileRostersOverlap",
    "ExileThresholdTooHigh",
    "FirstCharterInvalid",
    "KeyReused",
    "OverrideTooWeak",
    "RosterInvalid",
    "ValidityInverted",
    "VaultSeatedTwice",
    "WitnessFaultsTooMany",
    "WitnessQuorumInvalid",
    "check_charter",
]

_EXILE = (RoleName.EXILE_1, RoleName.EXILE_2)


class CharterRuleBroken(AuthorityError):
    """A charter is well formed, but must not be."""


class FirstCharterInvalid(CharterRuleBroken):
    """Mission and previous do not fit a first or a later charter."""


class ValidityInverted(CharterRuleBroken):
    """A charter advises to replace it before it was issued."""


class DispersalImpossible(CharterRuleBroken):
    """k, h and n do not fit each other or the seats."""


class VaultSeatedTwice(CharterRuleBroken):
    """One vault has two seats that are in use."""


class RosterInvalid(CharterRuleBroken):
    """A role's threshold or members do not fit the officials."""


class KeyReused(CharterRuleBroken):
    """One key stands in two places."""


class ExileRostersOverlap(CharterRuleBroken):
    """A person is in both exile rosters."""


class ExileMemberAtHome(CharterRuleBroken):
    """An exile roster has a member who is not abroad."""


class ExileThresholdTooHigh(CharterRuleBroken):
    """An exile roster could be blocked by the loss of one person."""


class ExileDelaysDisordered(CharterRuleBroken):
    """The second exile roster could act before the first."""


class OverrideTooWeak(CharterRuleBroken):
    """Overriding a veto would be as easy as the act that was vetoed."""


class EpochsInconsistent(CharterRuleBroken):
    """Not exactly the highest epoch is current."""


class WitnessQuorumInvalid(CharterRuleBroken):
    """q is too small to be unique or too large to be reached."""


class WitnessFaultsTooMany(CharterRuleBroken):
    """More liars are allowed than the number of witnesses carries."""


class ChangeDelayTooShort(CharterRuleBroken):
    """The exile-change delay is not the longest."""


def check_charter(charter: Charter) -> None:
    """Check all rules; raises the first that is broken."""
    _check_orders(charter)
    _check_first(charter)
    _check_validity(charter)
    _check_dispersal(charter)
    _check_vaults(charter)
    for name, role in charter.rosters:
        _check_roster(charter, name, role)
    _check_keys_once(charter)
    _check_exile_members(charter)
    _check_exile_delays(charter)
    _check_override(charter)
    _check_epochs(charter)
    _check_witness_quorum(charter)
    _check_witness_faults(charter)
    _check_change_delay(charter)


def _check_orders(charter: Charter) -> None:
    require_ascending("charter.seats", [seat.seat for seat in charter.seats])
    require_ascending("charter.officials", [official.id for official in charter.officials])
    require_ascending("charter.recovery", [epoch.epoch for epoch in charter.recovery])
    require_ascending("charter.depositors", [depositor.id for depositor in charter.depositors])
    for name, role in charter.rosters:
        require_ascending(f"charter.rosters.{name}.members", role.members)


def _check_first(charter: Charter) -> None:
    first = charter.order == (1, 1)
    if first != (charter.mission is None) or first != (charter.previous is None):
        expected = "no mission and no previous" if first else "a mission and a previous"
        raise FirstCharterInvalid(
            f"charter {charter.era}.{charter.version}: expected {expected}, got otherwise"
        )


def _check_validity(charter: Charter) -> None:
    if charter.advisory_expiry <= charter.issued:
        raise ValidityInverted("charter.advisory_expiry: expected after issued, got not after")


def _check_dispersal(charter: Charter) -> None:
    dispersal, active = charter.dispersal, charter.active_seats
    if dispersal.n != len(active):
        raise DispersalImpossible(
            f"charter.dispersal.n: expected {len(active)} seats in use, got {dispersal.n}"
        )
    if not 1 <= dispersal.k <= dispersal.h <= dispersal.n:
        raise DispersalImpossible(
            f"charter.dispersal: expected 1 <= k <= h <= n, "
            f"got k {dispersal.k}, h {dispersal.h}, n {dispersal.n}"
        )
    states = len({seat.state for seat in active})
    if dispersal.h > states:
        raise DispersalImpossible(
            f"charter.dispersal.h: expected at most {states}, the number of states, "
            f"got {dispersal.h}"
        )


def _check_vaults(charter: Charter) -> None:
    for vault, count in Counter(seat.vault for seat in charter.active_seats).items():
        if count > 1:
            raise VaultSeatedTwice(f"charter.seats: expected vault {vault} once, got {count} times")


def _check_roster(charter: Charter, name: RoleName, role: Role) -> None:
    path = f"charter.rosters.{name}"
    if not 1 <= role.threshold <= len(role.members):
        raise RosterInvalid(
            f"{path}.threshold: expected 1 to {len(role.members)}, got {role.threshold}"
        )
    known = {official.id for official in charter.officials}
    for member in role.members:
        if member not in known:
            raise RosterInvalid(f"{path}.members: expected officials of the charter, got {member}")


def _all_keys(charter: Charter) -> Iterator[tuple[str, TypedKey]]:
    for seat in charter.seats:
        path = f"seat {seat.seat}"
        yield path, seat.log_key
        yield path, seat.seat_key
        yield from ((path, key) for key in seat.witness_keys)
    for epoch in charter.recovery:
        yield f"epoch {epoch.epoch}", epoch.key
    for official in charter.officials:
        for keys in official.key_sets:
            yield from ((f"official {official.id}", key) for key in keys)
    for depositor in charter.depositors:
        yield from ((f"depositor {depositor.id}", key) for key in depositor.keys)
    for witness in charter.witness.external:
        yield f"witness {witness.name}", witness.key


def _check_keys_once(charter: Charter) -> None:
    # By material: one Ed25519 key under two algorithms would make two persons of one.
    seen: dict[bytes, str] = {}
    for place, key in _all_keys(charter):
        if key.material in seen:
            raise KeyReused(
                f"charter: expected {key.alg} key {key.key_id[:16]} once, "
                f"got at {seen[key.material]} and at {place}"
            )
        seen[key.material] = place


def _check_exile_members(charter: Charter) -> None:
    first, second = (charter.role(name) for name in _EXILE)
    both = sorted(set(first.members) & set(second.members))
    if both:
        raise ExileRostersOverlap(
            f"charter.rosters: expected disjoint exile rosters, got {both[0]} in both"
        )
    for name in _EXILE:
        role = charter.role(name)
        for member in role.members:
            if charter.official(member).place is not Place.ABROAD:
                raise ExileMemberAtHome(
                    f"charter.rosters.{name}: expected members abroad, got {member} at home"
                )
        if role.threshold >= len(role.members):
            raise ExileThresholdTooHigh(
                f"charter.rosters.{name}.threshold: expected below {len(role.members)} members, "
                f"got {role.threshold}",
                hint="one lost person must not block the roster",
            )


def _check_exile_delays(charter: Charter) -> None:
    first, second = (charter.role(name).delay for name in _EXILE)
    if second <= first:
        raise ExileDelaysDisordered(
            f"charter.rosters.exile_2.delay: expected more than {first}, got {second}"
        )


def _check_override(charter: Charter) -> None:
    override = charter.role(RoleName.OVERRIDE)
    if override.threshold == len(override.members):
        return
    for name in (RoleName.READ, RoleName.RELEASE, RoleName.GOVERN):
        least = charter.role(name).threshold
        if override.threshold <= least:
            raise OverrideTooWeak(
                f"charter.rosters.override.threshold: expected more than {least} of {name}, "
                f"got {override.threshold}"
            )


def _check_epochs(charter: Charter) -> None:
    current = [epoch.epoch for epoch in charter.recovery if epoch.current]
    if current != [charter.recovery[-1].epoch]:
        raise EpochsInconsistent(
            f"charter.recovery: expected epoch {charter.recovery[-1].epoch} alone to be current, "
            f"got {current}"
        )
    sets = Counter(epoch.share_set for epoch in charter.recovery)
    if max(sets.values()) > 1:
        raise EpochsInconsistent("charter.recovery: expected one epoch a share set, got two")
    for index, epoch in enumerate(charter.recovery):
        _check_epoch_layout(index, epoch)


def _check_epoch_layout(index: int, epoch: RecoveryEpoch) -> None:
    check_layout(
        epoch.groups,
        epoch.group_threshold,
        path=f"charter.recovery[{index}]",
        exile_needed=epoch.current,
    )


def _check_witness_quorum(charter: Charter) -> None:
    witness = charter.witness
    witnesses = charter.dispersal.n + len(witness.external)
    if 2 * witness.q <= witnesses + witness.f or witness.q > witnesses:
        raise WitnessQuorumInvalid(
            f"charter.witness.q: expected more than ({witnesses} + {witness.f}) / 2 "
            f"and at most {witnesses}, got {witness.q}"
        )


def _check_witness_faults(charter: Charter) -> None:
    witness = charter.witness
    witnesses = charter.dispersal.n + len(witness.external)
    if witness.f and 3 * witness.f >= witnesses:
        raise WitnessFaultsTooMany(
            f"charter.witness.f: expected 0 or less than {witnesses} / 3, got {witness.f}"
        )


def _check_change_delay(charter: Charter) -> None:
    for name, role in charter.rosters:
        if role.delay > charter.delays.exile_change:
            raise ChangeDelayTooShort(
                f"charter.delays.exile_change: expected at least {role.delay} of {name}, "
                f"got {charter.delays.exile_change}"
            )
