"""Checks every documented command against the program itself.

Read are README.md and docs/**/*.md: each line of a ```sh or ```console block that starts with
`exclave` or `make` (a leading `$ ` is dropped; a trailing backslash continues). Of an `exclave`
line the command must exist and every option must be one of that command; of a `make` line the
targets must stand in the Makefile. Values and positional arguments are not judged: nothing is run.

A document that uses `exclave` while `exclave.cli` cannot be imported fails.
"""

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^\s*```\s*(\w*)")
SHELL = frozenset({"sh", "bash", "console", "shell"})
# Where a command ends and the shell goes on.
SHELL_STOPS = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One documented command and where it stands."""

    file: str
    number: int
    words: tuple[str, ...]


def documents(root: Path) -> list[Path]:
    """The files whose commands are checked."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def joined(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of the shell blocks of `text`, continued ones joined."""
    inside, start, kept = False, 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence := FENCE.match(line):
            inside, kept = not inside and fence[1] in SHELL, ""
        elif inside:
            start, kept = (start, kept) if kept else (number, "")
            kept += line.strip().removesuffix("\\")
            if not line.endswith("\\"):
                yield start, kept
                kept = ""


def lines(path: Path, root: Path) -> Iterator[Line]:
    """The documented `exclave` and `make` lines of one file."""
    for number, text in joined(path.read_text(encoding="utf-8")):
        words = shlex.split(text.removeprefix("$ "), comments=True)
        end = next((i for i, word in enumerate(words) if word in SHELL_STOPS), len(words))
        if words and words[0] in ("exclave", "make"):
            yield Line(file=str(path.relative_to(root)), number=number, words=tuple(words[:end]))


def make_targets(root: Path) -> frozenset[str]:
    """The targets that the Makefile defines."""
    text = (root / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z][a-z-]*):", text, flags=re.MULTILINE))


def load_app() -> "App":
    """The program's own command tree."""
    app: App = importlib.import_module("exclave.cli.tree").command_tree()
    return app


def options_of(app: "App") -> frozenset[str]:
    """Every option that `app`, or the wrapper around it, takes itself."""
    found = set[str]()
    for level in (app, app.meta):
        if level.default_command is not None:
            found.update(n for a in level.assemble_argument_collection() for n in a.names)
    return frozenset(found)


def exclave_faults(app: "App", words: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with one `exclave` line."""
    # Every level takes these; cyclopts keeps them as commands, not as options.
    everywhere = {*app.help_flags, *app.version_flags}
    words = tuple(word for word in words if word not in everywhere)
    bare = [word for word in words if not word.startswith("-")]
    _, chain, rest = app.parse_commands(list(words))
    last = chain[-1]
    # A level without an action of its own takes subcommands only: a word left over is unknown.
    if last.default_command is None and bare and any(not w.startswith("-") for w in rest):
        known = ", ".join(sorted(n for n in last if not n.startswith("-")))
        yield f"command {rest[0]!r}: expected one of {known}"
        return
    known_options = frozenset[str]().union(*(options_of(level) for level in chain))
    for word in words:
        if word == "--":
            return
        option = word.partition("=")[0]
        if option.startswith("-") and len(option) > 1 and option not in known_options:
            yield f"option {option}: not one of {' '.join(last.name)}"


def faults(found: list[Line], targets: frozenset[str], app: "App | None") -> Iterator[str]:
    """Every fault of the given lines, one sentence each."""
    for line in found:
        where = f"{line.file}:{line.number}"
        if line.words[0] == "make":
            wanted = [w for w in line.words[1:] if not w.startswith("-") and "=" not in w]
            yield from (f"{where}: make target {w!r} missing" for w in wanted if w not in targets)
        elif app is None:
            yield f"{where}: exclave is documented but exclave.cli cannot be imported"
        else:
            yield from (f"{where}: {fault}" for fault in exclave_faults(app, line.words[1:]))


def main(root: Path = ROOT) -> int:
    """Check all documents; print each fault and the count."""
    found = [line for path in documents(root) for line in lines(path, root)]
    try:
        app: App | None = load_app()
    except ModuleNotFoundError as error:
        if error.name not in ("exclave", "exclave.cli", "exclave.cli.tree"):
            raise
        app = None
    wrong = list(faults(found, make_targets(root), app))
    for fault in wrong:
        print(fault)
    print(f"commands: {len(found)} documented lines checked, {len(wrong)} wrong")
    return 1 if wrong or not found else 0


if __name__ == "__main__":
    sys.exit(main())
