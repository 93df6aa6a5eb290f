"""A seat in a local folder: nobody serves it, and a vault's rules hold all the same."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.embassy import prepare_reading
from exclave.errors import VaultUnreachable
from exclave.ids import Seat, ShardRoot
from exclave.ledger.receipt import parse_receipt, verify_receipt
from exclave.lines import LoopThread
from exclave.vault.buffers import ShardBuffers
from exclave.vault.installation.at_hand import VaultAtHand
from exclave.vault.interface import State, VaultRefused
from exclave.vault.kept.storage import shard_key
from exclave.wiring.host import fsck_vault, mission_at_hand
from tests.support.embassy import PROGRAM, Embassy, found_embassy


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    """One vault, which is not served."""
    with found_embassy(tmp_path, n=1, k=1) as embassy:
        embassy.stop_vault(1)
        embassy.write_registers(mib=1)
        yield embassy


def write_config(embassy: Embassy, folder: Path) -> Path:
    config = embassy.write_config()
    with config.open("a") as stream:
        stream.write(f'\n[[seat]]\nseat = 1\nfolder = "{folder}"\n')
    return config


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "--json", *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_deposits_go_into_a_folder_and_come_back(embassy: Embassy, tmp_path: Path) -> None:
    config = str(write_config(embassy, embassy.vault_folder(1)))
    first = run("deposit", "--config", config)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["lodged"] == [1]
    second = run("deposit", "--config", config)
    answer = json.loads(second.stdout)
    assert (answer["sequence"], answer["new"], answer["late"]) == (2, 0, {})
    status = run("status", "--config", config)
    assert status.returncode == 0, status.stdout + status.stderr
    [(_, report)] = fsck_vault(embassy.vault_folder(1))
    assert report.bad == ()

    # The same folder served: its log goes on, and what it holds is reconstructed and proven.
    embassy.start_vault(1)
    report_ = embassy.reconstruct(tmp_path / "out")
    assert report_.proven


def test_a_folder_is_restored_from_where_it_lies(embassy: Embassy, tmp_path: Path) -> None:
    """Nobody serves it; what the warrant's vault asks for is asked for all the same."""
    folder = embassy.vault_folder(1)
    assert run("deposit", "--config", str(write_config(embassy, folder))).returncode == 0
    embassy.start_vault(1)
    answer = prepare_reading(embassy, tmp_path)
    targets = tmp_path / "targets.toml"
    words = ("reconstruct", str(answer.parent), "--answer", str(answer), "--targets", str(targets))
    place = f'[default.folder]\nkind = "folder"\npath = "out"\n[[seat]]\nfolder = "{folder}"\n'
    targets.write_text(place + "seat = 1\n")
    embassy.stop_vault(1)
    with mission_at_hand(folder, embassy.mission):
        served = run(*words)
    assert served.returncode == 7
    assert "another process has this vault open" in served.stderr
    targets.write_text(place + "seat = 9\n")
    unknown = run(*words)
    assert unknown.returncode == 3
    assert "seat 9: the charter has no such seat in use" in unknown.stderr
    targets.write_text(place + "seat = 1\n")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "PROVEN" in (answer.parent / "report.txt").read_text()


def test_a_disk_that_is_not_there_is_a_seat_without_an_answer(
    embassy: Embassy, tmp_path: Path
) -> None:
    config = str(write_config(embassy, tmp_path / "unplugged"))
    done = run("deposit", "--config", config)
    assert done.returncode == 5
    assert "expected states that can be reached: 1, got 0" in done.stderr
    assert "unplugged: not a vault's folder" in done.stderr


def test_a_folder_that_is_served_is_not_opened_twice(embassy: Embassy) -> None:
    folder = embassy.vault_folder(1)
    config = str(write_config(embassy, folder))
    with mission_at_hand(folder, embassy.mission):
        done = run("deposit", "--config", config)
    assert done.returncode == 5
    assert "another process has this vault open" in done.stderr


def test_a_seat_has_one_place(embassy: Embassy) -> None:
    config = write_config(embassy, embassy.vault_folder(1))
    config.write_text(config.read_text() + 'data = "127.0.0.1:1"\n')
    done = run("deposit", "--config", str(config))
    assert done.returncode == 3
    assert "seat[0].data: expected no such key, got one" in done.stderr


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    yield loop
    loop.close()


def at_hand(embassy: Embassy, identity: bytes) -> VaultAtHand:
    folder = embassy.vault_folder(1)
    return VaultAtHand(Seat(1), lambda: mission_at_hand(folder, embassy.mission), identity=identity)


def lodged_shards(embassy: Embassy) -> list[ShardRoot]:
    files = embassy.mission_folder(1).glob("shards/*/*")
    return [ShardRoot(bytes.fromhex(file.name)) for file in files]


def test_the_rules_of_a_vault_hold(embassy: Embassy, loop: LoopThread) -> None:
    config = str(write_config(embassy, embassy.vault_folder(1)))
    assert run("deposit", "--config", config).returncode == 0
    depositor = at_hand(embassy, embassy.depositor_identity.certificate)
    stranger = at_hand(embassy, b"nobody")
    shard = lodged_shards(embassy)[0]
    data = (embassy.mission_folder(1) / shard_key(shard)).read_bytes()
    try:
        # The record of what happened is anybody's; a shard is nobody's without a warrant.
        status = loop.run(depositor.status())
        assert [record.state for record in status.records] == [State.LODGED]
        with pytest.raises(VaultRefused) as refused:
            loop.run(depositor.get_shard(shard))
        assert refused.value.cause == "identity"
        buffers = ShardBuffers(memoryview(bytearray(128)), memoryview(bytearray(len(data) - 128)))
        with pytest.raises(VaultRefused) as refused:
            loop.run(depositor.read_unchecked(shard, buffers))
        assert refused.value.cause == "identity"
        assert not any(buffers.prefix)
        assert not any(buffers.body)
        assert not loop.run(depositor.put_shard(shard, [data]))
        other = ShardRoot(os.urandom(32))
        with pytest.raises(VaultRefused) as refused:
            loop.run(depositor.put_shard(other, [data[:100], data[100:]]))
        assert refused.value.cause == "hash-mismatch"
        with pytest.raises(VaultRefused) as refused:
            loop.run(depositor.put_shard(other, [bytes(2**27)]))
        assert refused.value.cause == "too-large"
        with pytest.raises(VaultUnreachable, match="another process has this vault open"):
            loop.run(stranger.status())
        loop.run(depositor.close())
        with pytest.raises(VaultRefused) as refused:
            loop.run(stranger.put_shard(other, [data]))
        assert refused.value.cause == "identity"
    finally:
        loop.run(depositor.close())
        loop.run(stranger.close())
    assert lodged_shards(embassy).count(other) == 0


def test_its_log_is_checked_like_any_other(embassy: Embassy, loop: LoopThread) -> None:
    config = str(write_config(embassy, embassy.vault_folder(1)))
    assert run("deposit", "--config", config).returncode == 0
    vault = at_hand(embassy, b"")
    line = embassy.line(1)
    try:
        state = loop.run(vault.status())
        record = loop.run(vault.statement(state.records[0].statement))
        assert record.state is State.LODGED
        envelope = (embassy.home / "state" / "catalogue" / "00000001" / "record.json").read_bytes()
        digest = hashlib.sha256(envelope).digest()
        receipt = loop.run(vault.receipt("lodged", digest))
        assert verify_receipt(parse_receipt(receipt.encode()), line.log_verifier).hash == digest
        assert loop.run(vault.body(digest)) == envelope
        assert loop.run(vault.cosigned()).startswith(loop.run(vault.checkpoint())[:20])
        assert loop.run(vault.tile("tile/0/000.p/1"))
        with pytest.raises(VaultRefused):
            loop.run(vault.tile("tile/0/001"))
    finally:
        loop.run(vault.close())


def test_a_folder_put_back_to_an_older_state_is_found_out(embassy: Embassy, tmp_path: Path) -> None:
    """The journal knows what the folder acknowledged: nothing is referred to that is gone."""
    folder = embassy.vault_folder(1)
    config = str(write_config(embassy, folder))
    shutil.copytree(folder, tmp_path / "older")
    assert run("deposit", "--config", config).returncode == 0
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "older", folder)
    done = run("deposit", "--config", config)
    assert done.returncode == 5
    assert "it is lodged: 1, got 0 (seat 1: record is pending there)" in done.stderr
