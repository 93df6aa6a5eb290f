"""Who brought the shards that no record names yet: each depositor answers for his own.

Kept in `meta/staged`, a line for each such shard, since no log and no shard says it. It is written
now and then and at the end: what a crash loses of it is charged to nobody, as is what was staged
before an index is built again without it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from exclave.ids import ShardRoot
from exclave.vault.identity import identity_hash
from exclave.vault.storage import ObjectStore, read_optional

__all__ = ["Staging"]

_KEY: Final = "meta/staged"
_LINE: Final = re.compile(rb"([0-9a-f]{64}) ([0-9a-f]{64})")


class Staging:
    """Staged bytes by uploading identity; calls are serialised by the mission's lock."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._uploader: dict[ShardRoot, bytes] = {}
        self._bytes: Counter[bytes] = Counter()
        self._kept = True
        for line in (read_optional(store, _KEY) or b"").splitlines():
            if match := _LINE.fullmatch(line):
                root, uploader = (bytes.fromhex(part.decode()) for part in match.groups())
                self._uploader[ShardRoot(root)] = uploader

    def add(self, root: ShardRoot, size: int, identity: bytes) -> None:
        """An identity has brought a shard that nothing names."""
        uploader = identity_hash(identity)
        self._uploader[root] = uploader
        self._bytes[uploader] += size
        self._kept = False

    def of(self, identity: bytes) -> int:
        """Bytes that an identity has staged."""
        return self._bytes[identity_hash(identity)]

    def settle(self, staged: Iterable[tuple[ShardRoot, int]]) -> None:
        """What is staged now; the rest has been named."""
        sizes: Mapping[ShardRoot, int] = dict(staged)
        left = {root: who for root, who in self._uploader.items() if root in sizes}
        self._kept = self._kept and len(left) == len(self._uploader)
        self._uploader = left
        self._bytes = Counter()
        for root, uploader in left.items():
            self._bytes[uploader] += sizes[root]

    def keep(self) -> None:
        """Make it durable when it has changed."""
        if not self._kept:
            lines = sorted(f"{root.hex()} {who.hex()}\n" for root, who in self._uploader.items())
            self._store.replace_head(_KEY, "".join(lines).encode())
            self._kept = True
