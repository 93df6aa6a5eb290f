"""`line key | wireguard`: private lines between the parties of a mission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from exclave.cli.options import Out
from exclave.plain_words import grouped

__all__ = ["line"]

line = App(name="line", help="Private lines: WireGuard and nftables.", help_format="plaintext")


@line.command(name="key")
def key(file: Path, *, terminal: Out) -> None:
    """Make this machine's private key for one mission's lines, and print its public key.

    Only the public key is handed to anybody; the file stays here.

    Parameters
    ----------
    file
        The new file, such as /etc/exclave/lines/xl-37f79b9d.key.
    """
    from exclave.wiring.private_lines import make_line_key

    public = make_line_key(file)
    terminal.info(f"private key in {file}: it stays on this machine")
    terminal.result({"file": str(file), "public": public}, [public])


@line.command(name="wireguard")
def wireguard(
    files: Annotated[list[Path], Parameter(negative=())],
    *,
    as_: Annotated[str, Parameter(name="--as")],
    out: Path,
    keys: Path = Path("/etc/exclave/lines"),
    admin: Annotated[list[str] | None, Parameter(negative=())] = None,
    local: Annotated[list[str] | None, Parameter(negative=())] = None,
    terminal: Out,
) -> None:
    """Write WireGuard configurations and nftables rules for one machine.

    Parameters
    ----------
    files
        lines.toml of each mission that this machine has lines of: a hub gives all of its guests'.
    as_
        The machine: a vault's name in the charter, or a caller's name in the file.
    out
        A new folder for the files.
    keys
        Where this machine keeps its private keys.
    admin
        A network from which somebody may come by SSH; may be repeated.
    local
        A network that this machine itself may reach, such as its databases'; may be repeated.
    """
    from exclave.private_line.firewall import Beside
    from exclave.wiring.private_lines import RULES, draw_lines, read_network

    beside = Beside(
        admin=tuple(map(read_network, admin or ())), local=tuple(map(read_network, local or ()))
    )
    drawn = draw_lines(files, as_, out=out, keys=keys, beside=beside)
    for one in drawn:
        if not one.has_key:
            terminal.warning(
                f"{one.key_file}: no such file here", hint=f"exclave line key {one.key_file}"
            )
    terminal.result(
        {
            "rules": str(out / RULES),
            "lines": [
                {
                    "mission": one.lines.mission.hex(),
                    "interface": one.lines.interface,
                    "file": str(one.file),
                    "key_file": str(one.key_file),
                }
                for one in drawn
            ],
        },
        [
            *(f"mission {grouped(one.lines.mission)}\n  interface  {one.file}" for one in drawn),
            f"rules  {out / RULES}",
        ],
    )
