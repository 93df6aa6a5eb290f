"""Makes vectors and fixture anew, and freezes them when format version 1 is released.

`python -m tools.release` makes every vector and `tests/fixtures/v1` again, as long as version 1 is
not released. `python -m tools.release 2026-12-31` does that and releases it on that day:
`vectors/frozen-1.sha256` lists every vector with its SHA-256, `tests/fixtures/released.toml` pins
that list and the fixture, and `spec/README.md` says so. From then on this program refuses, and
`tests/structure/test_released.py` fails when a byte of what is frozen changes or goes. What is
added later is in no list of version 1.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
LIST: Final = "frozen-1.sha256"
NOT_YET: Final = "Status: version 1 is **not released**."
RELEASED: Final = "Status: version 1 is **released**, since {day}."
_LINE: Final = re.compile(r"([0-9a-f]{64})  (\S+)")


def main(words: list[str]) -> int:
    """Make everything again, and freeze it where a day is given; 1 when version 1 is released."""
    if len(words) > 1:
        print("release: expected at most one day, such as 2026-12-31", file=sys.stderr)
        return 2
    if pins(ROOT) is not None:
        print("release: version 1 is released: nothing of it is made again", file=sys.stderr)
        return 1
    day = date.fromisoformat(words[0]) if words else None
    _make_again()
    if day is not None:
        freeze(ROOT, day)
        print(f"version 1 is released, since {day}: read `git diff`, and commit")
    return 0


def _make_again() -> None:
    for tool in sorted((ROOT / "tools").glob("make_vectors_*.py")):
        _run(tool.stem)
    fixture = ROOT / "tests" / "fixtures" / "v1"
    aside = fixture.with_name("v1.before")
    if fixture.exists():
        fixture.rename(aside)
    try:
        _run("make_fixture_v1")
    except BaseException:
        if aside.exists():
            aside.rename(fixture)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _run(name: str) -> None:
    subprocess.run([sys.executable, "-m", f"tools.{name}"], cwd=ROOT, check=True)


def freeze(root: Path, day: date) -> None:
    """Write the list, what pins it, and the day on the specification's first page."""
    listed = root / "vectors" / LIST
    listed.write_text("".join(f"{sha}  {name}\n" for name, sha in hashes(root).items()))
    page = root / "spec" / "README.md"
    text = page.read_text("utf-8")
    if text.count(NOT_YET) != 1:
        raise SystemExit(f"{page}: expected once {NOT_YET!r}")
    page.write_text(text.replace(NOT_YET, RELEASED.format(day=day)), "utf-8")
    (root / "tests" / "fixtures" / "released.toml").write_text(
        "# What was frozen when a format version was released. Written by tools.release, once.\n"
        f'[version-1]\nreleased = {day}\nvectors = "{_sha256(listed)}"\n'
        f'fixture = "{_sha256(root / "tests/fixtures/v1/embassy.tar.xz")}"\n'
        f'expected = "{_sha256(root / "tests/fixtures/v1/expected.json")}"\n'
    )


def hashes(root: Path) -> dict[str, str]:
    """SHA-256 of every file below `vectors/` but the list and the page, by path, ascending."""
    folder = root / "vectors"
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    return {name: _sha256(files[name]) for name in sorted(files.keys() - {LIST, "README.md"})}


def pins(root: Path) -> dict[str, object] | None:
    """What pins version 1; None while it is not released."""
    file = root / "tests" / "fixtures" / "released.toml"
    if not file.exists():
        return None
    found: dict[str, object] = tomllib.loads(file.read_text("utf-8"))["version-1"]
    return found


def changed(root: Path) -> list[str]:
    """What is not as it was released, a line for each; nothing while version 1 is not released."""
    pinned = pins(root)
    listed = root / "vectors" / LIST
    if pinned is None:
        return [f"{LIST}: expected none before the release, got one"] if listed.exists() else []
    files = {
        "vectors": listed,
        "fixture": root / "tests" / "fixtures" / "v1" / "embassy.tar.xz",
        "expected": root / "tests" / "fixtures" / "v1" / "expected.json",
    }
    found = [
        f"{file.relative_to(root)}: expected what was released, got {_what(file)}"
        for name, file in files.items()
        if not file.exists() or _sha256(file) != pinned[name]
    ]
    if not listed.exists():
        return found
    now = hashes(root)
    for line in listed.read_text("utf-8").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            found.append(f"{LIST}: expected lines of sha256sum, got {line!r}")
        elif now.get(match[2]) != match[1]:
            got = _what(root / "vectors" / match[2])
            found.append(f"vectors/{match[2]}: expected what was released, got {got}")
    return found


def _what(file: Path) -> str:
    return "other bytes" if file.exists() else "nothing"


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
