"""A pack from k shards that nobody checked: right, or refused, whichever byte is wrong."""

from __future__ import annotations

import itertools
import os

import pytest

from exclave.dispersal.room import PackRoom
from exclave.dispersal.shard import PREFIX_SIZE, Shard, ShardsDisagree, make_shards
from exclave.dispersal.veil import TooFewShards
from exclave.errors import IntegrityError
from exclave.ids import MissionId, Seat

MISSION = MissionId(b"\x07" * 32)
VEIL = b"\x08" * 32


def dispersed(sealed: bytes, k: int, seats: list[Seat]) -> dict[Seat, Shard]:
    shards = make_shards(sealed, mission=MISSION, veil=VEIL, k=k, seats=seats, random=os.urandom)
    return {shard.header.seat: shard for shard in shards}


def filled(shards: dict[Seat, Shard], seats: tuple[Seat, ...]) -> PackRoom:
    header = shards[seats[0]].header
    room = PackRoom(seats, mission=MISSION, root=header.pack_root, length=header.length, k=header.k)
    for seat in seats:
        room.prefix(seat)[:] = shards[seat].prefix()
        room.body(seat)[:] = shards[seat].body
    return room


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 4096, 70_000])
def test_any_k_shards_are_the_pack(k: int, length: int) -> None:
    sealed = os.urandom(length)
    seats = [Seat(number) for number in (1, 2, 3, 4, 9)]
    shards = dispersed(sealed, k, seats)
    for chosen in itertools.combinations(seats, k):
        pack, veil = filled(shards, chosen).rebuild()
        assert (bytes(pack), veil) == (sealed, VEIL)


@pytest.mark.parametrize("chosen", [(Seat(1), Seat(2)), (Seat(2), Seat(3))])
def test_each_wrong_byte_is_refused(chosen: tuple[Seat, ...]) -> None:
    sealed = os.urandom(6_000)  # rows of 4,096 bytes: the second ends in padding
    shards = dispersed(sealed, 2, [Seat(1), Seat(2), Seat(3)])
    for seat in chosen:
        for at in range(32, PREFIX_SIZE):
            room = filled(shards, chosen)
            room.prefix(seat)[at] ^= 1
            with pytest.raises(ShardsDisagree, match="another header"):
                room.rebuild()
        for at in (0, 1_903, 1_904, 4_095):
            room = filled(shards, chosen)
            room.body(seat)[at] ^= 1
            with pytest.raises(ShardsDisagree):
                room.rebuild()


def test_a_wrong_veil_share_is_left_to_the_commitment() -> None:
    shards = dispersed(os.urandom(100), 2, [Seat(1), Seat(2)])
    room = filled(shards, (Seat(1), Seat(2)))
    room.prefix(Seat(2))[0] ^= 1
    assert room.rebuild()[1] != VEIL


def test_a_room_is_for_k_seats() -> None:
    header = dispersed(b"x", 2, [Seat(1), Seat(2)])[Seat(1)].header
    for seats in ([Seat(1)], [Seat(1), Seat(1)], [Seat(1), Seat(2), Seat(3)]):
        with pytest.raises(TooFewShards):
            PackRoom(seats, mission=MISSION, root=header.pack_root, length=1, k=2)
    with pytest.raises(IntegrityError):
        PackRoom([Seat(1)], mission=MISSION, root=header.pack_root, length=1, k=2)
