"""`status` as people and programs read it."""

from exclave.cli.words.overview import overview_json, overview_lines
from exclave.values import replace
from exclave.wiring.overview import Health
from tests.support.overviews import DAY, MOMENT, before, everything, evidence, never, register

REFUTED = (
    "proven: CANNOT BE READ: proof-2.json: not JSON, drilled 3 d ago: NOT PASSED (drill-1.json)"
)


def test_every_register_with_proof_and_drill() -> None:
    assert overview_lines(everything(), MOMENT) == [
        "registers",
        "  good  land                     2 h old of RPO 1 d, seats 1, 2, 3 (Land register)",
        "        proven 3 d ago, drilled 3 d ago in 90 min of RTO 4 h",
        "  bad   births                   2 h old of RPO 1 d, seats 1, 2, 3 (Land register)",
        f"        {REFUTED}",
        "  bad   wills                    NEVER DEPOSITED (Land register)",
        "        not reconstructible as a service: no runbook and no artefacts",
        "seats",
        "  good  1 XA vault-1",
        "  good  2 XA vault-2: ALARM deposits-silent",
        "  bad   3 XA vault-3: seat 3: no answer: 4 shards behind, 500 B in the spool",
        "  good  4 XA safe-4: newest bag 12 d old of 90 d, 1 under way, OPENED",
        "spool 500 B of 1.0 GiB",
        "  full after 7 more deposits like the last",
    ]


def test_a_deposit_of_the_time_to_come_says_so_and_has_no_age() -> None:
    ahead = register(age=-3600, health=Health.BAD)
    lines = overview_lines(replace(everything(), registers=(ahead,), seats=()), MOMENT)
    assert lines[1].startswith(
        "  bad   land                     BEGUN 60 min AFTER NOW: this machine's clock"
    )
    assert (ahead.to_come, register(age=-60).to_come) == (True, False)


def test_a_register_that_was_never_deposited_is_red_whatever_else_is_good() -> None:
    found = replace(everything(), registers=(register(), never("wills")), seats=())
    assert not found.good
    assert replace(found, registers=(register(),)).good


def test_what_was_refuted_says_so() -> None:
    land, births, _ = everything().registers
    assert (land.refuted, births.refuted) == (False, True)
    assert not replace(land, proof=None, drill=None).refuted


def test_what_came_back_too_late_and_what_depends_on_what_did_not() -> None:
    land = register(drill=evidence("drill", seconds=5 * 3600.0))
    assert land.too_late
    assert not register().too_late
    rents = register("rents", failed_needs=("persons",))
    lines = overview_lines(replace(everything(), registers=(land, rents)), MOMENT)
    assert "        proven 3 d ago, drilled 3 d ago in 5 h of RTO 4 h: TOO LATE" in lines
    assert "        depends on persons: NOT BACK in the last drill" in lines


def test_for_programs() -> None:
    found = overview_json(everything())
    land, births, wills = found["registers"]  # type: ignore[misc]
    assert land["proof"]["passed"] is True
    assert land["drill"]["seconds"] == 5400.0
    assert births["proof"] == {"problem": "proof-2.json: not JSON"}
    assert (wills["health"], wills["deposit"], wills["service"]) == (Health.BAD.value, None, False)
    assert [seat["alarms"] for seat in found["seats"]] == [[], ["deposits-silent"], [], []]  # type: ignore[attr-defined]
    assert found["seats"][3]["bags"] == {  # type: ignore[index]
        "age": 12 * DAY,
        "limit": 90 * DAY,
        "under_way": 1,
        "kept": 1,
        "read": before(10 * DAY),
        "troubles": ["opened"],
    }
