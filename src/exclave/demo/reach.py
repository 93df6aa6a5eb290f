"""Lines to the vaults of a made-up mission, for those who look and for those who attack.

Unlike the program's own client this one sends whatever it is told to, under any identity that it
is given. Rule: what a vault refused is an answer here, never an error.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from exclave.authority.charter import Charter
from exclave.authority.record import RecordPack
from exclave.clock import now
from exclave.errors import ExclaveError
from exclave.ids import PackRoot, Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import log_verifier, open_checkpoint, origin_for
from exclave.lines import LoopThread
from exclave.vault.client.client import HttpVault
from exclave.vault.client.retrying import RetryingRecord, RetryingStore, RetryPolicy
from exclave.vault.interface import MissionStatus, State, VaultRefused
from exclave.vault.line.addresses import parse_address
from exclave.vault.line.identity import Identity, issue_leaf
from exclave.vault.line.protocol import PROTOCOLS
from exclave.vault.line.tls import client_context

__all__ = ["Attempt", "Reach", "cause_of", "stored_objects"]

Attempt = tuple[str, str, bytes]
"""Method, path below the mission's, and body."""

_SPOKEN: Final = max(PROTOCOLS)
_IDLE_SECONDS: Final = 15
_POLICY: Final = RetryPolicy(attempts=3)
_WAIT_SECONDS: Final = 90
_PAUSE: Final = 0.1


def cause_of(error: ExclaveError) -> str:
    """Why a vault said no, in a word; of an answer that never came, its class."""
    return error.cause if isinstance(error, VaultRefused) else type(error).__name__


def stored_objects(folder: Path) -> Mapping[str, str]:
    """Hash of every shard and every body below a mission's folder at a vault."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("shards", "bodies")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


class Reach:
    """Use as a context: connections end with it."""

    def __init__(self, charter: Charter) -> None:
        self.charter = charter
        self._loop = LoopThread()
        self._clients: list[HttpVault] = []
        self._public: dict[int, HttpVault] = {}

    def __enter__(self) -> Reach:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            self._loop.run(client.close())
        self._loop.close()

    # Looking

    def status(self, seat: int) -> MissionStatus:
        """What a vault says about the mission."""
        return self._loop.run(RetryingRecord(self._anyone(seat), _POLICY).status())

    def state(self, seat: int, statement: StatementHash) -> str:
        """Where a statement stands at a vault, or why that is not known."""
        try:
            return self._loop.run(self._anyone(seat).statement(statement)).state.value
        except ExclaveError as error:
            return cause_of(error)

    def states(self, seats: Iterable[int], statement: StatementHash) -> str:
        """Where it stands at several, in one word where they agree."""
        found = {seat: self.state(seat, statement) for seat in seats}
        if len(set(found.values())) == 1:
            return next(iter(found.values()))
        return ", ".join(f"seat {seat}: {state}" for seat, state in found.items())

    def receipt(self, seat: int, record: bytes) -> bytes:
        """A vault's receipt for a lodged record, by the hash of its envelope."""
        client = RetryingRecord(self._anyone(seat), _POLICY)
        return self._loop.run(client.receipt("lodged", record)).encode()

    def witnessed(self, seat: int, of: int) -> int:
        """How many entries of another vault's log a vault has cosigned; it never forgets."""
        mission = self.charter.mission_id
        log = hashlib.sha256(origin_for(mission, Seat(of)).encode()).hexdigest()
        note = self._loop.run(self._get(seat, f"witness/{log}/checkpoint"))
        key = log_verifier(mission, Seat(of), self.charter.seat(Seat(of)).log_key.raw)
        return open_checkpoint(note, key).size

    def until(self, what: Callable[[], bool]) -> bool:
        """Wait until something is so; False when it does not come to be in time."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not what():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE)
        return True

    def until_state(self, seats: Sequence[int], statement: StatementHash, state: State) -> str:
        """Wait for a state at all of these vaults; where it stands then."""
        self.until(lambda: all(self.state(seat, statement) == state.value for seat in seats))
        return self.states(seats, statement)

    def until_locked(self, seats: Sequence[int], *, locked: bool) -> bool:
        """Wait until all of these vaults are locked, or no longer are."""
        return self.until(lambda: all(self.status(seat).locked is locked for seat in seats))

    # Sending

    def submit(self, seat: int, statement: bytes) -> str:
        """Hand a statement to one vault; its state, or why it was refused."""
        record = RetryingRecord(self._anyone(seat), _POLICY)
        try:
            return self._loop.run(record.submit(statement)).state.value
        except ExclaveError as error:
            return cause_of(error)

    def put(self, seat: int, identity: Identity, root: ShardRoot, data: bytes) -> str:
        """Put a shard; `stored`, `there`, or why it was refused."""
        client = self._client(seat, identity)
        store = RetryingStore(client, _POLICY)
        try:
            return "stored" if self._loop.run(store.put_shard(root, [data])) else "there"
        except ExclaveError as error:
            return cause_of(error)
        finally:
            self._loop.run(client.close())

    def read(
        self, seat: int, identity: Identity, packs: Mapping[PackRoot, RecordPack]
    ) -> tuple[int, Counter[str]]:
        """Ask for every shard of some packs; how many came, and how often what was said instead."""
        client, said, came = self._client(seat, identity), Counter[str](), 0
        store = RetryingStore(client, _POLICY)
        for pack in packs.values():
            try:
                self._loop.run(store.get_shard(pack.shard(Seat(seat))))
                came += 1
            except ExclaveError as error:
                said[cause_of(error)] += 1
        self._loop.run(client.close())
        return came, said

    def send(
        self, seat: int, identity: Identity | None, attempts: Sequence[Attempt]
    ) -> Counter[int]:
        """Send these requests as they are; how often each HTTP status came back, 0 for none."""
        return self._loop.run(self._send(seat, identity, attempts))

    async def _send(
        self, seat: int, identity: Identity | None, attempts: Sequence[Attempt]
    ) -> Counter[int]:
        entry = self.charter.seat(Seat(seat))
        address = entry.addresses[0]
        place = address.public if identity is None else address.data
        leaf = None if identity is None else issue_leaf(identity, server=False, now=now())
        url = f"https://{place}/v{_SPOKEN}/{self.charter.mission_id.hex()}"
        found: Counter[int] = Counter()
        connector = aiohttp.TCPConnector(ssl=client_context(entry.identity, leaf))
        limit = aiohttp.ClientTimeout(total=_IDLE_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            for method, path, body in attempts:
                try:
                    async with session.request(method, f"{url}/{path}", data=body) as answer:
                        found[answer.status] += 1
                except (aiohttp.ClientError, TimeoutError, OSError):
                    found[0] += 1
        return found

    async def _get(self, seat: int, path: str) -> bytes:
        entry = self.charter.seat(Seat(seat))
        connector = aiohttp.TCPConnector(ssl=client_context(entry.identity))
        public = entry.addresses[0].public
        url = f"https://{public}/v{_SPOKEN}/{self.charter.mission_id.hex()}/{path}"
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url) as answer,
        ):
            return await answer.read()

    def _anyone(self, seat: int) -> HttpVault:
        if seat not in self._public:
            self._public[seat] = self._client(seat, None)
        return self._public[seat]

    def _client(self, seat: int, identity: Identity | None) -> HttpVault:
        entry = self.charter.seat(Seat(seat))
        address = entry.addresses[0]
        client = HttpVault(
            mission=self.charter.mission_id,
            seat=Seat(seat),
            anchor=entry.identity,
            public=parse_address(address.public),
            data=parse_address(address.data),
            identity=identity,
            clock=now,
            idle_seconds=_IDLE_SECONDS,
        )
        self._clients.append(client)
        return client
