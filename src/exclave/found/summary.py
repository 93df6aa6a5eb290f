"""What one charter changes against another, in plain words; pure.

For those who sign it and for those who watch: nothing that differs is left out, and what a change
does not do is said beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exclave.authority.annex import AnnexEntry
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Official, RoleName
from exclave.ids import PersonId
from exclave.limits import duration

__all__ = ["differences", "summary"]

Names = Mapping[PersonId, AnnexEntry]


def summary(before: Charter, after: Charter, names: Names) -> tuple[str, ...]:
    """Head, differences, who must sign, and what stays as it was although one might think not."""
    state = f"{after.state_name} ({after.state_code})"
    return (
        f"Charter {_order(after)} of {state}, after {_order(before)}",
        "",
        *differences(before, after, names),
        "",
        *_signing(before, after),
        *_warnings(before, after),
    )


def _order(charter: Charter) -> str:
    return f"{charter.era}.{charter.version}"


def differences(before: Charter, after: Charter, names: Names) -> tuple[str, ...]:
    """One line for each difference; one that says so when there is none."""
    lines = [
        *_officials(before, after, names),
        *_rosters(before, after, names),
        *_seats(before, after),
        *_epochs(before, after),
        *_depositors(before, after),
        *_settings(before, after),
    ]
    return tuple(lines) if lines else ("nothing changes but the order and the date",)


def _name(person: PersonId, names: Names) -> str:
    return person if person not in names else f"{names[person].name} ({person})"


def _officials(before: Charter, after: Charter, names: Names) -> Iterator[str]:
    old = {official.id: official for official in before.officials}
    new = {official.id: official for official in after.officials}
    for person in sorted(new.keys() - old.keys()):
        official = new[person]
        yield f"official {_name(person, names)} comes: {official.institution}, {official.place}"
    for person in sorted(old.keys() - new.keys()):
        yield f"official {_name(person, names)} leaves"
    for person in sorted(old.keys() & new.keys()):
        yield from (
            f"official {_name(person, names)}: {what}" for what in _moved(old[person], new[person])
        )


def _moved(old: Official, new: Official) -> Iterator[str]:
    if (old.place, old.institution) != (new.place, new.institution):
        yield f"now {new.institution}, {new.place}; was {old.institution}, {old.place}"
    lost = [keys for keys in old.key_sets if keys not in new.key_sets]
    came = [keys for keys in new.key_sets if keys not in old.key_sets]
    if came:
        yield f"{len(came)} new key set" + ("s" if len(came) > 1 else "")
    if lost:
        yield "former keys no longer count"
    if old.name_hash != new.name_hash:
        yield "another name"


def _rosters(before: Charter, after: Charter, names: Names) -> Iterator[str]:
    for name in RoleName:
        old, new = before.role(name), after.role(name)
        came = sorted(set(new.members) - set(old.members))
        left = sorted(set(old.members) - set(new.members))
        if came:
            yield f"{name}: joined by {', '.join(_name(item, names) for item in came)}"
        if left:
            yield f"{name}: left by {', '.join(_name(item, names) for item in left)}"
        if (old.threshold, len(old.members)) != (new.threshold, len(new.members)):
            yield (
                f"{name}: {new.threshold} of {len(new.members)} must sign; "
                f"was {old.threshold} of {len(old.members)}"
            )
        for what, was, will in (
            ("delay", old.delay, new.delay),
            ("veto window", old.veto_window, new.veto_window),
        ):
            if was != will:
                yield f"{name}: {what} {duration(will)}; was {duration(was)}"


def _seats(before: Charter, after: Charter) -> Iterator[str]:
    old = {seat.seat: seat for seat in before.seats}
    for seat in after.seats:
        was = old.get(seat.seat)
        if was is None:
            yield f"seat {seat.seat} comes: {seat.vault} in {seat.state}, {seat.operator}"
        elif seat.retired and not was.retired:
            yield f"seat {seat.seat} ({seat.vault}, {seat.state}) is retired"
        elif seat != was:
            yield f"seat {seat.seat} ({seat.vault}): other addresses, keys or operator"
    d, was_d = after.dispersal, before.dispersal
    if d != was_d:
        yield (
            f"new data: any {d.k} of {d.n} seats rebuild it, {d.h} states make a deposit count; "
            f"was {was_d.k} of {was_d.n}, {was_d.h}"
        )


def _epochs(before: Charter, after: Charter) -> Iterator[str]:
    known = {epoch.epoch for epoch in before.recovery}
    for epoch in after.recovery:
        if epoch.epoch not in known:
            yield (
                f"new recovery key, epoch {epoch.epoch}, share set {epoch.share_set}: "
                f"{epoch.group_threshold} of {len(epoch.groups)} groups of cards"
            )


def _depositors(before: Charter, after: Charter) -> Iterator[str]:
    old = {item.id: item for item in before.depositors}
    new = {item.id: item for item in after.depositors}
    for name in sorted(new.keys() - old.keys()):
        yield f"depositor {name} comes"
    for name in sorted(old.keys() - new.keys()):
        yield f"depositor {name} ends"
    for name in sorted(old.keys() & new.keys()):
        was, will = old[name], new[name]
        if was.keys != will.keys:
            yield f"depositor {name}: new keys; the former ones lodge nothing any more"
        if (was.daily_bytes, was.total_bytes) != (will.daily_bytes, will.total_bytes):
            yield f"depositor {name}: {will.daily_bytes} bytes a day, {will.total_bytes} in all"
        if was.reserve != will.reserve:
            yield f"depositor {name}: {'may' if will.reserve else 'may not'} use the reserve"


def _settings(before: Charter, after: Charter) -> Iterator[str]:
    old, new = before.settings, after.settings
    pairs: tuple[tuple[str, object, object], ...] = (
        ("notice", before.notice, after.notice),
        ("retention in days", old.retention_days, new.retention_days),
        ("days between drills", old.drill_interval_days, new.drill_interval_days),
        ("days between proofs of cards", old.drill_cards_days, new.drill_cards_days),
        ("whole deposits in bags", old.whole_deposit_bags, new.whole_deposit_bags),
        ("agreements required", old.agreements_required, new.agreements_required),
        ("delays", before.delays.to_json(), after.delays.to_json()),
        ("witnesses", _witness(before), _witness(after)),
        ("quotas", before.quotas.to_json(), after.quotas.to_json()),
        (
            "advised to be replaced by",
            f"{before.advisory_expiry:%Y-%m-%d}",
            f"{after.advisory_expiry:%Y-%m-%d}",
        ),
    )
    for what, was, will in pairs:
        if was != will:
            yield f"{what}: {_shown(will)}; was {_shown(was)}"


def _witness(charter: Charter) -> dict[str, object]:
    witness = charter.witness
    names = ", ".join(item.name for item in witness.external) or "none"
    return {"f": witness.f, "q": witness.q, "external": names, "freshness": witness.freshness}


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return "yes" if value is True else "no" if value is False else str(value)


def _signing(before: Charter, after: Charter) -> Iterator[str]:
    own = after.role(RoleName.GOVERN)
    if after.era == before.era:
        old = before.role(RoleName.GOVERN)
        yield (
            f"signed by {old.threshold} of {len(old.members)} of govern of "
            f"{before.era}.{before.version} and by {own.threshold} of {len(own.members)} of its own"
        )
        yield f"in force {duration(max(old.delay, own.delay))} after the vaults have it"
        return
    first, second = before.role(RoleName.EXILE_1), before.role(RoleName.EXILE_2)
    yield (
        f"a new era: signed by {first.threshold} of {len(first.members)} of exile_1 or "
        f"{second.threshold} of {len(second.members)} of exile_2 of the exile charter, and by "
        f"{own.threshold} of {len(own.members)} of its own govern"
    )
    yield "taken under lockdown only"


def _warnings(before: Charter, after: Charter) -> Iterator[str]:
    left = {item.id for item in before.officials} - {item.id for item in after.officials}
    new_epoch = after.current_epoch.epoch != before.current_epoch.epoch
    epoch = before.current_epoch.epoch
    if left and not new_epoch:
        yield (
            f"note: whoever leaves keeps the cards that he has; those of epoch {epoch} stay good, "
            "also for new deposits, until a new epoch begins"
        )
    if new_epoch:
        yield (
            f"note: cards of epoch {epoch} and before stay with their holders: older deposits "
            "need them, and no charter makes them worthless"
        )
    active = {seat.seat for seat in before.active_seats}
    retired = [seat.seat for seat in after.seats if seat.retired and seat.seat in active]
    if retired:
        yield (
            f"note: shards at seat {', '.join(map(str, retired))} are repaired at no other seat "
            "by themselves: older deposits have one holder fewer there"
        )
