"""A statement in plain words: what it says, who is asked, when it takes effect, what follows."""

from __future__ import annotations

from collections.abc import Iterator

from exclave.authority.agreement import Agreement
from exclave.authority.asked import asked
from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_chain import MissionMismatch
from exclave.authority.envelope import ORDERS, Envelope, Kind
from exclave.authority.orders import check_order, parse_order
from exclave.authority.warrant import parse_warrant
from exclave.cli.words.agreement import host_line, unmet_lines
from exclave.cli.words.asked import quorum_lines
from exclave.cli.words.charter import charter_lines
from exclave.cli.words.effects import EFFECTS
from exclave.cli.words.order import order_lines
from exclave.cli.words.timing import timing_lines
from exclave.cli.words.warrant import warrant_lines
from exclave.errors import UsageError
from exclave.found.differences import change_lines
from exclave.ids import MissionId, StatementHash
from exclave.plain_words import grouped

__all__ = ["NotForOfficials", "check_mission", "describe"]


class NotForOfficials(UsageError):
    """A statement that no official signs."""


def describe(
    envelope: Envelope, charter: Charter | None, *, signing: bool = True
) -> tuple[str, ...]:
    """Lines about a charter, warrant or order.

    `charter` is the one in force, if it is known; of a new charter, the one before it. `signing`
    adds when it takes effect and what a signature makes possible. Raises `NotForOfficials` for
    other kinds, and `MissionMismatch` for a charter of another mission.
    """
    head = f"{envelope.kind.value.capitalize()} {grouped(envelope.statement_hash)}"
    said = (head, *_said(envelope, charter), "Who is asked", *_asked(envelope, charter))
    if not signing:
        return said
    possible, for_good = EFFECTS[envelope.kind]
    return (
        *said,
        "When it takes effect",
        *timing_lines(envelope, charter),
        "What it makes possible",
        *(f"  {line}" for line in possible),
        "What cannot be undone",
        *(f"  {line}" for line in for_good),
    )


def _said(envelope: Envelope, charter: Charter | None) -> Iterator[str]:
    if envelope.kind is Kind.CHARTER:
        new = parse_charter(envelope)
        check_mission(new.mission_id, charter)
        yield from charter_lines(new)
        yield from _changes(new, charter)
    elif envelope.kind is Kind.WARRANT:
        warrant = parse_warrant(envelope)
        check_mission(warrant.mission, charter)
        yield from warrant_lines(warrant)
        yield from _named(warrant.charter, charter)
    elif envelope.kind in ORDERS:
        order = parse_order(envelope)
        check_mission(order.head.mission, charter)
        if charter is not None and order.head.charter == charter.statement_hash:
            check_order(order, charter)
        yield from order_lines(order)
        if charter is not None and isinstance(order, Agreement):
            yield from unmet_lines(order, charter)
        yield from _named(order.head.charter, charter)
    else:
        raise NotForOfficials(
            f"statement: expected a charter, a warrant or an order, got a {envelope.kind}"
        )


def check_mission(mission: MissionId, charter: Charter | None) -> None:
    """Raise `MissionMismatch` unless a mission is that of the charter, if one is given."""
    if charter is not None and charter.mission_id != mission:
        raise MissionMismatch(
            f"statement: expected mission {charter.mission_id.hex()}, got {mission.hex()}",
            hint="the charter that was given, or lies beside it, is another mission's",
        )


def _changes(new: Charter, before: Charter | None) -> Iterator[str]:
    if new.previous is None:
        return
    yield "What it changes"
    if before is None:
        yield "  NOT SHOWN: give the charter before it with --charter"
        return
    if before.statement_hash != new.previous:
        yield "  IT DOES NOT FOLLOW THE CHARTER THAT WAS GIVEN; against that one:"
    yield from change_lines(before, new)


def _named(statement: StatementHash, charter: Charter | None) -> Iterator[str]:
    if charter is None:
        yield f"  under the charter {grouped(statement)}"
    elif charter.statement_hash == statement:
        yield f"  under charter {charter.era}.{charter.version}, the one given"
    else:
        yield f"  UNDER ANOTHER CHARTER THAN THE ONE GIVEN: {grouped(statement)}"


def _asked(envelope: Envelope, charter: Charter | None) -> Iterator[str]:
    laws = [] if charter is None else [charter]
    if envelope.kind is Kind.CHARTER:
        laws.append(parse_charter(envelope))
    officials = tuple(person for law in laws for person in law.officials)
    lines = tuple(quorum_lines(asked(envelope, charter), officials))
    if (host := host_line(envelope)) is not None:
        lines = (*lines, f"  and {host}")
    if envelope.kind is Kind.DECLARE:
        lines = ("  nobody: the host signs with its log key",)
    yield from lines or ("  give the charter in force with --charter to see it",)
