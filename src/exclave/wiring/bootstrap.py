"""From a card to the mission's charter, with nothing else at hand.

A card names a vault's identity by its hash only, and the identity stands in the charter: so the
first connection cannot be pinned. It needs no pinning: what it brings is charter 1, which is
authentic because its hash is the mission id on the card, or is refused. Nothing else is asked for
over such a connection, and nothing is sent but the mission id.
"""

from __future__ import annotations

import hashlib
import http.client
import ssl

from exclave.authority.card import CardHead, CardSeat
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import verify_chain
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.errors import ExclaveError, VaultUnreachable
from exclave.ids import MissionId
from exclave.ledger.checkpoint import parse_checkpoint
from exclave.ledger.entry import parse_entry
from exclave.ledger.note import parse_note
from exclave.ledger.tiles import parse_bundle, tiles_of
from exclave.vault.client.silence import why_silent
from exclave.vault.line.addresses import parse_address
from exclave.vault.line.protocol import ASKED_AT, PROTOCOLS, choose_protocol, read_spoken

__all__ = ["CardUnanswered", "first_charter"]

_SECONDS = 10
_MOST = 4 * 2**20


class CardUnanswered(VaultUnreachable):
    """No vault on a card showed the mission's charter."""


def first_charter(card: CardHead) -> tuple[Envelope, Charter]:
    """Charter 1 from whichever vault of the card shows it first; raises `CardUnanswered`."""
    reasons: list[str] = []
    for seat in card.seats:
        if seat.public == "-":
            continue
        try:
            envelope = _ask(seat, card.mission)
            return envelope, verify_chain([envelope], card.mission).newest
        except ExclaveError as error:
            reasons.append(f"seat {seat.seat} ({seat.public}): {error.message}")
    raise CardUnanswered(
        f"card: none of {len(card.seats)} vaults showed the mission's charter",
        hint="\n".join(reasons),
    )


def _ask(seat: CardSeat, mission: MissionId) -> Envelope:
    address = parse_address(seat.public)
    connection = http.client.HTTPSConnection(
        address.host, address.port, timeout=_SECONDS, context=_unpinned()
    )
    try:
        spoken = read_spoken(_get(connection, ASKED_AT))
        protocol = choose_protocol(spoken, ours=PROTOCOLS, party=f"seat {seat.seat}")
        start = f"/v{protocol}/{mission.hex()}"
        note = _get(connection, f"{start}/log/checkpoint")
        size = parse_checkpoint(parse_note(note).text).size
        bundle = next(tiles_of(size))  # entry bundles come first, and charter 1 is entry 0
        data = _get(connection, f"{start}/log/{bundle.path()}")
        digest = parse_entry(parse_bundle(data, bundle.width)[0]).hash
        body = _get(connection, f"{start}/bodies/{digest.hex()}")
    except (OSError, http.client.HTTPException) as error:
        raise VaultUnreachable(f"no answer: {why_silent(error)}") from error
    finally:
        connection.close()
    envelope = parse_envelope(body, kinds=[Kind.CHARTER])
    if hashlib.sha256(envelope.payload).digest() != mission:
        raise VaultUnreachable("showed the charter of another mission")
    return envelope


def _get(connection: http.client.HTTPSConnection, path: str) -> bytes:
    connection.request("GET", path)
    answer = connection.getresponse()
    data = answer.read(_MOST + 1)
    if answer.status != http.client.OK or len(data) > _MOST:
        raise VaultUnreachable(f"answered {answer.status} for {path.rpartition('/')[2][:20]}")
    return data


def _unpinned() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # See the module's text: the mission id authenticates what is fetched, not the connection.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
