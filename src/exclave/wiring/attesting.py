"""Puts a certificate's hash, and the certificate sealed, into the vaults' logs.

Whoever has home does that, for its own proofs, for the auditor's certificate (its hash alone), and
for drills that another machine held. One vault suffices: vaults mirror it. A vault that is silent
or refuses keeps none of the others back. What a vault cannot take yet, since it is older than this
kind of statement or has no room today, waits here (`exclave.wiring.waiting`), and `deliver_waiting`
hands it in again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from exclave.authority.envelope import Envelope
from exclave.certificate.results import one_line
from exclave.certificate.sealed import attest
from exclave.clock import now
from exclave.errors import ExclaveError
from exclave.ids import Seat
from exclave.lines import LoopThread
from exclave.signer.interface import sign_envelope
from exclave.values import replace
from exclave.vault.interface import PublicRecord, StatementState, VaultRefused
from exclave.wiring.depositor import Home
from exclave.wiring.lines import Lines
from exclave.wiring.seats import QUICK_SECONDS, QUICKLY, Answers
from exclave.wiring.waiting import Waiting, WaitingStore

__all__ = ["deliver_waiting", "is_logged", "log_certificate"]

_LOG = logging.getLogger(__name__)
_UNKNOWN: Final = "malformed"
"""What was written by this program is well formed: the vault's program is older than it."""
_NOT_YET: Final = frozenset({_UNKNOWN, "quota", "rate", "no-space", "unavailable"})
"""Causes of a refusal for now: it waits for that seat."""

_Said = Mapping[Seat, StatementState | ExclaveError]


def log_certificate(home: Home, envelope: Envelope) -> Answers:
    """Hand the attestation of a signed certificate to every seat that has a vault.

    Raises `CertificateTooLarge`; what a vault answered, or why it did not, is in the answers. A
    vault in a folder is written to, so nothing else of this depositor may have it open.
    """
    party = home.party
    statement = attest(envelope, party.charter, depositor=party.id, now=now())
    waiting = Waiting(
        certificate=envelope.statement_hash,
        of=envelope.kind.value,
        statement=sign_envelope(statement, party.signers).to_bytes(),
        seats={},
    )
    (said,) = _handed_in(home, [waiting])
    _remember(WaitingStore(home.settings.evidence), waiting, said)
    return {
        seat: answer.message if isinstance(answer, ExclaveError) else answer
        for seat, answer in said.items()
    }


def deliver_waiting(home: Home) -> None:
    """Hand in once more what waits; what comes of it is kept, and said by `check`.

    Raises nothing that a vault may cause: whoever deposited is done.
    """
    store = WaitingStore(home.settings.evidence)
    items = [item for item in store.all() if isinstance(item, Waiting)]
    if not items:
        return
    try:
        for item, said in zip(items, _handed_in(home, items), strict=True):
            _remember(store, item, said)
    except ExclaveError as error:
        _LOG.warning("attestations that wait: %s", error.message)


def _handed_in(home: Home, items: Sequence[Waiting]) -> Sequence[_Said]:
    """What each seat said to each: all seats in use at once, one after the other at each."""
    party, settings = home.party, home.settings
    loop = LoopThread()
    try:
        with Lines(
            party.charter,
            loop=loop,
            clock=now,
            identity=home.identity(),
            addresses=settings.addresses,
            folders=settings.folders,
            policy=QUICKLY,
            idle_seconds=QUICK_SECONDS,
        ) as lines:
            records = [line.record for line in lines.seats.values()]
            return loop.run(_ask(records, [item.statement for item in items]))
    finally:
        loop.close()


async def _ask(records: Sequence[PublicRecord], statements: Sequence[bytes]) -> Sequence[_Said]:
    async def at(record: PublicRecord) -> Sequence[StatementState | ExclaveError]:
        answers: list[StatementState | ExclaveError] = []
        for statement in statements:
            try:
                answers.append(await record.submit(statement))
            except VaultRefused as error:
                answers.append(error)
            except ExclaveError as error:  # nobody there: the others would wait as long
                return [*answers, *[error] * (len(statements) - len(answers))]
        return answers

    found = await asyncio.gather(*(at(record) for record in records))
    return [
        {record.seat: answers[number] for record, answers in zip(records, found, strict=True)}
        for number in range(len(statements))
    ]


def _remember(store: WaitingStore, item: Waiting, said: _Said) -> None:
    """Keep what still waits; what one seat has reaches those that were silent by mirroring."""
    logged = any(isinstance(answer, StatementState) for answer in said.values())
    seats = {
        seat: _why(answer)
        for seat, answer in said.items()
        if isinstance(answer, ExclaveError) and (not logged or _is_for_now(answer))
    }
    if seats:
        store.keep(replace(item, seats=seats))
    else:
        store.forget(item.certificate)


def _is_for_now(error: ExclaveError) -> bool:
    return isinstance(error, VaultRefused) and error.cause in _NOT_YET


def _why(error: ExclaveError) -> str:
    if isinstance(error, VaultRefused) and error.cause == _UNKNOWN:
        return one_line(f"its vault is older than this kind of statement: {error.message}")
    return one_line(error.message)


def is_logged(answers: Answers) -> bool:
    """Whether at least one vault has it."""
    return any(isinstance(answer, StatementState) for answer in answers.values())
