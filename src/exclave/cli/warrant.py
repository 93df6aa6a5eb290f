"""`warrant prepare | submit | status`: how a restoring machine asks to read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from exclave.cli.options import Flag, Out
from exclave.plain_words import grouped, of_seat, size

if TYPE_CHECKING:
    from exclave.ids import Seat
    from exclave.vault.interface import StatementState
    from exclave.vault.survey.survey import DepositView, MissionView

__all__ = ["show_surveyed", "warrant"]

warrant = App(
    name="warrant",
    help="Ask officials and vaults to let this machine read.",
    help_format="plaintext",
)


_SUSPECT = "  SUSPECT: of keys declared compromised, and not surely from before"


@warrant.command(name="prepare")
def prepare(
    *,
    card: Path | None = None,
    charter: Path | None = None,
    out: Path,
    deposit: str = "latest",
    purpose: str = "reconstruction",
    life: str = "30d",
    no_network: Flag = False,
    vault_folder: Annotated[list[Path] | None, Parameter(negative=())] = None,
    bag: Annotated[list[Path] | None, Parameter(negative=(), consume_multiple=True)] = None,
    terminal: Out,
) -> None:
    """Survey the vaults of a card and make a folder with reader keys, warrant and unseal request.

    Parameters
    ----------
    card
        A share card; only its addresses and keys are used, never its words.
    charter
        Instead of a card: a charter; a later one names the vaults that joined since.
    out
        The new folder of this reconstruction.
    deposit
        The first digits of a deposit's id, `latest` or `all`.
    purpose
        What the officials are told.
    life
        How long the warrant may be used, such as 12h or 30d.
    no_network
        Read vaults' folders and bags instead of asking vaults.
    vault_folder
        A vault's folder; may be repeated; only with --no-network.
    bag
        A bag's folder, or the files of its volumes; may be repeated.
    """
    from datetime import timedelta

    from exclave.cli.names import named_duration
    from exclave.cli.reconstruct import media_of
    from exclave.vault.line.identity import identity_hash
    from exclave.wiring.orders import source_for
    from exclave.wiring.reader import prepare as prepare_folder

    lasting = timedelta(seconds=named_duration(life, "--life"))
    prepared = prepare_folder(
        source_for(charter, card),
        out,
        deposit=deposit,
        purpose=purpose,
        life=lasting,
        media=media_of("warrant prepare", no_network, vault_folder, bag),
    )
    reader, chosen = prepared.reader, prepared.deposit
    statement = reader.warrant.statement_hash
    identity = identity_hash(reader.identity.certificate)
    terminal.result(
        {
            "folder": str(out),
            "deposit": chosen.deposit.hex(),
            "warrant": statement.hex(),
            "reader": identity.hex(),
            "unseal_key": reader.unseal_key.key_hash.hex(),
            "mission": prepared.charter.mission_id.hex(),
            "warnings": list(prepared.findings.lines),
        },
        [
            f"deposit       {chosen.deposit.hex()}  (lodged at seats {_seats(chosen)})",
            f"warrant       {grouped(statement)}",
            f"reader        {grouped(identity)}",
            f"one-time key  {grouped(reader.unseal_key.key_hash)}",
            f"officials sign {out / 'warrant.json'}; read the last three lines to them",
        ],
    )
    for line in prepared.findings.lines:
        terminal.warning(line)


@warrant.command(name="submit")
def submit(place: Path, *, card: Path | None = None, terminal: Out) -> int:
    """Hand a signed warrant to every vault, and put it into the folder's unseal request.

    Parameters
    ----------
    place
        The reconstruction's folder, or a warrant's file.
    card
        A share card that says where the vaults are, when no charter.json lies beside.
    """
    from exclave.wiring.reader import load_card, submit_warrant

    states = submit_warrant(place, None if card is None else load_card(card))
    return _show_states(states, terminal)


@warrant.command(name="status")
def status(place: Path, *, card: Path | None = None, terminal: Out) -> int:
    """Show where a warrant stands at every vault, and how long until it is released.

    Parameters
    ----------
    place
        The reconstruction's folder, or a warrant's file.
    card
        A share card that says where the vaults are, when no charter.json lies beside.
    """
    from exclave.wiring.reader import load_card, warrant_states

    states = warrant_states(place, None if card is None else load_card(card))
    return _show_states(states, terminal)


def show_surveyed(charter: Path | None, card: Path | None, terminal: Out) -> None:
    """`deposits --card` or `--charter`: what the vaults themselves say."""
    from exclave.reconstruct.findings import findings
    from exclave.wiring.orders import view_for

    view = view_for(charter, card)
    terminal.result(_view_json(view), _view_lines(view))
    for line in findings(view, None, ()).lines:
        terminal.warning(line)


def _show_states(states: Mapping[Seat, StatementState | str], terminal: Out) -> int:
    from exclave.cli.words.states import state_words
    from exclave.errors import VaultError

    value: dict[str, object] = {}
    lines: list[str] = []
    for seat, answer in sorted(states.items()):
        if isinstance(answer, str):
            value[str(seat)] = {"problem": answer}
            lines.append(of_seat(seat, answer))
            continue
        value[str(seat)] = {"state": answer.state.value, "seconds": answer.seconds}
        lines.append(f"seat {seat}: {state_words(answer.state, answer.seconds)}")
    terminal.result({"seats": value}, lines)
    return (
        0
        if any(not isinstance(answer, str) for answer in states.values())
        else (VaultError.exit_code)
    )


def _view_json(view: MissionView) -> dict[str, object]:
    from exclave.cli.words.layouts import layouts_json
    from exclave.reconstruct.findings import findings
    from exclave.reconstruct.report import fork_json

    return {
        "mission": view.mission.hex(),
        "retention_days": view.charter.settings.retention_days,
        "deposits": [
            {
                "deposit": item.deposit.hex(),
                "depositor": item.record.depositor,
                "sequence": item.record.sequence,
                "claimed_time": item.record.claimed_time.isoformat(),
                "bytes": _live_bytes(item),
                "layouts": layouts_json(None if item.live is None else item.live.layouts),
                "lodged": list(item.lodged),
                "mirrored": list(item.mirrored),
                "suspect": item.suspect,
            }
            for item in view.deposits
        ],
        "certificates": [
            {
                "certificate": item.certificate.hex(),
                "depositor": item.depositor,
                "time": item.time.isoformat(),
                "epoch": item.epoch,
            }
            for item in view.attestations
        ],
        "problems": [{"seat": item.seat, "what": item.what} for item in view.problems],
        "forks": [fork_json(fork) for fork in findings(view, None, ()).forks],
    }


def _view_lines(view: MissionView) -> list[str]:
    from exclave.cli.words.layouts import layouts_words

    lines = [
        f"mission {grouped(view.mission)}",
        f"kept at least {view.charter.settings.retention_days} days after lodging",
    ]
    for item in view.deposits:
        amount = _live_bytes(item)
        lines.append(
            f"deposit {item.deposit.hex()}  {item.record.depositor} number "
            f"{item.record.sequence}  {item.record.claimed_time:%Y-%m-%d %H:%M:%S} (claimed)  "
            f"{'size unknown' if amount is None else size(amount)}  seats {_seats(item)}"
            f"{_SUSPECT if item.suspect else ''}"
        )
        lines.append(f"  {layouts_words(None if item.live is None else item.live.layouts)}")
    lines += [
        f"certificate {item.certificate.hex()}  {item.depositor}  "
        f"{item.time:%Y-%m-%d %H:%M:%S} (claimed)  sealed to epoch {item.epoch}"
        for item in view.attestations
    ]
    return lines if view.deposits else [*lines, "no deposit yet"]


def _live_bytes(item: DepositView) -> int | None:
    return None if item.live is None else sum(pack.length for pack in item.live.packs.values())


def _seats(item: DepositView) -> str:
    return ", ".join(map(str, item.lodged)) or "none"
