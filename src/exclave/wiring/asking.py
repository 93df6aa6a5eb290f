"""The seats of a depositor's charter, asked quickly for what is public: for checks and learning."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from exclave.authority.charter import Charter
from exclave.clock import now
from exclave.ids import Seat
from exclave.lines import LoopThread
from exclave.vault.client.retrying import RetryPolicy
from exclave.vault.interface import PublicRecord
from exclave.wiring.depositor import ASKING_SECONDS, Home
from exclave.wiring.lines import Lines

__all__ = ["asking"]


@contextmanager
def asking(
    home: Home, *, charter: Charter | None = None, only: Collection[Seat] | None = None
) -> Iterator[tuple[LoopThread, Mapping[Seat, PublicRecord]]]:
    """A loop, and each seat's public record; nothing is asked twice.

    The seats are those of the charter at hand, or of another, or `only` some of them.
    """
    addresses, folders = home.settings.addresses, home.settings.folders
    if only is not None:
        addresses = {seat: pair for seat, pair in addresses.items() if seat in only}
        folders = {seat: path for seat, path in folders.items() if seat in only}
    loop = LoopThread()
    try:
        with Lines(
            home.party.charter if charter is None else charter,
            loop=loop,
            clock=now,
            identity=None,  # the public record is everybody's; new keys may not be known yet
            addresses=addresses,
            folders=folders,
            only=only,
            policy=RetryPolicy(attempts=1),
            idle_seconds=ASKING_SECONDS,
        ) as lines:
            yield loop, {seat: line.record for seat, line in lines.seats.items()}
    finally:
        loop.close()
