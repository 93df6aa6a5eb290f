"""A holder says that his card is still there, and nothing of its words leaves the machine."""

from __future__ import annotations

from pathlib import Path

from tests.scripts.conftest import Mission, call, must


def test_a_card_that_reads(embassy: Mission, tmp_path: Path) -> None:
    out, card = tmp_path / "confirmed.json", embassy.card(2, 1)
    ran = must("card", "confirm", "--charter", embassy.charter, "--card", card, "--out", out)
    assert "card of group 2, member 1 is good" in ran.out
    words = set(card.read_text().rpartition("\n\n")[2].split())
    assert not words & set(out.read_text().replace('"', " ").split())
    again = call("card", "confirm", "--charter", embassy.charter, "--card", card, "--out", out)
    assert (again.code, again.out) == (3, "")


def test_words_alone_are_enough(embassy: Mission, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text(embassy.card(3, 2).read_text().rpartition("\n\n")[2])
    out = tmp_path / "confirmed.json"
    ran = must(
        "card", "confirm", "--charter", embassy.charter, "--card", words, "--out", out, "--json"
    )
    assert (ran.json["group"], ran.json["member"]) == (3, 2)


def test_a_card_that_does_not_read_confirms_nothing(embassy: Mission, tmp_path: Path) -> None:
    """One word exchanged for another of the list; and nobody there to type."""
    text = embassy.card(2, 1).read_text()
    wrong = tmp_path / "wrong.txt"
    lines = text.rstrip("\n").split("\n")
    number, *words = lines[-2].split()
    lines[-2] = " ".join([number, *words[:-1], "academic" if words[-1] != "academic" else "acid"])
    wrong.write_text("\n".join(lines) + "\n")
    out = tmp_path / "confirmed.json"
    ran = call("card", "confirm", "--charter", embassy.charter, "--card", wrong, "--out", out)
    assert (ran.code, ran.out, out.exists()) == (6, "", False)
    assert "checksum" in ran.err
    ran = call("card", "confirm", "--charter", embassy.charter, "--out", out)
    assert (ran.code, out.exists()) == (2, False)
