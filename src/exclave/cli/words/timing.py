"""When a statement takes effect, and what can stop it until then (spec/standing.md 1 to 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exclave.authority.asked import ALARM, EXILE, LOOSENED_BY, opens_era
from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_parts import Role, RoleName
from exclave.authority.envelope import TIGHTENING, Envelope, Kind
from exclave.plain_words import after, period

__all__ = ["timing_lines", "wait_of"]

_OVERRIDE_FACTOR = 2  # spec/standing.md 3
_LOCKED_TOO = {
    Kind.WARRANT: "read",
    Kind.CHARTER: "open a new era with a charter",
}


def timing_lines(envelope: Envelope, charter: Charter | None) -> Iterator[str]:
    """Lines; `charter` is the one in force, of a new charter the one before it."""
    if envelope.kind in TIGHTENING:
        yield "  at once, at each vault that gets it, with one signature; nobody can veto it"
        if envelope.kind is not Kind.LOCKDOWN:
            yield "  under a lockdown only members of exile_1 and exile_2 count"
        return
    laws = [] if charter is None else [charter]
    if envelope.kind is Kind.CHARTER:
        new = parse_charter(envelope)
        if new.mission is None:
            yield "  at once: it founds the mission"
            return
        laws.append(new)
        if opens_era(new):
            yield from _exile_lines(charter or new, "it counts under lockdown only")
            return
    if not laws:
        yield "  after the charter's delay: give the charter in force with --charter to see it"
    elif envelope.kind is Kind.AGREEMENT:
        yield "  at once, at each vault that has it, when both states have signed"
        yield "  until then one official of alarm, exile_1 or exile_2 can veto it"
        yield "  under a lockdown exile_1 or exile_2 signs in place of govern"
    elif envelope.kind is Kind.GRANT:
        yield "  at once, at each vault that has it, when enough have signed"
        yield "  until then one official of alarm, exile_1 or exile_2 can veto it"
        yield "  under a lockdown exile_1 or exile_2 signs in place of govern"
    elif envelope.kind is Kind.DECLARE:
        yield "  at once, at each vault that has it"
    elif envelope.kind is Kind.UNLOCK:
        yield from _exile_lines(laws[0], "it counts under lockdown only")
    else:
        yield from _home_lines(envelope.kind, laws)


def wait_of(roles: Sequence[Role]) -> int:
    """Seconds from enough signatures to effect: the largest delay or veto window of these."""
    return max(max(role.delay, role.veto_window) for role in roles)


def _home_lines(kind: Kind, laws: Sequence[Charter]) -> Iterator[str]:
    name = LOOSENED_BY[kind]
    roles, law = [item.role(name) for item in laws], laws[0]
    wait, dark = wait_of(roles), max(item.delays.dark_factor for item in laws)
    delay, window = (max(getter) for getter in _times(roles))
    yield f"  {after(wait)}, counted at each vault from when enough have signed"
    yield f"  (delay {period(delay)}, veto window {period(window)})"
    if wait:
        yield f"  {after(dark * wait)} where no quorum of vaults answers ({dark} times as long)"
    yield f"  until then one of {_counted(law)} officials of alarm, exile_1, exile_2 can veto it"
    override = law.role(RoleName.OVERRIDE)
    passed = after(max(_OVERRIDE_FACTOR * wait, override.delay))
    yield f"  enough of override pass it against a veto, {passed}"
    if kind is Kind.CHARTER:
        yield "  nobody can veto his own removal"
    if kind is Kind.WARRANT:
        life = max(item.delays.warrant_life for item in laws)
        yield f"  then it can be used for {period(life)} at most"
    if kind in _LOCKED_TOO:
        yield f"  under a lockdown home counts for nothing, and only exile can {_LOCKED_TOO[kind]}"
        for exile in EXILE:
            yield f"    {_exile(law.role(exile), exile)}"
    else:
        yield "  a lockdown stops it until then"


def _exile_lines(law: Charter, what: str) -> Iterator[str]:
    yield f"  {what}: by the exile rosters of the charter that was in force long enough before it"
    for name in EXILE:
        yield f"    {_exile(law.role(name), name)}"
    yield "  until then one member of exile_1 or exile_2 can veto it"
    yield "  one person more than the threshold passes it against a veto, after twice that time"


def _exile(role: Role, name: RoleName) -> str:
    return f"{name}: {role.threshold} of {len(role.members)}, {after(wait_of([role]))}"


def _times(roles: Sequence[Role]) -> tuple[list[int], list[int]]:
    return [role.delay for role in roles], [role.veto_window for role in roles]


def _counted(law: Charter) -> int:
    return len({person for name in ALARM for person in law.role(name).members})
