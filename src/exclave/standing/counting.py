"""Whose signatures count, and how long a statement then waits (spec/standing.md 1, 3).

Questions about one moment; nothing is changed here. A statement may be enough in several ways (both
exile rosters): each waits for itself. Rules: persons are counted, never keys; home counts while no
lockdown stands, exile only under one; where two charters count, each number is the larger.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

from exclave.authority.agreement import Agreement, Terminate
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Role, RoleName
from exclave.authority.orders import Lift, Lockdown, Narrow, Release, Unlock
from exclave.authority.permission import Declare, Grant
from exclave.authority.warrant import Warrant
from exclave.ids import PersonId, StatementHash
from exclave.standing.agreed import host_signed, may_complete
from exclave.standing.values import Item, Side, Signers, Standing, Value, Way
from exclave.values import replace

__all__ = [
    "EXILE",
    "may_tighten",
    "objectors",
    "opening",
    "overrides",
    "place_members",
    "role_members",
    "settled",
    "waited",
    "ways",
]

EXILE: Final = (RoleName.EXILE_1, RoleName.EXILE_2)
_ALARMED: Final = (RoleName.ALARM, *EXILE)
_ROSTERS: Final = {
    Release: RoleName.RELEASE,
    Lift: RoleName.RELEASE,
    Narrow: RoleName.GOVERN,
    Agreement: RoleName.GOVERN,
    Terminate: RoleName.GOVERN,
    Grant: RoleName.GOVERN,
}
_ABROAD: Final = (Warrant, Unlock, Agreement, Grant)
"""What exile does under a lockdown, beside opening an era."""


def role_members(charter: Charter, *names: RoleName) -> frozenset[PersonId]:
    """Everybody in any of these rosters."""
    return frozenset(person for name in names for person in charter.role(name).members)


def waited(*pairs: tuple[Charter, Role]) -> tuple[int, int]:
    """Wait and dark wait in milliseconds: of several charters' rosters the larger ones."""
    wait = 1000 * max(max(role.delay, role.veto_window) for _, role in pairs)
    return wait, wait * max(charter.delays.dark_factor for charter, _ in pairs)


def settled(standing: Standing, at: int) -> StatementHash:
    """The exile charter of a lockdown that begins then: what has been in force long enough."""
    history = standing.history
    found, settles = history[0][0], 0
    for place, ((before, _), (name, since)) in enumerate(itertools.pairwise(history), 1):
        pair = (standing.charter_of(before), standing.charter_of(name))
        wait = 1000 * max(charter.delays.exile_change for charter in pair)
        # Never before the one that it follows: else a first change would shorten the next one.
        # What an enrolment brought was in force elsewhere, but for the one that has this seat.
        at_once = pair[1].version == 1 or place < standing.seating
        settles = since if at_once else max(settles, since + wait)
        if settles <= at:
            found = name
    return found


def may_tighten(standing: Standing, value: Value, signers: Signers) -> frozenset[PersonId]:
    """Who of those who signed may give this tightening order now."""
    charter = standing.charter
    persons = signers.by(charter) & role_members(charter, *_ALARMED)
    exile = standing.exile_charter
    if exile is None and not isinstance(value, Lockdown):
        return persons
    if exile is None:
        # A change of the exile rosters must not take the alarm from those whom it has not replaced.
        exile = standing.charter_of(settled(standing, standing.now))
    abroad = signers.by(exile) & role_members(exile, *EXILE)
    # Locking down twice harms nobody, and two consulates may do it in the same hour.
    return persons | abroad if isinstance(value, Lockdown) else abroad


def objectors(charter: Charter) -> frozenset[PersonId]:
    """Whom a charter leaves able to object: everybody else has no veto against it."""
    return role_members(charter, *_ALARMED)


def ways(standing: Standing, value: Value, signers: Signers) -> tuple[Way, ...]:
    """Each roster that is enough for a loosening statement now; empty: incomplete."""
    host = host_signed(standing, value, signers)
    if isinstance(value, Terminate | Declare) and host is not None:
        # Whatever stands at home: nobody is held to an agreement by his partner's disorder.
        return (Way(side=Side.HOST, roster=None, wait=0, dark=0),)
    era = standing.frozen_era
    if era is not None and not (isinstance(value, Charter) and value.era > era):
        return ()
    if isinstance(value, Charter) and value.version == 1:
        return opening(standing, value, signers)
    if isinstance(value, Agreement) and (host is None or not may_complete(standing, value)):
        return ()
    exile = standing.exile_charter
    if exile is None:
        found = _home(standing, value, signers)
    else:
        found = tuple(
            _exile(exile, signers, extra=0, times=1) if isinstance(value, _ABROAD) else ()
        )
    if isinstance(value, Agreement | Grant):  # they shorten nothing that stands, and open nothing
        return tuple(replace(way, wait=0, dark=0) for way in found)
    return found


def overrides(standing: Standing, item: Item) -> tuple[Way, ...]:
    """Each roster by which a vetoed statement is overridden now."""
    exile = standing.exile_charter
    plain = ways(standing, item.value, item.signers)
    if not plain:
        return ()
    if isinstance(item.value, Charter) and item.value.version == 1:
        return opening(standing, item.value, item.signers, extra=1, times=2)
    if exile is not None:
        return tuple(_exile(exile, item.signers, extra=1, times=2))
    charter = standing.charter
    role = charter.role(RoleName.OVERRIDE)
    if not _reached(charter, role, item.signers, role.threshold):
        return ()
    wait = max(2 * way.wait for way in plain)
    wait = max(wait, 1000 * role.delay)
    factor = charter.delays.dark_factor
    return (Way(side=Side.HOME, roster=RoleName.OVERRIDE, wait=wait, dark=wait * factor),)


def place_members(standing: Standing, value: Value, signers: Signers) -> frozenset[PersonId]:
    """Everybody who signed and has any say now: whose places a statement takes.

    A receiving state is named by its key.
    """
    charters = [standing.charter]
    if standing.exile_charter is not None:
        charters.append(standing.exile_charter)
    persons = (signers.by(charter) & role_members(charter, *RoleName) for charter in charters)
    host = host_signed(standing, value, signers)
    return frozenset().union(*persons, () if host is None else (PersonId(host),))


def _home(standing: Standing, value: Value, signers: Signers) -> tuple[Way, ...]:
    charter = standing.charter
    if isinstance(value, Warrant):
        return _both(standing, value, signers)
    if isinstance(value, Charter):
        return _succession(standing, value, signers)
    name = _ROSTERS.get(type(value))
    if name is None:
        return ()
    role = charter.role(name)
    if not _reached(charter, role, signers, role.threshold):
        return ()
    wait, dark = waited((charter, role))
    return (Way(side=Side.HOME, roster=name, wait=wait, dark=dark),)


def _both(standing: Standing, warrant: Warrant, signers: Signers) -> tuple[Way, ...]:
    """A warrant: who was removed since no longer counts, who was added never signed it."""
    if warrant.charter not in standing.items:
        return ()
    charters = (standing.charter_of(warrant.charter), standing.charter)
    roles = [charter.role(RoleName.READ) for charter in charters]
    persons = frozenset.intersection(
        *(
            signers.by(charter) & frozenset(role.members)
            for charter, role in zip(charters, roles, strict=True)
        )
    )
    if len(persons) < max(role.threshold for role in roles):
        return ()
    wait, dark = waited(*zip(charters, roles, strict=True))
    return (Way(side=Side.HOME, roster=RoleName.READ, wait=wait, dark=dark),)


def _succession(standing: Standing, charter: Charter, signers: Signers) -> tuple[Way, ...]:
    previous = charter.previous
    if previous is None or previous not in standing.items:
        return ()
    before = standing.charter_of(previous)
    if not (_governed(before, signers) and _governed(charter, signers)):
        return ()
    # That in force too: a change that shortens delays must not shorten the next one's notice.
    counted = (before, charter, standing.charter)
    wait, dark = waited(*((item, item.role(RoleName.GOVERN)) for item in counted))
    return (Way(side=Side.HOME, roster=RoleName.GOVERN, wait=wait, dark=dark),)


def opening(
    standing: Standing, charter: Charter, signers: Signers, *, extra: int = 0, times: int = 1
) -> tuple[Way, ...]:
    """Each exile roster that is enough to open an era; a freeze is not looked at."""
    exile = standing.opener(charter.era)
    if exile is None or not _governed(charter, signers):
        return ()
    return tuple(_exile(exile, signers, extra=extra, times=times))


def _exile(charter: Charter, signers: Signers, *, extra: int, times: int) -> Iterable[Way]:
    for name in EXILE:
        role = charter.role(name)
        if _reached(charter, role, signers, role.threshold + extra):
            wait, dark = waited((charter, role))
            yield Way(side=Side.EXILE, roster=name, wait=times * wait, dark=times * dark)


def _governed(charter: Charter, signers: Signers) -> bool:
    role = charter.role(RoleName.GOVERN)
    return _reached(charter, role, signers, role.threshold)


def _reached(charter: Charter, role: Role, signers: Signers, least: int) -> bool:
    return len(signers.by(charter) & frozenset(role.members)) >= least
