"""Proofs of deposits: what they find, and what becomes of a proving process that goes wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exclave.deposit.kept import Kept, KeptChunk
from exclave.proof.values import ProofFindings, Verdict
from exclave.proof.wire import Kind
from exclave.quarantine.folder import hold_alone
from tests.support.embassy import Embassy, found_embassy
from tests.support.proving import KeptDeposit, broken, kept_deposit

LEFT_IN_QUARANTINE = {"quarantine.lock"}


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    with found_embassy(tmp_path_factory.mktemp("embassy")) as made:
        made.write_registers(mib=0.2)
        made.deposit()
        added = made.home / "registers" / "scans" / "added.bin"
        added.write_bytes(os.urandom(100_000))  # so that some chunks are new and some are old
        yield made


@pytest.fixture(scope="module")
def kept(embassy: Embassy) -> Iterator[KeptDeposit]:
    with kept_deposit(embassy) as held:
        yield held


@pytest.fixture(autouse=True)
def nothing_is_left(embassy: Embassy) -> Iterator[None]:
    """Whatever a test did: the quarantine is clear afterwards."""
    yield
    quarantine = embassy.home / "state" / "quarantine"
    assert {item.name for item in quarantine.iterdir()} <= LEFT_IN_QUARANTINE


def _not_passed(found: ProofFindings, words: str) -> None:
    assert not found.passed
    assert words in "; ".join(found.reasons)


def test_both_shares_are_stated(embassy: Embassy, kept: KeptDeposit) -> None:
    found = kept.prove(embassy.prover())
    assert found.passed, found.reasons
    assert kept.begun == ["scans", "gazette"]
    scans, gazette = found.registers
    assert (scans.verdict, gazette.verdict) == (Verdict.PROVEN, Verdict.PROVEN)
    assert scans.from_packs.bytes > 100_000
    assert scans.from_source.bytes > 100_000
    assert gazette.from_source.bytes > 10_000
    assert gazette.from_packs.bytes == 0
    assert found.packs == 2
    assert scans.files == 22
    assert gazette.rows > 400


def test_a_deposit_of_nothing_new_is_supplied_from_the_source(embassy: Embassy) -> None:
    embassy.deposit()
    outcome = embassy.deposit(prover=embassy.prover())
    assert outcome.proof is not None
    assert outcome.proof.passed, outcome.proof.reasons
    gazette = outcome.proof.registers[1]
    assert gazette.from_packs.bytes == 0
    assert gazette.from_source.bytes > 0


def test_what_the_source_no_longer_has_is_counted(
    embassy: Embassy, kept: KeptDeposit, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = Kept.has_chunk
    gone: list[tuple[int, int]] = []

    def has_not(self: Kept, pack: int, offset: int) -> bool:
        if not gone:
            gone.append((pack, offset))
        return (pack, offset) != gone[0] and has(self, pack, offset)

    monkeypatch.setattr(Kept, "has_chunk", has_not)
    found = kept.prove(embassy.prover())
    _not_passed(found, "1 chunks of older packs")
    verdicts = {item.id: item.verdict for item in found.registers}
    assert verdicts == {"scans": Verdict.FAILED, "gazette": Verdict.PROVEN}
    assert found.registers[0].lacking.chunks == 1


def test_what_the_source_gives_must_be_what_its_id_says(
    embassy: Embassy, kept: KeptDeposit, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = Kept.chunk

    def other(self: Kept, pack: int, offset: int) -> KeptChunk | None:
        found = chunk(self, pack, offset)
        assert found is not None
        return KeptChunk(found.id, bytes([found.plain[0] ^ 1]) + found.plain[1:])

    monkeypatch.setattr(Kept, "chunk", other)
    _not_passed(kept.prove(embassy.prover()), "not what its id says")


def test_a_register_without_a_place_is_decoded_and_never_passes(
    embassy: Embassy, kept: KeptDeposit
) -> None:
    program = broken("prover.has_places = lambda *_: False")
    found = kept.prove(embassy.prover(program=program))
    _not_passed(found, "not restored")
    assert {item.verdict for item in found.registers} == {Verdict.DECODED}


@pytest.mark.parametrize("point", [1, 4, 7])
def test_a_process_that_dies_is_a_failed_proof(
    embassy: Embassy, kept: KeptDeposit, point: int
) -> None:
    """Points: between its questions, and after the first register."""
    program = broken(
        f"send, left = wire.Channel._send, [{point}]\n"
        "def dying(self, kind, parts):\n"
        "    if not left[0]: os.kill(os.getpid(), 9)\n"
        "    left[0] -= 1\n"
        "    send(self, kind, parts)\n"
        "wire.Channel._send = dying"
    )
    _not_passed(kept.prove(embassy.prover(program=program)), "before it had a result")


def test_a_process_that_cannot_start_is_a_failed_proof(embassy: Embassy, kept: KeptDeposit) -> None:
    program = (str(embassy.folder / "absent"),)
    _not_passed(kept.prove(embassy.prover(program=program)), "cannot be used")


@pytest.mark.parametrize(
    "program",
    [
        (sys.executable, "-I", "-S", "-c", "import time; time.sleep(3600)"),
        broken("sent.OlderChunks.hold = lambda *_: time.sleep(3600)"),
    ],
    ids=["at once", "in the middle"],
)
def test_a_process_that_hangs_is_ended(
    embassy: Embassy, kept: KeptDeposit, program: tuple[str, ...]
) -> None:
    found = kept.prove(embassy.prover(program=program, timeout=2))
    _not_passed(found, "expected an end within")


def test_a_register_that_finds_no_room_says_so(embassy: Embassy, kept: KeptDeposit) -> None:
    program = broken(
        "import collections, shutil\n"
        "shutil.disk_usage = lambda _: collections.namedtuple('Usage', 'free')(100)"
    )
    _not_passed(kept.prove(embassy.prover(program=program)), "KiB free, got 100 B")


def test_a_disk_that_fills_up_says_so(embassy: Embassy, kept: KeptDeposit) -> None:
    program = broken(
        "from exclave.source.files.restore import FilesTarget\n"
        "def full(*_, **__): raise OSError(28, 'No space left on device')\n"
        "FilesTarget.restore = full"
    )
    found = kept.prove(embassy.prover(program=program))
    _not_passed(found, "register scans: quarantine: expected room")
    assert found.registers[1].verdict is Verdict.PROVEN, "the other register goes its own way"


def test_an_unexpected_error_is_told_by_its_name_alone(embassy: Embassy, kept: KeptDeposit) -> None:
    program = broken(
        "def fail(*_, **__): raise ValueError('a row of a register')\nprover.read_manifest = fail"
    )
    found = kept.prove(embassy.prover(program=program))
    assert found.problem == "unexpected ValueError in the proving process"


def _telling(data: bytes) -> tuple[str, ...]:
    """A program that says this much and waits: it needs nothing of ours, so it starts quickly."""
    text = f"import os; os.write(1, {data!r}); os.read(0, 1 << 20); os.read(0, 1)"
    return (sys.executable, "-I", "-S", "-c", text)


def _frame(kind: Kind, payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + bytes([kind]) + payload


@pytest.mark.parametrize(
    "said",
    [
        _frame(Kind.TASK, b"x"),
        _frame(Kind.REGISTER, b"not JSON"),
        _frame(Kind.REGISTER, b"{}"),
        _frame(Kind.ENDED, b"[]"),
        _frame(Kind.ENDED, b"{}"),
        _frame(Kind.HOLDS, b"123"),
        b"\xff" * 5,
    ],
)
def test_what_is_no_frame_is_a_failed_proof(
    embassy: Embassy, kept: KeptDeposit, said: bytes
) -> None:
    found = kept.prove(embassy.prover(program=_telling(said)))
    assert found.problem is not None
    assert "expected" in found.problem


def test_a_process_that_looks_at_nothing_passes_nothing(
    embassy: Embassy, kept: KeptDeposit
) -> None:
    ended = b'{"packs":1,"pack_bytes":1,"faults":[],"problem":null}'
    found = kept.prove(embassy.prover(program=_telling(_frame(Kind.ENDED, ended))))
    _not_passed(found, "registers scans, gazette: not looked at")


def test_no_room_for_what_is_kept_stops_no_deposit(embassy: Embassy) -> None:
    outcome = embassy.deposit(prover=embassy.prover(limit=1000))
    assert outcome.lodged == (1, 2, 3)
    assert outcome.proof is not None
    _not_passed(outcome.proof, "expected to keep at most 1000 bytes")


def test_what_a_killed_run_left_goes_with_the_next(embassy: Embassy, kept: KeptDeposit) -> None:
    quarantine = embassy.home / "state" / "quarantine"
    left = quarantine / "quarantine-0123456789abcdef" / "registers"
    left.mkdir(parents=True)
    (left / "rows").write_text("in the clear")
    (left.parent / "lock").touch()
    assert kept.prove(embassy.prover()).passed
    assert not left.exists()


def test_two_proofs_do_not_share_a_quarantine(embassy: Embassy, kept: KeptDeposit) -> None:
    with hold_alone(embassy.home / "state" / "quarantine"):
        found = kept.prove(embassy.prover())
    _not_passed(found, "another proof is at work there")


def test_a_quarantine_that_others_can_enter_is_refused(
    embassy: Embassy, kept: KeptDeposit, tmp_path: Path
) -> None:
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o755)
    found = kept.prove(embassy.prover(quarantine=place))
    _not_passed(found, "only its owner can enter")
    assert list(place.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_failed_proof(
    embassy: Embassy, kept: KeptDeposit, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    found = kept.prove(embassy.prover(quarantine=tmp_path / "file" / "below"))
    assert not found.passed


def test_the_verdict_wants_every_register_that_was_captured() -> None:
    none = ProofFindings(started="", ended="", expected=())
    assert not none.passed
    assert not replace(none, expected=("a",)).passed
