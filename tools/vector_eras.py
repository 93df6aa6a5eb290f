"""Chains of charters that branch: an order that was used twice, and the eras that exile opens.

The rosters are those of `tools.vector_authority`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from exclave.authority.envelope import Envelope, Kind
from tools import vector_authority as mission
from tools.vector_cases import refused

__all__ = ["branches", "eras"]

Payload = dict[str, Any]
Chain = tuple[str, list[Envelope], Payload]
"""A case's name, its charters in order, and what is expected."""

_TWO_AT_HOME = ("anna", "bela")
_WEST, _EAST = mission.WEST[0], mission.EAST[0]


def branches(next_one: Payload, first: Envelope) -> Iterator[Chain]:
    """Two charters of one order: the first died, the second took its place and was followed."""
    dead = mission.sign(Kind.CHARTER, next_one, _TWO_AT_HOME)
    second = _signed(_changed(next_one, notice="the second of its order"), *_TWO_AT_HOME)
    third = _changed(next_one, version=3, previous=_hash(second))
    envelopes = [first, dead, second, _signed(third, *_TWO_AT_HOME)]
    yield "chain-order-reused", envelopes, {"mission": _hash(first)}


def eras(next_one: Payload, first: Envelope) -> Iterator[Chain]:
    """A new era: who opens it, after what, and what it keeps."""
    era = _changed(next_one, era=2, version=1)
    opened = _signed(era, *_TWO_AT_HOME, _WEST)
    second = _signed(_other_exile(next_one), *_TWO_AT_HOME)
    third = _changed(era, era=3, previous=_hash(opened))
    version_2 = _changed(era, version=2, previous=_hash(opened))
    good = {"mission": _hash(first)}
    cases: list[tuple[str, list[Envelope], Payload, tuple[str, ...], Payload]] = [
        ("era", [first], era, (*_TWO_AT_HOME, _WEST), good),
        ("era-exile-2", [first], era, (*_TWO_AT_HOME, _EAST), good),
        ("era-twice", [first, opened], third, (*_TWO_AT_HOME, _EAST), good),
        ("era-next", [first, opened], version_2, _TWO_AT_HOME, good),
        ("era-older-roster", [first, second], _changed(era, previous=_hash(second)),
         (*_TWO_AT_HOME, _WEST), good),
        ("era-home", [first], era, mission.HOME,
         refused("EraNotOpened", "no exile roster signed")),
        ("era-own-govern", [first], era, ("anna", _WEST),
         refused("QuorumNotReached", "the new era's own govern threshold is not reached")),
        ("era-skipped", [first], _changed(era, era=3), (*_TWO_AT_HOME, _WEST), good),
        ("era-version", [first], _changed(era, version=2), (*_TWO_AT_HOME, _WEST),
         refused("ChainGap", "a new era begins with version 1")),
        ("era-of-older-era", [first, opened], _changed(third, previous=_hash(first)),
         (*_TWO_AT_HOME, _WEST), good),
        ("era-not-later", [first, opened], _changed(third, era=2), (*_TWO_AT_HOME, _WEST),
         refused("ChainGap", "the predecessor is of the same era")),
        ("era-rewritten", [first], _rewritten(era), (*_TWO_AT_HOME, _WEST),
         refused("HistoryRewritten", "an epoch's key-check value was altered")),
    ]  # fmt: skip
    for name, before, payload, labels, expect in cases:
        yield f"chain-{name}", [*before, _signed(payload, *labels)], expect


def _changed(payload: Payload, **values: Any) -> Payload:
    return copy.deepcopy(payload) | values


def _rewritten(payload: Payload) -> Payload:
    changed = copy.deepcopy(payload)
    changed["recovery"][0]["check"] = "00" * 16
    return changed


def _other_exile(payload: Payload) -> Payload:
    """Nobody of the first exile roster stays in it."""
    changed, labels = copy.deepcopy(payload), ("hana", "ivan")
    changed["officials"] += [mission.official(label, "abroad") for label in labels]
    changed["officials"].sort(key=lambda item: str(item["id"]))
    members = sorted(mission.official_id(label) for label in labels)
    changed["rosters"]["exile_1"]["members"] = members
    return changed


def _signed(payload: Payload, *labels: str) -> Envelope:
    return mission.sign(Kind.CHARTER, payload, labels)


def _hash(envelope: Envelope) -> str:
    return envelope.statement_hash.hex()
