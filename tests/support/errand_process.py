"""A vault's errands (`tests/support/errands.py`) as a traced process, and what must then hold.

    stage = ErrandStage.new(folder)                # two lodged deposits, a shard over its days
    run, said = stage.play(work, kill=...)         # the process until it ends or is killed
    stage.check(said)                              # on the disk as it is now
    stage.complete()                               # every errand done again: as if nothing was

Each line that the process said holds the count of events at that moment, so that it can also be
asked of a disk that a power cut left at an earlier event.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from exclave import clock
from exclave.authority.envelope import Envelope, parse_envelope
from exclave.authority.orders import (
    Hold,
    Lockdown,
    OrderHead,
    Release,
    kind_of,
    order_payload,
)
from exclave.authority.orders import Order as Statement
from exclave.authority.swept import parse_swept
from exclave.dispersal.shard import Shard
from exclave.engine.file import FileEngine
from exclave.engine.memory import MemoryEngine
from exclave.ids import Seat, ShardRoot, StatementHash
from exclave.ledger.checkpoint import (
    Checkpoint,
    log_verifier,
    open_checkpoint,
    origin_for,
    parse_checkpoint,
    sign_checkpoint,
)
from exclave.ledger.entry import EntryType
from exclave.ledger.note import NoteSigner, NoteVerifier, parse_note
from exclave.ledger.witness import AddCheckpoint, Answer
from exclave.vault.interface import State
from exclave.vault.kept.fsck import check_objects
from exclave.vault.kept.storage import read_optional, shard_key
from exclave.vault.kept.witnessing import Witnessing
from exclave.vault.mission.cosigning import head_of, request_for
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import state_of, submit
from exclave.vault.server.mirror import MIRRORED, position_of
from tests.support.errands import FELLOW, Fact, Keys, Order, errands, open_vault
from tests.support.keeping import Kept, put
from tests.support.serving import SEAT, open_mission
from tests.support.systrace import Kill, Traced, Warm, trace
from tests.support.vault_process import child_environment
from tests.support.vault_world import SEATS, Pack, World, new_world, next_charter

__all__ = ["CHILD", "DAYS", "KINDS", "ErrandStage", "make_order", "prepared"]

CHILD = Path(__file__).with_name("errands.py")
DAYS = timedelta(days=91)  # past retention, and past the days of what is staged
KINDS = Counter({"charter": 2, "record": 3, "lodged": 3, "order": 3, "evidence": 1, "alarm": 1})
"""Entries of a log after all errands, but for those whose number depends on interruptions."""


def prepared(store: Any, world: World) -> tuple[Kept, Pack]:
    """Two deposits and a shard of no record, all of it long ago."""
    kept = Kept.new(store, world)
    old = world.pack()
    put(kept.mission, old)
    kept.later(DAYS)
    return kept, old


def make_order(kept: Kept) -> tuple[Order, list[Pack]]:
    """What the errands need, and the packs of the deposit that they lodge."""
    world = kept.world
    first, second = kept.packs
    packs = [world.pack(20_000)]
    live = [pack.root for pack in (first[1], *(pack for pack in second if pack is not first[1]))]
    record = world.record(
        packs, previous=kept.records[1], live=live, manifest_packs=(second[-1].root,)
    )
    seen, later, fork = _fellows_log(world)
    return Order(
        mission=world.mission,
        seat=SEAT,
        now=clock.format_time(kept.now.time),
        charter=world.envelope.to_bytes(),
        keys={str(seat): Keys.of(party) for seat, party in world.vaults.items()},
        staged=world.pack().shards[SEAT].encode(),
        seen=seen,
        later=later,
        fork=fork,
        release=_order(world, Release(head=_head(world), packs=_roots(first)), 0, 1),
        hold=_order(world, Hold(head=_head(world), deposits=None), 0),
        next=next_charter(world)[1],
        shards=[pack.shards[SEAT].encode() for pack in packs],
        record=world.signed(record),
        lockdown=_order(world, Lockdown(head=_head(world)), 1),
    ), packs


def _roots(packs: Sequence[Pack]) -> Any:
    return tuple(sorted(pack.root for pack in packs))


def _head(world: World) -> OrderHead:
    return OrderHead(
        mission=world.mission,
        charter=world.envelope.statement_hash,
        nonce=os.urandom(16),
        issued=clock.now(),
        reason="a test",
    )


def _order(world: World, order: Statement, *people: int) -> bytes:
    envelope = Envelope(payload=order_payload(order), kind=kind_of(order))
    return world.officials_sign(envelope, people).to_bytes()


def _fellows_log(world: World) -> tuple[bytes, bytes, bytes]:
    """Requests about the fellow's log: its first checkpoint, a later one, and a fork of that."""
    log = open_mission(world, MemoryEngine(), seat=FELLOW)
    seen = request_for(log, head_of(log), 0)
    submit(log, _order(world, Hold(head=_head(world), deposits=None), 0))
    later = request_for(log, head_of(log), 1)
    signer = NoteSigner(
        name=origin_for(world.mission, FELLOW),
        public_key=log.keys.log_public,
        sign=log.keys.sign,
    )
    forked = Checkpoint(origin=signer.name, size=log.log.size, root=bytes(32))
    fork = AddCheckpoint(old=log.log.size, proof=(), note=sign_checkpoint(forked, signer))
    return seen, later, fork.encode()


@dataclass(kw_only=True)
class ErrandStage:
    """One seat's folder before the errands, and what there is to do."""

    folder: Path
    world: World
    order: Order
    shards: list[Shard]  # all that were ever put here

    @classmethod
    def new(cls, folder: Path) -> ErrandStage:
        """The mission with an index that was closed in order."""
        world = new_world()
        vault = folder / "vault"
        place = vault / "missions" / world.mission.hex()
        place.mkdir(parents=True)
        (vault / "tmp").mkdir()
        store = FileEngine(place, vault / "tmp")
        kept, old = prepared(store, world)
        kept.mission.close()
        order, packs = make_order(kept)
        open_vault(order, store, str(place / "state.db")).close()
        all_packs = {pack.root: pack for pack in (*kept.packs[0], *kept.packs[1], old, *packs)}
        shards = [pack.shards[SEAT] for pack in all_packs.values()]
        return cls(folder=folder, world=world, order=order, shards=shards)

    def copy(self, folder: Path, disk: Callable[[Path], None] | None = None) -> ErrandStage:
        """The same mission with its disk somewhere else."""
        other = ErrandStage(folder=folder, world=self.world, order=self.order, shards=self.shards)
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

    # The process

    def play(
        self, out: Path, kill: Kill | None = None, warm: Warm | None = None
    ) -> tuple[Traced, list[Fact]]:
        """Run the errands on the folder until they are done or the process is killed."""
        out.mkdir(parents=True, exist_ok=True)
        (out / "order.json").write_text(self.order.to_json())
        counter = out / "trace" / "counter"
        words = [str(p) for p in (out / "order.json", self.place, self.vault / "tmp", counter)]
        if warm is None:
            run = trace(
                [sys.executable, str(CHILD), *words],
                watch=self.vault,
                out=out / "trace",
                kill=kill,
                environment=child_environment(),
            )
        else:
            run = warm.trace(words, watch=self.vault, out=out / "trace", kill=kill)
        said = [json.loads(line) for line in run.stdout if line.endswith(b"\n")]
        run.wait()
        return run, said

    # What must hold

    def mission(self) -> Mission:
        """The mission over the disk as it is, as a restarted vault opens it."""
        self.place.mkdir(parents=True, exist_ok=True)
        (self.vault / "tmp").mkdir(exist_ok=True)
        store = FileEngine(self.place, self.vault / "tmp")
        return open_vault(self.order, store, str(self.place / "state.db"))

    def check(self, said: Sequence[Fact]) -> None:
        """What was said holds; the log goes on from all that was published; fsck is clean."""
        with closing(self.mission()) as mission:
            self._clean(mission)
            self._log_goes_on(mission, said)
            self._witness_remembers(mission, said)
            self._shards_are_accounted_for(mission, said)
            for fact in said:
                _SAID.get(fact["did"], _nothing)(mission, fact)
            _mirrored(mission, said)
            index = mission.index.dump()
            mission.rebuild()
            assert mission.index.dump() == index, "the index is not what the objects say"

    def complete(self) -> None:
        """Everything is done again on what is left, and nothing is missing or there twice."""
        with closing(self.mission()) as mission:
            for _, errand in errands(self.order):
                errand(mission)
            kinds = Counter(entry.type.value for _, entry in mission.log.entries())
            assert kinds["witnessed"] >= 1
            assert kinds["swept"] >= 2
            del kinds["witnessed"], kinds["swept"]
            assert kinds == KINDS
            self._clean(mission)
            self._shards_are_accounted_for(mission, ())
            assert mission.standing().locked
            assert mission.charter().version == 2
            head = mission.cosigned_head()
            assert head is not None
            assert head.complete
            states = [record.state for record in mission.status().records]
            assert states == [State.LODGED] * 3

    def _clean(self, mission: Mission) -> None:
        report = check_objects(
            mission.store,
            mission=mission.mission,
            seat=SEAT,
            log_public=mission.keys.log_public,
        )
        assert report.bad == (), report.bad
        assert report.entries == mission.log.size >= 5, report

    def _log_goes_on(self, mission: Mission, said: Sequence[Fact]) -> None:
        """A witness that saw any published checkpoint cosigns the log as it is now."""
        verifier = log_verifier(mission.mission, Seat(SEAT), mission.keys.log_public)
        own = self._own(mission)
        notes = {bytes.fromhex(fact["note"]) for fact in said} | ({own} if own else set())
        sizes = {note: open_checkpoint(note, verifier).size for note in notes}
        for note in sorted(notes, key=sizes.__getitem__)[-3:]:
            fellow = self._fellow(verifier)
            assert fellow(AddCheckpoint(old=0, proof=(), note=note).encode()) is Answer.COSIGNED
            head = head_of(mission)
            assert head.checkpoint.size >= sizes[note], "the log shrank"
            request = request_for(mission, head, sizes[note])
            assert fellow(request) is Answer.COSIGNED, "the log was rewritten"

    def _own(self, mission: Mission) -> bytes | None:
        kept = mission.witnessing.newest(origin_for(mission.mission, SEAT))
        if kept is None:
            return None
        note = parse_note(kept)
        first = [line for line in note.signatures if not line.name.endswith("/witness")]
        return type(note)(text=note.text, signatures=tuple(first)).encode()

    def _fellow(self, verifier: NoteVerifier) -> Callable[[bytes], Answer]:
        cosigner = self.world.vaults[SEATS[2]].cosigner(self.world.mission, SEATS[2])
        witness = Witnessing(MemoryEngine(), cosigner, clock.now)
        logs = {verifier.name: verifier}
        return lambda body: witness.add_checkpoint(body, logs).decision.answer

    def _witness_remembers(self, mission: Mission, said: Sequence[Fact]) -> None:
        """It knows what it cosigned, and whatever it knows it cosigns no other one."""
        kept = mission.witnessing.newest(origin_for(mission.mission, FELLOW))
        size = 0 if kept is None else parse_checkpoint(parse_note(kept).text).size
        for fact in said:
            if fact["did"] in {"seen", "later"}:
                assert fact["answer"] == Answer.COSIGNED
                assert size >= {"seen": 1, "later": 2}[fact["did"]], "it forgot what it cosigned"
            assert fact["did"] != "fork" or fact["answer"] == Answer.INCONSISTENT
        if size == 2:
            found = mission.witnessing.add_checkpoint(self.order.fork, self._logs(mission))
            assert found.decision.answer is Answer.INCONSISTENT
            assert found.lines == ()

    def _logs(self, mission: Mission) -> dict[str, NoteVerifier]:
        key = self.world.vaults[FELLOW].log.public.raw
        verifier = log_verifier(mission.mission, FELLOW, key)
        return {verifier.name: verifier}

    def _shards_are_accounted_for(self, mission: Mission, said: Sequence[Fact]) -> None:
        """A shard is there, whole, or logged as swept; what is said to be swept is gone."""
        logged = swept_of(mission)
        here = {root for root, _ in _put(self.shards, mission)}
        later = {root for f in said for root in f.get("shards", ())}
        before = {shard.root.hex() for shard in self.shards[:-1]}  # the last is of an errand
        for name in before | later:
            root = ShardRoot(bytes.fromhex(name))
            assert name in here or read_optional(mission.store, shard_key(root)) or root in logged
        gone = {name for fact in said for name in fact.get("swept", ())}
        assert gone <= {root.hex() for root in logged}
        assert not gone & here, "a swept shard came back"
        assert len(gone) in {0, 3}


def _put(shards: Sequence[Shard], mission: Mission) -> list[tuple[str, bytes]]:
    found = ((s.root.hex(), read_optional(mission.store, shard_key(s.root))) for s in shards)
    return [(root, data) for root, data in found if data is not None]


def swept_of(mission: Mission) -> set[ShardRoot]:
    """All that the log says was swept."""
    return {
        root
        for _, entry in mission.log.entries()
        if entry.type is EntryType.SWEPT
        for root in parse_swept(parse_envelope(mission.log.body(entry.hash))).shards
    }


# What was said, errand by errand


def _nothing(mission: Mission, fact: Fact) -> None:
    del mission, fact


def _cosigned(mission: Mission, fact: Fact) -> None:
    head = mission.cosigned_head()
    assert head is not None
    assert head.complete
    assert head.checkpoint.size >= fact["cosigned"]
    kinds = [entry.type for _, entry in mission.log.entries()]
    assert EntryType.WITNESSED in kinds[fact["cosigned"] :]


def _logged(mission: Mission, fact: Fact) -> None:
    statement = StatementHash(bytes.fromhex(fact["statement"]))
    state = state_of(mission, statement).state
    assert state.value == fact["state"], f"{fact['state']} was acknowledged, now {state}"


def _released(mission: Mission, fact: Fact) -> None:
    _logged(mission, fact)
    assert set(mission.keeping().released.values()) == {bytes.fromhex(fact["statement"])}


def _held(mission: Mission, fact: Fact) -> None:
    _logged(mission, fact)
    assert mission.keeping().holds_all


def _locked(mission: Mission, fact: Fact) -> None:
    _logged(mission, fact)
    assert mission.standing().locked


def _next(mission: Mission, fact: Fact) -> None:
    _logged(mission, fact)
    assert mission.charter().version == 2


def _kind(kind: EntryType) -> Callable[[Mission, Fact], None]:
    def check(mission: Mission, fact: Fact) -> None:
        del fact
        assert kind in {entry.type for _, entry in mission.log.entries()}

    return check


_SAID: dict[str, Callable[[Mission, Fact], None]] = {
    "round": _cosigned,
    "last round": _cosigned,
    "release": _released,
    "hold": _held,
    "lockdown": _locked,
    "next": _next,
    "lodge": _logged,
    "fork": _kind(EntryType.EVIDENCE),
    "alarm": _kind(EntryType.ALARM),
}


def _mirrored(mission: Mission, said: Sequence[Fact]) -> None:
    """Nothing is passed over: what the position leaves behind, the fellow has got."""
    got = {hashlib.sha256(bytes.fromhex(f["body"])).digest() for f in said if f["did"] == "got"}
    position = position_of(mission, FELLOW)
    for number, entry in mission.log.entries():
        if number < position and entry.type in MIRRORED:
            assert entry.hash in got, f"entry {number} is never sent"
    assert position >= max((f["mirrored"] for f in said if f["did"] == "mirror"), default=0)
