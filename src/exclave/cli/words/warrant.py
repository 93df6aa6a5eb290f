"""What a warrant says."""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.warrant import Warrant
from exclave.clock import format_time
from exclave.plain_words import grouped
from exclave.vault.line.identity import identity_hash

__all__ = ["warrant_lines"]


def warrant_lines(warrant: Warrant) -> Iterator[str]:
    """Lines."""
    yield f"  mission {grouped(warrant.mission)}"
    yield f"  purpose: {warrant.purpose}"
    deposits = warrant.deposits
    yield "  deposits: " + (
        "ALL, present and future until it expires"
        if deposits is None
        else ", ".join(item.hex() for item in deposits)
    )
    yield f"  reader {grouped(identity_hash(warrant.reader))}"
    yield f"  one-time key {grouped(warrant.unseal_key.key_hash)}"
    yield f"  issued {format_time(warrant.issued)}, expires {format_time(warrant.expires)}"
