"""A drill of a real mission by commands: with its officials' warrant, its cards and its vaults."""

from __future__ import annotations

import os
import select
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exclave.authority.card import parse_card
from exclave.authority.envelope import Kind, parse_envelope
from exclave.certificate.drill import Drill, parse_drill
from exclave.certificate.sealed import open_attested
from exclave.drill.real import CERTIFICATE, Drilling, hold_drill
from exclave.errors import ExclaveError
from exclave.evidence import EvidenceStore
from exclave.ledger.entry import EntryType
from exclave.plan import load_plan
from exclave.quarantine import folder as quarantine
from exclave.reconstruct.run import Scope
from exclave.shares import split_seed
from exclave.signer.interface import sign_envelope
from exclave.source.sqlite import SqliteTarget
from exclave.values import replace
from exclave.vault.interface import StatementState
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.wiring.reader import Restoring
from exclave.wiring.settings import TargetSettings
from tests.reader.loaded import PATH as READER
from tests.scripts.conftest import Ran, call, must
from tests.support.embassy import PROGRAM, Embassy, QuietReconstruction, found_embassy
from tests.support.typist import Typist

ASSERTIONS = """
[[register.assertion]]
name = "acts"
sql = "SELECT count(*) > 100 FROM act"
[[register.assertion]]
name = "program"
command = ["ls", "gazette.sqlite"]
expect = "gazette.sqlite"
"""


@dataclass(frozen=True, kw_only=True)
class Held:
    """An embassy with a deposit, and a warrant that is signed and released."""

    embassy: Embassy
    config: Path
    folder: Path
    answer: Path

    def drill(self, *more: object, answer: Path | None = None) -> Ran:
        """`exclave drill` with home at hand."""
        given = self.answer if answer is None else answer
        return call("drill", self.folder, "--answer", given, "-c", self.config, *more)

    @property
    def certificate(self) -> Drill:
        """The last drill's."""
        data = (self.folder / CERTIFICATE).read_bytes()
        return parse_drill(parse_envelope(data, kinds=[Kind.DRILL]))

    def nothing_is_left(self) -> bool:
        """Whether no quarantine is."""
        return not list(self.folder.glob("quarantine-*"))


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    folder = tmp_path_factory.mktemp("drill")
    with found_embassy(folder) as embassy:
        embassy.write_registers(mib=0.2)
        config = embassy.write_config()
        plan = embassy.home / "registers.toml"
        plan.write_text(plan.read_text() + ASSERTIONS)
        embassy.deposit(plan_text=plan.read_bytes())
        reading, answer = folder / "reading", folder / "answer.json"
        charter = embassy.home / "keys" / "charter.json"
        must("warrant", "prepare", "--charter", charter, "--out", reading, "--purpose", "drill")
        warrant = parse_envelope((reading / "warrant.json").read_bytes())
        for label in ("ambassador-a", "consul-a", "ambassador-b", "consul-b"):
            warrant = sign_envelope(warrant, embassy.officials[label].signers)
        (reading / "warrant.json").write_bytes(warrant.to_bytes())
        must("warrant", "submit", reading)
        cards = [part for group in (2, 3) for n in (1, 2)
                 for part in ("--card", folder / "cards" / f"card-{group}-{n}.txt")]  # fmt: skip
        must("unseal", reading / "unseal-request.json", *cards, "--out", answer, "--yes")
        yield Held(embassy=embassy, config=config, folder=reading, answer=answer)


@dataclass(frozen=True, kw_only=True)
class Passed:
    """The first drill, which later ones do not overwrite."""

    ran: Ran
    file: Path
    warrant: Path


@pytest.fixture(scope="module")
def passed(held: Held, tmp_path_factory: pytest.TempPathFactory) -> Passed:
    ran = held.drill("--json")
    assert ran.code == 0, ran
    file = tmp_path_factory.mktemp("passed") / CERTIFICATE
    file.write_bytes((held.folder / CERTIFICATE).read_bytes())
    return Passed(ran=ran, file=file, warrant=held.folder / "warrant.json")


def test_a_drill_passes_is_kept_logged_and_gone(held: Held, passed: Passed) -> None:
    said = passed.ran.json
    assert (said["passed"], said["missing"], said["late"]) == (True, [], [])
    assert {item["id"] for item in said["registers"]} == {"scans", "gazette"}
    drill = parse_drill(parse_envelope(passed.file.read_bytes(), kinds=[Kind.DRILL]))
    assert drill.passed
    by_id = {item.result.id: item for item in drill.registers}
    assert [one.name for one in by_id["gazette"].result.assertions] == ["acts", "program"]
    assert all(item.rto_ms >= item.work_ms > 0 for item in drill.registers)
    assert all(item.forecast is not None for item in drill.registers)
    assert held.nothing_is_left()
    # Kept at home, with its warrant.
    store = EvidenceStore(held.embassy.home / "state" / "evidence")
    kept = store.latest("drill", "scans")
    assert kept is not None
    assert (kept.passed, kept.deposit) == (True, drill.results.deposit.hex())
    assert store.warrant_of(kept.path) is not None
    # And for whoever has the cards, in every vault's log.
    attested = held.embassy.view().attestations
    opened = [open_attested(item, held.embassy.recovery_private()) for item in attested]
    assert store.envelope(kept) in opened


def charter_of(held: Held) -> Path:
    return held.embassy.home / "keys" / "charter.json"


def test_a_drill_verifies_offline_and_a_tampered_one_does_not(
    held: Held, passed: Passed, tmp_path: Path
) -> None:
    known = ("--charter", charter_of(held), "--warrant", passed.warrant)
    ran = must("verify-certificate", passed.file, *known)
    assert "valid: signed by the reader whom the officials' warrant names" in ran.out
    assert "PASSED" in ran.out
    envelope = parse_envelope(passed.file.read_bytes())
    bad = tmp_path / "drill.json"
    payload = envelope.payload.replace(b'"rows":0', b'"rows":1', 1)
    bad.write_bytes(replace(envelope, payload=payload).to_bytes())
    ran = call("verify-certificate", bad, *known)
    assert (ran.code, ran.out) == (6, "")


@pytest.mark.usefixtures("passed")
def test_the_auditors_certificate(held: Held, tmp_path: Path) -> None:
    """Made at home with receipts of all vaults, checked by whoever has the charter."""
    out = tmp_path / "certificate.json"
    made = must("certificate", "make", "-c", held.config, "--out", out, "--log")
    assert made.err.count("no passed proof") == 2
    assert [f"seat {seat}: logged" in made.out for seat in (1, 2, 3)] == [True] * 3
    logged = held.embassy.view().attestations[-1]
    assert (logged.certificate, logged.sealed) == (
        parse_envelope(out.read_bytes()).statement_hash,
        b"",
    )
    said = must("verify-certificate", out, "--charter", charter_of(held), "--json").json
    assert {item["id"] for item in said["registers"]} == {"scans", "gazette"}
    assert all(item["restored"] and item["seconds"] > 0 for item in said["registers"])
    (deposit,) = said["deposits"]
    assert (deposit["k"], deposit["n"]) == (2, 3)
    assert [item["state"] for item in deposit["held"]] == ["XA", "XB", "XC"]
    shown = must("verify-certificate", out, "--charter", charter_of(held)).out
    assert "held at seat 2, vault-2 in XB, since 20" in shown
    assert "any 2 of 3 seats rebuild it" in shown
    # The standalone reader says the same.
    command = [sys.executable, "-I", str(READER), "verify-certificate", str(out)]
    command += ["--charters", str(charter_of(held))]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "held at seat 2 in XB since 20" in done.stdout


def test_a_certificate_is_logged_afterwards(held: Held, passed: Passed) -> None:
    before = len(held.embassy.view().attestations)
    ran = must("certificate", "log", passed.file, "-c", held.config)
    assert "seat 1: logged" in ran.out
    assert len(held.embassy.view().attestations) == before + 1


def test_a_vault_that_is_older_gets_what_it_does_not_know_once_it_is_newer(
    held: Held, passed: Passed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seat 2 is a version behind: what it refuses waits, as `check` says, until it is upgraded."""
    waits = held.embassy.home / "state" / "evidence" / "waiting"

    def older(mission: Mission, data: bytes) -> StatementState:
        if mission.seat == 2:
            parse_envelope(data, kinds=set(Kind) - {Kind.ATTESTATION})
        return submit(mission, data)

    def said() -> list[str]:
        checks = call("check", "-c", held.config, "--json").json["checks"]
        return [item["said"] for item in checks if item["what"].startswith("certificate ")]

    with monkeypatch.context() as patched:
        patched.setattr("exclave.vault.server.handlers_public.submit", older)
        ran = must("certificate", "log", passed.file, "-c", held.config)
        assert "seat 1: logged" in ran.out
        assert "seat 2: logged" not in ran.out
        must("deposit", "--catch-up", "-c", held.config)
        (waiting,) = said()
        assert "seat 2: its vault is older than this kind of statement" in waiting
        assert "seat 1" not in waiting
        assert len(list(waits.iterdir())) == 1
    must("deposit", "--catch-up", "-c", held.config)
    assert said() == []
    assert list(waits.iterdir()) == []
    counts = {
        seat: sum(entry.type is EntryType.ATTESTATION for _, entry in log.entries())
        for seat, log in ((s, held.embassy.vaults[s].mission.log) for s in held.embassy.vaults)
    }
    assert len(set(counts.values())) == 1, counts


@pytest.mark.usefixtures("passed")
def test_fewer_registers_are_no_passed_drill(held: Held) -> None:
    ran = held.drill("--register", "scans")
    assert ran.code == 1
    assert "NOT PASSED" in ran.out
    assert "gazette: NOT RESTORED" in ran.out
    assert (held.certificate.passed, held.certificate.only) == (False, ("scans",))
    # It takes nothing from the register that it was not held of.
    said = call("status", "-c", held.config, "--json").json
    drills = {item["id"]: item["drill"] for item in said["registers"]}
    assert [drills[name]["passed"] for name in ("scans", "gazette")] == [True, True]
    assert [drills[name]["whole"] for name in ("scans", "gazette")] == [False, True]


def test_a_shorter_plan_makes_no_drill_easier(held: Held, tmp_path: Path) -> None:
    """The plan was cut down to one register; the deposit has two, of which one comes back."""
    text = (held.embassy.home / "registers.toml").read_text()
    plan = tmp_path / "registers.toml"
    plan.write_text(text.partition('[[register]]\nid = "gazette"')[0])
    ran = call("drill", held.folder, "--answer", held.answer, "--plan", plan, "--register", "scans")
    assert ran.code == 1
    assert "gazette" in held.certificate.results.declared
    assert not held.certificate.passed


def test_a_register_that_was_never_deposited(held: Held, tmp_path: Path) -> None:
    plan = tmp_path / "registers.toml"
    text = (held.embassy.home / "registers.toml").read_text().replace(ASSERTIONS, "")
    plan.write_text(text + text.replace('id = "gazette"', 'id = "wills"').rpartition("\n\n")[2])
    ran = call("drill", held.folder, "--answer", held.answer, "--plan", plan)
    assert (ran.code, "wills: NOT RESTORED" in ran.out) == (1, True)


def test_an_assertion_that_does_not_hold(held: Held, tmp_path: Path) -> None:
    plan = tmp_path / "registers.toml"
    text = (held.embassy.home / "registers.toml").read_text()
    plan.write_text(text.replace("count(*) > 100", "count(*) > 10000000"))
    ran = call("drill", held.folder, "--answer", held.answer, "--plan", plan)
    assert ran.code == 1
    assert "acts: DOES NOT HOLD (0)" in ran.out
    assert held.nothing_is_left()


def test_an_answer_of_wrong_cards_leaves_no_certificate(held: Held, tmp_path: Path) -> None:
    (held.folder / CERTIFICATE).unlink(missing_ok=True)
    bad = tmp_path / "answer.json"
    bad.write_bytes(held.answer.read_bytes()[:-30])
    ran = held.drill(answer=bad)
    assert ran.code == 7
    assert not (held.folder / CERTIFICATE).exists()
    assert held.nothing_is_left()


def test_a_drill_goes_on_with_the_right_answer(held: Held, tmp_path: Path) -> None:
    """Cards were typed wrongly, and the drill was begun with what came of that."""
    bad, refused = tmp_path / "answer.json", []
    bad.write_bytes(held.answer.read_bytes()[:-30])
    what = Restoring(
        folder=held.folder,
        answer=bad,
        targets=TargetSettings(
            path=tmp_path, default_server=None, default_folder=None, registers={}
        ),
        scope=Scope(),
    )
    plan = load_plan(held.embassy.home / "registers.toml")

    def ask(error: ExclaveError) -> Path:
        refused.append(error)
        return held.answer

    drilling = Drilling(what=what, plan=plan, quarantine=tmp_path)
    ended = hold_drill(drilling, QuietReconstruction(), ask=ask)
    assert (len(refused), ended.drill.passed, ended.exit_code) == (1, True, 0)


def test_a_quarantine_without_space(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    (held.folder / CERTIFICATE).unlink(missing_ok=True)
    usage = shutil.disk_usage(held.folder)
    monkeypatch.setattr(quarantine.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    ran = held.drill()
    assert ran.code == 8
    assert "expected 64." in ran.err
    assert "name a larger place with --quarantine" in ran.err
    assert not (held.folder / CERTIFICATE).exists()
    assert held.nothing_is_left()


def test_a_disk_that_fills_up_on_the_way_is_a_failed_drill(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28), "gazette.sqlite")

    monkeypatch.setattr(SqliteTarget, "restore", full)
    ran = held.drill()
    assert ran.code == 8
    drill = held.certificate
    assert not drill.passed
    assert drill.results.failure == "gazette.sqlite: No space left on device"
    assert held.nothing_is_left()


def test_an_interrupted_drill_leaves_nothing(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SqliteTarget, "restore", interrupted)
    assert held.drill().code == 130
    assert held.nothing_is_left()


def test_what_a_killed_drill_left_is_removed_by_the_next(held: Held, tmp_path: Path) -> None:
    """Killed in the middle, with `kill -9`: its folder goes, and what an assertion had started."""
    begun, plan = tmp_path / "begun", tmp_path / "registers.toml"
    os.mkfifo(begun)
    text = (held.embassy.home / "registers.toml").read_text()
    hangs = f'["sh", "-c", "echo $$ > {begun}; exec sleep 3600"]'
    plan.write_text(text.replace('["ls", "gazette.sqlite"]', hangs))
    words = ("drill", held.folder, "--answer", held.answer, "--plan", plan)
    drilling = subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    asserting = os.pidfd_open(int(begun.read_text()))
    drilling.kill()
    drilling.wait()
    (left,) = held.folder.glob("quarantine-*")
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    assert any(left.rglob("gazette.sqlite")), "it was killed before there was anything to leave"
    assert held.drill().code == 0
    assert held.nothing_is_left()
    assert select.select([asserting], [], [], 0)[0], "the assertion outlives the next drill"
    os.close(asserting)


def _words_of(held: Held, group: int, member: int) -> list[str]:
    card = held.embassy.folder / "cards" / f"card-{group}-{member}.txt"
    return list(parse_card(card.read_text()).words)


def test_cards_are_typed_wrongly_in_the_middle_of_a_drill(held: Held, tmp_path: Path) -> None:
    """It waits with what is wrong until the officials have got it right, and passes then."""
    bad, good = tmp_path / "bad.json", tmp_path / "good.json"
    bad.write_bytes(held.answer.read_bytes()[:-30])
    drilling = Typist("drill", held.folder, "--answer", bad, "-c", held.config)
    drilling.expect("the answer's file (nothing ends the drill)")

    officials = Typist("unseal", held.folder / "unseal-request.json", "--out", good)
    officials.expect("[y/N] ")
    officials.type("y")
    mine = _words_of(held, 2, 1)
    officials.expect("word 1: ")
    officials.type(f"{mine[0]} zzzz")
    officials.expect("word 2: expected a word of the list")
    officials.type(" ".join([*mine[1:31], mine[32], mine[31]]))
    officials.expect("their checksum is wrong")  # two words the wrong way round
    stranger = split_seed(os.urandom(32), held.embassy.charter.current_epoch.groups, 2)
    for words, said in (
        (stranger.groups[1][0].words, "card: expected share set"),
        (mine, "good; 0 of 2 groups complete"),
        (mine, "was given before"),
        (_words_of(held, 2, 2), "good; 1 of 2 groups complete"),
        (_words_of(held, 3, 1), "good; 1 of 2 groups complete"),
        (_words_of(held, 3, 2), "good; 2 of 2 groups complete"),
    ):
        officials.expect("word 1: ")
        officials.type(" ".join(words))
        officials.expect(said)
    assert officials.end() == 0

    drilling.type(str(tmp_path / "mistyped.json"))
    drilling.expect("mistyped.json")
    drilling.expect("the answer's file (nothing ends the drill)")
    drilling.type(str(good))
    assert drilling.end() == 0, drilling.seen
    assert "PASSED" in drilling.seen
    assert held.certificate.passed
    assert held.nothing_is_left()


def test_a_drill_needs_to_know_what_has_to_be_there(held: Held) -> None:
    ran = call("drill", held.folder, "--answer", held.answer)
    assert (ran.code, "expected --config or --plan, got neither" in ran.err) == (2, True)
    ran = call("drill", "-c", held.config)
    assert (ran.code, "expected FOLDER and --answer" in ran.err) == (2, True)
