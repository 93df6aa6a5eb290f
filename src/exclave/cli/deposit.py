"""`deposit`, `deposits`, `show`, `status`, `check`: the custodian's daily commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.cli.options import CONNECTIONS, DepositConfigFile, EitherConfigFile, Flag, Out
from exclave.errors import UsageError
from exclave.plain_words import count, duration, size
from exclave.values import asdict

if TYPE_CHECKING:
    from exclave.deposit.catalogue import CatalogueEntry
    from exclave.source.interface import Unread
    from exclave.wiring.check_results import CheckResult
    from exclave.wiring.overview import Overview, RegisterState, SeatState

__all__ = ["NOT_AS_IT_SHOULD_BE", "check", "deposit", "deposits", "show", "status"]

NOT_AS_IT_SHOULD_BE = 1


def deposit(
    *registers: str,
    config: DepositConfigFile,
    catch_up: Flag = False,
    read_everything: Flag = False,
    terminal: Out,
) -> int:
    """Capture registers, seal them and lodge them in the vaults.

    Parameters
    ----------
    registers
        Ids of the registers; all of the plan when none is named.
    catch_up
        Capture nothing; only send late seats what they lack.
    read_everything
        Read all files, also those that stand as they did at the last deposit.
    """
    from exclave.cli.allocator import return_large_memory
    from exclave.cli.progress import ShownDeposit
    from exclave.wiring.depositor import open_home, run_catch_up, run_deposit
    from exclave.wiring.learning import learn_charter

    return_large_memory()
    home = open_home(config)
    if catch_up and registers:
        raise UsageError("deposit: expected registers or --catch-up, got both")
    home = learn_charter(home)
    with terminal.telling(CONNECTIONS), ShownDeposit(terminal) as shown:
        if catch_up:
            late = run_catch_up(home, shown)
            value: dict[str, object] = {"late": {str(seat): why for seat, why in late.items()}}
            lines = ["all seats are up to date" if not late else f"{len(late)} seats are late"]
        else:
            outcome = run_deposit(home, registers, shown, read_everything=read_everything)
            late = outcome.late
            value = _entry_json(outcome.entry) | {
                "lodged": list(outcome.lodged),
                "late": {str(seat): why for seat, why in late.items()},
                "unread": {name: asdict(item) for name, item in outcome.unread.items()},
            }
            lines = _entry_lines(outcome.entry)
            lines += [_unread_line(name, item) for name, item in outcome.unread.items()]
            lines.append("lodged at seats " + ", ".join(map(str, outcome.lodged)))
    terminal.result(value, lines)
    for seat, why in sorted(late.items()):
        terminal.warning(f"seat {seat} is late: {why}", hint="exclave deposit --catch-up")
    return 0


def deposits(
    *,
    config: EitherConfigFile = None,
    card: Path | None = None,
    charter: Path | None = None,
    terminal: Out,
) -> None:
    """List deposits: from the vaults (opaque ids), or with the depositor's config (titles).

    Parameters
    ----------
    config
        The depositor's deposit.toml: lists its catalogue.
    card
        A share card: its vaults are asked; only its addresses and keys are used.
    charter
        Instead of a card: a charter, whose vaults are asked.
    """
    if (config, card, charter).count(None) != 2:
        raise UsageError("deposits: expected one of --config, --card and --charter")
    if config is not None:
        entries = _catalogue(config)
        terminal.result(
            {"deposits": [_entry_json(entry) for entry in entries]},
            [line for entry in entries for line in _entry_lines(entry)] or ["no deposit yet"],
        )
        return
    from exclave.cli.warrant import show_surveyed

    show_surveyed(charter, card, terminal)


def show(deposit: str, *, config: DepositConfigFile, terminal: Out) -> None:
    """Show one deposit of the catalogue.

    Parameters
    ----------
    deposit
        Its id or the first digits of it, its sequence number, or `latest`.
    """
    from exclave.cli.words.layouts import layouts_json, layouts_words
    from exclave.deposit.catalogue import Catalogue
    from exclave.wiring.settings import load_deposit_settings

    entry = _find(_catalogue(config), deposit)
    live = Catalogue(load_deposit_settings(config).catalogue).live(entry.sequence)
    layouts = None if live is None else live.layouts
    lines = [*_entry_lines(entry), f"  {layouts_words(layouts)}"]
    lines += [
        f"  {item.id:24} {count(item.rows, item.files)}  {item.title}" for item in entry.registers
    ]
    terminal.result({**_entry_json(entry), "layouts": layouts_json(layouts)}, lines)


def status(*, config: DepositConfigFile, offline: Flag = False, terminal: Out) -> int:
    """Show each declared register against its RPO, the seats, the spool, and what is ahead.

    Ends with 1 when something is late, unreachable or was never deposited.

    Parameters
    ----------
    offline
        Do not ask the vaults.
    """
    from exclave.wiring.depositor import open_home
    from exclave.wiring.overview import overview

    found = overview(open_home(config), ask=not offline)
    terminal.result(_overview_json(found), _overview_lines(found))
    return 0 if found.good else NOT_AS_IT_SHOULD_BE


def check(*, config: DepositConfigFile, terminal: Out) -> int:
    """Try everything a deposit needs: registers, privileges, seats with their pinned keys.

    Ends with 1 when something would fail.
    """
    from exclave.wiring.checks import run_checks
    from exclave.wiring.depositor import open_home
    from exclave.wiring.learning import learn_charter

    home = learn_charter(open_home(config))
    with terminal.telling(CONNECTIONS):
        results = run_checks(home)
    terminal.result(
        {
            "checks": [
                {
                    "what": r.what,
                    "good": r.good,
                    "warns": r.warns,
                    "said": r.said,
                    "hint": r.hint,
                }
                for r in results
            ]
        },
        [line for r in results for line in _check_lines(r)],
    )
    return 0 if all(r.good for r in results) else NOT_AS_IT_SHOULD_BE


def _check_lines(result: CheckResult) -> list[str]:
    said = f": {result.said}" if result.said else ""
    mark = "FAIL" if not result.good else "look" if result.warns else "ok  "
    lines = [f"{mark} {result.what}{said}"]
    return lines if result.hint is None else [*lines, f"     hint: {result.hint}"]


def _catalogue(config: Path) -> list[CatalogueEntry]:
    from exclave.deposit.catalogue import Catalogue
    from exclave.wiring.settings import load_deposit_settings

    folder = load_deposit_settings(config).catalogue
    return Catalogue(folder).entries() if folder.is_dir() else []


def _find(entries: list[CatalogueEntry], name: str) -> CatalogueEntry:
    if name == "latest":
        found = entries[-1:]
    elif name.isdigit() and len(name) < 8:
        found = [entry for entry in entries if entry.sequence == int(name)]
    else:
        found = [entry for entry in entries if entry.deposit.hex().startswith(name.lower())]
    if len(found) != 1:
        raise UsageError(
            f"deposit {name[:40]!r}: expected the name of one deposit, got {len(found)} matches",
            hint="exclave deposits -c deposit.toml",
        )
    return found[0]


def _entry_json(entry: CatalogueEntry) -> dict[str, object]:
    return dict(entry.to_json())


def _entry_lines(entry: CatalogueEntry) -> list[str]:
    registers = ", ".join(item.id for item in entry.registers)
    amounts = f"read {size(entry.read)}, new {size(entry.new)}, stored {size(entry.stored)}"
    return [
        f"deposit {entry.deposit.hex()}  number {entry.sequence}  {entry.started}",
        f"  {registers}: {amounts}",
    ]


def _unread_line(register: str, item: Unread) -> str:
    if item.read_all is not None:
        text = f"everything was read: {item.read_all}"
    else:
        text = f"{item.files} files of {size(item.bytes)} stood as they did and were not read again"
    if item.unsettled:
        text += f"; {item.unsettled} were written just now and will be read again"
    return f"  {register}: {text}"


def _overview_json(found: Overview) -> dict[str, object]:
    return {
        "good": found.good,
        "registers": [_register_json(item) for item in found.registers],
        "seats": [_seat_json(item) for item in found.seats],
        "spool": {
            "used": found.spool_used,
            "limit": found.spool_limit,
            "deposits_until_full": found.deposits_until_spool_full,
        },
        "full_deposit_bytes": found.full_deposit,
        "journal": found.journal_there,
        "catalogue": found.catalogue_there,
    }


def _register_json(item: RegisterState) -> dict[str, object]:
    return {
        "id": item.id,
        "title": item.title,
        "health": item.health.value,
        "deposit": None if item.last is None else item.last.deposit.hex(),
        "started": None if item.last is None else item.last.started,
        "age": item.age,
        "rpo": item.rpo,
        "held": list(item.held),
    }


def _seat_json(item: SeatState) -> dict[str, object]:
    answer = item.answer
    return {
        "seat": item.seat,
        "state": item.state,
        "vault": item.name,
        "health": item.health.value,
        "late_shards": item.late_shards,
        "spooled": item.spooled,
        "problem": answer if isinstance(answer, str) else None,
    }


def _overview_lines(found: Overview) -> list[str]:
    lines = ["registers"]
    lines += [f"  {_register_line(item)}" for item in found.registers]
    lines.append("seats")
    lines += [f"  {_seat_line(item)}" for item in found.seats]
    lines.append(f"spool {size(found.spool_used)} of {size(found.spool_limit)}")
    if found.deposits_until_spool_full is not None:
        lines.append(f"  full after {found.deposits_until_spool_full} more deposits like the last")
    if not found.journal_there:
        again = "the next deposit rebuilds it from the catalogue"
        if not found.catalogue_there:
            again = "there is no catalogue either: the next deposit sends everything anew"
        lines.append(f"no journal: {again}")
    if found.full_deposit:
        lost = not (found.journal_there or found.catalogue_there)
        when = "the" if lost else "if journal and catalogue were lost, the"
        lines.append(
            f"{when} next deposit {'will' if lost else 'would'} send about "
            f"{size(found.full_deposit)} over all seats"
        )
    return lines


def _register_line(item: RegisterState) -> str:
    if item.last is None or item.age is None:
        return f"{item.health.value:5} {item.id:24} NEVER DEPOSITED ({item.title})"
    held = ", ".join(map(str, item.held)) or "none known"
    return (
        f"{item.health.value:5} {item.id:24} {_age(item.age)} old of RPO {duration(item.rpo)}, "
        f"seats {held} ({item.title})"
    )


def _seat_line(item: SeatState) -> str:
    text = f"{item.health.value:5} {item.seat} {item.state} {item.name}"
    if isinstance(item.answer, str):
        text += f": {item.answer}"
    if item.late_shards:
        text += f": {item.late_shards} shards behind, {size(item.spooled)} in the spool"
    return text


def _age(seconds: int) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
