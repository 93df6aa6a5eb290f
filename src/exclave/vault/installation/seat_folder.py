"""What each seat of an installation has of its own (spec/vault-folder.md 3).

The first seat lies in the vault's folder itself, further ones below `seats/`. Their names are the
operator's own words for a guest, and no other party is told them.

Rules: what makes a seat is written last, so that a crash leaves none; a seat that is there is
never made again over; its keys are for its own account only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from exclave.durable import sync_folder, write_new_file
from exclave.errors import ConfigurationError
from exclave.values import dataclass
from exclave.vault.line.identity import Identity, load_identity, save_identity

__all__ = [
    "OWN",
    "SeatExists",
    "SeatFolder",
    "further_seats",
    "make_seat",
    "put_keys",
    "read_seat_name",
]

OWN: Final = 0o700
_SEATS: Final = "seats"
_SETTINGS: Final = "seat.toml"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class SeatExists(ConfigurationError):
    """A seat of that name is there, or a seat that has these addresses."""


@dataclass(frozen=True, slots=True)
class SeatFolder:
    """Paths of a seat; `name` is None for the first."""

    path: Path
    name: str | None = None

    @property
    def keys(self) -> Path:
        """Private keys."""
        return self.path / "keys"

    @property
    def request(self) -> Path:
        """What was exported."""
        return self.path / "seat-request.json"

    @property
    def label(self) -> str:
        """How messages name it."""
        return "the first seat" if self.name is None else f"seat {self.name}"

    def identity(self) -> Identity:
        """The seat's identity."""
        return load_identity(self.keys / "identity.pem")

    @property
    def settings(self) -> Path:
        """Where a further seat listens; the first one's addresses are in `vault.toml`."""
        return self.path / _SETTINGS


def further_seats(folder: Path) -> Iterator[SeatFolder]:
    """The seats below `seats/` that were made whole, by name."""
    place = folder / _SEATS
    if not place.is_dir():
        return
    for path in sorted(place.iterdir()):
        if _NAME.fullmatch(path.name) and (path / _SETTINGS).is_file():
            yield SeatFolder(path, path.name)


def read_seat_name(data: bytes, subject: str) -> str:
    """The name in a mission's file `seat`; raises `ConfigurationError`."""
    name = data.decode("ascii", "replace").removesuffix("\n")
    if not _NAME.fullmatch(name):
        # Not taken for the first seat: the mission would be served with another's keys.
        raise ConfigurationError(f"{subject}: expected the name of a seat, got something else")
    return name


def make_seat(
    folder: Path,
    name: str,
    *,
    identity: Identity,
    seat_request: bytes,
    settings: str,
    save_keys: Callable[[Path], None],
) -> SeatFolder:
    """Set up a further seat; `save_keys` writes the other private keys into the folder it gets."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"seat: expected a name like 'estonia', got {name[:70]!r}")
    seat = SeatFolder(folder / _SEATS / name, name)
    seat.path.parent.mkdir(mode=OWN, exist_ok=True)
    try:
        seat.path.mkdir(mode=OWN)
    except FileExistsError as error:
        raise SeatExists(
            f"seats/{name}: there already",
            hint="a seat is never made again over another: give this one another name",
        ) from error
    put_keys(seat, identity=identity, save_keys=save_keys)
    write_new_file(seat.request, [seat_request], mode=0o644)
    for place in (seat.path.parent, folder):
        sync_folder(place)
    write_new_file(seat.settings, [settings.encode()], mode=0o644)
    return seat


def put_keys(seat: SeatFolder, *, identity: Identity, save_keys: Callable[[Path], None]) -> None:
    """Make the folder of a seat's keys, and them in it."""
    seat.keys.mkdir(mode=OWN)
    save_identity(identity, seat.keys / "identity.pem")
    save_keys(seat.keys)
