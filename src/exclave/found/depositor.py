"""New keys for a depositing machine: its bundle, and the request with which a charter seats it.

A founding makes the first ones; this makes those that replace a stolen machine's. Rules: keys,
identity and dedup key are all new; nothing of an old bundle is read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from exclave.authority.charter_parts import Depositor
from exclave.authority.depositor_request import DepositorRequest, depositor_request_payload
from exclave.authority.envelope import Envelope, Kind
from exclave.authority.keys import ED25519, ML_DSA_65
from exclave.found.output import OutputExists, staged
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import save_key_file, write_once
from exclave.signer.interface import sign_envelope
from exclave.signer.parties import new_depositor_key
from exclave.values import dataclass
from exclave.vault.line.identity import Identity, new_identity, save_identity

__all__ = ["REQUEST", "NewDepositor", "new_depositor", "new_depositor_bundle", "write_bundle"]

REQUEST = "depositor-request.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDepositor:
    """A depositor's keys and identity."""

    id: str
    bundle: KeyBundle
    identity: Identity

    def entry(self, *, daily_bytes: int, total_bytes: int, reserve: bool) -> Depositor:
        """The depositor as a charter has it."""
        return Depositor(
            id=self.id,
            keys=(self.bundle.only(ED25519).key, self.bundle.only(ML_DSA_65).key),
            identity=self.identity.certificate,
            daily_bytes=daily_bytes,
            total_bytes=total_bytes,
            reserve=reserve,
        )


def new_depositor(id: str, *, now: datetime, random: Callable[[int], bytes]) -> NewDepositor:
    """Draw keys, dedup key and identity; raises for an id that is no slug."""
    identity = new_identity(id, now)
    return NewDepositor(id=id, bundle=new_depositor_key(id, random), identity=identity)


def write_bundle(folder: Path, depositor: NewDepositor, random: Callable[[int], bytes]) -> None:
    """Write `keys.json` and `identity.pem` into a folder."""
    save_key_file(folder / "keys.json", depositor.bundle, passphrase=None, random=random)
    save_identity(depositor.identity, folder / "identity.pem")


def new_depositor_bundle(
    id: str, out: Path, *, now: datetime, random: Callable[[int], bytes]
) -> DepositorRequest:
    """Write a new bundle with its request into a new folder; returns the request."""
    if out.exists():
        raise OutputExists(f"{out}: expected no such file or folder, got one")
    made = new_depositor(id, now=now, random=random)
    request = DepositorRequest(
        id=id,
        keys=(made.bundle.only(ED25519).key, made.bundle.only(ML_DSA_65).key),
        identity=made.identity.certificate,
        created=now.replace(microsecond=0),
    )
    envelope = Envelope(payload=depositor_request_payload(request), kind=Kind.DEPOSITOR_REQUEST)
    envelope = sign_envelope(envelope, made.bundle.signers)
    with staged(out) as stage:
        write_bundle(stage, made, random)
        write_once(stage / REQUEST, envelope.to_bytes())
    return request
