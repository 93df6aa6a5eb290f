"""Unsealing: officials' cards in, the requested deposit secrets out, on a machine without network.

`CardDesk` takes cards one at a time and says of each what is wrong with it before the next is
asked for; `review` shows what a request would give out; `unseal` recombines and answers. Nothing
here opens a connection or imports what could. Rules:
 1. only deposit secrets are given out, and only those asked for: what opens as anything else is
    refused, and so is what was sealed in another epoch;
 2. they go to the one-time key that a warrant names; without a warrant only when told so;
 3. each secret must be live in a deposit that the warrant names: the request carries the records,
    signed by the depositor, that say so;
 4. the warrant must carry the read threshold under the charter given; whether its delay has run out
    is for the vaults, which alone have the time;
 5. the seed exists between the last card and the answer, and in no file.
"""

from __future__ import annotations

from collections.abc import Iterable

from exclave.authority.card import CARD_BEGINS, Card, parse_card
from exclave.authority.charter import Charter
from exclave.authority.charter_chain import CharterChain, MissionMismatch
from exclave.authority.charter_parts import RecoveryEpoch
from exclave.authority.record import DepositRecord, SealedSecret, verify_record
from exclave.authority.record_chain import live_set
from exclave.authority.unsealing import UnsealAnswer, UnsealedSecret, UnsealRequest
from exclave.authority.warrant import Warrant, parse_warrant, verify_warrant
from exclave.errors import AuthorityError
from exclave.ids import DepositId, Epoch, MissionId
from exclave.sealing.hpke import SealedValueRejected
from exclave.sealing.recovery import XWingPrivateKey, verify_key_check
from exclave.sealing.secret import DepositContext, seal_for_reader, unseal_deposit_secret
from exclave.shares import Share, ShareForeign, ShareRepeated, SharesTooFew, read_share, recombine
from exclave.values import dataclass, field

__all__ = [
    "CardDesk",
    "CardLayoutForeign",
    "CardOfOtherEpoch",
    "CardOfOtherMission",
    "CardOfOtherShareSet",
    "CardWordsForeign",
    "DepositNotWarranted",
    "NotADepositSecret",
    "RequestOfOtherEpoch",
    "Review",
    "SecretNotWarranted",
    "UnsealKeyMismatch",
    "WarrantMissing",
    "review",
    "unseal",
]


class CardOfOtherMission(AuthorityError):
    """A card of another mission."""


class CardOfOtherEpoch(AuthorityError):
    """A card of another recovery key of this mission."""


class CardOfOtherShareSet(ShareForeign):
    """A share of another sharing of the recovery key."""


class CardLayoutForeign(ShareForeign):
    """A share whose group or thresholds are not those of the charter."""


class CardWordsForeign(AuthorityError):
    """A card's text and its words speak of different shares."""


class RequestOfOtherEpoch(AuthorityError):
    """A request for secrets of another epoch than the cards'."""


class NotADepositSecret(AuthorityError):
    """Something in a request does not open as a secret of the deposit that it names."""


class WarrantMissing(AuthorityError):
    """A request without a warrant, and nobody said that this is meant."""


class UnsealKeyMismatch(AuthorityError):
    """A request's key is not the one that its warrant names."""


class DepositNotWarranted(AuthorityError):
    """A request carries no record of a deposit that its warrant covers."""


class SecretNotWarranted(AuthorityError):
    """A request asks for a secret that none of the warranted deposits needs."""


@dataclass(slots=True)
class CardDesk:
    """Cards given so far for one epoch of one mission. Survives every refused card."""

    charter: Charter
    epoch: RecoveryEpoch
    _shares: dict[tuple[int, int], Share] = field(default_factory=dict, repr=False)

    def take(self, text: str) -> Share:
        """Take a card's text, or its 33 words alone; raises what is wrong with it.

        Raises `WordUnknown`, `WordCountWrong`, `ShareChecksumWrong`, `CardOfOtherMission`,
        `CardOfOtherEpoch`, `CardOfOtherShareSet`, `CardLayoutForeign`, `CardWordsForeign` or
        `ShareRepeated`; the desk is then as before.
        """
        card = None
        if text.lstrip().startswith(CARD_BEGINS):
            card = parse_card(text)
            self._check_card(card)
        share = read_share(text if card is None else card.words)
        self._check_share(share)
        if card is not None and (card.group, card.member) != (share.group, share.member):
            raise CardWordsForeign(
                f"card: expected words of group {card.group} member {card.member}, "
                f"got of group {share.group} member {share.member}"
            )
        place = (share.group, share.member)
        if place in self._shares:
            raise ShareRepeated(f"card: group {place[0]} member {place[1]} was given before")
        self._shares[place] = share
        return share

    @property
    def complete(self) -> bool:
        """Whether the cards suffice."""
        return len(self.complete_groups) >= self.epoch.group_threshold

    @property
    def complete_groups(self) -> tuple[int, ...]:
        """Groups that have enough cards, from 1."""
        counts = self.counts
        return tuple(
            number
            for number, group in enumerate(self.epoch.groups, start=1)
            if counts[number - 1] >= group.threshold
        )

    @property
    def counts(self) -> tuple[int, ...]:
        """Cards given of each group."""
        groups = range(1, len(self.epoch.groups) + 1)
        return tuple(sum(place[0] == number for place in self._shares) for number in groups)

    def open(self) -> XWingPrivateKey:
        """Recombine; raises `SharesTooFew`, `SharesContradict` or `KeyCheckMismatch`."""
        if not self.complete:
            missing = ", ".join(
                f"{group.name}: {count} of {group.threshold}"
                for group, count in zip(self.epoch.groups, self.counts, strict=True)
            )
            raise SharesTooFew(
                f"quorum not reached: {len(self.complete_groups)} of {self.epoch.group_threshold} "
                "groups are complete",
                hint=missing,
            )
        seed = recombine(self._shares.values())
        verify_key_check(seed, self.epoch.key_hash, self.epoch.check)
        return XWingPrivateKey.from_seed(seed)

    def _check_card(self, card: Card) -> None:
        mission = self.charter.mission_id
        if card.mission != mission:
            raise CardOfOtherMission(
                f"card: expected mission {mission.hex()[:16]}, got {card.mission.hex()[:16]}"
            )
        if card.epoch != self.epoch.epoch or card.recovery_key != self.epoch.key_hash:
            raise CardOfOtherEpoch(
                f"card: expected epoch {self.epoch.epoch}, got {card.epoch}",
                hint="the deposit was sealed to another recovery key; holders keep old cards too",
            )

    def _check_share(self, share: Share) -> None:
        epoch = self.epoch
        if share.share_set != epoch.share_set:
            raise CardOfOtherShareSet(
                f"card: expected share set {epoch.share_set}, got {share.share_set}",
                hint="words of another epoch, of another mission or of an earlier sharing",
            )
        layout = (len(epoch.groups), epoch.group_threshold)
        known = 1 <= share.group <= len(epoch.groups)
        group = epoch.groups[share.group - 1] if known else None
        if (
            (share.groups, share.groups_needed) != layout
            or group is None
            or share.threshold != group.threshold
            or share.member > group.members
        ):
            raise CardLayoutForeign("card: expected the groups of the charter, got others")


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What a request would give out, to be shown before any card is asked for."""

    mission: MissionId
    epoch: Epoch
    secrets: int
    deposits: tuple[DepositId, ...]  # whose signed records need these secrets
    to: bytes  # hash of the one-time key, as the warrant's signers compare it
    warrant: Warrant | None


def review(
    request: UnsealRequest, chain: CharterChain, *, unsafe_without_warrant: bool = False
) -> Review:
    """Check all of a request that needs no key; raises an `AuthorityError`."""
    if request.mission != chain.mission:
        raise MissionMismatch(
            f"unseal request: expected mission {chain.mission.hex()}, got {request.mission.hex()}"
        )
    chain.newest.epoch(request.epoch)
    warrant = _warrant(request, chain, unsafe_without_warrant=unsafe_without_warrant)
    return Review(
        mission=request.mission,
        epoch=request.epoch,
        secrets=len(request.secrets),
        deposits=_require_live(request, chain, warrant),
        to=request.to.key_hash,
        warrant=warrant,
    )


def unseal(
    request: UnsealRequest,
    chain: CharterChain,
    desk: CardDesk,
    *,
    unsafe_without_warrant: bool = False,
) -> UnsealAnswer:
    """Answer a request with what the cards open, sealed to the one-time key."""
    review(request, chain, unsafe_without_warrant=unsafe_without_warrant)
    if request.epoch != desk.epoch.epoch:
        raise RequestOfOtherEpoch(
            f"unseal request: expected epoch {desk.epoch.epoch} of the cards, got {request.epoch}"
        )
    key = desk.open()
    opened = {
        item.secret_id: UnsealedSecret(secret_id=item.secret_id, sealed=_reseal(request, item, key))
        for item in request.secrets
    }
    return UnsealAnswer(
        mission=request.mission,
        epoch=request.epoch,
        secrets=tuple(opened[identity] for identity in sorted(opened)),
    )


def _reseal(request: UnsealRequest, item: SealedSecret, key: XWingPrivateKey) -> bytes:
    context = DepositContext(
        mission=request.mission,
        deposit=item.deposit,
        epoch=request.epoch,
        key_hash=key.public.key_hash,
    )
    try:
        secret = unseal_deposit_secret(key, item.sealed, context)
    except SealedValueRejected as error:
        raise NotADepositSecret(
            f"unseal request: expected a secret of deposit {item.deposit.hex()}, got something "
            "that does not open as one",
            hint="another epoch's, another deposit's, damaged, or no deposit secret at all",
        ) from error
    return seal_for_reader(request.to.xwing, secret, request.mission, item.secret_id)


def _warrant(
    request: UnsealRequest, chain: CharterChain, *, unsafe_without_warrant: bool
) -> Warrant | None:
    if request.warrant is None:
        if not unsafe_without_warrant:
            raise WarrantMissing(
                "unseal request: expected a warrant, got none",
                hint="only where nothing but disks is left: --unsafe-without-warrant",
            )
        return None
    named = parse_warrant(request.warrant).charter
    charter = chain.find(named)
    warrant = verify_warrant(request.warrant, charter, chain.before(charter))
    if warrant.unseal_key != request.to:
        raise UnsealKeyMismatch(
            f"unseal request: expected the warrant's key {warrant.unseal_key.key_id[:16]}, "
            f"got {request.to.key_id[:16]}"
        )
    return warrant


def _require_live(
    request: UnsealRequest, chain: CharterChain, warrant: Warrant | None
) -> tuple[DepositId, ...]:
    """Every secret must be live in a deposit that may be read; returns these deposits."""
    # Not by the deposit that a secret was sealed for: packs may lie in older deposits, whose
    # secrets a newer one then needs (spec/authority.md 8); which, stands in signed records only.
    known = {item.statement_hash: verify_record(item, chain) for item in request.records}
    if warrant is None or warrant.deposits is None:
        followed = {record.previous for record in known.values()}
        wanted = {key: record for key, record in known.items() if key not in followed}
    else:
        wanted = {key: record for key, record in known.items() if warrant.covers(record.deposit)}
    if not wanted:
        raise DepositNotWarranted(
            f"unseal request: expected a record of a deposit that the warrant names, got "
            f"{_deposits(known.values())}"
        )
    live = {identity for record in wanted.values() for identity in live_set(record, known).secrets}
    foreign = [item for item in request.secrets if item.secret_id not in live]
    if foreign:
        raise SecretNotWarranted(
            f"unseal request: expected secrets that deposits {_deposits(wanted.values())} need, "
            f"got {len(foreign)} others, the first sealed for {foreign[0].deposit.hex()}",
            hint="give nothing out: whoever made this request asks for more than was allowed",
        )
    return tuple(sorted({record.deposit for record in wanted.values()}))


def _deposits(records: Iterable[DepositRecord]) -> str:
    return ", ".join(sorted(record.deposit.hex() for record in records))
