"""The papers of bags at home: read from the vaults' logs, kept, and judged together.

Rules
- A paper that was read once is kept (`[bags] papers` of deposit.toml): a log that is silent today
  makes no lost bag found. Papers that came by mail are laid there, alone or in their folder.
- Whatever lies there counts by its signatures; a file that is wrong is named and hides no other.
- Home's own knowledge of a seat (journal, spool) is taken as it stands; a seat that goes by bags is
  as old as what its own word came home of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exclave.authority.charter import parse_charter
from exclave.authority.custody import verify_custody
from exclave.authority.envelope import Envelope, Kind
from exclave.carried.papers import BagLimits, Paper, judge_bags
from exclave.check.bags import FedSeat, SeatBags, look_after
from exclave.clock import parse_time
from exclave.durable import make_path, replace_file
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.ledger.checkpoint import log_verifier
from exclave.values import dataclass
from exclave.wiring.asking import asking
from exclave.wiring.files import load_envelope
from exclave.wiring.officials import CHARTERS

if TYPE_CHECKING:
    from exclave.authority.charter import Charter
    from exclave.deposit.catalogue_entry import CatalogueEntry
    from exclave.ledger.note import NoteVerifier
    from exclave.wiring.depositor import Home
    from exclave.wiring.overview import SeatMemory
    from exclave.wiring.settings import BagSettings

__all__ = [
    "KeptPapers",
    "ReadLogs",
    "charters_of",
    "kept_papers",
    "papers_in",
    "read_logs",
    "watch_bags",
]

_LAID: Final = ("[0-9]*-*.json", "[0-9a-f]" * 64 + ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPapers:
    """What lies at home."""

    papers: tuple[Paper, ...]
    wrong: tuple[tuple[str, str], ...]  # files, and what is wrong with each


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLogs:
    """How far the logs could be read."""

    asked: int
    read: int
    papers: tuple[Paper, ...]  # rightly signed
    wrong: tuple[tuple[str, str], ...]  # by the first digits of their hash
    unkept: str | None  # why they could not be kept


def read_logs(home: Home) -> ReadLogs:
    """Read the papers of every log that answers, and keep those that are rightly signed."""
    from exclave.vault.survey.bag_papers import read_papers

    charters = charters_of(home)
    with asking(home) as (loop, records):
        found = loop.run(
            read_papers(list(records.values()), home.party.mission, _log_keys(charters))
        )
    good: dict[Envelope, Paper] = {}
    wrong: list[tuple[str, str]] = []
    for envelope in found.envelopes:
        statement = envelope.statement_hash
        try:
            custody = verify_custody(envelope, charters)
        except ExclaveError as error:
            wrong.append((statement.hex()[:16], error.message))
        else:
            good[envelope] = Paper(statement=statement, custody=custody)
    return ReadLogs(
        asked=len(records),
        read=len(found.read),
        papers=tuple(good.values()),
        wrong=tuple(wrong),
        unkept=_keep(home.settings.bags.papers, good),
    )


def kept_papers(home: Home) -> KeptPapers:
    """Every paper at home; asks nobody."""
    folder = home.settings.bags.papers
    return papers_in(folder, charters_of(home) if folder.is_dir() else ())


def papers_in(folder: Path, charters: Sequence[Charter]) -> KeptPapers:
    """Every paper of a folder that a party of one of the charters signed."""
    papers: dict[bytes, Paper] = {}
    wrong: list[tuple[str, str]] = []
    for path in _files(folder):
        try:
            envelope = load_envelope(path, Kind.CUSTODY)
            custody = verify_custody(envelope, charters)
        except ExclaveError as error:
            wrong.append((str(path.relative_to(folder)), error.message))
        else:
            statement = envelope.statement_hash
            papers[statement] = Paper(statement=statement, custody=custody)
    return KeptPapers(papers=tuple(papers.values()), wrong=tuple(wrong))


def watch_bags(
    home: Home,
    papers: Iterable[Paper],
    memory: SeatMemory | None,
    entries: Sequence[CatalogueEntry],
    moment: datetime,
) -> tuple[SeatBags, ...]:
    """Every seat of the charter that is a safe or has a bag."""
    seats = tuple(_fed(home, memory, entries))
    limits = _limits(home.settings.bags)
    states = judge_bags(papers, now=moment, safes=home.party.charter.safes, limits=limits)
    return look_after(states, seats, limits=limits, now=moment)


def _limits(settings: BagSettings) -> BagLimits:
    """What deposit.toml says of how long bags may be as they are."""
    return BagLimits(
        under_way=timedelta(seconds=settings.under_way),
        unlodged=timedelta(seconds=settings.unlodged),
        unread=timedelta(seconds=settings.unread),
    )


def _fed(
    home: Home, memory: SeatMemory | None, entries: Sequence[CatalogueEntry]
) -> Iterator[FedSeat]:
    began = {entry.sequence: parse_time(entry.started) for entry in entries}
    lodged = {} if memory is None else memory.lodged
    for entry in home.party.charter.active_seats:
        seat = entry.seat
        held = (began[n] for n, seats in lodged.items() if seat in seats and n in began)
        yield FedSeat(
            seat=seat,
            safe=seat in home.party.charter.safes,
            lacks=None if memory is None else memory.late.get(seat, 0),
            holds=max(held, default=None),
        )


def _files(folder: Path) -> list[Path]:
    found = {path for pattern in _LAID for path in folder.rglob(pattern)}
    return sorted(path for path in found if path.is_file())


def _keep(folder: Path, envelopes: Iterable[Envelope]) -> str | None:
    """Keep those that are not there yet; why that cannot be."""
    try:
        for envelope in envelopes:
            path = folder / f"{envelope.statement_hash.hex()}.json"
            if not path.exists():
                make_path(folder)
                replace_file(path, [envelope.to_bytes()], mode=0o600)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    except ExclaveError as error:
        return error.message
    return None


def charters_of(home: Home) -> Sequence[Charter]:
    """The charter at hand, and those before it that lie beside the bundle."""
    found = {home.party.charter.statement_hash: home.party.charter}
    for path in sorted((home.settings.depositor / CHARTERS).glob("*.json"), reverse=True):
        try:
            charter = parse_charter(load_envelope(path, Kind.CHARTER))
        except ExclaveError:
            continue  # papers that it alone knows are named then
        if charter.mission_id == home.party.mission:
            found.setdefault(charter.statement_hash, charter)
    return tuple(found.values())


def _log_keys(charters: Sequence[Charter]) -> Mapping[Seat, Sequence[NoteVerifier]]:
    keys: dict[Seat, list[NoteVerifier]] = {}
    for charter in charters:
        for entry in charter.seats:
            key = log_verifier(charter.mission_id, entry.seat, entry.log_key.raw)
            if key not in keys.setdefault(entry.seat, []):
                keys[entry.seat].append(key)
    return keys
