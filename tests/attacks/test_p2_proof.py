"""P2 while deposits are proven: everything stolen from the depositing machine opens no deposit.

The attacker has
- every file of the depositing machine after a deposit with `--prove`, and as they lay on disk while
  the proof ran: scratch and quarantine, and what files without a name hold, as a thief of the whole
  disk finds it;
- arguments and environment of the proving process;
- every shard of every vault, so all that he lacks is the secret of this deposit.

He knows it here, and looks for it in every form in which it might have been left; the control shows
that he finds it. `test_p2_write_only.py` tries every 32 bytes of what a deposit leaves.

He does not have the memory of running processes: P2 speaks of what is stolen afterwards, and
whoever reads memory while a deposit runs sees the registers themselves.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exclave.dispersal.shard import parse_shard
from exclave.ids import ShardRoot
from exclave.sealing.pack import PackHeader
from exclave.sealing.secret import unseal_deposit_secret
from tests.attacks.test_p2_write_only import _sealed_packs, _stolen_files
from tests.support.embassy import Embassy, QuietDeposit, found_embassy

SEATS = (1, 2, 3)
WORD = b"the planted word of the second register"


@pytest.fixture(scope="module")
def embassy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embassy]:
    with found_embassy(tmp_path_factory.mktemp("embassy")) as made:
        made.write_registers(mib=0.02)
        (made.home / "registers" / "scans" / "planted").write_bytes(WORD)
        made.deposit()  # so that some chunks of the next one lie in older packs
        (made.home / "registers" / "scans" / "added").write_bytes(os.urandom(20_000))
        yield made


class _Thief:
    """Copies what lies on disk while a proof runs."""

    def __init__(self, embassy: Embassy) -> None:
        self.copy = embassy.folder / "stolen"
        self.nameless: list[bytes] = []
        self.said: list[bytes] = []
        self._state = embassy.home / "state"

    def steal(self, phase: str) -> None:
        """At the first register: the proving process has the secret, and restores."""
        if not phase.startswith("prove ") or self.copy.exists():
            return
        with suppress(shutil.Error):  # of what went while he copied; the rest is copied
            shutil.copytree(self._state, self.copy)
        for link in Path("/proc/self/fd").iterdir():
            name = str(link.readlink()) if link.is_symlink() else ""
            if name.endswith("(deleted)") and str(self._state / "scratch") in name:
                self.nameless.append(link.read_bytes())
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                command = (process / "cmdline").read_bytes()
                if b"exclave.proof.process" in command:
                    self.said += [command, (process / "environ").read_bytes()]


@pytest.fixture(scope="module")
def thief(embassy: Embassy) -> _Thief:
    made = _Thief(embassy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuietDeposit, "phase", lambda _, name: made.steal(name))
        outcome = embassy.deposit(prover=embassy.prover())
    assert outcome.proof is not None
    assert outcome.proof.passed, outcome.proof.reasons
    assert made.copy.exists(), "nothing was stolen: the attack would pass by accident"
    return made


def _secrets(embassy: Embassy) -> list[bytes]:
    """Of both deposits."""
    headers = {PackHeader.decode(sealed[:1296]) for sealed, _ in _sealed_packs(embassy)}
    sealed = {header.sealed_secret: header.context for header in headers}
    assert len(sealed) == 2
    recovery = embassy.recovery_private()
    return [unseal_deposit_secret(recovery, *item) for item in sealed.items()]


def _forms(secret: bytes) -> list[bytes]:
    """How a secret may stand somewhere: as it is, as hex, as Base64 at each of three places."""
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret)
        found.append(text[-(-before * 8 // 6) : len(text) // 4 * 4 - 4])
    return found


def _left_in(secrets: list[bytes], places: list[bytes]) -> bool:
    assert sum(map(len, places)) > 10_000, "next to nothing was searched"
    forms = [form for secret in secrets for form in _forms(secret)]
    return any(form in data for form in forms for data in places)


@pytest.mark.parametrize("form", range(6))
def test_control_a_secret_that_was_left_is_found(form: int) -> None:
    secret = os.urandom(32)
    texts = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    texts += [base64.b64encode(os.urandom(n) + secret + b"more") for n in range(3)]
    assert _left_in([secret], [bytes(20_000), b"left here: " + texts[form]])


def test_after_a_proven_deposit(embassy: Embassy, thief: _Thief) -> None:
    stolen = _stolen_files(embassy.home / "state")
    assert not _left_in(_secrets(embassy), stolen)
    quarantine = embassy.home / "state" / "quarantine"
    assert [item.name for item in quarantine.iterdir()] == ["quarantine.lock"]
    assert not any(WORD in data for data in stolen)


def test_while_the_proof_runs(embassy: Embassy, thief: _Thief) -> None:
    assert thief.said, "the proving process was not found"
    assert thief.nameless, "what is kept for the proof was not found"
    stolen = [*thief.said, *thief.nameless, *_stolen_files(thief.copy)]
    assert not _left_in(_secrets(embassy), stolen)


def test_what_is_kept_for_the_proof_is_not_in_the_clear(embassy: Embassy, thief: _Thief) -> None:
    """Else k shards and a stolen secret, or cards, would open the pack at home."""
    named = [file.read_bytes() for file in (thief.copy / "scratch").rglob("*") if file.is_file()]
    kept = b"".join([*thief.nameless, *named])
    assert len(kept) > 20_000
    assert WORD not in kept
    shares = 0
    for seat in SEATS:
        for file in embassy.mission_folder(seat).glob("shards/*/*"):
            shard = parse_shard(file.read_bytes(), ShardRoot(bytes.fromhex(file.name)))
            assert shard.veil_share not in kept
            shares += 1
    assert shares
