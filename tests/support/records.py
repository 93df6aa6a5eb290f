"""Signed records without packs behind them: for what only reads records."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope, envelope_for
from exclave.authority.record import (
    DepositRecord,
    PackKindName,
    RecordPack,
    SealedSecret,
    record_payload,
)
from exclave.authority.record_chain import set_root
from exclave.clock import Clock
from exclave.encoding import parse_canonical_json
from exclave.ids import DepositId, PackRoot, ShardRoot
from exclave.signer.bundle import KeyBundle
from exclave.signer.interface import sign_envelope

__all__ = ["signed_record"]


def signed_record(
    charter: Charter,
    depositor: KeyBundle,
    *,
    deposit: DepositId,
    secrets: Sequence[SealedSecret],
    clock: Clock,
) -> Envelope:
    """A full first record with one pack for each secret; the first is the manifest's."""
    packs = [_pack(charter, item, manifest=item is secrets[0]) for item in secrets]
    record = DepositRecord(
        mission=charter.mission_id,
        charter=charter.statement_hash,
        depositor=depositor.id,
        deposit=deposit,
        epoch=charter.current_epoch.epoch,
        sequence=1,
        previous=None,
        full=True,
        secrets_added=tuple(sorted(secrets, key=lambda item: item.secret_id)),
        secrets_dropped=(),
        packs_added=tuple(sorted(packs, key=lambda pack: pack.root)),
        packs_dropped=(),
        set_root=set_root(pack.root for pack in packs),
        manifest_packs=(packs[0].root,),
        claimed_time=clock().replace(microsecond=0),
    )
    payload = parse_canonical_json(record_payload(record))
    assert isinstance(payload, dict)
    return sign_envelope(envelope_for(payload), depositor.signers)


def _pack(charter: Charter, secret: SealedSecret, *, manifest: bool) -> RecordPack:
    root = PackRoot(hashlib.sha256(b"pack" + secret.secret_id).digest())
    return RecordPack(
        root=root,
        length=2**14 + 1200,
        k=charter.dispersal.k,
        secret=secret.secret_id,
        kind=PackKindName.MANIFEST if manifest else PackKindName.DATA,
        shards=tuple(
            (entry.seat, ShardRoot(hashlib.sha256(root + bytes([entry.seat])).digest()))
            for entry in charter.active_seats
        ),
    )
