"""`signatures join`, `show`: signatures that officials send from afar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from exclave.cli.options import Out
from exclave.errors import ConfigurationError, ExclaveError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exclave.authority.asked import Asked
    from exclave.authority.charter import Charter
    from exclave.authority.detached import DetachedSignatures
    from exclave.authority.envelope import Envelope
    from exclave.authority.keys import TypedKey
    from exclave.authority.tally import PersonTally

__all__ = ["CharterNeeded", "signatures"]

signatures = App(
    name="signatures", help="Signatures that were made elsewhere.", help_format="plaintext"
)


class CharterNeeded(ConfigurationError):
    """Who may sign stands in a charter, and none was named or lies beside."""


@signatures.command(name="join")
def join(file: Path, received: list[Path], *, charter: Path | None = None, terminal: Out) -> None:
    """Add signatures that came back from officials to the statement that they signed.

    Every signature is verified; when one is wrong, its file is named and nothing is written.

    Parameters
    ----------
    file
        The statement; the signatures are added in place.
    received
        What `exclave sign --signature` wrote, one or several; one twice is no harm.
    charter
        The charter in force, which says whose keys these are; the charter.json beside FILE
        otherwise.
    """
    from exclave.authority.tally import known_keys
    from exclave.durable import replace_file

    envelope, laws = _open(file, charter)
    known = known_keys(laws)
    before = len(envelope.signatures)
    for path in received:
        envelope = _join_file(envelope, path, known)
    replace_file(file, [envelope.to_bytes()], mode=file.stat().st_mode & 0o777)
    count = len(envelope.signatures)
    terminal.result(
        {
            "statement": envelope.statement_hash.hex(),
            "added": count - before,
            "signatures": count,
        },
        [f"{file}: {count - before} signatures added, {count} in all"],
    )


@signatures.command(name="show")
def show(file: Path, *, charter: Path | None = None, terminal: Out) -> None:
    """Say by person who has signed a statement, and who is still needed.

    Parameters
    ----------
    file
        The statement.
    charter
        The charter in force; of a new charter, the one before it. The charter.json beside FILE
        otherwise.
    """
    from exclave.authority.asked import asked
    from exclave.authority.tally import known_keys, tally_persons

    envelope, laws = _open(file, charter)
    persons = {item.official.id: item for law in laws for item in tally_persons(envelope, law)}
    asking = asked(envelope, _in_force(envelope, laws))
    override = () if asking.override is None else (asking.override,)
    rosters = [
        (when, item)
        for when, items in (
            ("", asking.every),
            ("one of these: ", asking.either),
            ("under a lockdown: ", asking.locked),
            ("against a veto: ", override),
        )
        for item in items
    ]
    known = {key.key_id for key in known_keys(laws)}
    strangers = sum(item.key_id not in known for item in envelope.signatures)
    lines = [_person_line(item) for item in persons.values() if item.keys_signed]
    lines += [when + _roster_line(item) for when, item in rosters]
    if strangers:
        lines.append(f"{strangers} signatures of keys that the charter does not name count nothing")
    terminal.result(
        {
            "statement": envelope.statement_hash.hex(),
            "kind": envelope.kind.value,
            "signed": [person for person, item in persons.items() if item.signed],
            "rosters": [
                {
                    "charter": item.charter.statement_hash.hex(),
                    "roster": _roles(item),
                    "when": when.removesuffix(": ") or "always",
                    "required": item.threshold,
                    "signed": sorted(item.signed),
                    "open": sorted(item.open),
                }
                for when, item in rosters
            ],
            "unknown_signatures": strangers,
        },
        lines,
    )


def _open(file: Path, charter: Path | None) -> tuple[Envelope, list[Charter]]:
    """The statement, and the charters that say whose signatures count: a new one has a say too."""
    from exclave.authority.charter import parse_charter
    from exclave.authority.envelope import Kind, parse_envelope
    from exclave.wiring.files import load_charter, read_file

    envelope = parse_envelope(read_file(file))
    own = [parse_charter(envelope)] if envelope.kind is Kind.CHARTER else []
    beside = file.with_name("charter.json")
    named = charter or (beside if beside.is_file() and not own else None)
    laws = [] if named is None else [load_charter(named)]
    laws += [law for law in own if law not in laws]
    if not laws:
        raise CharterNeeded(
            f"{file}: expected a charter that says who may sign, got none",
            hint="name it with --charter",
        )
    return envelope, laws


def _join_file(envelope: Envelope, path: Path, known: tuple[TypedKey, ...]) -> Envelope:
    from exclave.authority.detached import join_signatures, parse_detached
    from exclave.wiring.files import read_file

    data = read_file(path)
    try:
        detached: DetachedSignatures = parse_detached(data)
        return join_signatures(envelope, detached, known)
    except ExclaveError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


def _person_line(item: PersonTally) -> str:
    person = item.official
    said = "signed" if item.signed else f"signed with {item.keys_signed} of {item.keys_needed} keys"
    return f"{person.id} ({person.institution}, {person.place}): {said}"


def _roster_line(item: Asked) -> str:
    law = item.charter
    head = (
        f"charter {law.era}.{law.version}, {_roles(item)}: {len(item.signed)} signed, "
        f"{item.threshold} required"
    )
    if not item.missing:
        return f"{head}: enough"
    return f"{head}; {item.missing} more of: {', '.join(sorted(item.open))}"


def _roles(item: Asked) -> str:
    return " or ".join(item.roles)


def _in_force(envelope: Envelope, laws: Sequence[Charter]) -> Charter | None:
    """Of those at hand the one that a vault goes by: a charter that is signed is not it yet."""
    return next((law for law in laws if law.statement_hash != envelope.statement_hash), None)
