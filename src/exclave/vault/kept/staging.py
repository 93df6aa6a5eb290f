"""Who brought the shards that no record names yet, and when: each depositor answers for his own.

Kept in `meta/staged`, a line for each such shard, since no log and no shard says it. It is written
now and then and at the end: what a crash loses of it is charged to nobody and counts as put when
the loss is noticed, so that it stays longer. Times are expiry time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from exclave.clock import format_time, parse_time
from exclave.errors import MalformedData
from exclave.ids import ShardRoot
from exclave.values import dataclass, replace
from exclave.vault.kept.storage import ObjectStore, read_optional
from exclave.vault.line.identity import identity_hash

__all__ = ["Staging", "check_staged"]

_KEY: Final = "meta/staged"
_LINE: Final = re.compile(r"([0-9a-f]{64}) ([0-9a-f]{64}|-)(?: (\S+))?")
_UNKNOWN: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Put:
    uploader: bytes | None  # None: not known any more
    time: datetime | None  # None: not known, and not settled yet

    @classmethod
    def read(cls, uploader: str, time: str | None) -> _Put:
        who = None if uploader == _UNKNOWN else bytes.fromhex(uploader)
        try:
            return cls(uploader=who, time=None if time is None else parse_time(time))
        except MalformedData:
            return cls(uploader=who, time=None)

    def line(self, root: ShardRoot) -> str:
        who = _UNKNOWN if self.uploader is None else self.uploader.hex()
        return f"{root.hex()} {who}" + ("" if self.time is None else f" {format_time(self.time)}")


class Staging:
    """Staged bytes by uploading identity; calls are serialised by the mission's lock."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._puts: dict[ShardRoot, _Put] = {}
        self._bytes: Counter[bytes] = Counter()
        self._total = 0
        self._kept = True
        text = (read_optional(store, _KEY) or b"").decode("ascii", "replace")
        for line in text.splitlines():
            if match := _LINE.fullmatch(line):
                root, uploader, time = match.groups()
                self._puts[ShardRoot(bytes.fromhex(root))] = _Put.read(uploader, time)

    def add(self, root: ShardRoot, size: int, identity: bytes, now: datetime) -> None:
        """An identity has brought a shard that nothing names."""
        uploader = identity_hash(identity)
        self._puts[root] = _Put(uploader=uploader, time=now)
        self._bytes[uploader] += size
        self._total += size
        self._kept = False

    def renew(self, root: ShardRoot, now: datetime) -> None:
        """A staged shard was put again: whoever was told that it is here may rely on it."""
        put = self._puts.get(root)
        if put is not None and put.time != now:
            self._puts[root] = replace(put, time=now)
            self._kept = False

    @property
    def roots(self) -> tuple[ShardRoot, ...]:
        """All staged shards, those whose uploader is not known too."""
        return tuple(self._puts)

    @property
    def total(self) -> int:
        """Bytes of all staged shards."""
        return self._total

    def of(self, identity: bytes) -> int:
        """Bytes that an identity has staged."""
        return self._bytes[identity_hash(identity)]

    def put_times(self) -> Mapping[ShardRoot, datetime]:
        """When each staged shard was put."""
        return {root: put.time for root, put in self._puts.items() if put.time is not None}

    def settle(self, staged: Iterable[tuple[ShardRoot, int]], now: datetime) -> None:
        """What is staged now; the rest has been named or swept."""
        sizes: Mapping[ShardRoot, int] = dict(staged)
        lost = _Put(uploader=None, time=None)
        known = {root: self._puts.get(root, lost) for root in sizes}
        # A put later than now was written by another clock, or by nobody who may.
        left = {
            root: replace(put, time=now) if put.time is None or put.time > now else put
            for root, put in known.items()
        }
        self._kept = self._kept and left == self._puts
        self._puts = left
        self._bytes = Counter()
        self._total = sum(sizes.values())
        for root, put in left.items():
            if put.uploader is not None:
                self._bytes[put.uploader] += sizes[root]

    def keep(self) -> None:
        """Make it durable when it has changed."""
        if not self._kept:
            lines = sorted(put.line(root) + "\n" for root, put in self._puts.items())
            self._store.replace_head(_KEY, "".join(lines).encode())
            self._kept = True


def check_staged(data: bytes) -> None:
    """Raises `MalformedData` for a kept text that is not what `Staging.keep` writes."""
    for number, line in enumerate(data.decode("ascii", "replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise MalformedData(f"{_KEY}: line {number}: expected a shard and who brought it")
        if match[3] is not None:
            parse_time(match[3])
