"""Certificates in the logs: found by `list`, opened with cards by `extract`."""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.reader.loaded import load_reader
from tests.reader.test_extract import extract, run
from tests.reader.world import NOW, World, b64, drawn, envelope, hpke_seal

reader = load_reader()

DEPOSITOR = (("d", "ed25519"), ("d", "ml-dsa-65"))


@dataclass
class Attested(World):
    """A mission whose depositor logged the proof of a deposit."""

    hash: bytes = b""
    signers: tuple[tuple[str, str], ...] = DEPOSITOR
    sealed_as: bytes | None = None
    alone: bool = False

    def _deposit(self) -> None:
        super()._deposit()
        proof = self.proof()
        payload = reader.encode_json(proof)
        self.hash = reader.sha256(payload)
        text = json.loads(envelope(proof, DEPOSITOR)) | {"payload": payload.decode()}
        packed = zlib.compress(reader.encode_json(text))
        plain = len(packed).to_bytes(4) + packed
        named = self.sealed_as or self.hash
        info = b"exclave/1/attestation\0" + self.mission + named + (1).to_bytes(4)
        sealed = hpke_seal(self.public, info, plain + bytes(-len(plain) % 4096))
        body = {
            "kind": "attestation", "mission": self.mission.hex(), "depositor": "registry",
            "certificate": named.hex(), "epoch": 1, "sealed": "" if self.alone else b64(sealed),
            "time": NOW,
        }  # fmt: skip
        self._log("attestation", envelope(body, self.signers))

    def proof(self) -> dict[str, Any]:
        """A proof as the specification has it."""
        register = {
            "id": "people", "title": "The people", "captured": NOW, "rows": 3003, "files": 0,
            "objects": 8, "differences": 0, "not_compared": [], "assertions": [],
            "from_packs": 10, "from_source": 0,
        }  # fmt: skip
        return {
            "kind": "proof", "mission": self.mission.hex(), "charter": self.mission.hex(),
            "salt": drawn("salt").hex(), "software": "a test", "plan": drawn("plan").hex(),
            "declared": ["people"], "deposit": bytes(range(16)).hex(),
            "record": drawn("record").hex(), "started": NOW, "ended": NOW, "failure": None,
            "passed": True, "registers": [register], "depositor": "registry",
        }  # fmt: skip


def test_a_hash_alone_is_said_and_is_no_problem(tmp_path: Path) -> None:
    world = Attested(tmp_path, alone=True)
    world.build()
    done = run(world, "list", "vault-1", "vault-2")
    assert (done.returncode, "1 by their hash alone" in done.stdout) == (0, True)
    done = extract(world, 1, 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"certificate {world.hash.hex()}: its hash alone was logged, {NOW}" in done.stdout
    assert not (tmp_path / "out" / "certificates").exists()


def test_a_certificate_is_found_and_opened(tmp_path: Path) -> None:
    world = Attested(tmp_path)
    world.build()
    done = run(world, "list", "vault-1", "vault-2")
    assert (done.returncode, "1 certificates, sealed" in done.stdout) == (0, True)
    done = extract(world, 1, 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"certificate proof {world.hash.hex()}: passed, ended {NOW}" in done.stdout
    file = tmp_path / "out" / "certificates" / f"proof-{world.hash.hex()}.json"
    opened = reader.parse_envelope(file.read_bytes(), "proof")
    assert opened.body == world.proof()
    assert len(opened.signatures) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"signers": (("d", "ed25519"),)}, "not signed by both keys of its depositor"),
        ({"sealed_as": drawn("another")}, "is not the one that the attestation names"),
    ],
    ids=["half signed", "another certificate"],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    world = Attested(tmp_path, **change)
    world.build()
    done = extract(world, 1, 2)
    assert said in done.stdout
    assert not (tmp_path / "out" / "certificates").exists()
