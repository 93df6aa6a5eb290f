"""A new epoch in the next charter: checked before its key is drawn.

Rules: epochs count up by one; no seed is shared twice; a card is sealed only to keys that the
charter has of its holder.
"""

from __future__ import annotations

from exclave.authority.layout import check_layout
from exclave.errors import AuthorityError, ConfigurationError
from exclave.found.cards import CardOutlet
from exclave.found.change_desk import ChangeDesk, Persons
from exclave.found.changes import RecoveryChange
from exclave.found.draft import read_public, share_groups, signing_set
from exclave.found.recovery import NewRecovery, new_recovery
from exclave.ids import Epoch, PersonId
from exclave.signer.file import PublicKeys

__all__ = ["HolderUnverified", "OutletMissing", "check_recovery", "draw_recovery", "holders"]


class OutletMissing(ConfigurationError):
    """A new epoch has cards, and nothing says where they go."""


class HolderUnverified(ConfigurationError):
    """A card is to be sealed to keys that are not those of the official who holds it."""


def check_recovery(desk: ChangeDesk, persons: Persons, *, era: bool) -> None:
    """Complain of a new epoch that must not be; nothing is drawn."""
    change, newest = desk.changes.recovery, desk.before.current_epoch.epoch
    if change is None:
        return
    if change.same_key:
        desk.complain(
            ("recovery", "same_key"),
            "expected a new key, got a new share set of the old one, which would need its seed "
            "recombined: a new epoch is the way, old cards stay with their holders",
        )
    # A lower era may have given numbers away that exile's predecessor does not know of.
    if change.epoch <= newest or (change.epoch != newest + 1 and not era):
        desk.complain(("recovery", "epoch"), f"expected {newest + 1}, got {change.epoch}")
    try:
        check_layout(share_groups(change.group), change.group_threshold, path="recovery")
    except AuthorityError as error:
        desk.complain(("recovery",), error.message)
    _check_holders(desk, change, persons)


def _check_holders(desk: ChangeDesk, change: RecoveryChange, persons: Persons) -> None:
    held: list[str] = []
    for index, group in enumerate(change.group):
        place = ("recovery", "group", index, "holders")
        if group.holders and len(group.holders) != group.members:
            desk.complain(place, f"expected {group.members} holders, got {len(group.holders)}")
        for name in group.holders:
            official = persons.officials.get(persons.labels.get(name, PersonId(name)))
            if official is None:
                desk.complain(place, f"expected officials of the next charter, got {name!r}")
            elif official.place.value != group.place:
                desk.complain(
                    place, f"expected holders {group.place}, got {name} {official.place.value}"
                )
            if name in held:
                desk.complain(place, f"expected each holder once, got {name!r} twice")
            held.append(name)


def draw_recovery(desk: ChangeDesk, outlet: CardOutlet | None) -> NewRecovery | None:
    """The new key with its shares, if the changes want one; raises `OutletMissing`."""
    change = desk.changes.recovery
    if change is None:
        return None
    if outlet is None:
        where = desk.places.at(("recovery",))
        raise OutletMissing(f"{where}: a new epoch has cards, and nothing says where they go")
    return new_recovery(
        Epoch(change.epoch),
        share_groups(change.group),
        change.group_threshold,
        random=desk.random,
        used=frozenset(epoch.share_set for epoch in desk.before.recovery),
    )


def holders(desk: ChangeDesk, change: RecoveryChange, persons: Persons) -> dict[str, PublicKeys]:
    """Public keys of the holders, by the name that the groups use; each must be the official's."""
    found: dict[str, PublicKeys] = {}
    for name in (name for group in change.group for name in group.holders):
        person = persons.labels.get(name, PersonId(name))
        if name in change.keys:
            public = read_public(desk.folder / change.keys[name])
            if signing_set(public) not in persons.officials[person].key_sets:
                raise HolderUnverified(
                    f"{desk.places.at(('recovery', 'keys', name))}: expected the keys that the "
                    f"charter has of {name}, got others"
                )
            found[name] = public
        elif person in persons.keys:
            found[name] = persons.keys[person]
    return found
