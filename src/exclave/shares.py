"""Shares of a recovery seed: SLIP-39 words, split and recombined (spec/cards.md 1).

The mathematics is `shamir_mnemonic`'s, the reference implementation; this module fixes the
parameters, tries layouts out and gives every refusal its own name. Rules: the share set's number
is the SLIP-39 identifier, so that 33 words alone say to which set they belong; words never appear
in errors or reprs. Python cannot promise to wipe memory: seeds are held as briefly as possible.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence

from shamir_mnemonic import MnemonicError, decode_mnemonics, generate_mnemonics, recover_ems
from shamir_mnemonic.share import Share as Slip39Share
from shamir_mnemonic.wordlist import WORDLIST

from exclave.authority.charter_parts import ShareGroup
from exclave.authority.layout import (
    combination_count,
    covering_combinations,
    share_combinations,
)
from exclave.authority.words import WORDS_A_CARD, WordCountWrong, WordList, read_words
from exclave.errors import AuthorityError, QuorumNotReached
from exclave.values import dataclass, field

__all__ = [
    "ALL_COMBINATIONS",
    "WORDS",
    "Share",
    "ShareChecksumWrong",
    "ShareForeign",
    "ShareRepeated",
    "ShareSet",
    "SharesContradict",
    "SharesTooFew",
    "Trial",
    "decode_share",
    "read_share",
    "recombine",
    "split_seed",
    "try_out",
]

WORDS = WordList(tuple(WORDLIST))
ALL_COMBINATIONS = 2000
"""Up to so many combinations of cards are all tried; beyond, a set that covers every card."""

_ITERATION_EXPONENT = 1
_SEED_SIZE = 32


class ShareChecksumWrong(AuthorityError):
    """33 words of the list that are no share: a word was mistaken for another."""


class ShareForeign(AuthorityError):
    """A share of another set than expected."""


class ShareRepeated(AuthorityError):
    """A share that was given before."""


class SharesTooFew(QuorumNotReached):
    """The shares do not reach the thresholds."""


class SharesContradict(AuthorityError):
    """Shares reach the thresholds, but do not belong together: one is forged or of an old set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One member's share; group and member count from 1."""

    share_set: int
    group: int
    groups: int
    groups_needed: int
    member: int
    threshold: int
    extendable: bool = True
    exponent: int = _ITERATION_EXPONENT
    words: tuple[str, ...] = field(repr=False)

    @property
    def layout(self) -> tuple[int, int, int, bool, int]:
        """What all shares of a set have in common."""
        return self.share_set, self.groups, self.groups_needed, self.extendable, self.exponent


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSet:
    """All shares of a seed, by group and member, and their number."""

    number: int
    groups: tuple[tuple[Share, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was tried: `tried` combinations, which are all when `exhaustive`."""

    tried: int
    possible: int

    @property
    def exhaustive(self) -> bool:
        """Whether no combination was left out."""
        return self.tried == self.possible


def read_share(words: tuple[str, ...] | str) -> Share:
    """The share of a recovery seed that 33 words are.

    Raises `WordUnknown`, `WordCountWrong`, `ShareChecksumWrong` or `ShareForeign`.
    """
    share = decode_share(words)
    if not share.extendable or share.exponent != _ITERATION_EXPONENT:
        raise ShareForeign("card: expected an extendable share of exponent 1, got another")
    return share


def decode_share(words: tuple[str, ...] | str) -> Share:
    """Any SLIP-39 share of 33 words, also one that no mission would make."""
    if isinstance(words, str):
        words = read_words(words, WORDS)
    if len(words) != WORDS_A_CARD:
        raise WordCountWrong(f"card: expected {WORDS_A_CARD} words, got {len(words)}")
    listed = tuple(WORDS.look_up(word, position=i) for i, word in enumerate(words, start=1))
    try:
        share = Slip39Share.from_mnemonic(" ".join(listed))
    except MnemonicError as error:
        raise ShareChecksumWrong(
            "card: the words are no share, since their checksum is wrong",
            hint="a word was mistaken for another of the list, or two were exchanged",
        ) from error.with_traceback(None)
    return Share(
        extendable=share.extendable,
        exponent=share.iteration_exponent,
        share_set=share.identifier,
        group=share.group_index + 1,
        groups=share.group_count,
        groups_needed=share.group_threshold,
        member=share.index + 1,
        threshold=share.member_threshold,
        words=listed,
    )


def split_seed(seed: bytes, groups: Sequence[ShareGroup], group_threshold: int) -> ShareSet:
    """Split a seed; randomness is the library's own (the system's)."""
    assert len(seed) == _SEED_SIZE
    mnemonics = generate_mnemonics(
        group_threshold,
        [(group.threshold, group.members) for group in groups],
        seed,
        extendable=True,
        iteration_exponent=_ITERATION_EXPONENT,
    )
    shares = tuple(
        tuple(read_share(tuple(mnemonic.split())) for mnemonic in group) for group in mnemonics
    )
    return ShareSet(number=shares[0][0].share_set, groups=shares)


def try_out(
    shares: ShareSet, groups: Sequence[ShareGroup], group_threshold: int, seed: bytes
) -> Trial:
    """Recombine every set of groups, and every set of members when they are few enough.

    Above `ALL_COMBINATIONS`, each set of groups is tried with every member of its groups at least
    once. Raises `SharesContradict` when one does not give the seed.
    """
    possible = combination_count(groups, group_threshold)
    few = possible <= ALL_COMBINATIONS
    plan = share_combinations if few else covering_combinations
    expected: bytes | None = None
    tried = 0
    for combination in plan(groups, group_threshold):
        chosen = [shares.groups[group][at] for group, members in combination for at in members]
        ciphertext = _encrypted(chosen)
        if expected is None and hmac.compare_digest(recombine(chosen), seed):
            # The rest of the way from here to the seed is the same for all combinations.
            expected = ciphertext
        if expected is None or not hmac.compare_digest(ciphertext, expected):
            raise SharesContradict("share layout: a combination of cards does not give the seed")
        tried += 1
    return Trial(tried=tried, possible=possible)


def recombine(shares: Iterable[Share], passphrase: bytes = b"") -> bytes:
    """The seed from enough shares; more than enough are allowed. Missions use no passphrase.

    Raises `ShareForeign`, `ShareRepeated`, `SharesTooFew` or `SharesContradict`.
    """
    chosen = _enough(list(shares))
    try:
        groups = decode_mnemonics([" ".join(share.words) for share in chosen])
        return bytes(recover_ems(groups).decrypt(passphrase))
    except MnemonicError as error:
        raise SharesContradict(
            "shares: reach the thresholds, but do not belong together",
            hint="a card is forged or belongs to an earlier sharing; try other cards",
        ) from error.with_traceback(None)


def _encrypted(shares: Sequence[Share]) -> bytes:
    try:
        groups = decode_mnemonics([" ".join(share.words) for share in shares])
        return bytes(recover_ems(groups).ciphertext)
    except MnemonicError as error:
        raise SharesContradict("share layout: a combination of cards does not recombine") from error


def _enough(shares: Sequence[Share]) -> list[Share]:
    by_group: dict[int, dict[int, Share]] = {}
    for share in shares:
        if share.layout != shares[0].layout:
            raise ShareForeign(
                f"card: expected share set {shares[0].share_set}, got {share.share_set}"
            )
        group = by_group.setdefault(share.group, {})
        if share.member in group:
            raise ShareRepeated(f"card: group {share.group} member {share.member} given twice")
        group[share.member] = share
    complete = [
        [group[member] for member in sorted(group)][:threshold]
        for _, group in sorted(by_group.items())
        if len(group) >= (threshold := next(iter(group.values())).threshold)
    ]
    needed = shares[0].groups_needed if shares else 1
    if len(complete) < needed:
        raise SharesTooFew(
            f"quorum not reached: {len(complete)} of {needed} groups are complete",
        )
    return [share for group in complete[:needed] for share in group]
