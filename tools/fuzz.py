"""`make fuzz`: runs every target of `tests/fuzz/fuzz_*.py` for a while, each in its own process.

A target is a program that takes libFuzzer's arguments (atheris). The fuzzer itself is installed
from `requirements/fuzz.txt` when it is missing. No targets found is a failure; so is a crash, whose
input stays in `.fuzz/NAME/`. Each starts from inputs of `vectors/` (`tests/fuzz/seeds.py`).

`make fuzz ARGS="60 manifest"` gives each target whose name holds "manifest" 60 seconds.
"""

import hashlib
import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.fuzz.seeds import seeds_of

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 30


def install_fuzzer() -> None:
    """Install atheris, hash-locked, unless it is there."""
    if importlib.util.find_spec("atheris"):
        return
    if importlib.util.find_spec("pip") is None:  # an environment made by uv
        subprocess.run([sys.executable, "-m", "ensurepip"], cwd=ROOT, check=True)
    locked = ["--require-hashes", "--no-deps", "-r", "requirements/fuzz.txt"]
    command = [sys.executable, "-m", "pip", "install", "-qq", *locked]
    subprocess.run(command, cwd=ROOT, check=True)


def run_target(path: Path, seconds: int) -> int:
    """Fuzz one target; its corpus and findings lie in `.fuzz/NAME/`."""
    corpus = ROOT / ".fuzz" / path.stem
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds_of(path.stem.removeprefix("fuzz_")):
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-artifact_prefix={corpus}/crash-", "-verbosity=0"]
    command = [sys.executable, "-m", "tools.fuzz_target", str(path), str(corpus), *limits]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main(arguments: list[str]) -> int:
    """`[SECONDS] [NAME ...]`: exit code 0 only if every target ran clean."""
    seconds = SECONDS
    if arguments and arguments[0].isdigit():
        seconds, arguments = int(arguments[0]), arguments[1:]
    found = sorted((ROOT / "tests" / "fuzz").glob("fuzz_*.py"))
    chosen = [p for p in found if not arguments or any(name in p.stem for name in arguments)]
    if not chosen:
        print(f"fuzz: expected targets in tests/fuzz, got none for {arguments or 'all'}")
        return 1
    install_fuzzer()
    failed = [path.stem for path in chosen if run_target(path, seconds)]
    print(f"fuzz: {len(chosen)} targets, {seconds} s each, {len(failed)} failed {failed or ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
