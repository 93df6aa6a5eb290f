"""What must be kept and renewed: cards of epochs that still have packs, the charter's advised age.

From the local catalogue alone: vaults delete nothing by themselves, so every pack that was ever
lodged counts until it is swept, and its epoch's cards with it. Advice never hardens: a charter that
is over goes on in force, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from exclave.authority.charter import Charter
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record import parse_record
from exclave.clock import parse_time
from exclave.deposit.catalogue import Catalogue
from exclave.ids import Epoch
from exclave.values import dataclass
from exclave.wiring.check_results import CheckResult
from exclave.wiring.confirmations import check_cards
from exclave.wiring.depositor import Home

__all__ = ["EpochUse", "check_charter", "epochs_in_use"]

_WARN = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class EpochUse:
    """How much was lodged under one recovery key."""

    deposits: int = 0
    packs: int = 0
    bytes: int = 0
    began: str = ""  # the first of the deposits


def epochs_in_use(catalogue: Catalogue) -> Mapping[Epoch, EpochUse]:
    """Deposits and packs by epoch, of all records that this machine made."""
    found: dict[Epoch, EpochUse] = {}
    seen: set[bytes] = set()
    for entry in catalogue.entries():
        data = catalogue.envelope(entry.sequence)
        record = parse_record(parse_envelope(data, kinds=[Kind.RECORD]))
        # A full record repeats packs of the one before it.
        new = [pack for pack in record.packs_added if pack.root not in seen]
        seen.update(pack.root for pack in new)
        use = found.get(record.epoch, EpochUse())
        found[record.epoch] = EpochUse(
            deposits=use.deposits + 1,
            packs=use.packs + len(new),
            bytes=use.bytes + sum(pack.length for pack in new),
            began=use.began or entry.started,
        )
    return found


def check_charter(home: Home, moment: datetime) -> Iterator[CheckResult]:
    """The charter's advised age, and one result for each epoch whose cards are still needed."""
    charter = home.party.charter
    yield CheckResult(
        what=f"charter {charter.era}.{charter.version}",
        good=True,
        warns=charter.advisory_expiry - moment < _WARN,
        said=_age(charter, moment),
    )
    folder = home.settings.catalogue
    used = epochs_in_use(Catalogue(folder)) if folder.is_dir() else {}
    for epoch in charter.recovery:
        use = used.get(epoch.epoch)
        if use is None and not epoch.current:
            said = "nothing of it is known here; its cards are kept all the same"
        elif use is None:
            said = "no deposit yet; new ones are sealed to it"
        else:
            said = (
                f"{use.packs} packs of {use.deposits} deposits: its cards must be kept, "
                f"{epoch.group_threshold} of {len(epoch.groups)} groups open them"
            )
        yield CheckResult(
            what=f"epoch {epoch.epoch} (share set {epoch.share_set})", good=True, said=said
        )
    began = {epoch: parse_time(use.began) for epoch, use in used.items()}
    yield from check_cards(charter, home.settings.cards, began, moment)


def _age(charter: Charter, moment: datetime) -> str:
    left = charter.advisory_expiry - moment
    day = f"{charter.advisory_expiry:%Y-%m-%d}"
    if left < timedelta(0):
        return f"advises to be replaced since {day}, {-left.days} days ago; it stays in force"
    if left < _WARN:
        return f"advises to be replaced by {day}, in {left.days} days: draft the next one"
    return f"advises to be replaced by {day}, in {left.days} days"
