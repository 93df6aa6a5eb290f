"""A bag's papers in a folder: who had it when, each statement a file (spec/bag.md 4).

The folder goes beside the bag, or by mail: `exclave-bag.json` (a copy of the inventory), the
charters, and `01-sealed-...json` and so on. Papers are only ever added. What is in the folder and
is not rightly signed stops whoever reads it: somebody put it there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_chain import CharterChain, verify_chain
from exclave.authority.custody import (
    Act,
    Custody,
    Party,
    PartyRole,
    custody_envelope,
    parse_custody,
    verify_custody,
)
from exclave.authority.envelope import Envelope, Kind
from exclave.bag.lodging import BagAstray
from exclave.carried.inventory import Inventory, parse_inventory
from exclave.carried.papers import BagState, Paper, judge_bags
from exclave.durable import make_path, write_new_file
from exclave.errors import ConfigurationError
from exclave.ids import MissionId
from exclave.signer.bundle import Purpose
from exclave.signer.interface import sign_envelope
from exclave.values import dataclass
from exclave.wiring.files import load_envelope, read_file

if TYPE_CHECKING:
    from exclave.signer.opening import SigningKeys

__all__ = [
    "BagNotSealed",
    "Papers",
    "PapersExist",
    "PapersForeign",
    "PartyUnknown",
    "add_paper",
    "open_papers",
    "papers_of",
    "party_of",
    "require_mission",
    "require_no_papers",
    "require_same",
    "require_signer",
]

_INVENTORY: Final = "exclave-bag.json"
_CHARTERS: Final = "charters"
_CHARTER: Final = "charter.json"


class PapersExist(ConfigurationError):
    """Papers would be written over others."""


class PapersForeign(ConfigurationError):
    """Papers of another bag or mission, or a bag that is not what its papers say."""


class PartyUnknown(ConfigurationError):
    """Keys of somebody whom no charter of the mission knows."""


class BagNotSealed(ConfigurationError):
    """A bag without its first paper, or one that is sealed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """Papers that were read, all of them rightly signed."""

    folder: Path
    inventory: Inventory
    chain: CharterChain
    papers: tuple[Paper, ...]
    envelopes: tuple[Envelope, ...]

    def state(self, now: datetime, *, torn: int = 0) -> BagState | None:
        """Where the bag is; None before it is sealed."""
        states = judge_bags(self.papers, now=now, torn={self.inventory.bag: torn})
        return states[0] if states else None


def require_no_papers(folder: Path, bag: Path | None = None) -> None:
    """Raise `PapersExist` unless papers of a bag, packed into that folder, can begin there."""
    if folder.exists() and not folder.is_dir():
        raise PapersExist(f"{folder}: expected a new or empty folder, got a file")
    if folder.exists() and any(folder.iterdir()):
        raise PapersExist(
            f"{folder}: expected a new or empty folder, got one with files in it",
            hint="each bag has papers of its own",
        )
    if bag is not None and folder.absolute().is_relative_to(bag.absolute()):
        raise PapersExist(
            f"{folder}: expected a folder apart from the bag, got one in it",
            hint="they travel apart; a copy may be put into the bag's papers/ later",
        )


@contextmanager
def papers_of(folder: Path, inventory: Inventory, charters: Sequence[Envelope]) -> Iterator[None]:
    """Papers of a bag that is packed meanwhile: no bag without them, none of them without it."""
    require_no_papers(folder)
    there = folder.exists()
    try:
        _write_first(folder, inventory, charters)
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if there:
            folder.mkdir(exist_ok=True)
        raise


def _write_first(folder: Path, inventory: Inventory, charters: Sequence[Envelope]) -> None:
    make_path(folder / _CHARTERS, mode=0o755)
    for number, envelope in enumerate(charters, start=1):
        write_new_file(folder / _CHARTERS / f"{number:04}.json", [envelope.to_bytes()])
    newest = max(charters, key=lambda item: parse_charter(item).order)
    write_new_file(folder / _CHARTER, [newest.to_bytes()])
    write_new_file(folder / _INVENTORY, [inventory.encode()])


def open_papers(folder: Path) -> Papers:
    """Read a folder of papers; raises what is wrong with any of them."""
    if not (folder / _INVENTORY).is_file():
        raise ConfigurationError(
            f"{folder}: expected a bag's papers, got no {_INVENTORY}",
            hint="it is the folder that `exclave bag pack --papers` made",
        )
    if not (folder / _CHARTER).is_file():
        raise ConfigurationError(
            f"{folder}: expected a bag's papers, got the bag itself",
            hint="papers are the other folder, with charter.json in it",
        )
    inventory = parse_inventory(read_file(folder / _INVENTORY))
    charters = [
        load_envelope(file, Kind.CHARTER) for file in sorted((folder / _CHARTERS).glob("*.json"))
    ]
    chain = verify_chain(charters, inventory.mission)
    envelopes = [load_envelope(file, Kind.CUSTODY) for file in sorted(folder.glob("[0-9]*-*.json"))]
    papers: list[Paper] = []
    for envelope in envelopes:
        custody = verify_custody(envelope, chain.charters)
        if custody.bag != inventory.bag:
            raise ConfigurationError(
                f"{folder}: expected papers of bag {inventory.bag.hex()}, "
                f"got one of bag {custody.bag.hex()}"
            )
        papers.append(Paper(statement=envelope.statement_hash, custody=custody))
    return Papers(
        folder=folder,
        inventory=inventory,
        chain=chain,
        papers=tuple(papers),
        envelopes=tuple(envelopes),
    )


def require_same(papers: Papers, inventory: Inventory) -> None:
    """Raise `PapersForeign` unless these are the papers of the bag with this very inventory."""
    if papers.inventory != inventory:
        raise PapersForeign(
            f"{papers.folder}: expected papers of bag {inventory.bag.hex()}, got those of "
            f"{papers.inventory.bag.hex()} with inventory {papers.inventory.hash.hex()[:16]}",
            hint="a bag whose inventory is not that of its papers was packed by somebody else",
        )


def require_mission(papers: Papers, mission: MissionId) -> None:
    """Raise `PapersForeign` unless a bag's papers are of this mission."""
    if papers.inventory.mission != mission:
        raise PapersForeign(
            f"{papers.folder}: expected papers of mission {mission.hex()}, "
            f"got those of mission {papers.inventory.mission.hex()}",
            hint="they are another state's: nothing here is theirs",
        )


def add_paper(
    papers: Papers,
    keys: SigningKeys,
    act: Act,
    *,
    now: datetime,
    to: Party | None = None,
    marks: str = "",
    good: int | None = None,
    bad: int | None = None,
) -> tuple[Path, Envelope]:
    """Sign what happened and put it with the others; returns its file and the statement."""
    by = require_signer(papers, keys, act)
    state = papers.state(now)
    if to is not None:
        _require_known(to, papers.chain.charters)
    custody = Custody(
        mission=papers.inventory.mission,
        bag=papers.inventory.bag,
        inventory=papers.inventory.hash,
        seat=papers.inventory.seat,
        act=act,
        by=by,
        to=to,
        previous=None if state is None else state.newest.statement,
        marks=marks,
        good=good,
        bad=bad,
        time=now.replace(microsecond=0),
    )
    signers = keys.signers[:1] if keys.purpose is Purpose.VAULT else keys.signers
    envelope = sign_envelope(custody_envelope(custody), signers)
    parse_custody(envelope)
    name = f"{len(papers.papers) + 1:02}-{act}-{envelope.statement_hash.hex()[:8]}.json"
    write_new_file(papers.folder / name, [envelope.to_bytes()])
    return papers.folder / name, envelope


def require_signer(papers: Papers, keys: SigningKeys, act: Act) -> Party:
    """As whom these keys may say this now; raises before anything is read or lodged for it."""
    sealed = bool(papers.papers)
    if sealed is (act is Act.SEALED):
        raise BagNotSealed(
            f"{papers.folder}: expected a bag that {'was not yet' if sealed else 'was'} "
            f"sealed, got one that {'was' if sealed else 'was not'}",
            hint=None if sealed else "exclave bag seal PAPERS",
        )
    by = party_of(keys, papers.chain)
    if act is Act.LODGED and by != Party(PartyRole.SEAT, str(papers.inventory.seat)):
        raise BagAstray(
            f"bag {papers.inventory.bag.hex()}: expected the key of seat "
            f"{papers.inventory.seat}, got that of {by}",
            hint="its shards open at their own seat only: hand it on",
        )
    return by


def party_of(keys: SigningKeys, chain: CharterChain) -> Party:
    """As whom a charter knows these keys; raises `PartyUnknown`."""
    for charter in reversed(chain.charters):
        if (found := _known_as(keys, charter)) is not None:
            return found
    raise PartyUnknown(
        f"keys of {keys.id}: expected an official's, depositor's or seat's of the mission, "
        "got keys that no charter has",
        hint="couriers are officials: a charter change seats another",
    )


def _known_as(keys: SigningKeys, charter: Charter) -> Party | None:
    match keys.purpose:
        case Purpose.OFFICIAL:
            own = {key.key_id for key in keys.public}
            for official in charter.officials:
                if any({key.key_id for key in keyset} <= own for keyset in official.key_sets):
                    return Party(PartyRole.OFFICIAL, official.id)
        case Purpose.DEPOSITOR:
            for depositor in charter.depositors:
                if depositor.keys == keys.public:
                    return Party(PartyRole.DEPOSITOR, depositor.id)
        case Purpose.VAULT:
            for seat in charter.seats:
                if seat.log_key == keys.public[0]:
                    return Party(PartyRole.SEAT, str(seat.seat))
        case _:
            pass
    return None


def _require_known(party: Party, charters: Sequence[Charter]) -> None:
    names = {f"official {official.id}" for c in charters for official in c.officials}
    names |= {f"depositor {depositor.id}" for c in charters for depositor in c.depositors}
    names |= {f"seat {seat.seat}" for c in charters for seat in c.seats}
    if str(party) not in names:
        raise PartyUnknown(
            f"{party}: expected a party of the mission, got none that a charter has",
            hint="official p-..., depositor NAME or seat NUMBER",
        )
