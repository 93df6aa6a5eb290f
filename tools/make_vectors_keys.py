"""Writes vectors/keys: `python -m tools.make_vectors_keys`; every run writes the same bytes.

Key files of vaults and safes, as a reader of bags opens them (spec/keyfiles.md): in the clear, and
under a passphrase that is not in NFKC.
"""

import json
import sys
from collections.abc import Iterator, Mapping

from exclave.encoding import JsonObject, JsonValue, canonical_json
from exclave.signer.file import encode_key_file
from exclave.signer.parties import new_vault_key
from tools.vector_cases import Case, drawn, refused, write

PASSPHRASE = "Ühine võti, kuus sõna: ½"
_COUNT = iter(range(100))
BUNDLE = new_vault_key("safe-4", lambda size: drawn(f"key file {next(_COUNT)}", size))
_GOOD: JsonObject = {
    "id": "safe-4",
    "key_hash": BUNDLE.public[1].xwing.key_hash.hex(),
}


def _random(size: int) -> bytes:
    return drawn(f"key file protection {size}", size)


CLEAR = encode_key_file(BUNDLE, passphrase=None, random=_random).decode()
LOCKED = encode_key_file(BUNDLE, passphrase=PASSPHRASE.encode(), random=_random, n=2**15).decode()


def cases() -> Iterator[Case]:
    """Files that open, and files that must not."""
    yield _case("clear", "without a passphrase", CLEAR, None, _GOOD)
    yield _case("locked", "scrypt with n = 2^15", LOCKED, PASSPHRASE, _GOOD)
    yield _case("locked-nfkc", "the passphrase as NFKC makes it", LOCKED,
                PASSPHRASE.replace("½", "1\u20442"), _GOOD)  # fmt: skip
    bad: list[tuple[str, str, str, str | None, str]] = [
        ("wrong-passphrase", "another passphrase", LOCKED, PASSPHRASE + "!", "PassphraseWrong"),
        ("other-id", "an id that was not sealed with it", LOCKED.replace("safe-4", "safe-5"),
         PASSPHRASE, "PassphraseWrong"),
        ("version", "version 2, with a field more",
         _changed({"version": 2, "made": "2026-03-01T12:00:00Z"}), None, "FormatTooNew"),
        ("kind", "another kind", _changed({"kind": "exclave-public-keys"}), None, "FieldInvalid"),
        ("field", "a field more", _changed({"made": 1}), None, "FieldUnknown"),
        ("space", "a space after a colon", CLEAR.replace('"id":', '"id": '), None,
         "NonCanonicalData"),
        ("n-small", "n = 2^14", _protected({"n": 2**14}), PASSPHRASE, "FieldInvalid"),
        ("n-odd", "n that is no power of two", _protected({"n": 2**15 + 1}), PASSPHRASE,
         "FieldInvalid"),
        ("r", "r = 16", _protected({"r": 16}), PASSPHRASE, "FieldInvalid"),
        ("other-public", "public keys of others", _changed({"public": _others()}), None,
         "KeyFileDamaged"),
    ]  # fmt: skip
    for name, what, text, passphrase, error in bad:
        yield _case(name, what, text, passphrase, refused(error, what))


def _changed(change: Mapping[str, JsonValue]) -> str:
    return canonical_json({**json.loads(CLEAR), **change}).decode()


def _protected(change: Mapping[str, JsonValue]) -> str:
    whole = json.loads(LOCKED)
    return canonical_json({**whole, "protection": {**whole["protection"], **change}}).decode()


def _others() -> JsonValue:
    other = new_vault_key("safe-4", lambda size: drawn(f"another key {next(_COUNT)}", size))
    return [key.to_json() for key in other.public]


def _case(name: str, what: str, text: str, passphrase: str | None, expect: JsonObject) -> Case:
    given: JsonObject = {"file": text, "passphrase": passphrase}
    return Case(
        spec="keyfiles.md 1",
        case=f"key-file-{name}",
        operation="seat-key",
        what=what,
        given=given,
        expect=expect,
    )


def folders() -> dict[str, list[Case]]:
    """Cases by folder."""
    return {"keys": CASES}


CASES = list(cases())


def main() -> int:
    """Write them all."""
    print(f"{sum(write(name, some) for name, some in folders().items())} vectors of key files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
