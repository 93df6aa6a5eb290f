"""The small settings of a charter: dispersal, delays, witnesses, quotas (spec/authority.md 2)."""

from __future__ import annotations

from exclave.authority.fields import Node
from exclave.authority.keys import ED25519, ML_DSA_44, TypedKey, read_key
from exclave.encoding import JsonObject
from exclave.values import dataclass

__all__ = [
    "Delays",
    "Dispersal",
    "ExternalWitness",
    "Quotas",
    "Settings",
    "Witness",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersal:
    """k of n seats rebuild a pack; a deposit counts once h seats hold it."""

    k: int
    n: int
    h: int

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {"k": self.k, "n": self.n, "h": self.h}

    @classmethod
    def read(cls, node: Node) -> Dispersal:
        """Read it."""
        fields = node.fields(*cls.__slots__)
        return cls(
            k=fields["k"].integer(1, 255),
            n=fields["n"].integer(1, 255),
            h=fields["h"].integer(1, 255),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Delays that belong to no role; seconds, and a factor for a dark mission."""

    dark_factor: int
    exile_change: int
    warrant_life: int

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "dark_factor": self.dark_factor,
            "exile_change": self.exile_change,
            "warrant_life": self.warrant_life,
        }

    @classmethod
    def read(cls, node: Node) -> Delays:
        """Read it."""
        fields = node.fields(*cls.__slots__)
        return cls(
            dark_factor=fields["dark_factor"].integer(3, 1000),
            exile_change=fields["exile_change"].integer(),
            warrant_life=fields["warrant_life"].integer(1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalWitness:
    """A witness that is no seat."""

    name: str
    key: TypedKey

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {"name": self.name, "key": self.key.to_json()}

    @classmethod
    def read(cls, node: Node) -> ExternalWitness:
        """Read it."""
        fields = node.fields(*cls.__slots__)
        return cls(name=fields["name"].text(), key=read_key(ED25519, ML_DSA_44)(fields["key"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Of the witnesses at most f lie; q cosignatures make a checkpoint count."""

    f: int
    q: int
    external: tuple[ExternalWitness, ...]
    freshness: int

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "f": self.f,
            "q": self.q,
            "external": [witness.to_json() for witness in self.external],
            "freshness": self.freshness,
        }

    @classmethod
    def read(cls, node: Node) -> Witness:
        """Read it."""
        fields = node.fields(*cls.__slots__)
        return cls(
            f=fields["f"].integer(0, 255),
            q=fields["q"].integer(1, 255),
            external=fields["external"].each(ExternalWitness.read, most=64),
            freshness=fields["freshness"].integer(1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Bytes kept apart for the reserve depositor and for staging, and days of staging."""

    reserve: int
    staging: int
    staging_days: int

    def to_json(self) -> JsonObject:
        """As it stands in a charter."""
        return {
            "reserve": self.reserve,
            "staging": self.staging,
            "staging_days": self.staging_days,
        }

    @classmethod
    def read(cls, node: Node) -> Quotas:
        """Read it."""
        fields = node.fields(*cls.__slots__)
        return cls(
            reserve=fields["reserve"].integer(),
            staging=fields["staging"].integer(),
            staging_days=fields["staging_days"].integer(1, 36500),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Single values that stand in objects of their own in a charter; days and flags."""

    retention_days: int
    drill_interval_days: int
    drill_cards_days: int
    whole_deposit_bags: bool
    agreements_required: bool

    def to_json(self) -> JsonObject:
        """The four objects of a charter that hold these."""
        return {
            "retention": {"days": self.retention_days},
            "drill": {
                "interval_days": self.drill_interval_days,
                "cards_days": self.drill_cards_days,
            },
            "bags": {"whole_deposit": self.whole_deposit_bags},
            "agreements": {"required": self.agreements_required},
        }

    @classmethod
    def read(cls, retention: Node, drill: Node, bags: Node, agreements: Node) -> Settings:
        """Read the four objects."""
        drills = drill.fields("interval_days", "cards_days")
        return cls(
            retention_days=retention.fields("days")["days"].integer(1, 36500),
            drill_interval_days=drills["interval_days"].integer(1, 36500),
            drill_cards_days=drills["cards_days"].integer(1, 36500),
            whole_deposit_bags=bags.fields("whole_deposit")["whole_deposit"].boolean(),
            agreements_required=agreements.fields("required")["required"].boolean(),
        )
