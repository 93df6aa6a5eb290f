"""What a fuzz target starts from: inputs that it accepts, or nearly, most of them from vectors/.

Without them a fuzzer spends its time on guessing magic bytes and canonical JSON.
"""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from exclave.agent.memory import memory_bytes as agent_memory_bytes
from exclave.agent.state import AgentState, JobState, Result
from exclave.archive.reference import Codec, Reference
from exclave.authority.envelope import Envelope, Kind, media_type, parse_envelope
from exclave.deposit.catalogue_entry import CatalogueEntry, RegisterSummary, catalogue_pack_bytes
from exclave.deposit.outline import (
    FileOutline,
    RegisterOutline,
    SizedOutline,
    TableOutline,
    TreeOutline,
    Unit,
)
from exclave.deposit.outlines import outline_bytes
from exclave.encoding import JsonValue, b64encode, canonical_json
from exclave.ids import ChunkId, DepositId, MissionId, PackRoot, Seat, ShardRoot, StatementHash
from exclave.journal.store import SafePack, ShardRow
from exclave.ledger.tiles import encode_bundle
from exclave.monitor.memory import Memory, memory_bytes
from exclave.signals.book import Book
from exclave.signals.cause import Cause
from exclave.signals.memory import book_bytes
from exclave.signer.bundle import Purpose, new_bundle
from exclave.signer.file import encode_key_file, public_keys_bytes
from exclave.vault.interface import (
    AlarmState,
    MissionStatus,
    RecordState,
    StandingState,
    State,
    StatementState,
    WarrantState,
)
from exclave.vault.line.wire import write_missing, write_statement_state, write_status
from tests.property.test_authority import GOOD
from tests.vectors.cases import Loaded, load
from tools.vector_cases import drawn
from tools.vector_signatures import Blob

Source = Callable[[], Iterator[bytes]]


def given(folder: str, operation: str, read: Callable[[dict[str, Any]], bytes]) -> Source:
    """Inputs of one operation's vectors, those that must be refused among them."""

    def source() -> Iterator[bytes]:
        cases: list[Loaded] = [case for case in load(folder) if case.operation == operation]
        assert cases, f"vectors/{folder}: expected cases of {operation}, got none"
        yield from (read(case.given) for case in cases)

    return source


def text_of(name: str) -> Callable[[dict[str, Any]], bytes]:
    """An input that is text."""
    return lambda fields: str(fields[name]).encode()


def bytes_of(name: str) -> Callable[[dict[str, Any]], bytes]:
    """An input that is bytes, or zeros between two runs of bytes."""

    def read(fields: dict[str, Any]) -> bytes:
        value = fields[name]
        if isinstance(value, dict):
            zeros = bytes(value["zeros"])
            return bytes.fromhex(value["head"]) + zeros + bytes.fromhex(value["tail"])
        return bytes.fromhex(value)

    return read


def payloads() -> Iterator[bytes]:
    """A good payload of every kind of statement."""
    for name, (value, _) in GOOD.items():
        if name != "annex":
            yield canonical_json(value)
    yield from evidence()
    charter = Envelope(payload=canonical_json(GOOD["charter"][0]), kind=Kind.CHARTER)
    enrolment: dict[str, JsonValue] = {
        "kind": "enrolment", "mission": "00" * 32, "seat": 1, "vault": "north",
        "charter": b64encode(charter.to_bytes()),
    }  # fmt: skip
    yield canonical_json(enrolment)
    yield canonical_json(enrolment | {"history": [b64encode(charter.to_bytes())]})


def packed_certificates() -> Iterator[bytes]:
    """Certificates in the open form, good ones and others; the target packs them."""
    for kind in (Kind.PROOF, Kind.DRILL, Kind.STANDING):
        for payload in given("certificates", f"parse-{kind.value}", text_of("payload"))():
            yield canonical_json(
                {
                    "payload": payload.decode(),
                    "payloadType": media_type(kind),
                    "signatures": [],
                }
            )


def evidence() -> Iterator[bytes]:
    """Payloads of evidence."""
    yield from given("ledger", "evidence", text_of("payload"))()


def catalogue() -> Iterator[bytes]:
    """A pack and a deposit."""
    yield catalogue_pack_bytes(
        SafePack(
            root=PackRoot(bytes(32)), length=16384, k=2, kind=1, secret=bytes(32),
            deposit=DepositId(bytes(16)), sealed_secret=bytes(1168),
            shards=(ShardRow(seat=Seat(1), root=ShardRoot(bytes(32)), held=True),),
            chunks=((ChunkId(bytes(32)), 0, 10, 64, 1),),
        )
    )  # fmt: skip
    register = RegisterSummary(
        id="deeds",
        title="Deeds",
        kind="files",
        rpo=1,
        rto=2,
        rows=0,
        files=3,
        bytes=4,
        new=2,
        stored=1,
        capture_ms=7,
    )
    entry = CatalogueEntry(
        deposit=DepositId(bytes(16)), sequence=1, statement=bytes(32),
        started="2026-01-02T03:04:05Z", ended="2026-01-02T03:04:06Z", registers=(register,),
        read=1, new=2, stored=3, sent=((Seat(1), 4),), elapsed_ms=9,
        manifest_root=Reference(2**31, 0, 9, 9, Codec.RAW), manifest_packs=(PackRoot(bytes(32)),),
        manifest_bytes=16384,
    )  # fmt: skip
    yield canonical_json(entry.to_json())


def outlines() -> Iterator[bytes]:
    """One object of each kind."""
    objects = (
        TableOutline(
            name="t", rows=3, columns="00" * 16, groups=2, level=0, nodes=(bytes(32),) * 2
        ),
        TreeOutline(name="scans", files=3, depth=1, units={b"": Unit(1, 7), b"a/": Unit(2, 9)}),
        FileOutline(name="a.db", size=5, digest=bytes(32), tables=(("t", 1),)),
        SizedOutline(name="d", count=4, digest=bytes(32)),
    )
    yield outline_bytes(
        [RegisterOutline(id="deeds", objects=tuple(("files", item) for item in objects))]
    )


def key_files() -> Iterator[bytes]:
    """A private key file in the clear, and its public one."""
    bundle = new_bundle(
        Purpose.DEPOSITOR, "home", ("ed25519", "ml-dsa-65", "x-wing"),
        random=lambda size: drawn("key file", size), secrets=("dedup-1",),
    )  # fmt: skip
    yield encode_key_file(bundle, passphrase=None, random=bytes)
    yield public_keys_bytes(bundle)


def answers() -> Iterator[bytes]:
    """What a vault answers."""
    statement = StatementHash(bytes(32))
    yield write_missing((ShardRoot(bytes(32)),))
    yield write_statement_state(
        StatementState(state=State.WAITING, statement=statement, entry=3, seconds=60)
    )
    alarm = AlarmState(cause="clock-ahead", began="2026-01-02T03:04:05Z", detail="by 400 s")
    record = RecordState(
        statement=statement, deposit=DepositId(bytes(16)), depositor="home", sequence=1,
        state=State.LODGED, logged="2026-01-02T03:04:05Z",
    )  # fmt: skip
    yield write_status(
        MissionStatus(
            mission=MissionId(bytes(32)), seat=Seat(1), state="XA", charter=statement, charters=1,
            log_size=4, shards=2, shard_bytes=8192, staged_bytes=0, quota_bytes=2**40,
            free_bytes=2**41, records=(record,),
            warrants=(WarrantState(statement=statement, state=State.RELEASED, seconds=None),),
            locked=False, frozen=False, conflicts=(),
            standing=(
                StandingState(statement=statement, kind="unlock", state=State.WAITING, seconds=9),
            ),
            forks=(), quarantined=(), alarms=(alarm,), witnessed=None,
            expiry="2026-01-02T03:04:05Z", service=1000,
        ),
        2,
    )  # fmt: skip
    yield b'{"type":"urn:exclave:problem:quota-exceeded","title":"quota","status":507}'


def groups() -> Iterator[bytes]:
    """The groups of row trees."""
    for case in load("archive"):
        if case.operation == "row-tree":
            yield bytes.fromhex(case.expect["groups"])


def nodes() -> Iterator[bytes]:
    """Small nodes."""
    for case in load("archive"):
        if case.operation == "stream":
            yield from (bytes.fromhex(node) for node in case.given["nodes"] if len(node) < 5000)


def checkpoints() -> Iterator[bytes]:
    """The texts of notes."""
    for note in given("ledger", "checkpoint", text_of("checkpoint"))():
        yield note.partition(b"\n\n")[0] + b"\n"


def bundles() -> Iterator[bytes]:
    """A width before a tile of entries."""
    entries = list(given("ledger", "entry", text_of("entry"))())[:3]
    yield bytes([len(entries) - 1]) + encode_bundle(entries)


def vkeys() -> Iterator[bytes]:
    """Keys of logs and paths of tiles."""
    yield next(given("ledger", "checkpoint", text_of("vkey"))())
    yield from given("ledger", "tile-path", text_of("path"))()


def orders() -> Iterator[bytes]:
    """The payloads of orders, bad ones among them."""
    for envelope in given("orders", "parse-order", text_of("envelope"))():
        yield parse_envelope(envelope).payload


def words() -> Iterator[bytes]:
    """Words of cards as typed."""
    yield from given("cards", "read-words", text_of("text"))()


def ssh_public() -> Iterator[bytes]:
    """A plain key's line and a security key's."""
    for flags, name in ((None, b"ssh-ed25519"), (0x05, b"sk-ssh-ed25519@openssh.com")):
        yield name + b" " + base64.b64encode(Blob(flags=flags).public()) + b" somebody@here\n"


def memories() -> Iterator[bytes]:
    """A monitor's memory, empty and with what it told and what is still wrong."""
    mission, moment = MissionId(bytes(32)), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    yield memory_bytes(Memory(mission=mission))
    told = frozenset({"order " + "ab" * 32})
    yield memory_bytes(
        Memory(mission=mission, looked=moment, told=told, since={"charter 1": moment})
    )


def alerts() -> Iterator[bytes]:
    """An alerter's memory, empty and with what two targets were told."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    yield book_bytes(Book())
    cause = Cause(key="seat 2", severity="critical", summary="seat 2 is silent", hint="look")
    book = Book().noted([cause], moment, targets=["mail"]).failed("hook", moment)
    message = book.message("mail", moment, source="x", remind_after=timedelta(days=1))
    assert message is not None
    yield book_bytes(book.delivered("mail", message, targets=["mail", "hook"]))


def agents() -> Iterator[bytes]:
    """Memories of an agent: new, and with a job that failed and told something."""
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    yield agent_memory_bytes(AgentState(seen=moment))
    told = Cause(key="logs:silent:2", severity="critical", summary="no answer", hint="ask")
    job = JobState(
        done=moment,
        fired=(moment, moment),
        running=moment,
        failures=3,
        retry=moment,
        started=moment,
        ended=moment,
        result=Result.HUNG,
        said="no end after 60 s",
        good=moment,
        causes=(told,),
    )
    yield agent_memory_bytes(
        AgentState(
            seen=moment,
            back=moment,
            jobs={"logs": job},
            captured={"land": moment},
            late={Seat(2): moment},
        )
    )


def calendars() -> Iterator[bytes]:
    """Expressions with each thing that they can have."""
    for text in (
        "Mon..Fri,Sun 2026..2030-01,07~1 06:30:15 Europe/Tallinn",
        "*-*-1..10/3 0/4:00 UTC",
        "quarterly",
        "*:0/15",
    ):
        yield text.encode()


def signatures() -> Iterator[bytes]:
    """Signature lines of cosigned notes."""
    for note in given("ledger", "cosignature", text_of("checkpoint"))():
        yield note.partition(b"\n\n")[2]


SEEDS: dict[str, Source] = {
    "add_checkpoint": given("ledger", "add-checkpoint", text_of("request")),
    "kept_size": lambda: iter([b"0\n", b"3\n", b"9007199254740991\n"]),
    "signatures": signatures,
    "agent_memory": agents,
    "alerts_memory": alerts,
    "annex": lambda: iter([canonical_json(GOOD["annex"][0])]),
    "answers": answers,
    "block": given("bag", "parse-block", bytes_of("block")),
    "bundle": bundles,
    "calendar": calendars,
    "card": given("cards", "parse-card", text_of("card")),
    "catalogue": catalogue,
    "outline": outlines,
    "charter": given("charter", "parse-charter", text_of("payload")),
    "checkpoint": checkpoints,
    "detached": given("statements", "parse-detached", text_of("signatures")),
    "directory": given("archive", "pack", bytes_of("plaintext")),
    "entry": given("ledger", "entry", text_of("entry")),
    "envelope": given("statements", "parse-envelope", text_of("envelope")),
    "filetree": given("archive", "file-tree", bytes_of("entries")),
    "gathering": lambda: iter([bytes([0, 0, 255, 0, 1, 81, 255, 0, 2, 163, 255, 0])]),
    "groups": groups,
    "printed": lambda: iter("\n".join(case.given["lines"]).encode() for case in load("printed")),
    "inventory": given("bag", "parse-inventory", text_of("inventory")),
    "json": given("archive", "manifest", text_of("manifest")),
    "key_file": key_files,
    "large_objects": given("archive", "large-objects", bytes_of("entries")),
    "manifest": given("archive", "manifest", text_of("manifest")),
    "monitor_memory": memories,
    "node": nodes,
    "note": given("ledger", "checkpoint", text_of("checkpoint")),
    "order": orders,
    "pack_header": given("sealing", "open-pack", bytes_of("sealed")),
    "packed_certificate": packed_certificates,
    "payload": payloads,
    "receipt": given("ledger", "receipt", text_of("receipt")),
    "record": given("records", "live-set", lambda fields: fields["payloads"][-1].encode()),
    "sealed_shard": given("dispersal", "unseal-shard", bytes_of("sealed")),
    "shard": given("dispersal", "parse-shard", bytes_of("shard")),
    "ssh_public": ssh_public,
    "sshsig": given("statements", "verify-signature", bytes_of("signature")),
    "stream": given("archive", "stream", lambda fields: canonical_json(fields["stream"])),
    "vkey": vkeys,
    "words": words,
}


def seeds_of(target: str) -> list[bytes]:
    """The seeds of `fuzz_TARGET`; a target without any is an error."""
    seeds = list(SEEDS[target]())
    if not seeds:
        raise LookupError(f"fuzz target {target}: expected seeds, got none")
    return seeds
