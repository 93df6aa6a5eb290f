"""The files under examples/ are what the program reads; some of them have tests of their own."""

from dataclasses import dataclass
from pathlib import Path

from exclave.config import load_toml
from exclave.found.terms import AgreementTerms
from exclave.plan import load_plan
from exclave.signals.settings import AlertsTable, CommandTarget, EmailTarget, WebhookTarget
from exclave.vault.installation.config import SeatConfig, VaultConfig
from exclave.wiring.settings import load_deposit_settings, load_target_settings

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.toml")} == {
        "agent.toml",
        "agreement.toml",
        "alerts.toml",
        "changes.toml",
        "deposit.toml",
        "founding.toml",
        "lines.toml",
        "registers.toml",
        "targets.toml",
        "seat.toml",
        "vault.toml",
    }


def test_agreement() -> None:
    terms = load_toml(EXAMPLES / "agreement.toml", AgreementTerms)
    assert (terms.state, terms.seats, terms.notice) == ("XB", (2,), 180 * 86400)


def test_plan() -> None:
    assert [item.id for item in load_plan(EXAMPLES / "registers.toml").registers] == [
        "population",
        "gazette",
        "deeds",
    ]


def test_plan_with_several_sources() -> None:
    deeds = load_plan(EXAMPLES / "registers.toml").registers[-1]
    assert [source.name for source in deeds.sources] == ["scans", "cadastre", "index"]
    assert [assertion.source for assertion in deeds.assertions] == ["index", None]


def test_deposit() -> None:
    assert load_deposit_settings(EXAMPLES / "deposit.toml").spool_limit == 200 * 2**30


def test_targets() -> None:
    settings = load_target_settings(EXAMPLES / "targets.toml")
    assert settings.default_server is not None
    assert set(settings.registers) == {"gazette"}
    assert set(settings.sources) == {("deeds", "scans")}


def test_vault() -> None:
    assert load_toml(EXAMPLES / "vault.toml", VaultConfig).data.endswith(":8443")
    assert load_toml(EXAMPLES / "seat.toml", SeatConfig).public.endswith(":8444")


@dataclass(frozen=True, slots=True, kw_only=True)
class _AgentFile:
    alerts: AlertsTable


def test_alerts() -> None:
    table = load_toml(EXAMPLES / "alerts.toml", _AgentFile).alerts
    assert [type(item) for item in table.target] == [EmailTarget, WebhookTarget, CommandTarget]
    assert table.remind_after == 86_400
