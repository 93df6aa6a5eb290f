"""Supplements: shard roots of a seat that joined after packs were made (spec/records.md 4)."""

from __future__ import annotations

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.fields import Node, require_ascending
from exclave.authority.persons import require_keys
from exclave.encoding import JsonObject, canonical_json
from exclave.ids import MissionId, PackRoot, Seat, ShardRoot
from exclave.values import dataclass

__all__ = ["Supplement", "parse_supplement", "supplement_payload", "verify_supplement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Supplement:
    """A seat's shard roots for packs whose records do not name it, ascending by pack."""

    mission: MissionId
    seat: Seat
    shards: tuple[tuple[PackRoot, ShardRoot], ...]

    def __post_init__(self) -> None:
        require_ascending("supplement.shards", [pack.hex() for pack, _ in self.shards])


def supplement_payload(supplement: Supplement) -> bytes:
    """The supplement as canonical JSON."""
    payload: JsonObject = {
        "kind": Kind.SUPPLEMENT.value,
        "mission": supplement.mission.hex(),
        "seat": supplement.seat,
        "shards": [[pack.hex(), shard.hex()] for pack, shard in supplement.shards],
    }
    return canonical_json(payload)


def parse_supplement(envelope: Envelope) -> Supplement:
    """Read the supplement in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.SUPPLEMENT).fields("kind", *Supplement.__slots__)
    return Supplement(
        mission=MissionId(fields["mission"].hex(32)),
        seat=Seat(fields["seat"].integer(1, 255)),
        shards=fields["shards"].each(_read_shard, least=1),
    )


def verify_supplement(envelope: Envelope, charter: Charter) -> Supplement:
    """Check mission and the signature of the seat's log key."""
    supplement = parse_supplement(envelope)
    if supplement.mission != charter.mission_id:
        raise MissionMismatch(
            f"supplement: expected mission {charter.mission_id.hex()}, "
            f"got {supplement.mission.hex()}"
        )
    seat = charter.seat(supplement.seat)
    require_keys(envelope, [seat.log_key], party=f"seat {seat.seat}")
    return supplement


def _read_shard(node: Node) -> tuple[PackRoot, ShardRoot]:
    pack, shard = node.items(least=2, most=2)
    return PackRoot(pack.hex(32)), ShardRoot(shard.hex(32))
