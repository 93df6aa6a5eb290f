"""P11 in proofs: what does not decode to what was captured is never called proven.

The attacker is this software itself, or the memory that it runs in, and a clock or a disk that
works against it:
- a codec that is wrong in both directions, so that the depositing process finds nothing;
- packs that are damaged after they were opened again, and before they are sent;
- an index that has another place for a chunk, and a source that gives something else for one;
- a proving process that says less than was asked of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from exclave.archive import pack as archive
from exclave.archive.reference import Codec
from exclave.deposit import sealing, streams
from exclave.deposit.kept import Kept, KeptChunk
from exclave.plan import Assertion
from exclave.proof.values import Verdict
from exclave.values import replace
from tests.support.embassy import Embassy, found_embassy
from tests.support.proving import broken

DECODE_ONLY = broken("prover.has_places = lambda *_: False")


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    with found_embassy(tmp_path_factory.mktemp("embassy")) as made:
        made.write_registers(mib=0.1)
        made.deposit()
        yield made


@pytest.fixture(autouse=True)
def something_new(embassy: Embassy) -> None:
    (embassy.home / "registers" / "scans" / "added").write_bytes(b"%d\n" % os.getpid() * 40_000)
    (embassy.home / "registers" / "scans" / "random").write_bytes(os.urandom(30_000))


def _wrong_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed chunks lose a byte and get it back: only in this process."""
    choose, decode = archive.choose_stored, archive.decode_chunk
    lost: dict[bytes, bytes] = {}

    def choose_stored(plain: Any, compressor: Any = None) -> Any:
        turned = bytes(plain[:-1]) + bytes([plain[-1] ^ 1])
        codec, stored = choose(turned, compressor)
        if codec is Codec.RAW:  # never decoded, so there is nothing to be wrong twice
            return choose(plain, compressor)
        lost[turned] = bytes(plain)
        return codec, stored

    def decode_chunk(form: Any, stored: Any, decompressor: Any = None) -> bytes:
        decoded = bytes(decode(form, stored, decompressor))
        return lost.get(decoded, decoded)

    monkeypatch.setattr(streams, "choose_stored", choose_stored)
    monkeypatch.setattr(sealing, "decode_chunk", decode_chunk)


@pytest.mark.parametrize("program", ["whole", "decode only"])
def test_a_codec_that_is_wrong_in_both_directions(
    embassy: Embassy, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    changes = {} if program == "whole" else {"program": DECODE_ONLY}
    with monkeypatch.context() as patch:
        _wrong_in_both_directions(patch)
        outcome = embassy.deposit(prover=embassy.prover(**changes))
    assert outcome.lodged == (1, 2, 3), "the deposit stands: nothing here could have known"
    assert outcome.proof is not None
    assert not outcome.proof.passed
    assert any("decodes to other content" in fault for fault in outcome.proof.faults)


def test_a_pack_that_is_damaged_after_it_was_opened_again(
    embassy: Embassy, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = sealing.make_shards

    def make_shards(sealed: memoryview, **given: Any) -> Any:
        sealed[5_000] ^= 1
        return make(sealed, **given)

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "make_shards", make_shards)
        outcome = embassy.deposit(prover=embassy.prover())
    assert outcome.lodged == (1, 2, 3)
    assert outcome.proof is not None
    assert not outcome.proof.passed
    assert outcome.proof.reasons


def test_shards_that_are_not_what_the_record_names(
    embassy: Embassy, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = Kept.shard

    def other(self: Kept, root: Any) -> bytes | None:
        found = shard(self, root)
        assert found is not None
        return found[:-1] + bytes([found[-1] ^ 1])

    monkeypatch.setattr(Kept, "shard", other)
    outcome = embassy.deposit(prover=embassy.prover())
    assert outcome.proof is not None
    assert not outcome.proof.passed


@pytest.mark.parametrize("decode_only", [False, True])
def test_a_source_that_gives_something_else_for_an_older_chunk(
    embassy: Embassy, monkeypatch: pytest.MonkeyPatch, decode_only: bool
) -> None:
    chunk = Kept.chunk

    def other(self: Kept, pack: int, offset: int) -> KeptChunk | None:
        found = chunk(self, pack, offset)
        assert found is not None
        return KeptChunk(found.id, bytes(len(found.plain)))

    monkeypatch.setattr(Kept, "chunk", other)
    changes = {"program": DECODE_ONLY} if decode_only else {}
    outcome = embassy.deposit(prover=embassy.prover(**changes))
    assert outcome.proof is not None
    assert not outcome.proof.passed
    assert any("not what its id says" in reason for reason in outcome.proof.reasons)
    assert {item.verdict for item in outcome.proof.registers} == {Verdict.FAILED}


def test_an_index_that_has_another_place_for_a_chunk(
    embassy: Embassy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """References to wrong places are kept under the wrong places: the content shows it."""
    keep = Kept.keep_chunk
    seen: list[Any] = []

    def keep_chunk(self: Kept, reference: Any, stored: Any) -> None:
        seen.append(stored)
        keep(self, reference, seen[0])  # as if the first chunk stood everywhere

    monkeypatch.setattr(Kept, "keep_chunk", keep_chunk)
    outcome = embassy.deposit(prover=embassy.prover())
    assert len({item.id for item in seen}) > 1
    assert outcome.proof is not None
    assert not outcome.proof.passed


def test_what_was_only_decoded_is_not_proven(embassy: Embassy) -> None:
    outcome = embassy.deposit(prover=embassy.prover(program=DECODE_ONLY))
    assert outcome.proof is not None
    assert {item.verdict for item in outcome.proof.registers} == {Verdict.DECODED}
    assert not outcome.proof.passed


def test_a_register_that_was_not_looked_at_is_not_proven(embassy: Embassy) -> None:
    less = broken(
        "prove = prover.DepositProver.prove\n"
        "prover.DepositProver.prove = lambda *given: list(prove(*given))[:1]"
    )
    outcome = embassy.deposit(prover=embassy.prover(program=less))
    assert outcome.proof is not None
    assert [item.verdict for item in outcome.proof.registers] == [Verdict.PROVEN]
    assert not outcome.proof.passed


def test_assertions_that_were_left_out_are_not_proven(embassy: Embassy) -> None:
    register = embassy.registers[0]
    stated = (Assertion(name="one-file", command=("test", "-f", "added")),)
    asserting = replace(register, plan=replace(register.plan, assertions=stated))
    outcome = embassy.deposit([asserting], prover=embassy.prover())
    assert outcome.proof is not None
    assert outcome.proof.passed, outcome.proof.reasons
    [held] = outcome.proof.registers[0].assertions
    assert held.name == "one-file"
    less = broken("prover.DepositProver._asserted = lambda self, findings, *_: findings")
    outcome = embassy.deposit([asserting], prover=embassy.prover(program=less))
    assert outcome.proof is not None
    assert not outcome.proof.passed
    assert "expected 1 assertions to be run, got 0" in outcome.proof.reasons[0]


def test_control_what_is_whole_is_proven(embassy: Embassy) -> None:
    outcome = embassy.deposit(prover=embassy.prover())
    assert outcome.proof is not None
    assert outcome.proof.passed, outcome.proof.reasons
    assert outcome.proof.registers[0].from_packs.bytes > 30_000
    assert outcome.proof.registers[0].from_source.bytes > 30_000
