"""The cases of sealed packs for `tools.make_vectors_sealing`."""

import struct
from collections.abc import Iterator

from exclave.encoding import JsonObject
from tests.oracles import sealing as oracle
from tools.vector_cases import Case, drawn, flipped, refused
from tools.vector_mission import (
    DEPOSIT,
    EPOCH,
    KEY_HASH,
    MISSION,
    SEALED_SECRET,
    SECRET,
    VEIL,
)

SPEC = "sealing.md 4"
SALT = drawn("pack salt", 32)
SALT24 = drawn("pack salt24", 24)
HEADER, BODY, SEGMENT = 1296, 1296 + 56, 16384 + 16


def header(*, kind: int = 1, k: int = 2, epoch: int = EPOCH) -> bytes:
    """A pack header."""
    start = struct.pack(">8sHBBI", b"EXCLAVEP", 1, kind, k, epoch)
    return start + MISSION + DEPOSIT + KEY_HASH + SEALED_SECRET + SALT


def sealed(size: int, head: bytes = b"") -> bytes:
    """A pack with a plaintext of `size` bytes."""
    return oracle.seal_pack(head or header(), SECRET, VEIL, drawn("plaintext", size), SALT24)


SMALL = sealed(40)
LARGE = sealed(2 * 16384 + 10)


def case(
    name: str,
    what: str,
    pack: bytes,
    expect: JsonObject,
    *,
    secret: bytes = SECRET,
    veil: bytes = VEIL,
) -> Case:
    """A case of opening a pack."""
    return Case(
        spec=SPEC,
        case=f"open-pack-{name}",
        operation="open-pack",
        what=what,
        given={"secret": secret.hex(), "veil": veil.hex(), "sealed": pack.hex()},
        expect=expect,
    )


def good() -> Iterator[Case]:
    """Packs that open."""
    for name, size, fields in (
        ("empty", 0, {"kind": 1, "k": 2, "epoch": EPOCH}),
        ("small", 40, {"kind": 1, "k": 2, "epoch": EPOCH}),
        ("manifest-highest-numbers", 1, {"kind": 2, "k": 255, "epoch": 2**32 - 1}),
        ("one-byte-below-a-segment", 16383, {"kind": 1, "k": 2, "epoch": EPOCH}),
        ("whole-segment-then-empty", 16384, {"kind": 1, "k": 2, "epoch": EPOCH}),
        ("three-segments", 2 * 16384 + 10, {"kind": 1, "k": 2, "epoch": EPOCH}),
    ):
        expect: JsonObject = {
            **fields,
            "mission": MISSION.hex(),
            "deposit": DEPOSIT.hex(),
            "key_hash": KEY_HASH.hex(),
            "plaintext": drawn("plaintext", size).hex(),
        }
        what = f"a plaintext of {size} bytes"
        yield case(name, what, sealed(size, header(**fields)), expect)


def refused_headers() -> Iterator[Case]:
    """Headers that are refused before anything is decrypted."""
    for name, pack, error, why in (
        ("wrong-magic", flipped(SMALL, 7), "NotAPack", "the first 8 bytes are not EXCLAVEP"),
        ("suite-2", flipped(SMALL, 9, 3), "UnknownSuite", "suite 2 is not known"),
        ("kind-0", sealed(40, header(kind=0)), "HeaderInvalid", "kind is neither 1 nor 2"),
        ("kind-3", sealed(40, header(kind=3)), "HeaderInvalid", "kind is neither 1 nor 2"),
        ("k-0", sealed(40, header(k=0)), "HeaderInvalid", "k is 0"),
        ("epoch-0", sealed(40, header(epoch=0)), "HeaderInvalid", "epoch is 0"),
        ("nothing", b"", "PackTruncated", "no bytes"),
        ("header-cut", SMALL[:1295], "PackTruncated", "the header is not whole"),
        ("header-alone", SMALL[:HEADER], "PackTruncated", "no body"),
    ):
        yield case(name, "a header that no sealer writes", pack, refused(error, why))


def wrong_keys() -> Iterator[Case]:
    """Packs whose key does not fit."""
    why = "the commitment does not fit the pack key"
    expect = refused("CommitmentMismatch", why)
    yield case("wrong-secret", "another secret", SMALL, expect, secret=flipped(SECRET, 0))
    yield case("wrong-veil", "another veil", SMALL, expect, veil=flipped(VEIL, 31))
    yield case("swapped", "secret and veil swapped", SMALL, expect, secret=VEIL, veil=SECRET)
    for name, offset in (
        ("kind", 10),
        ("k", 11),
        ("epoch", 15),
        ("mission", 16),
        ("deposit", 63),
        ("key-hash", 95),
        ("sealed-secret", 96),
        ("salt", 1295),
        ("salt24", HEADER),
        ("commitment", BODY - 1),
    ):
        mask = 3 if name == "kind" else 1
        changed = flipped(SMALL, offset, mask)
        yield case(f"changed-{name}", f"{name} was changed after sealing", changed, expect)


def altered_bodies() -> Iterator[Case]:
    """Bodies that were altered, cut or extended."""
    start, body = LARGE[:BODY], LARGE[BODY:]
    first, second, last = body[:SEGMENT], body[SEGMENT : 2 * SEGMENT], body[2 * SEGMENT :]
    tag = "a segment's tag does not fit"
    for name, pack, error, why in (
        ("altered-ciphertext", flipped(SMALL, BODY), "SegmentRejected", tag),
        ("altered-tag", flipped(SMALL, len(SMALL) - 1), "SegmentRejected", tag),
        ("last-byte-missing", SMALL[:-1], "SegmentRejected", tag),
        ("byte-added", SMALL + b"\0", "SegmentRejected", tag),
        ("tag-cut", SMALL[: BODY + 15], "PackTruncated", "the last segment has no whole tag"),
        ("segments-swapped", start + second + first + last, "SegmentRejected", tag),
        ("segment-missing", start + first + last, "SegmentRejected", tag),
        ("last-segment-missing", start + first + second, "PackTruncated", "it ends full"),
    ):
        yield case(name, "the body is not as it was sealed", pack, refused(error, why))


def packs() -> Iterator[Case]:
    """All cases of packs."""
    yield from good()
    yield from refused_headers()
    yield from wrong_keys()
    yield from altered_bodies()
