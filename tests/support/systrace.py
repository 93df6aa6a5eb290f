"""Traces what a process writes to disk, kills it at a chosen call, remembers what was synced.

A small tracer in ctypes (Linux, x86_64 and aarch64), for tests of interruption: nothing but the
kernel is needed. It runs as a process of its own, so that waiting for the tracee touches no other
child of the test:

    run = trace([sys.executable, "-m", "..."], watch=folder, out=work)           # until it ends
    run = trace([...], watch=folder, out=work, kill=Kill(Point("fsync", "tmp/*", 2), "before"))
    run.wait(); run.events; run.killed

An event is one call that changes the watched folder, as it ended; an fsync is two, since what is
written while it runs need not be covered. `run.count` is the number of events so far, readable
while the tracee runs: what somebody was told before a count was read had been done by then.

Rules: calls are trapped by a seccomp filter, so that all others run at full speed; a call that
could change the folder and is not understood is an error, never left out; a killed process gets
SIGKILL as a whole, before the call is executed or after it.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import pickle
import platform
import re
import signal
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "Event",
    "Kill",
    "Point",
    "Traced",
    "TracingRefused",
    "Warm",
    "path_class",
    "trace",
]

_REFUSED = 97
_CONFUSED = 98
_SECONDS = 120

_TABLES = {
    "x86_64": """write 1 open 2 pwrite64 18 writev 20 sendfile 40 fsync 74 fdatasync 75 truncate 76
        ftruncate 77 rename 82 mkdir 83 rmdir 84 creat 85 link 86 unlink 87 symlink 88 openat 257
        mkdirat 258 unlinkat 263 renameat 264 linkat 265 symlinkat 266 fallocate 285 pwritev 296
        renameat2 316 copy_file_range 326 pwritev2 328 openat2 437""",
    "aarch64": """mkdirat 34 unlinkat 35 symlinkat 36 linkat 37 renameat 38 truncate 45 ftruncate 46
        fallocate 47 openat 56 write 64 writev 66 pwrite64 68 pwritev 70 sendfile 71 fsync 82
        fdatasync 83 renameat2 276 copy_file_range 285 pwritev2 287 openat2 437""",
}
"""System call numbers from the kernel's own tables (unistd.h of each architecture)."""


def _numbers() -> dict[str, int]:
    words = _TABLES[platform.machine()].split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


class TracingRefused(Exception):
    """The kernel does not let this process trace its own child."""


@dataclass(frozen=True, slots=True)
class Event:
    """A call that ended well. `path` and `other` are relative to the watched folder."""

    call: str
    path: str
    other: str = ""  # what a link or rename gives the name to
    offset: int = 0
    data: bytes = b""
    thread: int = 0
    ended: bool = True  # False: an fsync that begins


@dataclass(frozen=True, slots=True)
class Point:
    """A place to be killed at: the n-th call of that name on files of that class."""

    call: str
    kind: str  # see `path_class`
    number: int

    @property
    def as_list(self) -> list[str | int]:
        """For JSON."""
        return [self.call, self.kind, self.number]


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill at a point, `before` or `after` the call."""

    point: Point
    when: str


_VARIABLE = re.compile(
    r"^(\.tmp-)?[0-9a-f]{16,}$|^[0-9a-f]{2}$|^[0-9]+$|^x?[0-9]{3}(\.p)?$|^run-.*$"
)


def path_class(path: str) -> str:
    """A path with all that differs from run to run left out."""
    return "/".join("*" if _VARIABLE.match(part) else part for part in path.split("/")) or "."


@dataclass(kw_only=True)
class Traced:
    """A traced process; `stdout` is the tracee's."""

    stdout: BinaryIO
    out: Path
    _ended: Callable[[], int] = field(repr=False)
    _counter: mmap.mmap = field(repr=False)

    @property
    def count(self) -> int:
        """Events so far."""
        return int(struct.unpack_from("<Q", self._counter)[0])

    def wait(self) -> None:
        """Wait until tracee and tracer have ended."""
        self.stdout.close()
        code = self._ended()
        if code == _REFUSED:
            raise TracingRefused(
                "ptrace: this process may not trace its child "
                "(container without SYS_PTRACE, or kernel.yama.ptrace_scope of 3)"
            )
        if code:
            log = (self.out / "tracer.log").read_text()
            raise AssertionError(f"tracer: exit code {code}: {log}")

    def stop(self) -> None:
        """End the tracee in order (SIGTERM) and wait."""
        os.kill(int((self.out / "pid").read_text()), signal.SIGTERM)
        self.wait()

    @property
    def killed(self) -> bool:
        """Whether the point was reached and the process killed there."""
        return bool(self._end["killed"])

    @property
    def exit_code(self) -> int:
        """The tracee's, negative for a signal."""
        return int(self._end["exit"])

    @property
    def _end(self) -> dict[str, int]:
        value: dict[str, int] = json.loads((self.out / "end.json").read_text())
        return value

    @property
    def events(self) -> list[Event]:
        """All events in the order of their ends."""
        found: list[Event] = []
        with (self.out / "events").open("rb") as stream:
            while True:
                try:
                    # Under whatever name the tracer ran: the class is this module's.
                    found.append(Event(*pickle.load(stream)))
                except EOFError:
                    return found

    @property
    def opened(self) -> list[str]:
        """Every path that was opened, or tried to be, in order; absolute."""
        with (self.out / "opened").open("rb") as stream:
            return [json.loads(line) for line in stream]

    @property
    def points(self) -> list[Point]:
        """Every place where it could have been killed, in order."""
        with (self.out / "points").open("rb") as stream:
            return [Point(*json.loads(line)) for line in stream]


def trace(
    command: Sequence[str],
    *,
    watch: Path,
    out: Path,
    kill: Kill | None = None,
    environment: Mapping[str, str] | None = None,
    opened: bool = False,
) -> Traced:
    """Start `command` traced; `out` is a new folder for what the tracer writes.

    With `opened` every path that it opens is kept, wherever it lies.
    """
    order = _order(command, watch, out, kill) | {"opened": opened}
    with (out / "tracer.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, json.dumps(order)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=None if environment is None else dict(environment),
        )
    assert process.stdout is not None
    return Traced(
        stdout=process.stdout,
        out=out,
        _ended=lambda: process.wait(_SECONDS),
        _counter=_counter(out),
    )


class Warm:
    """A process that has imported a script; traced runs of its `main` are forks of it.

    Saves the second that imports take. Runs come one after the other.
    """

    def __init__(self, script: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--warm", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
        )

    def trace(
        self, arguments: Sequence[str], *, watch: Path, out: Path, kill: Kill | None = None
    ) -> Traced:
        """As `trace`, for `main(arguments)` of the script."""
        assert self._process.stdin is not None
        order = _order(arguments, watch, out, kill)
        os.mkfifo(out / "stdout")
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        return Traced(
            stdout=(out / "stdout").open("rb"), out=out, _ended=self._ended, _counter=_counter(out)
        )

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=_SECONDS)

    def _ended(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return int(line) if line else _CONFUSED


def _order(command: Sequence[str], watch: Path, out: Path, kill: Kill | None) -> dict[str, object]:
    out.mkdir(parents=True)
    (out / "counter").write_bytes(bytes(8))
    return {
        "command": list(command),
        "watch": str(watch.resolve()),
        "out": str(out),
        "kill": None if kill is None else [*kill.point.as_list, kill.when],
        "opened": False,
    }


def _counter(out: Path) -> mmap.mmap:
    with (out / "counter").open("r+b") as stream:
        return mmap.mmap(stream.fileno(), 8)


# The tracer itself

_TRACEME, _CONT, _SYSCALL, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 7, 24, 0x4200, 0x420E
# TRACESYSGOOD, fork, vfork, clone, exec, seccomp, EXITKILL
_OPTIONS = 1 | 2 | 4 | 8 | 16 | 128 | 0x100000
_EVENT_SECCOMP, _SYSCALL_STOP, _WALL = 7, signal.SIGTRAP | 0x80, 0x40000000
_CREATE = os.O_CREAT | os.O_TRUNC
_AT_FDCWD = -100
_AT_REMOVEDIR = 0x200


class _Confused(Exception):
    """A call that the tracer does not understand touches the watched folder."""


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return libc


def _install_filter(libc: ctypes.CDLL, numbers: Mapping[str, int], *, opens_too: bool) -> None:
    """Trap the calls in `numbers`; of opens only those that create or cut, unless `opens_too`."""
    load, equal, any_bit, leave = 0x20, 0x15, 0x45, 0x06
    allow, trap = 0x7FFF0000, 0x7FF00000
    code: list[tuple[int, int, int, int]] = [(load, 0, 0, 0)]
    opens = {} if opens_too else {"open": 1, "openat": 2}
    for name, argument in opens.items():
        if name in numbers:
            code += [
                (equal, 0, 4, numbers[name]),
                (load, 0, 0, 16 + 8 * argument),
                (any_bit, 0, 1, _CREATE),
                (leave, 0, 0, trap),
                (leave, 0, 0, allow),
            ]
    for name, number in numbers.items():
        if name not in opens:
            code += [(equal, 0, 1, number), (leave, 0, 0, trap)]
    code.append((leave, 0, 0, allow))
    program = b"".join(struct.pack("=HBBI", *step) for step in code)
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(code), ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(head, len(head))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(pointer))):
        raise OSError(ctypes.get_errno(), "seccomp")


@dataclass(slots=True)
class _Call:
    name: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""


class _Tracer:
    def __init__(
        self, order: dict[str, object], main: Callable[[list[str]], None] | None = None
    ) -> None:
        """`main` is called in the child with the command; without it the command is executed."""
        self.call = main
        self.command = [str(item) for item in order["command"]]  # type: ignore[attr-defined]
        self.watch = str(order["watch"])
        self.out = Path(str(order["out"]))
        wanted = order["kill"]
        self.kill = Kill(Point(*wanted[:3]), wanted[3]) if isinstance(wanted, list) else None
        self.numbers = _numbers()
        self.names = {number: name for name, number in self.numbers.items()}
        self.libc = _libc()
        self.times: dict[tuple[str, str], int] = {}
        self.entered: dict[int, tuple[_Call, bool]] = {}
        self.done = 0
        self.killed = False
        self.main = 0
        self.memory = -1
        self.events = (self.out / "events").open("wb")
        self.points = (self.out / "points").open("w")
        self.opened = (self.out / "opened").open("w") if order["opened"] else None
        with (self.out / "counter").open("r+b") as stream:
            self.counter = mmap.mmap(stream.fileno(), 8)

    def run(self) -> None:
        self.main = os.fork()
        if self.main == 0:
            self._become_tracee()
        _, status = os.waitpid(self.main, _WALL)
        if not os.WIFSTOPPED(status):
            os._exit(_REFUSED)
        self._ptrace(_SETOPTIONS, self.main, _OPTIONS)
        (self.out / "pid").write_text(str(self.main))
        self._ptrace(_CONT, self.main)
        code = self._loop()
        self.events.close()
        self.points.close()
        if self.opened is not None:
            self.opened.close()
        end = json.dumps({"exit": code, "killed": self.killed})
        (self.out / "end.json").write_text(end)

    def _become_tracee(self) -> None:
        try:
            if self.libc.ptrace(_TRACEME, 0, None, None) != 0:
                os._exit(_REFUSED)
            os.kill(os.getpid(), signal.SIGSTOP)
            _install_filter(self.libc, self.numbers, opens_too=self.opened is not None)
            if self.call is None:
                os.execvp(self.command[0], self.command)
            self.call(self.command)
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _loop(self) -> int:
        threads = {self.main}
        code = 0
        while threads:
            try:
                thread, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                break
            if not os.WIFSTOPPED(status):
                threads.discard(thread)
                self.entered.pop(thread, None)
                if thread == self.main:
                    code = os.waitstatus_to_exitcode(status)
                continue
            number, event = os.WSTOPSIG(status), status >> 16
            if event == _EVENT_SECCOMP:
                self._resume(thread, _SYSCALL if self._enter(thread) else _CONT)
            elif number == _SYSCALL_STOP:
                self._leave(thread)
                self._resume(thread, _CONT)
            elif event or number == signal.SIGTRAP:
                self._resume(thread, _CONT)
            elif thread not in threads and number == signal.SIGSTOP:
                threads.add(thread)  # a new thread begins stopped
                self._resume(thread, _CONT)
            else:
                self._resume(thread, _CONT, number)
        return code

    def _resume(self, thread: int, how: int, number: int = 0) -> None:
        self.libc.ptrace(how, thread, None, number)

    def _ptrace(self, request: int, thread: int, value: int = 0) -> None:
        if self.libc.ptrace(request, thread, None, value) == -1:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")

    def _die(self) -> None:
        self.killed = True
        os.kill(self.main, signal.SIGKILL)

    def _enter(self, thread: int) -> bool:
        if self.killed:
            return False
        info = self._info(thread)
        number, *arguments = struct.unpack_from("<Q6Q", info, 24)
        call = self._read_call(thread, self.names[number], arguments)
        if call is None:
            return False
        kind = path_class(call.other or call.path)
        key = (call.name, kind)
        self.times[key] = times = self.times.get(key, 0) + 1
        self.points.write(json.dumps([call.name, kind, times]) + "\n")
        point = Point(call.name, kind, times)
        hit = self.kill is not None and self.kill.point == point
        if hit and self.kill is not None and self.kill.when == "before":
            self._die()
            return False
        if call.name in ("fsync", "fdatasync"):
            self._emit(Event(call.name, call.path, thread=thread, ended=False))
        self.entered[thread] = (call, hit)
        return True

    def _leave(self, thread: int) -> None:
        entered = self.entered.pop(thread, None)
        if entered is None or self.killed:
            return
        call, hit = entered
        result, failed = struct.unpack_from("<qB", self._info(thread), 24)
        if not failed:
            data = call.data
            if call.name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
                data = data[:result]
            self._emit(Event(call.name, call.path, call.other, call.offset, data, thread))
        if hit:
            self._die()

    def _emit(self, event: Event) -> None:
        fields = (event.call, event.path, event.other, event.offset, event.data)
        pickle.dump((*fields, event.thread, event.ended), self.events)
        self.done += 1
        struct.pack_into("<Q", self.counter, 0, self.done)

    def _info(self, thread: int) -> bytes:
        buffer = ctypes.create_string_buffer(88)
        got = self.libc.ptrace(
            _GET_SYSCALL_INFO, thread, 88, ctypes.cast(buffer, ctypes.c_void_p).value
        )
        if got <= 0:
            raise OSError(ctypes.get_errno(), "ptrace: PTRACE_GET_SYSCALL_INFO (Linux 5.3)")
        return buffer.raw

    # Reading calls

    def _read_call(self, thread: int, name: str, a: list[int]) -> _Call | None:
        if name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
            return self._read_write(thread, name, a)
        if name in ("fsync", "fdatasync"):
            path = self._inside(self._fd(thread, a[0]))
            return None if path is None else _Call(name, path)
        if name == "ftruncate":
            path = self._inside(self._fd(thread, a[0]))
            return None if path is None else _Call(name, path, offset=a[1])
        if name in ("open", "openat", "creat"):
            at, text, flags = (_AT_FDCWD, a[0], a[1]) if name == "open" else (a[0], a[1], a[2])
            if name == "creat":
                at, text, flags = _AT_FDCWD, a[0], _CREATE
            whole = self._path(thread, at, text)
            if self.opened is not None:
                self.opened.write(json.dumps(whole) + "\n")
                if not flags & _CREATE:
                    return None
            path = self._inside(whole)
            cut = 1 if flags & os.O_TRUNC else 0
            return None if path is None else _Call("open", path, offset=cut)
        if name in ("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat"):
            return self._read_name(thread, name, a)
        if name in ("rename", "renameat", "renameat2", "link", "linkat"):
            return self._read_names(thread, name, a)
        return self._refuse(thread, name, a)

    def _read_write(self, thread: int, name: str, a: list[int]) -> _Call | None:
        path = self._inside(self._fd(thread, a[0]))
        if path is None:
            return None
        if name in ("write", "pwrite64"):
            data = self._bytes(a[1], a[2])
        else:
            table = self._bytes(a[1], 16 * a[2])
            data = b"".join(self._bytes(*pair) for pair in struct.iter_unpack("<QQ", table))
        if name.startswith("pwrite"):
            return _Call(name, path, offset=a[3], data=data)
        facts = Path(f"/proc/{thread}/fdinfo/{a[0]}").read_text().split()
        offset, flags = int(facts[1]), int(facts[3], 8)
        if flags & os.O_APPEND:
            offset = Path(f"/proc/{thread}/fd/{a[0]}").stat().st_size
        return _Call(name, path, offset=offset, data=data)

    def _read_name(self, thread: int, name: str, a: list[int]) -> _Call | None:
        at, text = (a[0], a[1]) if name.endswith("at") else (_AT_FDCWD, a[0])
        path = self._inside(self._path(thread, at, text))
        if name == "unlinkat" and a[2] & _AT_REMOVEDIR:
            name = "rmdir"
        return None if path is None else _Call(name.removesuffix("at"), path)

    def _read_names(self, thread: int, name: str, a: list[int]) -> _Call | None:
        if "at" in name:
            old, new = self._path(thread, a[0], a[1]), self._path(thread, a[2], a[3])
        else:
            old, new = self._path(thread, _AT_FDCWD, a[0]), self._path(thread, _AT_FDCWD, a[1])
        path, other = self._inside(old), self._inside(new)
        if path is None and other is None:
            return None
        if path is None or other is None:
            raise _Confused(f"{name}: {old} to {new} crosses the border of the watched folder")
        return _Call("rename" if name.startswith("rename") else "link", path, other)

    def _refuse(self, thread: int, name: str, a: list[int]) -> None:
        descriptor = {"sendfile": 0, "fallocate": 0, "copy_file_range": 2}.get(name)
        if descriptor is not None:
            path = self._fd(thread, a[descriptor])
        elif name in ("truncate", "symlink"):
            path = self._path(thread, _AT_FDCWD, a[name == "symlink"])
        elif name == "symlinkat":
            path = self._path(thread, a[1], a[2])
        else:  # openat2
            path = self._path(thread, a[0], a[1])
        if self._inside(path) is not None:
            raise _Confused(f"{name}: not understood, on {path}")

    def _fd(self, thread: int, descriptor: int) -> str:
        try:
            return str(Path(f"/proc/{thread}/fd/{_signed(descriptor)}").readlink())
        except OSError:
            return ""  # a descriptor that is not open: the call will fail

    def _path(self, thread: int, at: int, text: int) -> str:
        path = os.fsdecode(self._string(text))
        if not path.startswith("/"):
            place = "cwd" if _signed(at) == _AT_FDCWD else f"fd/{_signed(at)}"
            path = f"{Path(f'/proc/{thread}/{place}').readlink()}/{path}"
        folder, name = os.path.split(os.path.normpath(path))
        return f"{os.path.realpath(folder)}/{name}"

    def _inside(self, path: str) -> str | None:
        if path == self.watch:
            return "."
        if not path.startswith(self.watch + "/"):
            return None
        return None if path.endswith(" (deleted)") else path[len(self.watch) + 1 :]

    def _bytes(self, address: int, length: int) -> bytes:
        if self.memory < 0:
            self.memory = os.open(f"/proc/{self.main}/mem", os.O_RDONLY)
        return os.pread(self.memory, length, address) if length else b""

    def _string(self, address: int) -> bytes:
        found = b""
        while b"\0" not in found:
            # Never past the end of a page, which may be the last one.
            step = 4096 - (address + len(found)) % 4096
            found += self._bytes(address + len(found), min(step, 256))
        return found[: found.index(b"\0")]


def _signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - 2**32 if value >= 2**31 else value


def _trace_one(order: dict[str, object], main: Callable[[list[str]], None] | None = None) -> int:
    try:
        _Tracer(order, main).run()
    except _Confused as confused:
        print(confused, file=sys.stderr)
        return _CONFUSED
    return 0


def _stay_warm(script: str) -> None:
    import runpy

    main = runpy.run_path(script, run_name="warm")["main"]
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            out = Path(order["out"])
            os.dup2(os.open(out / "stdout", os.O_WRONLY), 1)
            os.dup2(os.open(out / "tracer.log", os.O_WRONLY | os.O_CREAT, 0o600), 2)
            os._exit(_trace_one(order, main))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--warm":
        _stay_warm(sys.argv[2])
    else:
        sys.exit(_trace_one(json.loads(sys.argv[1])))
