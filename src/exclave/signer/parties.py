"""The key sets of the parties of a mission: which algorithms each has (spec/statements.md 3)."""

from __future__ import annotations

from collections.abc import Callable

from exclave.authority.keys import ED25519, ML_DSA_44, ML_DSA_65, X_WING, TypedKey
from exclave.signer.bundle import KeyBundle, Purpose, new_bundle

__all__ = [
    "DEDUP_SECRET",
    "new_depositor_key",
    "new_official_key",
    "new_reader_key",
    "new_state_key",
    "new_vault_key",
    "official_id",
]

DEDUP_SECRET = "dedup"  # noqa: S105 - the name of a secret
"""Name of the key under which a depositor names chunks."""

Random = Callable[[int], bytes]


def new_official_key(random: Random) -> KeyBundle:
    """An official's signing set, and an X-Wing key to which cards can be sealed.

    The opaque id that stands in the charter is drawn here: it says nothing about the person.
    """
    id = f"p-{random(8).hex()}"
    return new_bundle(Purpose.OFFICIAL, id, (ED25519, ML_DSA_65, X_WING), random=random)


def official_id(key: TypedKey) -> str:
    """The id of an official whose key no file of ours holds: from the key, so always the same.

    It says no more about the person than the key does, which stands beside it in the charter.
    """
    return f"p-{key.key_id[:16]}"


def new_depositor_key(id: str, random: Random) -> KeyBundle:
    """A depositor's signing set and dedup key."""
    algorithms = (ED25519, ML_DSA_65)
    return new_bundle(Purpose.DEPOSITOR, id, algorithms, random=random, secrets=(DEDUP_SECRET,))


def new_reader_key(id: str, random: Random) -> KeyBundle:
    """A reader's report key and one-time unsealing key: for one warrant."""
    return new_bundle(Purpose.READER, id, (ED25519, X_WING), random=random)


def new_state_key(state: str, random: Random) -> KeyBundle:
    """A receiving state's key: what it signs stands for as long as an agreement does."""
    return new_bundle(Purpose.STATE, f"state-{state.lower()}", (ML_DSA_65,), random=random)


def new_vault_key(id: str, random: Random) -> KeyBundle:
    """A vault's log key, seat key and the two cosigning keys, in this order."""
    algorithms = (ED25519, X_WING, ED25519, ML_DSA_44)
    return new_bundle(Purpose.VAULT, id, algorithms, random=random)
