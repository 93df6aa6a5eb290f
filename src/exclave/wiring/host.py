"""The host's side: a vault's folder set up, enrolled, served, inspected.

One process at a time has a vault open: `vault.lock` says so. A command that needs the vault while
the server runs asks that server. Keys never leave `keys/`; `vault.toml` lies in the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import Address
from exclave.authority.enrolment import Enrolment, parse_enrolment
from exclave.authority.envelope import Envelope, Kind, envelope_for, parse_envelope
from exclave.authority.keys import ED25519, TypedKey
from exclave.authority.order_parts import OrderHead
from exclave.authority.orders import order_payload
from exclave.authority.permission import Declare, DeclaredAct
from exclave.authority.seat_request import SeatRequest, parse_seat_request, seat_request_payload
from exclave.clock import now
from exclave.config import load_toml, parse_toml
from exclave.encoding import parse_canonical_json
from exclave.engine.file import FileEngine
from exclave.errors import AuthorityError, ConfigurationError
from exclave.ids import KeyId, MissionId
from exclave.ledger.cosignature import CosigningKey
from exclave.ledger.note import COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44
from exclave.lines import LoopThread
from exclave.signer.bundle import KeyBundle, PrivateKey
from exclave.signer.file import load_key_file, save_key_file, write_once
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_vault_key
from exclave.values import dataclass
from exclave.vault.addresses import parse_address
from exclave.vault.config import VaultConfig
from exclave.vault.identity import new_identity
from exclave.vault.install import VaultFolder, create_vault, find_kit, open_missions
from exclave.vault.install import enrol as enrol_mission
from exclave.vault.interface import MissionStatus, StatementState
from exclave.vault.mission import Mission, SeatKeys
from exclave.vault.storage import ObjectStore
from exclave.vault.submission import submit
from exclave.wiring.files import read_file

if TYPE_CHECKING:
    from exclave.vault.client import HttpVault
    from exclave.vault.fsck import FsckReport

__all__ = [
    "MissionUnexpected",
    "NewVault",
    "StateKeyMissing",
    "VaultBusy",
    "declare_act",
    "enrol_vault",
    "fsck_vault",
    "init_vault",
    "mission_at_hand",
    "rebuild_vault",
    "seat_keys",
    "serve_vault",
    "status_vault",
    "submit_to_vault",
]

_KEYS = "vault.key"
_CONFIG = "vault.toml"
_COSIGNING = (COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44)


class MissionUnexpected(AuthorityError):
    """An enrolment of another mission than the one compared out of band."""


class StateKeyMissing(ConfigurationError):
    """A vault that asks for agreements has no receiving state's key."""


class VaultBusy(ConfigurationError):
    """Another process has the vault open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVault:
    """A vault that was set up."""

    seat_request: Path
    identity_hash: bytes
    log_key: TypedKey


def init_vault(
    path: Path,
    *,
    vault: str,
    state: str,
    operator: str,
    data: str,
    public: str,
    state_key: Path | None = None,
) -> NewVault:
    """Make keys, folder, `vault.toml` and the signed seat request.

    With `state_key`, the receiving state's public keys file, the request names its key, which signs
    it later, and missions enrolled here deposit under an agreement only.
    """
    from exclave.found.terms import read_state_key

    receiving = None if state_key is None else read_state_key(state_key)
    asks = "true" if receiving else "false"
    text = f'data = "{data}"\npublic = "{public}"\nrequire_agreement = {asks}\n'
    # Refused before anything is made: addresses that a vault may not have.
    parse_toml(text.encode(), VaultConfig, name=_CONFIG)
    keys, identity = new_vault_key(vault, os.urandom), new_identity(vault, now())
    log, seat, first, second = keys.keys
    request = SeatRequest(
        vault=vault,
        state=state,
        operator=operator,
        addresses=(Address(data=data, public=public),),
        identity=identity.certificate,
        log_key=log.key,
        seat_key=seat.key,
        witness_keys=(first.key, second.key),
        receiving_state_key=receiving,
        created=now().replace(microsecond=0),
    )
    payload = parse_canonical_json(seat_request_payload(request))
    assert isinstance(payload, dict)
    envelope = sign_envelope(envelope_for(payload), [log])

    def save_keys(folder: Path) -> None:
        save_key_file(folder / _KEYS, keys, passphrase=None, random=os.urandom)

    create_vault(
        path,
        identity=identity,
        seat_request=envelope.to_bytes(),
        save_keys=save_keys,
        kit=find_kit(),
    )
    write_once(path / _CONFIG, text.encode())
    return NewVault(
        seat_request=path / "seat-request.json",
        identity_hash=hashlib.sha256(identity.certificate).digest(),
        log_key=log.key,
    )


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
    log, seat = _log_and_seat(_keys(folder))
    asked = _named_state_key(folder) if _config(folder).require_agreement else None
    with _opened(folder):
        return enrol_mission(folder, data, log_key=log.key, seat_key=seat.key, agreement_key=asked)


def serve_vault(path: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    # A vault at hand needs no server: what that imports takes as long as a small deposit.
    from exclave.vault.server import VaultServer, serve

    folder = VaultFolder.open(path)
    config = _config(folder)
    with _opened(folder):
        missions = _missions(folder, config)
        serve(VaultServer(identity=folder.identity(), missions=missions, config=config, clock=now))


def status_vault(path: Path) -> Sequence[MissionStatus]:
    """Each mission's status, from the running server if there is one."""
    folder = VaultFolder.open(path)
    config = _config(folder)
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
    log, _ = _log_and_seat(_keys(folder))
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
        signed = sign_envelope(envelope, [log])
        answers.append((item.mission, _hand_in(folder, signed.to_bytes())))
    return answers


def _hand_in(folder: VaultFolder, data: bytes) -> StatementState:
    config = _config(folder)
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
    from exclave.vault.fsck import check_objects

    folder = VaultFolder.open(path)
    log, _ = _log_and_seat(_keys(folder))
    found: list[tuple[MissionId, FsckReport]] = []
    for mission, data in folder.missions():
        seat = parse_enrolment(parse_envelope(data)).seat
        store: ObjectStore = FileEngine(folder.mission(mission), folder.tmp)
        report = check_objects(store, mission=mission, seat=seat, log_public=log.key.raw)
        found.append((mission, report))
    return found


@contextmanager
def mission_at_hand(path: Path, mission: MissionId) -> Iterator[Mission]:
    """A mission of a vault's folder that nobody serves, opened for as long as the context lasts."""
    folder = VaultFolder.open(path)
    config = _config(folder)
    with _opened(folder):
        missions = _missions(folder, config)
        try:
            yield _only(missions, mission)
        finally:
            for opened in missions:
                opened.watch()
            _close(missions)


def rebuild_vault(path: Path) -> int:
    """Make every mission's index again from its objects; returns how many missions."""
    folder = VaultFolder.open(path)
    config = _config(folder)
    with _opened(folder):
        missions = _missions(folder, config)
        for mission in missions:
            mission.rebuild()
        _close(missions)
    return len(missions)


def _config(folder: VaultFolder) -> VaultConfig:
    return load_toml(folder.path / _CONFIG, VaultConfig)


def _named_state_key(folder: VaultFolder) -> KeyId:
    data = read_file(folder.path / "seat-request.json")
    request = parse_seat_request(parse_envelope(data, kinds=[Kind.SEAT_REQUEST]))
    if request.receiving_state_key is None:
        raise StateKeyMissing(
            f"{_CONFIG}: require_agreement: expected a seat request with the receiving state's "
            "key, got one without",
            hint="set require_agreement = false, or set the vault up with --state-key",
        )
    return request.receiving_state_key.key_id


def _keys(folder: VaultFolder) -> KeyBundle:
    return load_key_file(folder.keys / _KEYS)


def _log_and_seat(keys: KeyBundle) -> tuple[PrivateKey, PrivateKey]:
    # In the order of `new_vault_key`.
    log, seat = keys.keys[:2]
    if log.alg != ED25519:
        raise ConfigurationError(f"keys of {keys.id}: expected a vault's, got a {keys.purpose}'s")
    return log, seat


def seat_keys(keys: KeyBundle) -> SeatKeys:
    """What a mission needs of a vault's keys."""
    log, seat = _log_and_seat(keys)
    # In the order of `new_vault_key`, as in the seat request.
    first, second = (
        CosigningKey(key_type=kind, public_key=key.key.raw, sign=key.sign)
        for kind, key in zip(_COSIGNING, keys.keys[2:4], strict=True)
    )
    return SeatKeys(
        log_public=log.key.raw,
        sign=log.sign,
        cosigning=(first, second),
        seat_private=seat.xwing,
    )


def _missions(folder: VaultFolder, config: VaultConfig) -> list[Mission]:
    return open_missions(
        folder,
        engine=FileEngine,
        keys=seat_keys(_keys(folder)),
        clock=now,
        min_free_bytes=config.min_free_bytes,
    )


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
    handle = os.open(folder.path / "vault.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise VaultBusy(
                f"{folder.path}: another process has this vault open", hint="stop the server first"
            ) from error
        yield
    finally:
        os.close(handle)


@contextmanager
def _own_clients(
    folder: VaultFolder, config: VaultConfig, only: MissionId | None = None
) -> Iterator[tuple[LoopThread, list[HttpVault]]]:
    from exclave.vault.client import HttpVault

    loop = LoopThread()
    clients = [
        HttpVault(
            mission=mission,
            seat=parse_enrolment(parse_envelope(data)).seat,
            anchor=folder.identity().certificate,
            public=parse_address(config.public),
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
