"""Files that people hand in: read whole, with a message instead of a trace."""

from __future__ import annotations

from pathlib import Path

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.errors import ConfigurationError, IntegrityError
from exclave.ids import MissionId

__all__ = ["FileUnusable", "load_charter", "load_envelope", "new_folder", "read_file"]


class FileUnusable(ConfigurationError):
    """A file or folder that was named cannot be used."""


def read_file(path: Path) -> bytes:
    """The bytes of a file; raises `FileUnusable`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileUnusable(f"{path}: cannot be read: {error.strerror}") from error


def load_envelope(path: Path, *kinds: Kind) -> Envelope:
    """A statement of one of these kinds; what is wrong with it names the file."""
    data = read_file(path)
    try:
        return parse_envelope(data, kinds=kinds)
    except IntegrityError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


def load_charter(path: Path, mission: MissionId | None = None) -> Charter:
    """A charter; charter 1 must be signed by its own threshold, and of `mission` if given.

    A later charter's signatures need the chain before it: vaults and readers check them.
    """
    envelope = load_envelope(path, Kind.CHARTER)
    charter = parse_charter(envelope)
    if charter.mission is None:
        expected = charter.mission_id if mission is None else mission
        return verify_chain([envelope], expected).newest
    return charter


def new_folder(path: Path) -> Path:
    """An empty folder (0700), made or found empty; raises `FileUnusable`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise FileUnusable(
                f"{path}: expected a new or empty folder, got one with files in it",
                hint="name another folder",
            )
    except OSError as error:
        raise FileUnusable(f"{path}: cannot be used: {error.strerror}") from error
    return path
