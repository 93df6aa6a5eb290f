"""What people type: a yes, a passphrase, the words of cards, with a mistake on the way."""

from __future__ import annotations

import os
from pathlib import Path

from exclave.authority.card import parse_card
from exclave.authority.charter import parse_charter
from exclave.authority.envelope import Kind, parse_envelope
from exclave.authority.record import SealedSecret
from exclave.authority.unsealing import (
    UnsealRequest,
    parse_unseal_request,
    parse_unsealed,
    request_envelope,
)
from exclave.clock import now
from exclave.ids import DepositId
from exclave.plain_words import grouped
from exclave.sealing.secret import DepositContext, seal_deposit_secret
from exclave.signer.file import load_key_file
from exclave.signer.parties import new_reader_key
from tests.scripts.conftest import PASSPHRASE, Mission
from tests.support.records import signed_record
from tests.support.typist import Typist


def test_sign_asks_first(tmp_path: Path, embassy: Mission) -> None:
    """No means no; yes asks for the passphrase, which is not shown."""
    charter = tmp_path / "charter.json"
    charter.write_bytes(embassy.charter.read_bytes())
    before = charter.read_bytes()
    declined = Typist("sign", charter, "--key", embassy.key("ambassador-a"))
    declined.expect("who may read, and who may change it")
    declined.expect("[y/N] ")
    declined.type("n")
    assert declined.end() == 6
    assert charter.read_bytes() == before
    agreed = Typist("sign", charter, "--key", embassy.key("ambassador-a"))
    agreed.expect("[y/N] ")
    agreed.type("y")
    agreed.expect("passphrase of ")
    agreed.type(PASSPHRASE)
    agreed.expect("4 of 5 officials signed, 3 required")
    assert agreed.end() == 0
    assert PASSPHRASE not in agreed.seen


def test_cards_are_typed(tmp_path: Path, embassy: Mission) -> None:
    """A mistyped word is said at once and only its line typed again; a repeated card as well."""
    request = _request(tmp_path, embassy)
    typist = Typist(
        "unseal", request, "--charter", embassy.charter, "--unsafe-without-warrant",
        "--card", embassy.card(2, 1), "--card", embassy.card(2, 2),
    )  # fmt: skip
    to = parse_unseal_request(parse_envelope(request.read_bytes())).to
    typist.expect(f"one-time key {grouped(to.key_hash)}")
    typist.expect("warning: no warrant")
    typist.expect("[y/N] ")
    typist.type("y")
    typist.expect("1 of 2 groups complete")
    for member, good in ((1, True), (1, False), (3, True)):
        words = parse_card(embassy.card(3, member).read_text()).words
        typist.expect("word 1: ")
        typist.type("1 " + " ".join(words[:4]))
        typist.expect("word 5: ")
        typist.type(f"5 {words[4]} zzzz")
        typist.expect("word 6: expected a word of the list")
        typist.expect("word 6: ")
        typist.type(" ".join(word[:4] for word in words[5:]))
        typist.expect("good;" if good else "was given before")
    typist.expect("1 secrets sealed to the one-time key")
    assert typist.end() == 0
    answer = parse_unsealed(parse_envelope((tmp_path / "answer.json").read_bytes()))
    assert len(answer.secrets) == 1


def _request(folder: Path, embassy: Mission) -> Path:
    charter = parse_charter(parse_envelope(embassy.charter.read_bytes(), kinds=[Kind.CHARTER]))
    epoch, deposit = charter.current_epoch, DepositId(bytes(16))
    context = DepositContext(
        mission=charter.mission_id, deposit=deposit, epoch=epoch.epoch, key_hash=epoch.key_hash
    )
    sealed = seal_deposit_secret(epoch.key.xwing, bytes(32), context)
    secret = SealedSecret(deposit=deposit, sealed=sealed)
    depositor = load_key_file(next(embassy.charter.parent.glob("depositors/*/keys.json")))
    record = signed_record(charter, depositor, deposit=deposit, secrets=(secret,), clock=now)
    request = UnsealRequest(
        mission=charter.mission_id,
        epoch=epoch.epoch,
        secrets=(secret,),
        records=(record,),
        to=new_reader_key("reader", os.urandom).only("x-wing").key,
        warrant=None,
    )
    path = folder / "unseal-request.json"
    path.write_bytes(request_envelope(request).to_bytes())
    return path
