"""Files that outlive a power cut: the one module that knows the order of system calls.

A new file (`DurableFile`, `write_new_file`)
    1. mkdir of missing folders, fsync of each one's parent   `make_folders`
    2. open(tmp, O_CREAT | O_EXCL)
    3. write until all is written
    4. fchmod, fsync(tmp)          bytes and mode are on the medium before the name is
    5. link(tmp, final)            fails, never overwrites, when final is there
    6. unlink(tmp)
    7. fsync(folder of final)      the name is on the medium
What is written for a removable disk, as `write_new_file` and `DurableFile.name` do, is renamed in
place of 5 and 6 where the file system has no links (FAT, exFAT): nothing of that name is there just
before, and a name that somebody makes in between is lost. What a vault stores is only ever linked.
A replaced file (`replace_file`): 1 to 4, rename(tmp, final), fsync(folder of final).

A failed fsync is never repeated on the same file: the kernel may have dropped the pages and
report success the second time. The temporary file is thrown away and the caller starts again.
Two places unlink: `DurableFile.discard` a temporary file, and `remove_file` a shard that is swept
(unlink, fsync of its folder).

Remaining gap: fsync is believed. A disk whose cache lies, or a file system mounted so that
fsync does nothing, loses what was promised; nothing here can see it. After a failed step 7 the
file may or may not survive: the error says so, and repeating the write settles it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from exclave.errors import IntegrityError, StorageError

__all__ = [
    "DurableFile",
    "NameTaken",
    "NoSpace",
    "StorageFailed",
    "make_folders",
    "make_path",
    "remove_file",
    "replace_file",
    "settle_file",
    "storage_errors",
    "sync_folder",
    "write_new_file",
]

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NoSpace(StorageError):
    """The disk or its quota is full; what was to be written is not there."""


class StorageFailed(StorageError):
    """A read or write failed. After a failed write the file may be there or not: try again."""


class NameTaken(IntegrityError):
    """A file to be written is there already; it was not changed."""


@contextlib.contextmanager
def storage_errors(subject: str) -> Iterator[None]:
    """Turn an `OSError` into `NoSpace` or `StorageFailed`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(
                f"{subject}: no space left", hint="free or add space, then try again"
            ) from error
        raise StorageFailed(f"{subject}: {error.strerror or 'failed'}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(root: Path, folder: Path, known: set[Path] | None = None) -> None:
    """Make `folder` and what is missing between it and the existing `root`, durably.

    A folder that is there may be another thread's, not yet synced: so each level's parent is
    synced, except for those in `known`, to which the levels are added.
    """
    known = set() if known is None else known
    if folder in known or folder == root:
        return
    make_folders(root, folder.parent, known)
    with storage_errors(f"folder {folder.name}"):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        sync_folder(folder.parent)
    known.add(folder)


def make_path(folder: Path, *, mode: int = 0o700) -> None:
    """Make `folder` and its missing parents, durably; again is no error. Raises `OSError`.

    A folder that is there may have been made by a run that a power cut is about to undo: so its
    name is synced every time, unless its parent is not ours to read.
    """
    if not folder.parent.exists():
        make_path(folder.parent, mode=mode)
    there = folder.is_dir()
    folder.mkdir(mode=mode, exist_ok=True)
    try:
        sync_folder(folder.parent)
    except PermissionError:
        if not there:
            raise


class DurableFile:
    """A temporary file that becomes a durable one under its final name, or nothing."""

    __slots__ = ("_descriptor", "_subject", "_temporary", "_there")

    def __init__(self, tmp_folder: Path, subject: str) -> None:
        self._subject = subject
        self._temporary = tmp_folder / f".tmp-{secrets.token_hex(16)}"
        with storage_errors(subject):
            self._descriptor: int | None = os.open(self._temporary, _NEW, 0o600)
        self._there = True

    @property
    def temporary(self) -> Path:
        """Where the bytes are until the file has its name."""
        return self._temporary

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`."""
        descriptor = self._open()
        rest = memoryview(data).cast("B")
        with storage_errors(self._subject):
            while rest:
                rest = rest[os.write(descriptor, rest) :]

    def sync(self, mode: int) -> None:
        """Put bytes and mode on the medium and close; the name comes after."""
        descriptor = self._open()
        with storage_errors(self._subject):
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            self._descriptor = None
            os.close(descriptor)

    def link(self, final: Path) -> None:
        """Give the synced file its name; `FileExistsError` when the name is taken."""
        os.link(self._temporary, final, follow_symlinks=False)
        self.discard()
        sync_folder(final.parent)

    def name(self, final: Path) -> None:
        """`link`, also where the file system has no links; for whatever no vault stores."""
        try:
            self.link(final)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(final):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final) from error
            self.rename(final)

    def rename(self, final: Path) -> None:
        """Give the synced file its name, in place of what had it."""
        self._temporary.replace(final)
        self._there = False
        sync_folder(final.parent)

    def discard(self) -> None:
        """Close and remove the temporary file, if it is there."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)
        # A leftover costs room only, and tmp/ may be emptied while the server is down.
        if self._there:
            self._there = False
            with contextlib.suppress(OSError):
                self._temporary.unlink()

    def _open(self) -> int:
        if self._descriptor is None:
            raise StorageFailed(f"{self._subject}: closed already")
        return self._descriptor


def write_new_file(
    final: Path,
    parts: Iterable[bytes | memoryview],
    *,
    mode: int = 0o444,
    tmp_folder: Path | None = None,
) -> None:
    """Write a file that is not there yet into an existing folder, durable on return.

    `tmp_folder` (default: the file's own) is on the same file system. Raises `NameTaken`.
    """
    file = DurableFile(tmp_folder or final.parent, final.name)
    try:
        for part in parts:
            file.write(part)
        file.sync(mode)
        with storage_errors(final.name):
            try:
                file.name(final)
            except FileExistsError as error:
                raise NameTaken(f"{final.name}: there already") from error
    finally:
        file.discard()


def replace_file(
    final: Path,
    parts: Iterable[bytes | memoryview],
    *,
    mode: int = 0o644,
    tmp_folder: Path | None = None,
) -> None:
    """Put `parts` under a name in an existing folder, in place of what had it; durable on return.

    After an error the file holds the old bytes or the new ones, whole in either case.
    """
    file = DurableFile(tmp_folder or final.parent, final.name)
    try:
        for part in parts:
            file.write(part)
        file.sync(mode)
        with storage_errors(final.name):
            file.rename(final)
    finally:
        file.discard()


def remove_file(final: Path) -> bool:
    """Unlink a file, durably; False when there was none. The only unlink of what has its name."""
    with storage_errors(final.name):
        try:
            final.unlink()
        except FileNotFoundError:
            # An earlier call may have failed at its last step.
            with contextlib.suppress(FileNotFoundError):
                sync_folder(final.parent)
            return False
        sync_folder(final.parent)
        return True


def settle_file(final: Path) -> None:
    """Make durable a file that is there: an earlier write may have failed at its last step."""
    with storage_errors(final.name):
        descriptor = os.open(final, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(final.parent)
