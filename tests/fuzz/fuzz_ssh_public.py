"""Fuzz target: an SSH public key's file.

Invariant: any bytes are refused with an `ExclaveError`, or give a key whose line they are.

Run by `make fuzz`; with file names as arguments it replays those files without the fuzzer.
"""

import base64
import sys
from pathlib import Path

from exclave.authority.keys import SSHSIG_ED25519
from exclave.authority.sshsig import decode_plain_key, plain_public
from exclave.errors import ExclaveError
from exclave.signer.ssh import decode_ssh_public


def check(data: bytes) -> None:
    """Raise AssertionError if the invariant does not hold for these bytes."""
    try:
        key = decode_ssh_public(data)
    except ExclaveError:
        return
    plain = key.alg == SSHSIG_ED25519
    blob = plain_public(key.raw) if plain else key.raw
    assert not plain or decode_plain_key(blob) == key.raw
    assert base64.b64decode(data.split()[1]) == blob


def main() -> None:
    """Fuzz, or replay files."""
    files = [Path(name) for name in sys.argv[1:] if Path(name).is_file()]
    for path in files:
        check(path.read_bytes())
    if not files:
        import atheris

        atheris.instrument_all()
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
