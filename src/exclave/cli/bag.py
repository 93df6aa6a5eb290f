"""`bag pack | verify | seal | hand-over | receive | report | lodge | settle | list`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from exclave.cli.options import (
    DepositConfigFile,
    Flag,
    Out,
    PassphraseDescriptor,
    PassphraseFile,
)
from exclave.errors import ConfigurationError, IntegrityError, UsageError
from exclave.plain_words import grouped, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exclave.authority.custody import Act, Party
    from exclave.bag.interface import ReadableBag
    from exclave.cli.terminal import Terminal
    from exclave.ids import DepositId
    from exclave.wiring.bags import Carrier

__all__ = ["bag"]

bag = App(name="bag", help="The diplomatic bag: carried media.", help_format="plaintext")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Signing:
    """Who signs a bag's paper.

    Parameters
    ----------
    key
        The key file, SSH key or `pkcs11:` URI of whoever says this: an official, the depositor
        (keys.json of its bundle), or a vault or safe (keys/vault.key).
    marks
        The seals that are on the bag, in words; broken ones are said to be.
    passphrase_file
        Read the passphrase from this file (mode 0600).
    passphrase_fd
        Read it from this open descriptor.
    """

    key: str
    marks: str = ""
    passphrase_file: PassphraseFile = None
    passphrase_fd: PassphraseDescriptor = None


@dataclass(frozen=True, kw_only=True)
class _Packing:
    folder: Path | None
    volumes: list[Path] = field(default_factory=list)
    capacity: str | None = None


@bag.command(name="pack")
def pack(
    *,
    config: DepositConfigFile,
    seat: int,
    papers: Path,
    folder: Path | None = None,
    volumes: Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=True)] = None,
    capacity: str | None = None,
    deposit: str | None = None,
    carry: Annotated[list[Path] | None, Parameter(name="--with", negative=())] = None,
    terminal: Out,
) -> None:
    """Pack what a seat lacks and lies in the spool for it; asks no vault.

    Parameters
    ----------
    seat
        Whose shards: a vault's seat or a safe's.
    papers
        A new folder for the bag's papers, which travel apart from it.
    folder
        The new folder to write, for instance on a removable disk.
    volumes
        Files or tape devices to write one after the other, in place of a folder; a device that is
        named twice is asked to be loaded again.
    capacity
        Most that one volume takes, such as 6TiB; otherwise as much as it does take.
    deposit
        Nothing after this deposit (hex).
    carry
        A file that goes with it: a charter, an order, the sealed annex; may be repeated.
    """
    from exclave.ids import Seat
    from exclave.wiring.bags import pack as pack_it
    from exclave.wiring.depositor import open_home

    carrier = _carrier(terminal, _Packing(folder=folder, volumes=volumes or [], capacity=capacity))
    packed = pack_it(
        open_home(config),
        Seat(seat),
        carrier,
        papers,
        deposit=None if deposit is None else _deposit(deposit),
        more=carry or (),
    )
    inventory = packed.contents.inventory
    terminal.result(
        {
            "bag": inventory.bag.hex(),
            "inventory": inventory.hash.hex(),
            "seat": seat,
            "items": len(inventory.items),
            "bytes": inventory.content_size,
            "records": packed.records,
            "absent": packed.contents.absent,
            "whole_deposit": packed.whole_deposit,
            "papers": str(papers),
        },
        [
            (
                f"bag {inventory.bag.hex()} for seat {seat}: {len(inventory.items)} items, "
                f"{size(inventory.content_size)}"
            ),
            f"inventory {grouped(inventory.hash)}",
            f"papers in {papers}: seal it next (exclave bag seal)",
        ],
    )
    if packed.whole_deposit:
        terminal.warning("this bag opens with the cards and its seat's key alone (k = 1)")
    if packed.contents.absent:
        terminal.warning(
            f"{packed.contents.absent} shards of these deposits lie nowhere for seat {seat}",
            hint="the next deposit seals what it needs of them again",
        )


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

    opened = _open(terminal, place)
    known = None if papers is None else open_papers(papers)
    if known is not None:
        require_same(known, opened.inventory)
    found = check_bag(opened)
    value: dict[str, object] = {
        "bag": found.inventory.bag.hex(),
        "mission": found.inventory.mission.hex(),
        "seat": found.inventory.seat,
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
    if papers is not None and key is not None:
        signing = Signing(key=key, passphrase_file=passphrase_file, passphrase_fd=passphrase_fd)
        path = _sign(terminal, papers, signing, Act.VERIFIED, good=found.good, bad=found.bad)
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
    found = check_bag(opened)
    path = _sign(terminal, papers, signing, Act.LODGED, good=found.good, bad=found.bad)
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


@bag.command(name="seal")
def seal(papers: Path, *, signing: Signing, terminal: Out) -> None:
    """Close a bag: its first paper, signed by the depositor.

    Parameters
    ----------
    papers
        The folder of its papers.
    """
    from exclave.authority.custody import Act

    _act(terminal, papers, signing, Act.SEALED)


@bag.command(name="hand-over")
def hand_over(papers: Path, *, to: str, signing: Signing, terminal: Out) -> None:
    """Say who is to have the bag now.

    Parameters
    ----------
    papers
        The folder of its papers.
    to
        `official p-...`, `depositor NAME` or `seat NUMBER`.
    """
    from exclave.authority.custody import Act, read_party
    from exclave.authority.fields import Node

    _act(terminal, papers, signing, Act.HANDED_OVER, to=read_party(Node(to, "--to")))


@bag.command(name="receive")
def receive(papers: Path, *, signing: Signing, terminal: Out) -> None:
    """Say that the bag came, and which seals it has.

    Parameters
    ----------
    papers
        The folder of its papers.
    """
    from exclave.authority.custody import Act

    _act(terminal, papers, signing, Act.RECEIVED)


@bag.command(name="report")
def report(
    papers: Path, *, lost: Flag = False, opened: Flag = False, signing: Signing, terminal: Out
) -> None:
    """Say that a bag is lost, or that its seals are not as they were.

    Parameters
    ----------
    papers
        The folder of its papers.
    lost
        It is not where it should be.
    opened
        Its seals are broken or are others; --marks says how.
    """
    from exclave.authority.custody import Act

    if lost is opened:
        raise UsageError(
            f"bag report: expected --lost or --opened, got {'both' if lost else 'neither'}"
        )
    _act(terminal, papers, signing, Act.LOST if lost else Act.OPENED)


@bag.command(name="lodge")
def lodge(vault: Path, place: list[Path], *, papers: Path | None = None, terminal: Out) -> int:
    """Lodge a bag into a vault's or safe's folder, as what comes over the line; its server stops.

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

    known = [paper for folder in papers for paper in open_papers(folder).papers]
    if charter is not None or card is not None:
        from exclave.wiring.orders import view_for

        view = view_for(charter, card)
        known += [Paper(statement=name, custody=one) for name, one in view.papers]
    elif not papers:
        raise UsageError("bag list: expected folders of papers, --charter or --card, got none")
    states = judge_bags(known, now=now())
    terminal.result(
        {"bags": [state_json(state) for state in states]},
        [line for state in states for line in state_lines(state)] or ["no bag"],
    )
    return 1 if any(state.troubles for state in states) else 0


def _act(
    terminal: Terminal, papers: Path, signing: Signing, act: Act, *, to: Party | None = None
) -> None:
    path = _sign(terminal, papers, signing, act, to=to)
    terminal.result(
        {"paper": str(path), "act": act.value},
        [f"signed {path}", "hand it in where a line is up: exclave submit " + str(path)],
    )


def _sign(
    terminal: Terminal,
    folder: Path,
    signing: Signing,
    act: Act,
    *,
    to: Party | None = None,
    good: int | None = None,
    bad: int | None = None,
) -> Path:
    from exclave.cli.keys import open_for_signing
    from exclave.clock import now
    from exclave.wiring.papers import add_paper, open_papers

    papers = open_papers(folder)
    keys = open_for_signing(
        terminal, signing.key, file=signing.passphrase_file, descriptor=signing.passphrase_fd
    )
    return add_paper(papers, keys, act, now=now(), to=to, marks=signing.marks, good=good, bad=bad)[
        0
    ]


def _carrier(terminal: Terminal, packing: _Packing) -> Carrier:
    from exclave.plan import parse_size
    from exclave.wiring.bags import Carrier

    if (packing.folder is None) is (not packing.volumes):
        raise UsageError("bag pack: expected either --folder or --volumes")
    try:
        capacity = None if packing.capacity is None else parse_size(packing.capacity)
    except ValueError as error:
        raise ConfigurationError(f"--capacity: {error}, got {packing.capacity!r}") from error
    return Carrier(
        folder=packing.folder, next_volume=_volumes(terminal, packing.volumes), capacity=capacity
    )


def _volumes(terminal: Terminal, paths: Sequence[Path]) -> Callable[[int], Path | None]:
    used: set[Path] = set()

    def following(number: int) -> Path | None:
        if number > len(paths):
            name = terminal.line(f"volume {number - 1} is full; file or device of the next one")
            return Path(name) if name else None
        path = paths[number - 1]
        if path in used:
            terminal.wait_for(f"load volume {number} into {path}")
        used.add(path)
        return path

    return following


def _open(terminal: Terminal, place: Sequence[Path]) -> ReadableBag:
    from exclave.bag.opening import open_bag

    shared = {path for path in place if list(place).count(path) > 1 and not path.is_file()}

    def load(path: Path, number: int) -> None:
        if path in shared:
            terminal.wait_for(f"load volume {number} into {path}")

    return open_bag(place, load=load)


def _deposit(text: str) -> DepositId:
    from exclave.encoding import hex_decode
    from exclave.ids import DepositId

    return DepositId(hex_decode(text.lower(), length=16, subject="--deposit"))
