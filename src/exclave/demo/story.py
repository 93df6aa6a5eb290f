"""`exclave demo`: a state loses everything at home, and gets it back with proof.

A sending state fills its registers, founds a mission at three vaults, deposits twice, loses its
homeland and one vault, and is rebuilt on a newer database from what two vaults and a few people
abroad hold. Every act is a run of the real program in a process of its own; the ones after the
loss have an empty environment. The exit code says whether all came back as it was.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exclave import clock
from exclave.demo.agreeing import agree, make_state_key, vouch
from exclave.demo.evidence import Attested, Refused, show_receipts, try_deletion
from exclave.demo.founding import Law
from exclave.demo.homeland import DepositFigures, build_homeland, make_deposit, pass_a_day
from exclave.demo.mission import HostedVault, found_mission, open_hosts, serve_vaults
from exclave.demo.narration import Narrator, amount, duration
from exclave.demo.reach import Reach
from exclave.demo.rescue import (
    Rescue,
    authorise,
    cards_abroad,
    lock_down,
    lose,
    new_server,
    reconstruct,
    unseal,
)
from exclave.demo.stage import Stage
from exclave.demo.verdict import COLUMNS, RegisterVerdict, judge, table_row
from exclave.errors import DifferenceFound
from exclave.plain_words import of_seat
from exclave.postgres_server.programs import copied_programs, leave_programs, pg_tool
from exclave.postgres_server.server import PostgresServer
from exclave.values import dataclass
from exclave.wiring.files import load_charter

__all__ = ["LOST_SEAT", "TRIED_SEAT", "run"]

LAW = Law(delay=3)
"""Vaults of the demo wait seconds before they release a warrant; days in earnest."""

TRIED_SEAT = 2
"""The vault at which a deletion is tried; it is one of those that give everything back."""

LOST_SEAT = 1
"""The vault that is lost holds rows of data; without it decoding has to compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    verdicts: Sequence[RegisterVerdict]
    deposits: Sequence[DepositFigures]
    attested: Sequence[Attested]
    refused: Refused
    locked: tuple[int, ...]
    report: Any
    rescue: Rescue
    survivors: Sequence[HostedVault]
    seconds: float

    @property
    def good(self) -> bool:
        back = bool(self.verdicts) and all(item.good for item in self.verdicts)
        cosigned = bool(self.attested) and all(item.cosigned for item in self.attested)
        return back and cosigned and self.refused.unchanged and bool(self.locked)


def run(
    *,
    size: float,
    keep: bool,
    folder: Path | None,
    quiet: bool = False,
    json: bool = False,
) -> int:
    """Play the demo; returns 0, or 1 when anything differs."""
    narrator = Narrator(quiet=quiet, json=json)
    place = Path(tempfile.mkdtemp(prefix="exclave-demo-")) if folder is None else folder
    with Stage(place.resolve(), quiet=quiet, temporary=folder is None) as stage:
        outcome = _play(stage, narrator, size)
        _tell(narrator, outcome)
        narrator.result(_json(stage, narrator, outcome, keep=keep))
        if keep:
            _keep(stage, narrator, outcome)
    return 0 if outcome.good else DifferenceFound.exit_code


def _play(stage: Stage, narrator: Narrator, size: float) -> _Outcome:
    begun = time.monotonic()
    with narrator.phase("A state and its registers"):
        homeland = build_homeland(stage, narrator, size)
    with narrator.phase("Three receiving states, a founding, a charter"):
        vaults = open_hosts(stage, narrator, state_key=make_state_key)
        vouch(stage, vaults)
        found_mission(stage, narrator, homeland, vaults, LAW)
        vaults = serve_vaults(stage, narrator, homeland, vaults)
        agree(stage, narrator, homeland, vaults)
    with narrator.phase("First deposit"):
        first = make_deposit(stage, narrator, homeland)
    with narrator.phase("A day passes; second deposit"):
        pass_a_day(homeland)
        second = make_deposit(stage, narrator, homeland)
        narrator.say(f"only {second.new / max(second.read, 1):.1%} was new: the rest was there")
    with (
        narrator.phase("What the vaults attest, and what they refuse"),
        Reach(load_charter(homeland.charter)) as reach,
    ):
        attested = show_receipts(stage, narrator, homeland, reach)
        refused = try_deletion(narrator, homeland, vaults[TRIED_SEAT - 1], reach)
    with narrator.phase("The homeland is lost, and a vault with it"):
        moment = clock.now()
        lost = lose(narrator, homeland, vaults[LOST_SEAT - 1])
    with narrator.phase("One consul locks down"):
        locked = lock_down(stage, narrator, cards_abroad(stage)[0])
    with narrator.phase("Abroad, with an empty environment: exile's warrant and its delay"):
        rescue = new_server(stage, narrator)
        authorise(stage, narrator, rescue)
    with narrator.phase("Unsealing, on a machine of its own"):
        unseal(stage, narrator, rescue)
    with narrator.phase("Reconstruction on PostgreSQL 18, compared row by row"):
        waited = time.monotonic() - lost
        report = reconstruct(stage, rescue)
    return _Outcome(
        verdicts=judge(report, second.rows, lost=moment, before=waited),
        deposits=(first, second),
        attested=attested,
        refused=refused,
        locked=locked,
        report=report,
        rescue=rescue,
        survivors=[vault for vault in vaults if vault.host.seat != LOST_SEAT],
        seconds=time.monotonic() - begun,
    )


def _tell(narrator: Narrator, outcome: _Outcome) -> None:
    narrator.table("Registers", COLUMNS, [table_row(item) for item in outcome.verdicts])
    for item in outcome.verdicts:
        for fault in item.faults:
            narrator.verdict(f"   {item.id}: {fault}")
    narrator.table(
        "Deposits",
        ("", "read", "new", "stored", "sent to 3 vaults", "read : stored"),
        [
            (
                name,
                amount(item.read),
                amount(item.new),
                amount(item.stored),
                amount(item.sent),
                f"{item.ratio:.1f} : 1",
            )
            for name, item in zip(("first", "second"), outcome.deposits, strict=True)
        ],
    )
    narrator.table(
        "Phases", ("", "seconds"), [(item.title, f"{item.seconds:.1f}") for item in narrator.times]
    )
    fetched = sum(size for _, size in outcome.report["fetched"])
    narrator.say(f"fetched {amount(fetched)} from {len(outcome.report['fetched'])} vaults")
    for seat, what in outcome.report["faults"]:
        narrator.say(f"overcome at {of_seat(seat, what)}")
    good = sum(item.good for item in outcome.verdicts)
    narrator.verdict(
        f"{good} of {len(outcome.verdicts)} registers came back proven, every row and file, in "
        f"{duration(max((item.rto for item in outcome.verdicts), default=0))} after the loss "
        f"(reading delay of {LAW.delay} s included); all in all {duration(outcome.seconds)}"
    )


def _keep(stage: Stage, narrator: Narrator, outcome: _Outcome) -> None:
    server = outcome.rescue.server
    stage.keep()
    server.release()
    python = shlex.quote(sys.executable)
    socket = shlex.quote(server.host)
    psql = shlex.quote(str(pg_tool(server.major, "psql")))
    narrator.verdict("Everything is left as it stands:")
    narrator.verdict(f"   restored databases: PGPASSFILE={shlex.quote(str(server.passfile))} \\")
    narrator.verdict(f"      {psql} -h {socket} -p {server.port} -U {server.user} -l")
    narrator.verdict(f"   restored files:     {outcome.rescue.restored}")
    narrator.verdict(f"   signed report:      {outcome.rescue.folder / 'report.json'}")
    for vault in outcome.survivors:
        narrator.verdict(f"   vault {vault.host.seat}: {vault.folder} (public {vault.public})")
    narrator.verdict(f"   ask the vaults:     {python} -m exclave deposits --card \\")
    narrator.verdict(f"      {shlex.quote(str(outcome.rescue.cards[0]))}")
    narrator.verdict(f"   to stop:   kill {' '.join(map(str, _pids(outcome)))}")
    removed = " ".join(shlex.quote(str(item)) for item in _folders(stage, outcome))
    narrator.verdict(f"   to remove: rm -r {removed}")
    leave_programs()


def _folders(stage: Stage, outcome: _Outcome) -> list[Path]:
    """Everything to be removed after a demo that was kept."""
    server = outcome.rescue.server
    return [
        stage.folder,
        *sorted({server.socket_dir.parent, _stand_in(server)}),
        *copied_programs(),
    ]


def _stand_in(server: PostgresServer) -> Path:
    # Root's server may live in a folder that its account can reach.
    here = server.data_dir == server.requested_dir
    return server.socket_dir.parent if here else server.data_dir.parent


def _pids(outcome: _Outcome) -> list[int]:
    started = [vault.process.pid for vault in outcome.survivors if vault.process is not None]
    return [*started, outcome.rescue.server.process.pid]


def _json(stage: Stage, narrator: Narrator, outcome: _Outcome, *, keep: bool) -> dict[str, object]:
    return {
        "proven": outcome.good,
        "seconds": outcome.seconds,
        "phases": [{"title": item.title, "seconds": item.seconds} for item in narrator.times],
        "registers": [
            {
                "id": item.id,
                "proven": item.good,
                "rows": item.rows,
                "files": item.files,
                "rpo": item.rpo,
                "rto": item.rto,
                "faults": list(item.faults),
            }
            for item in outcome.verdicts
        ],
        "deposits": [
            {
                "deposit": item.deposit,
                "read": item.read,
                "new": item.new,
                "stored": item.stored,
                "sent": item.sent,
            }
            for item in outcome.deposits
        ],
        "receipts": [
            {"seat": item.seat, "witnesses": list(item.witnesses), "quorum": item.quorum}
            for item in outcome.attested
        ],
        "refused": {
            "answers": dict(outcome.refused.answers),
            "files": outcome.refused.files,
            "unchanged": outcome.refused.unchanged,
        },
        "locked": list(outcome.locked),
        "kept": {
            "folder": str(stage.folder),
            "vaults": [str(vault.folder) for vault in outcome.survivors],
            "cards": [str(card) for card in outcome.rescue.cards],
            "restored": str(outcome.rescue.restored),
            "host": outcome.rescue.server.host,
            "port": outcome.rescue.server.port,
            "passfile": str(outcome.rescue.server.passfile),
            "pids": _pids(outcome),
            "remove": [str(item) for item in _folders(stage, outcome)],
        }
        if keep
        else None,
    }
