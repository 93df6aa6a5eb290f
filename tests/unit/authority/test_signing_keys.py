"""Officials' keys of all algorithms: one form each, one person each, whatever a key is called."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from exclave.authority.asked import asked
from exclave.authority.charter import Charter, parse_charter
from exclave.authority.charter_rules import KeyReused
from exclave.authority.ecdsa import P256, P384, Curve
from exclave.authority.envelope import Envelope, Kind, KindUnexpected, envelope_for
from exclave.authority.keys import (
    ED25519,
    ML_DSA_65,
    SSHSIG_ED25519,
    SSHSIG_SK_ED25519,
    SignatureInvalid,
    TypedKey,
    verify_signature,
)
from exclave.authority.sshsig import SecurityKey, SshSignature, decode_security_key, parse_sshsig
from exclave.encoding import b64encode, canonical_json
from exclave.errors import ExclaveError
from tests.vectors.cases import Loaded, load
from tools import vector_authority as mission
from tools.vector_signatures import MESSAGE, SSH_SEED, Blob

RAW = Ed25519PrivateKey.from_private_bytes(SSH_SEED).public_key().public_bytes_raw()
GOOD = [
    case
    for case in load("statements")
    if case.operation == "verify-signature" and "refused" not in case.expect
]


def token(application: bytes) -> TypedKey:
    """A security key with the curve key of the vectors."""
    return TypedKey(SSHSIG_SK_ED25519, SecurityKey(curve_key=RAW, application=application).encode())


@pytest.mark.parametrize(
    "second", [TypedKey(SSHSIG_ED25519, RAW), token(b"ssh:"), token(b"ssh:exclave")]
)
def test_one_key_is_not_two_persons(second: TypedKey) -> None:
    """The ids differ, the secret does not: a charter with both is refused."""
    payload = mission.charter()
    payload["officials"][0]["key_sets"] = [[TypedKey(ED25519, RAW).to_json()]]
    payload["officials"][1]["key_sets"] = [[second.to_json()]]
    with pytest.raises(KeyReused, match=r"got at official .* and at official"):
        parse_charter(Envelope(payload=canonical_json(payload), kind=Kind.CHARTER))


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_signature_has_no_second_form(case: Loaded) -> None:
    """Bits of every byte are changed, one at a time: none of these verifies."""
    key = TypedKey(case.given["alg"], case.bytes_of("key"))
    message, signature = case.bytes_of("message"), case.bytes_of("signature")
    verify_signature(key, message, signature)
    for bit in range(0, len(signature) * 8, 5):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureInvalid):
            verify_signature(key, message, bytes(changed))
    for other in (message + b"\0", message[:-1], b""):
        with pytest.raises(SignatureInvalid):
            verify_signature(key, other, signature)


def test_good_signatures_of_every_algorithm_were_tried() -> None:
    algorithms = {case.given["alg"] for case in GOOD}
    assert algorithms == {
        "ed25519", "ecdsa-p256", "ecdsa-p384", "sshsig-ed25519", "sshsig-sk-ed25519"
    }  # fmt: skip


@pytest.mark.parametrize("curve", [P256, P384], ids=lambda curve: curve.name)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_settling_is_idempotent(curve: Curve, data: st.DataObject) -> None:
    """Of the two forms of a signature, both settle to the same one."""
    r, s = (data.draw(st.integers(1, curve.order - 1)) for _ in range(2))

    def joined(second: int) -> bytes:
        return r.to_bytes(curve.size, "big") + second.to_bytes(curve.size, "big")

    settled = curve.settle(joined(s))
    assert settled == curve.settle(joined(curve.order - s)) == curve.settle(settled)
    assert int.from_bytes(settled[curve.size :], "big") <= curve.order // 2


@given(
    public=st.binary(max_size=80),
    signature=st.binary(min_size=64, max_size=64),
    flags=st.none() | st.integers(0, 255),
    counter=st.integers(0, 2**32 - 1),
)
def test_ssh_signatures_are_read_as_written(
    public: bytes, signature: bytes, flags: int | None, counter: int
) -> None:
    value = SshSignature(
        public=public,
        signature=signature,
        flags=flags,
        counter=None if flags is None else counter,
    )
    assert parse_sshsig(value.encode()) == value


@given(curve_key=st.binary(min_size=32, max_size=32), application=st.binary(max_size=70))
def test_security_keys_are_read_as_written_or_refused(curve_key: bytes, application: bytes) -> None:
    value = SecurityKey(curve_key=curve_key, application=b"ssh:" + application)
    try:
        assert decode_security_key(value.encode()) == value
    except ExclaveError:
        assert len(application) > 60 or not all(0x21 <= byte <= 0x7E for byte in application)


def test_only_a_post_quantum_key_makes_a_set_that_is_not_classical() -> None:
    """One classical set among several is enough to forge."""
    strong = next(o for o in parse_charter_of(mission.charter()).officials)
    assert strong.classical
    payload = mission.charter()
    both = [mission.public("fresh").to_json(), {"alg": ML_DSA_65, "key": b64encode(bytes(1952))}]
    payload["officials"][0]["key_sets"] = [both]
    assert not parse_charter_of(payload).officials[0].classical
    payload["officials"][0]["key_sets"] = [both, [TypedKey(SSHSIG_ED25519, RAW).to_json()]]
    assert parse_charter_of(payload).officials[0].classical


def parse_charter_of(payload: dict[str, Any]) -> Charter:
    """A charter, unsigned."""
    return parse_charter(Envelope(payload=canonical_json(payload), kind=Kind.CHARTER))


def test_rosters_by_kind() -> None:
    """Tightening needs one; an unlock is exile's; nobody signs a record here."""
    charter = parse_charter_of(mission.charter())
    (lockdown,) = asked(envelope_for({"kind": "lockdown"}), charter).every
    assert (lockdown.roles, lockdown.threshold) == (("alarm", "exile_1", "exile_2"), 1)
    assert {item.roles for item in asked(envelope_for({"kind": "unlock"}), charter).either} == {
        ("exile_1",), ("exile_2",)
    }  # fmt: skip
    warrant = asked(envelope_for({"kind": "warrant"}), charter)
    assert [item.roles for item in warrant.every] == [("read",)]
    assert [item.roles for item in warrant.locked] == [("exile_1",), ("exile_2",)]
    with pytest.raises(KindUnexpected, match="expected one that officials sign, got a record"):
        asked(envelope_for({"kind": "record"}), charter)


def test_the_vectors_say_what_is_signed() -> None:
    """The message of the vectors is the PAE of an order, and the blob names its public key."""
    assert MESSAGE.startswith(b"DSSEv1 ")
    parsed = parse_sshsig(Blob(flags=0x05).encode())
    assert (parsed.flags, parsed.counter) == (5, 7)
    assert parsed.public == token(b"ssh:exclave").raw
