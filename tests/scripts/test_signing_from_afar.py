"""Officials who sign elsewhere: with an SSH key or a token, two files, and a message back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exclave.authority.charter import parse_charter
from exclave.authority.detached import detach, parse_detached
from exclave.authority.envelope import Envelope, Kind, parse_envelope
from exclave.authority.keys import TypedKey
from exclave.authority.persons import signed_persons
from exclave.encoding import b64encode, canonical_json
from exclave.signer.file import parse_public_keys
from tests.founding import make_founding
from tests.scripts.conftest import call, must
from tests.support.tokens import PIN, SoftToken, soft_token, ssh_keygen
from tools import vector_authority as mission

__all__ = ["soft_token"]

Payload = dict[str, object]


def write(path: Path, envelope: Envelope) -> Path:
    """A statement's file."""
    path.write_bytes(envelope.to_bytes())
    return path


def law(folder: Path, *, anna: list[list[TypedKey]] | None = None) -> tuple[Path, Envelope]:
    """A charter that two governors signed, in which anna has these key sets."""
    payload = mission.charter()
    if anna is not None:
        person = next(p for p in payload["officials"] if p["id"] == mission.official_id("anna"))
        person["key_sets"] = [[key.to_json() for key in keys] for keys in anna]
    signed = mission.sign(Kind.CHARTER, payload, ["bela", "cyril"])
    return write(folder / "charter.json", signed), signed


def warrant(folder: Path, charter: Envelope, labels: list[str], **change: object) -> Path:
    """A warrant under that charter."""
    digest = charter.statement_hash.hex()
    payload = mission.warrant(digest, digest) | change
    folder.mkdir(exist_ok=True)
    return write(folder / "warrant.json", mission.sign(Kind.WARRANT, payload, labels))


def ssh_key(folder: Path) -> Path:
    """A fresh SSH key without a passphrase; its public file."""
    path = folder / "id_ed25519"
    command = [ssh_keygen(), "-q", "-t", "ed25519", "-N", "", "-C", "anna", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_name("id_ed25519.pub")


def held(folder: Path, *arguments: object) -> tuple[str, TypedKey]:
    """What `official init` writes about a key that is not a file of ours."""
    said = must("--json", "official", "init", "--out", folder / "anna", *arguments)
    assert "no share card can be sealed to this key" in said.err
    public = parse_public_keys((folder / "anna.pub").read_bytes())
    assert not (folder / "anna").exists()
    assert said.json["id"] == public.id
    return public.id, public.keys[0]


def test_the_whole_way_with_an_ssh_key(tmp_path: Path) -> None:
    """Named for the founders, signed elsewhere, sent back, joined, shown."""
    key = ssh_key(tmp_path)
    _, public = held(tmp_path, "--ssh", key)
    charter, signed = law(tmp_path, anna=[[public]])
    home, away = tmp_path / "home", tmp_path / "away"
    at_home = warrant(home, signed, ["bela"])
    away.mkdir()
    elsewhere = away / "warrant.json"
    elsewhere.write_bytes(at_home.read_bytes())
    answer = away / "anna.sig"
    sign = ["sign", elsewhere, "--charter", charter, "--key", key, "--yes"]
    must(*sign, "--signature", answer)
    assert elsewhere.read_bytes() == at_home.read_bytes()
    assert len(answer.read_bytes()) < 1000  # a QR code takes 2,953 bytes
    join = ["--json", "signatures", "join", at_home, answer]
    assert must(*join, "--charter", charter).json["added"] == 1
    assert must(*join, answer, "--charter", charter).json["added"] == 0
    said = must("--json", "signatures", "show", at_home, "--charter", charter).json
    assert sorted(said["signed"]) == sorted(mission.official_id(x) for x in ("anna", "bela"))
    read = said["rosters"][0]
    assert (read["roster"], read["required"], len(read["signed"])) == ("read", 2, 2)
    assert read["open"] == [mission.official_id("cyril")]
    lines = must("signatures", "show", at_home, "--charter", charter).out
    assert f"{mission.official_id('anna')} (office, home): signed" in lines
    assert "charter 1.1, read: 2 signed, 2 required: enough" in lines
    again = call(*sign, "--signature", answer)
    assert (again.code, again.out) == (3, "")
    assert "expected a new file" in again.err


def test_the_whole_way_with_a_token(tmp_path: Path, soft_token: SoftToken) -> None:
    """A card of P-384; the PIN comes from a file, as passphrases do."""
    soft_token.add("anna")
    soft_token.make_key("anna", "sign", b"\x01")
    uri = soft_token.uri("anna", "sign")
    _, public = held(tmp_path, "--pkcs11", uri)
    assert public.alg == "ecdsa-p384"
    charter, signed = law(tmp_path, anna=[[public]])
    file = warrant(tmp_path / "w", signed, [])
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    sign = ["--json", "sign", file, "--charter", charter, "--key", uri, "--yes"]
    pin.write_text("0000\n")
    refused = call(*sign, "--passphrase-file", pin)
    assert (refused.code, refused.out) == (6, "")
    assert "token anna: expected its PIN, got a wrong one" in refused.err
    pin.write_text(PIN + "\n")
    must(*sign, "--passphrase-file", pin)
    assert len(parse_envelope(file.read_bytes()).signatures) == 1


def test_a_mission_is_founded_with_every_kind_of_key(tmp_path: Path, soft_token: SoftToken) -> None:
    """A governor with an SSH key and one with a card: named, warned of, and they sign charter 1."""
    soft_token.add("registrar")
    soft_token.make_key("registrar", "sign", b"\x01", "secp256r1")
    uri = soft_token.uri("registrar", "sign")
    founding = make_founding(tmp_path, os.urandom)
    key = ssh_key(tmp_path)
    for label, arguments in (("archivist", ["--ssh", key]), ("registrar", ["--pkcs11", uri])):
        must("official", "init", "--out", tmp_path / label, *arguments)
        keys = founding.folder / "officials" / f"{label}.public.json"
        keys.write_bytes((tmp_path / f"{label}.pub").read_bytes())
    pin = tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN + "\n")
    out, cards = tmp_path / "mission", tmp_path / "cards"
    sealed = call("found", founding.path, "--out", out, "--prepare", "--seal-cards-to", cards)
    assert sealed.code == 6
    assert "expected a holder with an x-wing key, got none" in sealed.err
    assert "nothing can be sealed to an official whose key is an SSH key" in sealed.err
    done = must("--json", "found", founding.path, "--out", tmp_path / "second", "--key", key,
                "--key", uri, "--passphrase-file", pin, "--unsafe-shares-to",
                tmp_path / "paper")  # fmt: skip
    assert f"2 of {len(founding.officials)} officials have keys that a quantum" in done.err
    charter = tmp_path / "second" / "charter.json"
    assert len(parse_envelope(charter.read_bytes()).signatures) == 2
    assert "classical keys only" in must("limits", charter).out


def test_a_person_counts_once_under_two_keys(tmp_path: Path) -> None:
    """Both sets signed: one person; a set of two of which one signed: said, and not counted."""
    two = [[mission.public("anna")], [mission.public("anna 2")], [mission.public("x"),
                                                                  mission.public("y")]]  # fmt: skip
    charter, signed = law(tmp_path, anna=two)
    file = warrant(tmp_path / "w", signed, ["anna", "anna 2"])
    read = must("--json", "signatures", "show", file, "--charter", charter).json["rosters"][0]
    assert read["signed"] == [mission.official_id("anna")]
    half = warrant(tmp_path / "w", signed, ["x", "stranger"])
    lines = must("signatures", "show", half, "--charter", charter).out
    assert f"{mission.official_id('anna')} (office, home): signed with 1 of 2 keys" in lines
    assert "read: 0 signed, 2 required; 2 more of: " in lines
    assert "1 signatures of keys that the charter does not name" in lines


def spoilt(change: Callable[[Payload], object]) -> Callable[[bytes], bytes]:
    """Detached signatures, altered."""

    def apply(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return canonical_json(value)

    return apply


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (spoilt(lambda v: v["signatures"][0].update(sig=b64encode(bytes(64)))),  # type: ignore[index]
         6, "anna.sig: signature: expected a valid one of ed25519 key"),
        (spoilt(lambda v: v.update(statement="00" * 32)),
         6, "anna.sig: signatures: expected of warrant"),
        (spoilt(lambda v: v["signatures"][0].update(keyid="00" * 32)),  # type: ignore[index]
         6, "anna.sig: signatures: expected keys of officials, got unknown key 0000"),
        (lambda data: data[:-1], 7, "anna.sig: signatures: not JSON"),
        (spoilt(lambda v: v.update(payloadType="application/vnd.exclave.charter.v1+json")),
         6, "got of charter"),
    ],
)  # fmt: skip
def test_wrong_signatures_are_named(
    tmp_path: Path, change: Callable[[bytes], bytes], code: int, says: str
) -> None:
    """With a good file before and after: nothing of them is written."""
    charter, signed = law(tmp_path)
    file = warrant(tmp_path / "w", signed, [])
    full = warrant(tmp_path / "full", signed, ["anna", "bela"])
    envelope = parse_envelope(full.read_bytes())
    names = ("anna", "bela")
    for name in names:
        answer = detach(envelope, [mission.public(name)])
        (tmp_path / f"{name}.sig").write_bytes(answer.to_bytes())
        assert parse_detached((tmp_path / f"{name}.sig").read_bytes()) == answer
    bad = tmp_path / "anna.sig"
    bad.write_bytes(change(bad.read_bytes()))
    before = file.read_bytes()
    ran = call("signatures", "join", file, tmp_path / "bela.sig", bad, "--charter", charter)
    assert (ran.code, ran.out) == (code, ""), ran
    assert says in ran.err
    assert file.read_bytes() == before


def test_a_new_charter_needs_old_and_new(tmp_path: Path) -> None:
    """Its own officials are known without another file; the charter before is named."""
    charter, signed = law(tmp_path)
    digest = signed.statement_hash.hex()
    payload = mission.charter() | {"mission": digest, "previous": digest, "version": 2}
    next_one = mission.sign(Kind.CHARTER, payload, ["anna"])
    (tmp_path / "new").mkdir()
    file = write(tmp_path / "new" / "charter-2.json", next_one)
    said = must("--json", "signatures", "show", file, "--charter", charter).json
    govern = [item for item in said["rosters"] if item["roster"] == "govern"]
    assert [item["signed"] for item in govern] == [[mission.official_id("anna")]] * 2
    bare = write(tmp_path / "new" / "bare.json", Envelope(payload=next_one.payload,
                                                          kind=Kind.CHARTER))  # fmt: skip
    answer = tmp_path / "anna.sig"
    answer.write_bytes(detach(next_one, [mission.public("anna")]).to_bytes())
    must("signatures", "join", bare, answer)
    assert parse_envelope(bare.read_bytes()) == next_one
    assert signed_persons(next_one, parse_charter(next_one).officials)


def test_nobody_says_who_may_sign(tmp_path: Path) -> None:
    _, signed = law(tmp_path)
    file = warrant(tmp_path / "w", signed, ["anna"])
    ran = call("signatures", "show", file)
    assert (ran.code, ran.out) == (3, "")
    assert "expected a charter that says who may sign, got none" in ran.err


def test_one_kind_of_key_at_a_time(tmp_path: Path) -> None:
    ran = call("official", "init", "--out", tmp_path / "a", "--ssh", "k", "--pkcs11", "pkcs11:")
    assert (ran.code, ran.out) == (2, "")
    assert "expected --ssh or --pkcs11, got both" in ran.err


def test_a_key_of_a_stranger_signs_nothing(tmp_path: Path) -> None:
    """The charter does not know this SSH key: refused before ssh-keygen is asked."""
    charter, signed = law(tmp_path)
    file = warrant(tmp_path / "w", signed, [])
    before = file.read_bytes()
    ran = call("sign", file, "--charter", charter, "--key", ssh_key(tmp_path), "--yes")
    assert ran.code == 6
    assert "knows no official with these keys" in ran.err
    assert file.read_bytes() == before
