"""Words that are said everywhere in one way."""

from __future__ import annotations

from exclave.plain_words import of_seat


def test_a_seat_is_named_once() -> None:
    assert of_seat(2, "no answer") == "seat 2: no answer"
    assert of_seat(2, "seat 2: no answer") == "seat 2: no answer"
    assert of_seat(2, "seat 22: no answer") == "seat 2: seat 22: no answer"
