"""Shards that are carried to a vault: who answers for them (spec/vault-http.md 9).

The same at a vault that is at hand and through the local door of one that is served.
"""

from __future__ import annotations

from exclave.errors import AuthorityError
from exclave.ids import ShardRoot
from exclave.vault.line.problems import refused
from exclave.vault.mission.answering import is_named
from exclave.vault.mission.mission import Mission

__all__ = ["depositor_of"]


def depositor_of(mission: Mission, depositor: str, root: ShardRoot) -> bytes:
    """The identity in whose name a shard is carried; refused unless a record here names it.

    A host who brings what no record names would use up what its depositor may have staged.
    """
    try:
        identity = mission.charter().depositor(depositor).identity
    except AuthorityError as error:
        raise refused("identity", error.message, hint=error.hint) from error
    if not mission.shard_is_here(root) and not is_named(mission, root):
        raise refused("not-found", f"shard {root.hex()[:16]}: no record here names it")
    return identity
