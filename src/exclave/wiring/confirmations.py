"""What holders of share cards confirmed: a card is there and can be read (spec/cards.md 4).

A confirmation is made where the words are typed, offline, and carried to the depositing machine as
a file. It is the holder's word: nobody signs it, nothing is decided by it but whether `exclave
check` reminds somebody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from exclave.authority.charter import Charter
from exclave.authority.charter_parts import RecoveryEpoch
from exclave.authority.fields import Node
from exclave.clock import format_time
from exclave.durable import write_new_file
from exclave.encoding import JsonObject, canonical_json, parse_canonical_json
from exclave.errors import ConfigurationError, ExclaveError
from exclave.ids import Epoch, MissionId
from exclave.plain_words import roughly
from exclave.values import dataclass
from exclave.wiring.check_results import CheckResult
from exclave.wiring.files import read_file

__all__ = [
    "Confirmation",
    "check_cards",
    "confirm_card",
    "confirmations_in",
    "parse_confirmation",
    "store_confirmation",
]

_KIND: Final = "exclave-card-confirmation"
_FIELDS: Final = ("mission", "epoch", "share_set", "group", "member", "confirmed")
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """One card was read, whole, by its holder."""

    mission: MissionId
    epoch: Epoch
    share_set: int
    group: int
    member: int
    confirmed: datetime

    @property
    def card(self) -> tuple[int, int, int]:
        """Which card: share set, group, member."""
        return self.share_set, self.group, self.member

    def to_bytes(self) -> bytes:
        """Its file."""
        value: JsonObject = {
            "kind": _KIND,
            "version": 1,
            "mission": self.mission.hex(),
            "epoch": self.epoch,
            "share_set": self.share_set,
            "group": self.group,
            "member": self.member,
            "confirmed": format_time(self.confirmed),
        }
        return canonical_json(value)


def parse_confirmation(data: bytes, subject: str = "confirmation") -> Confirmation:
    """Read a confirmation's file, strictly."""
    node = Node(parse_canonical_json(data, subject=subject), subject)
    fields = node.versioned(_KIND, 1, *_FIELDS)
    return Confirmation(
        mission=MissionId(fields["mission"].hex(32)),
        epoch=Epoch(fields["epoch"].integer(1, 2**32 - 1)),
        share_set=fields["share_set"].integer(0, 2**15 - 1),
        group=fields["group"].integer(1, 16),
        member=fields["member"].integer(1, 16),
        confirmed=fields["confirmed"].time(),
    )


def confirm_card(charter: Charter, text: str, moment: datetime) -> Confirmation:
    """Read a card's text, or its 33 words alone, as an unsealing would; raises what is wrong."""
    # Only where cards are read: it is much of a start, and what lies there are secrets.
    from exclave.authority.card import CARD_BEGINS, parse_card
    from exclave.shares import read_share
    from exclave.unseal import CardDesk, CardOfOtherShareSet

    written = text.lstrip().startswith(CARD_BEGINS)
    share = read_share(parse_card(text).words if written else text)
    epochs = [item for item in charter.recovery if item.share_set == share.share_set]
    if not epochs:
        known = ", ".join(str(item.share_set) for item in charter.recovery)
        raise CardOfOtherShareSet(f"card: expected share set {known}, got {share.share_set}")
    CardDesk(charter=charter, epoch=epochs[0]).take(text)
    return Confirmation(
        mission=charter.mission_id,
        epoch=epochs[0].epoch,
        share_set=share.share_set,
        group=share.group,
        member=share.member,
        confirmed=moment.replace(microsecond=0),
    )


def store_confirmation(confirmed: Confirmation, place: Path) -> None:
    """Write it to a new file."""
    if place.exists():
        raise ConfigurationError(f"{place}: expected no file, got one")
    write_new_file(place, [confirmed.to_bytes()], mode=0o644)


def confirmations_in(folder: Path) -> Iterator[tuple[Path, Confirmation | ExclaveError]]:
    """Every file of the folder; a damaged one is an error of its own and hides no other."""
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, parse_confirmation(read_file(path), str(path))
        except ExclaveError as error:
            yield path, error


def check_cards(
    charter: Charter, folder: Path, began: Mapping[Epoch, datetime], moment: datetime
) -> Iterator[CheckResult]:
    """One result for each epoch: how many of its cards nobody confirmed for too long.

    `began`: the first deposit known of an epoch. Cards are as old as that at least, or as the
    charter at hand: when they were handed out, nobody wrote down here.
    """
    newest: dict[tuple[int, int, int], datetime] = {}
    for path, found in confirmations_in(folder):
        if isinstance(found, ExclaveError):
            yield CheckResult(
                what=f"confirmation {path.name}", good=True, warns=True, said=found.message
            )
        elif found.mission == charter.mission_id:
            # A holder's clock may be ahead: nothing is confirmed for the time to come.
            moment_there = min(found.confirmed, moment)
            newest[found.card] = max(newest.get(found.card, moment_there), moment_there)
    for epoch in charter.recovery:
        made = min(charter.issued, began.get(epoch.epoch, charter.issued))
        yield _epoch(epoch, charter.settings.drill_cards_days, made, newest, moment)


def _epoch(
    epoch: RecoveryEpoch,
    days: int,
    made: datetime,
    newest: Mapping[tuple[int, int, int], datetime],
    moment: datetime,
) -> CheckResult:
    late = [
        f"{number}/{member}"
        for number, group in enumerate(epoch.groups, 1)
        for member in range(1, group.members + 1)
        if (moment - newest.get((epoch.share_set, number, member), made)).total_seconds()
        > days * _DAY
    ]
    total = sum(group.members for group in epoch.groups)
    what = f"cards of epoch {epoch.epoch}"
    if not late:
        return CheckResult(
            what=what, good=True, said=f"all {total} handed out or confirmed within {days} d"
        )
    named = ", ".join(late[:8]) + (", ..." if len(late) > 8 else "")
    return CheckResult(
        what=what, good=True, warns=True,
        said=f"{len(late)} of {total} not confirmed for {roughly(days * _DAY)}: {named}",
        hint="their holders: exclave card confirm, on a machine without network",
    )  # fmt: skip
