"""Lockdown by one consul with a file, and reconstruction by exile alone, over real vaults."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exclave import clock
from exclave.authority.envelope import Envelope
from exclave.authority.orders import (
    Compromise,
    Lockdown,
    Order,
    OrderHead,
    Unlock,
    Veto,
    kind_of,
    order_payload,
)
from exclave.reconstruct.choose import choose_deposit
from exclave.signer.interface import sign_envelope
from exclave.vault.interface import State, VaultRefused
from tests.support.embassy import Embassy, found_embassy

EXILE = ("ambassador-a", "consul-a")
HOME = ("chancellor", "minister", "registrar")


def head(embassy: Embassy) -> OrderHead:
    return OrderHead(
        mission=embassy.mission,
        charter=embassy.charter.statement_hash,
        nonce=os.urandom(16),
        issued=clock.now(),
        reason="the capital is silent",
    )


def signed(embassy: Embassy, order: Order, *labels: str) -> Envelope:
    envelope = Envelope(payload=order_payload(order), kind=kind_of(order))
    for label in labels:
        envelope = sign_envelope(envelope, embassy.officials[label].signers)
    return envelope


def submit(embassy: Embassy, seat: int, envelope: Envelope) -> State:
    return embassy.loop.run(embassy.client(seat).submit(envelope.to_bytes())).state


def until(what: Callable[[], bool]) -> None:
    for _ in range(400):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to be in twenty seconds")


def locked(embassy: Embassy, seat: int) -> bool:
    return embassy.loop.run(embassy.client(seat).status()).locked


def test_one_consul_locks_down_and_exile_reconstructs(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        embassy.deposit()
        embassy.lose_home()
        lockdown = signed(embassy, Lockdown(head=head(embassy)), "consul-a")
        assert submit(embassy, 2, lockdown) is State.LOGGED
        until(lambda: all(locked(embassy, seat) for seat in (1, 2, 3)))
        with pytest.raises(VaultRefused) as caught:
            embassy.authorise(tmp_path / "occupier", signers=HOME)
        assert caught.value.cause == "quorum"
        report = embassy.reconstruct(tmp_path / "out", signers=EXILE)
        assert report.proven
        unlock = Unlock(head=head(embassy), lockdowns=(lockdown.statement_hash,))
        with pytest.raises(VaultRefused):
            submit(embassy, 1, signed(embassy, unlock, *HOME))
        submit(embassy, 1, signed(embassy, unlock, *EXILE))
        until(lambda: not any(locked(embassy, seat) for seat in (1, 2, 3)))


def test_a_veto_at_one_vault_stops_a_warrant_at_all(tmp_path: Path) -> None:
    with found_embassy(tmp_path, delay=3) as embassy:
        embassy.write_registers(mib=1)
        embassy.deposit()
        reading = embassy.authorise_later(tmp_path / "reading", signers=HOME[:2])
        veto = Veto(head=head(embassy), target=reading.statement_hash)
        submit(embassy, 3, signed(embassy, veto, "attache-b"))
        for seat in (1, 2, 3):
            assert embassy.await_release(seat, reading) is State.VETOED


def test_deposits_after_a_compromise_are_kept_and_not_chosen(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=1)
        embassy.deposit()
        time.sleep(1.1)
        since = clock.now()
        embassy.write_registers(mib=1, seed=2)
        embassy.deposit()
        order = Compromise(head=head(embassy), depositors=("home",), since=since)
        submit(embassy, 1, signed(embassy, order, "registrar"))
        view = embassy.view()
        assert [(item.record.sequence, item.suspect) for item in view.deposits] == [
            (2, True),
            (1, False),
        ]
        seats = [seat.seat for seat in view.seats]
        assert choose_deposit(view, "latest", seats).record.sequence == 1
        named = view.deposits[0].deposit.hex()
        assert choose_deposit(view, named, seats).record.sequence == 2
