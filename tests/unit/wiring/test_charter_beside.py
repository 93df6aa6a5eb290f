"""Which charter a statement is shown against when none was named."""

from pathlib import Path

from exclave.authority.envelope import Envelope, Kind
from exclave.wiring.officials import charter_beside
from tools import vector_authority as mission

FIRST = mission.sign(Kind.CHARTER, mission.charter(), ["anna", "bela"])
HASH = FIRST.statement_hash.hex()


def stored(path: Path, envelope: Envelope) -> Path:
    """An envelope in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(envelope.to_bytes())
    return path


def second() -> Envelope:
    """Charter 1.2."""
    payload = {**mission.charter(), "mission": HASH, "version": 2, "previous": HASH}
    return mission.sign(Kind.CHARTER, payload, [])


def test_beside_a_warrant_lies_the_charter_in_force(tmp_path: Path) -> None:
    """Under its usual name, or not at all."""
    envelope = mission.sign(Kind.WARRANT, mission.warrant(HASH, HASH), [])
    file = stored(tmp_path / "warrant.json", envelope)
    assert charter_beside(file, envelope) is None
    stored(tmp_path / "charter.json", FIRST)
    found = charter_beside(file, envelope)
    assert found is not None
    assert found.statement_hash == FIRST.statement_hash


def test_beside_a_new_charter_lies_the_one_before(tmp_path: Path) -> None:
    """Known by its hash, among others and among what is no charter."""
    envelope = second()
    file = stored(tmp_path / "charter-2.json", envelope)
    (tmp_path / "charter-0.json").write_text("no charter")
    assert charter_beside(file, envelope) is None
    stored(tmp_path / "charters" / "0001.json", FIRST)
    found = charter_beside(file, envelope)
    assert found is not None
    assert found.statement_hash == FIRST.statement_hash


def test_charter_1_has_none_before_it(tmp_path: Path) -> None:
    """It founds the mission."""
    assert charter_beside(stored(tmp_path / "charter.json", FIRST), FIRST) is None
