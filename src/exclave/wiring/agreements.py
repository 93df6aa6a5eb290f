"""Agreements and seat requests as files: read, and signed by a receiving state.

Nothing is sent here; what is handed in goes through `exclave.wiring.orders`.
"""

from __future__ import annotations

from pathlib import Path

from exclave.authority.agreement import Agreement, StateKeyForeign
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.orders import parse_order
from exclave.authority.seat_request import SeatRequest, parse_seat_request, verify_seat_request
from exclave.durable import replace_file
from exclave.signer.bundle import Purpose
from exclave.signer.interface import sign_envelope
from exclave.signer.opening import SigningKeys
from exclave.wiring.files import load_envelope

__all__ = ["hand_over", "load_agreement", "load_request", "vouch_for"]


def load_agreement(path: Path) -> tuple[Envelope, Agreement]:
    """An agreement's file; signatures are not checked here."""
    envelope = load_envelope(path, Kind.AGREEMENT)
    parsed = parse_order(envelope)
    assert isinstance(parsed, Agreement)
    return envelope, parsed


def load_request(path: Path) -> tuple[Envelope, SeatRequest]:
    """A seat request's file, signed by its vault or not yet."""
    envelope = load_envelope(path, Kind.SEAT_REQUEST)
    return envelope, parse_seat_request(envelope)


def vouch_for(path: Path, envelope: Envelope, request: SeatRequest, keys: SigningKeys) -> None:
    """Add the receiving state's signature to a seat request, which then verifies."""
    named = request.receiving_state_key
    if named is None or named not in tuple(keys.public):
        expected = (
            "no state's" if named is None else f"{named.key_id[:16]} of state {request.state}"
        )
        raise StateKeyForeign(
            f"{path}: expected {expected} key, got one of {keys.id}",
            hint="the seat request names the key that vault init was given",
        )
    signed = sign_envelope(envelope, keys.signers)
    verify_seat_request(signed)
    replace_file(path, [signed.to_bytes()], mode=path.stat().st_mode & 0o777)


def hand_over(path: Path, envelope: Envelope, request: SeatRequest, keys: SigningKeys) -> None:
    """Add the signature of the key that a next seat request replaces (spec/agreements.md 7)."""
    if keys.purpose is not Purpose.STATE or request.receiving_state_key in tuple(keys.public):
        raise StateKeyForeign(
            f"{path}: expected the state's key before the one that is named, got one of {keys.id}",
            hint="the new key signs without --retiring",
        )
    signed = sign_envelope(envelope, keys.signers)
    replace_file(path, [signed.to_bytes()], mode=path.stat().st_mode & 0o777)
