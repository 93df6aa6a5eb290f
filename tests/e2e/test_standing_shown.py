"""`exclave standing`, and what other commands say of lockdowns, vetoes and compromises."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from exclave import clock
from exclave.authority.orders import Compromise, Hold, Lockdown, Veto
from exclave.wiring.host import status_vault
from tests.e2e.test_exile import HOME, head, locked, signed, submit, until
from tests.support.embassy import PROGRAM, Embassy, found_embassy


def run(*arguments: str | Path) -> tuple[int, str]:
    """The program's exit code and what it says."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def charter_file(embassy: Embassy) -> Path:
    """Where the vaults are."""
    file = embassy.folder / "law.json"
    file.write_bytes(embassy.envelope.to_bytes())
    return file


def shown(embassy: Embassy) -> dict[str, Any]:
    """`exclave standing --json`."""
    _, said = run("--json", "standing", "--charter", charter_file(embassy))
    value: dict[str, Any] = json.loads(said)
    return value


def test_officials_see_what_stands_and_by_which_hash(tmp_path: Path) -> None:
    with found_embassy(tmp_path, delay=3600) as embassy:
        embassy.write_registers(mib=0.25)
        embassy.deposit()
        hold = signed(embassy, Hold(head=head(embassy), deposits=None), "registrar")
        warrant = embassy.authorise_later(tmp_path / "reading", signers=HOME[:2])
        submit(embassy, 1, hold)
        embassy.stop_vault(3)
        until(lambda: {len(s["orders"]) for s in shown(embassy)["seats"].values()} == {1})
        value = shown(embassy)
        assert set(value["seats"]) == {"1", "2"}
        for seat in value["seats"].values():
            (item,) = seat["statements"]
            assert item["statement"] == warrant.statement_hash.hex()
            assert item["state"] == "waiting"
            assert 0 < item["seconds"] <= 3600
            assert len(item["signed"]) == 2
            (order,) = seat["orders"]
            assert order["statement"] == hold.statement_hash.hex()
        assert [problem["seat"] for problem in value["problems"]] == [3]
        code, said = run("standing", "--charter", charter_file(embassy))
        assert code == 1, "a vault did not answer"
        assert f"warrant {warrant.statement_hash.hex()}" in said
        # Together where both count the same seconds down, else a line each.
        assert re.search("seats 1, 2: waiting|seat 1: waiting.*\n +seat 2: waiting", said)
        veto = Veto(head=head(embassy), target=warrant.statement_hash)
        submit(embassy, 1, signed(embassy, veto, "registrar"))
        (tmp_path / "reading" / "charter.json").write_bytes(embassy.envelope.to_bytes())
        _, said = run("warrant", "status", tmp_path / "reading")
        assert "seat 1: vetoed: somebody said no" in said


def test_check_and_the_host_hear_of_a_lockdown(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.25)
        embassy.deposit()
        config = embassy.write_config()
        order = Compromise(
            head=head(embassy), depositors=("home",), since=clock.parse_time("2026-01-01T00:00:00Z")
        )
        lockdown = signed(embassy, Lockdown(head=head(embassy)), "consul-a")
        for envelope in (signed(embassy, order, "registrar"), lockdown):
            submit(embassy, 1, envelope)
        until(lambda: all(locked(embassy, seat) for seat in (1, 2, 3)))
        code, said = run("check", "-c", config)
        assert code == 2
        assert said.count("LOCKED DOWN: home is frozen there") == 3
        card = embassy.folder / "cards" / "card-2-1.txt"
        _, said = run("deposits", "--card", card)
        assert "SUSPECT" in said
        assert shown(embassy)["seats"]["2"]["locked"] is True
        (status,) = status_vault(embassy.vault_folder(1))
        assert status.locked
        _, said = run("vault", "status", embassy.vault_folder(1))
        assert "LOCKED DOWN" in said
        assert f"lockdown {lockdown.statement_hash.hex()}: logged" in said
