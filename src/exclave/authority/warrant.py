"""Warrants: the authorisation to read (spec/authority.md 6).

Reads and writes them, and checks one against the charter that it names. Where a warrant stands at
a vault, and when it is released there, is `exclave.standing`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from exclave.authority.charter import Charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.charter_parts import RoleName, read_identity
from exclave.authority.envelope import Envelope, Kind, payload_object
from exclave.authority.fields import Node, require_ascending
from exclave.authority.keys import ED25519, X_WING, TypedKey, read_key
from exclave.authority.persons import require_threshold
from exclave.clock import format_time
from exclave.encoding import JsonObject, b64encode, canonical_json
from exclave.errors import AuthorityError, QuorumNotReached
from exclave.ids import DepositId, MissionId, StatementHash
from exclave.values import dataclass

__all__ = [
    "Warrant",
    "WarrantExpiryInverted",
    "WarrantUnderOtherCharter",
    "parse_warrant",
    "verify_warrant",
    "warrant_payload",
    "warranting_roster",
]


class WarrantExpiryInverted(AuthorityError):
    """A warrant expires before it is issued."""


class WarrantUnderOtherCharter(AuthorityError):
    """A warrant names another charter than the one it is checked against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warrant:
    """Who may read which deposits, and to which one-time key secrets are unsealed."""

    mission: MissionId
    charter: StatementHash
    nonce: bytes
    purpose: str
    issued: datetime
    expires: datetime
    deposits: tuple[DepositId, ...] | None  # None: all
    reader: bytes
    reader_key: TypedKey
    unseal_key: TypedKey

    def __post_init__(self) -> None:
        if self.expires <= self.issued:
            raise WarrantExpiryInverted("warrant.expires: expected after issued, got not after")
        if self.deposits is not None:
            names = [deposit.hex() for deposit in self.deposits]
            require_ascending("warrant.deposits", names)

    def covers(self, deposit: DepositId) -> bool:
        """Whether the warrant names the deposit: for selecting, not for authorising."""
        return self.deposits is None or deposit in self.deposits


def warrant_payload(warrant: Warrant) -> bytes:
    """The warrant as canonical JSON."""
    deposits = ["all"] if warrant.deposits is None else [item.hex() for item in warrant.deposits]
    payload: JsonObject = {
        "kind": Kind.WARRANT.value,
        "mission": warrant.mission.hex(),
        "charter": warrant.charter.hex(),
        "nonce": warrant.nonce.hex(),
        "purpose": warrant.purpose,
        "issued": format_time(warrant.issued),
        "expires": format_time(warrant.expires),
        "deposits": list(deposits),
        "reader": b64encode(warrant.reader),
        "reader_key": warrant.reader_key.to_json(),
        "unseal_key": warrant.unseal_key.to_json(),
    }
    return canonical_json(payload)


def parse_warrant(envelope: Envelope) -> Warrant:
    """Read the warrant in an envelope; signatures are not checked here."""
    fields = payload_object(envelope, Kind.WARRANT).fields("kind", *Warrant.__slots__)
    return Warrant(
        mission=MissionId(fields["mission"].hex(32)),
        charter=StatementHash(fields["charter"].hex(32)),
        nonce=fields["nonce"].hex(16),
        purpose=fields["purpose"].text(),
        issued=fields["issued"].time(),
        expires=fields["expires"].time(),
        deposits=_read_deposits(fields["deposits"]),
        reader=read_identity(fields["reader"]),
        reader_key=read_key(ED25519)(fields["reader_key"]),
        unseal_key=read_key(X_WING)(fields["unseal_key"]),
    )


def _read_deposits(node: Node) -> tuple[DepositId, ...] | None:
    if node.value == ["all"]:
        return None
    return node.each(lambda item: DepositId(item.hex(16)), least=1)


def verify_warrant(
    envelope: Envelope, charter: Charter, earlier: Iterable[Charter] = ()
) -> Warrant:
    """Check a warrant against the charter that it names; raises an `AuthorityError`.

    `earlier` are charters before it, whose exile rosters may have counted (spec/standing.md 5).
    """
    warrant = parse_warrant(envelope)
    if warrant.mission != charter.mission_id:
        raise MissionMismatch(
            f"warrant: expected mission {charter.mission_id.hex()}, got {warrant.mission.hex()}"
        )
    if warrant.charter != charter.statement_hash:
        raise WarrantUnderOtherCharter(
            f"warrant: expected charter {charter.statement_hash.hex()}, got {warrant.charter.hex()}"
        )
    warranting_roster(envelope, charter, earlier)
    return warrant


def warranting_roster(
    envelope: Envelope, charter: Charter, earlier: Iterable[Charter] = ()
) -> tuple[Charter, RoleName]:
    """Which charter's roster signed a warrant enough; raises `QuorumNotReached`.

    The read roster of the charter that it names, or an exile roster: that one counts at vaults
    under a lockdown only, which nobody can see from the warrant alone.
    """
    try:
        require_threshold(envelope, charter, RoleName.READ)
    except QuorumNotReached:
        for one in (charter, *earlier):
            for roster in (RoleName.EXILE_1, RoleName.EXILE_2):
                if _is_enough(envelope, one, roster):
                    return one, roster
        raise
    return charter, RoleName.READ


def _is_enough(envelope: Envelope, charter: Charter, roster: RoleName) -> bool:
    try:
        require_threshold(envelope, charter, roster)
    except QuorumNotReached:
        return False
    return True
