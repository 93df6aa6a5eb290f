"""A real vault process that is interrupted, the client that talks to it, and what must then hold.

    stage = VaultStage.new(folder)                    # a mission, a script of uploads and records
    trace, acked = stage.play(work, kill=...)         # the process until it ends or is killed
    stage.check(acked)                                # on the disk as it is now
    stage.complete()                                  # restarted, everything is lodged

What was acknowledged is kept with the tracer's count at that moment, so that it can also be
asked of a disk that a power cut left at an earlier event.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import exclave
from exclave import clock
from exclave.authority.record import DepositRecord
from exclave.dispersal.shard import Shard, parse_shard
from exclave.engine.file import FileEngine
from exclave.errors import VaultError
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import log_verifier, open_checkpoint
from exclave.ledger.consistency import consistency_proof, verify_consistency
from exclave.ledger.receipt import parse_receipt, verify_receipt
from exclave.merkle import leaf_hash, tree_root
from exclave.vault.client.client import HttpVault
from exclave.vault.interface import State
from exclave.vault.kept.fsck import check_objects
from exclave.vault.kept.storage import read_optional, shard_key
from exclave.vault.line.addresses import parse_address
from exclave.vault.line.identity import save_identity
from exclave.vault.mission.intake import Intake
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import state_of, submit
from tests.support.serving import SEAT, open_mission
from tests.support.systrace import Kill, Traced, Warm, trace
from tests.support.vault_world import Pack, World, new_world

CHILD = Path(__file__).with_name("serve_vault.py")
RANK = {State.PENDING: 1, State.LODGED: 2}


def child_environment() -> dict[str, str]:
    """Nothing but where the sources are that this test runs."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "PYTHONPATH": f"{Path(exclave.__file__).parents[1]}:{Path(__file__).parents[2]}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@dataclass(kw_only=True)
class Acknowledged:
    """What the vault said, each with the number of events before the answer was read."""

    shards: list[tuple[int, ShardRoot]] = field(default_factory=list)
    states: list[tuple[int, StatementHash, State]] = field(default_factory=list)
    receipts: list[tuple[int, bytes]] = field(default_factory=list)
    done: bool = False

    def until(self, count: int) -> Acknowledged:
        """What had been said when so many events had ended."""
        return Acknowledged(
            shards=[item for item in self.shards if item[0] <= count],
            states=[item for item in self.states if item[0] <= count],
            receipts=[item for item in self.receipts if item[0] <= count],
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request of the script: a shard, or the record of that number."""

    shard: Shard | None = None
    record: int | None = None


@dataclass(kw_only=True)
class VaultStage:
    """A mission with one seat's folder, and everything that a depositor will send it."""

    folder: Path
    world: World
    records: list[DepositRecord]
    envelopes: list[bytes]
    shards: list[list[Shard]]  # of this seat, by record

    @classmethod
    def new(cls, folder: Path) -> Self:
        """Two deposits: the second goes on from the first."""
        world = new_world()
        first, packs = world.deposit(size=300_000)
        more = world.pack(20_000)
        second = world.record(
            [more], previous=first, live=[p.root for p in packs], manifest_packs=(packs[1].root,)
        )
        stage = cls(
            folder=folder,
            world=world,
            records=[first, second],
            envelopes=[world.signed(first), world.signed(second)],
            shards=[_seats_shards(packs), _seats_shards([more])],
        )
        stage.vault.mkdir(parents=True)
        (stage.vault / "tmp").mkdir()
        stage.place.mkdir(parents=True)
        return stage

    def copy(self, folder: Path, disk: Callable[[Path], None] | None = None) -> Self:
        """The same mission with its disk somewhere else."""
        other = type(self)(
            folder=folder,
            world=self.world,
            records=self.records,
            envelopes=self.envelopes,
            shards=self.shards,
        )
        if disk is None:
            shutil.copytree(self.vault, other.vault)
        else:
            disk(other.vault)
        return other

    @property
    def vault(self) -> Path:
        """The vault's folder: what is watched."""
        return self.folder / "vault"

    @property
    def place(self) -> Path:
        """The mission's folder in it."""
        return self.vault / "missions" / self.world.mission.hex()

    @property
    def script(self) -> list[Step]:
        """Shard, record (pending), shard (completes it), then a deposit whose shards come first."""
        (a, b), (c,) = self.shards
        return [
            Step(shard=a), Step(record=0), Step(shard=b), Step(record=0), Step(shard=c),
            Step(record=1), Step(shard=a),
        ]  # fmt: skip

    # The process

    def play(
        self, out: Path, kill: Kill | None = None, warm: Warm | None = None
    ) -> tuple[Traced, Acknowledged]:
        """Start the process on the folder, send it the script, end it if it was not killed."""
        out.mkdir(parents=True, exist_ok=True)
        order = out / "order.json"
        party = self.world.vaults[SEAT]
        save_identity(party.identity, out / "identity.pem")
        fields = {
            "folder": str(self.vault),
            "place": str(self.place),
            "mission": self.world.mission.hex(),
            "seat": str(SEAT),
            "log": party.log.private.private_bytes_raw().hex(),
            "cosign_ed": party.cosigning[0].private.private_bytes_raw().hex(),
            "cosign_pq": party.cosigning[1].private_bytes_raw().hex(),
            "seat_seed": party.seat_private.seed.hex(),
            "identity": str(out / "identity.pem"),
            "charter": self.world.envelope.to_bytes().decode(),
            **self.more(out),
        }
        order.write_text(json.dumps(fields))
        if warm is None:
            run = trace(
                [sys.executable, str(CHILD), str(order)],
                watch=self.vault,
                out=out / "trace",
                kill=kill,
                environment=child_environment(),
            )
        else:
            run = warm.trace([str(order)], watch=self.vault, out=out / "trace", kill=kill)
        acked = Acknowledged()
        line = run.stdout.readline()
        if line:
            ready = json.loads(line)["ready"]
            asyncio.run(self.send(ready, run, acked))
        if acked.done:
            run.stop()
        else:
            run.wait()
        return run, acked

    def more(self, out: Path) -> dict[str, str]:
        """What else the process is told."""
        del out
        return {}

    async def send(self, ready: dict[str, str], run: Traced, acked: Acknowledged) -> None:
        client = HttpVault(
            mission=self.world.mission,
            seat=SEAT,
            anchor=self.world.vaults[SEAT].identity.certificate,
            public=parse_address(ready["public"]),
            data=parse_address(ready["data"]),
            identity=self.world.depositor.identity,
            clock=clock.now,
            idle_seconds=20,
        )
        async with client:
            try:
                for step in self.script:
                    await self._step(client, step, run, acked)
                acked.done = True
            except VaultError:
                pass  # killed: `run.killed` says so, or the test fails

    async def _step(self, client: HttpVault, step: Step, run: Traced, acked: Acknowledged) -> None:
        if step.shard is not None:
            await client.put_shard(step.shard.root, [step.shard.prefix(), step.shard.body])
            acked.shards.append((run.count, step.shard.root))
        if step.record is not None:
            envelope = self.envelopes[step.record]
            answer = await client.submit(envelope)
            acked.states.append((run.count, answer.statement, answer.state))
            if answer.state is State.LODGED:
                receipt = await client.receipt("lodged", hashlib.sha256(envelope).digest())
                acked.receipts.append((run.count, receipt.encode()))

    # What must hold

    def mission(self) -> Mission:
        """The mission over the disk as it is, as a restarted vault opens it."""
        self.place.mkdir(parents=True, exist_ok=True)
        (self.vault / "tmp").mkdir(exist_ok=True)
        store = FileEngine(self.place, self.vault / "tmp")
        return open_mission(self.world, store, index=str(self.place / "state.db"))

    def check(self, acked: Acknowledged) -> None:
        """Everything acknowledged is there, nothing incomplete is lodged, the log only grew."""
        with closing(self.mission()) as mission:
            self._objects_are_whole(mission)
            for _, root in acked.shards:
                parse_shard(mission.store.get(shard_key(root)), root)
                assert mission.index.has_shard(root)
            for _, statement, state in acked.states:
                now = state_of(mission, statement).state
                assert RANK[now] >= RANK[state], f"{state} was acknowledged, now {now}"
            self._receipts_hold(mission, acked)
            self._nothing_incomplete(mission)
            index = mission.index.dump()
            mission.rebuild()
            assert mission.index.dump() == index, "the index is not what the objects say"

    def complete(self) -> None:
        """Whoever was interrupted sends everything again, and everything is lodged."""
        with closing(self.mission()) as mission:
            for shards, envelope in zip(self.shards, self.envelopes, strict=True):
                for shard in shards:
                    intake = Intake(mission, shard.root, sealed=False)
                    intake.feed([shard.encode()])
                    intake.finish()
                submit(mission, envelope)
            for record in self.records:
                assert state_of(mission, record.statement_hash).state is State.LODGED
            self._objects_are_whole(mission)
            self._nothing_incomplete(mission)
            assert not mission.status().forks

    def _objects_are_whole(self, mission: Mission) -> None:
        report = check_objects(
            mission.store,
            mission=mission.mission,
            seat=SEAT,
            log_public=mission.keys.log_public,
        )
        assert report.bad == ()
        assert report.entries == mission.log.size >= 1

    def _receipts_hold(self, mission: Mission, acked: Acknowledged) -> None:
        verifier = log_verifier(mission.mission, Seat(SEAT), mission.keys.log_public)
        new = open_checkpoint(mission.log.note, verifier)
        leaves = [leaf_hash(entry.encode()) for _, entry in mission.log.entries()]
        assert tree_root(leaves) == new.root
        for _, data in acked.receipts:
            receipt = parse_receipt(data)
            entry = verify_receipt(receipt, verifier)
            assert mission.log.entry(receipt.index) == entry
            old = open_checkpoint(receipt.checkpoint, verifier)
            verify_consistency(
                old_size=old.size,
                old_root=old.root,
                new_size=new.size,
                new_root=new.root,
                proof=consistency_proof(leaves, old.size),
            )

    def _nothing_incomplete(self, mission: Mission) -> None:
        for listed in mission.status().records:
            if listed.state is State.LODGED:
                number = [r.statement_hash for r in self.records].index(listed.statement)
                for shard in self.shards[number]:
                    data = read_optional(mission.store, shard_key(shard.root))
                    assert data is not None, "lodged without all of its shards"
                    parse_shard(data, shard.root)


def _seats_shards(packs: list[Pack]) -> list[Shard]:
    return [pack.shards[SEAT] for pack in packs]
