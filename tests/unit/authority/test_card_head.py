"""A card's head finds and checks a mission; the words need not be there and are not looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exclave.authority.card import (
    CardMalformed,
    MissionChecksumWrong,
    card_head_text,
    parse_card,
    parse_card_head,
)
from exclave.errors import NonCanonicalData

VECTOR = Path(__file__).resolve().parents[3] / "vectors" / "cards" / "card.json"
CARD: str = json.loads(VECTOR.read_text())["input"]["card"]
HEAD = CARD.partition("\n\n")[0] + "\n"


def test_head_with_and_without_words_is_the_same() -> None:
    head = parse_card_head(HEAD)
    assert head == parse_card_head(CARD)
    assert card_head_text(head) == HEAD
    card = parse_card(CARD)
    assert (card.mission, card.seats, card.group) == (head.mission, head.seats, head.group)
    assert not hasattr(head, "words")


def test_words_are_not_looked_at() -> None:
    assert parse_card_head(HEAD + "\nwhatever stands here\n") == parse_card_head(HEAD)


def test_a_head_alone_is_no_card() -> None:
    with pytest.raises(CardMalformed):
        parse_card(HEAD)


def test_a_head_is_checked_like_a_card() -> None:
    digits = HEAD.replace("mission: 0", "mission: 1", 1)
    with pytest.raises(MissionChecksumWrong):
        parse_card_head(digits)
    with pytest.raises((NonCanonicalData, CardMalformed)):
        parse_card_head(HEAD.replace("epoch: 3", "epoch: 03"))
