"""A command for each kind of order, and `submit`, which hands in any statement.

Each makes a file; with `--key` it is signed after it was shown and confirmed, with `--send` it goes
to every vault that can be reached. Rule: an order that one vault took is given, so the exit code is
0 then; which vaults did not take it is said all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from exclave.cli.names import named_hex, named_moment, named_statement
from exclave.cli.options import Flag, Out, PassphraseDescriptor, PassphraseFile
from exclave.errors import UsageError

if TYPE_CHECKING:
    from exclave.authority.charter import Charter
    from exclave.authority.envelope import Envelope, Kind
    from exclave.authority.orders import Order, OrderHead
    from exclave.cli.terminal import Terminal
    from exclave.ids import DepositId, StatementHash
    from exclave.wiring.seats import Answers

__all__ = [
    "Making",
    "compromise",
    "extend",
    "give",
    "hand_in",
    "hold",
    "lift",
    "lockdown",
    "narrow",
    "release",
    "submit",
    "unlock",
    "veto",
]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What every order takes.

    Parameters
    ----------
    reason
        One line for the people who will read it.
    charter
        The charter in force; or give --card.
    card
        The head of a share card: the charter is asked from the vaults on it.
    key
        The key file, SSH key or `pkcs11:` URI of an official who signs it, of agreements also the
        receiving state's; may be repeated. Without one it is not signed yet.
    out
        The new file; by default named by kind and hash, in the current folder.
    send
        Hand it to every vault that can be reached; it stays in its file.
    yes
        Do not ask.
    passphrase_file
        Read the passphrase from this file (mode 0600).
    passphrase_fd
        Read it from this open descriptor.
    """

    reason: str
    charter: Path | None = None
    card: Path | None = None
    key: Annotated[list[str], Parameter(negative=())] = field(default_factory=list)
    out: Path | None = None
    send: Flag = False
    yes: Flag = False
    passphrase_file: PassphraseFile = None
    passphrase_fd: PassphraseDescriptor = None


def lockdown(*, making: Making, terminal: Out) -> int:
    """Freeze home at once: only the exile rosters act from then on, and only they end it.

    One official of alarm, exile_1 or exile_2 suffices. Deletes nothing, opens nothing.
    """
    from exclave.authority.orders import Lockdown

    return give(terminal, making, lambda head: Lockdown(head=head))


def veto(target: str, *, making: Making, terminal: Out) -> int:
    """Stop a waiting warrant, charter or order; one official of alarm, exile_1 or exile_2 suffices.

    Parameters
    ----------
    target
        The statement's file, or its hash in hex.
    """
    from exclave.authority.envelope import LOOSENING, Kind
    from exclave.authority.orders import Veto

    statement = named_statement(target, LOOSENING | {Kind.CHARTER, Kind.WARRANT})
    return give(terminal, making, lambda head: Veto(head=head, target=statement))


def hold(*deposits: str, making: Making, terminal: Out) -> int:
    """Let nothing of these deposits be removed from any vault until the hold is lifted.

    Parameters
    ----------
    deposits
        Ids in hex, or `all`.
    """
    from exclave.authority.orders import Hold

    named = _deposits(deposits)
    return give(terminal, making, lambda head: Hold(head=head, deposits=named))


def extend(*deposits: str, until: str, making: Making, terminal: Out) -> int:
    """Keep these deposits longer; nobody shortens it again.

    Parameters
    ----------
    deposits
        Ids in hex, or `all`.
    until
        A day such as 2030-01-31, or a moment such as 2030-01-31T12:00:00Z.
    """
    from exclave.authority.orders import Extend

    named, moment = _deposits(deposits), named_moment(until)
    return give(terminal, making, lambda head: Extend(head=head, deposits=named, until=moment))


def compromise(*depositors: str, since: str, making: Making, terminal: Out) -> int:
    """Declare that from a moment on depositors' keys were not only theirs.

    Parameters
    ----------
    depositors
        Their ids in the charter.
    since
        A day such as 2030-01-31, or a moment such as 2030-01-31T12:00:00Z, by the vaults' logs.
    """
    from exclave.authority.orders import Compromise

    names, moment = tuple(sorted(set(depositors))), named_moment(since)
    return give(
        terminal, making, lambda head: Compromise(head=head, depositors=names, since=moment)
    )


def release(*packs: str, listed: Path | None = None, making: Making, terminal: Out) -> int:
    """Let exactly these packs be removed once nothing else keeps them; needs the release roster.

    Parameters
    ----------
    packs
        Pack roots in hex.
    listed
        A file with more of them, one a line.
    """
    from exclave.authority.orders import Release
    from exclave.ids import PackRoot

    names = [*packs, *(_lines(listed) if listed is not None else ())]
    roots = tuple(sorted({PackRoot(named_hex(name, 32, "pack root")) for name in names}))
    return give(terminal, making, lambda head: Release(head=head, packs=roots))


def lift(*holds: str, making: Making, terminal: Out) -> int:
    """End holds; needs the release roster.

    Parameters
    ----------
    holds
        The holds' files, or their hashes in hex.
    """
    from exclave.authority.envelope import Kind
    from exclave.authority.orders import Lift

    names = _statements(holds, Kind.HOLD)
    return give(terminal, making, lambda head: Lift(head=head, holds=names))


def narrow(
    declared: str, *, since: str | None = None, never: Flag = False, making: Making, terminal: Out
) -> int:
    """Say that a compromise began later, or never was; needs the govern roster.

    Parameters
    ----------
    declared
        The compromise's file, or its hash in hex.
    since
        When it began: a day such as 2030-01-31, or a moment such as 2030-01-31T12:00:00Z.
    never
        It never was.
    """
    from exclave.authority.envelope import Kind
    from exclave.authority.orders import Narrow

    if never is (since is not None):
        raise UsageError("narrow: expected either --since or --never")
    statement = named_statement(declared, {Kind.COMPROMISE})
    moment = None if since is None else named_moment(since)
    return give(
        terminal, making, lambda head: Narrow(head=head, compromise=statement, since=moment)
    )


def unlock(*lockdowns: str, making: Making, terminal: Out) -> int:
    """End lockdowns; needs an exile roster, and name all that stand.

    Parameters
    ----------
    lockdowns
        The lockdowns' files, or their hashes in hex.
    """
    from exclave.authority.envelope import Kind
    from exclave.authority.orders import Unlock

    names = _statements(lockdowns, Kind.LOCKDOWN)
    return give(terminal, making, lambda head: Unlock(head=head, lockdowns=names))


def submit(
    file: Path,
    *,
    charter: Path | None = None,
    card: Path | None = None,
    seat: Annotated[list[int] | None, Parameter(negative=())] = None,
    terminal: Out,
) -> int:
    """Hand a statement's file to every vault that can be reached; ends with 0 when one took it.

    Parameters
    ----------
    file
        A charter, warrant, order or record; more signatures of one handed in before are added.
    charter
        The charter in force; the charter.json beside FILE otherwise.
    card
        The head of a share card: the charter is asked from the vaults on it.
    seat
        Only this seat; may be repeated.
    """
    from exclave.authority.envelope import parse_envelope
    from exclave.ids import Seat
    from exclave.wiring.files import read_file
    from exclave.wiring.orders import law_for, send_statement

    envelope = parse_envelope(read_file(file))
    law = law_for(charter, card, beside=file.with_name("charter.json"))
    answers = send_statement(envelope, law, tuple(map(Seat, seat or ())))
    value = {"statement": envelope.statement_hash.hex(), "seats": _answers_json(answers)}
    terminal.result(value, _answers_lines(answers, file))
    return _code(answers)


def give(
    terminal: Terminal,
    making: Making,
    build: Callable[[OrderHead], Order],
    *,
    law: Charter | None = None,
) -> int:
    """Make an order, sign it where keys are given, and hand it in where that is wanted."""
    import os

    from exclave.cli.official import sign_file, standing
    from exclave.clock import now
    from exclave.wiring.orders import law_for, make_order, write_order

    if making.send and not making.key:
        raise UsageError(
            "--send: expected a signature, got none", hint="give --key, or submit it once signed"
        )
    law = law or law_for(making.charter, making.card)
    envelope = make_order(law, build, reason=making.reason, issued=now(), random=os.urandom)
    file = write_order(envelope, making.out)
    signed = sign_file(
        terminal,
        file,
        envelope,
        law,
        keys=making.key,
        yes=making.yes,
        passphrase_file=making.passphrase_file,
        passphrase_fd=making.passphrase_fd,
    )
    said = standing(file, signed, law)
    return hand_in(terminal, signed, law, file, said=said, send=making.send)


def hand_in(
    terminal: Terminal,
    envelope: Envelope,
    law: Charter,
    file: Path,
    *,
    said: tuple[dict[str, object], list[str]],
    send: bool,
) -> int:
    """Hand a statement's file in where that is wanted, and say what it says and who took it."""
    from exclave.wiring.orders import send_statement

    value, lines = said
    value["file"] = str(file)
    if not send:
        terminal.result(value, lines)
        return 0
    answers = send_statement(envelope, law)
    value["seats"] = _answers_json(answers)
    terminal.result(value, [*lines, *_answers_lines(answers, file)])
    return _code(answers)


def _answers_json(answers: Answers) -> dict[str, object]:
    return {
        str(seat): (
            {"problem": answer}
            if isinstance(answer, str)
            else {"state": answer.state.value, "entry": answer.entry, "seconds": answer.seconds}
        )
        for seat, answer in answers.items()
    }


def _answers_lines(answers: Answers, file: Path) -> list[str]:
    lines: list[str] = []
    missed: list[str] = []
    for seat, answer in answers.items():
        if isinstance(answer, str):
            missed.append(str(seat))
            lines.append(f"seat {seat}: NOT TAKEN: {answer}")
        else:
            left = "" if answer.seconds is None else f", {answer.seconds} s"
            lines.append(f"seat {seat}: {answer.state.value}{left} (entry {answer.entry})")
    lines.append(f"taken by {len(answers) - len(missed)} of {len(answers)} vaults")
    if missed:
        seats = f"seat{'s' * (len(missed) > 1)} {', '.join(missed)}"
        lines.append(f"NOT taken by {seats}: hand {file} in again (exclave submit)")
    return lines


def _code(answers: Answers) -> int:
    from exclave.errors import VaultError

    taken = any(not isinstance(answer, str) for answer in answers.values())
    return 0 if taken else VaultError.exit_code


def _deposits(names: tuple[str, ...]) -> tuple[DepositId, ...] | None:
    from exclave.ids import DepositId

    if names == ("all",):
        return None
    return tuple(sorted({DepositId(named_hex(name, 16, "deposit")) for name in names}))


def _statements(names: tuple[str, ...], kind: Kind) -> tuple[StatementHash, ...]:
    return tuple(sorted({named_statement(name, {kind}) for name in names}))


def _lines(path: Path) -> list[str]:
    from exclave.wiring.files import read_file

    return read_file(path).decode("utf-8", "replace").split()
