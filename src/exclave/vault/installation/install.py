"""Setting up a vault's folder and enrolling it in missions (spec/vault-folder.md).

Everything here is written once: a vault that is there is never made again over, and a mission's
enrolment never changes. Which keys there are and how they are saved is the caller's.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import exclave
from exclave.authority.charter import Charter
from exclave.authority.enrolment import Enrolment, parse_enrolment, verify_enrolment
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.keys import TypedKey
from exclave.clock import Clock
from exclave.durable import NameTaken, write_new_file
from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import KeyId, MissionId
from exclave.values import dataclass
from exclave.vault.installation.agreement_pins import AgreementPins
from exclave.vault.installation.seat_folder import (
    OWN,
    SeatFolder,
    further_seats,
    make_seat,
    put_keys,
    read_seat_name,
)
from exclave.vault.kept.storage import AGREEMENT_KEY, ENROLMENT, SEAT, ObjectStore
from exclave.vault.line.identity import Identity
from exclave.vault.mission.mission import Mission, SeatKeys
from exclave.vault.survey.seating import rehearse

__all__ = [
    "SeatTaken",
    "VaultExists",
    "VaultFolder",
    "VaultMissing",
    "VaultTooNew",
    "add_seat",
    "create_vault",
    "enrol",
    "find_kit",
    "kit_files",
    "open_missions",
]

_LOG = logging.getLogger(__name__)
_MARK: Final = re.compile(rb"exclave vault v([1-9][0-9]{0,5})\n")
_ONE_SEAT: Final = 1
_SEVERAL: Final = 2
"""Formats of a vault's folder that are known: the highest one is the program's own."""
_KIT: Final = ("reader", "spec", "vectors")


class VaultExists(ConfigurationError):
    """The folder is in use already."""


class VaultMissing(ConfigurationError):
    """The folder is not a vault's."""


class VaultTooNew(ConfigurationError):
    """A later version of the program made the folder."""


class SeatTaken(ConfigurationError):
    """The seat whose keys an enrolment names has a mission already."""


@dataclass(frozen=True, slots=True)
class VaultFolder:
    """Paths of a vault that has been set up."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> VaultFolder:
        """Check that it is one; raises `VaultMissing` or `VaultTooNew`."""
        mark = path / "VAULT"
        found = _MARK.fullmatch(mark.read_bytes()) if mark.is_file() else None
        if found is None:
            raise VaultMissing(f"{path}: not a vault's folder", hint="run `exclave vault init`")
        if int(found[1]) > _SEVERAL:
            raise VaultTooNew(
                f"{path}: expected a vault's folder of format {_SEVERAL} or earlier, "
                f"got format {int(found[1])}",
                hint="a later version made it: use that one; nothing was touched",
            )
        return cls(path)

    @property
    def tmp(self) -> Path:
        """Uploads in progress."""
        return self.path / "tmp"

    @property
    def first(self) -> SeatFolder:
        """The seat that every vault has."""
        return SeatFolder(self.path)

    @property
    def seats(self) -> list[SeatFolder]:
        """All seats, the first one first."""
        return [self.first, *further_seats(self.path)]

    @property
    def keys(self) -> Path:
        """The first seat's private keys."""
        return self.first.keys

    def mission(self, mission: MissionId) -> Path:
        """A mission's folder, there or not."""
        return self.path / "missions" / mission.hex()

    def seat_of(self, mission: MissionId) -> SeatFolder:
        """The seat that a mission has; raises `ConfigurationError` when it is not there."""
        subject = f"missions/{mission.hex()}/{SEAT}"
        try:
            data = (self.mission(mission) / SEAT).read_bytes()
        except FileNotFoundError:
            return self.first
        name = read_seat_name(data, subject)
        for seat in self.seats:
            if seat.name == name:
                return seat
        raise ConfigurationError(f"{subject}: seats/{name}: no such seat, or not made whole")

    def missions_at(self, seat: SeatFolder) -> list[MissionId]:
        """The missions of one seat."""
        return [mission for mission, _ in self.missions() if self.seat_of(mission) == seat]

    def identity(self) -> Identity:
        """The first seat's identity."""
        return self.first.identity()

    def agreement_pins(self, mission: MissionId) -> AgreementPins | None:
        """The receiving state's keys, where this vault asks for an agreement of that mission."""
        try:
            data = (self.mission(mission) / AGREEMENT_KEY).read_bytes()
        except FileNotFoundError:
            return None
        # Not taken for none where it is spoilt: whoever spoils the file must not open the vault.
        return AgreementPins.parse(data, f"missions/{mission.hex()}/{AGREEMENT_KEY}")

    def missions(self) -> list[tuple[MissionId, bytes]]:
        """Missions with their enrolment files."""
        found: list[tuple[MissionId, bytes]] = []
        for folder in sorted((self.path / "missions").iterdir()):
            if not (folder / ENROLMENT).exists():
                continue  # an enrolment that was cut off: nothing is pinned yet
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
    package = Path(exclave.__file__).resolve().parent
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
    path.chmod(OWN)  # shards have their veil share in the clear: for no other account's eyes
    for name in ("missions", "tmp"):
        (path / name).mkdir(mode=OWN)
    _copy_kit(kit, path / "KIT")
    folder = VaultFolder(path)
    put_keys(folder.first, identity=identity, save_keys=save_keys)
    write_new_file(folder.first.request, [seat_request], mode=0o644)
    # Last: before it the folder is no vault, whatever a crash left in it.
    write_new_file(path / "VAULT", [_mark(_ONE_SEAT)], mode=0o644)
    return folder


def add_seat(
    folder: VaultFolder,
    name: str,
    *,
    identity: Identity,
    seat_request: bytes,
    settings: str,
    save_keys: Callable[[Path], None],
    replace: Callable[[Path, bytes], None],
) -> SeatFolder:
    """Set up one more seat, with keys and addresses of its own, for one mission.

    `replace` writes a small file in place of another, durably: the folder's mark.
    """
    # First: a program that knows one seat only must refuse the folder from the first key on.
    if (folder.path / "VAULT").read_bytes() != _mark(_SEVERAL):
        replace(folder.path / "VAULT", _mark(_SEVERAL))
    return make_seat(
        folder.path,
        name,
        identity=identity,
        seat_request=seat_request,
        settings=settings,
        save_keys=save_keys,
    )


def enrol(
    folder: VaultFolder,
    data: bytes,
    *,
    log_key: TypedKey,
    seat_key: TypedKey,
    agreement_key: KeyId | None = None,
    seat: SeatFolder | None = None,
) -> tuple[Enrolment, Charter]:
    """Pin a mission at a seat, by default the first; refused unless a charter in effect has its
    keys, or when the seat has another mission. Idempotent.

    With `agreement_key` new deposits of the mission are taken under an agreement only, from the
    first one on; whether they are is decided here once, and not changed for a mission that is
    enrolled.
    """
    seat = seat or folder.first
    envelope = parse_envelope(data, kinds=[Kind.ENROLMENT])
    enrolment, charter = verify_enrolment(
        envelope,
        log_key=log_key,
        seat_key=seat_key,
        identity=seat.identity().certificate,
    )
    rehearse(enrolment)
    _require_free(folder, seat, enrolment.mission)
    target = folder.mission(enrolment.mission)
    target.mkdir(mode=OWN, exist_ok=True)
    if not (target / ENROLMENT).exists():
        # First: a crash in between must not leave a mission enrolled that nothing asks for one,
        # or that is served under another seat's keys.
        marks = ((AGREEMENT_KEY, agreement_key), (SEAT, seat.name))
        for name, text in marks:
            if text is not None:
                with contextlib.suppress(NameTaken):
                    write_new_file(target / name, [f"{text}\n".encode("ascii")], mode=0o644)
    try:
        write_new_file(target / ENROLMENT, [data], mode=0o644)
    except NameTaken as error:
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
    seat: SeatFolder | None = None,
) -> list[Mission]:
    """All missions of a seat, by default the first; `keys` are the seat's.

    `engine` gets a mission's folder and the folder for uploads.

    One that cannot be opened is named in the log and keeps no other from being served; the error
    is raised when none can.
    """
    # Nothing in it counts, so whoever cleared the disk may have taken the folder too.
    folder.tmp.mkdir(mode=OWN, exist_ok=True)
    for place in (folder.tmp, folder.path / "missions"):
        place.chmod(OWN)  # earlier versions left them open to other accounts
    opened: list[Mission] = []
    failure: ExclaveError | None = None
    for mission, data in folder.missions():
        enrolment = parse_enrolment(parse_envelope(data, kinds=[Kind.ENROLMENT]))
        place = folder.mission(mission)
        try:
            if folder.seat_of(mission) != (seat or folder.first):
                continue
            pins = folder.agreement_pins(mission)
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
                    agreement_key=None if pins is None else pins.key,
                    earlier_keys=() if pins is None else pins.earlier,
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


def _mark(version: int) -> bytes:
    return b"exclave vault v%d\n" % version


def _require_free(folder: VaultFolder, seat: SeatFolder, mission: MissionId) -> None:
    others = [other for other in folder.missions_at(seat) if other != mission]
    if others:
        raise SeatTaken(
            f"{seat.label}: expected no mission yet, got {others[0].hex()[:16]}",
            hint="each mission has a seat with keys and addresses of its own: exclave vault seat",
        )
