"""How the packs of a deposit are spread, in words."""

from __future__ import annotations

from dataclasses import dataclass

from exclave.authority.record import PackKindName, RecordPack
from exclave.authority.record_chain import Layout, LiveSet
from exclave.cli.words.layouts import layouts_json, layouts_words
from exclave.ids import PackRoot, Seat, ShardRoot


@dataclass(frozen=True)
class Made:
    """A pack's number, k and seats."""

    number: int
    k: int
    seats: tuple[int, ...]

    def pack(self) -> RecordPack:
        return RecordPack(
            root=PackRoot(bytes([self.number]) * 32),
            length=1000,
            k=self.k,
            secret=bytes(32),
            kind=PackKindName.DATA,
            shards=tuple((Seat(s), ShardRoot(bytes([self.number, s]) * 16)) for s in self.seats),
        )


def live(*made: Made) -> LiveSet:
    return LiveSet(packs={item.pack().root: item.pack() for item in made})


def test_one_layout_is_said_alone() -> None:
    layouts = live(Made(1, 2, (1, 2, 3)), Made(2, 2, (1, 2, 3))).layouts
    assert dict(layouts) == {Layout(k=2, seats=(Seat(1), Seat(2), Seat(3))): 2}
    assert layouts_words(layouts) == "2-of-3 (seats 1, 2, 3)"
    assert layouts_json(layouts) == [{"k": 2, "seats": [1, 2, 3], "packs": 2}]


def test_several_are_said_with_their_counts() -> None:
    layouts = live(Made(1, 2, (1, 2, 3)), Made(2, 1, (1,)), Made(3, 2, (1, 2, 3))).layouts
    assert layouts_words(layouts) == "1 pack 1-of-1 (seat 1), 2 packs 2-of-3 (seats 1, 2, 3)"


def test_what_is_not_known_is_said() -> None:
    assert layouts_words(None) == "layout unknown: a record before it is missing here"
    assert layouts_json(None) is None
