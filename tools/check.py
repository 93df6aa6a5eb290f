"""`make test`: every check of this repository, one after the other, each with its time.

`python -m tools.check` runs all of them; with names it runs those. Every step runs, whatever
became of the one before it; the exit code is 0 only if all passed. The tests come last, so that
pytest's closing line stands at the end of what is printed.
"""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Two cores have room for a third: tests wait for delays, lines and disks for a third of their time.
WORKERS = os.environ.get("WORKERS", "3")
# Checked where it is there; the reader arrives with the formats.
TYPED = tuple(folder for folder in ("src", "tools", "reader", "bench") if (ROOT / folder).is_dir())


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One check: its name, what it shows, and the module that is run for it."""

    name: str
    shows: str
    command: tuple[str, ...]


STEPS = (
    Step(name="lint", shows="ruff: rules", command=("ruff", "check", "--no-fix", ".")),
    Step(name="format", shows="ruff: format", command=("ruff", "format", "--check", ".")),
    Step(name="types", shows="mypy --strict", command=("mypy", *TYPED, "hatch_build.py")),
    Step(name="layers", shows="import-linter", command=("tools.layers",)),
    Step(name="commands", shows="documented commands", command=("tools.commands",)),
    # Tests start hundreds of processes; where Python is told to write no bytecode, each would
    # compile everything anew.
    Step(
        name="bytecode",
        shows="every module compiles",
        command=("compileall", "-q", "src", "tests"),
    ),
    Step(
        name="tests",
        shows="pytest",
        # Each worker goes through its half in order, so that tests which share something costly
        # stay together, and takes from the other only when it is done.
        command=("pytest", "-n", WORKERS, "--dist", "worksteal", "-m", "not soak", "tests"),
    ),
)


def run(step: Step) -> int:
    """Run one step in the environment's own Python; its output goes straight through."""
    print(f"== {step.name}: {step.shows}", flush=True)
    began = time.monotonic()
    code = subprocess.run([sys.executable, "-m", *step.command], cwd=ROOT, check=False).returncode
    print(f"== {step.name}: exit code {code}, {time.monotonic() - began:.1f} s", flush=True)
    return code


def main(names: list[str]) -> int:
    """Run the named steps, or all; 0 only if each of them passed."""
    known = {step.name: step for step in STEPS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"check: expected names among {', '.join(known)}, got {unknown}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names] or list(STEPS)
    failed = [step.name for step in chosen if run(step)]
    done = len(chosen) - len(failed)
    print(f"checks: {done} of {len(chosen)} passed" + "".join(f", {n} failed" for n in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
