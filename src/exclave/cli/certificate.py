"""`certificate make | log` and `verify-certificate`: evidence for whoever was not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from exclave.cli.options import DepositConfigFile, Flag, Out
from exclave.errors import ConfigurationError

if TYPE_CHECKING:
    from exclave.authority.envelope import Envelope
    from exclave.certificate.drill import Drill
    from exclave.certificate.proof import Proof
    from exclave.certificate.standing import CheckedStanding
    from exclave.wiring.depositor import Home

__all__ = ["certificate", "verify_certificate"]

certificate = App(
    name="certificate",
    help="Proofs, drills and the auditor's certificate.",
    help_format="plaintext",
)


@certificate.command(name="make")
def make(*, config: DepositConfigFile, out: Path, log: Flag = False, terminal: Out) -> int:
    """Write one signed file that says which registers are held where, and when they last came back.

    Asks the vaults for receipts, which prove to anybody who has the charter what it claims; what
    cannot be proven now is left out, and said.

    Parameters
    ----------
    out
        The new file.
    log
        Have its hash put into the vaults' logs, so that it can be shown to have existed now.
    """
    from exclave.cli.words.certificate import standing_json, standing_lines
    from exclave.durable import write_new_file
    from exclave.wiring.bag_watch import charters_of
    from exclave.wiring.certificates import make_standing, verify_certificate_file
    from exclave.wiring.depositor import open_home
    from exclave.wiring.learning import learn_charter

    if out.exists():
        raise ConfigurationError(f"{out}: is there already", hint="name another file with --out")
    if not out.parent.is_dir():
        raise ConfigurationError(f"{out.parent}: expected a folder, got none")
    home = learn_charter(open_home(config))
    made = make_standing(home)
    write_new_file(out, [made.envelope.to_bytes()], mode=0o600)
    checked = verify_certificate_file(out, charters_of(home), None)
    for text in made.left_out:
        terminal.warning(text)
    said = _logged(home, made.envelope) if log else {}
    terminal.result(
        {**standing_json(_standing(checked)), "file": str(out), "logged": said},
        [*standing_lines(_standing(checked)), f"written to {out}", *_logged_lines(said)],
    )
    return _unlogged_code(said) if log else 0


@certificate.command(name="log")
def log_file(file: Path, *, config: DepositConfigFile, terminal: Out) -> int:
    """Put a certificate's hash into the vaults' logs, and proofs and drills sealed with it.

    They are sealed to the recovery key; of an auditor's certificate the hash alone is logged.
    `deposit --prove` and `drill` do that themselves, `certificate make` does with --log; this is
    for when no vault answered, or a drill was held where home was not at hand. Ends with 0 when one
    vault took it.

    Parameters
    ----------
    file
        The certificate.
    """
    from exclave.authority.envelope import CERTIFICATES
    from exclave.wiring.depositor import open_home
    from exclave.wiring.files import load_envelope

    envelope = load_envelope(file, *CERTIFICATES)
    said = _logged(open_home(config), envelope)
    terminal.result(
        {"certificate": envelope.statement_hash.hex(), "seats": said}, _logged_lines(said)
    )
    return _unlogged_code(said)


def _logged(home: Home, envelope: Envelope) -> dict[str, str]:
    """What each seat said to the attestation of a certificate: `logged`, or why not."""
    from exclave.wiring.attesting import log_certificate

    return {
        str(seat): answer if isinstance(answer, str) else answer.state.value
        for seat, answer in log_certificate(home, envelope).items()
    }


def _logged_lines(said: dict[str, str]) -> list[str]:
    return [f"seat {seat}: {answer}" for seat, answer in said.items()]


def _unlogged_code(said: dict[str, str]) -> int:
    from exclave.errors import VaultError
    from exclave.vault.interface import State

    return 0 if State.LOGGED.value in said.values() else VaultError.exit_code


def verify_certificate(
    file: Path,
    *,
    charter: Annotated[list[Path], Parameter(negative=())],
    warrant: Path | None = None,
    terminal: Out,
) -> int:
    """Check a proof, a drill or an auditor's certificate offline, with the charter alone.

    Ends with 0 when it is rightly signed, all that it claims is proven, and a proof or drill
    passed; with 1 when a proof or drill is rightly signed and did not pass.

    Parameters
    ----------
    file
        The certificate.
    charter
        A charter of the mission; repeat it for the others.
    warrant
        Of a drill: its warrant; otherwise the file beside it.
    """
    from exclave.certificate.drill import Drill
    from exclave.certificate.standing import CheckedStanding
    from exclave.cli.words.certificate import (
        drill_json,
        drill_lines,
        proof_json,
        proof_lines,
        standing_json,
        standing_lines,
    )
    from exclave.errors import DifferenceFound
    from exclave.wiring.certificates import verify_certificate_file
    from exclave.wiring.files import load_charter

    found = verify_certificate_file(file, [load_charter(path) for path in charter], warrant)
    if isinstance(found, CheckedStanding):
        terminal.result(standing_json(found), ["valid: " + _by(found), *standing_lines(found)])
        return 0
    if isinstance(found, Drill):
        terminal.result(drill_json(found), ["valid: " + _by(found), *drill_lines(found)])
    else:
        terminal.result(proof_json(found), ["valid: " + _by(found), *proof_lines(found)])
    return 0 if found.passed else DifferenceFound.exit_code


def _by(found: Proof | Drill | CheckedStanding) -> str:
    from exclave.certificate.drill import Drill
    from exclave.certificate.standing import CheckedStanding

    if isinstance(found, Drill):
        return "signed by the reader whom the officials' warrant names"
    depositor = (found.standing if isinstance(found, CheckedStanding) else found).depositor
    return f"signed by both keys of depositor {depositor}"


def _standing(found: object) -> CheckedStanding:
    from exclave.certificate.standing import CheckedStanding

    assert isinstance(found, CheckedStanding)  # it was made as one
    return found
