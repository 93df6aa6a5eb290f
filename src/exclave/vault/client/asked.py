"""How vaults stand, each asked one short question: for commands that ask nothing else.

`HttpVault` asks the same over the same line, but importing its library and its loop takes as long
as all the rest of `status`. Here is the standard library's client, and a thread for each vault.
Rules: as there, exactly the one pinned identity is trusted, the system's proxies and certificates
have no say, and what comes back is bounded in size. Nothing is asked twice; which version of
the protocol is spoken is asked first.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from threading import Thread
from typing import Final

from exclave.errors import ExclaveError, VaultUnreachable
from exclave.ids import MissionId, Seat
from exclave.values import dataclass
from exclave.vault.client.silence import no_answer
from exclave.vault.interface import Answer
from exclave.vault.line.addresses import Address
from exclave.vault.line.problems import read_problem
from exclave.vault.line.protocol import ASKED_AT, PROTOCOLS, choose_protocol, read_spoken
from exclave.vault.line.tls import client_context, not_trusted
from exclave.vault.line.wire import MAX_BODY, read_status

__all__ = ["Asked", "ask_answer", "ask_answers"]

_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A vault that is asked: where, and whose certificate (DER) it must show."""

    seat: Seat
    public: Address
    anchor: bytes


def ask_answers(
    mission: MissionId, vaults: Mapping[Seat, Asked], *, seconds: float
) -> Mapping[Seat, Answer | str]:
    """All at once; by seat its answer, or why there is none."""
    answers: dict[Seat, Answer | str] = {}

    def ask(seat: Seat, vault: Asked) -> None:
        try:
            answers[seat] = ask_answer(mission, vault, seconds=seconds)
        except ExclaveError as error:
            answers[seat] = error.message

    threads = [Thread(target=ask, args=item, name="ask") for item in vaults.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def ask_answer(mission: MissionId, vault: Asked, *, seconds: float) -> Answer:
    """One vault's public status, and what the line showed; no step takes longer than `seconds`."""
    line = http.client.HTTPSConnection(
        vault.public.host, vault.public.port, timeout=seconds, context=client_context(vault.anchor)
    )
    try:
        line.connect()
        leaf = line.sock.getpeercert(binary_form=True)
        protocol = _spoken(line, vault.seat)
        answer, body = _get(line, vault.seat, f"/v{protocol}/{mission.hex()}/status")
    except ssl.SSLCertVerificationError as error:
        raise not_trusted(vault.seat, error) from error
    except (http.client.HTTPException, OSError) as error:
        raise no_answer(vault.seat, vault.public, error) from error
    finally:
        line.close()
    if answer.status != _OK:
        raise read_problem(body, answer.status)
    return Answer(status=read_status(body, protocol), date=answer.headers["Date"], leaf=leaf)


def _spoken(line: http.client.HTTPSConnection, seat: Seat) -> int:
    answer, body = _get(line, seat, ASKED_AT)
    if answer.status != _OK:
        raise read_problem(body, answer.status)
    return choose_protocol(read_spoken(body), ours=PROTOCOLS, party=f"seat {seat}")


def _get(
    line: http.client.HTTPSConnection, seat: Seat, path: str
) -> tuple[http.client.HTTPResponse, bytes]:
    line.request("GET", path, headers={"Accept-Encoding": "identity"})
    answer = line.getresponse()
    body = _body(answer)
    if body is None:
        raise VaultUnreachable(f"seat {seat}: expected at most {MAX_BODY} bytes, got more")
    return answer, body


def _body(answer: http.client.HTTPResponse) -> bytes | None:
    """All that was sent, None if it is too much."""
    if answer.length is not None:
        # Without a number to read: only then it minds when less comes than was announced.
        return answer.read() if answer.length <= MAX_BODY else None
    body = answer.read(MAX_BODY + 1)
    return body if len(body) <= MAX_BODY else None
