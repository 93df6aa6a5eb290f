"""Officials, their names and their rosters in the next charter.

Rules: a person keeps his id when his keys or his place change, and his salt as long as his name
does, so that an unchanged name hash stays valid; nobody enters twice, by key, id or name; whoever
leaves, leaves every roster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exclave.authority.annex import AnnexEntry, name_hash
from exclave.authority.charter_parts import Official, Place, Role, RoleName
from exclave.authority.keys import TypedKey
from exclave.errors import ConfigurationError
from exclave.found.change_desk import ChangeDesk, Persons
from exclave.found.change_desk import Place as Key
from exclave.found.changes import RoleChange
from exclave.found.draft import new_official, read_public, signing_set
from exclave.found.plan import OfficialPlan
from exclave.ids import PersonId
from exclave.signer.file import PublicKeys
from exclave.values import replace

__all__ = ["change_persons", "change_rosters"]


def change_persons(desk: ChangeDesk, annex: Sequence[AnnexEntry] | None) -> Persons:
    """The officials of the next charter; `annex` has the names of those of the last one."""
    return _Register(desk, annex).changed()


class _Register:
    """The officials while changes are applied one after the other."""

    def __init__(self, desk: ChangeDesk, annex: Sequence[AnnexEntry] | None) -> None:
        self._desk = desk
        self._officials = {official.id: official for official in desk.before.officials}
        self._names = None if annex is None else {entry.id: entry for entry in annex}
        self._labels: dict[str, PersonId] = {}
        self._keys: dict[PersonId, PublicKeys] = {}

    def changed(self) -> Persons:
        """All changes, in the order of the help: those that stay, those who come, who leaves."""
        change = self._desk.changes.official
        if (change.add or change.rename or change.remove) and self._names is None:
            self._desk.complain(
                ("official",), "expected the annex of names, got none: name it with --annex"
            )
        self._name_those_who_stay()
        for index, added in enumerate(change.add):
            self._add(("official", "add", index), added)
        for index, item in enumerate(change.replace_keys):
            self._rekey(
                ("official", "replace_keys", index), item.official, item.keys, item.keep_old
            )
        for index, moved in enumerate(change.move):
            place = ("official", "move", index)
            if official := self._official(place, moved.official):
                self._officials[official.id] = replace(
                    official, place=Place(moved.place), institution=moved.institution
                )
        for index, named in enumerate(change.rename):
            place = ("official", "rename", index)
            if official := self._official(place, named.official):
                self._rename(official, named.name, named.contact)
        for index, left in enumerate(change.remove):
            place = ("official", "remove", index)
            if official := self._official(place, left.official):
                self._remove(official.id)
        return Persons(
            officials=self._officials, names=self._names, labels=self._labels, keys=self._keys
        )

    def _name_those_who_stay(self) -> None:
        for label, person in self._desk.changes.labels.items():
            if person not in self._officials:
                self._desk.complain(
                    ("labels", label), f"expected an official of the charter, got {person}"
                )
            self._labels[label] = PersonId(person)

    def _official(self, place: Key, name: str) -> Official | None:
        person = self._labels.get(name, PersonId(name))
        official = self._officials.get(person)
        if official is None:
            self._desk.complain(
                (*place, "official"), f"expected an official of the charter, got {name!r}"
            )
        return official

    def _add(self, place: Key, plan: OfficialPlan) -> None:
        if plan.label in self._labels:
            self._desk.complain((*place, "label"), f"expected a new label, got {plan.label!r}")
        public = self._public((*place, "keys"), plan.keys)
        if public is None:
            return
        official, entry = new_official(plan, public, self._desk.random(32))
        self._labels[plan.label] = official.id
        if official.id in self._officials or self._owner(official.key_sets[0]) is not None:
            self._desk.complain(
                (*place, "keys"),
                f"expected a person who is no official yet, got {official.id} twice",
            )
            return
        self._require_new_name((*place, "name"), plan.name)
        self._officials[official.id] = official
        self._keys[official.id] = public
        if self._names is not None:
            self._names[official.id] = entry

    def _require_new_name(self, place: Key, name: str) -> None:
        for person, entry in (self._names or {}).items():
            if entry.name.casefold() == name.casefold():
                self._desk.complain(
                    place,
                    f"expected a person who is no official yet, got the name of {person}: "
                    "one person has one vote, with new keys under [[official.replace_keys]]",
                )

    def _rekey(self, place: Key, name: str, keys: str, keep_old: bool) -> None:
        official, public = self._official(place, name), self._public((*place, "keys"), keys)
        if official is None or public is None:
            return
        new = signing_set(public)
        owner = self._owner(new)
        if owner is not None:
            self._desk.complain((*place, "keys"), f"expected new keys, got those of {owner}")
            return
        sets = (*official.key_sets, new) if keep_old else (new,)
        self._officials[official.id] = replace(official, key_sets=sets)
        self._keys[official.id] = public

    def _rename(self, official: Official, name: str, contact: str) -> None:
        if self._names is None:
            return
        entry = self._names[official.id]
        # The salt stays with an unchanged name: the hash that the charter states stays valid.
        salt = entry.salt if entry.name == name else self._desk.random(32)
        self._names[official.id] = AnnexEntry(id=official.id, name=name, contact=contact, salt=salt)
        hashed = name_hash(salt, name)
        self._officials[official.id] = replace(official, name_hash=hashed)

    def _remove(self, person: PersonId) -> None:
        del self._officials[person]
        if self._names is not None:
            del self._names[person]

    def _owner(self, keys: Iterable[TypedKey]) -> PersonId | None:
        wanted = set(keys)
        for person, official in self._officials.items():
            if any(wanted.intersection(known) for known in official.key_sets):
                return person
        return None

    def _public(self, place: Key, path: str) -> PublicKeys | None:
        try:
            return read_public(self._desk.folder / path)
        except ConfigurationError as error:
            self._desk.complain(place, error.message)
            return None


def change_rosters(desk: ChangeDesk, persons: Persons) -> tuple[tuple[RoleName, Role], ...]:
    """The rosters of the next charter."""
    changes = desk.changes.rosters.by_role()
    return tuple(
        (name, _roster(desk, name, role, changes.get(name), persons))
        for name, role in desk.before.rosters
    )


def _roster(
    desk: ChangeDesk, name: RoleName, role: Role, change: RoleChange | None, persons: Persons
) -> Role:
    place: Key = ("rosters", name.value)
    members = [member for member in role.members if member in persons.officials]
    if change is not None:
        members = _members(desk, place, members, change, persons)
        role = replace(
            role,
            threshold=role.threshold if change.threshold is None else change.threshold,
            delay=role.delay if change.delay is None else change.delay,
            veto_window=role.veto_window if change.veto_window is None else change.veto_window,
        )
    if not members:
        left = place if change is not None else ("official", "remove")
        desk.complain(left, f"expected a member of {name} to stay, got none left")
    return replace(role, members=tuple(sorted(members)))


def _members(
    desk: ChangeDesk,
    place: Key,
    members: Sequence[PersonId],
    change: RoleChange,
    persons: Persons,
) -> list[PersonId]:
    if change.members is not None and (change.add or change.remove):
        desk.complain(place, "expected either members, or add and remove, got both")
    named: Mapping[str, Sequence[str] | None] = {
        "members": change.members,
        "add": change.add,
        "remove": change.remove,
    }
    found = {key: _found(desk, (*place, key), names or (), persons) for key, names in named.items()}
    chosen = list(members) if change.members is None else found["members"]
    for person in found["add"]:
        if person in chosen:
            desk.complain((*place, "add"), f"expected no member yet, got {person}")
        else:
            chosen.append(person)
    for person in found["remove"]:
        if person not in chosen:
            desk.complain((*place, "remove"), f"expected a member, got {person}")
        else:
            chosen.remove(person)
    return chosen


def _found(desk: ChangeDesk, place: Key, names: Sequence[str], persons: Persons) -> list[PersonId]:
    found: list[PersonId] = []
    for name in names:
        person = persons.labels.get(name, PersonId(name))
        if person not in persons.officials:
            desk.complain(place, f"expected officials of the next charter, got {name!r}")
        elif person in found:
            desk.complain(place, f"expected each person once, got {name!r} twice")
        else:
            found.append(person)
    return found
