"""P1 and P9: what vaults keep of certificates tells them nothing, and nobody floods them with it.

The attacker is the host, who has every byte of a vault's log; then a thief of the depositor's keys,
who logs what he likes. The control searches a certificate that was not sealed.
"""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from exclave.authority.attestation import attestation_envelope, parse_attestation
from exclave.authority.charter import charter_payload
from exclave.authority.envelope import Envelope, Kind, KindUnexpected, parse_envelope
from exclave.certificate.proof import proof_envelope
from exclave.certificate.sealed import (
    CertificateTooLarge,
    NothingSealed,
    SealedMismatch,
    attest,
    open_attested,
    pack_certificate,
)
from exclave.engine.memory import MemoryEngine
from exclave.errors import AuthorityError
from exclave.sealing.hpke import SealedValueRejected
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import seal_certificate
from exclave.vault.interface import State, VaultRefused
from exclave.vault.mission.mission import Mission
from exclave.vault.mission.submission import submit
from exclave.vault.survey.survey import MissionView, survey
from tests.support.certificates import make_proof, result, shown, signed_proof
from tests.support.serving import open_mission
from tests.support.vault_world import START, World, new_depositor, new_world, next_charter
from tests.unit.vault.test_survey import Seated

TITLE = "Register of Kalamaja pensions"
RECOVERY = XWingPrivateKey.from_seed(b"\x41" * 32)


class Hands:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture(scope="module")
def world() -> World:
    """A mission whose recovery key is known here."""
    made = new_world()
    epoch = replace(
        made.charter.recovery[0],
        key=replace(made.charter.recovery[0].key, raw=RECOVERY.public.raw),
    )

    charter = replace(made.charter, recovery=(epoch,))
    envelope = Envelope(payload=charter_payload(charter), kind=Kind.CHARTER)
    return replace(made, charter=charter, envelope=made.officials_sign(envelope, (0, 1)))


def certificate(world: World, title: str = TITLE) -> Envelope:
    return signed_proof(world, make_proof(world, result(title=title)))


def attested(world: World, envelope: Envelope) -> Envelope:
    return world.depositor.sign(attest(envelope, world.charter, depositor="home", now=START))


def refused(mission: Mission, envelope: Envelope) -> str:
    with pytest.raises((VaultRefused, AuthorityError)) as caught:
        submit(mission, envelope.to_bytes())
    # The server answers `signature` to what does not authenticate itself.
    return caught.value.cause if isinstance(caught.value, VaultRefused) else "signature"


def look(mission: Mission) -> MissionView:
    source: Any = Seated(mission)
    return asyncio.run(survey([source], mission.mission))


def test_whoever_has_the_cards_reads_it_again_from_the_log(world: World) -> None:
    mission, envelope = open_mission(world, MemoryEngine()), certificate(world)
    assert submit(mission, attested(world, envelope).to_bytes()).state is State.LOGGED
    (found,) = look(mission).attestations
    assert found.certificate == envelope.statement_hash
    assert open_attested(found, RECOVERY) == envelope


def test_a_vault_sees_no_title_and_no_count(world: World) -> None:
    envelope = certificate(world)
    body = attested(world, envelope).to_bytes()
    seen = b"".join([body, parse_envelope(body).payload, parse_attestation_sealed(body)])
    words = [TITLE.encode(), b"land", b"passed", base64.b64encode(TITLE.encode())[:20]]
    assert not [word for word in words if word in seen]
    plain = attestation_envelope(
        replace(parse_attestation(parse_envelope(body)), sealed=envelope.payload)
    )
    assert TITLE.encode() in parse_attestation(plain).sealed, "the control"


def parse_attestation_sealed(body: bytes) -> bytes:
    return parse_attestation(parse_envelope(body)).sealed


def test_a_length_says_nothing_to_four_kib(world: World) -> None:
    lengths = {
        len(parse_attestation(attested(world, certificate(world, "x" * size))).sealed)
        for size in (1, 100, 1000)
    }
    assert len(lengths) == 1


def test_the_hash_cannot_be_guessed(world: World) -> None:
    """Everything but the salt is known: the same proof again has another hash."""
    proof = make_proof(world)
    again = replace(proof, head=replace(proof.head, salt=os.urandom(32)))
    assert proof_envelope(proof).statement_hash != proof_envelope(again).statement_hash


def test_another_certificate_under_the_hash_is_found_out(world: World) -> None:
    one, other = certificate(world), certificate(world, "Another register")
    statement = parse_attestation(attested(world, one))
    with pytest.raises(SealedValueRejected):
        open_attested(replace(statement, certificate=other.statement_hash), RECOVERY)

    sealed = seal_certificate(
        RECOVERY.public,
        pack_certificate(other),
        mission=world.mission,
        certificate=one.statement_hash,
        epoch=statement.epoch,
    )
    with pytest.raises(SealedMismatch):
        open_attested(replace(statement, sealed=sealed), RECOVERY)


def test_a_certificate_itself_is_taken_by_no_vault(world: World) -> None:
    mission = open_mission(world, MemoryEngine())

    with pytest.raises(KindUnexpected):
        submit(mission, certificate(world).to_bytes())


def test_only_the_depositor_in_force_logs(world: World) -> None:
    mission = open_mission(world, MemoryEngine())
    unsigned = attest(certificate(world), world.charter, depositor="home", now=START)
    assert refused(mission, unsigned) == "signature"
    half = attested(world, certificate(world))
    assert refused(mission, replace(half, signatures=half.signatures[:1])) == "signature"
    stranger = new_depositor().sign(unsigned)
    assert refused(mission, stranger) == "signature"
    other = new_world()
    assert refused(mission, attested(other, certificate(other))) == "conflict"
    late = replace(parse_attestation(unsigned), epoch=9)  # type: ignore[arg-type]
    assert refused(mission, world.depositor.sign(attestation_envelope(late))) == "conflict"


def test_a_thief_of_the_keys_floods_no_log(world: World) -> None:
    now = Hands()
    mission = open_mission(world, MemoryEngine(), now=now)
    for _ in range(32):
        submit(mission, attested(world, certificate(world)).to_bytes())
    size = mission.log.size
    assert refused(mission, attested(world, certificate(world))) == "quota"
    assert mission.log.size == size
    now.time += timedelta(days=1)
    known = attested(world, certificate(world)).to_bytes()
    assert submit(mission, known).state is State.LOGGED
    assert submit(mission, known).state is State.LOGGED
    assert mission.log.size == size + 1, "what is known changes nothing"
    large = parse_attestation(attested(world, certificate(world)))
    huge = world.depositor.sign(attestation_envelope(replace(large, sealed=bytes(60_000))))
    assert refused(mission, huge) == "too-large"


def test_what_does_not_fit_is_named_before_it_is_sent(world: World) -> None:
    noisy = [result(f"r{number}", title=os.urandom(400).hex()) for number in range(80)]
    envelope = signed_proof(world, make_proof(world, *noisy))
    with pytest.raises(CertificateTooLarge, match="expected an attestation of at most 65536"):
        attest(envelope, world.charter, depositor="home", now=START)


def test_of_an_auditors_certificate_a_vault_has_the_hash_alone(world: World) -> None:
    envelope = shown(world).signed()
    logged = attested(world, envelope)
    mission = open_mission(world, MemoryEngine())
    assert submit(mission, logged.to_bytes()).state is State.LOGGED
    assert len(logged.payload) < 400
    found = parse_attestation(logged)
    assert (found.certificate, found.sealed) == (envelope.statement_hash, b"")
    with pytest.raises(NothingSealed, match="got its hash alone"):
        open_attested(found, RECOVERY)


def test_keys_that_were_replaced_log_nothing_more(world: World) -> None:
    mission = open_mission(world, MemoryEngine())
    new = new_depositor()
    (old,) = world.charter.depositors
    seated = replace(old, keys=new.public, identity=new.identity.certificate)
    submit(mission, next_charter(world, depositors=(seated,))[1])
    assert mission.charter().version == 2
    assert refused(mission, attested(world, certificate(world))) == "signature"
