"""P3: no verb, code path or key removes or replaces a stored object; the sweep alone may.

The attacker's powers: he has every private key of the mission at once (depositor, fellow vaults,
this vault's own, officials, a reader under a released warrant), reaches both listeners, and tries
every verb on every path. He also calls the library's functions. He does not write to the disk
himself.

Besides, two searches: of the source, for whatever could unlink, rename over or cut a file, and
of the real process's system calls, under a workload and under a sweep. Positive control: a sweep
of what is released is seen by the same searches.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from exclave.engine.file import FileEngine
from exclave.engine.interface import CHECKPOINT_KEY, ENROLMENT_KEY, ObjectKey
from exclave.errors import ExclaveError
from exclave.vault.client.client import HttpVault
from exclave.vault.kept.storage import body_key, shard_key, store_object
from exclave.vault.line.identity import Identity, new_identity
from exclave.vault.mission.sweeper import sweep
from tests.structure.sources import ROOT
from tests.support.interrupting import require_tracing
from tests.support.serving import SEAT, serving
from tests.support.systrace import Event, TracingRefused, trace
from tests.support.vault_process import VaultStage, child_environment
from tests.support.vault_world import SEATS, START, World, new_world

METHODS = ("DELETE", "PUT", "POST", "PATCH", "MOVE", "PURGE", "COPY", "LOCK")
BODIES = (b"", b"other bytes", b'{"shards":[]}')


def objects(folder: Path) -> dict[str, bytes]:
    """What is written once: shards and bodies."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for top in ("shards", "bodies")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


def identities(world: World, reader: Identity) -> list[Identity | None]:
    """Everybody's, and nobody's."""
    return [None, world.depositor.identity, reader, *(world.vaults[s].identity for s in SEATS)]


def paths(digests: list[str]) -> Iterator[str]:
    yield from (
        "",
        "status",
        "shards",
        "bodies",
        "log/checkpoint",
        "log/tile/0/000.p/1",
        "missions",
    )
    for digest in digests:
        for top in ("shards", "sealed-shards", "bodies", "statements", "missing", "swept", "sweep"):
            yield f"{top}/{digest}"
        yield f"shards/{digest[:2]}/{digest}"
        yield f"shards/..%2fbodies%2f{digest[:2]}%2f{digest}"
        yield f"receipts/lodged/{digest}"


async def attempt(client: HttpVault, line: str, method: str, path: str, body: bytes) -> None:
    with contextlib.suppress(ExclaveError):
        await client._request(method, line, path, 2**20, [body])


def test_no_verb_on_any_path_with_any_key(tmp_path: Path) -> None:
    async def body() -> None:
        world, reader = new_world(), new_identity("reader", START)
        place = tmp_path / "mission"
        for folder in (place, tmp_path / "tmp"):
            folder.mkdir()
        async with serving(world, FileEngine(place, tmp_path / "tmp")) as served:
            record, packs = world.deposit()
            for pack in packs:
                shard = pack.shards[SEAT]
                await served.depositor.put_shard(shard.root, [shard.encode()])
            await served.depositor.submit(world.signed(record))
            await served.depositor.submit(world.warrant(reader))
            staged = world.pack().shards[SEAT]
            await served.depositor.put_shard(staged.root, [staged.encode()])
            before = objects(place)
            assert len(before) == 6
            digests = [Path(name).name for name in before]
            tried = 0
            for identity in identities(world, reader):
                client = served.client(identity)
                line = client._public if identity is None else client._line()
                for path in paths(digests):
                    for number, method in enumerate(METHODS):
                        what = BODIES[number % len(BODIES)]
                        await attempt(client, line, method, path, what)
                        tried += 1
            assert tried > 2000
            after = objects(place)
            assert {name: after.get(name) for name in before} == before
            assert after == before, "nor was anything added"

    asyncio.run(body())


def test_no_call_of_the_library_with_every_key(tmp_path: Path) -> None:
    async def body() -> None:
        world = new_world()
        place = tmp_path / "mission"
        for folder in (place, tmp_path / "tmp"):
            folder.mkdir()
        engine = FileEngine(place, tmp_path / "tmp")
        async with serving(world, engine) as served:
            record, packs = world.deposit()
            for pack in packs:
                shard = pack.shards[SEAT]
                await served.depositor.put_shard(shard.root, [shard.encode()])
            await served.depositor.submit(world.signed(record))
            before, mission = objects(place), served.mission
            root = packs[0].shards[SEAT].root
            digest = bytes.fromhex(Path(next(n for n in before if n.startswith("bodies"))).name)
            refused = 0
            for call in (
                lambda: store_object(engine, shard_key(root), b"other bytes"),  # type: ignore[arg-type]
                lambda: store_object(engine, body_key(digest), b""),  # type: ignore[arg-type]
                lambda: engine.replace_head(ObjectKey(shard_key(root)), b""),
                lambda: engine.replace_head(ObjectKey(body_key(digest)), b""),
                lambda: engine.sweep(ObjectKey(body_key(digest))),
                lambda: engine.sweep(ObjectKey(ENROLMENT_KEY)),
                lambda: engine.sweep(CHECKPOINT_KEY),
                lambda: engine.sweep(ObjectKey("meta/service")),
            ):
                try:
                    call()
                except ExclaveError:
                    refused += 1
            assert refused == 8
            for _ in range(3):
                assert sweep(mission).released == ()
                mission.rebuild()
                mission.keep()
                mission.watch()
            after = objects(place)
            assert {name: after.get(name) for name in before} == before

    asyncio.run(body())


# The source

REMOVING = {"unlink", "remove", "rmtree", "rmdir", "removedirs", "truncate", "ftruncate", "rename",
            "renames", "replace", "sweep", "unlinkat", "move"}  # fmt: skip
SITES = {
    # the one unlink of a stored object, and the way to it
    ("durable.py", "remove_file", "final.unlink"),
    ("vault/mission/sweeper.py", "_remove", "mission.store.sweep"),
    ("vault/server/server.py", "_keep", "sweep"),
    # temporary files, heads of the log and of meta/, and the vault's own copy of the kit
    ("durable.py", "discard", "self._temporary.unlink"),
    ("durable.py", "rename", "self._temporary.replace"),
    ("durable.py", "name", "self.rename"),  # of no object: below
    ("durable.py", "replace_file", "file.rename"),
}


PLACES = ("durable.py", "engine/**/*.py", "vault/**/*.py")


def sites() -> set[tuple[str, str, str]]:
    """File, function and callee of whatever could remove or replace a file."""
    found: set[tuple[str, str, str]] = set()
    source = ROOT / "src" / "exclave"
    for path in sources():
        tree = _tree(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in ast.walk(function):
                    if isinstance(call, ast.Call):
                        name = ast.unparse(call.func)
                        if name.rpartition(".")[2] in REMOVING and not _is_value(name, call):
                            found.add((str(path.relative_to(source)), function.name, name))
    return found


def sources() -> list[Path]:
    """Whatever a vault's objects pass through."""
    source = ROOT / "src" / "exclave"
    found = [sorted(source.glob(place)) for place in PLACES]
    assert all(found), "every place has files"
    return [path for paths in found for path in paths]


def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SystemError:  # CPython 3.11 counts its depth over all threads (gh-106905): once more
        return ast.parse(text)


def _is_value(name: str, call: ast.Call) -> bool:
    """dataclasses.replace, str.replace and datetime.replace change no file."""
    last = name.rpartition(".")[2]
    keywords = bool(call.keywords)
    return last == "replace" and (name == "replace" or len(call.args) == 2 or keywords)


def test_the_source_has_one_site_that_removes_a_stored_object() -> None:
    assert sites() == SITES


def test_objects_get_their_names_by_links_alone() -> None:
    """`DurableFile.name` renames where a file system has no links; an engine never asks for it."""
    for path in sources():
        if path.name != "durable.py":
            assert ".name(" not in path.read_text(encoding="utf-8"), path.name


def test_sql_and_shells_remove_no_files() -> None:
    for path in sources():
        text = path.read_text(encoding="utf-8")
        for word in ("subprocess", "shutil.rmtree", "os.system", "O_TRUNC", "os.remove"):
            assert word not in text, f"{path.name}: {word}"


# The real process


def harms(events: list[Event]) -> list[tuple[str, str]]:
    """Calls that could remove or change a stored object."""
    found: list[tuple[str, str]] = []
    for event in events:
        stored = [path for path in (event.path, event.other) if is_stored(path)]
        changes = event.call in {"unlink", "rmdir", "rename", "ftruncate", "truncate"}
        writes = event.call in {"write", "pwrite64", "writev", "pwritev", "open"}
        if stored and (changes or writes):
            found.append((event.call, stored[0]))
    return found


def is_stored(path: str) -> bool:
    parts = path.split("/")
    return parts[0] == "missions" and len(parts) > 3 and parts[2] in {"shards", "bodies"}


def test_the_real_process_removes_and_changes_nothing(tmp_path: Path) -> None:
    try:
        run, acked = VaultStage.new(tmp_path / "stage").play(tmp_path / "work")
    except TracingRefused as error:
        require_tracing(error)
        return
    assert acked.done
    links = [event for event in run.events if event.call == "link" and is_stored(event.other)]
    assert len(links) >= 5, "three shards and two records at least appeared under their names"
    assert harms(run.events) == []
    gone = [event.path for event in run.events if event.call == "unlink"]
    assert gone, "temporary files are unlinked"
    assert [p for p in gone if not p.startswith("tmp/") and "state.db" not in p] == []


def test_control_a_sweep_is_seen_and_touches_what_it_logged_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    command = [sys.executable, "-m", "tests.support.sweep_process", str(tmp_path / "vault")]
    try:
        run = trace(
            command, watch=tmp_path / "vault", out=tmp_path / "out",
            environment=child_environment(),
        )  # fmt: skip
        line = run.stdout.read()
        run.wait()
    except TracingRefused as error:
        require_tracing(error)
        return
    swept = json.loads(line)
    assert len(swept) == 2
    found = harms(run.events)
    assert [call for call, _ in found] == ["unlink", "unlink"]
    assert sorted(Path(path).name for _, path in found) == sorted(swept)
    order = [(e.call, e.path, e.other) for e in run.events]
    first = next(
        i for i, (call, path, _) in enumerate(order) if call == "unlink" and is_stored(path)
    )
    checkpoints = [i for i, (_, _, other) in enumerate(order) if other.endswith("log/checkpoint")]
    assert max(checkpoints) < first, "the entry was published before the first unlink"
    said = [i for i, event in enumerate(run.events) if b'"type":"swept"' in event.data]
    assert said, "the sweep is in the log"
    assert min(said) < max(checkpoints)
    synced = [i for i, (call, path, _) in enumerate(order)
              if call == "fsync" and "/shards/" in path and i > first]  # fmt: skip
    assert len(synced) >= 2, "the folders are synced"


def test_control_an_unlink_would_be_found() -> None:
    events = [Event("unlink", f"missions/{'ab' * 32}/shards/ab/{'ab' * 32}")]
    assert harms(events) == [("unlink", events[0].path)]
    assert harms([Event("rename", "tmp/x", f"missions/{'ab' * 32}/bodies/ab/{'ab' * 32}")])
    assert not harms([Event("link", "tmp/x", f"missions/{'ab' * 32}/bodies/ab/{'ab' * 32}")])
