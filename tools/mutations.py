"""`make mutations`: takes each defence out and requires the named attack test to fail.

Each `tests/mutations/*.toml` names one defence:

    promise = "P4"
    defence = "the veil is part of the pack key"
    file = "src/exclave/sealing/keys.py"
    old = "secret + veil"              # stands exactly once in the file
    new = "secret"
    tests = ["tests/attacks/test_p4.py::test_fewer_than_k_hosts"]

Rules:
- a patch works on a temporary copy; one whose `old` does not stand there exactly once fails, and
  so does one whose result is no Python;
- first all named tests must pass on an unchanged copy: a test that fails anyway proves nothing;
- a defence counts as watched if pytest reports failed tests (exit code 1): a module that cannot be
  imported any more is no attack;
- the copy has an interpreter of its own whose path holds the copy's sources and not the checkout's,
  so that processes which tests start in an empty environment run the mutated code as well;
- no mutations found is a failure.

With names (`make mutations ARGS="veil"`) it runs those whose file name holds one of them.
"""

import ast
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "mutations"
PASSED, TESTS_FAILED = 0, 1
COPIED = shutil.ignore_patterns(
    ".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", ".fuzz", "dist", "build"
)


class MutationFailed(Exception):
    """A mutation does not apply, or nobody noticed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One defence, how it is taken out, and the tests that must notice."""

    name: str
    promise: str
    defence: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.tests or not self.old or self.old == self.new:
            raise MutationFailed(f"{self.name}: expected tests and a change, got none")


def load(path: Path) -> Mutation:
    """Parse one mutation file; missing or unknown keys raise."""
    fields = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        return Mutation(name=path.stem, **fields | {"tests": tuple(fields["tests"])})
    except (TypeError, KeyError) as error:
        raise MutationFailed(f"{path.name}: {error}") from error


def apply(mutation: Mutation, tree: Path) -> None:
    """Take the defence out of the copy at `tree`."""
    path = tree / mutation.file
    if not path.is_file():
        raise MutationFailed(f"{mutation.file}: expected a file, got none")
    text = path.read_text(encoding="utf-8")
    if (count := text.count(mutation.old)) != 1:
        raise MutationFailed(f"{mutation.file}: expected the old text once, got it {count} times")
    changed = text.replace(mutation.old, mutation.new)
    if path.suffix == ".py":
        try:
            ast.parse(changed)
        except SyntaxError as error:
            raise MutationFailed(f"{mutation.file}: the change is no Python: {error}") from error
    path.write_text(changed, encoding="utf-8")


def copy_tree(target: Path) -> Path:
    """Copy the checkout to `target`; return the interpreter that runs the copy's sources."""
    shutil.copytree(ROOT, target, ignore=COPIED, symlinks=True)
    home = target / ".venv"
    venv.create(home, with_pip=False, symlinks=True)
    version = "python{}.{}".format(*sys.version_info[:2])
    # A path named in a .pth file is not searched for further .pth files: the editable install of
    # the checkout stays out.
    paths = f"{target / 'src'}\n{sysconfig.get_path('purelib')}\n"
    (home / "lib" / version / "site-packages" / "copy.pth").write_text(paths, encoding="utf-8")
    return home / "bin" / "python"


def run_tests(tests: tuple[str, ...], mutation: Mutation | None) -> tuple[int, str]:
    """Run `tests` on a copy, mutated if asked; return pytest's exit code and its output."""
    with tempfile.TemporaryDirectory(prefix="exclave-mutation-") as folder:
        tree = Path(folder, "tree")
        python = copy_tree(tree)
        if mutation:
            apply(mutation, tree)
        command = [
            *(str(python), "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
            *("-m", "not soak", *tests),
        ]
        done = subprocess.run(
            command,
            cwd=tree,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


def require_noticed(mutation: Mutation) -> None:
    """Raise unless the named tests fail without the defence."""
    for test in mutation.tests:
        code, output = run_tests((test,), mutation)
        if code == PASSED:
            raise MutationFailed(f"nobody noticed: {test} passed without the defence")
        if code != TESTS_FAILED:
            tail = "\n".join(output.splitlines()[-15:])
            raise MutationFailed(f"{test}: expected exit code 1, got {code}\n{tail}")


def main(names: list[str]) -> int:
    """Run all mutations, or those whose name holds one of `names`."""
    paths = [
        p for p in sorted(FOLDER.glob("*.toml")) if not names or any(n in p.stem for n in names)
    ]
    if not paths:
        print(f"mutations: expected files in tests/mutations, got none for {names or 'all'}")
        return 1
    try:
        mutations = [load(path) for path in paths]
    except MutationFailed as failure:
        print(f"mutations: {failure}")
        return 1
    tests = tuple(sorted({test for mutation in mutations for test in mutation.tests}))
    print(f"mutations: {len(tests)} tests on the unchanged sources", flush=True)
    code, output = run_tests(tests, None)
    if code != PASSED:
        print(f"{output}\nmutations: the tests fail with every defence in place")
        return 1
    failed = 0
    for mutation in mutations:
        began = time.monotonic()
        try:
            require_noticed(mutation)
            verdict = "noticed"
        except MutationFailed as failure:
            failed, verdict = failed + 1, f"FAILED: {failure}"
        spent = time.monotonic() - began
        print(f"{mutation.promise} {mutation.name}: {mutation.defence}: {verdict} ({spent:.0f} s)")
        sys.stdout.flush()
    print(f"mutations: {len(mutations) - failed} of {len(mutations)} noticed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
