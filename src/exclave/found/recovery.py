"""A new recovery key: drawn, shared, tried out, and its cards handed to their holders.

The same at a founding and for a later epoch. Rules: the seed exists only within one call; its
shares are tried out before anything names its key; no share is written here, outlets take cards
one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from exclave.authority.card import card_for
from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RecoveryEpoch, ShareGroup
from exclave.authority.keys import X_WING, TypedKey
from exclave.found.cards import CardOutlet
from exclave.found.plan import GroupPlan
from exclave.ids import Epoch
from exclave.sealing.recovery import XWingPrivateKey, generate_seed, key_check_value
from exclave.shares import ShareSet, Trial, split_seed, try_out
from exclave.signer.file import PublicKeys
from exclave.values import dataclass, field

__all__ = ["NewRecovery", "hand_out", "new_recovery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecovery:
    """An epoch with its shares, which wait in memory for their holders."""

    epoch: RecoveryEpoch
    shares: ShareSet = field(repr=False)
    trial: Trial


def new_recovery(
    epoch: Epoch,
    groups: tuple[ShareGroup, ...],
    threshold: int,
    *,
    random: Callable[[int], bytes],
    used: frozenset[int] = frozenset(),
) -> NewRecovery:
    """Draw a key and share it; `used` are the numbers of earlier share sets."""
    seed = generate_seed(random)
    public = XWingPrivateKey.from_seed(seed).public
    shares = split_seed(seed, groups, threshold)
    while shares.number in used:
        # Drawn from 2**15 numbers by the library: two sets of one number could not be told apart.
        shares = split_seed(seed, groups, threshold)
    made = RecoveryEpoch(
        epoch=epoch,
        key=TypedKey(X_WING, public.raw),
        check=key_check_value(seed, public.key_hash),
        share_set=shares.number,
        group_threshold=threshold,
        groups=groups,
        current=True,
    )
    trial = try_out(shares, groups, threshold, seed)
    # Seed and private key end with this call; CPython frees them, but promises no wiping.
    return NewRecovery(epoch=made, shares=shares, trial=trial)


def hand_out(
    shares: ShareSet,
    charter: Charter,
    groups: Sequence[GroupPlan],
    keys: Mapping[str, PublicKeys],
    *,
    reader: str,
    outlet: CardOutlet,
) -> int:
    """Hand out every card; `keys` are the public keys of holders, by label. Returns how many."""
    count = 0
    for share in (share for group in shares.groups for share in group):
        card = card_for(
            charter, group=share.group, member=share.member, words=share.words, reader=reader
        )
        holders = groups[share.group - 1].holders
        outlet.deliver(card, keys.get(holders[share.member - 1]) if holders else None)
        count += 1
    return count
