"""Choose the deposit to reconstruct from what the seats' logs show (spec/records.md 5)."""

from __future__ import annotations

from collections.abc import Collection

from exclave.authority.envelope import Envelope
from exclave.authority.record_chain import LiveSet, record_path
from exclave.errors import AuthorityError, ConfigurationError
from exclave.ids import Seat
from exclave.vault.survey.survey import DepositView, MissionView

__all__ = ["DepositNotReconstructible", "choose_deposit", "live_of", "obstacle", "path_of"]


class DepositNotReconstructible(AuthorityError):
    """Too few of the seats at hand hold a deposit, or its records are incomplete."""


def choose_deposit(view: MissionView, wanted: str, seats: Collection[Seat]) -> DepositView:
    """The deposit with this id (hex, or its beginning), or the newest for `latest`.

    `latest` takes one that enough of the given seats hold whole, and never a suspect one, which
    keys that were declared compromised may have made. A named one may be held in parts: k seats
    with a shard of each live pack suffice, and which those are shows in fetching.
    """
    if wanted == "latest":
        for deposit in view.deposits:
            if obstacle(deposit, seats) is None:
                return deposit
        reasons = [f"{d.deposit.hex()[:8]}: {obstacle(d, seats)}" for d in view.deposits[:5]]
        raise DepositNotReconstructible(
            f"mission: none of {len(view.deposits)} deposits can be rebuilt from seats "
            f"{sorted(seats)}",
            hint="\n".join([*reasons, "name one by its id to try it"] if reasons else ())
            or "the seats at hand know of no deposit",
        )
    found = [d for d in view.deposits if d.deposit.hex().startswith(wanted.lower())]
    if len(found) != 1:
        raise ConfigurationError(
            f"deposit {wanted!r}: expected the id of one deposit, got {len(found)}",
            hint="exclave deposits lists them",
        )
    live_of(found[0])
    return found[0]


def obstacle(deposit: DepositView, seats: Collection[Seat]) -> str | None:
    """Why the given seats perhaps cannot rebuild a deposit, or None when they can."""
    if deposit.live is None:
        return "a record before it is missing at these seats"
    if deposit.suspect:
        return "made with keys that were declared compromised"
    holders = [seat for seat in deposit.lodged if seat in seats]
    needed = max((pack.k for pack in deposit.live.packs.values()), default=1)
    if len(holders) < needed:
        return f"held whole by {len(holders)} of these seats, {needed} needed"
    return None


def live_of(deposit: DepositView) -> LiveSet:
    """The live set of a deposit that was chosen."""
    if deposit.live is None:
        raise DepositNotReconstructible(
            f"deposit {deposit.deposit.hex()}: a record before it is missing at these seats"
        )
    return deposit.live


def path_of(view: MissionView, deposit: DepositView) -> tuple[Envelope, ...]:
    """Envelopes from the deposit's last full record to its own: what its live set comes from."""
    known = {item.statement: item for item in view.deposits}
    path = record_path(deposit.record, {key: item.record for key, item in known.items()})
    return tuple(known[record.statement_hash].envelope for record in path)
