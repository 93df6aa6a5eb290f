"""From the mission id on a card to the charters that verify (spec/authority.md 3).

Which of them is in force at a vault is standing's to say. A chain is every
charter that verified, in the order in which they came: it branches where a charter died and another
took its order, and where exile opened a new era. Does not decide between branches: standing does
(spec/standing.md 5 and 6), and knows which exile roster counted when.

Rules
- No gap: each names a charter of the chain as its predecessor. Eras may be left out.
- A next version is signed by the govern threshold of its predecessor and of itself.
- A new era is signed by a threshold of an exile roster of some charter of an earlier era, and by
  the govern threshold of itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from exclave.authority.charter import Charter, NotInCharter, parse_charter
from exclave.authority.charter_parts import RoleName
from exclave.authority.charter_rules import CharterRuleBroken
from exclave.authority.envelope import Envelope
from exclave.authority.persons import require_threshold
from exclave.errors import AuthorityError, QuorumNotReached
from exclave.ids import MissionId, StatementHash
from exclave.values import dataclass

__all__ = [
    "ChainBroken",
    "ChainEmpty",
    "ChainGap",
    "CharterChain",
    "EraNotOpened",
    "HistoryRewritten",
    "MissionMismatch",
    "verify_chain",
    "verify_successor",
]


class ChainBroken(AuthorityError):
    """A charter's `previous` is no charter of the chain."""


class ChainGap(ChainBroken):
    """A charter of the chain is missing."""


class ChainEmpty(ChainBroken):
    """No charter at all."""


class MissionMismatch(AuthorityError):
    """A statement of another mission."""


class EraNotOpened(QuorumNotReached):
    """No exile roster of an earlier era signed a new one."""


class HistoryRewritten(CharterRuleBroken):
    """A later charter changes what must stay: numbers of seats and keys of old epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CharterChain:
    """Verified charters of one mission, charter 1 first, each after its predecessor."""

    mission: MissionId
    charters: tuple[Charter, ...]
    hashes: tuple[StatementHash, ...]

    @property
    def newest(self) -> Charter:
        """The one of the highest order, in force or not; of several, the one that came last."""
        return max(reversed(self.charters), key=lambda charter: charter.order)

    def find(self, statement: StatementHash) -> Charter:
        """The charter with that hash; raises `NotInCharter`."""
        for known, charter in zip(self.hashes, self.charters, strict=True):
            if known == statement:
                return charter
        raise NotInCharter(f"charter chain: has no charter {statement.hex()}")

    def before(self, charter: Charter) -> tuple[Charter, ...]:
        """Charters of a lower order: whose exile rosters may have counted under this one."""
        return tuple(item for item in self.charters if item.order < charter.order)


def verify_chain(envelopes: Iterable[Envelope], mission: MissionId) -> CharterChain:
    """Check charters from number 1 on; raises on the first that does not follow."""
    chain: CharterChain | None = None
    for envelope in envelopes:
        chain = _first(envelope, mission) if chain is None else verify_successor(chain, envelope)
    if chain is None:
        raise ChainEmpty(f"charter chain: expected charters of mission {mission.hex()}, got none")
    return chain


def _first(envelope: Envelope, mission: MissionId) -> CharterChain:
    charter = parse_charter(envelope)
    if charter.mission is not None:
        raise ChainGap(
            f"charter chain: expected charter 1 first, got {charter.era}.{charter.version}"
        )
    if not hmac.compare_digest(charter.mission_id, mission):
        raise MissionMismatch(
            f"charter 1: expected mission {mission.hex()}, got {charter.mission_id.hex()}"
        )
    require_threshold(envelope, charter, RoleName.GOVERN)
    return CharterChain(mission=mission, charters=(charter,), hashes=(envelope.statement_hash,))


def verify_successor(chain: CharterChain, envelope: Envelope) -> CharterChain:
    """Append a charter whose predecessor is in the chain; raises on the rule that it breaks."""
    charter = parse_charter(envelope)
    if charter.mission_id != chain.mission:
        raise MissionMismatch(
            f"{_name(charter)}: expected mission {chain.mission.hex()}, "
            f"got {charter.mission_id.hex()}"
        )
    before = _predecessor(chain, charter)
    if charter.order == (before.era, before.version + 1):
        require_threshold(envelope, before, RoleName.GOVERN)
    elif charter.version == 1 and charter.era > before.era:
        _require_exile(envelope, chain, charter)
    else:
        raise ChainGap(
            f"charter chain: expected charter {before.era}.{before.version + 1} or the first of "
            f"a later era after {before.era}.{before.version}, "
            f"got {charter.era}.{charter.version}"
        )
    require_threshold(envelope, charter, RoleName.GOVERN)
    _check_history(before, charter)
    return CharterChain(
        mission=chain.mission,
        charters=(*chain.charters, charter),
        hashes=(*chain.hashes, envelope.statement_hash),
    )


def _predecessor(chain: CharterChain, charter: Charter) -> Charter:
    if charter.previous is None:
        raise ChainGap(f"charter chain: expected a charter after {_name(chain.newest)}, got 1.1")
    try:
        return chain.find(charter.previous)
    except NotInCharter as error:
        raise ChainBroken(
            f"{_name(charter)}.previous: expected the hash of a charter of the chain, "
            f"got {charter.previous.hex()}",
            hint=f"the newest one known is {_name(chain.newest)}",
        ) from error


def _require_exile(envelope: Envelope, chain: CharterChain, charter: Charter) -> None:
    """Some exile roster of an earlier era signed; which one counted when is for standing to say."""
    closest: QuorumNotReached | None = None
    for earlier in chain.charters:
        if earlier.era >= charter.era:
            continue
        for roster in (RoleName.EXILE_1, RoleName.EXILE_2):
            try:
                require_threshold(envelope, earlier, roster)
            except QuorumNotReached as error:
                closest = error
            else:
                return
    assert closest is not None  # charter 1 is of era 1
    raise EraNotOpened(
        f"{_name(charter)}: expected a threshold of an exile roster of an earlier era, got none",
        hint=closest.message,
    )


def _name(charter: Charter) -> str:
    return f"charter {charter.era}.{charter.version}"


def _check_history(before: Charter, charter: Charter) -> None:
    for old in before.seats:
        new = next((seat for seat in charter.seats if seat.seat == old.seat), None)
        if new is None or new.seat_key != old.seat_key or (old.retired and not new.retired):
            raise HistoryRewritten(
                f"charter.seats: expected seat {old.seat} to keep its key or be retired, "
                "got it removed, rekeyed or revived",
                hint="seat numbers are never reused, since shards of old packs lie under them",
            )
    keys = {epoch.epoch: (epoch.key, epoch.check) for epoch in charter.recovery}
    for epoch in before.recovery:
        if keys.get(epoch.epoch) != (epoch.key, epoch.check):
            raise HistoryRewritten(
                f"charter.recovery: expected epoch {epoch.epoch} unchanged, got it altered",
                hint="older epochs stay, `current` false (spec/authority.md 4)",
            )
