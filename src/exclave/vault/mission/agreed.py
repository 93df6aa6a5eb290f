"""Whether a vault takes new deposits of a mission now (spec/agreements.md 5).

Joins what the log says with what only the vault knows: expiry time, the shards that are here, and
whether its own folder asks for an agreement. It gates what is new, and is asked nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exclave.standing.agreed import (
    AgreementExpired,
    AgreementIncomplete,
    AgreementMissing,
    AgreementNotBegun,
    AgreementTerminated,
    AgreementUnmet,
    Asking,
    NoDeposits,
    require_agreement,
)
from exclave.vault.line.problems import refused

if TYPE_CHECKING:
    from exclave.authority.agreement import Agreement
    from exclave.vault.mission.mission import Mission

__all__ = ["asks_agreement", "check_capacity", "check_deposits", "why_no_deposits"]

_CAUSES: Final = {
    AgreementMissing: "no-agreement",
    AgreementIncomplete: "agreement-incomplete",
    AgreementNotBegun: "agreement-not-begun",
    AgreementExpired: "agreement-expired",
    AgreementTerminated: "agreement-terminated",
    AgreementUnmet: "agreement-unmet",
}


def check_deposits(mission: Mission, arriving: int) -> None:
    """Refuse a shard that is not here yet where there is no agreement, or no room in it.

    `arriving` bytes are on their way, that shard's own among them.
    """
    with mission.lock:
        try:
            agreement = _required(mission)
        except NoDeposits as error:
            raise refused(_CAUSES[type(error)], error.message, hint=error.hint) from error
        if agreement is not None:
            _, stored = mission.index.shard_totals()
            check_capacity(agreement, stored, arriving)


def check_capacity(agreement: Agreement, stored: int, arriving: int) -> None:
    """Refuse what would exceed what was agreed; bytes."""
    if stored + arriving > agreement.capacity:
        raise refused(
            "agreement-capacity",
            f"agreement: expected at most {agreement.capacity} bytes of shards, "
            f"got {stored} stored and {arriving} arriving",
            hint="both states can raise it: exclave agreement amend",
        )


def why_no_deposits(mission: Mission) -> str | None:
    """Why nothing is lodged now; the lock is held by the caller."""
    try:
        _required(mission)
    except NoDeposits as error:
        return error.message
    return None


def asks_agreement(mission: Mission) -> bool:
    """Whether the charter in force, or this vault's folder, asks for an agreement."""
    return mission.agreement_key is not None or mission.charter().settings.agreements_required


def _required(mission: Mission) -> Agreement | None:
    """The agreement in force, or None where none is asked for; raises `NoDeposits`."""
    if not asks_agreement(mission):
        return None
    standing = mission.standing()
    asking = Asking(
        expiry=mission.expiry_time(),
        pinned=mission.agreement_key,
        earlier=mission.earlier_keys,
    )
    return require_agreement(standing, mission.seat, asking)
