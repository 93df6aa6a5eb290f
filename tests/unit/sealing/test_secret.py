"""Sealed values: they open with their key in their context, and in no other."""

import dataclasses
from collections.abc import Callable

import pytest
from Crypto.Protocol import HPKE
from Crypto.PublicKey import Hybrid

from exclave.errors import MalformedData
from exclave.ids import DepositId, Epoch, MissionId, PackRoot, Seat
from exclave.sealing.hpke import SEALED_OVERHEAD, SealedValueRejected, seal, unseal
from exclave.sealing.recovery import XWingPrivateKey
from exclave.sealing.secret import (
    SEALED_SECRET_SIZE,
    DepositContext,
    RecoveryKeyMismatch,
    seal_annex,
    seal_deposit_secret,
    seal_for_reader,
    seal_veil_share,
    secret_id,
    unseal_annex,
    unseal_deposit_secret,
    unseal_for_reader,
    unseal_veil_share,
)
from tests.oracles import sealing as oracle

KEY = XWingPrivateKey.from_seed(b"k" * 32)
OTHER = XWingPrivateKey.from_seed(b"o" * 32)
MISSION = MissionId(b"m" * 32)
CONTEXT = DepositContext(
    mission=MISSION,
    deposit=DepositId(b"d" * 16),
    epoch=Epoch(1),
    key_hash=KEY.public.key_hash,
)
SECRET = b"e" * 32


def test_pycryptodome_opens_what_we_seal() -> None:
    sealed = seal(KEY.public, b"words", b"info")
    receiver = HPKE.new(
        receiver_key=Hybrid._construct(param_set=Hybrid.MLKEM768_X25519, seed=KEY.seed),
        aead_id=HPKE.AEAD.AES256_GCM,
        enc=sealed[:1120],
        info=b"info",
    )
    assert receiver.unseal(sealed[1120:]) == b"words"


def test_we_open_what_pycryptodome_seals() -> None:
    sender = HPKE.new(
        receiver_key=Hybrid._construct(param_set=Hybrid.MLKEM768_X25519, pk=KEY.public.raw),
        aead_id=HPKE.AEAD.AES256_GCM,
        info=b"info",
    )
    assert unseal(KEY, sender.enc + sender.seal(b"words"), b"info") == b"words"


def test_key_schedule_of_the_rfc() -> None:
    """Both ways against RFC 9180 written out by hand."""
    assert oracle.hpke_unseal(KEY.seed, seal(KEY.public, b"words", b"i"), b"i") == b"words"
    sealed = oracle.hpke_seal(KEY.public.raw, b"words", b"i", bytes(range(64)))
    assert unseal(KEY, sealed, b"i") == b"words"
    assert len(sealed) == len(b"words") + SEALED_OVERHEAD


def test_deposit_secret_round_trip() -> None:
    sealed = seal_deposit_secret(KEY.public, SECRET, CONTEXT)
    assert len(sealed) == SEALED_SECRET_SIZE == 1168
    assert unseal_deposit_secret(KEY, sealed, CONTEXT) == SECRET
    assert sealed != seal_deposit_secret(KEY.public, SECRET, CONTEXT)


@pytest.mark.parametrize(
    "change",
    [
        {"mission": MissionId(b"x" * 32)},
        {"deposit": DepositId(b"x" * 16)},
        {"epoch": Epoch(2)},
    ],
    ids=["mission", "deposit", "epoch"],
)
def test_deposit_secret_is_bound_to_its_context(change: dict[str, bytes | int]) -> None:
    sealed = seal_deposit_secret(KEY.public, SECRET, CONTEXT)
    with pytest.raises(SealedValueRejected, match="does not open"):
        unseal_deposit_secret(KEY, sealed, dataclasses.replace(CONTEXT, **change))  # type: ignore[arg-type]


def test_another_epochs_key_is_named() -> None:
    sealed = seal_deposit_secret(KEY.public, SECRET, CONTEXT)
    with pytest.raises(RecoveryKeyMismatch, match="expected key hash"):
        unseal_deposit_secret(OTHER, sealed, CONTEXT)
    with pytest.raises(RecoveryKeyMismatch):
        seal_deposit_secret(OTHER.public, SECRET, CONTEXT)


@pytest.mark.parametrize("size", [0, 1167, 1169])
def test_sealed_secret_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(SealedValueRejected, match="expected 1168 bytes"):
        unseal_deposit_secret(KEY, bytes(size), CONTEXT)


def test_short_sealed_value_is_refused() -> None:
    with pytest.raises(SealedValueRejected, match="at least 1136"):
        unseal(KEY, bytes(1135), b"")


def test_point_of_small_order_in_a_sealed_value_is_refused() -> None:
    sealed = bytearray(seal(KEY.public, b"", b""))
    sealed[1088:1120] = bytes(32)
    with pytest.raises(SealedValueRejected):
        unseal(KEY, bytes(sealed), b"")


def test_reader_round_trip_and_binding() -> None:
    name = secret_id(seal_deposit_secret(KEY.public, SECRET, CONTEXT))
    sealed = seal_for_reader(OTHER.public, SECRET, MISSION, name)
    assert unseal_for_reader(OTHER, sealed, MISSION, name) == SECRET
    attempts: list[Callable[[], bytes]] = [
        lambda: unseal_for_reader(KEY, sealed, MISSION, name),
        lambda: unseal_for_reader(OTHER, sealed, MISSION, bytes(32)),
        lambda: unseal_for_reader(OTHER, sealed, MissionId(bytes(32)), name),
    ]
    for attempt in attempts:
        with pytest.raises(SealedValueRejected):
            attempt()


def test_veil_share_round_trip_and_binding() -> None:
    root, seat = PackRoot(b"r" * 32), Seat(3)
    sealed = seal_veil_share(OTHER.public, SECRET, MISSION, root, seat)
    assert unseal_veil_share(OTHER, sealed, MISSION, root, seat) == SECRET
    attempts: list[Callable[[], bytes]] = [
        lambda: unseal_veil_share(OTHER, sealed, MISSION, root, Seat(4)),
        lambda: unseal_veil_share(OTHER, sealed, MISSION, PackRoot(bytes(32)), seat),
        lambda: unseal_veil_share(OTHER, sealed, MissionId(bytes(32)), root, seat),
        lambda: unseal_veil_share(KEY, sealed, MISSION, root, seat),
    ]
    for attempt in attempts:
        with pytest.raises(SealedValueRejected):
            attempt()


def test_annex_round_trip() -> None:
    sealed = seal_annex(KEY.public, b'{"names":[]}')
    assert unseal_annex(KEY, sealed) == b'{"names":[]}'
    with pytest.raises(SealedValueRejected):
        unseal_annex(OTHER, sealed)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: seal_deposit_secret(KEY.public, b"", CONTEXT),
        lambda: seal_for_reader(KEY.public, b"", MISSION, bytes(32)),
        lambda: seal_for_reader(KEY.public, SECRET, MISSION, bytes(31)),
        lambda: seal_for_reader(KEY.public, SECRET, MissionId(b""), bytes(32)),
        lambda: seal_veil_share(KEY.public, SECRET, MISSION, PackRoot(b""), Seat(1)),
        lambda: seal_veil_share(KEY.public, SECRET, MISSION, PackRoot(bytes(32)), Seat(0)),
        lambda: seal_veil_share(KEY.public, SECRET, MISSION, PackRoot(bytes(32)), Seat(256)),
        lambda: seal_veil_share(KEY.public, b"", MISSION, PackRoot(bytes(32)), Seat(1)),
        lambda: dataclasses.replace(CONTEXT, epoch=Epoch(0)),
        lambda: dataclasses.replace(CONTEXT, epoch=Epoch(2**32)),
        lambda: dataclasses.replace(CONTEXT, mission=MissionId(b"")),
        lambda: dataclasses.replace(CONTEXT, deposit=DepositId(b"")),
        lambda: dataclasses.replace(CONTEXT, key_hash=b""),
    ],
)
def test_values_of_impossible_size_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(MalformedData):
        wrong()
