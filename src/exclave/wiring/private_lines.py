"""Private lines for one machine: `lines.toml` and charters in, WireGuard and nftables files out.

A vault's inner addresses are those of the charter, or of an agreement that has others for its seat,
so that they cannot be others than what was signed; the file adds what no statement has: outer
addresses, the callers' network, public keys. A private key is made on its own machine, stays there,
and is only read to see whether it fits.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from exclave.authority.agreement import check_fits
from exclave.authority.charter import Charter, NotInCharter
from exclave.authority.charter_parts import Address, SeatType
from exclave.authority.persons import SignatureMissing, signed_by
from exclave.config import load_toml
from exclave.errors import ConfigurationError
from exclave.ids import Seat
from exclave.private_line.firewall import Beside, firewall
from exclave.private_line.values import (
    LineKey,
    LineKeyWrong,
    LinePartyUnknown,
    MissionLines,
    Network,
    Party,
    Role,
    check_machine,
    read_line_key,
)
from exclave.private_line.wireguard import wireguard_config
from exclave.shapes import Between, Checked, Length
from exclave.signer.file import write_once
from exclave.values import dataclass
from exclave.vault.line.addresses import parse_address
from exclave.wiring.agreements import load_agreement
from exclave.wiring.files import load_charter, new_folder, read_file

__all__ = ["RULES", "DrawnLine", "draw_lines", "load_lines", "make_line_key", "read_network"]

RULES: Final = "exclave-line.nft"


def _outer(text: str) -> None:
    try:
        parse_address(text)
    except ConfigurationError as error:
        raise ValueError(error.message) from error


def _network(text: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"expected a network such as 10.81.1.0/24: {error}") from error


def _host(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError("expected an address in numbers, such as 10.81.1.10") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vault:
    """A vault of the charter, as the others find it."""

    seat: Annotated[int, Between(1, 255)]
    outer: Annotated[str, Checked(_outer)]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Caller:
    """A machine that calls vaults."""

    name: str
    role: Literal["depositor", "reader", "monitor"]
    inner: Annotated[str, Checked(_host)]
    outer: Annotated[str, Checked(_outer)] | None = None
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _LinesFile:
    """All of `lines.toml`."""

    charter: str
    agreements: tuple[str, ...] = ()
    network: Annotated[str, Checked(_network)]
    vault: Annotated[tuple[_Vault, ...], Length(least=1)]
    caller: tuple[_Caller, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLine:
    """One mission's interface at this machine, as it was written."""

    lines: MissionLines
    file: Path
    key_file: Path
    has_key: bool


def read_network(text: str) -> Network:
    """A network of the command line, such as 192.168.7.0/24."""
    try:
        _network(text)
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigurationError(f"network: {error}") from error


def make_line_key(path: Path) -> str:
    """Make a private key in a new file (0600); its public key, as it stands in `lines.toml`."""
    key = X25519PrivateKey.from_private_bytes(os.urandom(32))
    write_once(path, base64.b64encode(key.private_bytes_raw()) + b"\n")
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def load_lines(path: Path) -> MissionLines:
    """The lines of one mission, from `lines.toml` and the charter that it names."""
    file = load_toml(path, _LinesFile)
    charter = load_charter(path.parent / file.charter)
    agreed = _agreed(charter, [path.parent / name for name in file.agreements])
    parties = [_vault(charter, agreed, item) for item in file.vault]
    parties += [_caller(charter, item) for item in file.caller]
    return MissionLines(
        mission=charter.mission_id,
        network=ipaddress.ip_network(file.network),
        parties=tuple(parties),
    )


def draw_lines(
    files: Sequence[Path], name: str, *, out: Path, keys: Path, beside: Beside
) -> tuple[DrawnLine, ...]:
    """Write what the machine of `name` needs to a new folder; nothing if any of it is wrong."""
    lines = [load_lines(path) for path in files]
    check_machine(lines, name)
    drawn = [
        DrawnLine(
            lines=line,
            file=out / f"{line.interface}.conf",
            key_file=(key_file := keys.absolute() / f"{line.interface}.key"),
            has_key=_key_fits(key_file, line.party(name)),
        )
        for line in lines
    ]
    texts = {
        one.file: wireguard_config(one.lines, one.lines.party(name), str(one.key_file))
        for one in drawn
    }
    texts[out / RULES] = firewall(lines, name, beside)
    new_folder(out)
    for path, text in texts.items():
        write_once(path, text.encode())
    return tuple(drawn)


def _agreed(charter: Charter, files: Sequence[Path]) -> Mapping[Seat, tuple[Address, ...]]:
    """Addresses by seat of agreements that fit the charter.

    The host's signature is asked for, since where its vault is reached is its word. The officials'
    is not: others may be in office by now, and `lines.toml`, which names the file, is their own.
    """
    agreed: dict[Seat, tuple[Address, ...]] = {}
    for path in files:
        envelope, agreement = load_agreement(path)
        if agreement.head.mission != charter.mission_id:
            raise LinePartyUnknown(
                f"{path.name}: expected an agreement of mission {charter.mission_id.hex()[:16]}, "
                f"got one of {agreement.head.mission.hex()[:16]}"
            )
        check_fits(agreement, charter)
        if not signed_by(envelope, agreement.key):
            raise SignatureMissing(
                f"{path.name}: expected the signature of state {agreement.state}, got none",
                hint="a proposal says nothing of where its vault is: exclave agreement accept",
            )
        agreed |= {item.seat: item.addresses for item in agreement.seats}
    return agreed


def _vault(charter: Charter, agreed: Mapping[Seat, tuple[Address, ...]], item: _Vault) -> Party:
    try:
        entry = charter.seat(Seat(item.seat))
    except NotInCharter as error:
        raise LinePartyUnknown(
            f"seat {item.seat}: the charter has no such seat",
            hint="seats in use: " + ", ".join(str(seat.seat) for seat in charter.active_seats),
        ) from error
    known = agreed.get(entry.seat) or entry.addresses
    if entry.retired or entry.type is not SeatType.VAULT or not known:
        raise LinePartyUnknown(
            f"seat {item.seat}: no vault in use with an address: nobody calls it"
        )
    # The charter's first, as every client takes it, unless the host has agreed to others only.
    called = entry.addresses[:1]
    address = called[0] if set(called) & set(known) else known[0]
    return Party.vault(
        entry.vault,
        entry.seat,
        key=read_line_key(item.key, entry.vault),
        outer=parse_address(item.outer),
        data=parse_address(address.data),
        public=parse_address(address.public),
    )


def _caller(charter: Charter, item: _Caller) -> Party:
    role = Role(item.role)
    if role is Role.DEPOSITOR and item.name not in {one.id for one in charter.depositors}:
        raise LinePartyUnknown(
            f"{item.name}: the charter has no such depositor",
            hint="depositors: " + ", ".join(one.id for one in charter.depositors),
        )
    return Party(
        name=item.name,
        role=role,
        key=read_line_key(item.key, item.name),
        outer=None if item.outer is None else parse_address(item.outer),
        inner=(ipaddress.ip_address(item.inner),),
    )


def _key_fits(path: Path, end: Party) -> bool:
    """Whether the private key is here; raises `LineKeyWrong` if it is another or open to others."""
    if not path.exists():
        return False
    if path.stat().st_mode & 0o077:
        raise LineKeyWrong(
            f"{path}: expected a file for its owner alone, got one that others may open",
            hint="make another key: exclave line key",
        )
    private = X25519PrivateKey.from_private_bytes(
        read_line_key(read_file(path).decode("ascii", "replace"), str(path))
    )
    public = LineKey(private.public_key().public_bytes_raw())
    if public != end.key:
        raise LineKeyWrong(
            f"{path}: expected the private key of {end.name}, got another's",
            hint="the public key in lines.toml is the one that `exclave line key` printed here",
        )
    return True
