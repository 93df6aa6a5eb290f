"""What commands do with `--key`: a key file, an SSH key or a token, asked for what each needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exclave.errors import UsageError

if TYPE_CHECKING:
    from exclave.cli.terminal import Terminal
    from exclave.signer.opening import SigningKeys

__all__ = ["name_held_key", "open_for_signing"]


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
