"""What a restoring machine makes before it may read: its keys, a warrant to be signed, a request.

The folder of one reconstruction (0700):
    reader.key           key file: the key that signs the report, the one-time unseal key
    reader.identity      the reader's TLS identity, named whole in the warrant
    warrant.json         the warrant; officials add their signatures (`exclave sign`)
    unseal-request.json  for the officials with cards, without network (`exclave unseal`)
    record               hash of the deposit's record, hex

Nothing here opens anything before officials have unsealed to the one-time key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from exclave.authority.charter import Charter
from exclave.authority.envelope import Envelope, Kind, envelope_for, parse_envelope
from exclave.authority.keys import ED25519, X_WING, TypedKey
from exclave.authority.record import DepositRecord
from exclave.authority.record_chain import LiveSet
from exclave.authority.unsealing import parse_unseal_request, request_envelope
from exclave.authority.warrant import Warrant, warrant_payload
from exclave.durable import replace_file, write_new_file
from exclave.encoding import hex_decode, parse_canonical_json
from exclave.errors import ConfigurationError
from exclave.ids import DepositId, StatementHash
from exclave.reconstruct.plans import unseal_request
from exclave.signer.bundle import KeyBundle
from exclave.signer.file import load_key_file, save_key_file
from exclave.signer.parties import new_reader_key
from exclave.values import dataclass, replace
from exclave.vault.line.identity import Identity, load_identity, new_identity, save_identity

__all__ = ["FolderIncomplete", "ReaderParty", "attach_warrant", "load_reader", "prepare_warrant"]


class FolderIncomplete(ConfigurationError):
    """A reconstruction's folder lacks a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderParty:
    """The restoring machine of one reconstruction."""

    folder: Path
    keys: KeyBundle
    identity: Identity
    record: StatementHash

    @property
    def unseal_key(self) -> TypedKey:
        """One-time public key that secrets are sealed to."""
        return _key_of(self.keys, X_WING)

    @property
    def warrant(self) -> Envelope:
        """The warrant as it stands in the folder."""
        return parse_envelope((self.folder / "warrant.json").read_bytes(), kinds=[Kind.WARRANT])


def prepare_warrant(
    folder: Path,
    *,
    charter: Charter,
    record: DepositRecord,
    live: LiveSet,
    records: Sequence[Envelope],
    deposits: tuple[DepositId, ...] | None,
    purpose: str,
    life: timedelta,
    now: datetime,
    random: Callable[[int], bytes],
) -> ReaderParty:
    """Make a new folder with everything that officials need; `deposits` None means all.

    `records`: envelopes from the deposit's last full record to its own.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(
            f"{folder}: expected an empty or new folder", hint="one folder a reconstruction"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    keys = new_reader_key("reader", random)
    identity = new_identity(f"reader-{record.deposit.hex()[:8]}", now)
    save_key_file(folder / "reader.key", keys, passphrase=None, random=random)
    save_identity(identity, folder / "reader.identity")
    warrant = Warrant(
        mission=charter.mission_id,
        charter=charter.statement_hash,
        nonce=random(16),
        purpose=purpose,
        issued=now.replace(microsecond=0),
        expires=(now + life).replace(microsecond=0),
        deposits=deposits,
        reader=identity.certificate,
        reader_key=_key_of(keys, ED25519),
        unseal_key=_key_of(keys, X_WING),
    )
    payload = parse_canonical_json(warrant_payload(warrant))
    assert isinstance(payload, dict)
    request = request_envelope(unseal_request(record, live, records, warrant.unseal_key))
    write_new_file(folder / "unseal-request.json", [request.to_bytes()], mode=0o600)
    write_new_file(folder / "record", [record.statement_hash.hex().encode()], mode=0o600)
    write_new_file(folder / "warrant.json", [envelope_for(payload).to_bytes()], mode=0o600)
    return load_reader(folder)


def load_reader(folder: Path) -> ReaderParty:
    """Open a reconstruction's folder."""
    for name in ("reader.key", "reader.identity", "warrant.json", "unseal-request.json", "record"):
        if not (folder / name).is_file():
            raise FolderIncomplete(
                f"{folder}: no {name}", hint="make the folder with: exclave warrant prepare"
            )
    record = hex_decode((folder / "record").read_text(), length=32, subject=f"{folder}/record")
    return ReaderParty(
        folder=folder,
        keys=load_key_file(folder / "reader.key"),
        identity=load_identity(folder / "reader.identity"),
        record=StatementHash(record),
    )


def attach_warrant(reader: ReaderParty) -> None:
    """Put the signed warrant into the unseal request, so that it is checked offline."""
    file = reader.folder / "unseal-request.json"
    request = parse_unseal_request(parse_envelope(file.read_bytes(), kinds=[Kind.UNSEAL_REQUEST]))
    attached = replace(request, warrant=reader.warrant)
    replace_file(file, [request_envelope(attached).to_bytes()], mode=0o600)


def _key_of(keys: KeyBundle, alg: str) -> TypedKey:
    return next(key for key in keys.public if key.alg == alg)
