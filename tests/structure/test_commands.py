"""The check of documented commands finds what is wrong, in both directions."""

from pathlib import Path

import pytest
from cyclopts import App

from tools.commands import Line, faults, lines, make_targets

TARGETS = frozenset({"demo", "test"})


def program() -> App:
    """A small program shaped like ours."""
    app, vault = App(name="exclave"), App(name="vault")
    app.command(vault)

    @vault.command
    def serve(config: str, *, json: bool = False) -> None:
        raise AssertionError(f"the check must run nothing: {config} {json}")

    return app


def line(text: str) -> Line:
    return Line(file="README.md", number=1, words=tuple(text.split()))


@pytest.mark.parametrize(
    "text",
    [
        "make demo",
        "make test ARGS=-x",
        "exclave vault serve host.toml --json",
        "exclave vault serve --config host.toml",
        "exclave vault --help",
        "exclave --version",
    ],
)
def test_right_lines_pass(text: str) -> None:
    assert list(faults([line(text)], TARGETS, program())) == []


@pytest.mark.parametrize(
    "text",
    [
        "make dmeo",
        "exclave vualt serve host.toml",
        "exclave vault sevre host.toml",
        "exclave vault serve host.toml --jsno",
    ],
)
def test_wrong_lines_are_named(text: str) -> None:
    assert len(list(faults([line(text)], TARGETS, program()))) == 1


def test_a_missing_program_fails() -> None:
    assert list(faults([line("exclave status")], TARGETS, None))


def test_lines_are_read_from_shell_blocks_only(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(
        "make nothing\n```sh\n$ make demo  # first\nexclave vault \\\n  serve x | cat\n```\n"
        "```\nmake other\n```\n```console\n$ make test\nran 3 tests\n```\n",
        encoding="utf-8",
    )
    found = [(line.number, line.words) for line in lines(document, tmp_path)]
    assert found == [
        (3, ("make", "demo")),
        (4, ("exclave", "vault", "serve", "x")),
        (11, ("make", "test")),
    ]


def test_targets_are_read_from_the_makefile(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("A := 1\nhelp: x ## y\n\ntest-fast:\n\techo\n")
    assert make_targets(tmp_path) == {"help", "test-fast"}
