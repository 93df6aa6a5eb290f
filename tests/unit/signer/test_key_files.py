"""Key files: round trip, and every way in which one must not open or be written."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from exclave.authority.envelope import envelope_for
from exclave.authority.keys import ED25519, ML_DSA_44, X_WING, SignatureInvalid, TypedKey
from exclave.encoding import canonical_json
from exclave.errors import ExclaveError, MalformedData, NonCanonicalData
from exclave.signer.bundle import KeyAbsent, KeyBundle
from exclave.signer.file import (
    KeyFileDamaged,
    KeyFileExists,
    KeyFileExposed,
    KeyFileLocked,
    PassphraseWrong,
    decode_key_file,
    encode_key_file,
    load_key_file,
    parse_public_keys,
    public_keys_bytes,
    save_key_file,
)
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import (
    DEDUP_SECRET,
    new_depositor_key,
    new_official_key,
    new_reader_key,
    new_vault_key,
)
from exclave.signer.passphrase import (
    PassphraseFileExposed,
    PassphraseUnreadable,
    PassphraseWeak,
    passphrase_from_descriptor,
    passphrase_from_file,
)

PASSPHRASE = "correct horse bättery".encode()
FAST = 2**15


def _refuse() -> bytes:
    raise AssertionError("asked for a passphrase")


def _official() -> tuple[KeyBundle, bytes]:
    bundle = new_official_key(os.urandom)
    return bundle, encode_key_file(bundle, passphrase=PASSPHRASE, random=os.urandom, n=FAST)


def test_an_encrypted_file_opens_with_its_passphrase_only() -> None:
    bundle, data = _official()
    assert decode_key_file(data, lambda: PASSPHRASE) == bundle
    # The same passphrase typed on a keyboard that composes its characters differently.
    decomposed = "correct horse ba\u0308ttery".encode()
    assert decode_key_file(data, lambda: decomposed) == bundle
    with pytest.raises(PassphraseWrong):
        decode_key_file(data, lambda: b"correct horse battery")
    with pytest.raises(KeyFileLocked):
        decode_key_file(data)


def test_nothing_in_an_encrypted_file_can_be_exchanged() -> None:
    bundle, data = _official()
    value = json.loads(data)
    value["id"] = "p-" + "0" * 16
    with pytest.raises(PassphraseWrong):
        decode_key_file(canonical_json(value), lambda: PASSPHRASE)
    other = new_official_key(os.urandom)
    value = json.loads(data)
    value["public"] = [key.to_json() for key in other.public]
    with pytest.raises(PassphraseWrong):
        decode_key_file(canonical_json(value), lambda: PASSPHRASE)
    with pytest.raises(NonCanonicalData):
        decode_key_file(data + b"\n", lambda: PASSPHRASE)
    assert bundle.keys[0].seed.hex().encode() not in data


@pytest.mark.parametrize(("name", "bad"), [("n", 2**14), ("n", 2**15 + 1), ("n", 2**21), ("r", 9)])
def test_costs_outside_the_limits_are_refused(name: str, bad: int) -> None:
    _, data = _official()
    value = json.loads(data)
    value["protection"][name] = bad
    with pytest.raises(MalformedData):
        decode_key_file(canonical_json(value), lambda: PASSPHRASE)


def test_a_machine_key_lies_open_and_an_officials_never() -> None:
    bundle = new_depositor_key("registry-1", os.urandom)
    data = encode_key_file(bundle, passphrase=None, random=os.urandom)
    assert decode_key_file(data, _refuse) == bundle
    assert decode_key_file(data).secret(DEDUP_SECRET) == bundle.secret(DEDUP_SECRET)
    with pytest.raises(KeyFileLocked):
        encode_key_file(new_official_key(os.urandom), passphrase=None, random=os.urandom)


def test_public_keys_that_are_not_the_seeds_are_refused() -> None:
    bundle = new_depositor_key("registry-1", os.urandom)
    value = json.loads(encode_key_file(bundle, passphrase=None, random=os.urandom))
    value["public"] = [key.to_json() for key in new_depositor_key("x", os.urandom).public]
    with pytest.raises(KeyFileDamaged):
        decode_key_file(canonical_json(value))


def test_files_are_for_their_owner_and_written_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    bundle = new_vault_key("vault-one", os.urandom)
    save_key_file(path, bundle, passphrase=None, random=os.urandom)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key_file(path) == bundle
    before = path.read_bytes()
    with pytest.raises(KeyFileExists):
        save_key_file(path, bundle, passphrase=None, random=os.urandom)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["keys.json"]
    path.chmod(0o640)
    with pytest.raises(KeyFileExposed, match="got 0640"):
        load_key_file(path)


def test_weak_passphrases_are_refused_when_a_key_is_made() -> None:
    with pytest.raises(PassphraseWeak, match="got 11"):
        encode_key_file(new_official_key(os.urandom), passphrase=b"eleven char", random=os.urandom)


def test_passphrases_come_from_descriptors_and_files(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"over a pipe\nrest")
    os.close(write)
    assert passphrase_from_descriptor(read) == b"over a pipe"
    path = tmp_path / "pass"
    path.write_bytes(b"in a file\r\n")
    path.chmod(0o600)
    assert passphrase_from_file(path) == b"in a file"
    path.chmod(0o604)
    with pytest.raises(PassphraseFileExposed):
        passphrase_from_file(path)
    path.chmod(0o600)
    path.write_bytes(b"\n")
    with pytest.raises(PassphraseUnreadable):
        passphrase_from_file(path)


def test_no_secret_is_printed() -> None:
    bundle = new_depositor_key("registry-1", os.urandom)
    shown = repr(bundle) + repr(bundle.keys[0]) + repr(bundle.secrets)
    for secret in (*(key.seed for key in bundle.keys), bundle.secret(DEDUP_SECRET)):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_public_files_name_the_party() -> None:
    bundle = new_official_key(os.urandom)
    public = parse_public_keys(public_keys_bytes(bundle))
    assert (public.id, public.keys) == (bundle.id, bundle.public)


def test_all_algorithms_sign_what_verifies() -> None:
    envelope = envelope_for({"kind": "report"})
    vault, official = new_vault_key("vault-one", os.urandom), new_official_key(os.urandom)
    signed = sign_envelope(envelope, (*vault.signers, *official.signers))
    assert len(signed.signatures) == 5
    assert {key.alg for key in vault.signers} == {ED25519, ML_DSA_44}
    assert signed.statement_hash == envelope.statement_hash


def test_a_bad_signature_is_not_added() -> None:
    bundle = new_official_key(os.urandom)

    class Broken:
        key: TypedKey = bundle.keys[0].key

        def sign(self, message: bytes) -> bytes:
            return bytes(64)

    with pytest.raises(SignatureInvalid):
        sign_envelope(envelope_for({"kind": "report"}), [Broken()])


def test_keys_are_asked_for_by_kind() -> None:
    reader = new_reader_key("reader", os.urandom)
    assert reader.only(X_WING).xwing.public.raw == reader.public[1].raw
    for wrong in (
        lambda: reader.only(ML_DSA_44),
        lambda: reader.secret("dedup"),
        lambda: reader.only(ED25519).xwing,
        lambda: reader.only(X_WING).sign(b""),
    ):
        with pytest.raises(KeyAbsent):
            wrong()
    assert replace(reader, id="other").public == reader.public
    assert issubclass(KeyAbsent, ExclaveError)
