"""What `exclave limits` says is pinned: nothing may be dropped because it sounds bad."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RoleName, SeatType
from exclave.authority.charter_settings import Dispersal
from exclave.authority.keys import TypedKey
from exclave.found.cards import UnsafeFolderOutlet
from exclave.found.ceremony import prepare
from exclave.ids import Epoch
from exclave.limits import departures, limits, older_layouts
from exclave.plain_words import duration
from exclave.sealing.recovery import XWingPrivateKey
from tests.founding import NOW, make_founding

ALWAYS = [
    "own-copy",
    "fatal-loss",
    "disks-and-shares",
    "warrant-delay",
    "garbage",
    "guess-confirmation",
    "files-remembered",
    "swap",
    "old-shares",
    "old-deposits",
    "readers",
    "lockdown-alone",
    "delayed-by-one",
    "dark-delay",
    "exile-delays",
    "places-abroad",
    "advisory-expiry",
    "bags",
    "no-liar-tolerated",
    "receipts-provisional",
    "host-clocks",
    "not-built",
]


@pytest.fixture(scope="module")
def charter(tmp_path_factory: pytest.TempPathFactory) -> Charter:
    """The charter of examples/founding.toml: 2 of 3 seats in three states."""
    folder = tmp_path_factory.mktemp("founding")
    founding = make_founding(folder, os.urandom)
    founded = prepare(
        founding.plan,
        folder=founding.folder,
        out=folder / "mission",
        outlet=UnsafeFolderOutlet(folder / "cards"),
        now=NOW,
        random=os.urandom,
    )
    return replace(founded.charter, notice="")


def names(charter: Charter) -> list[str]:
    """The limits' names."""
    return [item.name for item in limits(charter)]


def text(charter: Charter, name: str) -> str:
    """One limit's sentence."""
    return next(item.text for item in limits(charter) if item.name == name)


def test_what_holds_always(charter: Charter) -> None:
    """Every limit of the design's last paragraph on promises, with this charter's figures."""
    assert names(charter) == ALWAYS
    assert text(charter, "fatal-loss") == (
        "Any 2 of 3 seats give everything back; when 2 of 3 seats are destroyed, nothing does."
    )
    assert text(charter, "old-deposits").endswith("this charter's 2 of 3 holds for new ones.")
    assert "The disks of 2 hosts and enough cards (2 of 3 groups)" in text(
        charter, "disks-and-shares"
    )
    assert all(str(seat.operator) in text(charter, "own-copy") for seat in charter.active_seats)


def test_one_host(charter: Charter) -> None:
    """As Estonia in Luxembourg: allowed, and said."""
    one = replace(
        charter,
        seats=charter.seats[:1],
        dispersal=Dispersal(k=1, n=1, h=1),
        witness=replace(charter.witness, q=1),
    )
    at = ALWAYS.index("bags") + 1
    assert names(one) == [
        *ALWAYS[:2], "single-host", "state-fatal", *ALWAYS[2:at], "no-bags", *ALWAYS[at:]
    ]  # fmt: skip
    assert "when 1 seat is destroyed, nothing does" in text(one, "fatal-loss")


def test_whole_copies(charter: Charter) -> None:
    """k = 1 protects from loss only."""
    copies = replace(charter, dispersal=replace(charter.dispersal, k=1))
    assert "whole-copies" in names(copies)
    assert names(copies).count("state-suffices") == 3


def test_one_state_with_two_seats(charter: Charter) -> None:
    """Seats in one state fall together."""
    first, second, third = charter.seats
    together = replace(
        charter,
        seats=(first, replace(second, state=first.state), third),
        dispersal=replace(charter.dispersal, h=2),
    )
    assert text(together, "state-fatal").startswith(f"State {first.state} alone holds 2 of 3 seats")
    assert "state-suffices" in names(together)


def test_classical_officials_are_named(charter: Charter) -> None:
    """An SSH key or a card: who, and what that means."""
    first, *others = charter.officials
    weak = replace(first, key_sets=tuple(keys[:1] for keys in first.key_sets))
    assert weak.key_sets[0][0].alg == "ed25519"
    said = text(replace(charter, officials=(weak, *others)), "classical-officials")
    assert said.startswith(f"1 of {len(charter.officials)} officials sign with classical keys only")
    assert first.id in said


def test_notice_is_repeated(charter: Charter) -> None:
    """What the charter itself confesses."""
    said = replace(charter, notice="a demonstration")
    assert text(said, "notice") == "The charter itself says: a demonstration"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (59, "59 s"), (90, "90 s"), (7200, "2 h"), (172800, "2 d")]
)
def test_duration(seconds: int, said: str) -> None:
    """The largest unit that fits without rest."""
    assert duration(seconds) == said


def test_an_old_epoch_still_reads(charter: Charter) -> None:
    """Disks and the old cards suffice for ever."""
    old = charter.current_epoch
    public = XWingPrivateKey.from_seed(bytes(32)).public
    new = replace(
        old,
        epoch=Epoch(2),
        key=TypedKey("x-wing", public.raw),
        share_set=(old.share_set + 1) % 2**15,
    )
    two = replace(charter, recovery=(replace(old, current=False), new))
    assert "old-epoch" in names(two)
    said = text(two, "old-epoch")
    assert "2 or more disks and enough cards of epoch 1" in said
    assert f"share set {old.share_set}, 2 of 3 groups" in said
    assert "without a warrant" in said


def test_who_can_do_what_alone_and_after_how_long(charter: Charter) -> None:
    """Rosters by place, and what one person of ill will can do."""
    said = text(charter, "readers")
    assert said.startswith(
        "2 of 5 officials of read (3 at home, 2 abroad; those at home or those abroad alone "
        "suffice) open every deposit after 1 d"
    )
    assert text(charter, "lockdown-alone").startswith("Each of 7 officials (3 at home, 4 abroad)")
    assert "3 of 4 of override pass it all the same, 14 d after" in text(charter, "delayed-by-one")
    assert "3 times as long, a reading's 3 d" in text(charter, "dark-delay")
    assert "1 of 2 of exile_1 after 7 d, 1 of 2 of exile_2 after 14 d" in text(
        charter, "exile-delays"
    )


def test_readers_whom_one_place_does_not_have(charter: Charter) -> None:
    """A threshold above what either place has."""
    rosters = dict(charter.rosters)
    read = replace(rosters[RoleName.READ], threshold=4)
    override = replace(rosters[RoleName.OVERRIDE], threshold=4)
    changed = rosters | {RoleName.READ: read, RoleName.OVERRIDE: override}
    strict = replace(charter, rosters=tuple(changed.items()))
    assert "neither suffices alone" in text(strict, "readers")


def test_liars_and_clocks(charter: Charter) -> None:
    """Few witnesses bear no liar; a host is master of its own clock."""
    assert "f = 0: fewer than 4 cannot bear one" in text(charter, "no-liar-tolerated")
    assert "2 such hosts together open early" in text(charter, "host-clocks")
    assert "by the largest of the witnesses' times" in text(charter, "host-clocks")


def test_what_is_not_built_is_said(charter: Charter) -> None:
    """And nothing that is built."""
    said = text(charter, "not-built")
    for missing in ("audits and repair", "older packs", "drills"):
        assert missing in said
    for built in ("Lockdown", "exile", "witness", "sweep"):
        assert built not in said


def test_bags_and_safes(charter: Charter) -> None:
    """A safe is named; a bag that opens alone is said to, where the charter allows it."""
    assert "one of the 2 that reading needs" in text(charter, "bags")
    assert not [limit for limit in limits(charter) if limit.name in {"safes", "no-bags"}]
    safe = replace(charter.seats[0], type=SeatType.SAFE, addresses=())
    with_safe = replace(charter, seats=(safe, *charter.seats[1:]))
    assert f"Safes: {safe.seat} ({safe.state}" in text(with_safe, "safes")
    assert "witness nothing" not in text(with_safe, "safes")
    strict = replace(with_safe, witness=replace(charter.witness, q=3))
    assert "2 witnesses are left of the 3 that a quorum needs" in text(strict, "safes")
    allowed = replace(charter, settings=replace(charter.settings, whole_deposit_bags=True))
    said = text(allowed, "whole-deposit-bags")
    assert "one of 2 safes opens with the keys of these safes" in said
    assert "fewer than 2 hosts hold nothing" in said
    one = replace(charter.dispersal, k=1)
    assert "none can be packed" in text(replace(charter, dispersal=one), "no-bags")
    said = text(replace(allowed, dispersal=one), "whole-deposit-bags")
    assert "a single one, its seat's key and enough cards reads all of it" in said


def test_places_abroad_and_age(charter: Charter) -> None:
    """Figures of this charter."""
    said = text(charter, "places-abroad")
    assert said.startswith("2 of 3 groups of cards and 4 of 7 officials are abroad, in 2 states")
    assert "leaves too few groups" in said
    assert "stays in force" in text(charter, "advisory-expiry")


def test_who_left_keeps_his_cards(charter: Charter) -> None:
    """A charter takes away a vote, no card."""
    gone = next(
        item.id
        for item in charter.officials
        if all(item.id not in role.members for name, role in charter.rosters if "exile" in name)
    )
    after = _without(charter, gone)
    (left,) = departures(after, [charter])
    assert gone in left.text
    assert "last in charter 1.1" in left.text
    assert "epoch 1 count towards their groups for ever" in left.text
    assert departures(charter, [charter]) == ()


def _without(charter: Charter, gone: str) -> Charter:
    return replace(
        charter,
        mission=charter.mission_id,
        version=2,
        previous=charter.statement_hash,
        officials=tuple(item for item in charter.officials if item.id != gone),
        rosters=tuple(
            (
                name,
                replace(
                    role,
                    members=tuple(member for member in role.members if member != gone),
                    threshold=min(role.threshold, len(set(role.members) - {gone})),
                ),
            )
            for name, role in charter.rosters
        ),
    )


def test_older_deposits_keep_what_their_charter_said(charter: Charter) -> None:
    one = replace(charter, dispersal=replace(charter.dispersal, k=1))
    (kept,) = older_layouts(charter, [one])
    assert kept.text.startswith(
        f"Deposits made under charter {charter.era}.{charter.version} keep its 1 of 3: when 3 of"
    )
    assert older_layouts(charter, [charter]) == ()
