"""Orders from a charter or a card to a file, and statements from a file to the vaults.

A consulate that has nothing but the head of a card asks the vaults on it for the charter, as a
restoring machine does. The file is written before anything is sent: what could not be handed in
now can be handed in again, from here or by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import Envelope, Kind, parse_envelope, payload_object
from exclave.authority.fields import Node
from exclave.authority.orders import Order, OrderHead, check_order, kind_of, order_payload
from exclave.durable import replace_file
from exclave.errors import ConfigurationError
from exclave.ids import MissionId, Seat, StatementHash
from exclave.wiring.files import load_charter, read_file
from exclave.wiring.seats import Answers, each_seat

if TYPE_CHECKING:
    from exclave.authority.card import CardHead
    from exclave.vault.survey.survey import MissionView

__all__ = [
    "OrderFileExists",
    "SourceUnclear",
    "law_for",
    "make_order",
    "send_statement",
    "source_for",
    "statement_named",
    "view_for",
    "write_order",
]

_NONCE = 16


class SourceUnclear(ConfigurationError):
    """Neither a charter nor a card was given, or both."""


class OrderFileExists(ConfigurationError):
    """An order would be written over a file."""


def source_for(charter: Path | None, card: Path | None) -> Charter | CardHead:
    """What says where the vaults are: a charter's file or a card, exactly one of them."""
    from exclave.wiring.reader import load_card

    _check_one(charter, card)
    if charter is not None:
        return load_charter(charter)
    assert card is not None
    return load_card(card)


def view_for(charter: Path | None, card: Path | None) -> MissionView:
    """What the logs say of the vaults of a charter's file, or of those on a card."""
    from exclave.wiring.reader import survey_source

    return survey_source(source_for(charter, card))


def law_for(charter: Path | None, card: Path | None, *, beside: Path | None = None) -> Charter:
    """The charter in force: from its file, from the vaults on a card, or beside a statement."""
    if charter is None and card is None and beside is not None and beside.is_file():
        charter = beside
    _check_one(charter, card)
    if charter is not None:
        return load_charter(charter)
    return view_for(None, card).charter


def make_order(
    law: Charter,
    build: Callable[[OrderHead], Order],
    *,
    reason: str,
    issued: datetime,
    random: Callable[[int], bytes],
) -> Envelope:
    """An unsigned order under that charter; raises what its bounds raise."""
    head = OrderHead(
        mission=law.mission_id,
        charter=law.statement_hash,
        nonce=random(_NONCE),
        issued=issued,
        reason=reason,
    )
    order = build(head)
    check_order(order, law)
    return Envelope(payload=order_payload(order), kind=kind_of(order))


def write_order(envelope: Envelope, out: Path | None) -> Path:
    """Write an order into a new file, by default named by kind and hash; returns its path."""
    path = out or Path(f"{envelope.kind}-{envelope.statement_hash.hex()[:8]}.json")
    if path.exists():
        raise OrderFileExists(f"{path}: is there already", hint="name another file with --out")
    if not path.parent.is_dir():
        raise ConfigurationError(f"{path.parent}: expected a folder, got none")
    replace_file(path, [envelope.to_bytes()])
    return path


def send_statement(envelope: Envelope, law: Charter, seats: Collection[Seat] = ()) -> Answers:
    """Hand a statement to every vault of the charter, or only to `seats`."""
    mission = _mission_of(envelope)
    if mission != law.mission_id:
        raise MissionMismatch(
            f"{envelope.kind}: expected mission {law.mission_id.hex()}, got {mission.hex()}"
        )
    data = envelope.to_bytes()
    return each_seat(law, lambda record: record.submit(data), seats=seats)


def statement_named(path: Path, kinds: Collection[Kind]) -> StatementHash:
    """The hash of the statement in a file, which must be of one of `kinds`."""
    return parse_envelope(read_file(path), kinds=kinds).statement_hash


def _check_one(charter: Path | None, card: Path | None) -> None:
    if (charter is None) is (card is None):
        raise SourceUnclear(
            "charter: expected either --charter or --card, got "
            + ("neither" if charter is None else "both"),
            hint="--charter charter.json, or --card with the head of a share card",
        )


def _mission_of(envelope: Envelope) -> MissionId:
    value = payload_object(envelope, envelope.kind).value
    named = value.get("mission") if isinstance(value, dict) else None
    if envelope.kind is Kind.CHARTER and named is None:
        return MissionId(envelope.statement_hash)  # charter 1 names none: it is the mission
    return MissionId(Node(named, f"{envelope.kind}.mission").hex(32))
