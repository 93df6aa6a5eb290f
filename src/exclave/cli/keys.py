"""What commands do with `--key`: a key file, an SSH key or a token, asked for what each needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    from exclave.cli.terminal import Terminal
    from exclave.signer.bundle import KeyBundle
    from exclave.signer.opening import SigningKeys

__all__ = ["free_place", "name_held_key", "open_for_signing", "save_keys"]


def open_for_signing(
    terminal: Terminal, argument: str, *, file: Path | None, descriptor: int | None
) -> SigningKeys:
    """The keys of one `--key`; passphrase or PIN come from where commands take passphrases."""
    from exclave.cli.passphrases import passphrase_source
    from exclave.signer.opening import Asking, open_keys

    asking = Asking(
        secret=lambda question: passphrase_source(
            terminal, question, file=file, descriptor=descriptor
        ),
        tell=terminal.info,
    )
    return open_keys(argument, asking)


def free_place(out: Path) -> Path:
    """Where the public keys of a new key file go; raises when either file is there."""
    public = _public_of(out)
    for path in (out, public):
        if path.exists():
            raise ConfigurationError(f"{path}: is there already", hint="keys are never overwritten")
    return public


def save_keys(
    terminal: Terminal, bundle: KeyBundle, out: Path, *, file: Path | None, descriptor: int | None
) -> None:
    """Write a new key file under a passphrase that is set now, and its public keys beside it."""
    import os

    from exclave.cli.passphrases import new_passphrase
    from exclave.signer.file import public_keys_bytes, save_key_file, write_once

    passphrase = new_passphrase(
        terminal, f"new passphrase for {out}", file=file, descriptor=descriptor
    )
    save_key_file(out, bundle, passphrase=passphrase, random=os.urandom)
    write_once(_public_of(out), public_keys_bytes(bundle))


def _public_of(out: Path) -> Path:
    return out.with_name(out.name + ".pub")


def name_held_key(
    terminal: Terminal, public: Path, *, ssh: Path | None, pkcs11: str | None
) -> None:
    """Write the public keys file of an official whose key another program or a token holds."""
    from exclave.signer.bundle import Purpose
    from exclave.signer.file import PublicKeys, encode_public_keys, write_once
    from exclave.signer.opening import find_public_keys
    from exclave.signer.parties import official_id

    if ssh is not None and pkcs11 is not None:
        raise UsageError("official: expected --ssh or --pkcs11, got both")
    keys = find_public_keys(str(ssh) if pkcs11 is None else pkcs11)
    held = PublicKeys(purpose=Purpose.OFFICIAL, id=official_id(keys[0]), keys=keys)
    write_once(public, encode_public_keys(held))
    terminal.warning(
        "no share card can be sealed to this key, and a quantum computer could forge signatures",
        hint="hand this official's card over on paper; a key file has keys against both",
    )
    terminal.result(
        {"id": held.id, "alg": keys[0].alg, "public": str(public)},
        [
            f"official {held.id}",
            f"key     {keys[0].alg} {keys[0].key_id}",
            f"public  {public} (hand this to the founders)",
        ],
    )
