"""Those who govern, hold cards or deposit are followed by others, on a running mission."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exclave import clock
from exclave.authority.card import parse_card
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.orders import Compromise, OrderHead, order_payload
from exclave.errors import ConfigurationError
from exclave.found.amend import Amended, Successor, amend
from exclave.found.cards import CardOutlet, UnsafeFolderOutlet
from exclave.found.depositor import REQUEST, new_depositor_bundle
from exclave.ids import Seat, StatementHash
from exclave.sealing.recovery import XWingPrivateKey
from exclave.shares import read_share, recombine
from exclave.signer.interface import sign_envelope
from exclave.vault.interface import State
from exclave.wiring.charters import submit_folder
from exclave.wiring.depositor import StateForeign, open_home, run_deposit
from exclave.wiring.learning import KeysReplaced, learn_charter
from tests.support.embassy import PROGRAM, Embassy, QuietDeposit, found_embassy

GOVERN = ("chancellor", "minister", "registrar")


@pytest.fixture
def embassy(tmp_path: Path) -> Iterator[Embassy]:
    with found_embassy(tmp_path) as made:
        made.write_registers(mib=0.5)
        yield made


def amended(
    embassy: Embassy,
    text: str,
    *,
    signers: tuple[str, ...] = GOVERN,
    outlet: CardOutlet | None = None,
    era: bool = False,
) -> Amended:
    """Draft, sign, hand in to all vaults; the embassy goes by the new charter."""
    before = embassy.charter
    out = embassy.folder / ("era" if era else f"charter-{before.version + 1}")
    labels = "".join(f'{name} = "{b.id}"\n' for name, b in embassy.officials.items())
    changes = embassy.folder / "changes.toml"
    changes.write_text(
        f'mission = "{embassy.mission.hex()}"\nafter = "{before.era}.{before.version}"\n'
        f"{text}\n[labels]\n{labels}"
    )
    old = embassy.folder / "old.json"
    old.write_bytes(embassy.envelope.to_bytes())
    made = amend(
        Successor(
            changes=changes,
            charter=old,
            annex=embassy.folder / "founding" / "mission" / "annex.json",
            era=era,
        ),
        out=out,
        outlet=outlet,
        signers=[s for label in signers for s in embassy.officials[label].signers],
        now=clock.now(),
        random=os.urandom,
    )
    answers = submit_folder(out)
    running = embassy.running()
    assert all(answers[seat].taken for seat in running), answers
    assert not any(answers[seat].taken for seat in set(answers) - set(running))
    embassy.charter = made.charter
    embassy.envelope = parse_envelope((out / "charter.json").read_bytes())
    for seat in embassy.running():
        status = embassy.loop.run(embassy.client(seat).status())
        assert status.charter == made.charter.statement_hash
    return made


def by_program(embassy: Embassy) -> dict[str, object]:
    """One deposit by the program itself, which has to learn the charter from the vaults."""
    done = embassy.deposit_process()
    out, said = done.communicate(timeout=120)
    assert done.returncode == 0, said
    answer: dict[str, object] = json.loads(out)
    return answer


def test_an_official_leaves(embassy: Embassy) -> None:
    embassy.deposit()
    gone = embassy.officials["minister"].id
    made = amended(
        embassy,
        '[[official.remove]]\nofficial = "minister"\n[rosters.override]\nthreshold = 4\n',
        signers=("chancellor", "registrar", "ambassador-a"),
    )
    assert gone not in {official.id for official in made.charter.officials}
    annex = embassy.folder / "charter-2" / "annex.sealed"
    for seat in embassy.running():
        again = embassy.loop.run(embassy.client(seat).submit(annex.read_bytes()))
        assert again.state is State.LOGGED
    # His signature beside one that counts: too few at every vault.
    reading = embassy.authorise(embassy.folder / "r1", signers=("minister", "registrar"))
    states = [
        embassy.loop.run(embassy.client(seat).statement(reading.warrant)).state
        for seat in embassy.running()
    ]
    assert states == [State.INCOMPLETE] * 3
    reading = embassy.authorise(embassy.folder / "r2", signers=("chancellor", "registrar"))
    state = embassy.loop.run(embassy.client(1).statement(reading.warrant)).state
    assert state is State.RELEASED
    answer = by_program(embassy)
    assert answer["lodged"] == [1, 2, 3]
    assert embassy.survey().newest.charter == made.charter.statement_hash
    kept = sorted(path.name for path in (embassy.home / "keys" / "charters").iterdir())
    assert kept == ["0001.json", "0002.json"]
    assert (embassy.home / "keys" / "charter.json").read_bytes() == embassy.envelope.to_bytes()


def test_a_new_epoch(embassy: Embassy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = embassy.deposit()
    cards = tmp_path / "cards-2"
    amended(embassy, NEW_EPOCH, outlet=UnsafeFolderOutlet(cards))
    assert by_program(embassy)["lodged"] == [1, 2, 3]
    newest, oldest = embassy.survey().records
    assert (newest.epoch, oldest.epoch) == (2, 1)
    assert newest.full
    assert not {p.root for p in newest.packs_added} & {p.root for p in oldest.packs_added}
    assert oldest.statement_hash == first.entry.statement
    # The journal is lost: what the catalogue brings back shares nothing with the old epoch either.
    embassy.lose_journal()
    assert by_program(embassy)["lodged"] == [1, 2, 3]
    third = embassy.survey().newest
    assert third.epoch == 2
    check = run_program("check", "-c", str(embassy.home / "deposit.toml"))
    assert "epoch 1 (share set" in check
    assert "its cards must be kept" in check
    # The old deposit with the old cards, the new one with the new.
    assert embassy.reconstruct(tmp_path / "old", record=oldest).proven

    def recovery_private(groups: object = None) -> XWingPrivateKey:
        del groups
        texts = [
            (cards / f"card-{group}-{member}.txt").read_text()
            for group in (2, 3)
            for member in (1, 2)
        ]
        shares = [read_share(parse_card(text).words) for text in texts]
        return XWingPrivateKey.from_seed(recombine(shares))

    monkeypatch.setattr(embassy, "recovery_private", recovery_private)
    assert embassy.reconstruct(tmp_path / "new", record=third).proven


def test_a_stolen_depositor_is_followed_by_new_keys(embassy: Embassy) -> None:
    first = embassy.deposit()
    embassy.write_config()
    bundle = embassy.folder / "bundle"
    new_depositor_bundle("home", bundle, now=clock.now(), random=os.urandom)
    amended(embassy, f'[[depositor.replace_keys]]\nrequest = "bundle/{REQUEST}"\n')
    # The old keys learn that they are none any more.
    with pytest.raises(KeysReplaced, match="seats other keys"):
        learn_charter(open_home(embassy.home / "deposit.toml"))
    # The new ones begin their own chain, and take up nothing of the old state.
    shutil.copy(embassy.folder / "charter-2" / "charter.json", bundle / "charter.json")
    shutil.rmtree(embassy.home / "keys")
    shutil.copytree(bundle, embassy.home / "keys")
    with pytest.raises(StateForeign, match="got others'"):
        run_deposit(open_home(embassy.home / "deposit.toml"), (), QuietDeposit())
    shutil.rmtree(embassy.home / "state")
    assert by_program(embassy)["lodged"] == [1, 2, 3]
    by_program(embassy)
    known = {record.statement_hash: record for record in embassy.survey().records}
    old = known.pop(StatementHash(first.entry.statement))
    second, third = sorted(known.values(), key=lambda record: record.sequence)
    assert (second.sequence, second.full, second.previous) == (1, True, old.statement_hash)
    assert (third.sequence, third.previous) == (2, second.statement_hash)
    assert not {p.root for p in second.packs_added} & {p.root for p in old.packs_added}
    assert embassy.reconstruct(embassy.folder / "out", record=third).proven


def test_new_keys_go_on_from_before_the_compromise(embassy: Embassy, tmp_path: Path) -> None:
    """The thief lodged what he liked and left no room: the state goes on without any of it."""
    first = embassy.deposit()
    time.sleep(1.1)  # log time has seconds
    since = clock.now()
    embassy.write_registers(mib=0.5, seed=2)
    stolen = embassy.deposit()
    head = OrderHead(
        mission=embassy.mission,
        charter=embassy.charter.statement_hash,
        nonce=os.urandom(16),
        issued=clock.now(),
        reason="the depositing machine was found open",
    )
    order = Compromise(head=head, depositors=("home",), since=since)
    envelope = Envelope(payload=order_payload(order), kind=Kind.COMPROMISE)
    envelope = sign_envelope(envelope, embassy.officials["registrar"].signers)
    for seat in embassy.running():
        embassy.loop.run(embassy.client(seat).submit(envelope.to_bytes()))
    bundle = embassy.folder / "bundle"
    new_depositor_bundle("home", bundle, now=clock.now(), random=os.urandom)
    # The quota alone would not do: the reserve is for whoever was chartered anew.
    amended(
        embassy,
        f'[[depositor.replace_keys]]\nrequest = "bundle/{REQUEST}"\n'
        '[[depositor.quota]]\nid = "home"\ntotal_bytes = 65536\ndaily_bytes = 1048576\n'
        "reserve = true\n",
    )
    shutil.copy(embassy.folder / "charter-2" / "charter.json", bundle / "charter.json")
    for gone in ("keys", "state"):
        shutil.rmtree(embassy.home / gone)
    shutil.copytree(bundle, embassy.home / "keys")
    assert by_program(embassy)["lodged"] == [1, 2, 3]
    view = embassy.view()
    new = next(item for item in view.deposits if not item.suspect)
    assert new.record.sequence == 1
    assert new.record.full
    assert new.record.previous == first.entry.statement
    thieves = next(item for item in view.deposits if item.statement == stolen.entry.statement)
    assert thieves.suspect
    assert not {p.root for p in new.record.packs_added} & {
        p.root for item in view.deposits if item is not new for p in item.record.packs_added
    }
    assert sum(pack.length for pack in new.record.packs_added) > 2 * 65536
    assert embassy.reconstruct(tmp_path / "out", record=new.record).proven


def test_keys_of_a_charter_that_waits_do_not_deposit(embassy: Embassy) -> None:
    embassy.deposit()
    bundle = embassy.folder / "bundle"
    new_depositor_bundle("home", bundle, now=clock.now(), random=os.urandom)
    config = embassy.write_config()
    shutil.rmtree(embassy.home / "keys")
    shutil.copytree(bundle, embassy.home / "keys")
    (embassy.home / "keys" / "charter.json").write_bytes(embassy.envelope.to_bytes())
    with pytest.raises(ConfigurationError, match="the charter seats other keys"):
        open_home(config)


def test_a_seat_is_retired(tmp_path: Path) -> None:
    with found_embassy(tmp_path, n=4) as embassy:
        embassy.write_registers(mib=0.5)
        assert embassy.deposit().lodged == (1, 2, 3, 4)
        amended(
            embassy,
            "[dispersal]\nk = 2\nh = 2\nn = 3\n[[seat.retire]]\nseat = 4\n[witness]\nq = 2\n",
        )
        embassy.stop_vault(Seat(4))
        assert by_program(embassy)["lodged"] == [1, 2, 3]
        newest = embassy.survey([1, 2, 3]).newest
        assert {seat for pack in newest.packs_added for seat, _ in pack.shards} == {1, 2, 3}
        embassy.lose_vault(1)
        assert embassy.reconstruct(tmp_path / "out", seats=[2, 3]).proven


def run_program(*arguments: str) -> str:
    """What the program says."""
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)
    return done.stdout


NEW_EPOCH = """
[recovery]
epoch = 2
group_threshold = 2
reader = "in folder KIT of every vault"

[[recovery.group]]
name = "Government at home"
place = "home"
state = "XZ"
threshold = 2
members = 3

[[recovery.group]]
name = "Embassy in Nordhavn"
place = "abroad"
state = "XA"
threshold = 2
members = 3

[[recovery.group]]
name = "Embassy in Lissande"
place = "abroad"
state = "XB"
threshold = 2
members = 3
"""
