"""The law of the fixture's mission: states' keys, charters, orders, an agreement."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from exclave import clock
from exclave.authority.agreement import (
    Act,
    AgreedSeat,
    Agreement,
    DelayFloors,
    Terminate,
    WitnessDuties,
)
from exclave.authority.charter_parts import Address
from exclave.authority.envelope import Envelope, envelope_for, parse_envelope
from exclave.authority.order_parts import OrderHead
from exclave.authority.orders import (
    Compromise,
    Extend,
    Hold,
    Lift,
    Lockdown,
    Narrow,
    Order,
    Release,
    Unlock,
    Veto,
    kind_of,
    order_payload,
)
from exclave.authority.permission import Declare, DeclaredAct, Grant
from exclave.authority.supplement import Supplement, supplement_payload
from exclave.encoding import parse_canonical_json
from exclave.ids import PackRoot, Seat, ShardRoot
from exclave.signer.bundle import KeyBundle
from exclave.signer.interface import Signer, sign_envelope
from exclave.signer.parties import new_state_key
from exclave.values import replace
from exclave.vault.interface import State
from tests.support.embassy import Embassy, TestVault, vault_at

GOVERN: Final = ("chancellor", "minister", "registrar")
EXILE: Final = ("ambassador-a", "consul-a")
CENTURY: Final = timedelta(days=365 * 100)
"""What everybody who reads this fixture has as time."""
GROWN: Final = """
[dispersal]
k = 2
h = 2
n = 6
[[seat.add]]
seat = 6
request = "request-6.json"
[witness]
q = 4
"""


@dataclass(kw_only=True)
class HostVault(TestVault):
    """A vault whose receiving state has signed its seat request."""

    state_key: KeyBundle

    def request(self) -> bytes:
        """The seat request, with the state's key and both signatures."""
        envelope = parse_envelope(super().request())
        payload = parse_canonical_json(envelope.payload)
        assert isinstance(payload, dict)
        payload["receiving_state_key"] = self.state_key.public[0].to_json()
        both = [self.keys.signers[0], *self.state_key.signers]
        return sign_envelope(envelope_for(payload), both).to_bytes()


def host_vault(folder: Path, seat: int, ports: tuple[int, int], *, safe: bool = False) -> HostVault:
    """A vault, or the keys of a safe, with a key of its receiving state."""
    made = vault_at(folder, seat, _address(ports))
    given = {**vars(made), "host": replace(made.host, safe=safe)}
    return HostVault(**given, state_key=new_state_key(made.host.state, os.urandom))


def agree(embassy: Embassy) -> None:
    """About seat 1 in two versions, with permissions; about seat 2 one that its host has ended."""
    host = _host(embassy, 1)
    first = _agreement(embassy, 1)
    name = give(embassy, first, *_govern(embassy), *host.state_key.signers)
    second = replace(
        first, head=_head(embassy), version=2, previous=name.statement_hash, capacity=2**41
    )
    give(embassy, second, *_govern(embassy), *host.state_key.signers)
    soon = _begun() + timedelta(days=2)
    grant = Grant(head=_head(embassy), seat=Seat(1), act=Act.ENTER, since=_begun(), until=soon)
    give(embassy, grant, *_govern(embassy))
    restart = Declare(
        head=_head(embassy), seat=Seat(1), act=DeclaredAct.RESTART, since=_begun(), until=soon
    )
    give(embassy, restart, host.keys.signers[0])
    other = _host(embassy, 2).state_key.signers
    name = give(embassy, _agreement(embassy, 2), *_govern(embassy), *other)
    give(embassy, Terminate(head=_head(embassy), agreement=name.statement_hash), *other)


def _agreement(embassy: Embassy, seat: int) -> Agreement:
    host = _host(embassy, seat)
    return Agreement(
        head=_head(embassy),
        version=1,
        previous=None,
        state=host.host.state,
        key=host.state_key.public[0],
        seats=(AgreedSeat(seat=host.seat, addresses=(host.address,)),),
        capacity=2**40,
        retention=1,
        delays=DelayFloors(govern=0, read=0, release=0, exile_change=0),
        witness=WitnessDuties(seats=(Seat(3),), freshness=3600),
        maintenance=(Act.ENTER, Act.POWER),
        notice=10**6,
        treaty=bytes(range(32)),
        since=_begun(),
        until=None,
    )


def _host(embassy: Embassy, seat: int) -> HostVault:
    host = embassy.vaults[Seat(seat)]
    assert isinstance(host, HostVault)
    return host


def order(embassy: Embassy, unused: PackRoot) -> None:
    """Every kind of order of officials, once; `unused` is a pack that no newest deposit needs."""
    one = _signers(embassy, "registrar")
    hold = give(embassy, Hold(head=_head(embassy), deposits=None), *one)
    give(embassy, Lift(head=_head(embassy), holds=(hold.statement_hash,)), *_govern(embassy))
    give(embassy, Hold(head=_head(embassy), deposits=None), *one)
    later = _begun() + timedelta(days=400)
    give(embassy, Extend(head=_head(embassy), deposits=None, until=later), *one)
    stolen = Compromise(head=_head(embassy), depositors=("home",), since=_begun())
    false_alarm = give(embassy, stolen, *one)
    never = Narrow(head=_head(embassy), compromise=false_alarm.statement_hash, since=None)
    give(embassy, never, *_govern(embassy))
    give(embassy, Release(head=_head(embassy), packs=(unused,)), *_govern(embassy))
    refused = give(embassy, Release(head=_head(embassy), packs=(unused,)), *one)
    give(embassy, Veto(head=_head(embassy), target=refused.statement_hash), *one)


def lock_down(embassy: Embassy) -> Envelope:
    """One consul locks down."""
    return give(embassy, Lockdown(head=_head(embassy)), *_signers(embassy, "consul-a"))


def unlock(embassy: Embassy, lockdown: Envelope) -> None:
    """Exile ends it."""
    end = Unlock(head=_head(embassy), lockdowns=(lockdown.statement_hash,))
    give(embassy, end, *_signers(embassy, *EXILE))


def supplement(embassy: Embassy, seat: Seat, pack: PackRoot) -> None:
    """What a seat that joined says of a shard of its own, made from a pack older than it."""
    said = Supplement(mission=embassy.mission, seat=seat, shards=((pack, ShardRoot(bytes(32))),))
    payload = parse_canonical_json(supplement_payload(said))
    assert isinstance(payload, dict)
    envelope = sign_envelope(envelope_for(payload), embassy.vaults[seat].keys.signers[:1])
    hand_in(embassy, envelope)


def give(embassy: Embassy, order: Order, *signers: Signer) -> Envelope:
    """Sign an order and hand it in at every vault that runs."""
    envelope = sign_envelope(Envelope(payload=order_payload(order), kind=kind_of(order)), signers)
    hand_in(embassy, envelope)
    return envelope


def hand_in(embassy: Embassy, envelope: Envelope) -> State:
    """Hand a statement in at every vault that runs; what the last one says."""
    states = [
        embassy.loop.run(embassy.client(seat).submit(envelope.to_bytes())).state
        for seat in embassy.running()
    ]
    return states[-1]


def _head(embassy: Embassy) -> OrderHead:
    return OrderHead(
        mission=embassy.mission,
        charter=embassy.charter.statement_hash,
        nonce=os.urandom(16),
        issued=clock.now(),
        reason="a fixture",
    )


def _begun() -> datetime:
    return clock.now().replace(microsecond=0) - timedelta(days=1)


def _signers(embassy: Embassy, *labels: str) -> list[Signer]:
    return [signer for label in labels for signer in embassy.officials[label].signers]


def _govern(embassy: Embassy) -> list[Signer]:
    return _signers(embassy, *GOVERN)


def _address(ports: tuple[int, int]) -> Address:
    return Address(data=f"127.0.0.1:{ports[0]}", public=f"127.0.0.1:{ports[1]}")
