"""A software token (SoftHSM2) for tests of PKCS#11; what a machine lacks is said, not hidden."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["PIN", "SoftToken", "soft_token", "ssh_keygen"]

PIN = "4711-4711"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
_CURVES = {
    "secp256r1": "06082a8648ce3d030107",
    "secp384r1": "06052b81040022",
    "secp521r1": "06052b81040023",
}


def ssh_keygen() -> str:
    """The program; a test without it is left out, and the summary says what was not covered."""
    found = shutil.which("ssh-keygen")
    if found is None:
        pytest.skip("ssh-keygen is not installed: signing with real SSH keys is not tested here")
    return found


@dataclass(frozen=True, kw_only=True)
class SoftToken:
    """Tokens in a folder, reached through one module."""

    module: str

    def add(self, label: str) -> None:
        """Make one more token."""
        run("softhsm2-util", "--init-token", "--free", "--label", label,
            "--pin", PIN, "--so-pin", "so-" + PIN)  # fmt: skip
        self._library().reinitialize()

    def make_key(self, token: str, label: str, id: bytes, curve: str = "secp384r1") -> None:
        """Make a key pair on a curve, or of Ed25519."""
        from pkcs11 import Attribute, KeyType

        with self._library().get_token(token_label=token).open(user_pin=PIN, rw=True) as session:
            edwards = curve == "ed25519"
            parameters = "130c656477617264733235353139" if edwards else _CURVES[curve]
            kind: Any = KeyType.EC_EDWARDS if edwards else KeyType.EC
            session.create_domain_parameters(
                kind, {Attribute.EC_PARAMS: bytes.fromhex(parameters)}, local=True
            ).generate_keypair(store=True, label=label, id=id)

    def uri(self, token: str, object: str | None = None, *more: str) -> str:
        """A URI of a key."""
        parts = [f"token={token}", *([] if object is None else [f"object={object}"]), *more]
        return f"pkcs11:{';'.join(parts)}?module-path={self.module}"

    def _library(self) -> Any:
        import pkcs11

        return pkcs11.lib(self.module)


def run(*command: str) -> None:
    """A program that must succeed; what it says is not shown."""
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    """An empty set of tokens; the module reads where they lie from its environment, once."""
    module = next((name for name in MODULES if Path(name).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM2 (softhsm2) is not installed: signing with tokens is not tested here")
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "tokens").mkdir()
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(config)
    made = SoftToken(module=module)
    made._library().reinitialize()
    yield made
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before
