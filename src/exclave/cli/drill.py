"""`drill`: a real deposit reconstructed for practice; or an attack on a made-up mission."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exclave.cli.allocator import return_large_memory
from exclave.cli.options import EitherConfigFile, Flag, Out
from exclave.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exclave.cli.terminal import Terminal
    from exclave.plan import Plan
    from exclave.wiring.depositor import Home
    from exclave.wiring.reader import Media
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
        return _attack(coerced, saboteur, keep=keep, folder=folder, terminal=terminal)
    if folder is None or answer is None or keep:
        raise DrillUnclear(
            "drill: expected FOLDER and --answer, or --coerced or --saboteur, got other words",
            hint="FOLDER is what `exclave warrant prepare` made, as for a reconstruction",
        )
    media = _media(no_network, vault_folder)
    from exclave.cli.drilling import hold
    from exclave.drill.real import Drilling, forecast_for
    from exclave.reconstruct.run import Scope
    from exclave.wiring.reader import Restoring

    return_large_memory()
    home, planned = _plan(config, plan)
    what = Restoring(
        folder=folder,
        answer=answer,
        targets=_targets(targets, folder),
        scope=Scope(registers=tuple(register or ())),
        media=media,
    )
    drilling = Drilling(
        what=what,
        plan=planned,
        quarantine=folder if quarantine is None else quarantine,
        forecast={} if home is None else forecast_for(home),
    )
    return hold(drilling, home, terminal)


def _attack(
    coerced: bool, saboteur: bool, *, keep: bool, folder: Path | None, terminal: Terminal
) -> int:
    """Play one of the attacks on a mission that is made for it."""
    if coerced and saboteur:
        raise DrillUnclear("drill: expected --coerced or --saboteur, got both")
    from exclave.demo.attack.coerced import COERCED
    from exclave.demo.attack.saboteur import SABOTEUR
    from exclave.demo.attack.script import play

    script = COERCED if coerced else SABOTEUR
    return play(script, keep=keep, folder=folder, quiet=terminal.quiet, json=terminal.json)


def _media(no_network: bool, vault_folders: Sequence[Path] | None) -> Media:
    from exclave.wiring.reader import Media

    if no_network is not bool(vault_folders):
        raise UsageError(
            "drill: expected --no-network and --vault-folder together or neither",
            hint="--no-network --vault-folder FOLDER --vault-folder FOLDER",
        )
    return Media(alone=no_network, vault_folders=tuple(vault_folders or ()))


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
