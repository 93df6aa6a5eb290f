"""Parts of the reader against published values and against each other's inverse."""

import itertools
import random
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.reader.loaded import load_reader

reader = load_reader()


def test_fields_are_those_of_the_standards() -> None:
    # FIPS 197 4.2: {57} x {83} = {c1}; Plank's tables for 0x11d: 2^8 = 0x1d.
    assert reader.WORD_FIELD.times(0x57, 0x83) == 0xC1
    assert reader.CODE_FIELD.times(0x80, 2) == 0x1D
    for field in (reader.WORD_FIELD, reader.CODE_FIELD):
        assert all(field.times(a, field.inverse(a)) == 1 for a in range(1, 256))


def test_hkdf_rfc_5869_case_1() -> None:
    key = reader.hkdf_extract("sha256", bytes(range(13)), b"\x0b" * 22)
    assert key.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    out = reader.hkdf_expand("sha256", key, bytes(range(0xF0, 0xFA)), 42)
    assert out.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_hpke_key_schedule_against_the_library() -> None:
    # The KEM's secret comes from X-Wing's published vectors; here both halves meet.
    from cryptography.hazmat.primitives import hpke
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    key = reader.XWingKey.from_seed(b"s" * 32)
    public = key.public()
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    both = hpke.MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:1184]),
        X25519PublicKey.from_public_bytes(public[1184:]),
    )
    sealed = suite.encrypt(b"message", both, b"info")
    assert reader.hpke_open(key, sealed, b"info") == b"message"
    with pytest.raises(reader.SealRefused):
        reader.hpke_open(key, sealed, b"other")


def test_empty_tree_and_rfc_6962_roots() -> None:
    # Roots of the certificate-transparency reference tree.
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
              "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
    data = [bytes.fromhex(leaf) for leaf in leaves]
    assert reader.tree_root([]).hex().startswith("e3b0c44298fc1c14")
    assert reader.tree_root(data[:1]).hex().startswith("6e340b9cffb37a98")
    assert reader.tree_root(data).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


@pytest.mark.parametrize(("k", "seats"), [(1, [1, 9]), (2, [1, 2, 3, 4]), (3, [1, 3, 5, 200])])
def test_any_k_bodies_rebuild(k: int, seats: list[int]) -> None:
    pack = random.Random(k).randbytes(20000)
    size = reader.body_length(len(pack), k)
    rows = list(reader.pieces(pack.ljust(k * size, b"\0"), size))
    bodies = {s: reader.combine_rows(reader.code_row(k, s), rows) for s in seats}
    for chosen in itertools.combinations(seats, k):
        assert reader.decode_bodies(k, len(pack), {s: bodies[s] for s in chosen}) == pack


def test_cobblestone_opens_and_commits() -> None:
    key, salt, context = b"k" * 32, b"n" * 24, b"c" * 32
    for length in (0, 1, 16383, 16384, 40000):
        plain = random.Random(length).randbytes(length)
        aead, base, commitment = reader.cobblestone_keys(key, salt, context)
        body = salt + commitment
        for number in range(length // 16384 + 1):
            part = plain[16384 * number : 16384 * (number + 1)]
            body += AESGCM(aead).encrypt((base ^ number).to_bytes(12, "big"), part, None)
        assert reader.cobblestone_open(key, body, context) == plain
        with pytest.raises(reader.PackRefused):
            reader.cobblestone_open(key, body, b"d" * 32)


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', '{"b":1,"a":2}', '{"a": 1}', "1.0", "-0", '"\\u0041"', '"\\ud800"',
     "9007199254740992", "[" * 33 + "]" * 33, "NaN", '{"\u00e9":1}', ""],
)  # fmt: skip
def test_other_encodings_are_refused(text: str) -> None:
    with pytest.raises(reader.NotCanonical):
        reader.decode_json(text.encode("utf-8", "surrogatepass"))


def test_rows_come_in_any_pieces(tmp_path: Path) -> None:
    whole = b"".join(b"%d\tname %d\n" % (n, n) for n in range(20_000)) + b"x" * 200_000 + b"\n"
    at_once = reader.RowGroups()
    expected = at_once.add(whole) + at_once.finish()
    for size in (1, 4099, 65_536, 100_000):
        proof = reader.RowProof(tmp_path)
        for start in range(0, len(whole), size):
            proof.update(whole[start : start + size])
        assert b"".join(proof.groups()) == expected
        assert proof.rows == 20_001
    cut = reader.RowProof(tmp_path)
    cut.update(whole[:-1])
    with pytest.raises(reader.StreamRefused, match="does not end in LF"):
        list(cut.groups())


def test_acl_of_a_large_object() -> None:
    items = list(reader.parse_acl('{postgres=rw/postgres,=r/postgres,"\\"a b\\"=r*/postgres"}'))
    assert items == [("postgres", "rw"), ("", "r"), ("a b", "r*")]
    with pytest.raises(reader.EntryRefused):
        list(reader.parse_acl("{nonsense}"))


def test_sql_is_quoted() -> None:
    assert reader.quote_name('a"b') == '"a""b"'
    assert reader.connect("x'y") == "\\connect -reuse-previous=on \"dbname='x\\'y'\""
    with pytest.raises(reader.EntryRefused):
        reader.connect("a\nb")


def test_sqlite_counts_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.executescript('CREATE TABLE "t""x"(a); INSERT INTO "t""x" VALUES (1), (2);')
    connection.close()
    assert reader.sqlite_counts(path, [['t"x', 2]]) == []
    assert len(reader.sqlite_counts(path, [['t"x', 3]])) == 1
