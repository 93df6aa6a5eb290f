"""The next charter: what a file of changes makes of it, and what is refused, with its line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from exclave.authority.annex import parse_annex, verify_annex
from exclave.authority.card import Card, parse_card
from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_chain import EraNotOpened, verify_chain
from exclave.authority.charter_parts import RoleName
from exclave.authority.charter_rules import (
    CharterRuleBroken,
    ExileMemberAtHome,
    OverrideTooWeak,
    RosterInvalid,
)
from exclave.authority.envelope import KindUnexpected, parse_envelope
from exclave.config import ConfigurationInvalid
from exclave.errors import ExclaveError, QuorumNotReached
from exclave.found.amend import Amended, Successor, amend
from exclave.found.cards import SealedOutlet, UnsafeFolderOutlet, open_sealed_card
from exclave.found.ceremony import found
from exclave.found.change_desk import ChangesRefused
from exclave.found.change_recovery import HolderUnverified, OutletMissing
from exclave.found.changes import load_changes
from exclave.found.depositor import REQUEST, new_depositor_bundle
from exclave.found.output import OutputExists
from exclave.ids import PersonId
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import unseal_annex
from exclave.shares import read_share, recombine
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import PublicKeys, public_keys_bytes
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_official_key, new_vault_key
from tests.founding import NOW, Founding, make_founding, seat_request

EXAMPLE = Path(__file__).parents[3] / "examples" / "changes.toml"
LATER = NOW + timedelta(days=30)
GROUPS = """
[[recovery.group]]
name = "home"
place = "home"
state = "XA"
threshold = 2
members = 3

[[recovery.group]]
name = "embassy west"
place = "abroad"
state = "XB"
threshold = 2
members = 2
holders = ["envoy-west", "consul-west"]

[[recovery.group]]
name = "embassy east"
place = "abroad"
state = "XC"
threshold = 2
members = 2
"""


class Desk:
    """An outlet that keeps the cards in memory."""

    def __init__(self) -> None:
        self.cards: list[Card] = []

    def deliver(self, card: Card, holder: PublicKeys | None) -> None:
        """Keep it."""
        self.cards.append(card)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mission:
    """A founded mission with a file of changes."""

    founding: Founding
    out: Path
    charter: Charter

    @property
    def folder(self) -> Path:
        return self.founding.folder

    def person(self, label: str) -> PersonId:
        return PersonId(self.founding.officials[label].id)

    def labels(self) -> str:
        officials = self.founding.officials
        return "[labels]\n" + "".join(f'{name} = "{b.id}"\n' for name, b in officials.items())

    def write(self, text: str, *, after: str = "1.1") -> Path:
        path = self.folder / "changes.toml"
        head = f'mission = "{self.charter.mission_id.hex()}"\nafter = "{after}"\n'
        path.write_text(head + text)
        return path

    def amend(
        self,
        text: str,
        *labels: str,
        era: bool = False,
        above: int | None = None,
        annex: bool = True,
        outlet: object = None,
        charter: Path | None = None,
        out: str = "next",
        after: str = "1.1",
    ) -> Amended:
        """Draft; signed by these officials."""
        return amend(
            Successor(
                changes=self.write(text, after=after),
                charter=charter or self.out / "charter.json",
                annex=self.out / "annex.json" if annex else None,
                era=era,
                above=above,
            ),
            out=self.folder / out,
            outlet=outlet,  # type: ignore[arg-type]
            signers=[s for label in labels for s in self.founding.officials[label].signers],
            now=LATER,
            random=os.urandom,
        )

    def chain(self, *names: str) -> Charter:
        """The newest of the chain of charter 1 and these folders."""
        files = [self.out, *(self.folder / name for name in names)]
        envelopes = [parse_envelope((file / "charter.json").read_bytes()) for file in files]
        return verify_chain(envelopes, self.charter.mission_id).newest

    def newcomer(self, name: str) -> KeyBundle:
        """Keys of somebody new, whose public part lies in the folder."""
        bundle = new_official_key(os.urandom)
        (self.folder / f"{name}.pub").write_bytes(public_keys_bytes(bundle))
        return bundle


@pytest.fixture
def mission(tmp_path: Path) -> Mission:
    founding = make_founding(tmp_path, os.urandom)
    out = tmp_path / "mission"
    made = found(
        founding.plan,
        folder=tmp_path,
        out=out,
        outlet=Desk(),
        signers=[
            s for name in ("chancellor", "archivist") for s in founding.officials[name].signers
        ],
        now=NOW,
        random=os.urandom,
    )
    return Mission(founding=founding, out=out, charter=made.charter)


ADD = """
[[official.add]]
label = "minister"
keys = "minister.pub"
place = "home"
institution = "ministry"
name = "H. Minister"
contact = "room 2"
"""
LEAVES = """
[[official.remove]]
official = "chancellor"
"""
JOINS = """
[rosters.govern]
add = ["minister"]
[rosters.override]
add = ["minister"]
"""


def test_the_example_is_what_the_program_reads() -> None:
    changes, places = load_changes(EXAMPLE)
    assert changes.recovery is not None
    assert changes.recovery.epoch == 2
    line = EXAMPLE.read_text().splitlines()[places.line(("rosters", "read", "delay")) - 1]
    assert line.startswith("delay")


def test_an_official_leaves_and_another_comes(mission: Mission) -> None:
    bundle = mission.newcomer("minister")
    made = mission.amend(mission.labels() + ADD + LEAVES + JOINS, "archivist", "registrar")
    after = mission.chain("next")
    assert after == made.charter
    assert after.order == (1, 2)
    gone = mission.person("chancellor")
    assert gone not in {official.id for official in after.officials}
    assert all(gone not in role.members for _, role in after.rosters)
    assert PersonId(bundle.id) in after.role(RoleName.GOVERN).members
    text = (mission.folder / "next" / "summary.txt").read_text()
    assert "A. Chancellor" not in text, "his name left with him"
    assert f"! PERSON REMOVED: {gone}" in text
    assert f"person added: H. Minister, {bundle.id} (ministry, home)" in text
    assert "keeps the cards" in text
    assert "signed by 2 of 3 of govern of 1.1 and by 2 of 3 of its own" in text


def test_salts_of_unchanged_names_stay(mission: Mission) -> None:
    mission.newcomer("minister")
    rename = '[[official.rename]]\nofficial = "envoy-west"\nname = "D. Two"\ncontact = "x"\n'
    mission.amend(mission.labels() + ADD + rename, "archivist", "registrar")
    after = mission.chain("next")
    annex = parse_annex((mission.folder / "next" / "annex.json").read_bytes())
    verify_annex(annex, after)
    old = {o.id: o.name_hash for o in mission.charter.officials}
    same = {o.id for o in after.officials if old.get(o.id) == o.name_hash}
    assert same == set(old) - {mission.person("envoy-west")}


def test_keys_places_and_settings_change(mission: Mission) -> None:
    mission.newcomer("archivist-2")
    text = mission.labels() + (
        '[[official.replace_keys]]\nofficial = "archivist"\nkeys = "archivist-2.pub"\n'
        '[[official.move]]\nofficial = "registrar"\nplace = "abroad"\ninstitution = "embassy"\n'
        '[rosters.read]\ndelay = "48h"\nremove = ["registrar"]\n'
        '[delays]\nwarrant_life = "7d"\n[witness]\nfreshness = "12h"\n'
        "[quotas]\nstaging_days = 7\n"
        '[[depositor.quota]]\nid = "registry-1"\ndaily_bytes = 5\n'
    )
    made = mission.amend("retention_days = 800\n" + text, annex=False)
    after = made.charter
    person = mission.person("archivist")
    assert after.official(person).key_sets != mission.charter.official(person).key_sets
    assert after.official(mission.person("registrar")).place.value == "abroad"
    assert after.role(RoleName.READ).delay == 48 * 3600
    assert mission.person("registrar") not in after.role(RoleName.READ).members
    assert (after.delays.warrant_life, after.witness.freshness) == (7 * 86400, 12 * 3600)
    assert (after.quotas.staging_days, after.settings.retention_days) == (7, 800)
    assert after.depositors[0].daily_bytes == 5
    assert after.annex == mission.charter.annex
    assert not (mission.folder / "next" / "annex.sealed").exists()
    with pytest.raises(QuorumNotReached):
        mission.chain("next")


def test_seats_come_and_go(mission: Mission) -> None:
    keys = new_vault_key("vault-four", os.urandom)
    request = seat_request("vault-four", "XE", keys)
    (mission.folder / "four.json").write_bytes(request.to_bytes())
    mission.amend(
        '[dispersal]\nk = 2\nh = 2\nn = 3\n[[seat.add]]\nseat = 4\nrequest = "four.json"\n'
        "[[seat.retire]]\nseat = 3\n",
        "archivist",
        "registrar",
    )
    after = mission.chain("next")
    assert [seat.seat for seat in after.active_seats] == [1, 2, 4]
    assert [seat.seat for seat in after.seats] == [1, 2, 3, 4]
    text = (mission.folder / "next" / "summary.txt").read_text()
    assert "! SEAT RETIRED: 3 (XD, " in text


def test_a_new_epoch_has_cards_of_its_own(mission: Mission) -> None:
    desk = Desk()
    text = '[recovery]\nepoch = 2\ngroup_threshold = 2\nreader = "beside"\n' + GROUPS
    made = mission.amend(mission.labels() + text, "archivist", "registrar", outlet=desk)
    after = mission.chain("next")
    assert made.cards == len(desk.cards) == 7
    assert [epoch.current for epoch in after.recovery] == [False, True]
    assert after.recovery[0].key == mission.charter.recovery[0].key
    assert {card.epoch for card in desk.cards} == {2}
    words = [read_share(card.words) for card in desk.cards if card.group != 1]
    private = XWingPrivateKey.from_seed(recombine(words))
    assert private.public.raw == after.current_epoch.key.raw
    sealed = (mission.folder / "next" / "annex.sealed").read_bytes()
    verify_annex(parse_annex(unseal_annex(private, sealed)), after)


def test_cards_are_sealed_to_the_keys_of_the_charter(mission: Mission) -> None:
    head = '[recovery]\nepoch = 2\ngroup_threshold = 1\nreader = "beside"\n'
    group = (
        '[[recovery.group]]\nname = "west"\nplace = "abroad"\nstate = "XB"\nthreshold = 2\n'
        'members = 2\nholders = ["envoy-west", "consul-west"]\n[recovery.keys]\n'
        'envoy-west = "officials/envoy-west.public.json"\n'
    )
    outlet = SealedOutlet(mission.folder / "sealed")
    other = 'consul-west = "officials/consul-east.public.json"\n'
    with pytest.raises(HolderUnverified, match=r"changes\.toml:\d+: recovery\.keys\.consul-west"):
        mission.amend(mission.labels() + head + group + other, outlet=outlet)
    assert not (mission.folder / "next").exists()
    own = 'consul-west = "officials/consul-west.public.json"\n'
    mission.amend(mission.labels() + head + group + own, outlet=outlet)
    key = mission.founding.officials["consul-west"].only("x-wing").xwing
    sealed = (mission.folder / "sealed" / "card-1-2.sealed").read_bytes()
    card = parse_card(open_sealed_card(key, sealed, mission.charter.mission_id))
    assert (card.epoch, card.group, card.member) == (2, 1, 2)


def test_a_depositor_gets_new_keys(mission: Mission) -> None:
    request = new_depositor_bundle(
        "registry-1", mission.folder / "bundle", now=LATER, random=os.urandom
    )
    text = f'[[depositor.replace_keys]]\nrequest = "bundle/{REQUEST}"\n'
    mission.amend(text, "archivist", "registrar")
    entry = mission.chain("next").depositor("registry-1")
    assert (entry.keys, entry.identity) == (request.keys, request.identity)
    assert entry.daily_bytes == mission.charter.depositors[0].daily_bytes
    names = {path.name for path in (mission.folder / "bundle").iterdir()}
    assert names == {"keys.json", "identity.pem", REQUEST}
    with pytest.raises(OutputExists):
        new_depositor_bundle("x", mission.folder / "bundle", now=LATER, random=os.urandom)


def test_exile_opens_an_era(mission: Mission) -> None:
    text = mission.labels() + (
        '[rosters.govern]\nmembers = ["envoy-west", "consul-west", "envoy-east"]\n'
    )
    mission.amend(text, "envoy-west", "consul-west", era=True)
    assert mission.chain("next").order == (2, 1)
    assert "a new era" in (mission.folder / "next" / "summary.txt").read_text()
    mission.amend(text, "envoy-west", "consul-west", above=4, out="above")
    assert mission.chain("next", "above").order == (5, 1)
    mission.amend(text, "archivist", "registrar", era=True, out="usurped")
    with pytest.raises(EraNotOpened):
        mission.chain("usurped")


def test_what_was_drafted_is_signed_elsewhere(mission: Mission) -> None:
    mission.amend("retention_days = 800\n", "archivist")
    with pytest.raises(QuorumNotReached):
        mission.chain("next")
    file = mission.folder / "next" / "charter.json"
    signers = mission.founding.officials["registrar"].signers
    file.write_bytes(sign_envelope(parse_envelope(file.read_bytes()), signers).to_bytes())
    assert mission.chain("next").settings.retention_days == 800


REFUSED = {
    "stale": ("", "after: expected 1.1"),
    "unknown person": (
        '[[official.remove]]\nofficial = "nobody"\n',
        "official.remove[0].official: expected",
    ),
    "unknown id": ('[labels]\nx = "p-0000000000000000"\n', "labels.x: expected an official"),
    "no key file": (
        '[[official.replace_keys]]\nofficial = "archivist"\nkeys = "none.pub"\n',
        "official.replace_keys[0].keys:",
    ),
    "keys of another": (
        """[[official.replace_keys]]
           official = "archivist"
           keys = "officials/registrar.public.json"
        """,
        "official.replace_keys[0].keys: expected new keys",
    ),
    "list and part": (
        '[rosters.read]\nmembers = ["archivist"]\nadd = ["registrar"]\n',
        "rosters.read: expected either members, or add",
    ),
    "no member": (
        '[rosters.govern]\nremove = ["envoy-west"]\n',
        "rosters.govern.remove: expected a member",
    ),
    "member already": (
        '[rosters.govern]\nadd = ["archivist"]\n',
        "rosters.govern.add: expected no member",
    ),
    "member twice": (
        '[rosters.govern]\nmembers = ["archivist", "archivist"]\n',
        "rosters.govern.members: expected each person once",
    ),
    "last of govern": (
        '[rosters.govern]\nremove = ["chancellor", "archivist", "registrar"]\n',
        "rosters.govern: expected a member of govern to stay, got none left",
    ),
    "seat reused": (
        """[dispersal]
           k = 2
           h = 2
           n = 3
           [[seat.add]]
           seat = 3
           request = "requests/vault-three.json"
        """,
        "seat.add[0].seat: expected a number that no seat ever had, got 3",
    ),
    "seat unknown": (
        "[dispersal]\nk = 2\nh = 2\nn = 3\n[[seat.retire]]\nseat = 9\n",
        "seat.retire[0].seat: expected a seat in use",
    ),
    "no dispersal": (
        "[[seat.retire]]\nseat = 3\n",
        "expected [dispersal] with k, h and n = 2",
    ),
    "wrong n": (
        "[dispersal]\nk = 2\nh = 2\nn = 4\n",
        "dispersal.n: expected 3 seats in use, got 4",
    ),
    "another vault": (
        '[[seat.update]]\nseat = 3\nrequest = "requests/vault-two.json"\n',
        "seat.update[0].request: expected the seat key of vault vault-three",
    ),
    "agreements": (
        "agreements_required = true\n",
        "agreements_required: expected seat requests with the receiving state's key",
    ),
    "depositor": (
        '[[depositor.remove]]\nid = "x"\n',
        "depositor.remove[0].id: expected a depositor",
    ),
    "request": (
        '[[depositor.replace_keys]]\nrequest = "requests/vault-two.json"\n',
        "depositor.replace_keys[0].request:",
    ),
    "witness": (
        '[[witness.external]]\nname = "w"\nalg = "ed25519"\nkey = "AAAA"\n',
        "witness.external[0].key:",
    ),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_changes_that_do_not_fit(mission: Mission, text: str, said: str) -> None:
    stale = "after" in said
    whole = "[labels]" in text or text.startswith("agreements")
    labels = "" if whole or stale else mission.labels()
    with pytest.raises(ChangesRefused) as refused:
        mission.amend(labels + text, after="1.2" if stale else "1.1")
    assert said in str(refused.value)
    for line in refused.value.errors:
        assert line.startswith(f"{mission.folder}/changes.toml:")
    assert not (mission.folder / "next").exists()


def test_all_that_does_not_fit_is_said_at_once(mission: Mission) -> None:
    with pytest.raises(ChangesRefused) as refused:
        mission.amend('[[official.remove]]\nofficial = "x"\n[[seat.retire]]\nseat = 9\n')
    assert len(refused.value.errors) == 3


def test_a_person_does_not_enter_twice(mission: Mission) -> None:
    mission.newcomer("minister")
    named = ADD.replace("H. Minister", "b. archivist")
    with pytest.raises(ChangesRefused, match="one person has one vote"):
        mission.amend(mission.labels() + named)
    keys = ADD.replace("minister.pub", "officials/archivist.public.json")
    with pytest.raises(ChangesRefused, match="expected a person who is no official yet"):
        mission.amend(mission.labels() + keys)


def test_an_unknown_role_or_key(mission: Mission) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"changes\.toml:3: rosters\.kings: expected no"):
        mission.amend("[rosters.kings]\nthreshold = 1\n")


def test_another_mission_or_another_kind_of_file(mission: Mission) -> None:
    path = mission.write("")
    path.write_text(f'mission = "{"00" * 32}"\nafter = "1.1"\n')
    what = Successor(changes=path, charter=mission.out / "charter.json", annex=None, era=False)
    with pytest.raises(ChangesRefused, match=r"changes\.toml:1: mission: expected"):
        amend(what, out=mission.folder / "n", outlet=None, signers=[], now=LATER, random=os.urandom)
    with pytest.raises(KindUnexpected, match="expected charter, got seat-request"):
        mission.amend("", charter=mission.folder / "requests" / "vault-two.json")


def test_names_need_the_annex(mission: Mission) -> None:
    with pytest.raises(ChangesRefused, match="expected the annex of names"):
        mission.amend(mission.labels() + LEAVES, annex=False)


@pytest.mark.parametrize(
    ("text", "error", "place"),
    [
        ("[rosters.govern]\nthreshold = 9\n", RosterInvalid, "rosters.govern.threshold"),
        ("[rosters.override]\nthreshold = 1\n", OverrideTooWeak, "rosters.override"),
        (
            '[[official.move]]\nofficial = "envoy-west"\nplace = "home"\ninstitution = "x"\n',
            ExileMemberAtHome,
            "rosters.exile_1",
        ),
    ],
)
def test_a_rule_that_would_be_broken_is_named_with_its_line(
    mission: Mission, text: str, error: type[CharterRuleBroken], place: str
) -> None:
    with pytest.raises(error, match=rf"changes\.toml:\d+: charter\.{place}"):
        mission.amend(mission.labels() + text)
    assert not (mission.folder / "next").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("epoch = 2", "epoch = 3"), r"recovery\.epoch: expected 2, got 3"),
        (('reader = "beside"', 'reader = "beside"\nsame_key = true'), "a new epoch is the way"),
        (("group_threshold = 2", "group_threshold = 3"), "recovery: .*groups abroad"),
        (('place = "abroad"\nstate = "XC"', 'place = "home"\nstate = "XC"'), "groups abroad"),
        (('"consul-west"]', '"registrar"]'), "expected holders abroad, got registrar home"),
        (('"consul-west"]', '"envoy-west"]'), "each holder once"),
        (('["envoy-west", "consul-west"]', '["envoy-west"]'), "expected 2 holders, got 1"),
    ],
)
def test_epochs_that_must_not_be(mission: Mission, change: tuple[str, str], said: str) -> None:
    text = '[recovery]\nepoch = 2\ngroup_threshold = 2\nreader = "beside"\n' + GROUPS
    assert change[0] in text
    desk = Desk()
    with pytest.raises(ChangesRefused, match=said):
        mission.amend(mission.labels() + text.replace(*change), outlet=desk)
    assert not desk.cards


def test_a_new_epoch_wants_a_place_for_its_cards(mission: Mission) -> None:
    text = '[recovery]\nepoch = 2\ngroup_threshold = 2\nreader = "beside"\n' + GROUPS
    with pytest.raises(OutletMissing):
        mission.amend(mission.labels() + text)
    mission.amend(mission.labels() + text, outlet=UnsafeFolderOutlet(mission.folder / "cards"))
    with pytest.raises(OutputExists):
        mission.amend("")


def test_an_advice_that_is_over_is_stated_anew(mission: Mission) -> None:
    what = Successor(
        changes=mission.write(""), charter=mission.out / "charter.json", annex=None, era=False
    )
    late = NOW + timedelta(days=4000)

    def draft(text: str) -> Charter:
        mission.write(text)
        return amend(
            what, out=mission.folder / "n", outlet=None, signers=[], now=late, random=os.urandom
        ).charter

    with pytest.raises(ExclaveError, match="advisory_expiry_days: expected a value"):
        draft("")
    assert draft("advisory_expiry_days = 10\n").advisory_expiry == late + timedelta(days=10)
    assert parse_charter(parse_envelope((mission.folder / "n/charter.json").read_bytes()))
