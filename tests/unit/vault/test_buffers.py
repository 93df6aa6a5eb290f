"""Where unchecked shards are read to: pieces of any size, never a byte beyond the end."""

from __future__ import annotations

import pytest

from exclave.errors import IntegrityError
from exclave.vault.buffers import ShardBuffers

DATA = bytes(range(200))


def buffers(prefix: int, body: int) -> ShardBuffers:
    return ShardBuffers(memoryview(bytearray(prefix)), memoryview(bytearray(body)))


@pytest.mark.parametrize("step", [1, 7, 128, 150, 200])
def test_pieces_of_any_size(step: int) -> None:
    into = buffers(128, 72)
    for at in range(0, 200, step):
        into.put(at, DATA[at : at + step])
    assert bytes(into.prefix) + bytes(into.body) == DATA
    into.require(200)


def test_another_length_is_refused() -> None:
    into = buffers(128, 71)
    with pytest.raises(IntegrityError, match="expected 199 bytes, got more"):
        into.put(0, DATA)
    with pytest.raises(IntegrityError, match="expected 199 bytes, got 200"):
        into.require(200)
    with pytest.raises(IntegrityError):
        into.put(199, b"x")
