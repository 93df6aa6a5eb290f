"""Nothing committed names a machine, a package registry's host, or holds a private key."""

import re
from pathlib import Path

import pytest

from tests.structure.sources import ROOT, committed, named

LARGEST = 4 << 20
# Written in pieces, so that this file does not trip over itself.
REGISTRIES = ("py" + "pi.org", "python" + "hosted.org", "debian" + ".org", "npm" + "js.")
MACHINE = re.compile(r"(?<![\w.$}])/(?:home/[a-z]\w*|root|Users/\w+|w" + r"ork|f" + r"arm)/[\w.]")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
PRIVATE_KEY = "-----BEGIN " + "PRIVATE KEY-----"
BINARY = frozenset({".pack", ".shard", ".gz", ".zst", ".bin", ".png", ".db", ".pdf", ".jpg"})
# Fixtures and vectors hold keys on purpose: they are published with what they open.
MADE_FOR_TESTS = ("tests", "vectors", "fixtures")


def faults(text: str) -> list[tuple[int, str]]:
    """Line and cause of everything in `text` that must not be committed."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE.search(line):
            found.append((number, "a path of one machine"))
        if any(host in line for host in REGISTRIES):
            found.append((number, "a registry's host"))
    return found


def texts() -> list[tuple[Path, str]]:
    """Every committed text file."""
    found: list[tuple[Path, str]] = []
    for path in committed():
        if path.suffix in BINARY or path.stat().st_size > LARGEST:
            continue
        try:
            found.append((path, path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def test_no_machine_paths_or_registry_hosts() -> None:
    wrong = [
        f"{named(path, number)}: {what}" for path, text in texts() for number, what in faults(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_unfinished() -> None:
    wrong = [
        named(path, number)
        for path, text in texts()
        if path.suffix == ".py"
        for number, line in enumerate(text.splitlines(), 1)
        if UNFINISHED.search(line) or "raise NotImplemented" + "Error" in line
    ]
    assert not wrong, "\n".join(wrong)


def test_no_private_keys() -> None:
    wrong = [
        named(path)
        for path, text in texts()
        if PRIVATE_KEY in text and path.relative_to(ROOT).parts[0] not in MADE_FOR_TESTS
    ]
    assert not wrong, "\n".join(wrong)


def test_requirements_are_pinned_and_hashed() -> None:
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert files
    for path in files:
        entries = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        assert entries, named(path)
        for entry in entries:
            assert re.match(r"[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("text", ["see /ho" + "me/anna/x", "index: " + REGISTRIES[0]])
def test_faults_are_noticed(text: str) -> None:
    assert faults(text)
