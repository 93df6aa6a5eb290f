"""`bag`: all its commands joined, and those that read bags: `verify`, `store`, `lodge`, `list`.

`settle` is here too; `pack` and `copy`, and what is signed into papers, have files of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from exclave.cli.bag_packing import copy, pack
from exclave.cli.bag_signing import (
    Signing,
    hand_over,
    receive,
    report,
    seal,
    sign_paper,
    signing_keys,
)
from exclave.cli.options import (
    DepositConfigFile,
    Out,
    PassphraseDescriptor,
    PassphraseFile,
)
from exclave.errors import IntegrityError, UsageError
from exclave.plain_words import grouped, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exclave.bag.interface import ReadableBag
    from exclave.cli.terminal import Terminal
    from exclave.vault.survey.survey import Problem

__all__ = ["bag"]

bag = App(name="bag", help="The diplomatic bag: carried media.", help_format="plaintext")
bag.command(pack, name="pack")
bag.command(copy, name="copy")
bag.command(seal, name="seal")
bag.command(hand_over, name="hand-over")
bag.command(receive, name="receive")
bag.command(report, name="report")


@bag.command(name="verify")
def verify(
    place: list[Path],
    *,
    papers: Path | None = None,
    key: str | None = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> int:
    """Read every byte of a bag, without keys; ends with 7 when something is not whole.

    Parameters
    ----------
    place
        The bag's folder, or its volumes in order.
    papers
        Its papers: compared, and with --key one more says that it was read.
    key
        Whose word that is.
    """
    from exclave.authority.custody import Act
    from exclave.bag.checking import check_bag
    from exclave.cli.words.bag import findings_json, findings_lines
    from exclave.wiring.papers import open_papers, require_same

    if key is not None and papers is None:
        raise UsageError("bag verify: expected --papers with --key, got --key alone")
    opened = _open(terminal, place)
    known = None if papers is None else open_papers(papers)
    if known is not None:
        require_same(known, opened.inventory)
    keys = None
    if papers is not None and key is not None:
        signing = Signing(key=key, passphrase_file=passphrase_file, passphrase_fd=passphrase_fd)
        keys = signing_keys(terminal, papers, signing, Act.VERIFIED)
    found = check_bag(opened)
    value: dict[str, object] = {
        "bag": found.inventory.bag.hex(),
        "mission": found.inventory.mission.hex(),
        "seat": found.inventory.seat,
        "further": list(found.inventory.further),
        "inventory": found.inventory.hash.hex(),
        "good": found.good,
        "bad": found.bad,
        "bytes": found.bytes,
        "deposits": [record.deposit.hex() for record in found.records],
        "whole_deposit": found.whole_deposit,
        "findings": findings_json(found.findings),
    }
    lines = [
        (
            f"bag {found.inventory.bag.hex()} for seat {found.inventory.seat} of mission "
            f"{found.inventory.mission.hex()[:16]}"
        ),
        f"inventory {grouped(found.inventory.hash)}",
        (
            f"{found.good} items good ({size(found.bytes)}), {found.bad} bad; "
            f"{len(found.records)} records"
        ),
        *findings_lines(found.findings),
    ]
    if papers is not None and keys is not None:
        path = sign_paper(papers, keys, Act.VERIFIED, good=found.good, bad=found.bad)
        value["paper"] = str(path)
        lines.append(f"signed {path}")
    terminal.result(value, lines)
    return IntegrityError.exit_code if found.findings else 0


@bag.command(name="store")
def store(papers: Path, place: list[Path], *, signing: Signing, terminal: Out) -> int:
    """Put a bag into a safe: read every byte, and say with the safe's key that it is kept there.

    Ends with 7 when something is not whole; the paper says how much.

    Parameters
    ----------
    papers
        The folder of its papers.
    place
        The bag's folder, or its volumes in order.
    """
    from exclave.authority.custody import Act
    from exclave.bag.checking import check_bag
    from exclave.cli.words.bag import findings_json, findings_lines
    from exclave.wiring.papers import open_papers, require_same

    opened = _open(terminal, place)
    known = open_papers(papers)
    require_same(known, opened.inventory)
    keys = signing_keys(terminal, papers, signing, Act.LODGED)
    found = check_bag(opened)
    path = sign_paper(papers, keys, Act.LODGED, marks=signing.marks, good=found.good, bad=found.bad)
    terminal.result(
        {
            "bag": found.inventory.bag.hex(),
            "good": found.good,
            "bad": found.bad,
            "findings": findings_json(found.findings),
            "paper": str(path),
        },
        [
            f"bag {found.inventory.bag.hex()}: {found.good} items good, {found.bad} bad",
            *findings_lines(found.findings),
            f"signed {path}",
        ],
    )
    return IntegrityError.exit_code if found.findings else 0


@bag.command(name="lodge")
def lodge(vault: Path, place: list[Path], *, papers: Path | None = None, terminal: Out) -> int:
    """Lodge a bag into a vault's or safe's folder, as what comes over the line, served or not.

    Ends with 7 when something of it could not be lodged; the rest was.

    Parameters
    ----------
    vault
        The vault's folder.
    place
        The bag's folder, or its volumes in order.
    papers
        Its papers: they go into the log, with one more that the vault signs.
    """
    from exclave.cli.words.bag import findings_json, findings_lines
    from exclave.wiring.bags import lodge as lodge_it
    from exclave.wiring.papers import open_papers

    known = None if papers is None else open_papers(papers)
    lodged, paper = lodge_it(vault, _open(terminal, place), known)
    states = {name.hex(): state.value for name, state in lodged.records}
    terminal.result(
        {
            "bag": lodged.inventory.bag.hex(),
            "good": lodged.good,
            "bad": lodged.bad,
            "new_shards": lodged.new,
            "records": states,
            "findings": findings_json(lodged.findings),
            "paper": None if paper is None else str(paper),
        },
        [
            (
                f"bag {lodged.inventory.bag.hex()}: {lodged.good} items good, {lodged.bad} bad, "
                f"{lodged.new} shards new"
            ),
            *(f"record {name[:16]}: {state}" for name, state in states.items()),
            *findings_lines(lodged.findings),
            *([] if paper is None else [f"signed {paper}"]),
        ],
    )
    return IntegrityError.exit_code if lodged.findings else 0


@bag.command(name="settle")
def settle(papers: Path, *, config: DepositConfigFile, terminal: Out) -> None:
    """Let the spool forget what a seat's own paper says that it lodged.

    Parameters
    ----------
    papers
        The folder of the bag's papers, come back from the seat.
    """
    from exclave.wiring.bags import settle as settle_it
    from exclave.wiring.depositor import open_home
    from exclave.wiring.papers import open_papers

    done = settle_it(open_home(config), open_papers(papers))
    terminal.result({"settled": done}, [f"{done} shards are at their seat and left the spool"])


@bag.command(name="list")
def list_bags(
    *papers: Path, charter: Path | None = None, card: Path | None = None, terminal: Out
) -> int:
    """Show where each bag is, how old, and when it was last read; ends with 1 on any trouble.

    Parameters
    ----------
    papers
        Folders of papers.
    charter
        The charter in force: its vaults' logs are asked for papers, too.
    card
        The head of a share card: the vaults on it are asked.
    """
    from exclave.carried.papers import Paper, judge_bags
    from exclave.cli.words.bag import state_json, state_lines
    from exclave.clock import now
    from exclave.wiring.papers import open_papers

    problems: tuple[Problem, ...] = ()
    folders = [open_papers(folder) for folder in papers]
    known = [paper for folder in folders for paper in folder.papers]
    charters = [folder.chain.newest for folder in folders]
    if charter is not None or card is not None:
        from exclave.wiring.orders import view_for

        view = view_for(charter, card)
        problems = view.problems
        known += [Paper(statement=name, custody=one) for name, one in view.papers]
        charters.append(view.charter)
    elif not papers:
        raise UsageError("bag list: expected folders of papers, --charter or --card, got none")
    states = judge_bags(known, now=now(), safes={s for c in charters for s in c.safes})
    terminal.result(
        {
            "bags": [state_json(state) for state in states],
            "problems": [{"seat": item.seat, "what": item.what} for item in problems],
        },
        [line for state in states for line in state_lines(state)] or ["no bag"],
    )
    for item in problems:
        terminal.warning(f"seat {item.seat}: {item.what}", hint="its log may know of more bags")
    return 1 if any(state.troubles for state in states) else 0


def _open(terminal: Terminal, place: Sequence[Path]) -> ReadableBag:
    from exclave.bag.opening import open_bag

    shared = {path for path in place if list(place).count(path) > 1 and not path.is_file()}

    def load(path: Path, number: int) -> None:
        if path in shared:
            terminal.wait_for(f"load volume {number} into {path}")

    return open_bag(place, load=load)
