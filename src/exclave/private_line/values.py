"""A mission's private lines: its parties, their addresses, and what must hold of them.

A *line* joins a vault with another party of one mission. All lines of a mission are one interface
at each end, with an inner address that only these lines carry. Nothing is read or written here;
the text of configurations is made by `wireguard` and `firewall`.

Rules, each refused by name:

1. A key is 32 bytes, not all zero, and one party's alone: also over all missions of one machine,
   and so never the same at both ends (`LineKeyWrong`).
2. Inner addresses are private, not loopback, and one party's alone; a caller's lies in the
   mission's network, a vault's in none (`LineAddressWrong`).
3. Outer addresses are no inner ones: a line does not run through itself (`LineAddressWrong`).
4. The networks of two missions at one machine do not overlap, and no address is reached over two
   lines (`LinesOverlap`).
5. The machine is a party of every mission that is given (`LinePartyUnknown`).
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import combinations
from typing import Final, NewType

from exclave.errors import ConfigurationError
from exclave.ids import MissionId, Seat
from exclave.values import dataclass
from exclave.vault.line.addresses import Address, check_bind

__all__ = [
    "Inner",
    "LineAddressWrong",
    "LineKey",
    "LineKeyWrong",
    "LinePartyUnknown",
    "LineRefused",
    "LinesOverlap",
    "MissionLines",
    "Network",
    "Party",
    "Role",
    "check_machine",
    "read_line_key",
]

Inner = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
LineKey = NewType("LineKey", bytes)
"""A WireGuard public key: X25519, 32 bytes."""

_KEY_SIZE: Final = 32
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_INTERFACE_DIGITS: Final = 8  # of 15 letters that Linux allows a name of


class LineRefused(ConfigurationError):
    """Private lines that must not be drawn as they were described."""


class LineKeyWrong(LineRefused):
    """A key that is none, or that is not one party's alone."""


class LineAddressWrong(LineRefused):
    """An inner or outer address that a line must not have."""


class LinesOverlap(LineRefused):
    """Lines of two missions that one machine could not keep apart."""


class LinePartyUnknown(LineRefused):
    """A party that is not described, or that the charter does not have."""


class Role(enum.StrEnum):
    """What a party is at the other end of a vault's line; it says what it may ask there."""

    VAULT = "vault"
    DEPOSITOR = "depositor"
    READER = "reader"
    MONITOR = "monitor"

    @property
    def brings_certificate(self) -> bool:
        """Whether it has business at the data listener."""
        return self is not Role.MONITOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One end. `outer` is None for a caller whose address is not known beforehand."""

    name: str
    role: Role
    key: LineKey
    outer: Address | None
    inner: tuple[Inner, ...]
    seat: Seat | None = None
    data: Address | None = None
    public: Address | None = None

    @classmethod
    def vault(
        cls, name: str, seat: Seat, *, key: LineKey, outer: Address, data: Address, public: Address
    ) -> Party:
        """A vault: its inner addresses are those that it listens at."""
        hosts = dict.fromkeys(ip_address(item.host) for item in (data, public))
        return cls(
            name=name,
            role=Role.VAULT,
            key=key,
            outer=outer,
            inner=tuple(hosts),
            seat=seat,
            data=data,
            public=public,
        )

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LinePartyUnknown(
                f"party: expected a name like 'registry-1', got {self.name[:70]!r}"
            )
        _check_key(self.key, self.name)
        if self.outer is not None and self.outer.port == 0:
            raise LineAddressWrong(f"{self.name}: outer: expected a port from 1 to 65535, got 0")
        for inner in self.inner:
            _check_inner(inner, self.name)

    def listeners_for(self, caller: Party) -> tuple[Address, ...]:
        """Which of this party's listeners `caller` may reach: none of a caller's own."""
        wanted = (self.data, self.public) if caller.role.brings_certificate else (self.public,)
        return tuple(item for item in wanted if item is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionLines:
    """Everybody whom the lines of one mission join; `network` has the callers' addresses."""

    mission: MissionId
    network: Network
    parties: tuple[Party, ...]

    def __post_init__(self) -> None:
        for end in (self.network.network_address, self.network.broadcast_address):
            _check_inner(end, f"network {self.network}")
        _require_unique(LinePartyUnknown, "name", (party.name for party in self.parties))
        _require_one_owner(self.parties)
        if not any(party.role is Role.VAULT for party in self.parties):
            raise LinePartyUnknown("lines: expected a vault at one end, got none")
        for party in self.parties:
            _check_place(party, self.network)
            _check_outer(party, self)

    @property
    def interface(self) -> str:
        """The interface's name at each end, told from the mission id."""
        return f"xl-{self.mission.hex()[:_INTERFACE_DIGITS]}"

    def party(self, name: str) -> Party:
        """The party of that name; raises `LinePartyUnknown`."""
        for party in self.parties:
            if party.name == name:
                return party
        raise LinePartyUnknown(
            f"mission {self.mission.hex()[:16]}: no party {name!r}",
            hint="parties: " + ", ".join(party.name for party in self.parties),
        )

    def peers(self, end: Party) -> tuple[Party, ...]:
        """Whom `end` is joined to: vaults to everybody, callers to vaults."""
        return tuple(
            party
            for party in self.parties
            if party is not end and Role.VAULT in (party.role, end.role)
        )


def read_line_key(text: str, subject: str) -> LineKey:
    """A public key as `exclave line key` prints it: Base64 of 32 bytes; raises `LineKeyWrong`."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise LineKeyWrong(
            f"{subject}: key: expected Base64 of 32 bytes, got other text"
        ) from error
    _check_key(raw, subject)
    return LineKey(raw)


def check_machine(lines: Sequence[MissionLines], name: str) -> None:
    """Refuse what one machine could not keep apart, or is no party of (rules 1, 4 and 5)."""
    ends = [line.party(name) for line in lines]
    _require_unique(LinesOverlap, "mission", (line.interface for line in lines))
    ports = (str(end.outer.port) for end in ends if end.outer is not None)
    _require_unique(LinesOverlap, f"{name}: outer port", ports)
    for one, other in combinations(lines, 2):
        if one.network.overlaps(other.network):
            raise LinesOverlap(
                f"networks {one.network} and {other.network} of two missions overlap",
                hint="a network belongs to one mission at each host",
            )
        for line, network in ((one, other.network), (other, one.network)):
            _require_outside(line.parties, network)
        _require_apart(one, other, name)


def _check_key(key: bytes, subject: str) -> None:
    if len(key) != _KEY_SIZE:
        raise LineKeyWrong(f"{subject}: key: expected 32 bytes, got {len(key)}")
    if not any(key):
        raise LineKeyWrong(f"{subject}: key: expected a public key, got zeros")


def _check_inner(inner: Inner, subject: str) -> None:
    try:
        check_bind(Address(str(inner), 0))
    except ConfigurationError:
        raise LineAddressWrong(
            f"{subject}: expected a private address inside the line, got {inner}",
            hint="lines carry RFC 1918, RFC 6598 and unique local addresses",
        ) from None
    if inner.is_loopback:
        raise LineAddressWrong(f"{subject}: expected an address that others reach, got {inner}")


def _check_place(party: Party, network: Network) -> None:
    for inner in party.inner:
        if party.role is Role.VAULT:
            _require_outside([party], network)
        elif inner not in network or inner in (network.network_address, network.broadcast_address):
            raise LineAddressWrong(f"{party.name}: expected an address in {network}, got {inner}")


def _check_outer(party: Party, lines: MissionLines) -> None:
    if party.outer is None:
        if party.role is Role.VAULT:
            raise LineAddressWrong(f"{party.name}: expected an outer address of a vault, got none")
        return
    outer = ip_address(party.outer.host)
    taken = {inner for other in lines.parties for inner in other.inner}
    if outer in lines.network or outer in taken:
        raise LineAddressWrong(f"{party.name}: outer: {outer} lies inside the line")


def _require_outside(parties: Iterable[Party], network: Network) -> None:
    for party in parties:
        outer = () if party.outer is None else (ip_address(party.outer.host),)
        for address in (*party.inner, *outer):
            if address in network:
                raise LineAddressWrong(
                    f"{party.name}: expected an address outside {network}, got {address}",
                    hint="that network is for the parties that call; a vault keeps its own address",
                )


def _require_one_owner(parties: Sequence[Party]) -> None:
    for one, other in combinations(parties, 2):
        if one.key == other.key:
            raise LineKeyWrong(f"{one.name} and {other.name}: the same key at both ends")
        shared = set(one.inner) & set(other.inner)
        if shared:
            raise LineAddressWrong(f"{one.name} and {other.name}: both have {min(shared)}")


def _require_apart(one: MissionLines, other: MissionLines, name: str) -> None:
    """No key in both missions, and nobody whom `name` would reach over both."""
    keys = {party.key: party.name for party in one.parties}
    for party in other.parties:
        if party.key in keys:
            raise LineKeyWrong(
                f"{keys[party.key]} and {party.name}: the same key in two missions",
                hint="make a key for each mission: exclave line key",
            )
    reached = [
        {inner for peer in line.peers(line.party(name)) for inner in peer.inner}
        for line in (one, other)
    ]
    both = reached[0] & reached[1]
    if both:
        raise LinesOverlap(
            f"{min(both)} would be reached over the lines of two missions",
            hint="a vault that two missions share needs an address for each",
        )


def _require_unique(error: type[LineRefused], what: str, values: Iterable[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise error(f"{what} {value}: expected once, got {count} times")
