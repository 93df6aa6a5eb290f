"""With home gone everything still authenticates: whoever has an identity issues his own leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from exclave import clock
from exclave.errors import VaultUnreachable
from exclave.ids import StatementHash
from exclave.vault.interface import VaultRefused
from exclave.vault.line.identity import new_identity
from tests.support.embassy import Embassy, found_embassy

NOBODY = StatementHash(bytes(32))


def renew_all(embassy: Embassy) -> None:
    """What a day does to every leaf; nothing is started again."""
    for vault in embassy.vaults.values():
        assert vault.server is not None
        vault.server._leaf.show()
        assert vault.server._leaf.renew()


def test_leaves_are_renewed_and_taken_without_home(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.deposit()
        embassy.lose_home()
        renew_all(embassy)
        for seat, vault in embassy.vaults.items():
            for fellow in embassy.vaults:
                if fellow != seat:
                    # Through the handshake under the fellow's own leaf; shards are not for it.
                    with pytest.raises(VaultRefused) as refused:
                        embassy.loop.run(embassy.client(fellow, vault.identity).missing(NOBODY))
                    assert refused.value.cause == "identity"
        renew_all(embassy)
        assert embassy.reconstruct(tmp_path / "out").proven, "the reader's identity is its own too"
        # The same name is not the same identity.
        stranger = new_identity("vault-2", clock.now())
        with pytest.raises(VaultUnreachable):
            embassy.loop.run(embassy.client(1, stranger).missing(NOBODY))
