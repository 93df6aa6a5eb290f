"""Writes vectors/xwing and vectors/sealing: `python -m tools.make_vectors_sealing`.

What is sealed here is sealed by the second implementation in tests/oracles, which takes its
randomness as an argument, so every run writes the same bytes. Keys and expectations come from
there too: nothing of `exclave.sealing` is used.
"""

import hashlib
import hmac
from collections.abc import Iterator

from tests.oracles import sealing as oracle
from tools.vector_cases import Case, drawn, flipped, refused, write
from tools.vector_mission import (
    DEPOSIT,
    EPOCH,
    KEY_HASH,
    MISSION,
    PACK_ROOT,
    PUBLIC,
    READER_SEED,
    SEALED_SECRET,
    SEAT,
    SEAT_SEED,
    SECRET,
    SECRET_ID,
    SEED,
)
from tools.vector_packs import packs

DOES_NOT_OPEN = "the AEAD tag does not fit"


def key_check(seed: bytes, key_hash: bytes) -> bytes:
    """The key-check value by HMAC alone."""
    prk = hmac.digest(b"", seed, "sha256")
    return hmac.digest(prk, b"exclave/1/key-check" + key_hash + b"\x01", "sha256")[:16]


def xwing() -> Iterator[Case]:
    """The three vectors of draft-connolly-cfrg-xwing-kem, made again by the draft's rule."""
    stream = hashlib.shake_128(b"").digest(3 * 96)
    for number in range(3):
        start = 96 * number
        seed, eseed = stream[start : start + 32], stream[start + 32 : start + 96]
        public = oracle.xwing_public(seed)
        shared, enc = oracle.xwing_encapsulate(public, eseed)
        yield Case(
            spec="sealing.md 1",
            case=f"draft-{number + 1}",
            operation="x-wing",
            what=f"vector {number + 1} of 3 in draft-connolly-cfrg-xwing-kem, appendix C: the seeds"
            " are consecutive output of SHAKE128 of the empty string",
            given={"seed": seed.hex(), "eseed": eseed.hex()},
            expect={"public": public.hex(), "enc": enc.hex(), "shared_secret": shared.hex()},
        )


def keys() -> Iterator[Case]:
    """Keys and key-check values."""
    spec = "sealing.md 1"
    for name, seed in (("expand-key", SEED), ("expand-key-zero-seed", bytes(32))):
        public = oracle.xwing_public(seed)
        key_hash = hashlib.sha256(public).digest()
        yield Case(
            spec=spec,
            case=name,
            operation="expand-key",
            what="a seed gives a public key, its hash and the key-check value",
            given={"seed": seed.hex()},
            expect={
                "public": public.hex(),
                "key_hash": key_hash.hex(),
                "key_check": key_check(seed, key_hash).hex(),
            },
        )
    yield Case(
        spec=spec,
        case="key-check-of-another-seed",
        operation="verify-key-check",
        what="a wrong passphrase gave another seed",
        given={
            "seed": drawn("another seed", 32).hex(),
            "key_hash": KEY_HASH.hex(),
            "key_check": key_check(SEED, KEY_HASH).hex(),
        },
        expect=refused("KeyCheckMismatch", "the key-check value of this seed is another"),
    )
    for name, raw, why in (
        ("short", PUBLIC[:-1], "1,215 bytes instead of 1,216"),
        ("long", PUBLIC + b"\0", "1,217 bytes instead of 1,216"),
        ("unreduced", b"\xff" * 3 + PUBLIC[3:], "an ML-KEM coefficient is not below 3329"),
        ("small-order", PUBLIC[:1184] + bytes(32), "the X25519 point has small order"),
    ):
        yield Case(
            spec=spec,
            case=f"public-key-{name}",
            operation="read-public-key",
            what="a public key to which nothing can be sealed",
            given={"public": raw.hex()},
            expect=refused("PublicKeyRejected", why),
        )


def deposit_secrets() -> Iterator[Case]:
    """Sealed deposit secrets."""
    given: dict[str, str | int] = {
        "seed": SEED.hex(),
        "mission": MISSION.hex(),
        "deposit": DEPOSIT.hex(),
        "epoch": EPOCH,
        "key_hash": KEY_HASH.hex(),
        "sealed": SEALED_SECRET.hex(),
    }
    changes: list[tuple[str, dict[str, str | int], str, str]] = [
        ("wrong-mission", {"mission": flipped(MISSION, 0).hex()}, "", DOES_NOT_OPEN),
        ("wrong-deposit", {"deposit": flipped(DEPOSIT, 15).hex()}, "", DOES_NOT_OPEN),
        ("wrong-epoch", {"epoch": EPOCH + 1}, "", DOES_NOT_OPEN),
        ("mlkem-altered", {"sealed": flipped(SEALED_SECRET, 0).hex()}, "", DOES_NOT_OPEN),
        ("x25519-altered", {"sealed": flipped(SEALED_SECRET, 1100).hex()}, "", DOES_NOT_OPEN),
        (
            "x25519-high-bit",
            {"sealed": flipped(SEALED_SECRET, 1119, 0x80).hex()},
            "",
            "X25519 ignores this bit, but X-Wing hashes the bytes as sent",
        ),
        ("ciphertext-altered", {"sealed": flipped(SEALED_SECRET, 1120).hex()}, "", DOES_NOT_OPEN),
        ("short", {"sealed": SEALED_SECRET[:-1].hex()}, "", "1,167 bytes instead of 1,168"),
        ("long", {"sealed": SEALED_SECRET.hex() + "00"}, "", "1,169 bytes instead of 1,168"),
        (
            "other-key",
            {"seed": READER_SEED.hex()},
            "RecoveryKeyMismatch",
            "the key's hash is not the one that the deposit names",
        ),
    ]
    for name, change, error, why in [("", {}, "", ""), *changes]:
        yield Case(
            spec="sealing.md 2",
            case=f"unseal-deposit-secret-{name}" if name else "unseal-deposit-secret",
            operation="unseal-deposit-secret",
            what="open a deposit secret with the recovery key, in the context of its deposit",
            given={**given, **change},
            expect=refused(error or "SealedValueRejected", why)
            if name
            else {"secret": SECRET.hex(), "secret_id": SECRET_ID.hex()},
        )


def reader_secrets() -> Iterator[Case]:
    """Secrets sealed to a reader."""
    info = b"exclave/1/unsealed\0" + MISSION + SECRET_ID
    public = oracle.xwing_public(READER_SEED)
    sealed = oracle.hpke_seal(public, SECRET, info, drawn("reader enc", 64))
    for name, secret_id in (("", SECRET_ID), ("-of-another-secret", flipped(SECRET_ID, 31))):
        yield Case(
            spec="sealing.md 2",
            case=f"unseal-for-reader{name}",
            operation="unseal-for-reader",
            what="open an unsealed secret with the reader's one-time key",
            given={
                "seed": READER_SEED.hex(),
                "mission": MISSION.hex(),
                "secret_id": secret_id.hex(),
                "sealed": sealed.hex(),
            },
            expect=refused("SealedValueRejected", DOES_NOT_OPEN)
            if name
            else {"secret": SECRET.hex()},
        )


def veil_shares() -> Iterator[Case]:
    """Veil shares sealed to a seat."""
    share = drawn("veil share", 32)
    info = b"exclave/1/veil-share\0" + MISSION + PACK_ROOT + bytes([SEAT])
    public = oracle.xwing_public(SEAT_SEED)
    sealed = oracle.hpke_seal(public, share, info, drawn("veil enc", 64))
    for name, seat, root in (
        ("", SEAT, PACK_ROOT),
        ("-of-another-seat", SEAT + 1, PACK_ROOT),
        ("-of-another-pack", SEAT, flipped(PACK_ROOT, 0)),
    ):
        yield Case(
            spec="sealing.md 2",
            case=f"unseal-veil-share{name}",
            operation="unseal-veil-share",
            what="open a veil share with its seat's key",
            given={
                "seed": SEAT_SEED.hex(),
                "mission": MISSION.hex(),
                "pack_root": root.hex(),
                "seat": seat,
                "sealed": sealed.hex(),
            },
            expect=refused("SealedValueRejected", DOES_NOT_OPEN)
            if name
            else {"share": share.hex()},
        )


def annexes() -> Iterator[Case]:
    """The annex of names."""
    annex = b'{"names":[]}'
    info = b"exclave/1/annex\0" + KEY_HASH
    sealed = oracle.hpke_seal(PUBLIC, annex, info, drawn("annex enc", 64))
    for name, seed in (("", SEED), ("-with-another-key", READER_SEED)):
        yield Case(
            spec="sealing.md 2",
            case=f"unseal-annex{name}",
            operation="unseal-annex",
            what="open the annex of names with the recovery key",
            given={"seed": seed.hex(), "sealed": sealed.hex()},
            expect=refused("SealedValueRejected", DOES_NOT_OPEN)
            if name
            else {"annex": annex.hex()},
        )


def folders() -> dict[str, list[Case]]:
    """All cases by folder of vectors/."""
    sealing = [*keys(), *deposit_secrets(), *reader_secrets(), *veil_shares(), *annexes(), *packs()]
    return {"xwing": list(xwing()), "sealing": sealing}


if __name__ == "__main__":
    for folder, cases in folders().items():
        print(f"vectors/{folder}: {write(folder, cases)} cases")
