"""Attestations that some seat could not take yet, until it does (spec/certificates.md 7).

    Waiting(...)            one: the statement as it was signed, and which seats lack it, and why
    WaitingStore(folder)    a folder of them

Rules: what waits is handed in again byte for byte, so that no log has it twice; a file that cannot
be read is named, and keeps no other from being handed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from exclave.authority.envelope import CERTIFICATES
from exclave.authority.fields import Node, require_ascending
from exclave.durable import make_path, replace_file
from exclave.encoding import JsonValue, b64encode, canonical_json, parse_canonical_json
from exclave.errors import ExclaveError, IntegrityError
from exclave.ids import Seat, StatementHash
from exclave.values import dataclass

__all__ = ["Waiting", "WaitingDamaged", "WaitingStore"]

_NAME: Final = re.compile(r"[0-9a-f]{64}\.json")
_KIND: Final = "waiting"


class WaitingDamaged(IntegrityError):
    """What waits can no longer be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An attestation that is not everywhere yet."""

    certificate: StatementHash
    of: str  # the certificate's kind
    statement: bytes  # the attestation's envelope
    seats: Mapping[Seat, str]  # which lack it, and why

    def to_bytes(self) -> bytes:
        """As it is kept."""
        seats: list[JsonValue] = [[seat, why] for seat, why in sorted(self.seats.items())]
        return (
            canonical_json(
                {
                    "kind": _KIND,
                    "certificate": self.certificate.hex(),
                    "of": self.of,
                    "statement": b64encode(self.statement),
                    "seats": seats,
                }
            )
            + b"\n"
        )

    @classmethod
    def parse(cls, data: bytes) -> Waiting:
        """The inverse; raises what is wrong with the form."""
        value = parse_canonical_json(data.removesuffix(b"\n"), subject=_KIND)
        fields = Node(value, _KIND).fields("kind", "certificate", "of", "statement", "seats")
        fields["kind"].literal(_KIND)
        seats = fields["seats"].each(_seat, least=1, most=255)
        require_ascending("waiting.seats", [seat for seat, _ in seats])
        return cls(
            certificate=StatementHash(fields["certificate"].hex(32)),
            of=fields["of"].literal(*(kind.value for kind in CERTIFICATES)),
            statement=fields["statement"].base64(),
            seats=dict(seats),
        )


def _seat(node: Node) -> tuple[Seat, str]:
    seat, why = node.items(least=2, most=2)
    return Seat(seat.integer(1, 255)), why.text()


class WaitingStore:
    """The folder `waiting` beside the certificates; made when the first has to wait."""

    def __init__(self, evidence: Path) -> None:
        self._folder = evidence / "waiting"

    def keep(self, waiting: Waiting) -> None:
        """Durable on return; in place of an earlier one of the same certificate."""
        make_path(self._folder)
        replace_file(self._path(waiting.certificate), [waiting.to_bytes()], mode=0o600)

    def forget(self, certificate: StatementHash) -> None:
        """It waits no more; that of one which never did is no error."""
        self._path(certificate).unlink(missing_ok=True)

    def all(self) -> Sequence[Waiting | WaitingDamaged]:
        """What waits, by certificate; an error in place of what cannot be read."""
        if not self._folder.is_dir():
            return ()
        files = sorted(path for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        return tuple(map(_read, files))

    def _path(self, certificate: StatementHash) -> Path:
        return self._folder / f"{certificate.hex()}.json"


def _read(path: Path) -> Waiting | WaitingDamaged:
    try:
        return Waiting.parse(path.read_bytes())
    except (ExclaveError, OSError) as error:
        said = error.message if isinstance(error, ExclaveError) else str(error.strerror)
        return WaitingDamaged(
            f"{path}: {said}",
            hint="remove it, and log that certificate again: exclave certificate log FILE",
        )
