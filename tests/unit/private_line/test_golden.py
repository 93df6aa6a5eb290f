"""What is written for each end, whole, beside files that were read and loaded by their programs.

`EXCLAVE_WRITE_GOLDEN=1` writes the files again; then they are read before they are committed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest

from exclave.private_line.firewall import Beside, firewall
from exclave.private_line.values import MissionLines
from exclave.private_line.wireguard import wireguard_config
from tests.unit.private_line.hub import first, second

GOLDEN = Path(__file__).parent / "golden"
BESIDE = Beside(
    admin=(ip_network("192.168.7.0/24"),),
    local=(ip_network("192.168.8.0/24"), ip_network("fd00:8::/64")),
)
ENDS = [
    ("hub", [first(), second()], BESIDE),
    ("harbour", [first()], Beside()),
    ("registry-1", [first()], Beside(local=(ip_network("192.168.8.0/24"),))),
    ("envoy", [first()], Beside()),
    ("watch", [first()], Beside()),
    ("land", [second()], Beside()),
]


def written(name: str, lines: list[MissionLines], beside: Beside) -> dict[str, str]:
    """Every file for one machine, by its name in the folder of golden files."""
    texts = {f"{name}.nft": firewall(lines, name, beside)}
    for line in lines:
        key_file = f"/etc/exclave/lines/{line.interface}.key"
        config = wireguard_config(line, line.party(name), key_file)
        texts[f"{name}-{line.interface}.conf"] = config
    return texts


@pytest.mark.parametrize(("name", "lines", "beside"), ENDS, ids=[end[0] for end in ENDS])
def test_files(name: str, lines: list[MissionLines], beside: Beside) -> None:
    for file, text in written(name, lines, beside).items():
        if os.environ.get("EXCLAVE_WRITE_GOLDEN"):
            (GOLDEN / file).write_text(text)
        assert (GOLDEN / file).read_text() == text, file


def test_no_golden_file_is_left_over() -> None:
    made = {file for end in ENDS for file in written(*end)}
    assert made == {path.name for path in GOLDEN.iterdir()}
    assert len(made) == 13


def test_what_a_line_lets_through_names_its_mission_alone() -> None:
    """Of every accepting rule about an interface: no address of another guest stands in it."""
    lines = [first(), second()]
    rules = firewall(lines, "hub", BESIDE).splitlines()
    accepting = [rule for rule in rules if rule.endswith("accept") and '"xl-' in rule]
    assert len(accepting) == 6
    for rule in accepting:
        (line,) = [line for line in lines if f'"{line.interface}"' in rule]
        inner = {str(item) for party in line.parties for item in party.inner}
        named = re.findall(r"(?:saddr|daddr) (?:\{ ([^}]*) \}|(\S+))", rule)
        assert len(named) == 2, rule
        assert {text for many, one in named for text in (many or one).split(", ")} <= inner, rule


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.nft")), ids=lambda path: path.stem)
def test_nftables_takes_the_rules(file: Path) -> None:
    # In a network of its own: `nft` asks the kernel, which answers root alone.
    checked = subprocess.run(
        ["unshare", "--net", "nft", "--check", "--file", str(file)],
        capture_output=True,
        text=True,
        check=False,
    ) if shutil.which("nft") and os.geteuid() == 0 else None  # fmt: skip
    if checked is None:
        pytest.skip("not covered here: the rules read by nft, which needs nftables and root")
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.conf")), ids=lambda path: path.stem)
def test_wg_quick_takes_the_configuration(file: Path, tmp_path: Path) -> None:
    if shutil.which("wg-quick") is None or os.geteuid() != 0:
        pytest.skip("not covered here: the files read by wg-quick, which needs it and root")
    place = tmp_path / (file.stem.partition("-xl-")[2] + ".conf")
    place.write_text(file.read_text())
    place.chmod(0o600)
    stripped = subprocess.run(
        ["wg-quick", "strip", str(place)], capture_output=True, text=True, check=True
    ).stdout
    assert "[Peer]" in stripped
    assert "PrivateKey" not in file.read_text()
