"""The parts of a charter as values, each with its reading and writing (spec/authority.md 2).

Types, forms and ranges of single fields are checked here; rules that need more than one field
stand in `charter_rules`. Nothing is looked up or verified here.
"""

from __future__ import annotations

import enum
import ipaddress
import re

from exclave.authority.fields import Node
from exclave.authority.keys import (
    ED25519,
    ML_DSA_44,
    ML_DSA_65,
    OFFICIAL_ALGORITHMS,
    X_WING,
    TypedKey,
    read_key,
)
from exclave.encoding import JsonObject, b64encode
from exclave.errors import MalformedData
from exclave.ids import Epoch, PersonId, Seat
from exclave.values import dataclass

__all__ = [
    "Address",
    "Depositor",
    "Official",
    "Place",
    "RecoveryEpoch",
    "Role",
    "RoleName",
    "SeatEntry",
    "SeatType",
    "ShareGroup",
    "read_address",
    "read_identity",
    "read_person",
    "read_witness_keys",
]

_PERSON = re.compile(r"p-[0-9a-f]{16}")
_MAX_IDENTITY = 16 * 1024
_MAX_GROUPS = 16  # SLIP-39 holds group and member numbers in four bits


class Place(enum.StrEnum):
    """Where a person or a share group is."""

    HOME = "home"
    ABROAD = "abroad"


class SeatType(enum.StrEnum):
    """A server in a receiving state, or an embassy's safe with carried media."""

    VAULT = "vault"
    SAFE = "safe"


class RoleName(enum.StrEnum):
    """The rosters of a charter."""

    GOVERN = "govern"
    READ = "read"
    ALARM = "alarm"
    RELEASE = "release"
    OVERRIDE = "override"
    EXILE_1 = "exile_1"
    EXILE_2 = "exile_2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a vault listens: for shards, and for the public record. `host:port`, `[v6]:port`."""

    data: str
    public: str

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {"data": self.data, "public": self.public}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatEntry:
    """A vault's numbered place in the mission."""

    seat: Seat
    type: SeatType
    vault: str
    state: str
    operator: str
    addresses: tuple[Address, ...]
    identity: bytes
    log_key: TypedKey
    seat_key: TypedKey
    witness_keys: tuple[TypedKey, TypedKey]
    agreement: bytes | None
    retired: bool

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "seat": self.seat,
            "type": self.type.value,
            "vault": self.vault,
            "state": self.state,
            "operator": self.operator,
            "addresses": [address.to_json() for address in self.addresses],
            "identity": b64encode(self.identity),
            "log_key": self.log_key.to_json(),
            "seat_key": self.seat_key.to_json(),
            "witness_keys": [key.to_json() for key in self.witness_keys],
            "agreement": None if self.agreement is None else self.agreement.hex(),
            "retired": self.retired,
        }

    @classmethod
    def read(cls, node: Node) -> SeatEntry:
        """Read a seat."""
        fields = node.fields(*cls.__slots__)
        return cls(
            seat=Seat(fields["seat"].integer(1, 255)),
            type=SeatType(fields["type"].literal(*SeatType)),
            vault=fields["vault"].slug(),
            state=fields["state"].state(),
            operator=fields["operator"].text(),
            addresses=fields["addresses"].each(read_address, most=16),
            identity=read_identity(fields["identity"]),
            log_key=read_key(ED25519)(fields["log_key"]),
            seat_key=read_key(X_WING)(fields["seat_key"]),
            witness_keys=read_witness_keys(fields["witness_keys"]),
            agreement=fields["agreement"].optional(lambda item: item.hex(32)),
            retired=fields["retired"].boolean(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareGroup:
    """A SLIP-39 group of one epoch: `threshold` of `members` cards satisfy it."""

    name: str
    place: Place
    state: str
    threshold: int
    members: int

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "name": self.name,
            "place": self.place.value,
            "state": self.state,
            "threshold": self.threshold,
            "members": self.members,
        }

    @classmethod
    def read(cls, node: Node) -> ShareGroup:
        """Read a group."""
        fields = node.fields(*cls.__slots__)
        return cls(
            name=fields["name"].text(),
            place=Place(fields["place"].literal(*Place)),
            state=fields["state"].state(),
            threshold=fields["threshold"].integer(1, _MAX_GROUPS),
            members=fields["members"].integer(1, _MAX_GROUPS),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryEpoch:
    """A recovery key and how its shares are laid out."""

    epoch: Epoch
    key: TypedKey
    check: bytes
    share_set: int
    group_threshold: int
    groups: tuple[ShareGroup, ...]
    current: bool

    @property
    def key_hash(self) -> bytes:
        """H(pk), which names the key in packs and cards."""
        return self.key.key_hash

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "epoch": self.epoch,
            "key": self.key.to_json(),
            "check": self.check.hex(),
            "share_set": self.share_set,
            "group_threshold": self.group_threshold,
            "groups": [group.to_json() for group in self.groups],
            "current": self.current,
        }

    @classmethod
    def read(cls, node: Node) -> RecoveryEpoch:
        """Read an epoch."""
        fields = node.fields(*cls.__slots__)
        return cls(
            epoch=Epoch(fields["epoch"].integer(1, 2**32 - 1)),
            key=read_key(X_WING)(fields["key"]),
            check=fields["check"].hex(16),
            share_set=fields["share_set"].integer(0, 2**15 - 1),
            group_threshold=fields["group_threshold"].integer(1, _MAX_GROUPS),
            groups=fields["groups"].each(ShareGroup.read, least=1, most=_MAX_GROUPS),
            current=fields["current"].boolean(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Official:
    """A person by opaque id; the name is in the annex. Signs with all keys of one set."""

    id: PersonId
    place: Place
    institution: str
    key_sets: tuple[tuple[TypedKey, ...], ...]
    name_hash: bytes

    @property
    def classical(self) -> bool:
        """Whether a set without a post-quantum key suffices for his signature."""
        return any(all(key.alg != ML_DSA_65 for key in keys) for keys in self.key_sets)

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "id": self.id,
            "place": self.place.value,
            "institution": self.institution,
            "key_sets": [[key.to_json() for key in keys] for keys in self.key_sets],
            "name_hash": self.name_hash.hex(),
        }

    @classmethod
    def read(cls, node: Node) -> Official:
        """Read an official."""
        fields = node.fields(*cls.__slots__)
        signing = read_key(*OFFICIAL_ALGORITHMS)
        return cls(
            id=read_person(fields["id"]),
            place=Place(fields["place"].literal(*Place)),
            institution=fields["institution"].slug(),
            key_sets=fields["key_sets"].each(
                lambda keys: keys.each(signing, least=1, most=8), least=1, most=8
            ),
            name_hash=fields["name_hash"].hex(32),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Who may do something, how many are needed, and how long it waits; seconds."""

    threshold: int
    members: tuple[PersonId, ...]
    delay: int
    veto_window: int

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "threshold": self.threshold,
            "members": list(self.members),
            "delay": self.delay,
            "veto_window": self.veto_window,
        }

    @classmethod
    def read(cls, node: Node) -> Role:
        """Read a role."""
        fields = node.fields(*cls.__slots__)
        return cls(
            threshold=fields["threshold"].integer(1, 255),
            members=fields["members"].each(read_person, least=1, most=255),
            delay=fields["delay"].integer(),
            veto_window=fields["veto_window"].integer(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Depositor:
    """A machine that may lodge deposits; signs with both keys."""

    id: str
    keys: tuple[TypedKey, TypedKey]
    identity: bytes
    daily_bytes: int
    total_bytes: int
    reserve: bool

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "id": self.id,
            "keys": [key.to_json() for key in self.keys],
            "identity": b64encode(self.identity),
            "daily_bytes": self.daily_bytes,
            "total_bytes": self.total_bytes,
            "reserve": self.reserve,
        }

    @classmethod
    def read(cls, node: Node) -> Depositor:
        """Read a depositor."""
        fields = node.fields(*cls.__slots__)
        first, second = fields["keys"].items(least=2, most=2)
        return cls(
            id=fields["id"].slug(),
            keys=(read_key(ED25519)(first), read_key(ML_DSA_65)(second)),
            identity=read_identity(fields["identity"]),
            daily_bytes=fields["daily_bytes"].integer(),
            total_bytes=fields["total_bytes"].integer(),
            reserve=fields["reserve"].boolean(),
        )


def read_person(node: Node) -> PersonId:
    """Read an official's id."""
    return PersonId(node.pattern(_PERSON, "an official's id p-<16 hex digits>"))


def read_identity(node: Node) -> bytes:
    """Read an identity certificate; its bytes are pinned, its content is the vault layer's."""
    der = node.base64()
    if not 1 <= len(der) <= _MAX_IDENTITY:
        raise MalformedData(f"{node.path}: expected 1 to {_MAX_IDENTITY} bytes, got {len(der)}")
    return der


def read_witness_keys(node: Node) -> tuple[TypedKey, TypedKey]:
    """Read the two keys with which a vault cosigns checkpoints."""
    first, second = node.items(least=2, most=2)
    return read_key(ED25519)(first), read_key(ML_DSA_44)(second)


def read_address(node: Node) -> Address:
    """Read where a vault listens."""
    fields = node.fields("data", "public")
    return Address(data=_endpoint(fields["data"]), public=_endpoint(fields["public"]))


def _endpoint(node: Node) -> str:
    text = node.string()
    expected = node.refuse("an address a.b.c.d:port or [v6]:port")
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise expected
    try:
        if host.startswith("["):
            known = f"[{ipaddress.IPv6Address(host[1:-1])}]"
        else:
            known = str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise expected from error
    if known != host:
        raise expected
    return text
