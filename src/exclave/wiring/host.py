"""The host's side: a vault's folder set up, enrolled, served, inspected.

One process at a time has a vault open: `vault.lock` says so. A command that needs the vault while
the server runs asks that server. Keys never leave `keys/`; `vault.toml` lies in the folder.
"""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.authority.charter import Charter
from exclave.authority.enrolment import Enrolment, parse_enrolment
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.order_parts import OrderHead
from exclave.authority.orders import order_payload
from exclave.authority.permission import Declare, DeclaredAct
from exclave.clock import now
from exclave.encoding import parse_canonical_json
from exclave.engine.file import FileEngine
from exclave.errors import AuthorityError, ConfigurationError, ExclaveError
from exclave.file_lock import lock_file
from exclave.ids import MissionId, Seat
from exclave.lines import LoopThread
from exclave.signer.interface import sign_envelope
from exclave.values import replace
from exclave.vault.installation.at_hand import VaultAtHand
from exclave.vault.installation.config import VaultConfig
from exclave.vault.installation.install import VaultFolder, open_missions
from exclave.vault.installation.install import enrol as enrol_mission
from exclave.vault.installation.seat_folder import SeatFolder
from exclave.vault.interface import CarriedStore, MissionStatus, StatementState
from exclave.vault.kept.storage import ObjectStore
from exclave.vault.line.addresses import parse_address
from exclave.vault.line.local_door import SOCKET
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.wiring.capacity import disk_room
from exclave.wiring.files import read_file
from exclave.wiring.local_door import open_door
from exclave.wiring.seat_files import (
    keys_of,
    log_and_seat,
    named_state_key,
    seat_config,
    seat_keys,
    seat_named,
    vault_config,
)

if TYPE_CHECKING:
    from exclave.vault.client.client import HttpVault
    from exclave.vault.kept.fsck import FsckReport

__all__ = [
    "MissionUnexpected",
    "VaultBusy",
    "carried_to",
    "declare_act",
    "enrol_vault",
    "enrolled_seat",
    "fsck_vault",
    "mission_at_hand",
    "rebuild_vault",
    "serve_vault",
    "status_vault",
    "submit_to_vault",
]

_LOG = logging.getLogger(__name__)
_ENOUGH_FILES = 65536


class MissionUnexpected(AuthorityError):
    """An enrolment of another mission than the one compared out of band."""


class VaultBusy(ConfigurationError):
    """Another process has the vault open."""


def enrol_vault(path: Path, enrolment: Path, *, mission: MissionId) -> tuple[Enrolment, Charter]:
    """Pin a mission, if it is the one that was compared out of band."""
    folder = VaultFolder.open(path)
    data = read_file(enrolment)
    got = parse_enrolment(parse_envelope(data, kinds=[Kind.ENROLMENT])).mission
    if got != mission:
        raise MissionUnexpected(
            f"enrolment: expected mission {mission.hex()}, got {got.hex()}",
            hint="compare the mission id with the sending state once more, by another way",
        )
    place = seat_named(folder, data)
    log, seat = log_and_seat(keys_of(place))
    asked = named_state_key(place) if vault_config(folder).require_agreement else None
    with _opened(folder):
        return enrol_mission(
            folder,
            data,
            log_key=log.key,
            seat_key=seat.key,
            agreement_key=asked,
            seat=place,
        )


def serve_vault(path: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    # A vault at hand needs no server: what that imports takes as long as a small deposit.
    from exclave.vault.server.listener import share_of_connections
    from exclave.vault.server.server import VaultServer, serve

    folder = VaultFolder.open(path)
    config = vault_config(folder)
    with _opened(folder), ExitStack() as doors:
        opened = _missions_by_seat(folder, config)
        statuses = [mission.status() for _, missions in opened for mission in missions]
        warning = disk_room(path, statuses).warning
        if warning is not None:
            _LOG.warning("%s", warning)
        connections = share_of_connections(
            config.limits.connections, listeners=2 * len(opened), files=_most_files()
        )
        settings = replace(config, limits=replace(config.limits, connections=connections))
        servers = [
            VaultServer(
                identity=seat.identity(),
                missions=missions,
                config=_listening(settings, seat),
                clock=now,
                name=seat.name,
                local=doors.enter_context(open_door(seat.path)),
            )
            for seat, missions in opened
        ]
        serve(*servers)


def status_vault(path: Path) -> Sequence[MissionStatus]:
    """Each mission's status, from the running server if there is one."""
    folder = VaultFolder.open(path)
    config = vault_config(folder)
    try:
        with _opened(folder):
            missions = _missions(folder, config)
            try:
                return [mission.status() for mission in missions]
            finally:
                _close(missions)
    except VaultBusy:
        with _own_clients(folder, config) as (loop, clients):
            return [loop.run(client.status()) for client in clients]


def submit_to_vault(path: Path, file: Path) -> StatementState:
    """Hand a statement to the one mission that it is of."""
    return _hand_in(VaultFolder.open(path), read_file(file))


def declare_act(
    path: Path,
    act: DeclaredAct,
    *,
    since: datetime,
    until: datetime,
    reason: str,
    only: MissionId | None = None,
) -> Sequence[tuple[MissionId, StatementState]]:
    """Say to every mission of a vault, or to `only` one, what will be done; its log key signs."""
    folder = VaultFolder.open(path)
    found = [item for item in status_vault(path) if only in {None, item.mission}]
    if not found:
        raise _unknown(only) if only is not None else ConfigurationError("no mission enrolled")
    answers: list[tuple[MissionId, StatementState]] = []
    for item in found:
        head = OrderHead(
            mission=item.mission,
            charter=item.charter,
            nonce=os.urandom(16),
            issued=now().replace(microsecond=0),
            reason=reason,
        )
        order = Declare(head=head, seat=item.seat, act=act, since=since, until=until)
        envelope = Envelope(payload=order_payload(order), kind=order.kind)
        log, _ = log_and_seat(keys_of(folder.seat_of(item.mission)))
        signed = sign_envelope(envelope, [log])
        answers.append((item.mission, _hand_in(folder, signed.to_bytes())))
    return answers


def _hand_in(folder: VaultFolder, data: bytes) -> StatementState:
    config = vault_config(folder)
    wanted = _mission_of(data)
    try:
        with _opened(folder):
            missions = _missions(folder, config)
            try:
                return submit(_only(missions, wanted), data)
            finally:
                _close(missions)
    except VaultBusy:
        with _own_clients(folder, config, wanted) as (loop, clients):
            if not clients:
                raise _unknown(wanted) from None
            return loop.run(clients[0].submit(data))


def fsck_vault(path: Path) -> Sequence[tuple[MissionId, FsckReport]]:
    """Check every object of every mission; changes nothing, also beside a running server."""
    from exclave.vault.kept.fsck import check_objects

    folder = VaultFolder.open(path)
    found: list[tuple[MissionId, FsckReport]] = []
    for mission, data in folder.missions():
        log, _ = log_and_seat(keys_of(folder.seat_of(mission)))
        seat = parse_enrolment(parse_envelope(data)).seat
        store: ObjectStore = FileEngine(folder.mission(mission), folder.tmp)
        report = check_objects(store, mission=mission, seat=seat, log_public=log.key.raw)
        found.append((mission, report))
    return found


@contextmanager
def mission_at_hand(path: Path, mission: MissionId) -> Iterator[Mission]:
    """A mission of a vault's folder that nobody serves, opened for as long as the context lasts."""
    folder = VaultFolder.open(path)
    config = vault_config(folder)
    with _opened(folder):
        missions = _missions(folder, config)
        try:
            yield _only(missions, mission)
        finally:
            for opened in missions:
                opened.watch()
            _close(missions)


@asynccontextmanager
async def carried_to(path: Path, mission: MissionId) -> AsyncIterator[CarriedStore]:
    """A vault that takes what was carried to it: its folder, or the server that has it open."""
    try:
        with mission_at_hand(path, mission) as opened:
            yield VaultAtHand(opened.seat, lambda: nullcontext(opened))
            return
    except VaultBusy as busy:
        place = VaultFolder.open(path).seat_of(mission).path
        if not (place / SOCKET).is_socket():
            raise busy from None
    from exclave.vault.client.local_vault import LocalVault

    async with LocalVault(place, mission, enrolled_seat(path, mission)) as vault:
        yield vault


def enrolled_seat(path: Path, mission: MissionId) -> Seat:
    """The seat that a vault has in a mission; raises when it is not enrolled."""
    for known, data in VaultFolder.open(path).missions():
        if known == mission:
            return parse_enrolment(parse_envelope(data)).seat
    raise _unknown(mission)


def rebuild_vault(path: Path) -> int:
    """Make every mission's index again from its objects; returns how many missions."""
    folder = VaultFolder.open(path)
    config = vault_config(folder)
    with _opened(folder):
        missions = _missions(folder, config)
        for mission in missions:
            mission.rebuild()
        _close(missions)
    return len(missions)


def _listening(config: VaultConfig, seat: SeatFolder) -> VaultConfig:
    """The installation's settings, with the addresses of one seat."""
    where = seat_config(seat, config)
    return replace(
        config,
        data=where.data,
        public=where.public,
        unsafe_public_bind=where.unsafe_public_bind,
        metrics=config.metrics if seat.name is None else None,  # one address for all seats
    )


def _most_files() -> int:
    """Descriptors that this process may have: raised to what the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def _missions(folder: VaultFolder, config: VaultConfig) -> list[Mission]:
    return [mission for _, missions in _missions_by_seat(folder, config) for mission in missions]


def _missions_by_seat(
    folder: VaultFolder, config: VaultConfig
) -> list[tuple[SeatFolder, list[Mission]]]:
    """What is served: the first seat, and every further one that has a mission.

    A seat whose mission cannot be opened is named in the log, and keeps no other from being served.
    """
    opened: list[tuple[SeatFolder, list[Mission]]] = []
    failure: ExclaveError | None = None
    for seat in folder.seats:
        try:
            missions = open_missions(
                folder,
                engine=FileEngine,
                keys=seat_keys(keys_of(seat)),
                clock=now,
                min_free_bytes=config.min_free_bytes,
                seat=seat,
            )
        except ExclaveError as error:
            failure = failure or error
            _LOG.error("%s is not served: %s", seat.label, error.message)
            continue
        if missions or seat.name is None:
            opened.append((seat, missions))
    if failure is not None and not any(missions for _, missions in opened):
        raise failure
    return opened


def _close(missions: Sequence[Mission]) -> None:
    for mission in missions:
        mission.close()


def _only(missions: Sequence[Mission], wanted: MissionId) -> Mission:
    for mission in missions:
        if mission.mission == wanted:
            return mission
    raise _unknown(wanted)


def _unknown(wanted: MissionId) -> ConfigurationError:
    return ConfigurationError(f"mission {wanted.hex()[:16]}: not enrolled at this vault")


def _mission_of(data: bytes) -> MissionId:
    envelope = parse_envelope(data)
    payload = parse_canonical_json(envelope.payload)
    named = payload.get("mission") if isinstance(payload, dict) else None
    if isinstance(named, str):
        return MissionId(bytes.fromhex(named))
    return MissionId(envelope.statement_hash)  # charter 1 names no mission: it is the mission


@contextmanager
def _opened(folder: VaultFolder) -> Iterator[None]:
    with lock_file(folder.path / "vault.lock") as held:
        if held is None:
            raise VaultBusy(
                f"{folder.path}: another process has this vault open", hint="stop the server first"
            )
        yield


@contextmanager
def _own_clients(
    folder: VaultFolder, config: VaultConfig, only: MissionId | None = None
) -> Iterator[tuple[LoopThread, list[HttpVault]]]:
    from exclave.vault.client.client import HttpVault

    loop = LoopThread()
    clients = [
        HttpVault(
            mission=mission,
            seat=parse_enrolment(parse_envelope(data)).seat,
            anchor=folder.seat_of(mission).identity().certificate,
            public=parse_address(seat_config(folder.seat_of(mission), config).public),
            clock=now,
            idle_seconds=10,
        )
        for mission, data in folder.missions()
        if only in (None, mission)
    ]
    try:
        yield loop, clients
    finally:
        for client in clients:
            loop.run(client.close())
        loop.close()
