"""What a vault does besides taking deposits, one errand after the other: `python THIS order.json`.

A round of cosigning, a shard that is staged, a fellow's checkpoints and his fork, a release and its
sweep, a hold and its mirroring, the next charter, a lodged deposit, an alarm, a lockdown. Plain
calls of what a serving vault calls, over whatever store the mission has; for tests of interruption
as a process of its own, for tests of faults in theirs.

After each errand it says what was done: whoever reads that line may rely on it. The line holds the
tracer's count of events at that moment, when the order names where that count lies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from exclave import clock
from exclave.dispersal.shard import ShardHasher
from exclave.engine.file import FileEngine
from exclave.ids import MissionId, Seat
from exclave.ledger.cosignature import Cosigner, cosign, witness_name
from exclave.ledger.note import NoteSignature
from exclave.vault.installation.config import Limits
from exclave.vault.interface import StatementState
from exclave.vault.kept.storage import ObjectStore
from exclave.vault.mission.cosigning import head_of, witness_checkpoint, witness_now
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission, SeatKeys
from exclave.vault.mission.submission import submit
from exclave.vault.mission.sweeper import sweep
from exclave.vault.server.hosting import Hosting
from exclave.vault.server.mirror import mirror_to
from tests.support.vault_world import Ed, VaultParty, cosigning_keys

__all__ = ["FELLOW", "Keys", "Order", "errands", "open_vault"]

FELLOW = Seat(2)
Fact = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A vault's raw private keys."""

    log: bytes
    first: bytes
    second: bytes

    @classmethod
    def of(cls, party: VaultParty) -> Keys:
        first, second = party.cosigning
        return cls(
            log=party.log.private.private_bytes_raw(),
            first=first.private.private_bytes_raw(),
            second=second.private_bytes_raw(),
        )

    @property
    def seat_keys(self) -> SeatKeys:
        log = Ed25519PrivateKey.from_private_bytes(self.log)
        first = Ed(Ed25519PrivateKey.from_private_bytes(self.first))
        return SeatKeys(
            log_public=log.public_key().public_bytes_raw(),
            sign=log.sign,
            cosigning=cosigning_keys(first, MLDSA44PrivateKey.from_seed_bytes(self.second)),
        )


@dataclass(frozen=True, kw_only=True)
class Order:
    """Everything that the errands need, as bytes: it goes to a process as JSON."""

    mission: bytes
    seat: int
    now: str  # the wall clock stands still
    charter: bytes
    keys: dict[str, Keys]  # by seat; the fellows' sign the rounds
    staged: bytes  # a shard that nothing names
    seen: bytes  # add-checkpoint requests about the fellow's log: first, later, forked
    later: bytes
    fork: bytes
    release: bytes
    hold: bytes
    next: bytes  # charter 2
    shards: list[bytes]  # of the record
    record: bytes
    lockdown: bytes

    def to_json(self) -> str:
        """As text, for `from_json`."""
        return json.dumps(asdict(self), default=lambda data: {"hex": data.hex()})

    @classmethod
    def from_json(cls, text: str) -> Order:
        """What `to_json` made."""

        def read(value: dict[str, Any]) -> Any:
            return bytes.fromhex(value["hex"]) if value.keys() == {"hex"} else value

        fields = json.loads(text, object_hook=read)
        keys = {seat: Keys(**item) for seat, item in fields.pop("keys").items()}
        return cls(keys=keys, **fields)


def open_vault(order: Order, store: ObjectStore, index: str) -> Mission:
    """The mission as a starting vault opens it; witnesses are those of the log."""
    now = clock.parse_time(order.now)
    return Mission(
        mission=MissionId(order.mission),
        seat=Seat(order.seat),
        store=store,
        index_path=index,
        keys=order.keys[str(order.seat)].seat_keys,
        clock=lambda: now,
        charter=order.charter,
    )


Errand = tuple[str, Callable[[Mission], Fact]]


def errands(order: Order, say: Callable[[Fact], None] = lambda fact: None) -> Iterator[Errand]:
    """The errands in order by name; each may be done again. `say` hears what a fellow got."""
    yield "round", lambda mission: _round(order, mission)
    yield "put", lambda mission: _put(mission, order.staged)
    yield "seen", lambda mission: _witness(mission, order.seen)
    yield "release", lambda mission: _submit(mission, order.release)
    yield "sweep", _sweep
    yield "hold", lambda mission: _submit(mission, order.hold)
    yield "mirror", lambda mission: _mirror(mission, say)
    yield "later", lambda mission: _witness(mission, order.later)
    yield "fork", lambda mission: _witness(mission, order.fork)
    yield "next", lambda mission: _submit(mission, order.next)
    yield "lodge", lambda mission: _lodge(mission, order)
    yield "alarm", _alarm
    yield "lockdown", lambda mission: _submit(mission, order.lockdown)
    yield "last round", lambda mission: _round(order, mission)
    yield "keep", _keep


def _round(order: Order, mission: Mission) -> Fact:
    head = head_of(mission)
    stamp = int(mission.clock().timestamp())
    lines: list[NoteSignature] = []
    for seat, keys in order.keys.items():
        if int(seat) != order.seat:
            name = witness_name(mission.mission, Seat(int(seat)))
            cosigner = Cosigner(name=name, keys=keys.seat_keys.cosigning)
            lines += cosign(head.note.text, cosigner, stamp)
    return {"cosigned": witness_now(mission, lines).checkpoint.size}


def _put(mission: Mission, data: bytes) -> Fact:
    hasher = ShardHasher()
    hasher.feed(data)
    root, _ = hasher.finish()
    intake = Intake(mission, root, sealed=False)
    try:
        intake.feed([data])
        intake.finish()
    finally:
        intake.abort()
    mission.keep()
    return {"shards": [root.hex()]}


def _witness(mission: Mission, request: bytes) -> Fact:
    found = witness_checkpoint(mission, request)
    return {"answer": int(found.decision.answer), "lines": len(found.lines)}


def _submit(mission: Mission, envelope: bytes) -> Fact:
    answer = submit(mission, envelope)
    return {"statement": answer.statement.hex(), "state": answer.state.value}


def _lodge(mission: Mission, order: Order) -> Fact:
    put = [root for shard in order.shards for root in _put(mission, shard)["shards"]]
    return {**_submit(mission, order.record), "shards": put}


def _sweep(mission: Mission) -> Fact:
    found = sweep(mission)
    roots = [root for _, shards in found.released for root in shards] + [*found.staged]
    return {"swept": sorted(root.hex() for root in roots)}


def _alarm(mission: Mission) -> Fact:
    mission.note_corrupt("an errand's")
    mission.watch()
    return {}


def _keep(mission: Mission) -> Fact:
    mission.keep()
    return {}


class _Fellow:
    """Takes what is mirrored, and says so."""

    seat = FELLOW

    def __init__(self, say: Callable[[Fact], None]) -> None:
        self._say = say

    async def submit(self, envelope: bytes) -> StatementState | None:
        self._say({"did": "got", "body": envelope.hex()})
        return None


class _Once:
    """Lets mirroring end when it would wait for news."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission

    async def news(self, seen: int) -> None:
        raise asyncio.CancelledError


def _mirror(mission: Mission, say: Callable[[Fact], None]) -> Fact:
    async def body() -> None:
        with ThreadPoolExecutor(1) as workers:
            hosting = Hosting(missions={}, limits=Limits(), workers=workers)
            once, fellow = _Once(mission), _Fellow(say)
            await mirror_to(hosting, once, fellow)  # type: ignore[arg-type]

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(body())
    return {"mirrored": mission.log.size}


def main(arguments: list[str]) -> None:
    place, tmp, counter = (Path(item) for item in arguments[1:4])
    order = Order.from_json(Path(arguments[0]).read_text())
    mission = open_vault(order, FileEngine(place, tmp), str(place / "state.db"))

    def say(fact: Fact) -> None:
        fact["events"] = struct.unpack("<Q", counter.read_bytes())[0]
        fact["note"] = mission.log.note.hex()
        print(json.dumps(fact), flush=True)

    say({"did": "start"})
    for name, errand in errands(order, say):
        say({"did": name, **errand(mission)})
    mission.close()
    say({"did": "end"})


if __name__ == "__main__":
    main(sys.argv[1:])
