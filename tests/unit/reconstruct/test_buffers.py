"""Buffers of opened packs: used again when nobody looks at them, and never before."""

from __future__ import annotations

from exclave.reconstruct.buffers import OpenedBuffers


def test_what_is_looked_at_is_not_given_out_again() -> None:
    buffers = OpenedBuffers()
    first = buffers.take(1000)
    first[:] = b"a" * 1000
    kept = first[10:20]
    del first
    buffers.take(1000)[:] = b"b" * 1000
    assert bytes(kept) == b"a" * 10


def test_what_nobody_looks_at_is_used_again() -> None:
    buffers = OpenedBuffers()
    first = buffers.take(1000)
    first[:3] = b"abc"
    first.release()
    second = buffers.take(900)
    assert (len(second), bytes(second[:3])) == (900, b"abc")
    assert bytes(buffers.take(900)[:3]) == bytes(3)


def test_a_small_pack_leaves_the_large_buffer() -> None:
    buffers = OpenedBuffers()
    large = buffers.take(1000)
    large[:3] = b"abc"
    large.release()
    small = buffers.take(10)
    assert bytes(small[:3]) == bytes(3)
    assert bytes(buffers.take(1000)[:3]) == b"abc"


def test_no_more_than_some_are_kept() -> None:
    buffers = OpenedBuffers()
    views = [buffers.take(100) for _ in range(9)]
    assert len({id(view.obj) for view in views}) == 9
    for view in views:
        view[:] = b"x" * 100
        view.release()
    held = [buffers.take(100) for _ in range(9)]
    assert sum(bytes(view) == b"x" * 100 for view in held) == 4
