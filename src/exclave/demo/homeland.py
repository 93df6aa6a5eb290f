"""The first half of the story: a state with registers, and its deposits.

Each act runs the real commands; nothing here knows keys or formats beyond the files' names.
"""

from __future__ import annotations

from typing import Any

from exclave.demo.estate import Estate, advance_estate, build_estate
from exclave.demo.founding import registers_toml
from exclave.demo.mission import Home
from exclave.demo.narration import Narrator, amount
from exclave.demo.stage import Stage
from exclave.postgres_server.server import PostgresServer, start_server
from exclave.values import dataclass

__all__ = ["DepositFigures", "Homeland", "build_homeland", "make_deposit", "pass_a_day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Homeland(Home):
    """What will be lost."""

    server: PostgresServer
    estate: Estate


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositFigures:
    """What one deposit took."""

    deposit: str
    started: str
    rows: dict[str, int]  # by register
    read: int
    new: int
    stored: int
    sent: int  # over all seats

    @property
    def ratio(self) -> float:
        """How many times less had to be stored than was read."""
        return self.read / max(self.stored, 1)


def build_homeland(stage: Stage, narrator: Narrator, size: float) -> Homeland:
    """The sending state with its PostgreSQL 16 server and ten registers."""
    folder = stage.make("home")
    with narrator.busy("starting a PostgreSQL 16 server, filling the state's ten registers"):
        server = start_server(16, folder / "postgres16")
        stage.at_end.callback(server.remove)
        estate = build_estate(server, folder / "estate", size=size)
    narrator.say(
        f"{estate.state}: {estate.total_rows:,} rows in {len(estate.registers)} entries of the "
        f"plan (PostgreSQL {server.version}, one SQLite file, one folder of scanned deeds)"
    )
    homeland = Homeland(folder=folder, server=server, estate=estate)
    homeland.plan.write_text(registers_toml(estate, server.bin_dir), encoding="utf-8")
    return homeland


def make_deposit(stage: Stage, narrator: Narrator, homeland: Homeland) -> DepositFigures:
    """Run `exclave deposit` at home."""
    value: Any = stage.run("deposit", "--config", homeland.config, show=True)
    figures = DepositFigures(
        deposit=value["deposit"],
        started=value["started"],
        rows={item["id"]: item["rows"] for item in value["registers"]},
        read=value["read"],
        new=value["new"],
        stored=value["stored"],
        sent=sum(size for _, size in value["sent"]),
    )
    narrator.say(
        f"read {amount(figures.read)}, new {amount(figures.new)}, stored {amount(figures.stored)}, "
        f"sent {amount(figures.sent)} to three vaults"
    )
    return figures


def pass_a_day(homeland: Homeland) -> None:
    """The registers change."""
    advance_estate(homeland.estate, 1)
