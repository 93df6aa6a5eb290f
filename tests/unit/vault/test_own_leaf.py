"""Leaves that a party renews for itself while it serves, and connections that outlive theirs."""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from exclave import clock
from exclave.engine.memory import MemoryEngine
from exclave.errors import VaultUnreachable
from exclave.ids import StatementHash
from exclave.vault.interface import VaultRefused
from exclave.vault.line import own_leaf
from exclave.vault.line.identity import Identity, new_identity
from exclave.vault.line.own_leaf import RENEW_AFTER, OwnLeaf
from exclave.vault.line.tls import client_context, server_context
from exclave.vault.server import server
from tests.support.serving import serving
from tests.support.vault_world import new_world
from tests.unit.vault.test_identity import handshake

NOW = clock.now()


class Hands:
    """A clock that is set by hand."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


def seen(client: ssl.SSLContext, listener: ssl.SSLContext) -> tuple[int, int]:
    """Serial numbers of the leaves that both sides show each other: client's, server's."""
    theirs = handshake(client, listener)
    assert theirs.version() == "TLSv1.3"
    shown = theirs.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number, id(theirs)


def both(
    vault: Identity, home: Identity, hands: Hands
) -> tuple[ssl.SSLContext, OwnLeaf, ssl.SSLContext, OwnLeaf]:
    listener = server_context(None, [home.certificate])
    client = client_context(vault.certificate)
    ours = OwnLeaf(home, server=False, clock=hands)
    theirs = OwnLeaf(vault, server=True, clock=hands)
    ours.show(client)
    theirs.show(listener)
    assert ours.renew()
    assert theirs.renew()
    return client, ours, listener, theirs


def test_both_ends_renew_on_contexts_that_are_in_use() -> None:
    hands = Hands(NOW - timedelta(days=2))
    client, ours, listener, theirs = both(
        new_identity("vault-1", NOW), new_identity("home", NOW), hands
    )
    before, _ = seen(client, listener)
    assert not ours.renew()
    assert seen(client, listener)[0] == before, "nothing was due"
    hands.moment += RENEW_AFTER
    assert ours.renew()
    assert theirs.renew()
    assert seen(client, listener)[0] != before
    assert not theirs.renew()


@pytest.mark.parametrize("late", ["client", "server"])
def test_a_leaf_that_ran_out_is_refused_until_it_is_renewed(late: str) -> None:
    vault, home = (new_identity(name, NOW - timedelta(days=30)) for name in ("vault-1", "home"))
    hands = Hands(NOW - timedelta(days=8))
    client, ours, listener, theirs = both(vault, home, hands)
    hands.moment = NOW
    assert (ours if late == "server" else theirs).renew()
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, listener)
    assert (theirs if late == "server" else ours).renew()
    assert handshake(client, listener).version() == "TLSv1.3"


def test_a_clock_that_went_back_makes_another() -> None:
    hands = Hands(NOW + timedelta(days=20))
    client, ours, listener, theirs = both(
        new_identity("vault-1", NOW), new_identity("home", NOW), hands
    )
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client, listener)
    hands.moment = NOW
    assert ours.renew()
    assert theirs.renew()
    assert handshake(client, listener).version() == "TLSv1.3"
    hands.moment -= timedelta(minutes=5)
    assert not ours.renew(), "set right by little"


def test_a_renewal_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = OwnLeaf(new_identity("vault-1", NOW), server=True, clock=clock.now)
    leaf.show(server_context(None, None))

    def fails(*_: object) -> None:
        raise OSError("no room for it")

    with monkeypatch.context() as broken:
        broken.setattr(own_leaf, "use_leaf", fails)
        with pytest.raises(OSError, match="no room"):
            leaf.renew()
    assert leaf.renew()


def test_a_server_renews_without_being_started_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "_LEAF_SECONDS", 0.01)
    caplog.set_level("INFO", "exclave")
    world = new_world()
    hands = Hands(NOW)
    failing = [True]
    renew = OwnLeaf.renew

    def at_first_in_vain(self: OwnLeaf) -> bool:
        if hands.moment > NOW and failing and failing.pop():
            raise OSError("no room for it")
        return renew(self)

    monkeypatch.setattr(OwnLeaf, "renew", at_first_in_vain)

    async def play() -> None:
        async with serving(world, MemoryEngine()) as served:
            served.server._leaf._clock = hands
            served.server._leaf.show()
            hands.moment = NOW - timedelta(days=8)
            while "a new leaf is shown" not in caplog.text:
                await asyncio.sleep(0)
            with pytest.raises(VaultUnreachable, match="good no more"):
                await served.client().status()
            hands.moment = NOW + timedelta(minutes=1)
            while caplog.text.count("a new leaf is shown") < 2:
                await asyncio.sleep(0)
            assert (await served.client().status()).seat == 1

    asyncio.run(play())
    assert "the leaf could not be renewed: no room for it" in caplog.text


def test_a_connection_does_not_outlive_its_leaf() -> None:
    """Two days before, the vault asks for a new connection; then it takes none of the old one."""
    world = new_world()
    hands = Hands(NOW)

    async def play() -> list[str]:
        said = []
        async with serving(world, MemoryEngine()) as served:
            hosting = served.server._hosting
            hosting.clock = hands
            depositor = served.depositor
            for days in (0, 5, 8):
                hands.moment = NOW + timedelta(days=days)
                try:
                    await depositor.missing(StatementHash(bytes(32)))
                except VaultRefused as error:
                    connector = depositor._session.connector  # type: ignore[union-attr]
                    kept = sum(map(len, connector._conns.values()))  # type: ignore[union-attr]
                    said.append(f"{error.cause} {kept}")
        return said

    said = asyncio.run(play())
    assert said[0] == "not-found 1"
    assert said[1] == "not-found 0", "closed by the vault after its answer"
    assert said[2].startswith("identity")
