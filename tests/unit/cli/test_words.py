"""What officials read before they sign is pinned, word for word."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from exclave.authority.asked import asked, may_sign
from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import AGREED, LOOSENING, ORDERS, TIGHTENING, Envelope, Kind
from exclave.cli.words.effects import EFFECTS
from exclave.cli.words.statement import NotForOfficials, describe
from exclave.plain_words import after, period
from tools import vector_authority as mission
from tools.make_vectors_orders import OWN, payload

FIRST = mission.sign(Kind.CHARTER, mission.charter(), ["anna", "bela"])
LAW = parse_charter(FIRST)
HASH = FIRST.statement_hash.hex()
ANNA, BELA, DORA, EMIL, HANS = map(mission.official_id, ("anna", "bela", "dora", "emil", "hans"))


def order(kind: Kind, *signers: str, **changes: Any) -> Envelope:
    """An order under the first charter."""
    return mission.sign(kind, payload(kind, mission=HASH, charter=HASH, **changes), signers)


def successor(change: Callable[[dict[str, Any]], object], *signers: str) -> Envelope:
    """Charter 1.2 with something changed."""
    new = copy.deepcopy(mission.charter())
    new.update(mission=HASH, version=2, previous=HASH)
    change(new)
    return mission.sign(Kind.CHARTER, new, signers)


def section(lines: tuple[str, ...], title: str) -> list[str]:
    """The lines under a title."""
    rest = lines[lines.index(title) + 1 :]
    end = next((at for at, line in enumerate(rest) if not line.startswith(" ")), len(rest))
    return [line[2:] for line in rest[:end]]


VETO = """\
Veto {hash}
  mission 041867e3 c0d1e6e7 c0640c36 f390f89f 8f754d30 2019c173 f073bc7b 3044e992
  reason: vectors
  issued 2026-03-01T00:00:00Z
  against the statement f17c1ebb 5daa25ff c4978ca1 61445f80 3aea3160 4055db6e dbebade3 0e31e7bd
  under charter 1.1, the one given
Who is asked
  alarm, exile_1 or exile_2: 1 of 7 must sign; 1 signed, that is enough
    signed: p-3f9d71d6a2a3dbf5 (office, abroad)
When it takes effect
  at once, at each vault that gets it, with one signature; nobody can veto it
  under a lockdown only members of exile_1 and exile_2 count
What it makes possible
  The statement that it names takes no effect. That is all: nothing else is stopped.
What cannot be undone
  It does not stop what took effect already, nor what enough of override sign.
  A veto is not taken back: whoever wants the statement still has it signed anew."""


def test_a_veto() -> None:
    """The whole of it."""
    envelope = order(Kind.VETO, "gita")
    text = envelope.statement_hash.hex()
    shown = " ".join(text[at : at + 8] for at in range(0, 64, 8))
    expected = VETO.replace("{hash}", shown).replace(
        "p-3f9d71d6a2a3dbf5", mission.official_id("gita")
    )
    assert "\n".join(describe(envelope, LAW)) == expected


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (Kind.LOCKDOWN, ["home is locked down"]),
        (Kind.HOLD, ["holds ALL deposits, present and future"]),
        (
            Kind.EXTEND,
            [
                f"keeps {', '.join(OWN[Kind.EXTEND]['deposits'])}",
                "at least until 2105-12-31T23:59:59Z",
            ],
        ),
        (Kind.RELEASE, ["packs to remove: 3"]),
        (Kind.LIFT, ["holds that end: 2"]),
        (Kind.NARROW, ["IT NEVER WAS"]),
        (Kind.UNLOCK, ["lockdowns that end: 2"]),
    ],
)
def test_what_orders_say(kind: Kind, lines: list[str]) -> None:
    """The fields of each kind's own."""
    said = [line.strip() for line in describe(order(kind), LAW)]
    assert set(lines) <= set(said)


def test_a_compromise_names_depositors_of_the_charter() -> None:
    """Also against an older charter than the one given, whose depositors are not known here."""
    envelope = mission.sign(
        Kind.COMPROMISE, payload(Kind.COMPROMISE, mission=HASH, charter="77" * 32), []
    )
    said = describe(envelope, LAW)
    assert "  depositors: registry-1, registry-2" in said
    assert "  compromised since 2026-02-01T00:00:00Z, by the vaults' logs" in said
    assert f"  UNDER ANOTHER CHARTER THAN THE ONE GIVEN: {' '.join(['77777777'] * 8)}" in said


def test_every_kind_has_its_effects_and_its_moment() -> None:
    """Tightening is at once; loosening waits, is vetoed, is overridden."""
    assert set(EFFECTS) == {*ORDERS, Kind.CHARTER, Kind.WARRANT}
    for kind in TIGHTENING - {Kind.COMPROMISE}:
        when = section(describe(order(kind), LAW), "When it takes effect")
        assert when == [
            "at once, at each vault that gets it, with one signature; nobody can veto it",
            *["under a lockdown only members of exile_1 and exile_2 count"]
            * (kind is not Kind.LOCKDOWN),
        ]
    at_once = AGREED - {Kind.TERMINATE}
    for kind in at_once:
        own = payload(kind, mission=HASH, charter="77" * 32)  # of which nothing is known here
        when = section(describe(mission.sign(kind, own, []), LAW), "When it takes effect")
        assert when[0].startswith("at once, at each vault that has it")
    for kind in LOOSENING - {Kind.UNLOCK} - at_once:
        assert section(describe(order(kind), LAW), "When it takes effect") == [
            "after 1 minute 40 seconds, counted at each vault from when enough have signed",
            "(delay 1 minute 40 seconds, veto window 1 minute 40 seconds)",
            "after 5 minutes where no quorum of vaults answers (3 times as long)",
            "until then one of 7 officials of alarm, exile_1, exile_2 can veto it",
            "enough of override pass it against a veto, after 3 minutes 20 seconds",
            "a lockdown stops it until then",
        ]


def test_an_unlock_is_for_exile() -> None:
    """Either roster, each with its own time."""
    said = describe(order(Kind.UNLOCK, "dora", "anna"), LAW)
    assert section(said, "Who is asked") == [
        "exile_1: 1 of 2 must sign; 1 signed, that is enough",
        f"  signed: {DORA} (office, abroad)",
        "or",
        "exile_2: 1 of 2 must sign; 0 signed, 1 more needed",
    ]
    assert "  exile_2: 1 of 2, after 3 minutes 20 seconds" in section(said, "When it takes effect")


def test_a_warrant() -> None:
    """Who signed, how many are needed, both ways, and that a lockdown takes it from home."""
    envelope = mission.sign(Kind.WARRANT, mission.warrant(HASH, HASH), ["anna"])
    said = describe(envelope, LAW)
    assert section(said, "Who is asked") == [
        "read: 2 of 3 must sign; 1 signed, 1 more needed",
        f"  signed: {ANNA} (office, home)",
        "under a lockdown instead exile_1: 1 of 2 must sign; 0 signed, 1 more needed",
        "under a lockdown instead exile_2: 1 of 2 must sign; 0 signed, 1 more needed",
        "against a veto override: 3 of 3 must sign; 1 signed, 2 more needed",
    ]
    assert section(said, "When it takes effect") == [
        "after 50 seconds, counted at each vault from when enough have signed",
        "(delay 50 seconds, veto window 50 seconds)",
        "after 2 minutes 30 seconds where no quorum of vaults answers (3 times as long)",
        "until then one of 7 officials of alarm, exile_1, exile_2 can veto it",
        "enough of override pass it against a veto, after 3 minutes 20 seconds",
        "then it can be used for 16 minutes 40 seconds at most",
        "under a lockdown home counts for nothing, and only exile can read",
        "  exile_1: 1 of 2, after 1 minute 40 seconds",
        "  exile_2: 1 of 2, after 3 minutes 20 seconds",
    ]
    shorter = describe(envelope, LAW, signing=False)
    assert shorter == said[: len(shorter)]
    assert "When it takes effect" not in shorter


def test_without_a_charter_nothing_is_guessed() -> None:
    """It says what is missing."""
    envelope = mission.sign(Kind.WARRANT, mission.warrant(HASH, HASH), ["anna"])
    said = describe(envelope, None)
    hint = "give the charter in force with --charter to see it"
    assert section(said, "Who is asked") == [hint]
    assert section(said, "When it takes effect") == [f"after the charter's delay: {hint}"]
    new = describe(successor(lambda _: None), None)
    assert section(new, "What it changes") == [
        "NOT SHOWN: give the charter before it with --charter"
    ]


def weaken(new: dict[str, Any]) -> None:
    """Emil out of exile for Hans, reading easier, data kept for half the time."""
    people = [item for item in new["officials"] if item["id"] != EMIL]
    extra = copy.deepcopy(next(item for item in people if item["id"] == DORA))
    extra.update(id=HANS, key_sets=[[mission.public("hans").to_json()]], institution="consulate")
    new["officials"] = sorted([*people, extra], key=lambda item: str(item["id"]))
    new["rosters"]["exile_1"]["members"] = sorted([DORA, HANS])
    new["rosters"]["read"].update(threshold=1, delay=10)
    new["retention"]["days"] = 50
    new["seats"][0]["operator"] = "another operator"
    new["notice"] = ""


def test_what_a_charter_changes() -> None:
    """What weakens stands first and in capitals."""
    said = describe(successor(weaken, "anna"), LAW)
    assert section(said, "What it changes") == [
        "WHAT IS MARKED BY ! WEAKENS THE CHARTER: ASK WHY",
        f"! PERSON REMOVED: {EMIL} (office, abroad)",
        "! FEWER SUFFICE: read needs 1 of 3 instead of 2 of 3",
        "! SHORTER DELAY: delay of read is 10 seconds instead of 50 seconds",
        f"! EXILE MEMBER REPLACED OR REMOVED: {EMIL} is no longer in exile_1",
        "! LESS: days that deposits are kept is 50 instead of 100",
        f"person added: {HANS} (consulate, abroad)",
        f"{HANS} is new in exile_1",
        "seat changed (operator): 1 (XB, operator), now 1 (XB, another operator)",
        "notice: none any more",
    ]
    assert section(said, "Who is asked") == [
        "govern of this charter: 2 of 3 must sign; 1 signed, 1 more needed",
        f"  signed: {ANNA} (office, home)",
        "govern of the charter before: 2 of 3 must sign; 1 signed, 1 more needed",
        f"  signed: {ANNA} (office, home)",
        "against a veto override: 3 of 3 must sign; 1 signed, 2 more needed",
    ]


def strengthen(new: dict[str, Any]) -> None:
    """More of everything."""
    new["rosters"]["read"]["threshold"] = 3
    new["rosters"]["read"]["veto_window"] = 60
    new["delays"].update(dark_factor=4, warrant_life=500)
    new["witness"]["freshness"] = 30
    new["quotas"].update(reserve=1024, staging_days=20)
    new["drill"]["interval_days"] = 20
    new["bags"]["whole_deposit"] = True


def test_what_strengthens_is_not_shouted() -> None:
    """Nothing in capitals."""
    assert section(describe(successor(strengthen), LAW), "What it changes") == [
        "read needs 3 of 3 instead of 2 of 3",
        "veto window of read is 1 minute instead of 50 seconds",
        "factor without a quorum of vaults is 4 instead of 3",
        "life of a warrant is 8 minutes 20 seconds instead of 16 minutes 40 seconds",
        "age of a witness's time is 30 seconds instead of 1 minute",
        "days between drills is 20 instead of 30",
        "reserve is 1.0 KiB instead of 0 B",
        "days of staging is 20 instead of 14",
        "bags carry whole deposits: yes",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p["rosters"]["alarm"]["members"].remove(BELA), "! REMOVED FROM A ROSTER"),
        (lambda p: p["officials"][0].update(name_hash="00" * 32), "! NAME BEHIND A PERSON"),
        (lambda p: p["officials"][0].update(institution="court"), "person moved"),
        (lambda p: p["delays"].update(exile_change=200), "! SHORTER DELAY: delay of changes of"),
        (lambda p: p["delays"].update(warrant_life=2000), "! LONGER: life of a warrant"),
        (lambda p: p["recovery"][0]["groups"][0].update(threshold=3), "! CARDS OF EPOCH 1"),
        (lambda p: p["drill"].update(cards_days=700), "! LONGER: days between looks at cards"),
        (lambda p: p["state"].update(name="Elsewhere"), "! STATE RENAMED"),
        (lambda p: p.update(annex="00" * 32), "the sealed list of names is another"),
        (lambda p: p.update(advisory_expiry="2031-01-01T00:00:00Z"), "to be renewed by 2031"),
        (lambda p: None, "nothing but its number"),
    ],
)
def test_each_change_has_words(change: Callable[[dict[str, Any]], object], says: str) -> None:
    """No change goes unseen."""
    changes = section(describe(successor(change), LAW), "What it changes")
    assert any(line.startswith(says) for line in changes), changes


def test_a_new_era_is_exiles() -> None:
    """Asked are its own govern roster and one of the exile rosters before."""

    def era(new: dict[str, Any]) -> None:
        new.update(era=2, version=1)

    said = describe(successor(era, "dora"), LAW)
    assert section(said, "Who is asked") == [
        "govern of this charter: 2 of 3 must sign; 0 signed, 2 more needed",
        "exile_1 of the charter before: 1 of 2 must sign; 1 signed, that is enough",
        f"  signed: {DORA} (office, abroad)",
        "or",
        "exile_2 of the charter before: 1 of 2 must sign; 0 signed, 1 more needed",
    ]
    assert section(said, "When it takes effect")[0].startswith("it counts under lockdown only")


def test_whose_signature_may_count() -> None:
    """By kind: anybody for an alarm but those who are in no roster for it."""
    home, abroad = {ANNA, BELA, mission.official_id("cyril")}, {DORA, EMIL}
    assert home < set(may_sign(order(Kind.VETO), LAW))
    assert set(may_sign(order(Kind.RELEASE), LAW)) == home
    assert abroad < set(may_sign(order(Kind.UNLOCK), LAW))
    assert not home & set(may_sign(order(Kind.UNLOCK), LAW))
    assert may_sign(order(Kind.VETO), None) == {}
    assert asked(order(Kind.VETO), None).all == ()


def test_what_is_not_for_officials_or_of_another_mission() -> None:
    """Both are named."""
    report = Envelope(payload=b'{"kind":"report"}', kind=Kind.REPORT)
    with pytest.raises(NotForOfficials) as caught:
        describe(report, LAW)
    assert "expected a charter, a warrant or an order, got a report" in caught.value.message
    foreign: Charter = parse_charter(
        mission.sign(Kind.CHARTER, {**mission.charter(), "notice": "another"}, ["anna"])
    )
    with pytest.raises(MissionMismatch):
        describe(order(Kind.LOCKDOWN), foreign)


def test_periods() -> None:
    """Exact, in whole units."""
    shown = [period(seconds) for seconds in (0, 1, 90, 3600, 86400, 172800, 108061)]
    assert shown == [
        "no time", "1 second", "1 minute 30 seconds", "1 hour", "1 day", "2 days",
        "1 day 6 hours 1 minute 1 second",
    ]  # fmt: skip
    assert (after(0), after(60)) == ("at once", "after 1 minute")
