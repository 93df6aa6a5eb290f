"""Where changes are checked against the charter that they change: complaints, persons, annex.

Everything that does not fit is collected, each with file, line and key, and refused at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from exclave.authority.annex import AnnexEntry
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Official
from exclave.config import ConfigurationInvalid
from exclave.found.changes import Changes
from exclave.ids import PersonId
from exclave.signer.file import PublicKeys
from exclave.toml_lines import Places
from exclave.values import dataclass, field

__all__ = ["ChangeDesk", "ChangesRefused", "Persons", "Place"]

Place = tuple[str | int, ...]
"""A key of the file: ("official", "remove", 0, "official")."""


class ChangesRefused(ConfigurationInvalid):
    """Changes that do not fit the charter in force; `errors` has one line for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Persons:
    """Officials of the next charter; names are None where no annex is at hand."""

    officials: Mapping[PersonId, Official]
    names: Mapping[PersonId, AnnexEntry] | None
    labels: Mapping[str, PersonId]
    keys: Mapping[PersonId, PublicKeys]  # of those whose key files the changes name


@dataclass(slots=True, kw_only=True)
class ChangeDesk:
    """One set of changes, the charter before it, and what was found wrong so far."""

    before: Charter
    changes: Changes
    places: Places
    folder: Path  # where the file's paths start
    random: Callable[[int], bytes]
    _found: list[tuple[int, str]] = field(default_factory=list)

    def complain(self, place: Place, message: str) -> None:
        """Note what is wrong at a key."""
        self._found.append((self.places.line(place), f"{self.places.at(place)}: {message}"))

    def refuse(self) -> None:
        """Raise `ChangesRefused` when anything was wrong."""
        if self._found:
            raise ChangesRefused(tuple(message for _, message in sorted(self._found)))
