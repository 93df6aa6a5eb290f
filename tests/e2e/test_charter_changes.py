"""Deposits after another charter: another recovery epoch, another dispersal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from exclave.authority.charter import Charter, charter_payload
from exclave.authority.charter_settings import Dispersal
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import TypedKey
from exclave.ids import Epoch, StatementHash
from exclave.sealing.recovery import XWingPrivateKey
from exclave.signer.interface import sign_envelope
from tests.support.embassy import Embassy, found_embassy

GOVERN = ("chancellor", "minister", "registrar")


def bring_into_force(embassy: Embassy, charter: Charter) -> None:
    """Sign the next charter as the govern roster does and hand it to all vaults."""
    following = replace(
        charter,
        mission=embassy.mission,
        version=embassy.charter.version + 1,
        previous=StatementHash(embassy.envelope.statement_hash),
    )
    envelope = Envelope(payload=charter_payload(following), kind=Kind.CHARTER)
    for label in GOVERN:
        envelope = sign_envelope(envelope, embassy.officials[label].signers)
    for seat in embassy.running():
        embassy.loop.run(embassy.client(seat).submit(envelope.to_bytes()))
    embassy.charter, embassy.envelope = following, envelope


def new_epoch(embassy: Embassy) -> XWingPrivateKey:
    """A charter with a new recovery key; returns that key."""
    private = XWingPrivateKey.from_seed(os.urandom(32))
    (old,) = embassy.charter.recovery
    new = replace(
        old,
        epoch=Epoch(2),
        key=TypedKey("x-wing", private.public.raw),
        share_set=(old.share_set + 1) % 2**15,
    )
    bring_into_force(embassy, replace(embassy.charter, recovery=(replace(old, current=False), new)))
    return private


def test_a_new_epoch_begins_with_a_full_record_and_shares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        first = embassy.deposit()
        private = new_epoch(embassy)
        second = embassy.deposit()
        assert second.lodged == (1, 2, 3)
        assert second.entry.new == second.entry.read, "nothing of the old epoch is shared"
        newest, oldest = embassy.survey().records
        assert newest.full
        assert [newest.epoch, oldest.epoch] == [2, 1]
        assert newest.previous == first.entry.statement
        assert not {p.root for p in newest.packs_added} & {p.root for p in oldest.packs_added}
        third = embassy.deposit()
        assert third.entry.new == 0
        assert not embassy.survey().newest.full
        embassy.lose_vault(1)

        def recovery_private(groups: Sequence[int] = (2, 3)) -> XWingPrivateKey:
            del groups
            return private

        monkeypatch.setattr(embassy, "recovery_private", recovery_private)
        assert embassy.reconstruct(tmp_path / "out").proven


def test_packs_of_another_dispersal_are_sealed_again(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.deposit()
        bring_into_force(embassy, replace(embassy.charter, dispersal=Dispersal(k=3, n=3, h=3)))
        second = embassy.deposit()
        assert second.lodged == (1, 2, 3)
        assert second.entry.new == second.entry.read
        live = embassy.survey().live()
        assert {pack.k for pack in live.packs.values()} == {3}
        assert embassy.deposit().entry.new == 0
        assert embassy.reconstruct(tmp_path / "out").proven
