"""`python -m exclave` without the start: every command is a fork of a process that imported it.

    with warm_program(folder) as python:     # an executable file: what scripts call Python
        subprocess.run([python, "-m", "exclave", "--version"])

A command is a process of its own all the same, with its own arguments, folder, environment,
umask, standard streams and signals, and ends as it always does. What it does not do: import, so a
module that cannot be imported alone is not noticed; wait for the disk (as in `tests/conftest.py`);
and key files are made with the quickest key derivation that they may have. Anything but
`-m exclave` is run by the real Python.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUICK_SCRYPT = 2**15
_SECONDS = 60


@contextmanager
def warm_program(folder: Path) -> Iterator[Path]:
    """The file to run instead of Python; `folder` is made, and holds it."""
    folder.mkdir()
    door = folder / "door"
    client = [sys.executable, "-I", "-S", str(Path(__file__).with_name("warm_client.py"))]
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.join([*client, str(door), sys.executable])} "$@"\n')
    python.chmod(0o755)
    server = subprocess.Popen([sys.executable, __file__, str(door)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n", "the warm program did not start"
        yield python
    finally:
        server.terminate()
        server.communicate(timeout=_SECONDS)


# The server


def _serve(door: str) -> None:
    import_everything()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(door)
    listener.listen(16)
    gc.collect()
    gc.freeze()  # what was imported stays shared with the forks
    os.write(1, b"ready\n")
    signal.signal(
        signal.SIGCHLD, signal.SIG_IGN
    )  # nobody waits for those that look after a command
    while True:
        caller, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _look_after(caller)
        caller.close()


def import_everything() -> None:
    """All modules of the program; its quickest key derivation, and a disk that is not synced."""
    import exclave

    for module in pkgutil.walk_packages(exclave.__path__, "exclave."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from exclave.signer import file

    for function in (file.encode_key_file, file.save_key_file):
        defaults = function.__kwdefaults__
        assert defaults is not None
        assert defaults["n"] == file.DEFAULT_SCRYPT_N
        defaults["n"] = QUICK_SCRYPT
    os.fsync = os.fdatasync = lambda fd: None


def _look_after(caller: socket.socket) -> None:
    """Run the command in a fork and say how it ended; when its caller ends, it is killed."""
    data, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    while not data.endswith(b"\n"):
        data += caller.recv(1 << 20)
    command = os.fork()
    if command == 0:
        caller.close()
        _become(json.loads(data), streams)
    for stream in streams:
        os.close(stream)
    caller.sendall(b"%d\n" % command)
    ended = os.pidfd_open(command)
    ready, _, _ = select.select([ended, caller.fileno()], [], [])
    if ended not in ready:
        os.kill(command, signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    if ended in ready:
        caller.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(order: dict[str, Any], streams: list[int]) -> None:
    """The command, up to its exit."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    os.umask(order["umask"])
    sys.argv = ["exclave", *order["arguments"]]
    sys.path[0] = order["folder"]
    try:
        runpy.run_module("exclave", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    # As an interpreter ends, except that it does not take the modules apart one by one.
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
