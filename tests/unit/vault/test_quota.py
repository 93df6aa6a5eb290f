"""Whose bytes count against whom, and to whom the reserve opens (P9)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exclave.authority.charter_settings import Quotas
from exclave.authority.record_chain import seated_authors
from exclave.vault.interface import VaultRefused
from exclave.vault.kept.quota import (
    Charged,
    Used,
    check_quota,
    is_reserve_open,
    kept_for_reserve,
    reserve_authors,
    used_by_others_than_thieves,
)
from tests.support.vault_world import START, new_depositor, new_world

DAY = START.date().isoformat()


def test_a_total_and_a_day_are_two_limits() -> None:
    depositor = new_world(daily=60, total=100).charter.depositors[0]
    check_quota(60, depositor=depositor, reserve=0, used=Used(today=0, total=40))
    check_quota(60, depositor=depositor, reserve=50, used=Used(today=0, total=90))
    for new, today, total, said in ((61, 0, 0, "a day"), (60, 0, 41, "in all"), (1, 60, 60, "day")):
        with pytest.raises(VaultRefused, match=said) as caught:
            check_quota(new, depositor=depositor, reserve=0, used=Used(today=today, total=total))
        assert caught.value.cause == "quota"


def test_what_thieves_lodged_counts_against_their_keys_alone() -> None:
    def charged(author: str, hours: int, size: int) -> Charged:
        return Charged(author=author, logged=START + timedelta(hours=hours), size=size)

    records = [charged("old", -1, 10), charged("old", 0, 100), charged("new", 0, 7)]
    stolen = {"old": START}

    def used(author: str, compromised: dict[str, object]) -> Used:
        return used_by_others_than_thieves(
            records,
            author=author,
            compromised=compromised,
            day=DAY,  # type: ignore[arg-type]
        )

    assert used("new", {}).total == 117
    assert used("new", stolen).total == 17
    assert used("old", stolen).total == 117
    assert used("new", {"new": START}).total == 117, "nobody frees himself by his own compromise"
    on_the_day = sum(item.size for item in records if item.logged.date().isoformat() == DAY)
    assert used("old", stolen).today == on_the_day


def test_the_reserve_opens_only_to_keys_that_were_chartered_anew() -> None:
    first = new_world(quotas=Quotas(reserve=50, staging=1, staging_days=1)).charter
    home = first.depositors[0]
    party = new_depositor()
    fresh = replace(home, keys=party.public, identity=party.identity.certificate, reserve=True)
    marked = replace(first, depositors=(replace(home, reserve=True),))
    anew = replace(first, depositors=(fresh,))
    unmarked = replace(first, depositors=(replace(fresh, reserve=False),))
    old, new = seated_authors(first)[0], seated_authors(anew)[0]

    def is_open(author: object, charter: object, **compromised: object) -> bool:
        return is_reserve_open(
            author,
            first=first,
            in_force=charter,
            compromised=compromised,  # type: ignore[arg-type]
        )

    assert is_open(new, anew)
    assert not is_open(new, anew, **{new.name: START}), "declared compromised"
    assert not is_open(new, unmarked), "not marked"
    assert not is_open(new, marked), "not seated with these keys"
    assert not is_open(old, marked), "keys of charter 1"
    assert reserve_authors(first=first, in_force=anew, compromised={}) == {new}
    assert reserve_authors(first=first, in_force=marked, compromised={}) == frozenset()


def test_the_disk_keeps_what_the_reserve_has_left() -> None:
    assert kept_for_reserve(100, 30, opens=False) == 70
    assert kept_for_reserve(100, 130, opens=False) == 0
    assert kept_for_reserve(100, 30, opens=True) == 0
