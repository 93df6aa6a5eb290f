"""`depositor init`: the keys of a machine that begins to deposit, or begins anew after a theft."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from exclave.cli.options import Out

__all__ = ["depositor"]

depositor = App(name="depositor", help="A depositing machine's keys.")
depositor.help_format = "plaintext"


@depositor.command(name="init")
def init(id: str, *, out: Path, terminal: Out) -> None:
    """Make a depositor's bundle and the request with which a charter seats it.

    Parameters
    ----------
    id
        The depositor's id: a new one, or that of the depositor whose keys these replace.
    out
        The new folder of the bundle.
    """
    import os

    from exclave.clock import now
    from exclave.found.depositor import REQUEST, new_depositor_bundle

    made = new_depositor_bundle(id, out, now=now(), random=os.urandom)
    terminal.result(
        {"id": id, "folder": str(out), "request": str(out / REQUEST)},
        [
            f"depositor {id}: bundle in {out}",
            *(f"  {key.alg} key {key.key_id[:16]}" for key in made.keys),
            f"hand {out / REQUEST} to whoever drafts the charter; once it is signed and in force,",
            f"put that charter into {out}/charter.json. Journal, catalogue and spool begin anew.",
        ],
    )
