"""Reading back: what is proven while restoring is read no more, and nothing else is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exclave.archive.manifest import Register
from exclave.source.files import compare, looking, proof, writing
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.files.restore import FilesTarget
from exclave.source.files.proof import Probed
from tests.support.memory_archive import MemoryArchive
from tests.support.registers import register_of, silent

BIG = 2**19


@pytest.fixture
def archive(tmp_path: Path) -> MemoryArchive:
    return MemoryArchive(tmp_path)


@pytest.fixture
def register(tmp_path: Path, archive: MemoryArchive) -> Register:
    """Small files, one of many pieces, an empty one, a sparse one, and one with two names."""
    root = tmp_path / "deeds"
    (root / "maps").mkdir(parents=True)
    for number in range(20):
        (root / "maps" / f"{number:02}").write_bytes(os.urandom(100 + number))
    (root / "big").write_bytes(os.urandom(BIG))
    (root / "empty").touch()
    with (root / "sparse").open("wb") as stream:
        stream.truncate(BIG)
    (root / "z-first").hardlink_to(root / "maps" / "00")
    return register_of(FilesSource(FilesConfig(folder=root)).capture(archive, silent), "files")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that the comparison itself reads."""
    sizes: list[int] = []

    def counted(descriptor: int, expected: int) -> tuple[int, bytes]:
        sizes.append(expected)
        return looking.hash_file(descriptor, expected)

    monkeypatch.setattr(compare, "hash_file", counted)
    return sizes


def test_what_was_read_back_is_read_no_more(
    tmp_path: Path, register: Register, archive: MemoryArchive, read: list[int]
) -> None:
    target = FilesTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    compared = target.compare(register, archive, silent)
    assert (compared.differences, compared.files) == ((), 23)
    assert read == []
    assert FilesTarget(tmp_path / "out").compare(register, archive, silent).differences == ()
    assert len(read) == 23  # another program knows nothing of it


def test_what_was_changed_since_is_read_again(
    tmp_path: Path, register: Register, archive: MemoryArchive, read: list[int]
) -> None:
    target = FilesTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    file = tmp_path / "out" / "big"
    facts = file.stat()
    with file.open("r+b") as stream:
        stream.seek(BIG // 2)
        stream.write(b"another register")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (found,) = target.compare(register, archive, silent).differences
    assert (found.subject, found.what) == ("big", "content differs")
    assert BIG in read


def test_what_was_written_wrong_is_found(
    tmp_path: Path, register: Register, archive: MemoryArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, spoilt = os.pwritev, iter([False, True])

    def pwritev(descriptor: int, data: list[memoryview], offset: int) -> int:
        if next(spoilt, False):
            data = [memoryview(bytes(len(piece))) for piece in data]
        return write(descriptor, data, offset)

    monkeypatch.setattr("exclave.source.files.writing.os.pwritev", pwritev)
    target = FilesTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    (found,) = target.compare(register, archive, silent).differences
    assert found.what == "content differs"


def test_without_change_times_everything_is_read(
    tmp_path: Path,
    register: Register,
    archive: MemoryArchive,
    read: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def probe(root: int) -> Probed:
        return Probed(keeps_change_times=False, owners=proof.probe(root).owners)

    monkeypatch.setattr(writing, "probe", probe)
    target = FilesTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    assert target.compare(register, archive, silent).differences == ()
    assert len(read) == 23


def test_a_clock_that_was_set_back_proves_nothing(
    tmp_path: Path,
    register: Register,
    archive: MemoryArchive,
    read: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def clock(which: int) -> int:
        calls.append(which)
        return 0 if len(calls) > 20 else 2**62

    monkeypatch.setattr("exclave.source.files.looking.time.clock_gettime_ns", clock)
    target = FilesTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    assert target.compare(register, archive, silent).differences == ()
    assert 0 < len(read) <= 23
    assert len(calls) < 200  # it did not wait anew for each file


def test_a_folder_says_that_it_keeps_change_times(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert proof.probe(descriptor).owners[0] in {os.geteuid(), -1}
        assert not list(tmp_path.iterdir())
    finally:
        os.close(descriptor)


def test_a_proof_is_of_one_file_at_one_moment(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"a")
    kept = proof.Proof()
    first, second = kept.add(), kept.add()
    kept.prove(first, file.stat())
    assert kept.holds(first, file.stat())
    assert not kept.holds(second, file.stat())
    assert not kept.holds(7, file.stat())
    file.rename(tmp_path / "b")
    (tmp_path / "a").write_bytes(b"a")
    assert not kept.holds(first, (tmp_path / "a").stat())
