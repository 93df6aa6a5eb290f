"""The erasure code against ISA-L and against a second implementation."""

import hashlib
import itertools

import pytest
from pyeclib.ec_iface import ECDriver

from exclave.dispersal.code import (
    BodySizeWrong,
    PaddingNotZero,
    body_length,
    code_row,
    decode_bodies,
    encode_bodies,
)
from exclave.dispersal.veil import DuplicateSeat, TooFewShards
from exclave.errors import MalformedData
from exclave.ids import Seat
from tests.oracles import dispersal as oracle


def data(size: int) -> bytes:
    return hashlib.shake_256(b"pack").digest(size)


def seats(*numbers: int) -> list[Seat]:
    return [Seat(number) for number in numbers]


@pytest.mark.parametrize(("k", "m"), [(2, 1), (3, 2), (4, 3), (5, 9), (2, 30), (20, 12)])
def test_same_as_isa_l(k: int, m: int) -> None:
    """Row j is given to ISA-L times k XOR j; it puts 80 bytes before each fragment."""
    pack = data(8192 * k)
    scaled = [oracle.times(row, k ^ j) for j, row in enumerate(oracle.cut(pack, 8192))]
    fragments = ECDriver(k=k, m=m, ec_type="isa_l_rs_cauchy").encode(b"".join(scaled))
    bodies = encode_bodies(pack, k, seats(*range(1, k + m + 1)))
    assert [bytes(body) for body in bodies.values()][k:] == [part[80:] for part in fragments[k:]]


@pytest.mark.parametrize("k", [2, 3, 5, 254])
def test_the_first_seat_of_parity_holds_the_xor_of_all_rows(k: int) -> None:
    assert code_row(Seat(k + 1), k) == [1] * k


@pytest.mark.parametrize("k", [1, 2, 3, 6])
@pytest.mark.parametrize("length", [1, 1368, 4096, 12288, 30_001])
def test_same_as_the_oracle(k: int, length: int) -> None:
    pack = data(length)
    for seat, body in encode_bodies(pack, k, seats(1, 2, 3, 7, 33, 255)).items():
        assert bytes(body) == oracle.body(pack, k, seat)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_any_k_bodies_rebuild(k: int) -> None:
    pack = data(21_000)
    bodies = encode_bodies(pack, k, seats(1, 2, 3, 4, 9, 200))
    for chosen in itertools.combinations(bodies, k):
        assert decode_bodies({seat: bodies[seat] for seat in chosen}, k, len(pack)) == pack
    assert decode_bodies(bodies, k, len(pack)) == pack


def test_full_data_rows_are_views() -> None:
    pack = bytearray(data(3 * 4096))
    bodies = encode_bodies(pack, 3, seats(1, 2, 3, 4))
    assert all(bodies[seat].obj is pack for seat in seats(1, 2, 3))
    assert all(body.readonly for body in bodies.values())


def test_parity_goes_to_the_memory_that_is_given_for_it() -> None:
    pack = data(50_000)
    room = memoryview(bytearray(b"\xff" * 2 * body_length(len(pack), 2)))
    bodies = encode_bodies(pack, 2, seats(1, 2, 3, 4), parity=room)
    assert bodies == encode_bodies(pack, 2, seats(1, 2, 3, 4))
    assert all(bodies[seat].obj is room.obj for seat in seats(3, 4))
    assert all(body.readonly for body in bodies.values())
    with pytest.raises(BodySizeWrong, match="parity: expected 57344 bytes, got 57343"):
        encode_bodies(pack, 2, seats(1, 2, 3, 4), parity=room[1:])


def test_rows_that_are_all_padding() -> None:
    pack = data(100)
    bodies = encode_bodies(pack, 4, seats(1, 2, 3, 4, 5))
    assert bodies[Seat(4)] == bytes(4096)
    assert decode_bodies({s: bodies[s] for s in seats(2, 3, 4, 5)}, 4, 100) == pack


def test_refusals() -> None:
    pack = data(5000)
    bodies = {seat: bytes(body) for seat, body in encode_bodies(pack, 2, seats(1, 2, 3)).items()}
    with pytest.raises(TooFewShards):
        decode_bodies({Seat(1): bodies[Seat(1)]}, 2, 5000)
    with pytest.raises(BodySizeWrong, match="seat 2: expected 4096 bytes, got 4095"):
        decode_bodies({Seat(1): bodies[Seat(1)], Seat(2): bodies[Seat(2)][:-1]}, 2, 5000)
    wrong = bodies[Seat(2)][:-1] + b"\x01"
    with pytest.raises(PaddingNotZero, match="seats 1, 2"):
        decode_bodies({Seat(1): bodies[Seat(1)], Seat(2): wrong}, 2, 5000)
    with pytest.raises(DuplicateSeat):
        encode_bodies(pack, 2, seats(1, 1))


@pytest.mark.parametrize("k", [0, 256, -1])
def test_impossible_k(k: int) -> None:
    with pytest.raises(MalformedData, match="k from 1 to 255"):
        body_length(1, k)


@pytest.mark.parametrize("seat", [0, 256])
def test_impossible_seat(seat: int) -> None:
    with pytest.raises(MalformedData, match="seat from 1 to 255"):
        code_row(Seat(seat), 2)


def test_rows_depend_on_k_and_seat_only() -> None:
    assert code_row(Seat(1), 3) == [1, 0, 0]
    assert code_row(Seat(3), 3) == [0, 0, 1]
    two_thirds, three_halves = (2, oracle.reciprocal(3)), (3, oracle.reciprocal(2))
    assert code_row(Seat(4), 2) == [oracle.product(*two_thirds), oracle.product(*three_halves)]
    assert code_row(Seat(200), 1) == [1]
