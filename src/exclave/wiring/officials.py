"""The officials' machine without network: a request, charters and cards in, an answer out.

Imports nothing that could open a connection, and neither does the command that uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_chain import CharterChain, verify_chain
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.unsealing import UnsealRequest, answer_envelope, parse_unseal_request
from exclave.durable import replace_file
from exclave.errors import ConfigurationError, IntegrityError
from exclave.ids import MissionId, StatementHash
from exclave.unseal import CardDesk, Review, review, unseal
from exclave.wiring.files import load_charter, load_envelope

__all__ = [
    "CHARTERS",
    "CharterMissing",
    "UnsealTable",
    "charter_beside",
    "open_table",
    "store_charters",
]

CHARTERS = "charters"
"""Folder beside a request with every charter of the mission, in order."""


class CharterMissing(ConfigurationError):
    """No charter was given, and none lies beside the request."""


class UnsealTable:
    """One request with everything to answer it, once enough cards lie on the desk."""

    def __init__(
        self, request: UnsealRequest, chain: CharterChain, *, unsafe_without_warrant: bool
    ) -> None:
        self._request = request
        self._chain = chain
        self._unsafe = unsafe_without_warrant
        self.review: Review = review(request, chain, unsafe_without_warrant=unsafe_without_warrant)
        self.desk = CardDesk(charter=chain.newest, epoch=chain.newest.epoch(request.epoch))

    @property
    def warrant(self) -> Envelope | None:
        """The warrant that the request carries."""
        return self._request.warrant

    @property
    def chain(self) -> CharterChain:
        """The mission's charters."""
        return self._chain

    def answer(self, out: Path) -> int:
        """Recombine, answer into a new file; returns the number of secrets."""
        answer = unseal(self._request, self._chain, self.desk, unsafe_without_warrant=self._unsafe)
        replace_file(out, [answer_envelope(answer).to_bytes()], mode=0o600)
        return len(answer.secrets)


def open_table(
    request: Path, charters: Sequence[Path], *, unsafe_without_warrant: bool
) -> UnsealTable:
    """Read and check a request; `charters` in order, else those that lie beside it."""
    parsed = parse_unseal_request(load_envelope(request, Kind.UNSEAL_REQUEST))
    files = list(charters) or sorted((request.parent / CHARTERS).glob("*.json"))
    if not files:
        raise CharterMissing(
            f"{request}: expected the mission's charters in {CHARTERS}/ beside it, got none",
            hint="name them with --charter, charter 1 first",
        )
    envelopes = [load_envelope(file, Kind.CHARTER) for file in files]
    chain = verify_chain(envelopes, MissionId(envelopes[0].statement_hash))
    return UnsealTable(parsed, chain, unsafe_without_warrant=unsafe_without_warrant)


def store_charters(folder: Path, charters: Sequence[Envelope]) -> None:
    """Put a mission's charters where `open_table` looks for them."""
    place = folder / CHARTERS
    place.mkdir(mode=0o700, exist_ok=True)
    for number, envelope in enumerate(charters, start=1):
        replace_file(place / f"{number:04}.json", [envelope.to_bytes()], mode=0o600)


def charter_beside(file: Path, envelope: Envelope) -> Charter | None:
    """The charter in force, if it lies beside a statement; of a new charter, the one before it."""
    if envelope.kind is not Kind.CHARTER:
        beside = file.with_name("charter.json")
        return load_charter(beside) if beside.is_file() else None
    previous = parse_charter(envelope).previous
    if previous is None:
        return None
    files = sorted(file.parent.glob("*charter*.json"))
    for other in (*files, *sorted((file.parent / CHARTERS).glob("*.json"))):
        if _statement_hash(other) == previous:
            return load_charter(other)
    return None


def _statement_hash(path: Path) -> StatementHash | None:
    try:
        return load_envelope(path, Kind.CHARTER).statement_hash
    except IntegrityError:  # some other file that lies there
        return None
