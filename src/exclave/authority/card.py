"""Share cards: what is printed for a holder and read back from a file (spec/cards.md 2).

A card says all that somebody needs who has nothing else. Rules: one text for one card, refused
otherwise; the words never appear in an error or a repr. Whether the words form a share, and of
which set, is `exclave.shares`'.
"""

from __future__ import annotations

import hashlib
import re

from exclave.authority.charter import Charter
from exclave.authority.fields import FormatTooNew, breaks_line
from exclave.authority.words import WORDS_A_CARD, WordCountWrong
from exclave.encoding import hex_decode
from exclave.errors import AuthorityError, MalformedData, NonCanonicalData
from exclave.ids import Epoch, MissionId, Seat
from exclave.values import dataclass, field

__all__ = [
    "CARD_BEGINS",
    "Card",
    "CardHead",
    "CardMalformed",
    "CardSeat",
    "MissionChecksumWrong",
    "card_for",
    "card_head_text",
    "card_text",
    "mission_checksum",
    "parse_card",
    "parse_card_head",
]

CARD_BEGINS = "exclave card v"
"""What a card of any version begins with."""
_TITLE = f"{CARD_BEGINS}1"
_LATER = re.compile(rf"{CARD_BEGINS}([1-9][0-9]{{0,5}})")
_LABEL = b"exclave/1/card\x00"
_MAX_CARD = 256 * 1024
_NUMBER = r"([1-9][0-9]{0,9})"
_SHARE_SET = re.compile(r"(0|[1-9][0-9]{0,9})")
_PLACE = r"(-|[0-9.]+:[0-9]+|\[[0-9a-f:.]+\]:[0-9]+)"
_HEX = r"([0-9a-f]{64})"
_GROUP = re.compile(rf"{_NUMBER}/{_NUMBER} (.*), needs {_NUMBER} of {_NUMBER}")
_SEAT = re.compile(
    rf"{_NUMBER} ([A-Z]{{2}}) data={_PLACE} public={_PLACE} log={_HEX} identity={_HEX}"
)
_STATE = re.compile(r"([A-Z]{2}) (.*)")
_WORD_LINE = re.compile(r"[1-9][0-9]? ([a-z]+(?: [a-z]+){0,3})")
_KEYS = (
    "mission",
    "checksum",
    "state",
    "epoch",
    "share set",
    "group",
    "member",
    "groups needed",
    "recovery key",
)


class CardMalformed(MalformedData):
    """A card's text is not of the form of a card."""


class MissionChecksumWrong(AuthorityError):
    """A card's mission id was copied wrongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSeat:
    """Where a seat is reached and how it is recognised; `-` for a safe's addresses."""

    seat: Seat
    state: str
    data: str
    public: str
    log_key_id: str
    identity_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CardHead:
    """A card without its words: all that finds and checks a mission, and nothing secret.

    Group and member count from 1.
    """

    mission: MissionId
    state_code: str
    state_name: str
    epoch: Epoch
    share_set: int
    group: int
    groups: int
    group_name: str
    threshold: int
    members: int
    member: int
    groups_needed: int
    recovery_key: bytes
    seats: tuple[CardSeat, ...]
    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card(CardHead):
    """One holder's card."""

    words: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.words) != WORDS_A_CARD:
            raise WordCountWrong(f"card: expected {WORDS_A_CARD} words, got {len(self.words)}")


def mission_checksum(mission: MissionId) -> str:
    """Eight hex digits by which a copied mission id is checked."""
    return hashlib.sha256(_LABEL + mission).hexdigest()[:8]


def card_for(
    charter: Charter, *, group: int, member: int, words: tuple[str, ...], reader: str
) -> Card:
    """The card of one member (both from 1) for the charter's current epoch."""
    epoch = charter.current_epoch
    own = epoch.groups[group - 1]
    return Card(
        mission=charter.mission_id,
        state_code=charter.state_code,
        state_name=charter.state_name,
        epoch=epoch.epoch,
        share_set=epoch.share_set,
        group=group,
        groups=len(epoch.groups),
        group_name=own.name,
        threshold=own.threshold,
        members=own.members,
        member=member,
        groups_needed=epoch.group_threshold,
        recovery_key=epoch.key_hash,
        seats=_card_seats(charter),
        reader=reader,
        words=words,
    )


def _card_seats(charter: Charter) -> tuple[CardSeat, ...]:
    return tuple(
        CardSeat(
            seat=entry.seat,
            state=entry.state,
            data=data,
            public=public,
            log_key_id=entry.log_key.key_id,
            identity_hash=hashlib.sha256(entry.identity).digest(),
        )
        for entry in charter.active_seats
        for data, public in [(item.data, item.public) for item in entry.addresses] or [("-", "-")]
    )


def card_text(card: Card) -> str:
    """The card as it is printed."""
    return "\n".join([card_head_text(card), *_word_lines(card.words)]) + "\n"


def card_head_text(card: CardHead) -> str:
    """What is printed above the words, up to the last line's LF."""
    mission = card.mission.hex()
    lines = [
        _TITLE,
        "mission: " + " ".join(mission[start : start + 8] for start in range(0, 64, 8)),
        f"checksum: {mission_checksum(card.mission)}",
        f"state: {card.state_code} {card.state_name}",
        f"epoch: {card.epoch}",
        f"share set: {card.share_set}",
        _group_line(card),
        f"member: {card.member}",
        f"groups needed: {card.groups_needed}",
        f"recovery key: {card.recovery_key.hex()}",
        *(_seat_line(seat) for seat in card.seats),
        f"reader: {card.reader}",
    ]
    return "\n".join(lines) + "\n"


def _group_line(card: CardHead) -> str:
    needs = f"needs {card.threshold} of {card.members}"
    return f"group: {card.group}/{card.groups} {card.group_name}, {needs}"


def _seat_line(seat: CardSeat) -> str:
    return (
        f"seat: {seat.seat} {seat.state} data={seat.data} public={seat.public} "
        f"log={seat.log_key_id} identity={seat.identity_hash.hex()}"
    )


def _word_lines(words: tuple[str, ...]) -> list[str]:
    return [f"{at + 1} {' '.join(words[at : at + 4])}" for at in range(0, len(words), 4)]


def parse_card(text: str) -> Card:
    """Read a card; raises `CardMalformed`, `MissionChecksumWrong` or `NonCanonicalData`.

    Words are taken as they stand; `read_words` and `exclave.shares` check them.
    """
    head, _, tail = _bounded(text).partition("\n\n")
    known = _parse_head(head + "\n")
    fields = {name: getattr(known, name) for name in CardHead.__slots__}
    card = Card(**fields, words=_card_words(tail))
    if card_text(card) != text:
        raise NonCanonicalData("card: not in the one form of a card (spec/cards.md 2)")
    return card


def parse_card_head(text: str) -> CardHead:
    """Read a card of which only the part above the words is wanted, with or without them.

    Words are not looked at: where a mission is only to be found, they need not be there.
    """
    return _parse_head(_bounded(text).partition("\n\n")[0].removesuffix("\n") + "\n")


def _bounded(text: str) -> str:
    if len(text) > _MAX_CARD:
        raise CardMalformed(f"card: expected at most {_MAX_CARD} characters, got {len(text)}")
    return text


def _parse_head(text: str) -> CardHead:
    lines = text.removesuffix("\n").split("\n")
    if any(breaks_line(character) for line in lines for character in line):
        raise CardMalformed("card: expected lines of text, got a control character")
    if lines[0] != _TITLE and (later := _LATER.fullmatch(lines[0])):
        raise FormatTooNew(
            f"card: expected version 1, got version {later[1]}",
            hint="a later version of exclave made it: use that one, or type the 33 words alone",
        )
    if lines[0] != _TITLE:
        raise CardMalformed(f"card: expected the first line {_TITLE!r}, got another")
    values = [_value(lines, index, key) for index, key in enumerate(_KEYS, start=1)]
    seats = [_value(lines, index, "seat") for index in range(len(_KEYS) + 1, len(lines) - 1)]
    head = _head(values, seats, _value(lines, len(lines) - 1, "reader"))
    if values[1] != mission_checksum(head.mission):
        raise MissionChecksumWrong(
            f"card: expected checksum {mission_checksum(head.mission)}, got {values[1][:16]!r}",
            hint="a digit of the mission id or of the checksum was copied wrongly",
        )
    if card_head_text(head) != text:
        raise NonCanonicalData("card: not in the one form of a card (spec/cards.md 2)")
    return head


def _head(values: list[str], seats: list[str], reader: str) -> CardHead:
    mission, _, state, epoch, share_set, group, member, needed, key = values
    state_match = _match(_STATE, state, "state")
    group_match = _match(_GROUP, group, "group")
    return CardHead(
        mission=MissionId(hex_decode(mission.replace(" ", ""), length=32, subject="card mission")),
        state_code=state_match[1],
        state_name=state_match[2],
        epoch=Epoch(_integer(epoch, "epoch")),
        share_set=int(_match(_SHARE_SET, share_set, "share set")[1]),
        group=int(group_match[1]),
        groups=int(group_match[2]),
        group_name=group_match[3],
        threshold=int(group_match[4]),
        members=int(group_match[5]),
        member=_integer(member, "member"),
        groups_needed=_integer(needed, "groups needed"),
        recovery_key=hex_decode(key, length=32, subject="card recovery key"),
        seats=tuple(_seat(line) for line in seats),
        reader=reader,
    )


def _value(lines: list[str], index: int, key: str) -> str:
    line = lines[index] if index < len(lines) else ""
    if not line.startswith(f"{key}: "):
        raise CardMalformed(f"card line {index + 1}: expected {key!r}, got something else")
    return line.removeprefix(f"{key}: ")


def _match(pattern: re.Pattern[str], text: str, key: str) -> re.Match[str]:
    match = pattern.fullmatch(text)
    if match is None:
        raise CardMalformed(f"card: expected the form of a {key}, got {text[:40]!r}")
    return match


def _integer(text: str, key: str) -> int:
    return int(_match(re.compile(_NUMBER), text, key)[1])


def _seat(line: str) -> CardSeat:
    match = _match(_SEAT, line, "seat")
    return CardSeat(
        seat=Seat(int(match[1])),
        state=match[2],
        data=match[3],
        public=match[4],
        log_key_id=match[5],
        identity_hash=bytes.fromhex(match[6]),
    )


def _card_words(tail: str) -> tuple[str, ...]:
    words: list[str] = []
    for line in tail.removesuffix("\n").split("\n"):
        match = _WORD_LINE.fullmatch(line)
        if match is None:
            # Without showing the line: it holds words of the share.
            raise CardMalformed("card: expected numbered lines of up to four words, got another")
        words += match[1].split(" ")
    return tuple(words)
