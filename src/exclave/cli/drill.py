"""`drill`: a real deposit reconstructed for practice; or an attack on a made-up mission."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exclave.cli.allocator import return_large_memory
from exclave.cli.options import CONNECTIONS, EitherConfigFile, Flag, Out
from exclave.errors import UsageError

if TYPE_CHECKING:
    from exclave.cli.terminal import Terminal
    from exclave.drill.real import Drilling, Held
    from exclave.errors import ExclaveError
    from exclave.plan import Plan
    from exclave.wiring.depositor import Home
    from exclave.wiring.settings import TargetSettings

__all__ = ["DrillUnclear", "drill"]


class DrillUnclear(UsageError):
    """It is not clear which drill is meant, or something for it is missing."""


def drill(
    folder: Path | None = None,
    *,
    answer: Path | None = None,
    config: EitherConfigFile = None,
    plan: Path | None = None,
    targets: Path | None = None,
    quarantine: Path | None = None,
    register: Annotated[list[str] | None, Parameter(negative=())] = None,
    no_network: Flag = False,
    vault_folder: Annotated[list[Path] | None, Parameter(negative=())] = None,
    coerced: Flag = False,
    saboteur: Flag = False,
    keep: Flag = False,
    terminal: Out,
) -> int:
    """Reconstruct a deposit into quarantine, prove it, run its assertions, write a certificate.

    Takes what `reconstruct` takes; ends with 0 only when every register of plan and deposit came
    back whole and all assertions held. With --coerced or --saboteur it plays an attack on a mission
    that is made for it, on this machine, in about a minute; nothing of a real mission is touched.

    Parameters
    ----------
    folder
        What `warrant prepare` made. With --coerced or --saboteur: where to work.
    answer
        What `exclave unseal` gave out; one that does not fit is refused and asked for again.
    config
        The depositor's deposit.toml: says the plan, keeps the certificate, has its hash logged.
    plan
        Instead, where home is not at hand: the plan, registers.toml.
    targets
        A targets.toml whose [default.postgresql] is a server for fresh databases, and whose
        [[seat]] are vaults in folders; else a server is started for the drill where it needs one.
    quarantine
        Where the quarantine is made and removed again; the folder otherwise.
    register
        Only this register; may be repeated. Such a drill cannot pass.
    no_network
        Read vaults' folders instead of asking vaults.
    vault_folder
        A vault's folder; may be repeated; only with --no-network.
    coerced
        An occupier has every official, key and machine at home, and root on one vault.
    saboteur
        One official, who may raise the alarm and sits in an exile roster, says no to everything.
    keep
        Only with --coerced or --saboteur: leave everything where it is afterwards.
    """
    if coerced or saboteur:
        if coerced and saboteur:
            raise DrillUnclear("drill: expected --coerced or --saboteur, got both")
        return _play(coerced=coerced, keep=keep, folder=folder, terminal=terminal)
    if folder is None or answer is None or keep:
        raise DrillUnclear(
            "drill: expected FOLDER and --answer, or --coerced or --saboteur, got other words",
            hint="FOLDER is what `exclave warrant prepare` made, as for a reconstruction",
        )
    if no_network is not bool(vault_folder):
        raise UsageError(
            "drill: expected --no-network and --vault-folder together or neither",
            hint="--no-network --vault-folder FOLDER --vault-folder FOLDER",
        )
    from exclave.drill.real import Drilling, forecast_for
    from exclave.reconstruct.run import Scope
    from exclave.wiring.reader import Media, Restoring

    return_large_memory()
    home, planned = _plan(config, plan)
    held = _held(
        Drilling(
            what=Restoring(
                folder=folder,
                answer=answer,
                targets=_targets(targets, folder),
                scope=Scope(registers=tuple(register or ())),
                media=Media(alone=no_network, vault_folders=tuple(vault_folder or ())),
            ),
            plan=planned,
            quarantine=folder if quarantine is None else quarantine,
            forecast={} if home is None else forecast_for(home),
        ),
        terminal,
    )
    kept = None if home is None else _keep(home, held, terminal)
    _show(held, kept, folder, terminal)
    return held.exit_code


def _plan(config: Path | None, plan: Path | None) -> tuple[Home | None, Plan]:
    from exclave.plan import load_plan
    from exclave.wiring.depositor import open_home

    if config is not None and plan is None:
        home = open_home(config)
        return home, home.plan
    if plan is None or config is not None:
        got = "neither" if plan is None else "both"
        raise DrillUnclear(
            f"drill: expected --config or --plan, got {got}",
            hint="fewer registers than the plan has are no passed drill: so it has to be known",
        )
    return None, load_plan(plan)


def _targets(targets: Path | None, folder: Path) -> TargetSettings:
    from exclave.wiring.settings import TargetSettings, load_target_settings

    if targets is not None:
        return load_target_settings(targets)
    return TargetSettings(path=folder, default_server=None, default_folder=None, registers={})


def _held(drilling: Drilling, terminal: Terminal) -> Held:
    from exclave.cli.progress import ShownReconstruction
    from exclave.drill.real import hold_drill

    def ask(error: ExclaveError) -> Path:
        if not terminal.attended:
            raise error
        terminal.error(error)
        said = terminal.line("the answer's file (nothing ends the drill)")
        if not said:
            raise error
        return Path(said)

    with terminal.telling(CONNECTIONS), ShownReconstruction(terminal) as shown:
        return hold_drill(drilling, shown, ask=ask)


def _keep(home: Home, held: Held, terminal: Terminal) -> Path:
    """Keep the certificate at home, and have its hash logged; the drill was held in any case."""
    from exclave.errors import ExclaveError
    from exclave.evidence import EvidenceStore
    from exclave.wiring.attesting import is_logged, log_certificate

    kept = EvidenceStore(home.settings.evidence).keep(held.envelope, held.warrant)
    hint = f"exclave certificate log {kept}"
    try:
        answers = log_certificate(home, held.envelope)
    except ExclaveError as error:
        # It is kept already; that nobody else knows of it must not look like a failed drill.
        terminal.warning(error.message, hint=hint)
        return kept
    for seat, answer in answers.items():
        if isinstance(answer, str):
            terminal.warning(f"seat {seat}: {answer}")
    if not is_logged(answers):
        terminal.warning("no vault has logged the certificate's hash", hint=hint)
    return kept


def _show(held: Held, kept: Path | None, folder: Path, terminal: Terminal) -> None:
    from exclave.cli.words.certificate import drill_json, drill_lines
    from exclave.drill.real import CERTIFICATE, SHOWN
    from exclave.reconstruct.report import report_text

    place = folder / CERTIFICATE if kept is None else kept
    lines = drill_lines(held.drill)
    if held.report is not None and not held.report.proven:
        lines += report_text(held.report).splitlines()
    terminal.result(
        {**drill_json(held.drill), "certificate": str(place)},
        [*lines, *SHOWN, f"certificate {place}"],
    )
    if held.failure is not None:
        terminal.error(held.failure)


def _play(*, coerced: bool, keep: bool, folder: Path | None, terminal: Terminal) -> int:
    from exclave.demo.attack.coerced import COERCED
    from exclave.demo.attack.saboteur import SABOTEUR
    from exclave.demo.attack.script import play

    script = COERCED if coerced else SABOTEUR
    return play(script, keep=keep, folder=folder, quiet=terminal.quiet, json=terminal.json)
