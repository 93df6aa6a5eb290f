"""Makes `.venv` from the hash-locked requirements, and Exclave in it, when it is not there yet.

Called by the Makefile with the system's Python: standard library only, and no syntax newer than
Python 3.8, so that an old interpreter gets a sentence instead of a traceback.

Rules:
- nothing is installed whose hash does not stand in `requirements/`; Exclave itself is installed
  editable, without dependencies and without build isolation (the build backend is locked too);
- a stamp holds everything that the environment was made from: when it matches, nothing is done;
- one set-up at a time: a second `make` waits for the first;
- uv is used when it is on PATH; where it fails (it does not read pip's settings), pip is.

What it does not do: download a Python, or touch anything outside `.venv`.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence  # noqa: UP035  must parse on an old Python

OLDEST = (3, 11)
# Each set holds everything of the sets before it, so a larger one serves a smaller need.
SETS = ("run", "demo", "dev")

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


class SetUpFailed(Exception):
    """A step of the set-up failed; the message says which, the hint what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def fingerprint(name: str) -> str:
    """Digest of all that the environment for set `name` is made from."""
    import tomllib  # not at the top: an older Python must get as far as its error message

    digest = hashlib.sha256()
    for path in (
        ROOT / "requirements" / f"{name}.txt",
        ROOT / "hatch_build.py",
        Path(__file__),
    ):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # What an install takes from it; rules for the linter and the tests come and go.
    installed = (project["build-system"], project["project"], project["tool"]["hatch"])
    digest.update(json.dumps(installed, sort_keys=True).encode())
    # The editable install and the interpreter are absolute paths: a moved folder starts afresh.
    digest.update(f"{ROOT}\n{sys.version}\n{sys.base_prefix}".encode())
    return digest.hexdigest()


def stamp(name: str) -> Path:
    """The file that says for which fingerprint set `name` was installed."""
    return VENV / f".installed-{name}"


def holds(name: str) -> bool:
    """Whether the environment was made from what set `name` is made from today."""
    written = stamp(name)
    return (
        PYTHON.exists()
        and written.is_file()
        and written.read_text(encoding="ascii") == fingerprint(name)
    )


def is_current(name: str) -> bool:
    """Whether the environment already serves set `name`."""
    return any(holds(larger) for larger in SETS[SETS.index(name) :])


def run(command: Sequence[str], *, quiet: bool = False) -> None:
    """Run `command` at the top of the tree; a failure raises with what it was."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
        check=False,
    )
    if done.returncode:
        shown = " ".join(command[:4])
        raise SetUpFailed(f"{shown} ...: expected exit code 0, got {done.returncode}")


def environment() -> Dict[str, str]:  # noqa: UP006
    """Our environment without what would send an install elsewhere than into `.venv`."""
    unwanted = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def make_venv(uv: str) -> None:
    """Replace `.venv` by an empty environment of the running interpreter."""
    if VENV.is_symlink() or VENV.is_file():
        raise SetUpFailed(".venv: expected a folder or nothing, got a file or link")
    shutil.rmtree(VENV, ignore_errors=True)
    if uv:
        try:
            run([uv, "venv", "--quiet", "--python", sys.executable, str(VENV)])
        except SetUpFailed as failure:
            print(f"set-up: {failure}; trying venv", flush=True)
        else:
            return
    try:
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], quiet=True)
    except SetUpFailed as failure:
        version = "{}.{}".format(*sys.version_info[:2])
        raise SetUpFailed(
            f"python environment: {sys.executable} -m venv failed (venv or ensurepip is missing, "
            "or the folder cannot be written)",
            f"apt install python3-venv (or python{version}-venv), or name another interpreter: "
            "make PYTHON=/path/to/python3.11 ...",
        ) from failure


def install(uv: str, name: str) -> None:
    """Install the locked set `name`, then Exclave, editable, on top of it."""
    locked = ["--require-hashes", "-r", f"requirements/{name}.txt"]
    itself = ["--no-deps", "--no-build-isolation", "--editable", "."]
    if uv:
        # pip compiles what it installs; a program that starts often needs that from uv, too.
        front = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(PYTHON)]
        try:
            run([*front, *locked])
            run([*front, *itself])
        except SetUpFailed as failure:
            print(f"set-up: {failure}; trying pip", flush=True)
            # An environment made by uv holds no pip of its own.
            run([str(PYTHON), "-m", "ensurepip", "--default-pip"], quiet=True)
        else:
            return
    front = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    # Twice quiet: errors are shown, warnings about whatever pip is set to are not.
    quiet = ["-qq", "--no-warn-script-location", "--root-user-action=ignore"]
    try:
        run([*front, *quiet, *locked])
    except SetUpFailed as failure:
        raise SetUpFailed(
            str(failure),
            "the packages come from the index that pip is set to: see `pip config list`, "
            "PIP_INDEX_URL and PIP_CERT",
        ) from failure
    run([*front, *quiet, *itself])


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold a lock on this file, which everybody who can read the tree can take."""
    with Path(__file__).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def set_up(name: str) -> None:
    """Make the environment for set `name` unless it is there."""
    if sys.version_info < OLDEST:
        wanted, got = ("{}.{}".format(*v[:2]) for v in (OLDEST, sys.version_info))
        raise SetUpFailed(
            f"python: expected {wanted} or newer, got {got} ({sys.executable})",
            "name another interpreter: make PYTHON=/path/to/python3.11 ...",
        )
    with one_at_a_time():
        if is_current(name):
            return
        began = time.monotonic()
        uv = os.environ.get("UV") or shutil.which("uv") or ""
        tool = "uv" if uv else "pip"
        # `make test` after `make demo` adds what is missing; anything else starts afresh.
        grows = any(holds(smaller) for smaller in SETS[: SETS.index(name)])
        verb = "extending" if grows else "making"
        print(f"set-up: {verb} .venv ({name}) with {tool}, about a minute ...", flush=True)
        if not grows:
            make_venv(uv)
        install(uv, name)
        stamp(name).write_text(fingerprint(name), encoding="ascii")
        print(f"set-up: done in {time.monotonic() - began:.0f} s", flush=True)


def main(arguments: List[str]) -> int:  # noqa: UP006
    """`python3 tools/set_up.py run|demo|dev`."""
    if len(arguments) != 1 or arguments[0] not in SETS:
        print(f"set-up: expected one of {', '.join(SETS)}, got {arguments}", file=sys.stderr)
        return 2
    try:
        set_up(arguments[0])
    except SetUpFailed as failure:
        print(f"set-up: {failure}", file=sys.stderr)
        if failure.hint:
            print(f"hint: {failure.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
