"""Commands that make orders: what they write, ask and refuse, and how they tell who took them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from exclave.authority.charter import Charter, parse_charter
from exclave.authority.envelope import AGREED, ORDERS, Envelope, Kind, parse_envelope
from exclave.authority.orders import Order, Release, Veto, parse_order
from exclave.authority.persons import signed_persons
from exclave.clock import parse_time
from exclave.errors import VaultUnreachable
from exclave.ids import Seat
from exclave.wiring.seats import Answers, ask_records
from tests.scripts.conftest import Mission, Ran, call, must
from tests.scripts.test_bad_inputs import refused
from tests.unit.wiring.test_seats import FakeRecord

ONE, TWO = "11" * 32, "22" * 32
PACK = "33" * 32
DEPOSIT, OTHER = "44" * 16, "55" * 16
COMMANDS: dict[Kind, tuple[list[str], Callable[[Any], object]]] = {
    Kind.LOCKDOWN: (["lockdown"], lambda order: order.head.reason == "because"),
    Kind.VETO: (["veto", f"{ONE[:8]} {ONE[8:]}"], lambda order: order.target.hex() == ONE),
    Kind.HOLD: (["hold", "all"], lambda order: order.deposits is None),
    Kind.EXTEND: (
        ["extend", OTHER, DEPOSIT, "--until", "2030-01-31"],
        lambda order: (
            [item.hex() for item in order.deposits] == [DEPOSIT, OTHER]
            and order.until == parse_time("2030-01-31T00:00:00Z")
        ),
    ),
    Kind.COMPROMISE: (
        ["compromise", "home", "--since", "2026-03-01T12:00:00Z"],
        lambda order: order.depositors == ("home",),
    ),
    Kind.RELEASE: (["release", PACK], lambda order: [p.hex() for p in order.packs] == [PACK]),
    Kind.LIFT: (
        ["lift", TWO, ONE, TWO],
        lambda order: [h.hex() for h in order.holds] == [ONE, TWO],
    ),
    Kind.NARROW: (["narrow", ONE, "--never"], lambda order: order.since is None),
    Kind.UNLOCK: (["unlock", ONE], lambda order: [h.hex() for h in order.lockdowns] == [ONE]),
}


def law(embassy: Mission) -> Charter:
    """Charter 1."""
    return parse_charter(parse_envelope(embassy.charter.read_bytes()))


def made(path: Path) -> tuple[Envelope, Order]:
    """The order in a file."""
    envelope = parse_envelope(path.read_bytes())
    return envelope, parse_order(envelope)


@pytest.mark.parametrize("kind", sorted(COMMANDS))
def test_each_makes_its_order(kind: Kind, tmp_path: Path, embassy: Mission) -> None:
    """Unsigned, under the charter, with the fields that were typed; a second one is another."""
    arguments, fits = COMMANDS[kind]
    out = tmp_path / "order.json"
    common = ["--charter", embassy.charter, "--reason", "because"]
    ran = must(*arguments, *common, "--out", out, "--json")
    envelope, order = made(out)
    assert (envelope.kind, envelope.signatures) == (kind, ())
    assert (ran.json["file"], ran.json["statement"]) == (str(out), envelope.statement_hash.hex())
    assert order.head.mission.hex() == embassy.mission
    assert order.head.charter == law(embassy).statement_hash
    assert fits(order)
    assert "What cannot be undone" in ran.err
    must(*arguments, *common, "--out", tmp_path / "again.json")
    assert made(tmp_path / "again.json")[1].head.nonce != order.head.nonce


def test_every_kind_has_a_command() -> None:
    """And no other."""
    assert set(COMMANDS) == set(ORDERS) - AGREED, "those between two states: test_agreement.py"


def test_one_person_signs_a_lockdown(tmp_path: Path, embassy: Mission) -> None:
    """Any member of alarm or exile; the file is named by itself when it is not named."""
    secret = ["--passphrase-file", embassy.passphrase]
    out = tmp_path / "lockdown.json"
    ran = must(
        "lockdown", "--charter", embassy.charter, "--reason", "the capital is taken",
        "--key", embassy.key("consul-a"), "--out", out, "--yes", *secret,
    )  # fmt: skip
    envelope, _ = made(out)
    assert len(signed_persons(envelope, law(embassy).officials)) == 1
    assert "1 of 9 officials signed, 1 required" in ran.out
    assert "reason: the capital is taken" in ran.err


def test_whom_the_charter_does_not_know(tmp_path: Path, embassy: Mission) -> None:
    """He may lock down, since a charter before this one may know him; he may do nothing else."""
    stranger, secret = tmp_path / "stranger.key", ["--passphrase-file", embassy.passphrase]
    must("official", "init", "--out", stranger, *secret)
    common = ["--charter", embassy.charter, "--reason", "x", "--key", stranger, "--yes", *secret]
    ran = must("lockdown", *common, "--out", tmp_path / "lockdown.json")
    assert "0 of 9 officials signed, 1 required" in ran.out
    ran = call("hold", "all", *common, "--out", tmp_path / "hold.json")
    assert (ran.code, made(tmp_path / "hold.json")[0].signatures) == (6, ())


def test_signatures_are_added_by_sign(tmp_path: Path, embassy: Mission) -> None:
    """A loosening order goes from official to official."""
    out = tmp_path / "lift.json"
    secret = ["--passphrase-file", embassy.passphrase, "--yes"]
    must("lift", ONE, "--charter", embassy.charter, "--reason", "trial over", "--out", out)
    ran = must(
        "sign",
        out,
        "--charter",
        embassy.charter,
        "--key",
        embassy.key("minister"),
        *secret,
        "--json",
    )
    assert ran.json["rosters"] == [{"roster": "release", "signed": 1, "required": 3}]
    ran = call("sign", out, "--charter", embassy.charter, "--key", embassy.key("consul-a"), *secret)
    assert ran.code == 6
    assert "expected a member of a roster that is asked, got none of them" in ran.err


def test_a_statement_is_named_by_its_file(tmp_path: Path, embassy: Mission) -> None:
    """As a messenger has it, not by its hash; a file of something else is refused."""
    hold, lift, veto = tmp_path / "hold.json", tmp_path / "lift.json", tmp_path / "veto.json"
    common = ["--charter", embassy.charter, "--reason", "x"]
    must("hold", "all", *common, "--out", hold)
    must("lift", hold, *common, "--out", lift)
    must("veto", lift, *common, "--out", veto)
    _, order = made(veto)
    assert isinstance(order, Veto)
    assert order.target == made(lift)[0].statement_hash
    out = tmp_path / "unlock.json"
    refused(7, "unlock", hold, *common, "--out", out, says="expected lockdown, got hold")
    refused(7, "veto", hold, *common, "--out", out, says="got hold")


def test_packs_from_a_list(tmp_path: Path, embassy: Mission) -> None:
    """More than anybody types."""
    listed, out = tmp_path / "packs", tmp_path / "release.json"
    listed.write_text(f"{TWO}\n{ONE}\n")
    must(
        "release", PACK, "--listed", listed, "--charter", embassy.charter, "--reason", "x",
        "--out", out,
    )  # fmt: skip
    _, order = made(out)
    assert isinstance(order, Release)
    assert [root.hex() for root in order.packs] == [ONE, TWO, PACK]


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        (2, ["veto", "12ab"], "statement: expected 64 hex digits, got '12ab'"),
        (2, ["hold", "soon"], "deposit: expected 32 hex digits, got 'soon'"),
        (6, ["hold"], "hold.deposits: expected 1 to 1024, got 0"),
        (6, ["release"], "release.packs: expected 1 to 8192, got 0"),
        (2, ["extend", "all", "--until", "soon"], "expected a day such as 2030-01-31"),
        (6, ["extend", "all", "--until", "2106-01-01"], "expected before 2106-01-01T00:00:00Z"),
        (6, ["compromise", "nobody", "--since", "2026-01-01"], "has no depositor 'nobody'"),
        (2, ["narrow", ONE], "narrow: expected either --since or --never"),
        (2, ["lockdown", "--send"], "--send: expected a signature, got none"),
        (7, ["lockdown", "--reason", "a\nb"], "order.reason: expected one line"),
    ],
)
def test_orders_that_cannot_be(
    code: int, arguments: list[str], says: str, tmp_path: Path, embassy: Mission
) -> None:
    """Refused before anything is written."""
    out = tmp_path / "order.json"
    reason = [] if "--reason" in arguments else ["--reason", "x"]
    refused(code, *arguments, *reason, "--charter", embassy.charter, "--out", out, says=says)
    assert not out.exists()


def test_where_the_charter_comes_from(tmp_path: Path, embassy: Mission) -> None:
    """Exactly one source; nothing is written over."""
    said = "expected either --charter or --card, got"
    refused(3, "lockdown", "--reason", "x", says=f"{said} neither", hint="head of a share card")
    both = ["--charter", embassy.charter, "--card", embassy.card(1, 1)]
    refused(3, "lockdown", "--reason", "x", *both, says=f"{said} both")
    out = tmp_path / "order.json"
    out.write_text("mine")
    refused(
        3, "lockdown", "--reason", "x", "--charter", embassy.charter, "--out", out,
        says="is there already", hint="--out",
    )  # fmt: skip
    assert out.read_text() == "mine"


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeRecord]:
    """Vaults that take everything, in place of the charter's."""
    records = [FakeRecord(Seat(number)) for number in (1, 2, 3)]

    def each(law: Charter, ask: Any, *, seats: Collection[Seat] = ()) -> Answers:
        wanted = [item for item in records if not seats or item.seat in seats]
        return asyncio.run(ask_records(wanted, ask))

    monkeypatch.setattr("exclave.wiring.orders.each_seat", each)
    return records


def send(embassy: Mission, out: Path, *more: object) -> Ran:
    """A lockdown signed and sent."""
    return call(
        "lockdown", "--charter", embassy.charter, "--reason", "x", "--out", out, "--send", "--yes",
        "--key", embassy.key("attache-b"), "--passphrase-file", embassy.passphrase, *more,
    )  # fmt: skip


def test_sent_to_whoever_can_be_reached(
    tmp_path: Path, embassy: Mission, fakes: list[FakeRecord]
) -> None:
    """One vault is enough; which did not take it is said."""
    out = tmp_path / "lockdown.json"
    fakes[1].fails = VaultUnreachable("seat 2: no answer")
    ran = send(embassy, out)
    assert ran.code == 0
    assert ran.out.splitlines()[1:] == [
        "seat 1: logged (entry 1)",
        "seat 2: NOT TAKEN: seat 2: no answer",
        "seat 3: logged (entry 1)",
        "taken by 2 of 3 vaults",
        f"NOT taken by seat 2: hand {out} in again (exclave submit)",
    ]
    assert fakes[0].taken == fakes[2].taken == [out.read_bytes()]
    fakes[1].fails = None
    again = must("submit", out, "--charter", embassy.charter, "--seat", "2", "--json")
    assert again.json["seats"] == {"2": {"state": "logged", "entry": 1, "seconds": None}}
    assert fakes[1].taken == fakes[0].taken


def test_sent_to_nobody(tmp_path: Path, embassy: Mission, fakes: list[FakeRecord]) -> None:
    """The code says so; the signed file is there for another way."""
    for record in fakes:
        record.fails = VaultUnreachable("no answer")
    out = tmp_path / "lockdown.json"
    ran = send(embassy, out, "--json")
    assert ran.code == 5
    assert ran.json["seats"]["1"] == {"problem": "no answer"}
    assert made(out)[0].signatures
