"""`bag pack` at home and `bag copy` at a vault: what goes into a bag, and onto which media."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exclave.cli.options import DepositConfigFile, Out
from exclave.errors import ConfigurationError, UsageError
from exclave.plain_words import grouped, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from exclave.cli.terminal import Terminal
    from exclave.ids import DepositId
    from exclave.wiring.bags import Carrier, PackedBag

__all__ = ["Media", "copy", "pack"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Media:
    """Onto what a bag is packed, and where its papers begin.

    Parameters
    ----------
    papers
        A new folder for the bag's papers, which travel apart from it.
    folder
        The new folder to write, for instance on a removable disk.
    volumes
        Files or tape devices to write one after the other, in place of a folder; a device that is
        named twice is asked to be loaded again.
    capacity
        Most that one volume takes, such as 6TiB; otherwise as much as it does take.
    """

    papers: Path
    folder: Path | None = None
    volumes: Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=True)] = None
    capacity: str | None = None


def pack(
    *,
    config: DepositConfigFile,
    seat: int,
    media: Media,
    deposit: str | None = None,
    carry: Annotated[list[Path] | None, Parameter(name="--with", negative=())] = None,
    further: Annotated[list[int] | None, Parameter(negative=())] = None,
    terminal: Out,
) -> None:
    """Pack what a seat lacks and lies in the spool for it; asks no vault.

    Parameters
    ----------
    seat
        Whose shards: a vault's seat or a safe's.
    deposit
        Nothing after this deposit (hex).
    carry
        A file that goes with it: a charter, an order, the sealed annex; may be repeated.
    further
        Another safe whose shards go with it, where the charter allows whole deposits in one bag;
        may be repeated.
    """
    from exclave.ids import Seat
    from exclave.wiring.bags import pack as pack_it
    from exclave.wiring.depositor import open_home

    packed = pack_it(
        open_home(config),
        Seat(seat),
        _carrier(terminal, media),
        media.papers,
        deposit=None if deposit is None else _deposit(deposit),
        more=carry or (),
        further=[Seat(number) for number in further or ()],
    )
    _say(terminal, packed, media.papers)
    if packed.contents.absent:
        terminal.warning(
            f"{packed.contents.absent} shards of these deposits lie nowhere for seat {seat}",
            hint="the next deposit seals what it needs of them again; what its vault has is copied "
            "there (exclave bag copy)",
        )


def copy(
    vault: Path,
    *,
    media: Media,
    mission: str | None = None,
    deposit: str | None = None,
    terminal: Out,
) -> None:
    """Pack what a vault holds itself, as a copy of its seat; also beside its running server.

    Parameters
    ----------
    vault
        The vault's folder.
    mission
        Whose shards (hex), at a vault that holds several missions.
    deposit
        Only what this deposit (hex) needs, older packs included.
    """
    from exclave.cli.names import named_hex
    from exclave.ids import MissionId
    from exclave.wiring.bag_copies import copy as copy_it

    packed = copy_it(
        vault,
        _carrier(terminal, media),
        media.papers,
        mission=None if mission is None else MissionId(named_hex(mission, 32, "--mission")),
        deposit=None if deposit is None else _deposit(deposit),
    )
    _say(terminal, packed, media.papers)
    if packed.contents.absent:
        terminal.warning(
            f"{packed.contents.absent} shards that records name are not at this vault",
            hint="they are on their way, or were swept",
        )


def _say(terminal: Terminal, packed: PackedBag, papers: Path) -> None:
    inventory = packed.contents.inventory
    terminal.result(
        {
            "bag": inventory.bag.hex(),
            "inventory": inventory.hash.hex(),
            "seat": inventory.seat,
            "further": list(inventory.further),
            "items": len(inventory.items),
            "bytes": inventory.content_size,
            "records": packed.records,
            "absent": packed.contents.absent,
            "whole_deposit": packed.whole_deposit,
            "papers": str(papers),
        },
        [
            (
                f"bag {inventory.bag.hex()} for seat {inventory.seat}: "
                f"{len(inventory.items)} items, {size(inventory.content_size)}"
            ),
            f"inventory {grouped(inventory.hash)}",
            f"papers in {papers}: seal it next (exclave bag seal)",
        ],
    )
    if packed.whole_deposit:
        terminal.warning("this bag opens with the cards and the keys of its seats alone")


def _carrier(terminal: Terminal, media: Media) -> Carrier:
    from exclave.plan import parse_size
    from exclave.wiring.bags import Carrier

    volumes = media.volumes or ()
    if (media.folder is None) is (not volumes):
        got = "neither" if media.folder is None else "both"
        raise UsageError(f"bag: expected either --folder or --volumes, got {got}")
    if media.folder is not None and media.capacity is not None:
        raise UsageError(
            "bag: expected --capacity with --volumes, got it with --folder",
            hint="a folder is on one disk; what is larger goes on several volumes",
        )
    _require_new(volumes)
    try:
        capacity = None if media.capacity is None else parse_size(media.capacity)
    except ValueError as error:
        raise ConfigurationError(f"--capacity: {error}, got {media.capacity!r}") from error
    return Carrier(
        folder=media.folder,
        next_volume=_volumes(terminal, volumes),
        capacity=capacity,
    )


def _volumes(terminal: Terminal, paths: Sequence[Path]) -> Callable[[int], Path | None]:
    used: set[Path] = set()

    def following(number: int) -> Path | None:
        if number > len(paths):
            return _asked(terminal, f"volume {number - 1} is full; file or device of the next one")
        path = paths[number - 1]
        if path in used:
            terminal.wait_for(f"load volume {number} into {path}")
        used.add(path)
        return path

    return following


def _asked(terminal: Terminal, question: str) -> Path | None:
    """Asked again where nothing can be written: hours of packing hang on one word."""
    from exclave.bag.media import require_medium
    from exclave.errors import ExclaveError

    while name := terminal.line(question):
        try:
            require_medium(Path(name))
        except ExclaveError as error:
            terminal.warning(error.message, hint=error.hint)
        else:
            return Path(name)
    return None


def _require_new(paths: Sequence[Path]) -> None:
    """Before anything is packed: no file that is there, and none twice."""
    from exclave.bag.media import require_medium

    for at, path in enumerate(paths):
        require_medium(path)
        if path in paths[:at] and not path.exists():
            raise UsageError(
                f"{path}: expected each file once, got it twice",
                hint="only a drive is named again, and then loaded with the next tape",
            )


def _deposit(text: str) -> DepositId:
    from exclave.cli.names import named_hex
    from exclave.ids import DepositId

    return DepositId(named_hex(text, 16, "--deposit"))
