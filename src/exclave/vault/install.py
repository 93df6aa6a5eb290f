"""Setting up a vault's folder and enrolling it in missions (spec/vault-folder.md).

Everything here is written once: a vault that is there is never made again over, and a mission's
enrolment never changes. Which keys there are and how they are saved is the caller's.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.enrolment import Enrolment, parse_enrolment, verify_enrolment
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.keys import TypedKey
from exclave.clock import Clock
from exclave.encoding import hex_decode
from exclave.errors import ConfigurationError, ExclaveError, MalformedData
from exclave.ids import KeyId, MissionId
from exclave.values import dataclass
from exclave.vault.identity import Identity, load_identity, save_identity
from exclave.vault.mission import Mission, SeatKeys
from exclave.vault.seating import rehearse
from exclave.vault.storage import AGREEMENT_KEY, ENROLMENT, ObjectStore

__all__ = [
    "VaultExists",
    "VaultFolder",
    "VaultMissing",
    "create_vault",
    "enrol",
    "find_kit",
    "kit_files",
    "open_missions",
]

_LOG = logging.getLogger(__name__)
_MARK: Final = b"exclave vault v1\n"
_OWN: Final = 0o700
_KIT: Final = ("reader", "spec", "vectors")


class VaultExists(ConfigurationError):
    """The folder is in use already."""


class VaultMissing(ConfigurationError):
    """The folder is not a vault's."""


@dataclass(frozen=True, slots=True)
class VaultFolder:
    """Paths of a vault that has been set up."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> VaultFolder:
        """Check that it is one; raises `VaultMissing`."""
        mark = path / "VAULT"
        if not mark.is_file() or mark.read_bytes() != _MARK:
            raise VaultMissing(f"{path}: not a vault's folder", hint="run `exclave vault init`")
        return cls(path)

    @property
    def tmp(self) -> Path:
        """Uploads in progress."""
        return self.path / "tmp"

    @property
    def keys(self) -> Path:
        """Private keys."""
        return self.path / "keys"

    def mission(self, mission: MissionId) -> Path:
        """A mission's folder, there or not."""
        return self.path / "missions" / mission.hex()

    def identity(self) -> Identity:
        """The vault's identity."""
        return load_identity(self.keys / "identity.pem")

    def agreement_key(self, mission: MissionId) -> KeyId | None:
        """The receiving state's key, where this vault asks for an agreement of that mission."""
        try:
            data = (self.mission(mission) / AGREEMENT_KEY).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return KeyId(hex_decode(data.decode("ascii").strip(), length=32).hex())
        except (MalformedData, UnicodeDecodeError) as error:
            # Not taken for none: whoever spoils the file must not open the vault.
            raise ConfigurationError(
                f"missions/{mission.hex()}/{AGREEMENT_KEY}: expected a key id of 64 hex digits, "
                "got something else"
            ) from error

    def missions(self) -> list[tuple[MissionId, bytes]]:
        """Missions with their enrolment files."""
        found: list[tuple[MissionId, bytes]] = []
        for folder in sorted((self.path / "missions").iterdir()):
            data = (folder / ENROLMENT).read_bytes()
            enrolment = parse_enrolment(parse_envelope(data, kinds=[Kind.ENROLMENT]))
            if enrolment.mission.hex() != folder.name:
                raise ConfigurationError(
                    f"missions/{folder.name}: expected its own enrolment, got another mission's"
                )
            found.append((enrolment.mission, data))
        return found


def find_kit() -> Path:
    """The folder with reader, specification and vectors: the wheel's, or the checkout's."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_kit", package.parents[1]):
        if (folder / "spec").is_dir():
            return folder
    raise ConfigurationError("kit: reader and specification are not installed beside the program")


def create_vault(
    path: Path,
    *,
    identity: Identity,
    seat_request: bytes,
    save_keys: Callable[[Path], None],
    kit: Path,
) -> VaultFolder:
    """Set up a new vault; `save_keys` writes the other private keys into the folder it gets."""
    if path.exists() and any(path.iterdir()):
        raise VaultExists(f"{path}: not empty", hint="a vault is never made again over another")
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(_OWN)  # shards have their veil share in the clear: for no other account's eyes
    for name in ("missions", "tmp"):
        (path / name).mkdir(mode=_OWN)
    (path / "keys").mkdir(mode=0o700)
    _copy_kit(kit, path / "KIT")
    save_identity(identity, path / "keys" / "identity.pem")
    save_keys(path / "keys")
    _write_new(path / "seat-request.json", seat_request)
    # Last: before it the folder is no vault, whatever a crash left in it.
    _write_new(path / "VAULT", _MARK)
    return VaultFolder(path)


def enrol(
    folder: VaultFolder,
    data: bytes,
    *,
    log_key: TypedKey,
    seat_key: TypedKey,
    agreement_key: KeyId | None = None,
) -> tuple[Enrolment, Charter]:
    """Pin a mission; refused unless a charter in effect has this vault's own keys. Idempotent.

    With `agreement_key` new deposits of the mission are taken under an agreement only, from the
    first one on; whether they are is decided here once, and not changed for a mission that is
    enrolled.
    """
    envelope = parse_envelope(data, kinds=[Kind.ENROLMENT])
    enrolment, charter = verify_enrolment(
        envelope,
        log_key=log_key,
        seat_key=seat_key,
        identity=folder.identity().certificate,
    )
    rehearse(enrolment)
    target = folder.mission(enrolment.mission)
    target.mkdir(mode=_OWN, exist_ok=True)
    if agreement_key is not None and not (target / ENROLMENT).exists():
        # First: a crash in between must not leave a mission enrolled that nothing asks for one.
        with contextlib.suppress(FileExistsError):
            _write_new(target / AGREEMENT_KEY, f"{agreement_key}\n".encode("ascii"))
    try:
        _write_new(target / ENROLMENT, data)
    except FileExistsError as error:
        if (target / ENROLMENT).read_bytes() != data:
            raise ConfigurationError(
                f"mission {enrolment.mission.hex()[:16]}: enrolled already, by another file",
                hint="an enrolment never changes; later charters are handed in as statements",
            ) from error
    return enrolment, charter


def open_missions(
    folder: VaultFolder,
    *,
    engine: Callable[[Path, Path], ObjectStore],
    keys: SeatKeys,
    clock: Clock,
    min_free_bytes: int = 0,
) -> list[Mission]:
    """All missions of a vault; `engine` gets a mission's folder and the folder for uploads.

    One that cannot be opened is named in the log and keeps no other from being served; the error
    is raised when none can.
    """
    # Nothing in it counts, so whoever cleared the disk may have taken the folder too.
    folder.tmp.mkdir(mode=_OWN, exist_ok=True)
    for place in (folder.tmp, folder.path / "missions"):
        place.chmod(_OWN)  # earlier versions left them open to other accounts
    opened: list[Mission] = []
    failure: ExclaveError | None = None
    for mission, data in folder.missions():
        enrolment = parse_enrolment(parse_envelope(data, kinds=[Kind.ENROLMENT]))
        place = folder.mission(mission)
        try:
            agreement_key = folder.agreement_key(mission)
            opened.append(
                Mission(
                    mission=mission,
                    seat=enrolment.seat,
                    store=engine(place, folder.tmp),
                    index_path=str(place / "state.db"),
                    keys=keys,
                    clock=clock,
                    charter=enrolment.charter.to_bytes(),
                    history=enrolment.history,
                    min_free_bytes=min_free_bytes,
                    agreement_key=agreement_key,
                )
            )
        except ExclaveError as error:
            failure = failure or error
            _LOG.error("mission %s is not served: %s", mission.hex(), error.message)
    if failure is not None and not opened:
        raise failure
    return opened


def kit_files(kit: Path) -> Iterator[tuple[Path, Path]]:
    """Files of a kit, each with its path there."""
    for name in _KIT:
        for source in sorted((kit / name).rglob("*")):
            if source.is_file() and "__pycache__" not in source.parts:
                yield source, source.relative_to(kit)


def _copy_kit(kit: Path, target: Path) -> None:
    """Copy hundreds of small files durably, before the folder is marked as a vault's.

    All are written before the first is synced: that one sync then carries most of the others.
    """
    written: list[Path] = []
    for source, relative in kit_files(kit):
        file = target / relative
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.read_bytes())
        written.append(file)
    for place in [*written, *sorted({file.parent for file in written})]:
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write_new(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        # Links fail where rename would overwrite.
        path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
