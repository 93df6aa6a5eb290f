"""What a statement says and what a signature under it makes possible, in plain words.

For officials, who are no technicians: shown before they sign. Pure; shows what the payload says,
not what somebody says about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from exclave.errors import UsageError

if TYPE_CHECKING:
    from exclave.authority.charter import Charter
    from exclave.authority.envelope import Envelope
    from exclave.authority.warrant import Warrant

__all__ = ["NotForOfficials", "count", "describe", "grouped", "size"]


_CHARTER_EFFECT = (
    "Your signature makes this the law of the mission: who may read, and who may change it.",
)
_WARRANT_EFFECT = (
    "Your signature lets this reader fetch the encrypted data of these deposits from every",
    "vault. With the recovery key from enough cards, unsealed to the one-time key, it can",
    "read them in clear text. Compare reader and one-time key with whoever asks for it.",
)


class NotForOfficials(UsageError):
    """A statement that no official signs."""


def describe(
    envelope: Envelope, charter: Charter | None, *, signing: bool = True
) -> tuple[str, ...]:
    """Lines about a charter or warrant; `charter` is the one in force, if it is known.

    `signing` adds what a signature makes possible.
    """
    from exclave.authority.charter import parse_charter
    from exclave.authority.envelope import Kind
    from exclave.authority.warrant import parse_warrant

    head = f"{envelope.kind.value.capitalize()} {grouped(envelope.statement_hash)}"
    if envelope.kind is Kind.CHARTER:
        return (head, *_charter_lines(parse_charter(envelope)), *(_CHARTER_EFFECT * signing))
    if envelope.kind is Kind.WARRANT:
        lines = _warrant_lines(parse_warrant(envelope), charter)
        return (head, *lines, *(_WARRANT_EFFECT * signing))
    raise NotForOfficials(f"statement: expected a charter or a warrant, got a {envelope.kind}")


def grouped(value: bytes) -> str:
    """Hex in groups of eight, as cards print it: for comparing by eye and by telephone."""
    text = value.hex()
    return " ".join(text[start : start + 8] for start in range(0, len(text), 8))


def _charter_lines(charter: Charter) -> Iterator[str]:
    from exclave.authority.charter_parts import RoleName
    from exclave.limits import duration

    first = charter.mission is None
    yield f"  of {charter.state_name} ({charter.state_code}), {charter.era}.{charter.version}"
    yield f"  mission {grouped(charter.mission_id)}" + (" (founded by this charter)" * first)
    if charter.notice:
        yield f"  notice: {charter.notice}"
    d = charter.dispersal
    yield f"  data: any {d.k} of {d.n} seats rebuild it; a deposit counts once {d.h} states hold it"
    for seat in charter.active_seats:
        yield f"    seat {seat.seat}: {seat.state}, {seat.operator}"
    epoch = charter.current_epoch
    yield f"  recovery key: {epoch.group_threshold} of {len(epoch.groups)} groups of cards"
    for group in epoch.groups:
        yield (
            f"    {group.name} ({group.place.value}, {group.state}): "
            f"{group.threshold} of {group.members}"
        )
    for name in RoleName:
        role = charter.role(name)
        yield (
            f"  {name.value}: {role.threshold} of {len(role.members)} officials, "
            f"after {duration(role.delay)}"
        )


def _warrant_lines(warrant: Warrant, charter: Charter | None) -> Iterator[str]:
    from exclave.authority.charter_parts import RoleName
    from exclave.clock import format_time
    from exclave.limits import duration
    from exclave.vault.identity import identity_hash

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
    if charter is not None:
        role = charter.role(RoleName.READ)
        yield (
            f"  {role.threshold} of {len(role.members)} officials must sign; "
            f"vaults then wait {duration(role.delay)}"
        )


def size(number: int) -> str:
    """Bytes for people: `1.4 GiB`."""
    value, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def count(rows: int, files: int) -> str:
    """`1,234 rows`, `56 files`, or both."""
    parts = [f"{number:,} {word}" for number, word in ((rows, "rows"), (files, "files")) if number]
    return ", ".join(parts) or "nothing"
