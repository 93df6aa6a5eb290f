"""`deposit`, `deposits`, `show`, `status`: the custodian's daily commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.cli.options import CONNECTIONS, DepositConfigFile, EitherConfigFile, Flag, Out
from exclave.errors import UsageError
from exclave.ids import Seat
from exclave.plain_words import count, size
from exclave.values import asdict

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from exclave.cli.terminal import Terminal
    from exclave.deposit.catalogue import CatalogueEntry
    from exclave.source.interface import Unread

__all__ = [
    "NOT_AS_IT_SHOULD_BE",
    "deposit",
    "deposits",
    "find_deposit",
    "show",
    "status",
]

NOT_AS_IT_SHOULD_BE = 1
_CATCH_UP = "exclave deposit --catch-up"


def deposit(
    *registers: str,
    config: DepositConfigFile,
    catch_up: Flag = False,
    read_everything: Flag = False,
    bag_for: str | None = None,
    prove: Flag = False,
    terminal: Out,
) -> int:
    """Capture registers, seal them and lodge them in the vaults.

    With --prove it ends with 1 unless every register was proven; it is lodged all the same.

    Parameters
    ----------
    registers
        Ids of the registers; all of the plan when none is named.
    catch_up
        Capture nothing; only send late seats what they lack.
    read_everything
        Read all files, also those that stand as they did at the last deposit.
    bag_for
        Send nothing to this seat, or to several as in 3,4: its shards stay in the spool for a bag.
    prove
        Restore what was sent into quarantine and compare it, before its secret is forgotten.
    """
    from exclave.cli.allocator import return_large_memory
    from exclave.cli.progress import ShownDeposit
    from exclave.cli.words.proof import proof_json, proof_words
    from exclave.wiring.depositor import open_home, run_catch_up, run_deposit
    from exclave.wiring.learning import learn_charter

    return_large_memory()
    carried = _seats(bag_for)
    home = open_home(config)
    if catch_up and (registers or prove or bag_for):
        other = "registers" if registers else "--prove" if prove else "--bag-for"
        raise UsageError(f"deposit: expected {other} or --catch-up, got both")
    home = learn_charter(home)
    proof, unattested = None, dict[Seat, str]()
    with terminal.telling(CONNECTIONS), ShownDeposit(terminal) as shown:
        if catch_up:
            late = run_catch_up(home, shown)
            value: dict[str, object] = {"late": {str(seat): why for seat, why in late.items()}}
            lines = ["all seats are up to date" if not late else f"{len(late)} seats are late"]
        else:
            outcome = run_deposit(
                home,
                registers,
                shown,
                read_everything=read_everything,
                prove=prove,
                bag_for=carried,
            )
            late, proof, unattested = outcome.late, outcome.proof, dict(outcome.unattested)
            value = _entry_json(outcome.entry) | {
                "lodged": list(outcome.lodged),
                "late": {str(seat): why for seat, why in late.items()},
                "carried": sorted(late.keys() - home.on_line),
                "unread": {name: asdict(item) for name, item in outcome.unread.items()},
                "proof": None if proof is None else proof_json(proof, outcome),
            }
            lines = _entry_lines(outcome.entry)
            lines += [_unread_line(name, item) for name, item in outcome.unread.items()]
            lines.append("lodged at seats " + ", ".join(map(str, outcome.lodged)))
            lines += [] if proof is None else proof_words(proof, outcome)
    terminal.result(value, lines)
    _warn_late(terminal, late, by_bag={*carried, *(late.keys() - home.on_line)})
    for seat, why in sorted(unattested.items()):
        terminal.warning(f"seat {seat} has not logged the certificate: {why}")
    if proof is None or proof.passed:
        return 0
    terminal.failure("NOT PROVEN: the deposit is lodged, but " + proof.reasons[0])
    for reason in proof.reasons[1:]:
        terminal.warning(reason)
    return NOT_AS_IT_SHOULD_BE


def _warn_late(terminal: Terminal, late: Mapping[Seat, str], by_bag: Collection[int]) -> None:
    for seat, why in sorted(late.items()):
        way = f"exclave bag pack --seat {seat}" if seat in by_bag else _CATCH_UP
        terminal.warning(f"seat {seat} is late: {why}", hint=way)


def _seats(text: str | None) -> tuple[int, ...]:
    words = [] if text is None else text.split(",")
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(f"--bag-for: expected a seat's number, or several as in 3,4, got {text!r}")
    return tuple(map(int, words))


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

    entry = find_deposit(_catalogue(config), deposit)
    live = Catalogue(load_deposit_settings(config).catalogue).live(entry.sequence)
    layouts = None if live is None else live.layouts
    lines = [*_entry_lines(entry), f"  {layouts_words(layouts)}"]
    lines += [
        f"  {item.id:24} {count(item.rows, item.files)}  {item.title}" for item in entry.registers
    ]
    terminal.result({**_entry_json(entry), "layouts": layouts_json(layouts)}, lines)


def status(*, config: DepositConfigFile, offline: Flag = False, terminal: Out) -> int:
    """Show each declared register: age against its RPO, seats, last proof and drill; the spool.

    Ends with 1 when something is late, unreachable or was never deposited, or the last proof or
    drill of a register did not pass.

    Parameters
    ----------
    offline
        Do not ask the vaults.
    """
    from exclave.cli.words.overview import overview_json, overview_lines
    from exclave.wiring.depositor import open_home
    from exclave.wiring.overview import overview

    found = overview(open_home(config), ask=not offline)
    terminal.result(overview_json(found), overview_lines(found))
    return 0 if found.good else NOT_AS_IT_SHOULD_BE


def _catalogue(config: Path) -> list[CatalogueEntry]:
    from exclave.deposit.catalogue import Catalogue
    from exclave.wiring.settings import load_deposit_settings

    folder = load_deposit_settings(config).catalogue
    return Catalogue(folder).entries() if folder.is_dir() else []


def find_deposit(entries: list[CatalogueEntry], name: str) -> CatalogueEntry:
    """The one deposit of a catalogue that a name means; raises `UsageError`."""
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
        files, were = ("file", "was") if item.files == 1 else ("files", "were")
        stood = f"{item.files} {files} of {size(item.bytes)} stood as "
        text = f"{stood}{'it' if item.files == 1 else 'they'} did and {were} not read again"
    if item.unsettled:
        were = "was" if item.unsettled == 1 else "were"
        text += f"; {item.unsettled} {were} written just now and will be read again"
    return f"  {register}: {text}"
