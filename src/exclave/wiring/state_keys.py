"""Another key of the receiving state at a vault: asked for, handed over, pinned.

The ceremony of spec/agreements.md 7. Rules: a key is pinned when the one before it signed for it,
or, where that is lost, when the sending state's charter in force names it and the operator was told
it by another way; nothing is pinned before all of it holds for every mission of the seat. Run
again after a crash it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exclave.authority.envelope import Envelope, envelope_for
from exclave.authority.persons import signed_by
from exclave.authority.seat_request import SeatRequest, seat_request_payload, verify_seat_request
from exclave.clock import now
from exclave.durable import replace_file
from exclave.encoding import parse_canonical_json
from exclave.errors import AuthorityError, ConfigurationError
from exclave.found.terms import read_state_key
from exclave.ids import KeyId, MissionId
from exclave.signer.file import write_once
from exclave.signer.interface import sign_envelope
from exclave.values import replace
from exclave.vault.installation.agreement_pins import AgreementPins
from exclave.vault.installation.install import VaultFolder
from exclave.vault.installation.seat_folder import SeatFolder
from exclave.vault.kept.storage import AGREEMENT_KEY
from exclave.vault.mission.mission import Mission
from exclave.wiring.agreements import load_request
from exclave.wiring.files import read_file
from exclave.wiring.host import mission_at_hand
from exclave.wiring.seat_files import keys_of, log_and_seat, request_of

__all__ = ["StateKeyUnproven", "next_request", "pin_state_key"]


class StateKeyUnproven(AuthorityError):
    """Nobody who may say so has said that the receiving state has another key."""


def next_request(path: Path, *, state_key: Path, out: Path, seat: str | None = None) -> KeyId:
    """Write the seat request of a seat with another key of its state; the id of that key."""
    folder = VaultFolder.open(path)
    place = _named(folder, seat)
    key = read_state_key(state_key)
    before = request_of(place)
    if before.receiving_state_key is None or before.receiving_state_key == key:
        raise ConfigurationError(
            f"{state_key}: expected another key than the seat request names, got the same"
            if before.receiving_state_key is not None
            else f"{place.label}: expected a seat that asks for agreements, got one that does not"
        )
    request = replace(before, receiving_state_key=key, created=now().replace(microsecond=0))
    payload = parse_canonical_json(seat_request_payload(request))
    assert isinstance(payload, dict)
    log, _ = log_and_seat(keys_of(place))
    write_once(out, sign_envelope(envelope_for(payload), [log]).to_bytes())
    return key.key_id


def pin_state_key(
    path: Path, file: Path, *, told: str | None = None
) -> Sequence[tuple[MissionId, AgreementPins]]:
    """Pin the key that a next seat request names, for every mission of its seat.

    `told` is the key's id as the receiving state said it by another way: for a key that is lost.
    """
    folder = VaultFolder.open(path)
    envelope, _ = load_request(file)
    request = verify_seat_request(envelope)
    seat = _seat_of(folder, request)
    key = request.receiving_state_key
    before = request_of(seat).receiving_state_key
    if key is None or before is None or key == before:
        raise ConfigurationError(
            f"{file}: expected another key of the receiving state than the one that is pinned"
        )
    handed_over = signed_by(envelope, before)
    if not handed_over:
        _check_told(key.key_id, told)
    missions = folder.missions_at(seat)
    if not missions and not handed_over:
        raise StateKeyUnproven(f"{seat.label}: no mission yet whose charter could name the key")
    pinned: list[tuple[MissionId, AgreementPins]] = []
    for mission in missions:
        pins = folder.agreement_pins(mission)
        if pins is None or pins.key == key.key_id:
            continue
        with mission_at_hand(path, mission) as opened:
            if not handed_over:
                _check_named(opened, key.key_id)
            pinned.append((mission, pins.followed_by(key.key_id, opened.service.now())))
    for mission, pins in pinned:
        replace_file(folder.mission(mission) / AGREEMENT_KEY, [pins.encode()])
    _replace_request(seat, before.key_id, envelope)
    return pinned


def _replace_request(seat: SeatFolder, before: KeyId, envelope: Envelope) -> None:
    """Last: until then the ceremony can be run again."""
    kept = seat.request.with_name(f"seat-request-{before[:16]}.json")
    if not kept.exists():
        write_once(kept, read_file(seat.request))
    replace_file(seat.request, [envelope.to_bytes()])


def _named(folder: VaultFolder, name: str | None) -> SeatFolder:
    for seat in folder.seats:
        if seat.name == name:
            return seat
    raise ConfigurationError(f"seats/{name}: no such seat")


def _seat_of(folder: VaultFolder, request: SeatRequest) -> SeatFolder:
    """The seat that a request is of: the same in everything but its state's key and the date."""
    for seat in folder.seats:
        own = request_of(seat)
        same = replace(request, receiving_state_key=own.receiving_state_key, created=own.created)
        if same == own:
            return seat
    raise ConfigurationError(
        "seat request: expected one of a seat of this vault, got another's",
        hint="exclave vault next-request writes it",
    )


def _check_told(key: KeyId, told: str | None) -> None:
    if told is None:
        raise StateKeyUnproven(
            "seat request: expected the signature of the key that is pinned, got none",
            hint="the state signs with its old key: exclave agreement vouch --retiring; "
            "if that is lost, say which key it told you: --lost",
        )
    if told.replace(" ", "").lower() != key:
        raise StateKeyUnproven(
            f"seat request: expected key {told[:70]}, as you were told, got {key}",
            hint="compare it with the receiving state once more, by another way",
        )


def _check_named(mission: Mission, key: KeyId) -> None:
    seat = mission.charter().seat(mission.seat)
    if seat.agreement is None or seat.agreement.hex() != key:
        raise StateKeyUnproven(
            f"mission {mission.mission.hex()[:16]}: expected a charter in force that names key "
            f"{key[:16]}, got one that does not",
            hint="the sending state changes its charter first: [[seat.update]] with this request",
        )
