"""Whatever people get wrong ends in one message, a hint where there is one, and the right code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scripts.conftest import REGISTERS, Mission, call

DEPOSIT = """depositor = "bundle"
plan = "registers.toml"
journal = "j"
catalogue = "c"
spool = "s"
spool_limit = "1GiB"
scratch = "t"
"""


@pytest.fixture
def config(tmp_path: Path, embassy: Mission) -> Path:
    """A deposit.toml that is right but for what a test changes."""
    (tmp_path / "bundle").symlink_to(embassy.root / "mission" / "depositors" / "home")
    (tmp_path / "registers.toml").write_text(REGISTERS)
    (tmp_path / "deposit.toml").write_text(DEPOSIT)
    return tmp_path / "deposit.toml"


def refused(code: int, *arguments: object, says: str, hint: str | None = None) -> str:
    """Run a command that must fail with this code and message, without output or trace."""
    ran = call(*arguments)
    assert (ran.code, ran.out) == (code, ""), ran
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert all(line.startswith(("exclave: ", "hint: ")) for line in ran.err.splitlines()), ran.err
    if hint is not None:
        assert any(hint in line for line in ran.err.splitlines() if line.startswith("hint: "))
    return ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["conquer"], "conquer"),
        (["deposit"], "--config"),
        (["vault", "fsck", "x", "--repair"], "--repair"),
        (["deposits"], "expected one of --config, --card and --charter"),
        (["deposits", "--card", "a", "--config", "b"], "expected one of --config, --card"),
        (["found", "f.toml", "--out", "x"], "expected --key for signing now, or --prepare"),
        (
            ["reconstruct", "d", "--answer", "a", "--targets", "t", "--no-network"],
            "expected --no-network and --vault-folder together",
        ),
        (["warrant", "prepare", "--card", "c", "--out", "o", "--life", "soon"], "duration"),
    ],
)
def test_usage(arguments: list[str], says: str) -> None:
    """Nothing was done: the line means nothing."""
    refused(2, *arguments, says=says)


def test_all_errors_of_a_toml_file_at_once(config: Path) -> None:
    """File, line and key of each; text that may be a secret is not repeated."""
    config.write_text(
        DEPOSIT.replace('"1GiB"', '"lots"').replace("journal =", "jurnal =")
        + "[[seat]]\nseat = 0\n"
    )
    said = refused(3, "deposit", "-c", config, says="spool_limit", hint="journal for jurnal")
    for fault in (
        f"{config}:1: journal: expected a value, got nothing",
        f"{config}:3: jurnal: expected no such key, got one",
        f'{config}:6: spool_limit: expected a size such as "500MiB" or "20GiB", got a string',
        f"{config}:9: seat[0].seat: expected greater than or equal to 1, got 0",
        f"{config}:8: seat[0].data: expected a value, got nothing",
    ):
        assert fault in said
    assert "lots" not in said


def test_configuration(config: Path, tmp_path: Path) -> None:
    """Files that are missing, contradict each other or belong to somebody else."""
    refused(3, "deposit", "-c", tmp_path / "none.toml", says="none.toml: cannot be read: No such")
    refused(3, "deposit", "-c", config, "wills", says="no register wills", hint="land, births")
    (tmp_path / "registers.toml").write_text(REGISTERS + REGISTERS)
    refused(3, "status", "-c", config, says="register land is declared twice")
    (tmp_path / "registers.toml").write_text(REGISTERS.replace('["land"]', '["lnd"]'))
    refused(3, "check", "-c", config, says="depends on 'lnd', which is not in the plan")
    (tmp_path / "registers.toml").write_text("[[register\n")
    refused(3, "check", "-c", config, says="not TOML")
    config.write_text(DEPOSIT.replace('"bundle"', '"nowhere"'))
    (tmp_path / "registers.toml").write_text(REGISTERS)
    refused(3, "deposit", "-c", config, says="expected the depositor's bundle", hint="found wrote")
    config.write_text(DEPOSIT + '[[seat]]\nseat = 9\ndata = "10.0.0.1:1"\npublic = "10.0.0.1:2"\n')
    refused(3, "deposit", "-c", config, says="seat 9: the charter has no such seat", hint="1, 2, 3")


def test_paths_that_the_system_refuses(config: Path, tmp_path: Path) -> None:
    """A file where a folder is needed: named, without a crash file."""
    (tmp_path / "file").touch()
    config.write_text(DEPOSIT.replace('scratch = "t"', 'scratch = "file/t"'))
    refused(3, "deposit", "-c", config, says=f"{tmp_path}/file/t: cannot be used: Not a dir")


def test_show_names_one_deposit(config: Path) -> None:
    """No deposit yet, so that no name is right."""
    refused(2, "show", "latest", "-c", config, says="expected the name of one deposit, got 0")


def test_vault(tmp_path: Path, embassy: Mission) -> None:
    """Addresses, folders and enrolments."""
    new = tmp_path / "vault"
    said = ["--vault", "v", "--state", "XA", "--operator", "o", "--public", "127.0.0.1:2"]
    refused(2, "vault", "init", new, *said, "--data", "127.0.0.1:1", says="--without-agreement")
    said.append("--without-agreement")
    refused(3, "vault", "init", new, *said, "--data", "8.8.8.8:1", says="private or loopback")
    refused(3, "vault", "init", new, *said, "--data", "0.0.0.0:1", says="the wildcard address")
    refused(3, "vault", "init", new, *said, "--data", "here", says="expected a.b.c.d:port")
    assert not new.exists()
    new.mkdir()
    (new / "file").touch()
    refused(3, "vault", "init", new, *said, "--data", "127.0.0.1:1", says="not empty")
    for command in ("serve", "status", "fsck"):
        refused(3, "vault", command, new, says="not a vault's folder", hint="exclave vault init")
    enrolment = embassy.root / "mission" / "enrolments" / "nordhavn.json"
    enrol = ["vault", "enrol", embassy.vault(1), enrolment, "--mission"]
    refused(6, *enrol, "00" * 32, says="enrolment: expected mission 0000", hint="once more")
    refused(2, *enrol, "xyz", says="--mission: expected 64 hex digits, got 'xyz'")
    other = ["vault", "enrol", embassy.vault(2), enrolment, "--mission", embassy.mission]
    embassy_busy = call(*other)
    assert embassy_busy.code in {3, 6}


def test_keys_and_passphrases(tmp_path: Path, embassy: Mission) -> None:
    """Files that others may read, wrong and weak passphrases, nobody to ask."""
    charter = tmp_path / "charter.json"
    charter.write_bytes(embassy.charter.read_bytes())
    key = embassy.key("minister")
    sign = ["sign", charter, "--key", key]
    wrong = tmp_path / "wrong"
    wrong.write_text("not the passphrase\n")
    refused_file = tmp_path / "open"
    refused_file.write_text("correct horse battery staple\n")
    refused_file.chmod(0o644)
    wrong.chmod(0o600)
    before = charter.read_bytes()
    for code, arguments, says in (
        (6, [*sign, "--yes", "--passphrase-file", wrong], "does not open with this passphrase"),
        (3, [*sign, "--yes", "--passphrase-file", refused_file], "expected mode 0600, got 0644"),
        (2, [*sign, "--yes"], "nobody to ask"),
        (2, sign, "nobody to ask"),
    ):
        ran = call(*arguments)
        assert (ran.code, ran.out) == (code, "")
        assert says in ran.err
    assert charter.read_bytes() == before
    weak = tmp_path / "weak"
    weak.write_text("short\n")
    weak.chmod(0o600)
    out = tmp_path / "new.key"
    init = ["official", "init", "--passphrase-file", weak, "--out"]
    refused(6, *init, out, says="expected at least 12 characters, got 5", hint="dice")
    refused(3, *init, key, says="is there already", hint="never overwritten")
    assert not out.exists()


def test_signing_what_is_not_ours(tmp_path: Path, embassy: Mission) -> None:
    """A statement that no official signs; a key that the charter does not know."""
    request = embassy.vault(1) / "seat-request.json"
    refused(
        2, "sign", request, "--key", embassy.key("minister"), says="a warrant or an order, got a"
    )
    stranger = tmp_path / "stranger.key"
    secret = ["--passphrase-file", embassy.passphrase]
    assert call("official", "init", "--out", stranger, *secret).code == 0
    charter = tmp_path / "charter.json"
    charter.write_bytes(embassy.charter.read_bytes())
    ran = call("sign", charter, "--key", stranger, "--yes", *secret)
    assert ran.code == 6
    assert "this charter knows no official with these keys" in ran.err


def test_founding_again(tmp_path: Path, embassy: Mission) -> None:
    """A founding never writes over anything."""
    plan = embassy.root / "founding.toml"
    out = embassy.root / "mission"
    cards = tmp_path / "cards"
    said = call("found", plan, "--out", out, "--prepare", "--unsafe-shares-to", cards)
    assert said.code == 3
    assert "expected no such file or folder, got one" in said.err
    assert not cards.exists()
    refused(2, "found", plan, "--out", tmp_path / "m", "--prepare", says="there is none")


def test_sealed_cards(tmp_path: Path, embassy: Mission) -> None:
    """Each opens with its holder's key alone, into a new file or before a person."""
    cards = tmp_path / "cards"
    plan, out = embassy.root / "founding.toml", tmp_path / "mission"
    made = call("found", plan, "--out", out, "--prepare", "--seal-cards-to", cards, "--json")
    assert made.code == 0
    mission, sealed = made.json["mission"], cards / "card-2-1.sealed"
    secret = ["--passphrase-file", embassy.passphrase, "--mission", mission]
    holder = ["official", "card", sealed, *secret, "--key", embassy.key("ambassador-a")]
    refused(2, *holder, says="shown on a terminal, and there is none")
    opened = tmp_path / "card.txt"
    assert call(*holder, "--out", opened).code == 0
    assert opened.read_text().startswith("exclave card v1\nmission: ")
    assert opened.stat().st_mode & 0o777 == 0o600
    refused(3, *holder, "--out", opened, says="is there already")
    other = ["official", "card", sealed, *secret, "--key", embassy.key("consul-a")]
    ran = call(*other, "--out", tmp_path / "other")
    assert ran.code in {6, 7}
    assert not (tmp_path / "other").exists()


def test_foreign_bytes(tmp_path: Path, embassy: Mission) -> None:
    """Files of another kind, or of none."""
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x00\xffjunk")
    refused(7, "limits", junk, says="envelope: not JSON in UTF-8")
    refused(7, "limits", embassy.vault(1) / "seat-request.json", says="expected charter, got seat")
    refused(7, "verify-receipt", junk, "--charter", embassy.charter, says="receipt: not ASCII")
    refused(7, "deposits", "--card", junk, says="not a card")
    refused(3, "deposits", "--card", tmp_path / "none", says="none: cannot be read: No such")
    refused(3, "unseal", tmp_path / "none", says="cannot be read")
    refused(3, "reconstruct", tmp_path, "--answer", junk, "--targets", junk, says="expected UTF-8")


def test_warrant_into_a_full_folder(tmp_path: Path, embassy: Mission) -> None:
    """One folder a reconstruction."""
    (tmp_path / "file").touch()
    arguments = ["warrant", "prepare", "--card", embassy.card(2, 1), "--out", tmp_path]
    refused(3, *arguments, says="expected a new or empty folder", hint="another folder")


def test_card_of_a_mission_that_nobody_shows(tmp_path: Path, embassy: Mission) -> None:
    """A mistyped mission id is seen before anything is asked; unreachable vaults are named."""
    text = embassy.card(2, 1).read_text()
    card = tmp_path / "card"
    digit = text.index("mission: ") + len("mission: ")
    other = "0" if text[digit] != "0" else "1"
    card.write_text(text[:digit] + other + text[digit + 1 :])
    refused(6, "deposits", "--card", card, says="expected checksum", hint="copied wrongly")
    lines = [line.split("public=127.0.0.1:") for line in text.split("\n")]
    card.write_text(
        "\n".join(
            line[0] + (f"public=127.0.0.1:1 {line[1].split(' ', 1)[1]}" if len(line) > 1 else "")
            for line in lines
        )
    )
    refused(5, "deposits", "--card", card, says="none of 3 vaults showed", hint="seat 1 (127.")
