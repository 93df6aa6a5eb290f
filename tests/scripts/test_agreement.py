"""Agreements by commands, from the receiving state's key to deposits that stop after the notice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exclave.clock import now
from exclave.demo.founding import HOSTS
from tests.scripts.conftest import GOVERN, Mission, call, founded_mission, must
from tests.scripts.test_bad_inputs import refused

TERMS = """
state = "{state}"
key = "{key}.pub"
seats = [{seat}]
capacity = {capacity}
retention_days = 30
notice = "{notice}"
treaty = "treaty.txt"
begins = "2026-01-01"
ends = "2090-01-01"
maintenance = ["enter", "update-software"]
[delays]
govern = "0s"
read = "0s"
release = "0s"
exile_change = "0s"
[witness]
seats = [1, 2, 3]
freshness = "1h"
"""


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mission]:
    """A mission whose vaults ask for agreements."""
    with founded_mission(tmp_path_factory.mktemp("agreed"), agreements=True) as made:
        (made.root / "treaty.txt").write_text("Article 1: the premises are inviolable.\n")
        yield made


def terms(made: Mission, seat: int, *, notice: str = "1s", capacity: int = 2**40, **_: int) -> Path:
    """A file of terms for a seat."""
    state = HOSTS[seat - 1].state
    path = made.root / f"terms-{seat}.toml"
    key = made.state_key(state)
    path.write_text(TERMS.format(state=state, key=key, seat=seat, notice=notice, capacity=capacity))
    return path


def sent(made: Mission, command: str, *words: object, out: Path, keys: list[Path]) -> None:
    """An order that is signed with all these keys and handed in."""
    named = [part for key in keys for part in ("--key", key)]
    must(
        "agreement", command, *words, "--reason", "a test", "--charter", made.charter, *named,
        "--passphrase-file", made.passphrase, "--yes", "--send", "--out", out,
    )  # fmt: skip


def govern(made: Mission) -> list[Path]:
    """Key files of enough of govern."""
    return [made.key(label) for label in GOVERN]


def state(made: Mission, seat: int) -> Path:
    """The key file of a seat's state."""
    return made.state_key(HOSTS[seat - 1].state)


def test_from_no_agreement_to_its_end(embassy: Mission) -> None:
    """Both sign, file by file; deposits go in; one is amended; one ends; what is lodged stays."""
    ran = call("deposit", "-c", embassy.config)
    assert ran.code != 0
    assert "expected an agreement of both states" in ran.err
    assert (
        must("agreement", "show", "--charter", embassy.charter).out == "no agreement is in effect\n"
    )
    for seat in (1, 2, 3):
        file = embassy.root / f"agreement-{seat}.json"
        must(
            "agreement", "propose", terms(embassy, seat), "--reason", "treaty of 2026",
            "--charter", embassy.charter, "--out", file,
        )  # fmt: skip
        half = must(
            "agreement", "accept", file, "--charter", embassy.charter, "--yes",
            "--key", state(embassy, seat), "--passphrase-file", embassy.passphrase,
            *(["--send"] if seat == 1 else []),
        )  # fmt: skip
        assert f"the receiving state {HOSTS[seat - 1].state} has signed" in half.out
        keys = [part for key in govern(embassy) for part in ("--key", key)]
        whole = must(
            "agreement", "accept", file, "--charter", embassy.charter, "--yes", *keys,
            "--passphrase-file", embassy.passphrase, "--send",
        )  # fmt: skip
        assert whole.out.count("effective") == 3
    must("deposit", "-c", embassy.config)
    ran = must("--json", "agreement", "show", "--charter", embassy.charter)
    assert ran.err == "", "signatures that came one by one are nothing to warn of"
    shown = ran.json["seats"]
    assert [sorted(item["seats"][0] for item in seat) for seat in shown.values()] == [[1, 2, 3]] * 3
    second = embassy.root / "agreement-1b.json"
    sent(
        embassy, "amend", embassy.root / "agreement-1.json",
        terms(embassy, 1, notice="2s", capacity=2**41),
        out=second, keys=[*govern(embassy), state(embassy, 1)],
    )  # fmt: skip
    assert "version 2, with state" in must("agreement", "show", second).out
    end = embassy.root / "terminate-1.json"
    sent(embassy, "terminate", second, out=end, keys=[state(embassy, 1)])
    for command in (["agreement", "show"], ["standing"]):
        assert "TERMINATED" in must(*command, "--charter", embassy.charter).out
    status = must("--json", "vault", "status", embassy.vault(1)).json["missions"][0]
    assert status["records"] == {"lodged": 1}


def test_bad_input(embassy: Mission, tmp_path: Path) -> None:
    """Weaker, of another host, by a key that has no say, of a seat that is none."""
    first = embassy.root / "agreement-2.json"
    if not first.exists():
        must(
            "agreement", "propose", terms(embassy, 2), "--reason", "a test",
            "--charter", embassy.charter, "--out", first,
        )  # fmt: skip
    said = ["--reason", "a test", "--charter", embassy.charter, "--out", tmp_path / "new.json"]
    refused(
        6, "agreement", "amend", first, terms(embassy, 2, capacity=1), *said,
        says="expected nothing weaker, got capacity", hint="a new version only strengthens",
    )  # fmt: skip
    path = terms(embassy, 2)
    good = path.read_text()
    other = str(state(embassy, 1))
    path.write_text(good.replace(str(state(embassy, 2)), other))
    refused(6, "agreement", "propose", path, *said, says="expected key")
    path.write_text(good.replace("seats = [2]", "seats = [9]"))
    refused(3, "agreement", "propose", path, *said, says="expected seats of the charter, got 9")
    path.write_text(good.replace('"enter"', '"read"'))
    refused(3, "agreement", "propose", path, *said, says="expected one of enter")
    path.write_text(good.replace("2090", "1990"))
    refused(3, "agreement", "propose", path, *said, says="ends: expected a time to come, got 1990")
    path.write_text(good.replace("2026", "2091"))
    refused(7, "agreement", "propose", path, *said, says="expected after from")
    path.write_text(good + '[[address]]\nseat = 1\ndata = "10.0.0.1:1"\npublic = "10.0.0.1:2"\n')
    refused(3, "agreement", "propose", path, *said, says="expected one of the seats that are")
    path.write_text(good.replace("treaty.txt", "nowhere.txt"))
    refused(3, "agreement", "propose", path, *said, says="cannot be read")
    path.write_text(good.replace(f"{state(embassy, 2)}.pub", f"{embassy.key(GOVERN[0])}.pub"))
    refused(3, "agreement", "propose", path, *said, says="expected a receiving state's key")
    secret = ["--passphrase-file", embassy.passphrase, "--yes"]
    refused(
        6, "--quiet", "agreement", "accept", first, "--charter", embassy.charter, *secret,
        "--key", state(embassy, 1), says="of the receiving state, got another",
    )  # fmt: skip
    refused(
        6, "--quiet", "sign", embassy.charter, *secret, "--key", state(embassy, 1),
        says="expected an official's key, got a receiving state's",
    )  # fmt: skip
    request = embassy.vault(2) / "seat-request.json"
    refused(
        6, "--quiet", "agreement", "vouch", request, *secret, "--key", state(embassy, 1),
        says="got one of state-", hint="the key that vault init was given",
    )  # fmt: skip
    assert not (tmp_path / "new.json").exists()


def test_a_charter_that_gives_less_than_is_agreed(embassy: Mission, tmp_path: Path) -> None:
    """Both states may sign it, and no deposit would be taken: said before anybody signs."""
    path = terms(embassy, 2)
    path.write_text(path.read_text().replace('read = "0s"', 'read = "9d"'))
    ran = must(
        "agreement", "propose", path, "--reason", "a test", "--charter", embassy.charter,
        "--out", tmp_path / "less.json",
    )  # fmt: skip
    assert "CHARTER 1.1 GIVES LESS THAN IS AGREED: read;" in ran.err + ran.out
    path = terms(embassy, 2)
    ran = must(
        "agreement", "propose", path, "--reason", "a test", "--charter", embassy.charter,
        "--out", tmp_path / "same.json",
    )  # fmt: skip
    assert "GIVES LESS" not in ran.err + ran.out


def test_permissions(embassy: Mission, tmp_path: Path) -> None:
    """A grant by officials, a declaration by the operator; both at every vault."""
    today = now().date()
    end = ["--begins", today, "--ends", today + timedelta(days=20), "--seat", 2]
    said = ["--reason", "a test", "--charter", embassy.charter, "--out", tmp_path / "grant.json"]
    refused(2, "agreement", "grant", "read", *end, *said, says="expected one of enter", hint="keys")
    for days in ((0, 40), (-9, -1), (5, 5)):
        first, last = (today + timedelta(days=day) for day in days)
        refused(
            2, "agreement", "grant", "enter", "--begins", first, "--ends", last,
            "--seat", 2, *said, says="--ends: expected a time to come, after",
        )  # fmt: skip
    keys = [part for key in govern(embassy) for part in ("--key", key)]
    made = must(
        "agreement", "grant", "enter", *end, *said, *keys, "--yes", "--send",
        "--passphrase-file", embassy.passphrase,
    )  # fmt: skip
    assert made.out.count("effective") == 3
    vault = embassy.vault(2)
    refused(2, "agreement", "declare", vault, "enter", "--reason", "x", says="expected one of mig")
    must("agreement", "declare", vault, "restart", "--hours", 2, "--reason", "new kernel")
    for _ in range(60):
        shown = must("--json", "standing", "--charter", embassy.charter).json["seats"]
        kinds = [sorted(item["kind"] for item in seat["permissions"]) for seat in shown.values()]
        if kinds == [["declare", "grant"]] * 3:
            break
        time.sleep(0.5)
    assert kinds == [["declare", "grant"]] * 3
    embassy.stop(2)
    embassy.start(2)
    status = must("--json", "vault", "status", vault).json["missions"][0]
    assert not [item for item in status["alarms"] if item["cause"] == "undeclared-restart"]
    embassy.stop(3)
    embassy.start(3)
    status = must("--json", "vault", "status", embassy.vault(3)).json["missions"][0]
    assert [item["cause"] for item in status["alarms"]] == ["undeclared-restart"]


def test_a_states_key(tmp_path: Path, embassy: Mission) -> None:
    """Made once, never over another."""
    secret = ["--passphrase-file", embassy.passphrase]
    made = must("--json", "agreement", "key", "--state", "XB", "--out", tmp_path / "k", *secret)
    assert made.json["id"] == "state-xb"
    refused(3, "agreement", "key", "--state", "XB", "--out", tmp_path / "k", *secret, says="there")
    refused(2, "agreement", "key", "--state", "xb", "--out", tmp_path / "n", *secret, says="state")
