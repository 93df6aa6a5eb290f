"""What a deposit works with at home and on the line, as one value. Opening it is the wiring's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from exclave.clock import Clock
from exclave.deposit.capture import DepositProgress
from exclave.deposit.catalogue import Catalogue
from exclave.deposit.remembered import Remembering
from exclave.deposit.seat_line import SeatLine
from exclave.deposit.spool import Spool
from exclave.ids import Seat
from exclave.journal.store import Journal
from exclave.lines import LoopThread
from exclave.values import dataclass

if TYPE_CHECKING:
    from exclave.proof.serving import Prover

__all__ = ["Workplace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What a deposit works with at home and on the line."""

    loop: LoopThread
    lines: Mapping[Seat, SeatLine]
    journal: Journal
    spool: Spool
    catalogue: Catalogue
    scratch: Path
    clock: Clock
    random: Callable[[int], bytes]
    progress: DepositProgress
    remembering: Remembering | None = None  # of trees that were read; None: everything is read
    prover: Prover | None = None  # None: the deposit is not proven
