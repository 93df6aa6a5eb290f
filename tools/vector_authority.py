"""The small mission in which the vectors of authority play: one seat, no depositor, fixed keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import ED25519, ML_DSA_44, X_WING, TypedKey
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.sealing.recovery import XWingPrivateKey, key_check_value
from tools.vector_cases import drawn

__all__ = [
    "EAST",
    "HOME",
    "WEST",
    "charter",
    "ed25519",
    "official",
    "official_id",
    "public",
    "sign",
    "warrant",
    "x_wing",
    "x_wing_json",
]

HOME = ("anna", "bela", "cyril")
WEST, EAST = ("dora", "emil"), ("fani", "gita")
Payload = dict[str, Any]


def ed25519(label: str) -> Ed25519PrivateKey:
    """A signing key by label."""
    return Ed25519PrivateKey.from_private_bytes(drawn(f"ed25519 {label}", 32))


def public(label: str) -> TypedKey:
    """Its public key."""
    return TypedKey(ED25519, ed25519(label).public_key().public_bytes_raw())


def x_wing(label: str) -> XWingPrivateKey:
    """A sealing key by label."""
    return XWingPrivateKey.from_seed(drawn(f"x-wing {label}", 32))


def x_wing_json(label: str) -> JsonObject:
    """Its public key in a payload."""
    return TypedKey(X_WING, x_wing(label).public.raw).to_json()


def official_id(label: str) -> str:
    """An official's id."""
    return "p-" + drawn(f"official {label}", 8).hex()


def sign(kind: Kind, payload: JsonObject, labels: Iterable[str]) -> Envelope:
    """A statement signed by officials, by label."""
    envelope = Envelope(payload=canonical_json(payload), kind=kind)
    for label in labels:
        envelope = envelope.with_signature(public(label), ed25519(label).sign(envelope.pae))
    return envelope


def charter() -> Payload:
    """The payload of charter 1."""
    private = x_wing("recovery")
    check = key_check_value(private, private.public.key_hash)
    return {
        "kind": "charter",
        "format": 1,
        "suite": 1,
        "mission": None,
        "era": 1,
        "version": 1,
        "previous": None,
        "state": {"code": "XA", "name": "Exemplia"},
        "notice": "vectors",
        "issued": "2026-01-02T03:04:05Z",
        "advisory_expiry": "2030-01-02T03:04:05Z",
        "dispersal": {"k": 1, "n": 1, "h": 1},
        "seats": [_seat()],
        "recovery": [
            {
                "epoch": 1,
                "key": x_wing_json("recovery"),
                "check": check.hex(),
                "share_set": 7,
                "group_threshold": 2,
                "groups": [_group("west", "XB"), _group("east", "XC")],
                "current": True,
            }
        ],
        "officials": sorted(
            [official(label, "home") for label in HOME]
            + [official(label, "abroad") for label in (*WEST, *EAST)],
            key=lambda item: str(item["id"]),
        ),
        "annex": drawn("annex", 32).hex(),
        "rosters": {
            "govern": _role(2, HOME, 100),
            "read": _role(2, HOME, 50),
            "alarm": _role(1, HOME, 0),
            "release": _role(2, HOME, 100),
            "override": _role(3, HOME, 200),
            "exile_1": _role(1, WEST, 100),
            "exile_2": _role(1, EAST, 200),
        },
        "delays": {"dark_factor": 3, "exile_change": 300, "warrant_life": 1000},
        "witness": {"f": 0, "q": 1, "external": [], "freshness": 60},
        "depositors": [],
        "quotas": {"reserve": 0, "staging": 0, "staging_days": 14},
        "retention": {"days": 100},
        "drill": {"interval_days": 30, "cards_days": 365},
        "bags": {"whole_deposit": False},
        "agreements": {"required": False},
    }


def warrant(mission: str, charter_hash: str) -> Payload:
    """The payload of a warrant for everything."""
    return {
        "kind": "warrant",
        "mission": mission,
        "charter": charter_hash,
        "nonce": drawn("nonce", 16).hex(),
        "purpose": "drill",
        "issued": "2026-02-01T00:00:00Z",
        "expires": "2026-02-02T00:00:00Z",
        "deposits": ["all"],
        "reader": b64encode(drawn("reader certificate", 40)),
        "reader_key": public("reader").to_json(),
        "unseal_key": x_wing_json("reader"),
    }


def _seat() -> Payload:
    cosigner = MLDSA44PrivateKey.from_seed_bytes(drawn("cosigner", 32)).public_key()
    return {
        "seat": 1,
        "type": "vault",
        "vault": "vault-one",
        "state": "XB",
        "operator": "operator",
        "addresses": [{"data": "10.0.0.1:7001", "public": "[fd00::1]:7002"}],
        "identity": b64encode(drawn("certificate", 40)),
        "log_key": public("log").to_json(),
        "seat_key": x_wing_json("seat"),
        "witness_keys": [
            public("witness").to_json(),
            TypedKey(ML_DSA_44, cosigner.public_bytes_raw()).to_json(),
        ],
        "agreement": None,
        "retired": False,
    }


def _group(name: str, state: str) -> Payload:
    return {"name": name, "place": "abroad", "state": state, "threshold": 2, "members": 3}


def official(label: str, place: str) -> Payload:
    """An official in a payload."""
    return {
        "id": official_id(label),
        "place": place,
        "institution": "office",
        "key_sets": [[public(label).to_json()]],
        "name_hash": drawn(f"name {label}", 32).hex(),
    }


def _role(threshold: int, members: Iterable[str], delay: int) -> Payload:
    return {
        "threshold": threshold,
        "members": sorted(official_id(label) for label in members),
        "delay": delay,
        "veto_window": delay,
    }
