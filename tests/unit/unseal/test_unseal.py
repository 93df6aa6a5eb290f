"""Unsealing: what each wrong card, request or warrant is called, and that the right ones work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest

from exclave.authority.card import Card, MissionChecksumWrong, card_text
from exclave.authority.charter_chain import CharterChain, MissionMismatch, verify_chain
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.keys import ED25519, X_WING
from exclave.authority.persons import SignatureMissing
from exclave.authority.record import SealedSecret, parse_record, record_payload
from exclave.authority.record_chain import AncestorMissing
from exclave.authority.unsealing import (
    UnsealRequest,
    answer_envelope,
    parse_unseal_request,
    parse_unsealed,
    request_envelope,
)
from exclave.authority.warrant import Warrant, warrant_payload
from exclave.authority.words import WordCountWrong, WordUnknown
from exclave.errors import ExclaveError, QuorumNotReached
from exclave.found.ceremony import found
from exclave.ids import DepositId, Epoch, MissionId, StatementHash
from exclave.sealing.recovery import KeyCheckMismatch
from exclave.sealing.secret import (
    DepositContext,
    seal_deposit_secret,
    seal_for_reader,
    unseal_for_reader,
)
from exclave.shares import WORDS, ShareChecksumWrong, ShareRepeated, SharesTooFew, read_share
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import PublicKeys, load_key_file
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_reader_key
from exclave.unseal import (
    CardDesk,
    CardOfOtherEpoch,
    CardOfOtherMission,
    CardOfOtherShareSet,
    CardWordsForeign,
    DepositNotWarranted,
    NotADepositSecret,
    RequestOfOtherEpoch,
    SecretNotWarranted,
    UnsealKeyMismatch,
    WarrantMissing,
    review,
    unseal,
)
from tests.founding import NOW, Founding, make_founding
from tests.support.records import signed_record

DEPOSIT = DepositId(bytes(range(16)))


@dataclass(frozen=True, slots=True)
class World:
    """A founded mission, its cards and a reader with a warrant."""

    founding: Founding
    chain: CharterChain
    cards: list[Card]
    reader: KeyBundle
    depositor: KeyBundle
    secret: bytes
    sealed: bytes

    def desk(self) -> CardDesk:
        charter = self.chain.newest
        return CardDesk(charter=charter, epoch=charter.current_epoch)

    def full_desk(self) -> CardDesk:
        desk = self.desk()
        for card in self.cards:
            if card.group in {2, 3}:
                desk.take(card_text(card))
        return desk

    def warrant(self, **changes: object) -> Envelope:
        warrant = Warrant(
            mission=self.chain.mission,
            charter=self.chain.hashes[-1],
            nonce=bytes(16),
            purpose="drill",
            issued=NOW,
            expires=NOW + timedelta(days=9),
            deposits=None,
            reader=b"certificate",
            reader_key=self.reader.only(ED25519).key,
            unseal_key=self.reader.only(X_WING).key,
        )
        payload = warrant_payload(replace(warrant, **changes))  # type: ignore[arg-type]
        signers = [self.founding.officials[label].signers for label in ("envoy-west", "envoy-east")]
        return sign_envelope(
            Envelope(payload=payload, kind=Kind.WARRANT), chain.from_iterable(signers)
        )

    def seal(self, deposit: DepositId, secret: bytes) -> SealedSecret:
        epoch = self.chain.newest.current_epoch
        context = DepositContext(
            mission=self.chain.mission,
            deposit=deposit,
            epoch=epoch.epoch,
            key_hash=epoch.key_hash,
        )
        sealed = seal_deposit_secret(epoch.key.xwing, secret, context)
        return SealedSecret(deposit=deposit, sealed=sealed)

    def record(self, deposit: DepositId, *secrets: SealedSecret) -> Envelope:
        return signed_record(
            self.chain.newest, self.depositor, deposit=deposit, secrets=secrets, clock=lambda: NOW
        )

    def request(
        self, *secrets: SealedSecret, records: tuple[Envelope, ...] = (), **changes: object
    ) -> UnsealRequest:
        """For what DEPOSIT needs: the world's secret, or those given."""
        wanted = secrets or (SealedSecret(deposit=DEPOSIT, sealed=self.sealed),)
        request = UnsealRequest(
            mission=self.chain.mission,
            epoch=Epoch(1),
            secrets=tuple(sorted(wanted, key=lambda item: (item.deposit, item.secret_id))),
            records=records or (self.record(DEPOSIT, *wanted),),
            to=self.reader.only(X_WING).key,
            warrant=self.warrant(),
        )
        return replace(request, **changes)  # type: ignore[arg-type]


class _Desk:
    def __init__(self) -> None:
        self.cards: list[Card] = []

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        self.cards.append(card)


def _world(folder: Path) -> World:
    folder.mkdir()
    founding, cards = make_founding(folder, os.urandom), _Desk()
    home = [founding.officials[label].signers for label in ("chancellor", "registrar")]
    done = found(
        founding.plan,
        folder=folder,
        out=folder / "out",
        outlet=cards,
        signers=list(chain.from_iterable(home)),
        now=NOW,
        random=os.urandom,
    )
    envelope = parse_envelope((folder / "out" / "charter.json").read_bytes())
    verified = verify_chain([envelope], done.mission)
    epoch = done.charter.current_epoch
    context = DepositContext(
        mission=done.mission, deposit=DEPOSIT, epoch=epoch.epoch, key_hash=epoch.key_hash
    )
    secret = os.urandom(32)
    return World(
        founding,
        verified,
        cards.cards,
        new_reader_key("reader", os.urandom),
        load_key_file(next((folder / "out" / "depositors").glob("*/keys.json"))),
        secret,
        seal_deposit_secret(epoch.key.xwing, secret, context),
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return _world(tmp_path_factory.mktemp("one") / "plan")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> World:
    return _world(tmp_path_factory.mktemp("two") / "plan")


def test_secrets_reach_the_one_time_key_and_nobody_else(world: World) -> None:
    made = world.request()
    request = parse_unseal_request(
        parse_envelope(request_envelope(made).to_bytes(), kinds=[Kind.UNSEAL_REQUEST])
    )
    assert request == made
    shown = review(request, world.chain)
    assert (shown.secrets, shown.deposits) == (1, (DEPOSIT,))
    answer = unseal(request, world.chain, world.full_desk())
    assert parse_unsealed(parse_envelope(answer_envelope(answer).to_bytes())) == answer
    (item,) = answer.secrets
    key = world.reader.only(X_WING).xwing
    opened = unseal_for_reader(key, item.sealed, world.chain.mission, item.secret_id)
    assert opened == world.secret
    other = new_reader_key("other", os.urandom).only(X_WING).xwing
    with pytest.raises(ExclaveError, match="does not open"):
        unseal_for_reader(other, item.sealed, world.chain.mission, item.secret_id)


def test_words_alone_are_enough_in_any_case_and_shortened(world: World) -> None:
    desk = world.desk()
    for card in world.cards:
        if card.group in {2, 3}:
            desk.take("\n".join(word[:4].upper() for word in card.words))
    assert desk.complete
    assert desk.open().public.raw == world.chain.newest.current_epoch.key.raw


def _words(world: World, change: Callable[[list[str]], object]) -> str:
    words = list(world.cards[0].words)
    change(words)
    return " ".join(words)


def test_a_mistyped_word_is_named_with_suggestions(world: World) -> None:
    with pytest.raises(WordUnknown, match="word 5: ") as caught:
        world.desk().take(_words(world, lambda words: words.__setitem__(4, "acadmic")))
    assert caught.value.position == 5
    assert "academic" in caught.value.suggestions
    assert WORDS.complete("acad") == ("academic",)
    assert WORDS.complete("aca") == ("academic",)
    assert len(WORDS.complete("ac")) > 1


def test_a_wrong_word_of_the_list_fails_the_checksum(world: World) -> None:
    text = _words(world, lambda words: words.reverse())
    with pytest.raises(ShareChecksumWrong) as caught:
        world.desk().take(text)
    assert world.cards[0].words[7] not in str(caught.value.message)


def test_a_missing_word_is_counted(world: World) -> None:
    with pytest.raises(WordCountWrong, match="expected 33 words, got 32"):
        world.desk().take(_words(world, lambda words: words.pop()))


def test_a_refused_card_leaves_the_desk_as_it_was(world: World) -> None:
    desk = world.full_desk()
    with pytest.raises(ShareRepeated):
        desk.take(" ".join(world.cards[-1].words))
    with pytest.raises(WordUnknown):
        desk.take("nonsense")
    assert unseal(world.request(), world.chain, desk).secrets


def test_cards_of_another_mission_are_named(world: World, stranger: World) -> None:
    with pytest.raises(CardOfOtherMission):
        world.desk().take(card_text(stranger.cards[0]))
    # Share sets are random 15-bit numbers; equal ones would be another error.
    if stranger.cards[0].share_set != world.cards[0].share_set:
        with pytest.raises(CardOfOtherShareSet):
            world.desk().take(" ".join(stranger.cards[0].words))


def test_cards_of_another_epoch_are_named(world: World) -> None:
    card = replace(world.cards[0], epoch=Epoch(2))
    with pytest.raises(CardOfOtherEpoch, match="expected epoch 1, got 2"):
        world.desk().take(card_text(card))


def test_exchanged_words_on_a_card_are_named(world: World) -> None:
    card = replace(world.cards[0], words=world.cards[1].words)
    with pytest.raises(CardWordsForeign):
        world.desk().take(card_text(card))


def test_a_miscopied_mission_id_is_named(world: World) -> None:
    text = card_text(world.cards[0])
    mission = world.chain.mission.hex()
    other = ("0" if mission[0] != "0" else "1") + mission[1:8]
    with pytest.raises(MissionChecksumWrong):
        world.desk().take(text.replace(mission[:8], other, 1))


def test_too_few_cards_say_which_are_missing(world: World) -> None:
    desk = world.desk()
    for card in world.cards[:2]:
        desk.take(card_text(card))
    with pytest.raises(SharesTooFew, match="1 of 2 groups are complete") as caught:
        unseal(world.request(), world.chain, desk)
    assert caught.value.hint == "home: 2 of 2, embassy west: 0 of 2, embassy east: 0 of 2"


def test_shares_of_another_seed_fail_the_key_check(world: World) -> None:
    charter = world.chain.newest
    epoch = replace(charter.current_epoch, check=bytes(16))
    desk = CardDesk(charter=charter, epoch=epoch)
    for card in world.cards:
        desk.take(" ".join(card.words))
    with pytest.raises(KeyCheckMismatch):
        desk.open()


def test_a_warrant_is_needed_unless_told_otherwise(world: World) -> None:
    request = world.request(warrant=None)
    with pytest.raises(WarrantMissing):
        unseal(request, world.chain, world.full_desk())
    assert unseal(request, world.chain, world.full_desk(), unsafe_without_warrant=True).secrets


def test_a_request_to_another_key_than_the_warrants_is_refused(world: World) -> None:
    key = new_reader_key("other", os.urandom).only(X_WING).key
    with pytest.raises(UnsealKeyMismatch):
        unseal(world.request(to=key), world.chain, world.full_desk())
    with pytest.raises(UnsealKeyMismatch):
        # Told to do without a warrant does not mean to do against one.
        unseal(world.request(to=key), world.chain, world.full_desk(), unsafe_without_warrant=True)


def test_a_warrant_needs_its_quorum(world: World) -> None:
    signed = world.warrant()
    lone = replace(signed, signatures=signed.signatures[:1])
    with pytest.raises(QuorumNotReached):
        unseal(world.request(warrant=lone), world.chain, world.full_desk())


def test_a_deposit_that_the_warrant_does_not_cover_is_refused(world: World) -> None:
    warrant = world.warrant(deposits=(DepositId(bytes(16)),))
    with pytest.raises(DepositNotWarranted):
        review(world.request(warrant=warrant), world.chain)


OTHER = DepositId(bytes(15) + b"\x07")


def test_a_warrant_for_one_deposit_opens_nothing_of_another(world: World) -> None:
    """Records are public: whoever holds the reader's machine can add every sealed secret."""
    mine = SealedSecret(deposit=DEPOSIT, sealed=world.sealed)
    theirs = world.seal(OTHER, os.urandom(32))
    own, other = world.record(DEPOSIT, mine), world.record(OTHER, theirs)
    named = world.warrant(deposits=(DEPOSIT,))
    for records in ((own,), (own, other)):
        with pytest.raises(SecretNotWarranted, match="got 1 others"):
            unseal(
                world.request(mine, theirs, records=records, warrant=named),
                world.chain,
                world.full_desk(),
            )
    both = world.request(mine, theirs, records=(own, other))
    assert review(both, world.chain).deposits == (OTHER, DEPOSIT)  # this warrant says all
    unproven = world.request(mine, theirs, records=(own,), warrant=None)
    with pytest.raises(SecretNotWarranted):
        review(unproven, world.chain, unsafe_without_warrant=True)


def test_a_deposit_gets_the_older_secrets_that_its_packs_need(world: World) -> None:
    older = world.seal(OTHER, os.urandom(32))
    request = world.request(older, warrant=world.warrant(deposits=(DEPOSIT,)))
    assert review(request, world.chain).deposits == (DEPOSIT,)
    assert len(unseal(request, world.chain, world.full_desk()).secrets) == 1


def test_a_record_that_the_depositor_did_not_sign_proves_nothing(world: World) -> None:
    theirs = world.seal(OTHER, os.urandom(32))
    forged = replace(world.record(DEPOSIT, theirs), signatures=())
    with pytest.raises(SignatureMissing):
        review(world.request(theirs, records=(forged,)), world.chain)


def test_a_record_whose_ancestor_is_not_given_proves_nothing(world: World) -> None:
    mine = SealedSecret(deposit=DEPOSIT, sealed=world.sealed)
    later = replace(
        parse_record(world.record(DEPOSIT, mine)),
        sequence=2,
        full=False,
        previous=StatementHash(bytes(32)),
    )
    envelope = Envelope(payload=record_payload(later), kind=Kind.RECORD)
    signed = sign_envelope(envelope, world.depositor.signers)
    with pytest.raises(AncestorMissing):
        review(world.request(mine, records=(signed,)), world.chain)


def test_only_deposit_secrets_come_out(world: World) -> None:
    public = world.chain.newest.current_epoch.key.xwing
    dedup = seal_for_reader(public, bytes(32), world.chain.mission, bytes(32))
    request = world.request(SealedSecret(deposit=DEPOSIT, sealed=dedup))
    with pytest.raises(NotADepositSecret):
        unseal(request, world.chain, world.full_desk())
    elsewhere = SealedSecret(deposit=DepositId(bytes(16)), sealed=world.sealed)
    with pytest.raises(NotADepositSecret):
        unseal(world.request(elsewhere), world.chain, world.full_desk())


def test_requests_of_another_mission_or_epoch_are_named(world: World) -> None:
    with pytest.raises(MissionMismatch):
        review(world.request(mission=MissionId(bytes(32))), world.chain)
    charter = world.chain.newest
    desk = CardDesk(charter=charter, epoch=replace(charter.current_epoch, epoch=Epoch(7)))
    with pytest.raises(RequestOfOtherEpoch, match="expected epoch 7 of the cards, got 1"):
        unseal(world.request(), world.chain, desk)


def test_nothing_that_could_reach_a_network_is_imported() -> None:
    code = (
        "import sys, exclave.unseal\n"
        "bad = {'socket', 'ssl', '_socket', '_ssl', 'asyncio', 'http', 'urllib.request'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shares_print_no_words(world: World) -> None:
    share = read_share(world.cards[0].words)
    text = repr(share)  # single words of the list, such as "member", may well be in it
    assert sum(word in text for word in world.cards[0].words) < 8
