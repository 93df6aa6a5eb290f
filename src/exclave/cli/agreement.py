"""`agreement`: what two states agree on, from a key and a proposal to permissions and the end.

The file travels between the two states; each signs the same bytes, and whoever has both signatures
hands it in. Proposing, amending and terminating are orders like others (`exclave.cli.orders`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from exclave.cli.names import named_mission, named_moment, named_statement
from exclave.cli.options import Flag, Out, PassphraseDescriptor, PassphraseFile
from exclave.cli.orders import Making, give
from exclave.errors import UsageError

if TYPE_CHECKING:
    from exclave.authority.agreement import Agreement
    from exclave.cli.terminal import Terminal

__all__ = ["agreement"]

agreement = App(name="agreement", help="Agreements of a sending and a receiving state.")
agreement.help_format = "plaintext"


@agreement.command(name="key")
def key(
    *,
    state: str,
    out: Path,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> None:
    """Make a receiving state's key: the key file, encrypted, and beside it OUT.pub for its vaults.

    Parameters
    ----------
    state
        The receiving state's code: two capital letters.
    out
        The new key file; OUT.pub is written beside it.
    """
    import os

    from exclave.authority.fields import Node
    from exclave.cli.keys import free_place, save_keys
    from exclave.errors import MalformedData
    from exclave.signer.parties import new_state_key

    try:
        code = Node(state, "--state").state()
    except MalformedData as error:
        raise UsageError(error.message) from error
    public = free_place(out)
    bundle = new_state_key(code, os.urandom)
    save_keys(terminal, bundle, out, file=passphrase_file, descriptor=passphrase_fd)
    terminal.result(
        {"id": bundle.id, "key": bundle.public[0].key_id, "public": str(public)},
        [
            f"key of state {code}: {bundle.public[0].key_id}",
            f"keys    {out}",
            f"public  {public} (for exclave vault init --state-key)",
        ],
    )


@agreement.command(name="vouch")
def vouch(
    request: Path,
    *,
    key: str,
    retiring: Flag = False,
    yes: Flag = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> None:
    """Sign a vault's seat request as the receiving state whose key it names.

    Parameters
    ----------
    request
        The seat-request.json of the vault; the signature is added in place.
    key
        The receiving state's key file.
    retiring
        This is the key before: it hands over to the one that the request names.
    yes
        Do not ask.
    """
    from exclave.cli.keys import open_for_signing
    from exclave.cli.official import NotSigned
    from exclave.wiring.agreements import hand_over, load_request, vouch_for

    envelope, asked = load_request(request)
    terminal.info(f"seat request of vault {asked.vault} in state {asked.state}: {asked.operator}")
    terminal.info("  addresses: " + ", ".join(item.data for item in asked.addresses))
    if retiring and asked.receiving_state_key is not None:
        terminal.info(f"  FROM NOW ON another key: {asked.receiving_state_key.key_id}")
    if not yes and not terminal.confirm(f"sign this with {key}?"):
        raise NotSigned(f"{request}: not signed")
    bundle = open_for_signing(terminal, key, file=passphrase_file, descriptor=passphrase_fd)
    (hand_over if retiring else vouch_for)(request, envelope, asked, bundle)
    terminal.result(
        {"seat_request": str(request), "vault": asked.vault},
        [f"{request}: signed by state {asked.state} (hand this to the founders)"],
    )


@agreement.command(name="propose")
def propose(terms: Path, *, making: Making, terminal: Out) -> int:
    """Write an agreement from its terms, to be signed by both states.

    Parameters
    ----------
    terms
        The agreement.toml: what is agreed.
    """
    from exclave.found.terms import draft_agreement
    from exclave.wiring.orders import law_for

    law = law_for(making.charter, making.card)
    return give(terminal, making, lambda head: draft_agreement(terms, law, head, None), law=law)


@agreement.command(name="amend")
def amend(before: Path, terms: Path, *, making: Making, terminal: Out) -> int:
    """Write the next version of an agreement, which may only strengthen what has been agreed.

    Parameters
    ----------
    before
        The agreement that is in effect.
    terms
        The agreement.toml: all that is agreed from then on.
    """
    from exclave.found.terms import draft_agreement
    from exclave.wiring.agreements import load_agreement
    from exclave.wiring.orders import law_for

    envelope, parsed = load_agreement(before)
    old = (envelope.statement_hash, parsed)
    law = law_for(making.charter, making.card)
    return give(terminal, making, lambda head: draft_agreement(terms, law, head, old), law=law)


@agreement.command(name="accept")
def accept(
    file: Path,
    *,
    key: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    charter: Path | None = None,
    card: Path | None = None,
    vault: Path | None = None,
    send: Flag = False,
    yes: Flag = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseDescriptor = None,
    terminal: Out,
) -> int:
    """Show an agreement, check it against the charter, sign it, and with --send hand it in.

    Parameters
    ----------
    file
        The agreement; the signature is added in place.
    key
        The receiving state's key file, or an official's; may be repeated.
    charter
        The charter in force; the charter.json beside FILE otherwise.
    card
        The head of a share card: the charter is asked from the vaults on it.
    vault
        The host's vault folder: warns where its disk has less than is then agreed for all missions.
    send
        Hand it to every vault that can be reached.
    yes
        Do not ask.
    """
    from exclave.authority.agreement import check_fits
    from exclave.cli.official import sign_file, standing
    from exclave.cli.orders import hand_in
    from exclave.cli.words.statement import check_mission
    from exclave.clock import format_time, now
    from exclave.wiring.agreements import load_agreement
    from exclave.wiring.orders import law_for

    envelope, parsed = load_agreement(file)
    law = law_for(charter, card, beside=file.with_name("charter.json"))
    check_mission(parsed.head.mission, law)
    check_fits(parsed, law)
    if parsed.until is not None and parsed.until <= now():
        terminal.warning(
            f"{file}: over since {format_time(parsed.until)}; no deposit is taken under it",
            hint="both states prolong it: exclave agreement amend",
        )
    if vault is not None:
        _warn_of_room(terminal, vault, parsed)
    signed = sign_file(
        terminal,
        file,
        envelope,
        law,
        keys=key,
        yes=yes,
        passphrase_file=passphrase_file,
        passphrase_fd=passphrase_fd,
    )
    said = standing(file, signed, law)
    return hand_in(terminal, signed, law, file, said=said, send=send)


@agreement.command(name="terminate")
def terminate(named: str, *, making: Making, terminal: Out) -> int:
    """End an agreement after its notice: new deposits stop, nothing that is lodged is touched.

    The sending state's officials sign it as govern, and it waits in public; the receiving state's
    key alone suffices, at once.

    Parameters
    ----------
    named
        The agreement's file, or its hash in hex.
    """
    from exclave.authority.agreement import Terminate
    from exclave.authority.envelope import Kind

    statement = named_statement(named, {Kind.AGREEMENT})
    return give(terminal, making, lambda head: Terminate(head=head, agreement=statement))


@agreement.command(name="grant")
def grant(act: str, *, seat: int, begins: str, ends: str, making: Making, terminal: Out) -> int:
    """Permit the host one act of maintenance, for a time: on the list of its agreement, or refused.

    Parameters
    ----------
    act
        Such as enter or update-software.
    seat
        At which seat.
    begins
        A day such as 2030-01-31, or a moment such as 2030-01-31T12:00:00Z.
    ends
        The same, at most 31 days later.
    """
    from exclave.authority.agreement import Act
    from exclave.authority.permission import LONGEST_GRANT, Grant
    from exclave.clock import now
    from exclave.ids import Seat

    named = Act(_listed(act, Act, hint="reading, unlinking, clocks and keys are on no list"))
    first, last = named_moment(begins), named_moment(ends)
    if last <= max(first, now()) or last - first > LONGEST_GRANT:
        raise UsageError(
            f"--ends: expected a time to come, after {begins} by at most {LONGEST_GRANT.days} "
            f"days, got {ends}"
        )
    return give(
        terminal,
        making,
        lambda head: Grant(head=head, seat=Seat(seat), act=named, since=first, until=last),
    )


@agreement.command(name="declare")
def declare(
    folder: Path,
    act: str,
    *,
    hours: Annotated[int, Parameter(validator=Number(gte=1, lte=168))] = 24,
    reason: str,
    mission: str | None = None,
    terminal: Out,
) -> None:
    """Say in the log, as a vault's operator, that it will restart or that its disks will move.

    Run it before, while the vault serves: its fellows then know in time.

    Parameters
    ----------
    folder
        The vault's folder.
    act
        restart or migrate-disks.
    hours
        For how long from now on.
    reason
        One line for the people who will read it.
    mission
        Only this mission (in hex); all that are enrolled otherwise.
    """
    from datetime import timedelta

    from exclave.authority.permission import DeclaredAct
    from exclave.clock import now
    from exclave.wiring.host import declare_act

    named = DeclaredAct(_listed(act, DeclaredAct, hint="other acts need a grant"))
    only = None if mission is None else named_mission(mission)
    first = now().replace(microsecond=0)
    last = first + timedelta(hours=hours)
    answers = declare_act(folder, named, since=first, until=last, reason=reason, only=only)
    terminal.result(
        {
            "missions": [
                {"mission": item.hex(), "statement": state.statement.hex(), "entry": state.entry}
                for item, state in answers
            ]
        },
        [
            f"mission {item.hex()[:16]}: declared {named.value}, entry {state.entry}"
            for item, state in answers
        ],
    )


@agreement.command(name="show")
def show(
    file: Path | None = None,
    *,
    charter: Path | None = None,
    card: Path | None = None,
    terminal: Out,
) -> int:
    """Show what an agreement's file says; or, without one, which agreements stand at the vaults.

    Ends with 1 when vaults differ or a log cannot be followed.

    Parameters
    ----------
    file
        An agreement.
    charter
        A charter whose vaults are asked, or against which FILE is shown; or give --card.
    card
        The head of a share card: the vaults on it are asked.
    """
    if file is None:
        return _show_vaults(charter, card, terminal)
    if card is not None:
        raise UsageError("agreement show: expected FILE with --charter, or --card alone, got both")
    from exclave.cli.words.statement import describe
    from exclave.wiring.agreements import load_agreement
    from exclave.wiring.files import load_charter

    envelope, parsed = load_agreement(file)
    law = None if charter is None else load_charter(charter)
    lines = list(describe(envelope, law, signing=False))
    terminal.result(
        {
            "statement": envelope.statement_hash.hex(),
            "version": parsed.version,
            "state": parsed.state,
            "seats": sorted(int(seat) for seat in parsed.numbers),
            "lines": lines,
        },
        lines,
    )
    return 0


def _listed(act: str, acts: Iterable[str], *, hint: str) -> str:
    known = sorted(acts)
    if act not in known:
        raise UsageError(f"act: expected one of {', '.join(known)}, got {act[:40]!r}", hint=hint)
    return act


def _show_vaults(charter: Path | None, card: Path | None, terminal: Out) -> int:
    from exclave.cli.deposit import NOT_AS_IT_SHOULD_BE
    from exclave.cli.words.standing import agreement_json, agreements_lines
    from exclave.standing.listing import differences, listed
    from exclave.wiring.orders import view_for

    view = view_for(charter, card)
    listings = {
        seat.seat: listed(seat.standing) for seat in view.seats if seat.standing is not None
    }
    terminal.result(
        {"seats": {str(seat): agreement_json(one) for seat, one in listings.items()}},
        list(agreements_lines(listings)) or ["no agreement is in effect"],
    )
    for item in view.problems:
        terminal.warning(f"seat {item.seat}: {item.what}")
    whole = len(listings) == len(view.seats) and not differences(listings)
    return 0 if whole else NOT_AS_IT_SHOULD_BE


def _warn_of_room(terminal: Terminal, vault: Path, accepting: Agreement) -> None:
    """Before anything is signed."""
    from exclave.wiring.capacity import disk_room
    from exclave.wiring.host import status_vault

    warning = disk_room(vault, status_vault(vault), accepting=accepting).warning
    if warning is not None:
        terminal.warning(warning, hint="a larger disk, or less in this agreement")
