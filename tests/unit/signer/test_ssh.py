"""Signing through ssh-keygen: the real one, and false ones for what it may do wrong."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import (
    SSHSIG_ED25519,
    SSHSIG_SK_ED25519,
    HolderUnverified,
    NamespaceForeign,
    SignatureInvalid,
    TypedKey,
    verify_signature,
)
from exclave.encoding import canonical_json
from exclave.errors import ConfigurationError
from exclave.signer.interface import sign_envelope
from exclave.signer.opening import Asking, KeyPlace, find_public_keys, open_keys, place_of
from exclave.signer.ssh import (
    SshKeygenMissing,
    SshKeyUnusable,
    SshSigningFailed,
    decode_ssh_public,
    load_ssh_key,
)
from tests.support.tokens import ssh_keygen
from tools.vector_signatures import MESSAGE, SSH_SEED, Blob, ssh_good, token_key

STATEMENT = Envelope(payload=canonical_json({"kind": "veto"}), kind=Kind.VETO)


def asking(said: list[str] | None = None) -> Asking:
    """Nobody to ask for secrets: ssh-keygen asks for itself."""

    def refuse(_: str) -> bytes:
        raise AssertionError("asked for a secret")

    return Asking(secret=lambda question: lambda: refuse(question), tell=(said or []).append)


def write_key(folder: Path) -> Path:
    """The key pair of the vectors; returns the public file."""
    private = Ed25519PrivateKey.from_private_bytes(SSH_SEED)
    path = folder / "id_ed25519"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    path.chmod(0o600)
    return write_public(folder / "id_ed25519.pub", Blob().public())


def write_public(path: Path, blob: bytes) -> Path:
    """A public key's file."""
    name = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    path.write_bytes(name + b" " + base64.b64encode(blob) + b" somebody@somewhere\n")
    return path


def armoured(blob: bytes) -> str:
    """As ssh-keygen prints it."""
    text = base64.b64encode(blob).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    head, tail = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
    return "\n".join([head, *lines, tail]) + "\n"


@pytest.fixture
def false_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH; a test puts its own ssh-keygen there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put_program(folder: Path, script: str) -> None:
    """Its ssh-keygen."""
    program = folder / "ssh-keygen"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def put_answer(folder: Path, blob: bytes) -> None:
    """An ssh-keygen that reads what it gets and answers with one signature."""
    (folder / "answer").write_text(armoured(blob))
    put_program(folder, f"/bin/cat >/dev/null\n/bin/cat {folder}/answer")


def test_ssh_keygen_signs_what_we_verify(tmp_path: Path) -> None:
    """The same bytes as in the vectors, which were put together from the documents."""
    ssh_keygen()
    public = write_key(tmp_path)
    keys = open_keys(str(public), asking())
    assert (
        keys.public
        == (TypedKey(SSHSIG_ED25519, keys.public[0].raw),)
        == find_public_keys(str(public))
    )
    made = keys.signers[0].sign(MESSAGE)
    assert made == ssh_good()
    verify_signature(keys.public[0], MESSAGE, made)
    by_private = open_keys(str(tmp_path / "id_ed25519"), asking())
    assert by_private.public == keys.public
    assert sign_envelope(STATEMENT, by_private.signers).signatures


@pytest.mark.parametrize("flags", [None, 0x05])
def test_ssh_keygen_verifies_what_the_vectors_say(tmp_path: Path, flags: int | None) -> None:
    """The security key's signature was made by software after the documents: a second opinion."""
    blob = Blob(flags=flags)
    public = write_public(tmp_path / "key.pub", blob.public())
    (tmp_path / "allowed").write_text(f"official {public.read_text()}")
    (tmp_path / "sig").write_text(armoured(blob.encode()))
    command = [ssh_keygen(), "-Y", "verify", "-f", str(tmp_path / "allowed"), "-I", "official",
               "-n", "exclave-statement", "-s", str(tmp_path / "sig")]  # fmt: skip
    done = subprocess.run(command, input=MESSAGE, capture_output=True, check=False)
    assert done.returncode == 0, done
    done = subprocess.run(command, input=MESSAGE + b".", capture_output=True, check=False)
    assert done.returncode != 0


def test_an_agent_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the public file alone: the private key is in the agent only."""
    ssh_keygen()
    public = write_key(tmp_path)
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as run:
        try:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            add = ["ssh-add", "-q", str(tmp_path / "id_ed25519")]
            while not socket.exists():
                assert run.poll() is None
            subprocess.run(add, check=True, capture_output=True)
            (tmp_path / "id_ed25519").unlink()
            keys = open_keys(str(public), asking())
            assert sign_envelope(STATEMENT, keys.signers).signatures
        finally:
            run.terminate()


def test_a_key_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No agent, no private file: what ssh-keygen says is shown and named."""
    ssh_keygen()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    public = write_key(tmp_path)
    (tmp_path / "id_ed25519").unlink()
    said: list[str] = ["start"]
    with pytest.raises(SshSigningFailed, match="expected a signature of ssh-keygen, got: ") as why:
        open_keys(str(public), asking(said)).signers[0].sign(MESSAGE)
    assert why.value.hint is not None
    assert any("id_ed25519" in line for line in said[1:]), said


def test_ssh_keygen_is_absent(tmp_path: Path, false_program: Path) -> None:
    keys = open_keys(str(write_key(tmp_path)), asking())
    with pytest.raises(SshKeygenMissing, match="expected a program to sign with"):
        keys.signers[0].sign(MESSAGE)


def test_ssh_keygen_fails(tmp_path: Path, false_program: Path) -> None:
    """It gives up before it has read what it was to sign."""
    put_program(false_program, "exec <&-\necho device not found >&2\nexit 255")
    keys = open_keys(str(write_key(tmp_path)), asking())
    with pytest.raises(SshSigningFailed, match="got: device not found"):
        keys.signers[0].sign(MESSAGE * 10_000)


def test_ssh_keygen_prints_something_else(tmp_path: Path, false_program: Path) -> None:
    put_program(false_program, "/bin/cat >/dev/null\necho hello")
    keys = open_keys(str(write_key(tmp_path)), asking())
    with pytest.raises(SshSigningFailed, match="got other output"):
        keys.signers[0].sign(MESSAGE)


def test_the_touch_is_asked_for(tmp_path: Path, false_program: Path) -> None:
    """What ssh-keygen says while it waits reaches the person, and no more than that."""
    blob = Blob(flags=0x05, message=STATEMENT.pae)
    (false_program / "answer").write_text(armoured(blob.encode()))
    put_program(
        false_program,
        f"/bin/cat >/dev/null\necho Signing data on standard input >&2\n"
        f"printf '\\rConfirm user presence\\r\\n' >&2\n/bin/cat {false_program}/answer",
    )
    said = ["start"]
    public = write_public(tmp_path / "id_ed25519_sk.pub", blob.public())
    keys = open_keys(str(public), asking(said))
    assert keys.public == (token_key(),)
    assert sign_envelope(STATEMENT, keys.signers).signatures
    assert said == ["start", "ssh-keygen: Confirm user presence"]


def test_a_security_key_that_did_not_verify(tmp_path: Path, false_program: Path) -> None:
    blob = Blob(flags=0x01, message=STATEMENT.pae)
    put_answer(false_program, blob.encode())
    public = write_public(tmp_path / "id_ed25519_sk.pub", blob.public())
    with pytest.raises(HolderUnverified, match="got a mere touch") as caught:
        sign_envelope(STATEMENT, open_keys(str(public), asking()).signers)
    assert "verify-required" in (caught.value.hint or "")


def test_a_signature_for_another_program(tmp_path: Path, false_program: Path) -> None:
    put_answer(false_program, Blob(namespace=b"git", message=STATEMENT.pae).encode())
    with pytest.raises(NamespaceForeign, match="expected namespace 'exclave-statement', got 'git'"):
        sign_envelope(STATEMENT, open_keys(str(write_key(tmp_path)), asking()).signers)


def test_a_signature_of_something_else(tmp_path: Path, false_program: Path) -> None:
    put_answer(false_program, Blob(message=b"something else").encode())
    with pytest.raises(SignatureInvalid):
        sign_envelope(STATEMENT, open_keys(str(write_key(tmp_path)), asking()).signers)


def test_other_ssh_keys_are_refused(tmp_path: Path) -> None:
    """Other types, several keys, no key: named with what to make instead."""
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    curve_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    for key, name in ((rsa_key, "ssh-rsa"), (curve_key, "ecdsa-sha2-nistp256")):
        text = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        (tmp_path / "key.pub").write_bytes(text)
        with pytest.raises(SshKeyUnusable, match=f"security key, got '{name}'") as caught:
            open_keys(str(tmp_path / "key.pub"), asking())
        assert "ssh-keygen -t ed25519-sk" in (caught.value.hint or "")
    good = write_key(tmp_path).read_bytes()
    for data in (good + good, b"ssh-ed25519", b"ssh-ed25519 ????", good[:40]):
        (tmp_path / "key.pub").write_bytes(data)
        with pytest.raises(SshKeyUnusable):
            load_ssh_key(tmp_path / "key.pub")


def test_where_a_key_lies(tmp_path: Path) -> None:
    public = write_key(tmp_path)
    (tmp_path / "minister.key").write_text('{"id":"p-1"}')
    assert place_of(str(public)) is KeyPlace.SSH
    assert place_of(str(tmp_path / "id_ed25519")) is KeyPlace.SSH
    assert place_of(str(tmp_path / "minister.key")) is KeyPlace.FILE
    assert place_of("pkcs11:token=a") is KeyPlace.PKCS11
    with pytest.raises(ConfigurationError, match="none: cannot be read"):
        place_of(str(tmp_path / "none"))
    public.unlink()
    with pytest.raises(SshKeyUnusable, match=r"id_ed25519\.pub: cannot be read"):
        open_keys(str(tmp_path / "id_ed25519"), asking())


def test_a_locked_key_without_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh-keygen asks at the terminal; where there is none, it fails and says so."""
    ssh_keygen()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    monkeypatch.setenv("DISPLAY", os.environ.get("DISPLAY", ":0"))
    public = write_key(tmp_path)
    lock = ["ssh-keygen", "-q", "-p", "-f", str(tmp_path / "id_ed25519"), "-N", "correct horse"]
    subprocess.run(lock, check=True, capture_output=True)
    with pytest.raises(SshSigningFailed):
        open_keys(str(public), asking()).signers[0].sign(MESSAGE)


def test_a_public_key_is_read() -> None:
    key = decode_ssh_public(b"sk-ssh-ed25519@openssh.com " + base64.b64encode(token_key().raw))
    assert key == TypedKey(SSHSIG_SK_ED25519, token_key().raw)
