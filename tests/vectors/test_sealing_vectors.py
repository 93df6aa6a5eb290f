"""Every vector of vectors/xwing and vectors/sealing through `exclave.sealing`."""

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exclave.ids import DepositId, Epoch, MissionId, PackRoot, Seat
from exclave.sealing.hpke import unseal
from exclave.sealing.pack import open_pack
from exclave.sealing.recovery import (
    XWingPrivateKey,
    XWingPublicKey,
    key_check_value,
    verify_key_check,
)
from exclave.sealing.secret import (
    DepositContext,
    secret_id,
    unseal_annex,
    unseal_deposit_secret,
    unseal_for_reader,
    unseal_veil_share,
)
from tests.oracles import sealing as oracle
from tests.vectors.cases import Loaded, load, require_committed, require_expected
from tools import make_vectors_sealing


def key(case: Loaded) -> XWingPrivateKey:
    return XWingPrivateKey.from_seed(case.bytes_of("seed"))


def mission(case: Loaded) -> MissionId:
    return MissionId(case.bytes_of("mission"))


def expand(case: Loaded) -> dict[str, Any]:
    public = key(case).public
    return {
        "public": public.raw.hex(),
        "key_hash": public.key_hash.hex(),
        "key_check": key_check_value(key(case), public.key_hash).hex(),
    }


def check(case: Loaded) -> dict[str, Any]:
    verify_key_check(case.bytes_of("seed"), case.bytes_of("key_hash"), case.bytes_of("key_check"))
    return {}


def read_public(case: Loaded) -> dict[str, Any]:
    return {"key_hash": XWingPublicKey(case.bytes_of("public")).key_hash.hex()}


def deposit_secret(case: Loaded) -> dict[str, Any]:
    context = DepositContext(
        mission=mission(case),
        deposit=DepositId(case.bytes_of("deposit")),
        epoch=Epoch(case.given["epoch"]),
        key_hash=case.bytes_of("key_hash"),
    )
    sealed = case.bytes_of("sealed")
    secret = unseal_deposit_secret(key(case), sealed, context)
    return {"secret": secret.hex(), "secret_id": secret_id(sealed).hex()}


def for_reader(case: Loaded) -> dict[str, Any]:
    name, sealed = case.bytes_of("secret_id"), case.bytes_of("sealed")
    return {"secret": unseal_for_reader(key(case), sealed, mission(case), name).hex()}


def veil_share(case: Loaded) -> dict[str, Any]:
    root, seat = PackRoot(case.bytes_of("pack_root")), Seat(case.given["seat"])
    sealed = case.bytes_of("sealed")
    return {"share": unseal_veil_share(key(case), sealed, mission(case), root, seat).hex()}


def annex(case: Loaded) -> dict[str, Any]:
    return {"annex": unseal_annex(key(case), case.bytes_of("sealed")).hex()}


def pack(case: Loaded) -> dict[str, Any]:
    header, plaintext = open_pack(
        case.bytes_of("sealed"), secret=case.bytes_of("secret"), veil=case.bytes_of("veil")
    )
    return {
        "kind": int(header.kind),
        "k": header.k,
        "epoch": header.epoch,
        "mission": header.mission.hex(),
        "deposit": header.deposit.hex(),
        "key_hash": header.key_hash.hex(),
        "plaintext": plaintext.hex(),
    }


OPERATIONS: dict[str, Callable[[Loaded], dict[str, Any]]] = {
    "expand-key": expand,
    "verify-key-check": check,
    "read-public-key": read_public,
    "unseal-deposit-secret": deposit_secret,
    "unseal-for-reader": for_reader,
    "unseal-veil-share": veil_share,
    "unseal-annex": annex,
    "open-pack": pack,
}


@pytest.mark.parametrize("case", load("sealing"), ids=lambda case: case.name)
def test_vector(case: Loaded) -> None:
    require_expected(case, lambda: OPERATIONS[case.operation](case))


@pytest.mark.parametrize("case", load("xwing"), ids=lambda case: case.name)
def test_xwing_vector(case: Loaded) -> None:
    """The published encapsulation and secret, put into a sealed value by RFC 9180."""
    private = key(case)
    assert private.public.raw.hex() == case.expect["public"]
    aead_key, nonce = oracle.hpke_key(bytes.fromhex(case.expect["shared_secret"]), b"info")
    sealed = bytes.fromhex(case.expect["enc"]) + AESGCM(aead_key).encrypt(nonce, b"words", None)
    assert unseal(private, sealed, b"info") == b"words"


def test_generator_writes_what_is_committed() -> None:
    require_committed(make_vectors_sealing.folders())


def test_every_operation_has_a_vector() -> None:
    assert {case.operation for case in load("sealing")} == set(OPERATIONS)
