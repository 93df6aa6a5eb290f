"""Fuzz target: a shard's bytes.

Invariant: reading a shard whole and streaming it agree: both accept it with the same root and
header, whose encoding gives the same bytes again, or both refuse it with `ShardCorrupt`.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import contextlib
import sys
from pathlib import Path

from exclave.dispersal.sealed_shard import parse_sealed_shard
from exclave.dispersal.shard import ShardCorrupt, ShardHasher, parse_shard
from exclave.ids import ShardRoot


def check_shard(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    with contextlib.suppress(ShardCorrupt):
        assert parse_sealed_shard(data).encode() == data
    hasher = ShardHasher()
    try:
        for start in range(0, len(data), 1000):
            hasher.feed(data[start : start + 1000])
        root, header = hasher.finish()
    except ShardCorrupt:
        _require_refused(data)
        return
    shard = parse_shard(data, root)
    assert shard.header == header
    assert shard.encode() == data


def _require_refused(data: bytes) -> None:
    try:
        parse_shard(data, ShardRoot(b""))  # no root is empty
    except ShardCorrupt as error:
        if "expected root" not in error.message:
            return
    raise AssertionError("streaming refused what reading whole accepts")


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check_shard(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check_shard)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
