"""What `check` makes of what it finds: how bad, in which words, with which figures."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from exclave.authority.charter import Charter
from exclave.cli.check import _monitoring_line
from exclave.errors import IntegrityError
from exclave.ids import Epoch, MissionId, Seat, StatementHash
from exclave.vault.interface import MissionStatus
from exclave.vault.line.identity import issue_leaf, new_identity
from exclave.wiring.check_results import CheckResult, Figure, Severity, worst
from exclave.wiring.check_seats import certificate_result, clock_result, room_result
from exclave.wiring.confirmations import (
    Confirmation,
    check_cards,
    parse_confirmation,
    store_confirmation,
)
from tests.support.polity import make_polity

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_the_worst_decides() -> None:
    good = CheckResult(what="a", good=True)
    look = CheckResult(what="b", good=True, warns=True)
    fail = CheckResult(what="c", good=False)
    assert [item.severity for item in (good, look, fail)] == [0, 1, 2]
    assert worst([good, fail, look]) is Severity.BAD
    assert worst([good, look]) is Severity.WARNS
    assert worst([]) is Severity.GOOD


def test_the_line_for_watching_programs() -> None:
    results = [
        CheckResult(what="spool", good=True, figures=(Figure(label="spool", value=7, unit="B"),)),
        CheckResult(what="seat 1", good=True, warns=True, said="look | here\nand there"),
        CheckResult(
            what="forecast",
            good=False,
            said="too long",
            figures=(
                Figure(label="deposit", value=61.25, unit="s", warn=30, bad=60),
                Figure(label="room", value=5, unit="B", bad=10, low=True),
            ),
        ),
    ]
    assert _monitoring_line(results, 2) == (
        "EXCLAVE CRITICAL - forecast: too long; seat 1: look / here and there | "
        "'spool'=7B 'deposit'=61.2s;30;60 'room'=5B;;10:"
    )
    assert _monitoring_line(results[:1], 0) == "EXCLAVE OK - 1 checks | 'spool'=7B"


def _status(*, free: int, quota: int, used: int = 0) -> MissionStatus:
    return MissionStatus(
        mission=MissionId(bytes(32)),
        seat=Seat(1),
        state="XA",
        charter=StatementHash(bytes(32)),
        charters=1,
        locked=False,
        frozen=False,
        log_size=1,
        shards=0,
        shard_bytes=used,
        staged_bytes=0,
        quota_bytes=quota,
        free_bytes=free,
        records=(),
        warrants=(),
        standing=(),
        conflicts=(),
        forks=(),
        quarantined=(),
        alarms=(),
        witnessed=None,
        expiry="",
        service=0,
    )


@pytest.mark.parametrize(
    ("free", "quota", "used", "severity", "said"),
    [
        (10_000, 10_000, 0, 0, "9.8 KiB free"),
        (2_000, 10_000, 0, 1, "room for 20 more deposits"),
        (10_000, 1_000, 950, 2, "the next deposit needs 100 B there, 50 B are agreed"),
        (10, 10_000, 0, 2, "10 B are free on its disk"),
    ],
)
def test_room_at_a_seat(free: int, quota: int, used: int, severity: int, said: str) -> None:
    found = room_result("seat 1", _status(free=free, quota=quota, used=used), 100)
    assert found.severity == severity
    assert said in found.said


@pytest.mark.parametrize(
    ("seconds", "severity", "said"),
    [
        (3, 0, "as ours"),
        (-90, 1, "90 s behind ours"),
        (200, 1, "3 min ahead of ours"),
        (7200, 2, "2 h ahead of ours"),
    ],
)
def test_the_clock_of_a_vault(seconds: int, severity: int, said: str) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    found = clock_result("seat 1", Seat(1), date, NOW)
    assert found is not None
    assert (found.severity, found.said) == (severity, said)
    assert clock_result("seat 1", Seat(1), "yesterday", NOW) is None


@pytest.mark.parametrize(("days", "severity"), [(0, 0), (6, 1), (8, 2)])
def test_a_certificate_that_was_not_renewed(days: int, severity: int) -> None:
    chain = issue_leaf(new_identity("vault-1", now=NOW), server=True, now=NOW).chain.decode()
    leaf = ssl.PEM_cert_to_DER_cert(chain[: chain.index("-----END") + 25])
    found = certificate_result("seat 1", Seat(1), leaf, NOW + timedelta(days=days))
    assert found.severity == severity


def _confirm(charter: Charter, folder: Path, group: int, member: int, when: datetime) -> None:
    epoch = charter.recovery[-1]
    confirmed = Confirmation(
        mission=charter.mission_id,
        epoch=epoch.epoch,
        share_set=epoch.share_set,
        group=group,
        member=member,
        confirmed=when,
    )
    store_confirmation(confirmed, folder / f"{group}-{member}-{when:%Y%m%d}.json")


def test_cards_that_nobody_confirmed_for_too_long(tmp_path: Path) -> None:
    """They are as old as the charter at least, or as the first deposit under their key."""
    charter = make_polity(home=3, exile=(3, 3)).first
    (epoch,) = charter.recovery
    days = timedelta(days=charter.settings.drill_cards_days)
    total = sum(group.members for group in epoch.groups)

    def look(moment: datetime, began: datetime | None = None) -> CheckResult:
        known = {} if began is None else {epoch.epoch: began}
        (found,) = check_cards(charter, tmp_path, known, moment)
        return found

    assert look(charter.issued + days).severity == Severity.GOOD
    late = look(charter.issued + days + timedelta(days=1))
    assert late.severity == Severity.WARNS
    assert late.said.startswith(f"{total} of {total} not confirmed")
    assert look(charter.issued, began=charter.issued - 2 * days).severity == Severity.WARNS
    _confirm(charter, tmp_path, 1, 1, charter.issued + days)
    again = look(charter.issued + days + timedelta(days=1))
    assert again.said.startswith(f"{total - 1} of {total} not confirmed")
    assert "1/1" not in again.said.split(": ")[1].split(", ")


def test_a_confirmation_of_the_time_to_come_lasts_no_longer(tmp_path: Path) -> None:
    charter = make_polity(home=3, exile=(3, 3)).first
    days = timedelta(days=charter.settings.drill_cards_days)
    for group, members in enumerate(charter.recovery[0].groups, 1):
        for member in range(1, members.members + 1):
            _confirm(charter, tmp_path, group, member, charter.issued + 10 * days)
    (found,) = check_cards(charter, tmp_path, {}, charter.issued + 2 * days)
    assert found.severity == Severity.GOOD


def test_a_damaged_file_hides_no_other(tmp_path: Path) -> None:
    charter = make_polity(home=3, exile=(3, 3)).first
    (tmp_path / "damaged.json").write_text("{}")
    damaged, found = check_cards(charter, tmp_path, {}, charter.issued)
    assert (damaged.what, damaged.severity) == ("confirmation damaged.json", Severity.WARNS)
    assert found.severity == Severity.GOOD


def test_a_confirmation_reads_back_as_written(tmp_path: Path) -> None:
    written = Confirmation(
        mission=MissionId(b"m" * 32),
        epoch=Epoch(2),
        share_set=7,
        group=1,
        member=3,
        confirmed=NOW,
    )
    store_confirmation(written, tmp_path / "card.json")
    assert parse_confirmation((tmp_path / "card.json").read_bytes()) == written


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"version":1', b'"version":2'),
        (b'"member":3', b'"member":17'),
        (b'"kind":"exclave-card-confirmation"', b'"kind":"card"'),
        (b'"epoch":2,', b""),
        (b'"epoch":2,', b'"epoch":2, '),
    ],
)
def test_a_damaged_confirmation_is_refused(old: bytes, new: bytes) -> None:
    written = Confirmation(
        mission=MissionId(b"m" * 32), epoch=Epoch(2), share_set=7, group=1, member=3, confirmed=NOW
    ).to_bytes()
    assert old in written
    with pytest.raises(IntegrityError):
        parse_confirmation(written.replace(old, new))
