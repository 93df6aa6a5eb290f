"""Pages that a program writes are committed as it writes them."""

import pytest

from tools import liveness
from tools.diagrams import PAGE, transitions_page


def test_transitions_are_drawn_from_the_table() -> None:
    committed = PAGE.read_text(encoding="utf-8")
    assert committed == transitions_page(), "run: python -m tools.diagrams"


@pytest.mark.parametrize("needed", ["stateDiagram-v2", "waiting --> stopped", "| all | vetoed |"])
def test_the_page_holds_what_it_is_for(needed: str) -> None:
    assert needed in transitions_page()


def test_what_works_without_vaults_is_as_the_table_runs() -> None:
    committed = liveness.PAGE.read_text(encoding="utf-8")
    assert committed == liveness.liveness_page(), "run: python -m tools.liveness"
