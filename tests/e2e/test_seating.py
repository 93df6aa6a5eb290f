"""A vault that a later charter seats: what stands elsewhere stands there; deposits go to it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exclave.authority.charter_parts import RoleName
from exclave.authority.orders import Hold, Lockdown, Unlock
from exclave.errors import ConfigurationError
from exclave.standing.effects import held
from exclave.standing.values import Standing
from exclave.vault.interface import State
from exclave.wiring.reader import survey_charter
from exclave.wiring.seating import save_enrolments
from tests.e2e.test_exile import EXILE, head, locked, signed, submit, until
from tests.e2e.test_succession import GOVERN, amended, by_program, run_program
from tests.support.embassy import Embassy, found_embassy

SEAT_4 = """
[dispersal]
k = 2
h = 2
n = 4
[[seat.add]]
seat = 4
request = "request-4.json"
[witness]
q = 3
"""
WITHOUT_MINISTER = """
[[official.remove]]
official = "minister"
[rosters.override]
threshold = 4
"""


def standing_of(embassy: Embassy, seat: int) -> Standing:
    """What stands at a seat, by its log."""
    (view,) = embassy.view([seat]).seats
    assert view.standing is not None
    return view.standing


def grow(embassy: Embassy, changes: str = "", signers: tuple[str, ...] = GOVERN) -> None:
    """A charter with seat 4 comes into force at the three vaults."""
    shutil.copy(embassy.new_vault(4), embassy.folder / "request-4.json")
    amended(embassy, SEAT_4 + changes, signers=signers)


def join(embassy: Embassy) -> None:
    """Vault 4 is enrolled by what the others' logs say, and served."""
    charter = embassy.folder / "in-force.json"
    charter.write_bytes(embassy.envelope.to_bytes())
    out = embassy.folder / "enrolments"
    said = run_program("charter", "enrolments", "--charter", str(charter), "--out", str(out))
    assert "vault-4.json: seat 4" in said
    embassy.enrol_vault(4, out / "vault-4.json")
    embassy.start_vault(4)


def test_two_of_three_grows_to_two_of_four(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        embassy.write_registers(mib=0.5)
        embassy.deposit()
        hold = signed(embassy, Hold(head=head(embassy), deposits=None), "minister")
        submit(embassy, 1, hold)
        until(lambda: all(held(standing_of(embassy, seat)) is None for seat in (1, 2, 3)))
        grow(embassy, WITHOUT_MINISTER, ("chancellor", "registrar", "ambassador-a"))
        # Given while the new vault was not there; mirrored once it is.
        lockdown = signed(embassy, Lockdown(head=head(embassy)), "consul-a")
        join(embassy)
        assert standing_of(embassy, 4).in_force == embassy.charter.statement_hash
        assert held(standing_of(embassy, 4)) is None, "of somebody who has left since"
        assert by_program(embassy)["lodged"] == [1, 2, 3, 4]
        newest, oldest = embassy.survey().records
        assert {seat for pack in newest.packs_added for seat, _ in pack.shards} == {1, 2, 3, 4}
        assert embassy.reconstruct(tmp_path / "old", record=oldest, seats=[1, 3]).proven
        assert embassy.reconstruct(tmp_path / "new", record=newest, seats=[2, 4]).proven
        # Nothing that the three refuse is let in: what was given before waits for mirroring.
        submit(embassy, 2, lockdown)
        until(lambda: all(locked(embassy, seat) for seat in (1, 2, 3, 4)))


def test_a_lockdown_older_than_the_seat_reaches_it(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        grow(embassy)
        lockdown = signed(embassy, Lockdown(head=head(embassy)), "consul-a")
        submit(embassy, 3, lockdown)
        until(lambda: all(locked(embassy, seat) for seat in (1, 2, 3)))
        join(embassy)
        until(lambda: locked(embassy, 4))
        unlock = Unlock(head=head(embassy), lockdowns=(lockdown.statement_hash,))
        submit(embassy, 4, signed(embassy, unlock, *EXILE))
        until(lambda: not any(locked(embassy, seat) for seat in (1, 2, 3, 4)))


def test_a_seat_of_a_new_era_is_locked_down_like_the_others(tmp_path: Path) -> None:
    """Whoever locked down is in no roster of the era that exile opened."""
    with found_embassy(tmp_path) as embassy:
        order = signed(embassy, Lockdown(head=head(embassy)), "minister")
        submit(embassy, 1, order)
        until(lambda: all(locked(embassy, seat) for seat in (1, 2, 3)))
        shutil.copy(embassy.new_vault(4), embassy.folder / "request-4.json")
        amended(
            embassy,
            SEAT_4 + WITHOUT_MINISTER,
            signers=("chancellor", "registrar", *EXILE),
            era=True,
        )
        join(embassy)
        standing = standing_of(embassy, 4)
        assert standing.open_lockdowns == {order.statement_hash}
        assert standing.exile == embassy.charter.statement_hash
        assert "minister" not in {
            label
            for label, bundle in embassy.officials.items()
            if bundle.id in embassy.charter.role(RoleName.ALARM).members
        }


def test_an_ended_lockdown_stays_ended_at_a_new_seat(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        lockdown = signed(embassy, Lockdown(head=head(embassy)), "minister")
        submit(embassy, 1, lockdown)
        until(lambda: all(locked(embassy, seat) for seat in (1, 2, 3)))
        unlock = Unlock(head=head(embassy), lockdowns=(lockdown.statement_hash,))
        submit(embassy, 1, signed(embassy, unlock, *EXILE))
        until(lambda: not any(locked(embassy, seat) for seat in (1, 2, 3)))
        grow(embassy)
        join(embassy)
        state = embassy.loop.run(embassy.client(4).statement(lockdown.statement_hash))
        assert state.state is State.LOGGED
        assert not locked(embassy, 4)


def test_enrolments_wait_for_the_charter_to_be_in_force(tmp_path: Path) -> None:
    with found_embassy(tmp_path) as embassy:
        with pytest.raises(ConfigurationError, match="every seat of it was there from the begin"):
            save_enrolments(survey_charter(embassy.charter), tmp_path / "out")
        assert not (tmp_path / "out").exists()
