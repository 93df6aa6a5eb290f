"""From a record's live set to what must be fetched and unsealed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from exclave.authority.envelope import Envelope
from exclave.authority.keys import TypedKey
from exclave.authority.record import DepositRecord, PackKindName, SealedSecret
from exclave.authority.record_chain import LiveSet
from exclave.authority.supplement import Supplement
from exclave.authority.unsealing import UnsealAnswer, UnsealRequest
from exclave.errors import AuthorityError
from exclave.ids import MissionId, PackRoot, Seat, ShardRoot
from exclave.reconstruct.fetch import PackPlan
from exclave.sealing.pack import PackKind
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import unseal_for_reader

__all__ = ["AnswerForeign", "open_answer", "pack_plans", "unseal_request"]


_KINDS: Final = {PackKindName.DATA: PackKind.DATA, PackKindName.MANIFEST: PackKind.MANIFEST}


class AnswerForeign(AuthorityError):
    """An answer of `unseal` is for another mission or lacks secrets that are needed."""


def pack_plans(
    live: LiveSet, supplements: Iterable[Supplement] = (), *, mission: MissionId
) -> dict[PackRoot, PackPlan]:
    """Where each live pack's shards lie, seats added later included."""
    added: dict[PackRoot, dict[Seat, ShardRoot]] = {}
    for supplement in supplements:
        for pack, shard in supplement.shards:
            added.setdefault(pack, {})[supplement.seat] = shard
    if live.epoch is None:
        return {}  # only the empty live set has none
    return {
        root: PackPlan(
            root=root,
            length=pack.length,
            k=pack.k,
            secret=pack.secret,
            kind=_KINDS[pack.kind],
            epoch=live.epoch,
            mission=mission,
            shards=tuple(sorted({**added.get(root, {}), **dict(pack.shards)}.items())),
        )
        for root, pack in live.packs.items()
    }


def unseal_request(
    record: DepositRecord, live: LiveSet, records: Sequence[Envelope], to: TypedKey
) -> UnsealRequest:
    """Everything that must be unsealed for one deposit, without its warrant yet.

    `records`: from the deposit's last full record to its own, as proof that it needs the secrets.
    """
    secrets: list[SealedSecret] = list(live.secrets.values())
    return UnsealRequest(
        mission=record.mission,
        epoch=record.epoch,
        secrets=tuple(sorted(secrets, key=lambda s: (s.deposit, s.secret_id))),
        records=tuple(records),
        to=to,
        warrant=None,
    )


def open_answer(
    answer: UnsealAnswer, private: XWingPrivateKey, record: DepositRecord, live: LiveSet
) -> Mapping[bytes, bytes]:
    """Deposit secrets by id; raises when one that the deposit needs is not there."""
    if answer.mission != record.mission:
        raise AnswerForeign(
            f"answer: expected mission {record.mission.hex()[:16]}, got {answer.mission.hex()[:16]}"
        )
    secrets = {
        item.secret_id: unseal_for_reader(private, item.sealed, record.mission, item.secret_id)
        for item in answer.secrets
    }
    lacking = sorted(secret.hex()[:16] for secret in live.secrets if secret not in secrets)
    if lacking:
        raise AnswerForeign(
            f"answer: {len(lacking)} of {len(live.secrets)} secrets are not in it "
            f"({', '.join(lacking[:3])})",
            hint="it answers the request of another deposit: unseal this one's request",
        )
    return secrets
