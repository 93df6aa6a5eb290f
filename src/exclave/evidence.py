"""Where home keeps its certificates: a folder of proofs and drills, newest found quickly.

    proof-20260301T120000Z-<first 16 hex of its hash>.json           envelope
    drill-20260301T120000Z-<...>.json, and ....warrant.json beside   envelope, and its warrant's

Rules: certificates are only ever added; files are for the owner's eyes (0600), since they name
titles; the verdict is read from a certificate by `exclave.certificate`, which computes it. A drill
says of each register what it found of that one: a drill of some registers makes the evidence of the
others neither newer nor worse, and is never a passed one as a whole. Nothing here checks
signatures: who reads the state's own folder believes it, who shows a certificate to others has it
verified (`exclave verify-certificate`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.certificate.drill import Drill, parse_drill
from exclave.certificate.proof import Proof, parse_proof
from exclave.clock import format_time
from exclave.durable import NameTaken, make_path, write_new_file
from exclave.errors import ExclaveError, IntegrityError
from exclave.values import dataclass, replace

__all__ = ["Evidence", "EvidenceDamaged", "EvidenceStore"]

_NAME: Final = re.compile(r"(proof|drill)-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}\.json")
_WARRANT: Final = ".warrant.json"


class EvidenceDamaged(IntegrityError):
    """A kept certificate can no longer be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a kept certificate says of one register."""

    kind: Kind  # proof or drill
    register: str
    deposit: str  # hex
    ended: str  # as stored times are written
    passed: bool  # a drill: this register came back whole; a proof: as the certificate says
    whole: bool  # the certificate's verdict; false where another register is missing or not good
    seconds: float | None  # from the warrant until it was there; None in a proof, or if it was not
    path: Path
    forecast: int | None = None  # seconds of work, as forecast before a drill
    work: float | None = None  # as measured
    foreseen: bool | None = None  # whether the two agree (spec/certificates.md 4)


class EvidenceStore:
    """A folder of certificates; made when the first is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, envelope: Envelope, warrant: Envelope | None = None) -> Path:
        """Add a signed certificate, and the warrant of a drill; durable on return.

        Again is no error. Returns the certificate's file.
        """
        ended = _read(envelope).results.ended
        stamp = format_time(ended).replace("-", "").replace(":", "")
        stem = f"{envelope.kind}-{stamp}-{envelope.statement_hash.hex()[:16]}"
        make_path(self._folder)
        if warrant is not None:
            self._write(f"{stem}{_WARRANT}", warrant)
        return self._write(f"{stem}.json", envelope)

    def latest(
        self, kind: str, register: str, *, passed: bool = False, whole: bool = False
    ) -> Evidence | None:
        """The newest of one kind that concerns a register; with `passed`, in which that passed.

        With `whole`, the certificate as a whole passed. A register that had to come back and is
        missing in a certificate is concerned as well. Raises `EvidenceDamaged`.
        """
        for path, certificate in self._newest_first(Kind(kind)):
            found = _of(path, Kind(kind), certificate, register)
            if found is None or (passed and not found.passed) or (whole and not found.whole):
                continue
            return found
        return None

    def warrant_of(self, path: Path) -> Envelope | None:
        """The warrant that was kept with a drill."""
        file = path.with_name(path.name.removesuffix(".json") + _WARRANT)
        if not file.is_file():
            return None
        return _parsed(file, Kind.WARRANT)

    def envelope(self, evidence: Evidence) -> Envelope:
        """The whole certificate."""
        return _parsed(evidence.path, evidence.kind)

    def _newest_first(self, kind: Kind) -> Iterator[tuple[Path, Proof | Drill]]:
        """Names begin with kind and time, so that few files are read."""
        names = sorted((path.name for path in self._folder.glob(f"{kind}-*.json")), reverse=True)
        for name in names:
            if _NAME.fullmatch(name):
                path = self._folder / name
                yield path, _certificate(path, kind)

    def _write(self, name: str, envelope: Envelope) -> Path:
        path = self._folder / name
        try:
            write_new_file(path, [envelope.to_bytes()], mode=0o600)
        except NameTaken:
            if _parsed(path, envelope.kind).payload != envelope.payload:
                raise
        return path


def _of(path: Path, kind: Kind, certificate: Proof | Drill, register: str) -> Evidence | None:
    results = certificate.results
    if isinstance(certificate, Drill):
        passed = certificate.came_back(register)
    else:
        there = {*results.declared, *(item.result.id for item in certificate.registers)}
        passed = certificate.passed if register in there else None
    if passed is None:
        return None
    found = Evidence(
        kind=kind,
        register=register,
        deposit=results.deposit.hex(),
        ended=format_time(results.ended),
        passed=passed,
        whole=certificate.passed,
        seconds=None,
        path=path,
    )
    return _timed(found, certificate) if isinstance(certificate, Drill) else found


def _timed(found: Evidence, drill: Drill) -> Evidence:
    for item in drill.registers:
        if item.result.id == found.register:
            return replace(
                found,
                seconds=item.rto_ms / 1000,
                forecast=item.forecast,
                work=item.work_ms / 1000,
                foreseen=item.foreseen,
            )
    return found


def _certificate(path: Path, kind: Kind) -> Proof | Drill:
    envelope = _parsed(path, kind)
    try:
        return _read(envelope)
    except ExclaveError as error:
        raise _damaged(path, error) from error


def _read(envelope: Envelope) -> Proof | Drill:
    return parse_proof(envelope) if envelope.kind is Kind.PROOF else parse_drill(envelope)


def _parsed(path: Path, kind: Kind) -> Envelope:
    try:
        return parse_envelope(path.read_bytes(), kinds=[kind])
    except ExclaveError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: ExclaveError) -> EvidenceDamaged:
    return EvidenceDamaged(
        f"{path}: {error.message}",
        hint="move it away, and fetch the certificate again from the vaults if it matters",
    )
