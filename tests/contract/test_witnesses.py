"""Three real vaults witness each other; and every answer of the witness protocol over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from exclave import clock
from exclave.authority.charter_parts import Address as SeatAddress
from exclave.authority.witnesses import witnesses_of
from exclave.engine.memory import MemoryEngine
from exclave.errors import VaultUnreachable
from exclave.ids import Seat
from exclave.ledger.checkpoint import (
    Checkpoint,
    log_verifier,
    open_checkpoint,
    origin_for,
    sign_checkpoint,
)
from exclave.ledger.cosignature import open_cosigned
from exclave.ledger.note import (
    MAX_COSIGNED_LINES,
    NoteSigner,
    encode_signatures,
    parse_note,
    parse_signatures,
)
from exclave.ledger.receipt import ProvenEntry, parse_receipt, verify_witnessed_receipt
from exclave.ledger.witness import MAX_ADD_CHECKPOINT, AddCheckpoint
from exclave.vault.client.client import HttpVault
from exclave.vault.interface import VaultRefused, WitnessReply
from exclave.vault.kept.folder import FolderVault
from exclave.vault.line.addresses import parse_address
from exclave.vault.mission.cosigning import head_of, witness_checkpoint
from exclave.vault.server.rounds import Rounds
from exclave.vault.server.server import VaultServer
from tests.contract.test_vault_fellows import enrolled, free_ports, server_of
from tests.support.serving import Served, open_mission, serving
from tests.support.vault_world import SEATS, World, new_world

ONE, TWO, THREE = SEATS


def addressed_world() -> World:
    ports = free_ports(6)
    return new_world(
        addresses={
            seat: SeatAddress(data=f"127.0.0.1:{ports.pop()}", public=f"127.0.0.1:{ports.pop()}")
            for seat in SEATS
        }
    )


def client(world: World, seat: Seat) -> HttpVault:
    return HttpVault(
        mission=world.mission,
        seat=seat,
        anchor=world.vaults[seat].identity.certificate,
        public=parse_address(world.charter.seat(seat).addresses[0].public),
        clock=clock.now,
    )


def proven(world: World, seat: Seat, receipt: str) -> ProvenEntry:
    log = log_verifier(world.mission, seat, world.vaults[seat].log.public.raw)
    return verify_witnessed_receipt(
        parse_receipt(receipt.encode()), log, witnesses_of(world.charter)
    )


async def until_cosigned(world: World, vault: HttpVault, kind: str, body: bytes) -> ProvenEntry:
    name = hashlib.sha256(body).digest()
    while True:
        with contextlib.suppress(VaultRefused):  # not mirrored yet
            found = proven(world, vault.seat, await vault.receipt(kind, name))
            if found.cosigned:
                return found
        await asyncio.sleep(0.05)


def test_three_vaults_reach_cosigned_receipts_and_survive_the_loss_of_one(tmp_path: Path) -> None:
    world = addressed_world()
    folders = {seat: enrolled(world, seat, tmp_path / f"vault-{seat}") for seat in SEATS}
    first, second = (world.signed(world.deposit()[0]) for _ in range(2))

    def server(seat: Seat) -> VaultServer:
        return server_of(world, seat, folders[seat], world.charter.seat(seat).addresses[0])

    async def body() -> None:
        async with AsyncExitStack() as stack:
            clients = {s: await stack.enter_async_context(client(world, s)) for s in SEATS}
            running = {s: server(s) for s in SEATS}
            for one in running.values():
                await one.start()
            try:
                await clients[ONE].submit(first)
                for vault in clients.values():
                    found = await until_cosigned(world, vault, "record", first)
                    assert len(found.by) >= 2
                    await until_cosigned(world, vault, "charter", world.envelope.to_bytes())
                # One of three may be silent.
                await running.pop(THREE).stop()
                await clients[ONE].submit(second)
                found = await until_cosigned(world, clients[ONE], "record", second)
                assert [item.party.label for item in found.by] == ["seat 1", "seat 2"]
                log = log_verifier(world.mission, ONE, world.vaults[ONE].log.public.raw)
                note = await clients[ONE].cosigned()
                open_cosigned(note, log, witnesses_of(world.charter)).require_quorum()
            finally:
                for one in running.values():
                    await one.stop()

    asyncio.run(asyncio.wait_for(body(), 60))
    check_folder(world, tmp_path / "vault-1" / "missions" / world.mission.hex(), second)


def check_folder(world: World, folder: Path, record: bytes) -> None:
    """A disk carried away proves the same, and what this seat witnessed lies beside the log."""
    disk = FolderVault(folder, world.mission)
    name = hashlib.sha256(record).digest()
    receipt = asyncio.run(disk.receipt("record", name))
    assert proven(world, ONE, receipt).cosigned
    note = parse_note(asyncio.run(disk.cosigned()), most=MAX_COSIGNED_LINES)
    assert len(note.signatures) >= 5
    log = log_verifier(world.mission, TWO, world.vaults[TWO].log.public.raw)
    assert open_checkpoint(asyncio.run(disk.witness_head(TWO)), log).size >= 1
    names = [path.name for path in (folder / "meta").iterdir() if "witness" in path.name]
    assert sorted(names) == ["witness-1", "witness-2", "witness-3"]


def signed_note(world: World, seat: Seat, size: int, root: bytes, key: Seat | None = None) -> bytes:
    log, name = world.vaults[key or seat].log, origin_for(world.mission, seat)
    signer = NoteSigner(name=name, public_key=log.public.raw, sign=log.sign)
    return sign_checkpoint(Checkpoint(origin=name, size=size, root=root), signer)


def asked(note: bytes, old: int = 0) -> bytes:
    return AddCheckpoint(old=old, proof=(), note=note).encode()


def test_every_status_code(caplog: pytest.LogCaptureFixture) -> None:
    world, other = new_world(), new_world()
    root, fork = b"\x01" * 32, b"\x02" * 32
    note = signed_note(world, TWO, 5, root)

    async def ask(served: Served, request: bytes) -> WitnessReply:
        return await served.client().add_checkpoint(request)

    async def body() -> None:
        async with serving(world, MemoryEngine()) as served:
            name = hashlib.sha256(origin_for(world.mission, TWO).encode()).hexdigest()
            place = (served.client()._public, f"witness/{name}/checkpoint")
            with pytest.raises(VaultRefused, match="cosigned none"):
                await served.client()._get(*place, 2**20)
            good = await ask(served, asked(note))
            assert good.status == 200
            lines = parse_signatures(good.body)
            newest = parse_note(await served.client()._get(*place, 2**20))
            assert newest.signatures[1:] == lines
            for malformed in (b"", b"old 1\n", asked(note, 6), b"x" * (MAX_ADD_CHECKPOINT + 1)):
                assert (await ask(served, malformed)).status == 400
            stranger = signed_note(world, TWO, 5, root, key=THREE)
            assert (await ask(served, asked(stranger))).status == 403
            foreign = signed_note(other, TWO, 5, root)
            assert (await ask(served, asked(foreign))).status == 404
            conflict = await ask(served, asked(note, 4))
            assert (conflict.status, conflict.body) == (409, b"5\n")
            size = (await served.client().status()).log_size
            assert (await ask(served, asked(signed_note(world, TWO, 5, fork), 5))).status == 422
            assert (await ask(served, asked(signed_note(world, TWO, 6, fork), 5))).status == 422
            assert (await served.client().status()).log_size == size + 1, "the fork is evidence"
            assert (await ask(served, asked(note, 5))).status == 200, "a heartbeat"
            with pytest.raises(VaultRefused, match="no witness quorum"):
                await served.client().cosigned()

    asyncio.run(asyncio.wait_for(body(), 60))
    assert "seat 2 has forked its log at size 5" in caplog.text


class Lying:
    """A fellow that answers what the test says; or, without an answer, is not there."""

    def __init__(self, seat: Seat, status: int = 200, answer: bytes | None = None) -> None:
        self.seat = seat
        self._reply = None if answer is None else WitnessReply(status=status, body=answer)

    async def add_checkpoint(self, request: bytes) -> WitnessReply:
        del request
        if self._reply is None:
            raise VaultUnreachable(f"seat {self.seat}: no answer")
        return self._reply


LIES = (
    (None, 200, "no answer"),
    (b"", 200, "not ended"),
    ("— exclave/{m}/2/witness AAAAAAAA\n".encode(), 200, "got others"),
    (b"99\n", 409, "at most 1 entries seen"),
    (b"0\n", 409, "has seen another"),
    (b"-1\n", 409, "expected a size"),
    (b"", 500, "got 500"),
)


@pytest.mark.parametrize(("answer", "status", "says"), LIES)
def test_a_lying_or_silent_witness_is_named_and_stops_nothing(
    answer: bytes | None, status: int, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = new_world()
    good = open_mission(world, MemoryEngine(), seat=THREE)
    if answer is not None:
        answer = answer.replace(b"{m}", world.mission.hex().encode())

    class Honest(Lying):
        async def add_checkpoint(self, request: bytes) -> WitnessReply:
            found = witness_checkpoint(good, request)
            return WitnessReply(status=found.decision.answer, body=encode_signatures(found.lines))

    async def body() -> None:
        async with serving(world, MemoryEngine()) as served:
            hosting = served.server._hosting
            (hosted,) = hosting.missions.values()
            liar = Lying(TWO, status, answer)
            rounds = Rounds(
                hosting=hosting, hosted=hosted, fellows={TWO: liar, THREE: Honest(THREE)}
            )
            with caplog.at_level(logging.WARNING):
                kept = await rounds.round(head_of(served.mission))
                assert kept is not None
                assert [item.party.label for item in kept.by] == ["seat 1", "seat 3"]
                await rounds.round(head_of(served.mission))
            alone = Rounds(hosting=hosting, hosted=hosted, fellows={TWO: liar})
            assert await alone.round(head_of(served.mission)) is None
            assert (await served.client().status()).log_size == 2

    asyncio.run(asyncio.wait_for(body(), 60))
    assert says in caplog.text
    assert "seat 2" in caplog.text
