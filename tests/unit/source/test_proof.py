"""Reading back: what is proven while restoring is read no more, and nothing else is believed."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from exclave.archive.filetree import FileEntry
from exclave.archive.manifest import Register
from exclave.source.files import compare, looking, proof, writing
from exclave.source.files.capture import FilesConfig, FilesSource
from exclave.source.files.proof import Probed
from exclave.source.files.restore import FilesTarget
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


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The second process, which reads back from the first file on."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*words: Any, **settings: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*words, **settings))
        return started[-1]

    monkeypatch.setattr(proof, "_MANY_FILES", -1)
    monkeypatch.setattr("exclave.source.files.proof.subprocess.Popen", noted)
    return started


def test_another_process_reads_back(
    tmp_path: Path,
    register: Register,
    archive: MemoryArchive,
    read: list[int],
    beside: list[subprocess.Popen[bytes]],
) -> None:
    target = FilesTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    compared = target.compare(register, archive, silent)
    assert (compared.differences, compared.files, read) == ((), 23, [])
    assert [process.returncode for process in beside] == [0]


def test_another_process_finds_what_was_written_wrong(
    tmp_path: Path,
    register: Register,
    archive: MemoryArchive,
    monkeypatch: pytest.MonkeyPatch,
    beside: list[subprocess.Popen[bytes]],
) -> None:
    test_what_was_written_wrong_is_found(tmp_path, register, archive, monkeypatch)
    assert [process.returncode for process in beside] == [0]


def test_a_process_that_dies_has_proven_nothing(
    *,
    tmp_path: Path,
    register: Register,
    archive: MemoryArchive,
    read: list[int],
    monkeypatch: pytest.MonkeyPatch,
    beside: list[subprocess.Popen[bytes]],
) -> None:
    ask = proof.Beside.ask

    def killed(self: proof.Beside, place: int, entry: FileEntry) -> None:
        if place == 20:
            beside[0].kill()
            beside[0].wait()
        ask(self, place, entry)

    monkeypatch.setattr(proof.Beside, "ask", killed)
    target = FilesTarget(tmp_path / "out")
    target.restore(register, archive, silent)
    assert target.compare(register, archive, silent).differences == ()
    assert len(read) == 23


def test_it_answers_for_files_as_they_are_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"good")
    (tmp_path / "bad").write_bytes(b"baad")
    (tmp_path / "link").symlink_to("good")
    os.mkfifo(tmp_path / "pipe")
    digest = blake3(b"good").digest()
    asked = [b"good", b"bad", b"link", b"pipe", b"nothing", b"good/below", b"good"]
    questions = b"".join(
        looking.QUESTION.pack(place, 4, digest, len(path)) + path
        for place, path in enumerate(asked)
    )
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with (tmp_path / "answers").open("w+b") as answers:
        looking.answer_all(io.BytesIO(questions + b"cut off"), root, answers.fileno())
        facts = (tmp_path / "good").stat()
        answer = looking.ANSWER.pack(facts.st_ino, facts.st_ctime_ns)
        assert answers.read() == answer + bytes(5 * looking.ANSWER.size) + answer
    os.close(root)


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
