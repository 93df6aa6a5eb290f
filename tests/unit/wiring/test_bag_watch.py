"""Papers of bags at home: read from logs, kept, laid there; what is wrong hides no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from exclave.authority.custody import Act, Custody, Party, PartyRole, custody_envelope
from exclave.authority.envelope import Envelope
from exclave.config import ConfigurationInvalid
from exclave.engine.memory import MemoryEngine
from exclave.ids import BagId, MissionId, Seat
from exclave.ledger.checkpoint import log_verifier
from exclave.values import replace
from exclave.vault.mission.submission import submit
from exclave.vault.survey.bag_papers import LoggedPapers, read_papers
from exclave.wiring.bag_watch import KeptPapers, ReadLogs, _keep, papers_in
from exclave.wiring.check_bags import _known
from exclave.wiring.check_results import Severity
from exclave.wiring.settings import BagSettings, load_deposit_settings
from tests.support.serving import open_mission
from tests.support.vault_world import START, World, new_world
from tests.unit.vault.test_survey import Liar, Seated, Silent

DAY = 86_400


@pytest.fixture(scope="module")
def world() -> World:
    return new_world()


def sealed(world: World, bag: int, *, mission: bytes | None = None) -> Envelope:
    """A bag's first paper, signed by the depositor."""
    custody = Custody(
        mission=MissionId(mission or world.mission),
        bag=BagId(bytes([bag]) * 16),
        inventory=bytes(32),
        seat=Seat(3),
        act=Act.SEALED,
        by=Party(PartyRole.DEPOSITOR, "home"),
        time=START,
    )
    return world.depositor.sign(custody_envelope(custody))


def laid(world: World, folder: Path, files: dict[str, bytes]) -> KeptPapers:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return papers_in(folder, [world.charter])


def test_papers_are_laid_alone_or_in_their_folder(world: World, tmp_path: Path) -> None:
    """Also twice; what else is in a bag's folder of papers is passed over."""
    one, two = sealed(world, 1), sealed(world, 2)
    found = laid(
        world,
        tmp_path,
        {
            "01-sealed-11223344.json": one.to_bytes(),
            f"{one.statement_hash.hex()}.json": one.to_bytes(),
            "by mail/01-sealed-55667788.json": two.to_bytes(),
            "by mail/exclave-bag.json": b"an inventory",
            "by mail/charters/0001.json": world.envelope.to_bytes(),
            "by mail/charter.json": world.envelope.to_bytes(),
        },
    )
    assert {paper.statement for paper in found.papers} == {one.statement_hash, two.statement_hash}
    assert (len(found.papers), found.wrong) == (2, ())
    assert papers_in(tmp_path / "nowhere", [world.charter]).papers == ()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: b"{}", "envelope"),
        (lambda world: world.envelope.to_bytes(), "statement: expected custody, got charter"),
        (
            lambda world: custody_of_nobody(world).to_bytes(),
            "custody: expected a signature of depositor home's ed25519 key, got none",
        ),
        (
            lambda world: sealed(world, 1, mission=bytes(32)).to_bytes(),
            f"expected mission {{mission}}, got {bytes(32).hex()}",
        ),
    ],
)
def test_a_paper_that_is_wrong_is_named_and_hides_no_other(
    world: World, tmp_path: Path, make: object, said: str
) -> None:
    assert callable(make)
    good = sealed(world, 2)
    files = {"01-a.json": make(world), "02-b.json": good.to_bytes()}
    found = laid(world, tmp_path, files)
    [(name, why)] = found.wrong
    assert name == "01-a.json"
    assert said.format(mission=world.mission.hex()) in why
    assert [paper.statement for paper in found.papers] == [good.statement_hash]


def custody_of_nobody(world: World) -> Envelope:
    signed = sealed(world, 1)
    return Envelope(payload=signed.payload, kind=signed.kind)


def read(world: World, *sources: Seated) -> LoggedPapers:
    keys = {
        seat.seat: [log_verifier(world.mission, seat.seat, seat.log_key.raw)]
        for seat in world.charter.seats
    }
    return asyncio.run(read_papers(sources, world.mission, keys))  # type: ignore[arg-type]


def test_papers_come_from_every_log_and_nothing_else_is_fetched(world: World) -> None:
    one, two = (open_mission(world, MemoryEngine(), seat=Seat(number)) for number in (1, 2))
    papers = [sealed(world, number) for number in (1, 2)]
    submit(one, papers[0].to_bytes())
    for paper in papers:
        submit(two, paper.to_bytes())
    submit(two, world.signed(world.deposit()[0]))
    fetched: list[bytes] = []

    class Watched(Seated):
        async def body(self, sha256: bytes) -> bytes:
            fetched.append(await super().body(sha256))
            return fetched[-1]

    found = read(world, Watched(one), Watched(two))
    assert {item.payload for item in found.envelopes} == {item.payload for item in papers}
    assert (found.read, found.problems) == ((1, 2), ())
    papers_bytes = {paper.to_bytes() for paper in papers}
    assert set(fetched) == papers_bytes | {world.envelope.to_bytes()}


def test_a_log_that_lies_is_not_read_and_keeps_no_other_back(world: World) -> None:
    one, two = (open_mission(world, MemoryEngine(), seat=Seat(number)) for number in (1, 2))
    submit(two, sealed(world, 1).to_bytes())
    found = read(world, Liar(one, world.vaults[Seat(1)], 2**40), Seated(two))
    assert (found.read, len(found.envelopes)) == ((2,), 1)
    assert {problem.seat for problem in found.problems} == {1}
    other = read(world, Liar(one, world.vaults[Seat(2)], 1), Seated(two))
    assert (other.read, len(other.envelopes)) == ((2,), 1)


def test_a_log_without_an_end_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from exclave.vault.survey import bag_papers
    from exclave.vault.survey.survey import SurveyLimits

    monkeypatch.setattr(bag_papers, "_LIMITS", SurveyLimits(seconds=0.05))
    found = read(world, Silent(open_mission(world, MemoryEngine())))
    assert (found.read, found.envelopes) == ((), ())
    assert "not done after" in found.problems[0].what


def test_papers_that_cannot_be_kept_are_said_to_be(world: World, tmp_path: Path) -> None:
    """They count all the same, this once."""
    place = tmp_path / "state"
    place.write_text("a file where the folder should be")
    why = _keep(place / "papers", [sealed(world, 1)])
    assert why is not None
    assert str(place) in why
    logs = ReadLogs(asked=3, read=3, papers=(), wrong=(), unkept=why)
    assert _known((), logs).severity is Severity.WARNS
    assert _known((), replace(logs, unkept=None)).severity is Severity.GOOD
    assert _known((), replace(logs, unkept=None, read=0)).severity is Severity.WARNS
    assert _keep(tmp_path / "papers", [sealed(world, 1)]) is None


def bags(tmp_path: Path, table: str) -> BagSettings:
    keys = ("depositor", "plan", "journal", "catalogue", "spool", "scratch")
    text = "".join(f'{key} = "{key}"\n' for key in keys) + 'spool_limit = "1MiB"\n'
    (tmp_path / "deposit.toml").write_text(text + table)
    return load_deposit_settings(tmp_path / "deposit.toml").bags


def test_the_limits_that_nobody_set(tmp_path: Path) -> None:
    found = bags(tmp_path, "")
    assert (found.under_way, found.unlodged) == (14 * DAY, 14 * DAY)
    assert (found.unread, found.newest) == (365 * DAY, 90 * DAY)
    assert found.papers == tmp_path / "state" / "papers"
    assert bags(tmp_path, '[bags]\nnewest = "30 d"\n').newest == 30 * DAY


def test_limits_that_mean_nothing_are_named(tmp_path: Path) -> None:
    table = '[bags]\nunder_way = "0 d"\nunread = 365\nnewst = "30 d"\n'
    with pytest.raises(ConfigurationInvalid) as raised:
        bags(tmp_path, table)
    said = str(raised.value)
    for part in ("deposit.toml:9: bags.under_way", "deposit.toml:10: bags.unread", "bags.newst"):
        assert part in said
