"""Alert rules and dashboards of `examples/`: every name is one that we expose, every rule fires.

Names and labels are checked by our own reading; whether the expressions parse and the rules do what
they say, by Prometheus' promtool where it is installed (Debian: prometheus).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from exclave.agent.figures import agent_families
from exclave.agent.state import AgentState, JobState
from exclave.engine.memory import MemoryEngine
from exclave.exposition import Family, gauge
from exclave.own_process import process_families
from exclave.signals.alerter import TargetState
from exclave.vault.mission.submission import submit
from exclave.vault.server.metrics import mission_families, request_families
from exclave.wiring.check_results import CheckResult
from exclave.wiring.home_metrics import home_families
from tests.support.overviews import DAY, HOUR, MOMENT, everything
from tests.support.serving import open_mission
from tests.support.vault_world import new_world

ROOT = Path(__file__).parents[3]
RULES = ROOT / "examples" / "prometheus" / "exclave.rules.yml"
DASHBOARDS = sorted((ROOT / "examples" / "grafana").glob("*.json"))
SPECIFIED = ROOT / "spec" / "signals.md"
NAME = re.compile(r"\b(?:exclave|process)_[a-z0-9_]+")
BRACES = re.compile(r"((?:exclave|process)_[a-z0-9_]+)\{([^}]*)\}")
GROUPED = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SCRAPED = {"job", "instance"}
"""Labels that Prometheus adds to whatever it reads."""


@pytest.fixture(scope="module")
def exposed() -> dict[str, Family]:
    """Every family of both sides, by name."""
    world = new_world()
    mission = open_mission(world, MemoryEngine())
    submit(mission, world.signed(world.deposit()[0]))
    checks = [CheckResult(what="a", good=True)]
    targets = [TargetState(name="mail", failures=0)]
    up = gauge("exclave_vault_mission_up", "x", ({"mission": "m"}, 1))
    build = gauge("exclave_vault_build_info", "x", ({"version": "1"}, 1))
    families = [
        *home_families(everything(), MOMENT, checks=checks, targets=targets),
        *mission_families(mission),
        *request_families({("m", "get status", "ok"): 1}),
        *process_families(),
        *agent_families(AgentState(seen=MOMENT, jobs={"nightly": JobState(done=MOMENT)})),
        up,
        build,
    ]
    return {family.name: family for family in families}


def rules() -> list[Mapping[str, Any]]:
    found = yaml.safe_load(RULES.read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Where one stands, and the expression."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]


def test_there_are_some() -> None:
    assert len(rules()) > 20
    assert len(DASHBOARDS) == 2
    assert len(list(expressions())) > 50


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_name_and_label_is_one_that_we_expose(
    exposed: dict[str, Family], where: str, expression: str
) -> None:
    names = set(NAME.findall(expression))
    assert names
    assert names <= set(exposed), where
    labels = {
        label for name in names for sample in exposed[name].samples for label in sample.labels
    }
    # A mission without alarms has no figure of them: what a label would be is in the code.
    labels |= {"mission", "cause"} if "exclave_vault_alarm" in names else set()
    for name, matchers in BRACES.findall(expression):
        own = {label for sample in exposed[name].samples for label in sample.labels}
        asked = {re.split("[=!]", part)[0].strip() for part in matchers.split(",")}
        assert asked <= own | SCRAPED, where
    for group in GROUPED.findall(expression):
        assert {label.strip() for label in group.split(",") if label.strip()} <= labels | SCRAPED
    assert expression.count("(") == expression.count(")")


def test_a_rule_says_how_bad_it_is_and_what_it_is_about(exposed: dict[str, Family]) -> None:
    alerts = [rule["alert"] for rule in rules()]
    assert len(alerts) == len(set(alerts))
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        used = set(re.findall(r"\$labels\.([a-z_]+)", json.dumps(rule["annotations"])))
        names = NAME.findall(rule["expr"])
        known = {label for n in names for s in exposed[n].samples for label in s.labels}
        assert used <= known | ({"cause", "mission"} if "alarm" in rule["expr"] else set())


def test_the_specification_names_just_what_is_exposed(exposed: dict[str, Family]) -> None:
    rows = [line for line in SPECIFIED.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in NAME.findall(row.split("|")[1])}
    assert named == {name for name in exposed if not name.startswith("exclave_job_")}


@pytest.fixture
def promtool() -> Callable[..., str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool (Debian: prometheus) is not here: expressions were not parsed")

    def run(*words: str) -> str:
        done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_every_expression_parses(promtool: Callable[..., str], tmp_path: Path) -> None:
    """Those of dashboards as rules that record."""
    recorded = [
        {"record": f"panel:{number}", "expr": expression}
        for number, (_, expression) in enumerate(expressions())
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", str(RULES))
    assert f"SUCCESS: {len(recorded)} rules found" in promtool("check", "rules", str(path))


HOME = 'job="exclave", instance="home"'
LAND = f'{{{HOME}, register="land"}}'
SEAT = f'{{{HOME}, seat="2"}}'
SAFE = f'{{{HOME}, seat="4"}}'
TROUBLE = f'exclave_seat_bag_trouble{{{HOME}, seat="4", cause="%s"}}'
LOOKED = f"exclave_looked_timestamp_seconds{{{HOME}}}"
BAD = f'exclave_check_results{{{HOME}, severity="bad"}}'
FREE = 'exclave_vault_free_bytes{job="exclave-vault", instance="host", mission="m"}'
REFUSED = 'exclave_vault_requests_total{mission="m", kind="put shards", outcome="rate"}'
HOURS = 14
QUIET = {
    LOOKED: "0+300x170",
    f"exclave_register_deposited{LAND}": "1x170",
    f"exclave_register_rpo_seconds{LAND}": f"{6 * HOUR}x170",
    f"exclave_register_last_deposit_timestamp_seconds{LAND}": "0+300x170",
    f"exclave_register_seats_holding{LAND}": "1x170",
    f"exclave_seat_info{SEAT}": "1x170",
    f"exclave_seat_up{SEAT}": "1x170",
    # A safe, which does not have the last deposit and is not asked.
    f"exclave_seat_info{SAFE}": "1x170",
    f"exclave_seat_good{SAFE}": "1x170",
    f"exclave_seat_newest_bag_limit_seconds{SAFE}": f"{90 * DAY}x170",
    BAD: "0x170",
    FREE: "200e9x170",
}
"""Figures of which nothing is told: every five minutes."""
FIRES = [
    ("ExclaveNoFigures", LOOKED, "0x170"),
    ("ExclaveRegisterNeverDeposited", f"exclave_register_deposited{LAND}", "0x170"),
    ("ExclaveRegisterLate", f"exclave_register_last_deposit_timestamp_seconds{LAND}", "0x170"),
    ("ExclaveRegisterAtFewSeats", f"exclave_register_seats_holding{LAND}", "0x170"),
    ("ExclaveProofFailed", f"exclave_register_last_proof_passed{LAND}", "0x170"),
    ("ExclaveDrillFailed", f"exclave_register_last_drill_passed{LAND}", "0x170"),
    (
        "ExclaveDrillOld",
        f"exclave_register_last_drill_timestamp_seconds{LAND}",
        f"{-90 * DAY}x170",
    ),
    ("ExclaveSeatDown", f"exclave_seat_up{SEAT}", "0x170"),
    ("ExclaveSafeOld", f"exclave_seat_good{SAFE}", "0x170"),
    ("ExclaveBagAttacked", TROUBLE % "opened", "1x170"),
    ("ExclaveBagWaits", TROUBLE % "unread", "2x170"),
    ("ExclaveCheckFailed", BAD, "2x170"),
    ("ExclaveJobFails", f'exclave_job_failures{{{HOME}, agent_job="nightly"}}', "3x170"),
    ("ExclaveVaultDiskNearlyFull", FREE, "200e9-250e6x170"),
    ("ExclaveVaultRefusals", REFUSED, "0+3000x170"),
]


def _case(changes: Mapping[str, str], fires: str | None) -> dict[str, Any]:
    series = {**QUIET, **changes}
    return {
        "interval": "5m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{HOURS}h",
                "exp_samples": []
                if fires is None
                else [{"labels": f'{{alertname="{fires}"}}', "value": 1}],
            }
        ],
    }


def test_each_rule_fires_when_it_should_and_alone(
    promtool: Callable[..., str], tmp_path: Path
) -> None:
    cases = [_case({}, None), *(_case({name: values}, alert) for alert, name, values in FIRES)]
    path = tmp_path / "cases.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "15m", "tests": cases})
    )
    assert "SUCCESS" in promtool("test", "rules", str(path))
