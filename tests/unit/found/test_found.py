"""Founding: what is left on disk, what is refused, and that nothing is left of what failed."""

from __future__ import annotations

import os
import shlex
import sys
from itertools import chain
from pathlib import Path

import pytest

from exclave.authority.annex import parse_annex, verify_annex
from exclave.authority.card import Card, card_text, parse_card
from exclave.authority.charter_chain import verify_chain
from exclave.authority.charter_rules import (
    CharterRuleBroken,
    DispersalImpossible,
    ExileMemberAtHome,
    ExileRostersOverlap,
)
from exclave.authority.enrolment import SeatKeysForeign, verify_enrolment
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.keys import X_WING
from exclave.authority.layout import ExileCannotRecombine, LayoutImpossible
from exclave.errors import ConfigurationError, ExclaveError, QuorumNotReached
from exclave.found.cards import (
    HolderUnknown,
    PrinterOutlet,
    SealedOutlet,
    UnsafeFolderOutlet,
    open_sealed_card,
)
from exclave.found.ceremony import Founded, complete, found, prepare, sign_file
from exclave.found.draft import FoundingInconsistent, InputRefused
from exclave.found.output import OutputExists
from exclave.printer import Printer, PrinterFailed
from exclave.sealing.recovery import XWingPrivateKey, verify_key_check
from exclave.sealing.secret import unseal_annex
from exclave.shares import read_share, recombine
from exclave.signer.bundle import PrivateKey
from exclave.signer.file import PublicKeys, load_key_file
from exclave.vault.line.identity import load_identity
from tests.founding import NOW, Founding, make_founding


class Desk:
    """An outlet that keeps the cards in memory."""

    def __init__(self) -> None:
        self.cards: list[Card] = []

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        assert holder is not None
        self.cards.append(card)


@pytest.fixture
def founding(tmp_path: Path) -> Founding:
    folder = tmp_path / "plan"
    folder.mkdir()
    return make_founding(folder, os.urandom)


def _signers(founding: Founding, *labels: str) -> list[PrivateKey]:
    return list(chain.from_iterable(founding.officials[label].signers for label in labels))


def _found(founding: Founding, out: Path, desk: Desk | None = None) -> Founded:
    return found(
        founding.plan,
        folder=founding.folder,
        out=out,
        outlet=desk or Desk(),
        signers=_signers(founding, "chancellor", "registrar"),
        now=NOW,
        random=os.urandom,
    )


def test_one_step(founding: Founding, tmp_path: Path) -> None:
    out, desk = tmp_path / "out", Desk()
    done = _found(founding, out, desk)
    envelope = parse_envelope((out / "charter.json").read_bytes(), kinds=[Kind.CHARTER])
    charter = verify_chain([envelope], done.mission).newest
    assert (out / "mission.txt").read_text().startswith(done.mission.hex())
    assert (done.cards, len(desk.cards)) == (7, 7)
    # home 2 of 3 (3 ways), west and east 1 way each: 3 + 3 + 1
    assert (done.trial.tried, done.trial.possible, done.trial.exhaustive) == (7, 7, True)
    for name, bundle in founding.vaults.items():
        data = parse_envelope((out / "enrolments" / f"{name}.json").read_bytes())
        seat = next(item for item in charter.seats if item.vault == name)
        log_key, seat_key = bundle.keys[0].key, bundle.keys[1].key
        enrolment, _ = verify_enrolment(
            data, log_key=log_key, seat_key=seat_key, identity=seat.identity
        )
        assert enrolment.mission == done.mission
        with pytest.raises(SeatKeysForeign):
            verify_enrolment(data, log_key=log_key, seat_key=seat_key, identity=b"other")
    place = out / "depositors" / "registry-1"
    keys = load_key_file(place / "keys.json")
    assert charter.depositor("registry-1").keys == keys.public
    assert len(keys.secret("dedup")) == 32
    identity = load_identity(place / "identity.pem")
    assert identity.certificate == charter.depositor("registry-1").identity
    annex = parse_annex((out / "annex.json").read_bytes())
    verify_annex(annex, charter)


def test_persons_abroad_alone_open_the_recovery_key(founding: Founding, tmp_path: Path) -> None:
    desk = Desk()
    done = _found(founding, tmp_path / "out", desk)
    cards = [parse_card(card_text(card)) for card in desk.cards]
    assert cards == desk.cards
    seed = recombine(read_share(card.words) for card in cards if card.group > 1)
    epoch = done.charter.current_epoch
    verify_key_check(seed, epoch.key_hash, epoch.check)
    key = XWingPrivateKey.from_seed(seed)
    sealed = (tmp_path / "out" / "annex.sealed").read_bytes()
    assert unseal_annex(key, sealed) == (tmp_path / "out" / "annex.json").read_bytes()
    assert all(card.share_set == epoch.share_set for card in cards)


def test_no_words_of_any_share_lie_in_the_folder(founding: Founding, tmp_path: Path) -> None:
    desk = Desk()
    _found(founding, tmp_path / "out", desk)
    texts = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(texts) >= 9
    for card in desk.cards:
        phrase = " ".join(card.words[5:9]).encode()
        assert not any(phrase in text for text in texts)
        assert phrase.decode() not in repr(card)


def test_everything_is_for_its_owner_only(founding: Founding, tmp_path: Path) -> None:
    _found(founding, tmp_path / "out")
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_two_steps(founding: Founding, tmp_path: Path) -> None:
    out = tmp_path / "out"
    desk = Desk()
    done = prepare(
        founding.plan, folder=founding.folder, out=out, outlet=desk, now=NOW, random=os.urandom
    )
    assert not (out / "enrolments").exists()
    with pytest.raises(QuorumNotReached, match="0 of 3 officials signed, 2 required"):
        complete(out)
    copy = tmp_path / "copy.json"
    copy.write_bytes((out / "charter.json").read_bytes())
    sign_file(out / "charter.json", _signers(founding, "archivist"))
    with pytest.raises(QuorumNotReached, match="1 of 3 officials signed, 2 required"):
        complete(out)
    assert not (out / "enrolments").exists()
    sign_file(copy, _signers(founding, "registrar"))
    charter = complete(out, [copy])
    assert charter.mission_id == done.mission
    assert len(list((out / "enrolments").iterdir())) == 3
    copy_of_depositor = out / "depositors" / "registry-1" / "charter.json"
    assert copy_of_depositor.read_bytes() == (out / "charter.json").read_bytes()
    with pytest.raises(OutputExists):
        complete(out)


REFUSED = {
    "exile cannot recombine": ('state = "XC"\nthreshold = 2', 'state = "XB"\nthreshold = 2'),
    "copies of a share": (
        'threshold = 2\nmembers = 2\nholders = ["envoy-w',
        'threshold = 1\nmembers = 2\nholders = ["envoy-w',
    ),
    "exile member at home": (
        'members = ["envoy-west", "consul-west"]',
        'members = ["envoy-west", "archivist"]',
    ),
    "exile rosters overlap": (
        'members = ["consul-east", "envoy-east"]',
        'members = ["consul-west", "envoy-east"]',
    ),
    "too few states": ("h = 2 ", "h = 4 "),
    "unknown label": (
        'members = ["consul-east", "envoy-east"]',
        'members = ["nobody", "envoy-east"]',
    ),
    "two seats with one request": ("requests/vault-two.json", "requests/vault-one.json"),
    "a card of exile held at home": (
        'holders = ["envoy-west", "consul-west"]',
        'holders = ["envoy-west", "archivist"]',
    ),
    "agreements without a state's key": (
        "agreements_required = false",
        "agreements_required = true",
    ),
    "missing request": ("requests/vault-two.json", "requests/vault-none.json"),
    "two officials with one key": (
        "officials/archivist.public.json",
        "officials/registrar.public.json",
    ),
}
CAUSES: dict[str, type[ExclaveError]] = {
    "exile cannot recombine": ExileCannotRecombine,
    "copies of a share": LayoutImpossible,
    "exile member at home": ExileMemberAtHome,
    "exile rosters overlap": ExileRostersOverlap,
    "too few states": DispersalImpossible,
    "unknown label": FoundingInconsistent,
    "two seats with one request": FoundingInconsistent,
    "a card of exile held at home": FoundingInconsistent,
    "agreements without a state's key": FoundingInconsistent,
    "missing request": InputRefused,
    "two officials with one key": FoundingInconsistent,
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_plan_leaves_nothing(founding: Founding, tmp_path: Path, case: str) -> None:
    founding.edit(*REFUSED[case])
    desk = Desk()
    with pytest.raises(CAUSES[case]):
        _found(founding, tmp_path / "out", desk)
    assert desk.cards == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan"]


def test_a_request_with_a_bad_signature_is_refused(founding: Founding, tmp_path: Path) -> None:
    path = founding.folder / "requests" / "vault-one.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"sig":"', b'"sig":"AAAA', 1))
    with pytest.raises(InputRefused, match="vault-one"):
        _found(founding, tmp_path / "out")


def test_too_few_signers_hand_out_no_card(founding: Founding, tmp_path: Path) -> None:
    desk = Desk()
    with pytest.raises(QuorumNotReached, match="1 of 3 officials signed"):
        found(
            founding.plan,
            folder=founding.folder,
            out=tmp_path / "out",
            outlet=desk,
            signers=_signers(founding, "chancellor", "envoy-west"),
            now=NOW,
            random=os.urandom,
        )
    assert desk.cards == []
    assert not (tmp_path / "out").exists()


def test_a_printer_that_fails_leaves_nothing(founding: Founding, tmp_path: Path) -> None:
    with pytest.raises(PrinterFailed, match="got 3"):
        prepare(
            founding.plan,
            folder=founding.folder,
            out=tmp_path / "out",
            outlet=PrinterOutlet(Printer("sh -c 'exit 3'")),
            now=NOW,
            random=os.urandom,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan"]


def test_a_printer_gets_one_card_at_a_time(founding: Founding, tmp_path: Path) -> None:
    log = tmp_path / "printed"
    script = "import sys; d = sys.stdin.read(); open(sys.argv[1], 'a').write(f'{len(d)}\\n')"
    prepare(
        founding.plan,
        folder=founding.folder,
        out=tmp_path / "out",
        outlet=PrinterOutlet(Printer(shlex.join([sys.executable, "-c", script, str(log)]))),
        now=NOW,
        random=os.urandom,
    )
    assert len(log.read_text().split()) == 7


def test_sealed_cards_open_for_their_holder_only(founding: Founding, tmp_path: Path) -> None:
    done = prepare(
        founding.plan,
        folder=founding.folder,
        out=tmp_path / "out",
        outlet=SealedOutlet(tmp_path / "cards"),
        now=NOW,
        random=os.urandom,
    )
    sealed = (tmp_path / "cards" / "card-2-2.sealed").read_bytes()
    key = founding.officials["consul-west"].only(X_WING).xwing
    card = parse_card(open_sealed_card(key, sealed, done.mission))
    assert (card.group, card.member) == (2, 2)
    other = founding.officials["envoy-west"].only(X_WING).xwing
    with pytest.raises(ExclaveError, match="does not open"):
        open_sealed_card(other, sealed, done.mission)


def test_sealing_needs_holders(founding: Founding, tmp_path: Path) -> None:
    founding.edit('holders = ["envoy-west", "consul-west"]', "")
    with pytest.raises(HolderUnknown):
        prepare(
            founding.plan,
            folder=founding.folder,
            out=tmp_path / "out",
            outlet=SealedOutlet(tmp_path / "cards"),
            now=NOW,
            random=os.urandom,
        )
    assert not (tmp_path / "out").exists()


def test_all_cards_in_a_folder_only_when_asked(founding: Founding, tmp_path: Path) -> None:
    prepare(
        founding.plan,
        folder=founding.folder,
        out=tmp_path / "out",
        outlet=UnsafeFolderOutlet(tmp_path / "shares"),
        now=NOW,
        random=os.urandom,
    )
    cards = sorted((tmp_path / "shares").iterdir())
    assert len(cards) == 7
    assert parse_card(cards[0].read_text()).members == 3


def test_an_existing_folder_is_left_alone(founding: Founding, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(OutputExists):
        _found(founding, tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "x"


def test_the_causes_are_distinct() -> None:
    assert issubclass(ExileMemberAtHome, CharterRuleBroken)
    assert issubclass(InputRefused, ConfigurationError)
    assert set(REFUSED) == set(CAUSES)
